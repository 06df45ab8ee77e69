//! From rustls's errors to errors that name the fix.

use chrono::{DateTime, Utc};
use rustls::pki_types::{ServerName, UnixTime};
use rustls::{AlertDescription, CertificateError, PeerIncompatible};

use crate::error::{Error, ErrorKind};

/// The names of a certificate that a message shows; a public one may have hundreds.
const MAX_NAMES: usize = 8;

/// Says why the session failed: `name` is the peer's, `has_client_cert` whether the client has one to show.
pub(super) fn failure(
    error: rustls::Error,
    name: &ServerName<'_>,
    has_client_cert: bool,
    handshaking: bool,
) -> Error {
    let message = match &error {
        rustls::Error::InvalidCertificate(problem) => certificate(problem, name),
        rustls::Error::AlertReceived(alert) => received(*alert, name, has_client_cert),
        rustls::Error::InvalidMessage(_) | rustls::Error::InappropriateMessage { .. }
            if handshaking =>
        {
            format!(
                "the peer does not speak tls on this port: turn tls on there, or off here ({error})"
            )
        }
        rustls::Error::PeerIncompatible(problem) => incompatible(problem),
        rustls::Error::DecryptError => {
            "what was received was altered or damaged on the way: the record fails its check"
                .to_owned()
        }
        _ => format!("the peer breaks the tls protocol: {error}"),
    };
    Error::new(ErrorKind::Tls, message).with_source(error)
}

fn certificate(problem: &CertificateError, name: &ServerName<'_>) -> String {
    let name = name.to_str();
    match problem {
        CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => format!(
            "the peer's certificate has no subject alternative name, so it cannot be for `{name}`: issue it \
             with one, or use sslmode `verify-ca`"
        ),
        CertificateError::NotValidForNameContext { presented, .. } => format!(
            "the peer's certificate is for {}, not `{name}`: set the tls server name to one of its names, or \
             connect by it",
            names(presented)
        ),
        CertificateError::NotValidForName => format!(
            "the peer's certificate is not for `{name}`: set the tls server name to one of its names"
        ),
        CertificateError::UnknownIssuer => {
            "the peer's certificate has an unknown issuer: set the ca (sslrootcert) to the certificate that \
             signed it, and have the peer send its intermediate certificates"
                .to_owned()
        }
        CertificateError::BadSignature => {
            "the peer's certificate was not signed by the ca of that name: set the ca (sslrootcert) to the \
             certificate that signed it"
                .to_owned()
        }
        CertificateError::ExpiredContext { not_after, .. } => format!(
            "the peer's certificate expired on {}: renew it, or correct this machine's clock",
            date(*not_after)
        ),
        CertificateError::Expired => {
            "the peer's certificate has expired: renew it, or correct this machine's clock".to_owned()
        }
        CertificateError::NotValidYetContext { not_before, .. } => format!(
            "the peer's certificate is not valid before {}: correct this machine's clock, or the peer's when \
             it issues",
            date(*not_before)
        ),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "the peer's certificate is not for servers: issue it with the extended key usage serverAuth"
                .to_owned()
        }
        CertificateError::Other(cause) => format!(
            "the peer's certificate is refused ({cause}): if it is signed by itself, set the ca (sslrootcert) \
             to it"
        ),
        _ => format!("the peer's certificate is refused: {problem}"),
    }
}

fn received(alert: AlertDescription, name: &ServerName<'_>, has_client_cert: bool) -> String {
    match alert {
        AlertDescription::CertificateRequired => demand(),
        AlertDescription::UnknownCA => {
            "the peer does not know the ca of the client certificate: have one signed by a ca that it knows"
                .to_owned()
        }
        AlertDescription::CertificateExpired => {
            "the peer refuses the client certificate, because it has expired: renew it".to_owned()
        }
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::CertificateRevoked
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::AccessDenied
        | AlertDescription::DecryptError
            if has_client_cert =>
        {
            format!("the peer refuses the client certificate (alert {alert:?})")
        }
        // TLS 1.2 has no alert of its own for a certificate that is missing.
        AlertDescription::BadCertificate => demand(),
        AlertDescription::HandshakeFailure if !has_client_cert => {
            "the peer refuses the handshake: it accepts none of the cipher suites, or demands a client \
             certificate (set sslcert and sslkey)"
                .to_owned()
        }
        AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => {
            "the peer accepts none of the cipher suites".to_owned()
        }
        AlertDescription::ProtocolVersion => {
            "the peer accepts neither tls 1.2 nor 1.3: older versions are not offered".to_owned()
        }
        AlertDescription::UnrecognisedName => format!(
            "the peer does not serve the name `{}`: set the tls server name",
            name.to_str()
        ),
        _ => format!("the peer ends the session with the alert {alert:?}"),
    }
}

fn demand() -> String {
    "the peer demands a client certificate: set sslcert and sslkey".to_owned()
}

fn incompatible(problem: &PeerIncompatible) -> String {
    match problem {
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig => {
            "the peer offers neither tls 1.2 nor 1.3: older versions are not accepted".to_owned()
        }
        _ => format!("the peer and this library share no parameters: {problem:?}"),
    }
}

/// The certificate's names, without the kinds that webpki puts around them (`DnsName("db1")`).
fn names(presented: &[String]) -> String {
    let bare = |name: &String| {
        let inner = name
            .split_once('(')
            .and_then(|(_, rest)| rest.strip_suffix(')'))
            .unwrap_or(name);
        format!("`{}`", inner.trim_matches('"').escape_debug())
    };
    let mut list: Vec<_> = presented.iter().take(MAX_NAMES).map(bare).collect();
    if presented.len() > MAX_NAMES {
        list.push(format!("{} more", presented.len() - MAX_NAMES));
    }
    list.join(", ")
}

fn date(time: UnixTime) -> String {
    i64::try_from(time.as_secs())
        .ok()
        .and_then(|seconds| DateTime::<Utc>::from_timestamp(seconds, 0))
        .map_or_else(
            || format!("second {} of the unix clock", time.as_secs()),
            |time| time.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
        )
}
