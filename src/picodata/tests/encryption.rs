//! sslmode `allow` and `prefer`: which way a server is met in, and that a password is sent once.

use super::connecting::user;
use super::*;
use crate::error::{Error, ErrorKind, Outcome};
use crate::net::tls::{TlsConfig, TlsMode};
use crate::picodata::encryption::Encryption;
use basic::wait_for;

use TlsMode::{Allow, Disable, Prefer, Require};

/// Users that may come in any way, over TLS alone, and in plain text alone; and two who may not be let in at all.
fn cluster(options: PostgresOptions) -> PostgresCluster {
    let mut options = options.setting("log_connections", "on");
    for name in ["anyhow", "encrypted", "plain", "barred", "nologin"] {
        options = options.user(name, PASSWORD, Auth::Scram);
    }
    let options = options
        .user("in_clear", PASSWORD, Auth::Password)
        .rule("hostnossl all encrypted all reject")
        .rule("hostssl all plain all reject")
        .rule("host all barred all reject");
    let cluster = PostgresCluster::start(&options);
    cluster.sql("ALTER ROLE nologin NOLOGIN");
    cluster
}

fn open_as(cluster: &PostgresCluster, mode: TlsMode, mut user: ConnectOptions) -> Result<Testing> {
    user.encryption = Encryption::new(&TlsConfig::new(mode)).unwrap();
    open_with(cluster, user)
}

/// Whether the session is encrypted, as its server sees it.
fn is_encrypted(session: &mut Testing) -> bool {
    let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    session.value(sql, ()).unwrap() == Value::Bool(true)
}

fn refused(result: Result<Testing>) -> Error {
    let error = result.err().unwrap();
    println!("{error}");
    assert_eq!(error.kind(), ErrorKind::Authentication, "{error}");
    assert_eq!(error.outcome(), Outcome::NotSent);
    error
}

#[test]
fn each_server_is_met_as_it_wants() {
    let tls = cluster(PostgresOptions::new().tls());
    let no_tls = cluster(PostgresOptions::new());
    for (server, mode, name, expected) in [
        (&tls, Prefer, "anyhow", true),
        (&tls, Prefer, "encrypted", true),
        (&tls, Prefer, "plain", false),
        (&tls, Allow, "anyhow", false),
        (&tls, Allow, "encrypted", true),
        (&tls, Allow, "plain", false),
        (&no_tls, Prefer, "anyhow", false),
        (&no_tls, Prefer, "plain", false),
        (&no_tls, Allow, "anyhow", false),
    ] {
        let mut session = open_as(server, mode, user(name, PASSWORD)).unwrap();
        assert_eq!(is_encrypted(&mut session), expected, "{mode} for {name}");
        // The request to cancel goes as the session does.
        let call = Call::until(Deadline::after(Duration::from_millis(100)));
        let none = ParamsRef::Positional(&[]);
        let slow = session.0.query("SELECT pg_sleep(60)", none, &call);
        assert_eq!(slow.unwrap_err().kind(), ErrorKind::Timeout);
    }
    for mode in [Allow, Prefer] {
        let error = refused(open_as(&tls, mode, user("barred", PASSWORD)));
        assert_eq!(error.sqlstate(), Some("28000"));
        let text = error.message();
        assert!(text.contains("over tls: pg_hba.conf rejects"), "{text}");
        assert!(
            text.contains("in plain text: pg_hba.conf rejects"),
            "{text}"
        );
        let error = refused(open_as(&no_tls, mode, user("encrypted", PASSWORD)));
        let has_tried = error.message().contains("over tls: the server offers no");
        assert_eq!(has_tried, mode == Allow, "{error}");
    }
    let error = refused(open_as(&tls, Disable, user("encrypted", PASSWORD)));
    assert!(!error.message().contains("over tls"), "{error}");
    let error = refused(open_as(&tls, Require, user("plain", PASSWORD)));
    assert!(!error.message().contains("plain text"), "{error}");
}

#[test]
fn a_password_is_sent_once_whatever_the_mode() {
    let tls = cluster(PostgresOptions::new().tls());
    let no_tls = cluster(PostgresOptions::new());
    let mut failures = 0;
    for (server, name) in [
        (&tls, "anyhow"),
        (&tls, "encrypted"),
        (&tls, "plain"),
        (&no_tls, "anyhow"),
    ] {
        let told = format!("password authentication failed for user \"{name}\"");
        let count = || server.log().matches(&told).count();
        for (tried, mode) in [Allow, Prefer].into_iter().enumerate() {
            assert_eq!(count(), tried);
            let error = refused(open_as(server, mode, user(name, "wrong")));
            assert_eq!(error.sqlstate(), Some("28P01"));
            wait_for("the failure in the log", postgres::DEADLINE, || {
                (count() > tried).then_some(())
            });
            failures += 1;
        }
        assert_eq!(count(), 2);
    }
    assert_eq!(failures, 8);

    // Refused with the code of one that may not come in this way, but behind its password.
    let proven = "connection authenticated: identity=\"nologin\"";
    for (tried, mode) in [Allow, Prefer, Require].into_iter().enumerate() {
        let error = refused(open_as(&tls, mode, user("nologin", PASSWORD)));
        assert_eq!(error.sqlstate(), Some("28000"));
        assert!(!error.message().contains("over tls"), "{error}");
        assert!(!error.message().contains("plain text"), "{error}");
        assert_eq!(tls.log().matches(proven).count(), tried + 1);
    }
}

#[test]
fn a_password_in_clear_text_goes_over_tls_alone() {
    let tls = cluster(PostgresOptions::new().tls());
    let no_tls = cluster(PostgresOptions::new());
    let in_clear = || user("in_clear", PASSWORD);
    let mut session = open_as(&tls, Prefer, in_clear()).unwrap();
    assert!(is_encrypted(&mut session));
    for (server, mode) in [(&tls, Allow), (&no_tls, Prefer), (&no_tls, Allow)] {
        let error = refused(open_as(server, mode, in_clear()));
        assert!(error.message().contains("clear text"), "{error}");
        assert!(!error.message().contains("over tls:"), "{error}");
        let mut allowed = in_clear();
        allowed.allow_cleartext = true;
        let mut session = open_as(server, mode, allowed).unwrap();
        assert!(!is_encrypted(&mut session));
    }
}

/// Nobody listens in on a Unix socket.
#[test]
fn a_unix_socket_is_encrypted_where_it_has_to_be_alone() {
    for (mode, is_plain) in [
        (Disable, true),
        (Allow, true),
        (Prefer, true),
        (Require, false),
    ] {
        let encryption = Encryption::new(&TlsConfig::new(mode)).unwrap();
        let (first, second) = encryption.ways(true);
        assert_eq!(matches!(first, Encryption::Never), is_plain, "{mode}");
        assert!(second.is_none(), "{mode}");
    }
}

/// A certificate that nobody vouches for is taken; a handshake that fails is not the end.
#[test]
fn no_certificate_is_verified() {
    let expired = cluster(PostgresOptions::new().expired_tls());
    let other = cluster(PostgresOptions::new().tls());
    let mut config = TlsConfig::new(Prefer);
    config.ca_file(other.ca_file());
    let mut options = user("anyhow", PASSWORD);
    options.encryption = Encryption::new(&config).unwrap();
    let mut session = open_with(&expired, options.clone()).unwrap();
    assert!(is_encrypted(&mut session));
    // With that CA it is what `verify-ca` is.
    config.set_mode(Require);
    options.encryption = Encryption::new(&config).unwrap();
    let error = open_with(&expired, options).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Tls);

    let old = cluster(
        PostgresOptions::new()
            .tls()
            .setting("ssl_min_protocol_version", "TLSv1")
            .setting("ssl_max_protocol_version", "TLSv1.1"),
    );
    let mut session = open_as(&old, Prefer, user("anyhow", PASSWORD)).unwrap();
    assert!(!is_encrypted(&mut session));
    let error = open_as(&old, Prefer, user("encrypted", PASSWORD));
    let error = error.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Tls);
    assert!(
        error
            .message()
            .contains("in plain text: pg_hba.conf rejects"),
        "{error}"
    );
}
