//! From options to sessions: everything that is done once for a pool.

use std::fmt;
use std::net::Ipv6Addr;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, InconsistentKeys, RootCertStore};

use super::config::{Roots, TlsConfig, TlsMode};
use super::pem::Source;
use super::session::TlsSession;
use super::verify::{Trust, Verifier};
use crate::error::{Error, ErrorKind, Result};

/// Makes the TLS session of each connection. A clone is cheap and shares everything; any thread may use it.
#[derive(Clone)]
pub struct TlsConnector {
    config: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
    has_client_cert: bool,
}

impl TlsConnector {
    pub(super) fn new(options: &TlsConfig) -> Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let verifier = Verifier {
            trust: trust(options)?,
            check_name: options.mode == TlsMode::VerifyFull,
            algorithms: provider.signature_verification_algorithms,
        };
        let mut config = client_config(options, provider, verifier)?;
        // Each connection verifies the peer afresh. Connections of a pool live long, and a server that asks for
        // client certificates without a session id context refuses a resumed session.
        config.resumption = Resumption::disabled();
        let server_name = options
            .server_name
            .as_deref()
            .map(|name| parse_name(name, "the tls server name"))
            .transpose()?;
        Ok(TlsConnector {
            config: Arc::new(config),
            server_name,
            has_client_cert: options.cert.is_some(),
        })
    }

    /// Begins a session with the peer at `host`: a DNS name, or an IP address without brackets.
    ///
    /// It does no I/O; the first message waits to be written. The host is sent as SNI if it is a DNS name and
    /// verified in [`TlsMode::VerifyFull`], unless [`TlsConfig::server_name`] was set, which takes its place.
    /// For a Unix socket, `host` is empty or the socket's path or `@name`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`]: a Unix socket without a server name, or a host that is no valid DNS name.
    pub fn session(&self, host: &str) -> Result<TlsSession> {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None if host.is_empty() || host.starts_with(['/', '@']) => {
                return Err(Error::new(
                    ErrorKind::Config,
                    "tls over a unix socket has no host to name: set the tls server name",
                ));
            }
            None => parse_name(without_zone(host), "the host")?,
        };
        let connection =
            ClientConnection::new(Arc::clone(&self.config), name.clone()).map_err(|error| {
                Error::new(ErrorKind::Tls, format!("cannot begin a session: {error}"))
                    .with_source(error)
            })?;
        Ok(TlsSession::new(connection, name, self.has_client_cert))
    }
}

impl fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConnector")
            .field("server_name", &self.server_name)
            .field("has_client_cert", &self.has_client_cert)
            .finish_non_exhaustive()
    }
}

/// What the peer's chain has to end in, or nothing where the mode verifies nothing.
fn trust(options: &TlsConfig) -> Result<Option<Trust>> {
    let mode = options.mode;
    match (&options.roots, mode) {
        (_, TlsMode::Disable) => Err(Error::new(
            ErrorKind::Config,
            "sslmode is `disable`: there is no tls session to make",
        )),
        (Roots::Unset, TlsMode::Require) => Ok(None),
        // Plain text would be taken instead of what it refuses.
        (Roots::Unset | Roots::Pem(_), TlsMode::Allow | TlsMode::Prefer) => Ok(None),
        (Roots::Unset, TlsMode::VerifyCa | TlsMode::VerifyFull) => Err(Error::new(
            ErrorKind::Config,
            format!(
                "sslmode `{mode}` needs a ca to verify with: set sslrootcert to its file{}",
                if mode == TlsMode::VerifyFull {
                    ", or to `system` for the certificates of the system"
                } else {
                    ""
                }
            ),
        )),
        (Roots::System, TlsMode::VerifyFull) => system_roots().map(Some),
        (Roots::System, _) => Err(Error::new(
            ErrorKind::Config,
            format!(
                "sslmode `{mode}` is too weak for sslrootcert=system, because anyone can get a certificate \
                 from a public ca: use `verify-full`"
            ),
        )),
        (Roots::Pem(source), _) => given_roots(source).map(Some),
    }
}

fn given_roots(source: &Source) -> Result<Trust> {
    let own = source.certificates("ca")?;
    let mut roots = RootCertStore::empty();
    for (index, cert) in own.iter().enumerate() {
        roots.add(cert.clone()).map_err(|error| {
            let problem = format!("has a broken certificate (number {}): {error}", index + 1);
            source.error("ca", problem).with_source(error)
        })?;
    }
    Ok(Trust {
        roots: Arc::new(roots),
        own,
    })
}

fn system_roots() -> Result<Trust> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let error = Error::new(
            ErrorKind::Tls,
            "the system has no ca certificates: install them (ca-certificates on Debian), or set \
             sslrootcert to a file",
        );
        return Err(match found.errors.into_iter().next() {
            Some(cause) => error.with_source(cause),
            None => error,
        });
    }
    Ok(Trust {
        roots: Arc::new(roots),
        own: Vec::new(),
    })
}

fn client_config(
    options: &TlsConfig,
    provider: Arc<CryptoProvider>,
    verifier: Verifier,
) -> Result<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let (cert, key) = match (&options.cert, &options.key) {
        (None, None) => return Ok(builder.with_no_client_auth()),
        (Some(_), None) => {
            return Err(Error::new(
                ErrorKind::Config,
                "a client certificate needs its private key: set sslkey",
            ));
        }
        (None, Some(_)) => {
            return Err(Error::new(
                ErrorKind::Config,
                "a client key needs its certificate: set sslcert",
            ));
        }
        (Some(cert), Some(key)) => (cert, key),
    };
    let chain = cert.certificates("client certificate")?;
    builder
        .with_client_auth_cert(chain, key.private_key()?)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => key.error(
                "client key",
                "does not belong to the first client certificate: give the pair that was issued together",
            ),
            rustls::Error::InvalidCertificate(_) => cert
                .error("client certificate", "is not a readable x.509 certificate")
                .with_source(error),
            _ => key.error(
                "client key",
                "is of no supported kind: use rsa (2048 to 8192 bits), ecdsa p-256 or p-384, or ed25519",
            ),
        })
}

fn parse_name(name: &str, what: &str) -> Result<ServerName<'static>> {
    ServerName::try_from(name)
        .map(|name| name.to_owned())
        .map_err(|_| {
            Error::new(
                ErrorKind::Config,
                format!("{what} `{name}` is neither a dns name nor an ip address"),
            )
        })
}

/// A zone (`fe80::1%eth0`) has a meaning on this machine alone; a certificate cannot name it.
fn without_zone(host: &str) -> &str {
    match host.split_once('%') {
        Some((address, _)) if address.parse::<Ipv6Addr>().is_ok() => address,
        _ => host,
    }
}
