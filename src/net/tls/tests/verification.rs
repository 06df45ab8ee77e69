//! What each mode verifies of the peer.

use rcgen::{CertificateParams, date_time_ymd};

use crate::error::{Error, ErrorKind};
use crate::net::tls::testing::{
    Authority, Server, TempDir, VERSIONS, Wire, config, greet, self_signed_ca, server_params,
};
use crate::net::tls::{TlsConfig, TlsMode};

const VERIFYING: [TlsMode; 3] = [TlsMode::Require, TlsMode::VerifyCa, TlsMode::VerifyFull];

fn assert_tls(error: &Error, part: &str) {
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
    assert!(error.message().contains(part), "{error}");
    assert!(!error.is_retryable());
}

#[test]
fn each_mode_verifies_what_it_says() {
    let (ca, other) = (Authority::new(), Authority::new());
    let identity = ca.server(&["db1.example"]);
    let server = Server::new(&identity);
    let blind = TlsConfig::new(TlsMode::Require);
    // mode, its options, host, whether it is accepted
    let table = [
        ("require", &blind, "elsewhere.example", true),
        (
            "require, ca",
            &config(TlsMode::Require, &ca),
            "elsewhere.example",
            true,
        ),
        (
            "require, wrong ca",
            &config(TlsMode::Require, &other),
            "db1.example",
            false,
        ),
        (
            "verify-ca",
            &config(TlsMode::VerifyCa, &ca),
            "elsewhere.example",
            true,
        ),
        (
            "verify-ca, wrong ca",
            &config(TlsMode::VerifyCa, &other),
            "db1.example",
            false,
        ),
        (
            "verify-full",
            &config(TlsMode::VerifyFull, &ca),
            "db1.example",
            true,
        ),
        (
            "verify-full, case",
            &config(TlsMode::VerifyFull, &ca),
            "DB1.example",
            true,
        ),
        (
            "verify-full, wrong name",
            &config(TlsMode::VerifyFull, &ca),
            "elsewhere.example",
            false,
        ),
        (
            "verify-full, wrong ca",
            &config(TlsMode::VerifyFull, &other),
            "db1.example",
            false,
        ),
    ];
    for (case, config, host, accepted) in table {
        let result = greet(config, host, &server);
        assert_eq!(result.is_ok(), accepted, "{case}: {result:?}");
    }
}

#[test]
fn both_versions_are_spoken() {
    let ca = Authority::new();
    let identity = ca.server(&["db1"]);
    for versions in VERSIONS {
        let server = Server::new(&identity).versions(versions);
        greet(&config(TlsMode::VerifyFull, &ca), "db1", &server).unwrap();
        let error = greet(&config(TlsMode::VerifyFull, &ca), "db2", &server).unwrap_err();
        assert_tls(&error, "not `db2`");
    }
}

#[test]
fn a_wrong_name_is_answered_with_the_names_of_the_certificate() {
    let ca = Authority::new();
    let identity = ca.server(&["db1.example", "10.0.0.1"]);
    let error = greet(
        &config(TlsMode::VerifyFull, &ca),
        "db2.example",
        &Server::new(&identity),
    )
    .unwrap_err();
    assert_tls(
        &error,
        "is for `db1.example`, `10.0.0.1`, not `db2.example`: set the tls server name",
    );

    let unnamed = ca.server(&[]);
    let error = greet(
        &config(TlsMode::VerifyFull, &ca),
        "db2.example",
        &Server::new(&unnamed),
    )
    .unwrap_err();
    assert_tls(&error, "no subject alternative name");
}

#[test]
fn a_long_list_of_names_is_cut() {
    let ca = Authority::new();
    let names: Vec<_> = (0..20).map(|number| format!("n{number}.example")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let identity = ca.server(&names);
    let error = greet(
        &config(TlsMode::VerifyFull, &ca),
        "db",
        &Server::new(&identity),
    )
    .unwrap_err();
    assert_tls(&error, "`n7.example`, 12 more, not `db`");
}

#[test]
fn ip_addresses_are_verified_as_such() {
    let ca = Authority::new();
    let identity = ca.server(&["127.0.0.1", "::1", "fe80::1"]);
    let server = Server::new(&identity);
    let config = config(TlsMode::VerifyFull, &ca);
    for host in ["127.0.0.1", "::1", "fe80::1%eth0"] {
        greet(&config, host, &server).unwrap();
    }
    let error = greet(&config, "127.0.0.2", &server).unwrap_err();
    assert_tls(&error, "not `127.0.0.2`");
}

#[test]
fn the_server_name_takes_the_place_of_the_host() {
    let ca = Authority::new();
    let identity = ca.server(&["cluster.internal"]);
    let mut config = config(TlsMode::VerifyFull, &ca);
    for host in ["", "/run/db.sock", "@db"] {
        let error = config.build().unwrap().session(host).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(
            error.message().contains("set the tls server name"),
            "{error}"
        );
    }
    config.server_name("cluster.internal");
    for host in ["", "/run/db.sock", "@db", "10.0.0.1", "not a name"] {
        let mut wire = Wire::new(&config, host, &Server::new(&identity));
        wire.greet().unwrap();
        assert_eq!(wire.server.server_name(), Some("cluster.internal"));
    }
    let error = config.server_name("not a name").build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
}

#[test]
fn dates_are_verified_and_shown() {
    let ca = Authority::new();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut expired = server_params(&["db1"]);
    expired.not_after = date_time_ymd(2020, 2, 29);
    let mut future = server_params(&["db1"]);
    future.not_before = date_time_ymd(3000, 1, 1);
    for (params, part) in [
        (expired, "expired on 2020-02-29 00:00:00 UTC"),
        (future, "not valid before 3000-01-01 00:00:00 UTC"),
    ] {
        let identity = ca.issue(params, &key);
        for mode in VERIFYING {
            let error = greet(&config(mode, &ca), "db1", &Server::new(&identity)).unwrap_err();
            assert_tls(&error, part);
        }
        let blind = TlsConfig::new(TlsMode::Require);
        greet(&blind, "db1", &Server::new(&identity)).unwrap();
    }
}

#[test]
fn a_certificate_for_clients_is_no_server() {
    let ca = Authority::new();
    let identity = ca.client("db1");
    let error = greet(
        &config(TlsMode::VerifyFull, &ca),
        "db1",
        &Server::new(&identity),
    )
    .unwrap_err();
    assert_tls(&error, "serverAuth");
}

#[test]
fn an_unknown_issuer_names_the_option() {
    let (ca, other) = (Authority::new(), Authority::new());
    let identity = ca.server(&["db1"]);
    for mode in VERIFYING {
        let error = greet(&config(mode, &other), "db1", &Server::new(&identity)).unwrap_err();
        assert_tls(&error, "set the ca (sslrootcert)");
    }
}

#[test]
fn another_ca_of_the_same_name_is_not_the_one() {
    let (ca, other) = (Authority::named("ca"), Authority::named("ca"));
    let identity = ca.server(&["db1"]);
    for mode in VERIFYING {
        let error = greet(&config(mode, &other), "db1", &Server::new(&identity)).unwrap_err();
        assert_tls(&error, "not signed by the ca of that name");
    }
}

#[test]
fn one_of_several_cas_is_enough() {
    let (ca, other) = (Authority::new(), Authority::new());
    let identity = ca.server(&["db1"]);
    let dir = TempDir::new();
    let mut config = TlsConfig::new(TlsMode::VerifyFull);
    config.ca_file(dir.file("ca.pem", &format!("{}{}", other.pem, ca.pem)));
    greet(&config, "db1", &Server::new(&identity)).unwrap();
}

#[test]
fn a_shared_self_signed_certificate_is_accepted_as_itself_only() {
    let identity = self_signed_ca(server_params(&["cluster"]));
    let mut config = TlsConfig::new(TlsMode::VerifyFull);
    config.ca_pem(&identity.cert_pem);
    let server = Server::new(&identity);
    greet(&config, "cluster", &server).unwrap();
    let error = greet(&config, "elsewhere", &server).unwrap_err();
    assert_tls(&error, "is for `cluster`");

    let imitation = self_signed_ca(server_params(&["cluster"]));
    let error = greet(&config, "cluster", &Server::new(&imitation)).unwrap_err();
    assert_tls(&error, "if it is signed by itself");

    let mut params: CertificateParams = server_params(&["cluster"]);
    params.not_after = date_time_ymd(2020, 1, 1);
    let expired = self_signed_ca(params);
    config.ca_pem(&expired.cert_pem);
    let error = greet(&config, "cluster", &Server::new(&expired)).unwrap_err();
    assert_tls(&error, "expired");
}

#[test]
fn the_systems_roots_trust_no_private_ca() {
    let identity = Authority::new().server(&["db1"]);
    let mut config = TlsConfig::new(TlsMode::VerifyFull);
    match config.ca_file("system").build() {
        Ok(_) => {
            let error = greet(&config, "db1", &Server::new(&identity)).unwrap_err();
            assert_tls(&error, "unknown issuer");
        }
        Err(error) => assert_tls(&error, "the system has no ca certificates"),
    }
}

#[test]
fn options_that_cannot_verify_are_refused() {
    let error = |config: &TlsConfig| {
        let error = config.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        error.message().to_owned()
    };
    assert!(error(&TlsConfig::new(TlsMode::Disable)).contains("`disable`"));
    assert!(error(&TlsConfig::new(TlsMode::VerifyCa)).contains("set sslrootcert to its file"));
    assert!(error(&TlsConfig::new(TlsMode::VerifyFull)).contains("or to `system`"));
    for mode in [TlsMode::Require, TlsMode::VerifyCa] {
        assert!(error(TlsConfig::new(mode).ca_file("system")).contains("use `verify-full`"));
    }
    let broken = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    let error = TlsConfig::new(TlsMode::VerifyFull)
        .ca_pem(broken)
        .build()
        .unwrap_err();
    assert_tls(&error, "number 1");
}
