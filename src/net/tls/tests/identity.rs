//! The client's certificate and key.

use rcgen::{
    KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivatePkcs1KeyDer, PrivatePkcs8KeyDer};

use crate::error::ErrorKind;
use crate::net::tls::testing::{
    Authority, Identity, Server, TempDir, VERSIONS, Wire, config, greet,
};
use crate::net::tls::{TlsConfig, TlsMode};

/// Made for these tests; it protects nothing.
const RSA_PKCS1: &str = include_str!("../testdata/rsa.pkcs1.pem");

fn with_client(ca: &Authority, client: &Identity) -> TlsConfig {
    let mut config = config(TlsMode::VerifyFull, ca);
    config
        .client_cert_pem(&client.cert_pem)
        .client_key_pem(&client.key_pem);
    config
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = base64(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut word = [0; 4];
        word[1..=chunk.len()].copy_from_slice(chunk);
        let word = u32::from_be_bytes(word);
        for place in 0..4 {
            if place <= chunk.len() {
                text.push(DIGITS[(word >> (18 - 6 * place)) as usize & 63] as char);
            } else {
                text.push('=');
            }
        }
    }
    text
}

/// PKCS#8 around a PKCS#1 key of 2048 bits: both lengths take two bytes.
fn pkcs8_of_rsa(pkcs1: &[u8]) -> Vec<u8> {
    let octets = [
        &[0x04, 0x82][..],
        &u16::try_from(pkcs1.len()).unwrap().to_be_bytes(),
        pkcs1,
    ]
    .concat();
    // version 0, then the algorithm rsaEncryption (1.2.840.113549.1.1.1) with the parameter NULL
    let head = b"\x02\x01\x00\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
    let body = [&head[..], &octets].concat();
    [
        &[0x30, 0x82][..],
        &u16::try_from(body.len()).unwrap().to_be_bytes(),
        &body,
    ]
    .concat()
}

/// The ECPrivateKey inside ring's PKCS#8 of a P-256 key, behind 29 bytes of header.
fn sec1_of_p256(pkcs8: &[u8]) -> &[u8] {
    let sec1 = &pkcs8[29..];
    assert_eq!(sec1[0], 0x30);
    assert_eq!(usize::from(sec1[1]), sec1.len() - 2);
    sec1
}

#[test]
fn every_kind_of_key_is_accepted() {
    let ca = Authority::new();
    let identity = ca.server(&["db1"]);
    let server = Server::new(&identity).demands_client_of(&ca);

    let rsa = PrivatePkcs1KeyDer::from_pem_slice(RSA_PKCS1.as_bytes()).unwrap();
    let rsa_pkcs8 = pkcs8_of_rsa(rsa.secret_pkcs1_der());
    let rsa_pair = KeyPair::from_pkcs8_der_and_sign_algo(
        &PrivatePkcs8KeyDer::from(rsa_pkcs8.clone()),
        &PKCS_RSA_SHA256,
    )
    .unwrap();
    let p256 = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let ed25519 = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let sec1 = pem("EC PRIVATE KEY", sec1_of_p256(p256.serialized_der()));
    let parameters = pem("EC PARAMETERS", b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07");
    let cases = [
        ("rsa pkcs#1", &rsa_pair, RSA_PKCS1.to_owned()),
        ("rsa pkcs#8", &rsa_pair, pem("PRIVATE KEY", &rsa_pkcs8)),
        ("p-256 sec1", &p256, sec1.clone()),
        ("p-256 sec1 with parameters", &p256, parameters + &sec1),
        ("p-256 pkcs#8", &p256, p256.serialize_pem()),
        ("p-384 pkcs#8", &p384, p384.serialize_pem()),
        ("ed25519 pkcs#8", &ed25519, ed25519.serialize_pem()),
    ];
    for (case, pair, key_pem) in cases {
        let mut client = ca.client_with("app", pair);
        client.key_pem = key_pem;
        let result = greet(&with_client(&ca, &client), "db1", &server);
        assert!(result.is_ok(), "{case}: {result:?}");
    }
}

#[test]
fn files_serve_as_well_as_memory() {
    let ca = Authority::new();
    let identity = ca.server(&["db1"]);
    let client = ca.client("app");
    let dir = TempDir::new();
    let mut config = TlsConfig::new(TlsMode::VerifyFull);
    config
        .ca_file(dir.file("ca.crt", &ca.pem))
        .client_cert_file(dir.file("client.crt", &client.cert_pem))
        .client_key_file(dir.file("client.key", &client.key_pem));
    let server = Server::new(&identity).demands_client_of(&ca);
    let mut wire = Wire::new(&config, "db1", &server);
    wire.greet().unwrap();
    assert_eq!(wire.server.peer_certificates().unwrap().len(), 1);
}

#[test]
fn a_missing_client_certificate_is_named_with_the_options() {
    let ca = Authority::new();
    let identity = ca.server(&["db1"]);
    for versions in VERSIONS {
        let server = Server::new(&identity)
            .demands_client_of(&ca)
            .versions(versions);
        let error = greet(&config(TlsMode::VerifyFull, &ca), "db1", &server).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tls);
        assert!(
            error.message().contains("set sslcert and sslkey"),
            "{error}"
        );
    }
}

#[test]
fn a_client_certificate_of_an_unknown_ca_is_named() {
    let ca = Authority::named("ca");
    let identity = ca.server(&["db1"]);
    let pairs = [Authority::new(), Authority::named("ca")]
        .into_iter()
        .flat_map(|other| VERSIONS.map(|versions| (other.client("app"), versions)));
    for (client, versions) in pairs {
        let server = Server::new(&identity)
            .demands_client_of(&ca)
            .versions(versions);
        let error = greet(&with_client(&ca, &client), "db1", &server).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tls);
        assert!(error.message().contains("client certificate"), "{error}");
        assert!(!error.message().contains("set sslcert"), "{error}");
    }
}

#[test]
fn half_a_pair_or_the_wrong_half_is_refused() {
    let ca = Authority::new();
    let (one, two) = (ca.client("one"), ca.client("two"));
    let failed = |config: &TlsConfig, kind, part: &str| {
        let error = config.build().unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().contains(part), "{error}");
        let secret = one.key_pem.lines().nth(1).unwrap();
        assert!(!format!("{error} {error:?}").contains(secret));
    };
    let mut config = config(TlsMode::VerifyFull, &ca);
    failed(
        config.clone().client_cert_pem(&one.cert_pem),
        ErrorKind::Config,
        "set sslkey",
    );
    failed(
        config.clone().client_key_pem(&one.key_pem),
        ErrorKind::Config,
        "set sslcert",
    );
    config
        .client_cert_pem(&two.cert_pem)
        .client_key_pem(&one.key_pem);
    failed(&config, ErrorKind::Tls, "does not belong");
    let broken = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    failed(
        config.clone().client_cert_pem(broken),
        ErrorKind::Tls,
        "not a readable x.509",
    );
    let unknown = pem("PRIVATE KEY", b"\x30\x00");
    failed(
        config.client_key_pem(unknown),
        ErrorKind::Tls,
        "no supported kind",
    );
}

#[test]
fn nothing_shown_holds_a_key() {
    let ca = Authority::new();
    let client = ca.client("app");
    let config = with_client(&ca, &client);
    let connector = config.build().unwrap();
    let session = connector.session("db1").unwrap();
    let shown = format!("{config:#?} {connector:#?} {session:#?}");
    for line in client.key_pem.lines() {
        assert!(!shown.contains(line), "{shown}");
    }
    assert!(shown.len() < 2_000, "{shown}");
}
