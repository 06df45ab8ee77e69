//! The options of TLS, as a connection string gives them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::connector::TlsConnector;
use super::pem::Source;
use crate::error::{Error, ErrorKind, Result};

/// Whether a connection is encrypted and what is checked of the peer: libpq's `sslmode`.
///
/// With `Allow` and `Prefer` the server decides, or whoever answers in its place: anyone who can alter the traffic has it go in
/// plain text. They are for PostgreSQL's protocol, in which a server says whether it has TLS; dqlite has no such thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TlsMode {
    /// Plain text.
    Disable,
    /// Plain text; where the server refuses that before it asks who the user is, encrypt as with
    /// [`Prefer`](TlsMode::Prefer).
    Allow,
    /// Encrypt where the server offers it, without verifying its certificate, be there a CA or not; plain text where it does
    /// not, where the handshake fails, and where it refuses the encrypted connection before it asks who the user is.
    Prefer,
    /// Encrypt. Without a CA the peer's certificate is not verified, so that anyone on the path can pose as
    /// the peer. With a CA it is verified as with [`VerifyCa`](TlsMode::VerifyCa), as libpq does.
    Require,
    /// Encrypt, and verify that the peer's certificate was signed by the CA and is within its dates. The name
    /// in it is not compared: any holder of a certificate of that CA can pose as the peer.
    VerifyCa,
    /// Encrypt, verify the chain, and verify that the certificate is for the host that was asked for, or for
    /// [`TlsConfig::server_name`]. The name is looked for among the subject alternative names alone; a common
    /// name is ignored.
    VerifyFull,
}

impl TlsMode {
    /// The name as libpq's `sslmode` writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            TlsMode::Disable => "disable",
            TlsMode::Allow => "allow",
            TlsMode::Prefer => "prefer",
            TlsMode::Require => "require",
            TlsMode::VerifyCa => "verify-ca",
            TlsMode::VerifyFull => "verify-full",
        }
    }

    /// Whether the server decides about it.
    pub(crate) fn is_up_to_server(self) -> bool {
        matches!(self, TlsMode::Allow | TlsMode::Prefer)
    }
}

impl fmt::Display for TlsMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for TlsMode {
    type Err = Error;

    /// Reads libpq's name; anything else is an error of kind [`ErrorKind::Config`].
    fn from_str(name: &str) -> Result<Self> {
        match name {
            "disable" => Ok(TlsMode::Disable),
            "allow" => Ok(TlsMode::Allow),
            "prefer" => Ok(TlsMode::Prefer),
            "require" => Ok(TlsMode::Require),
            "verify-ca" => Ok(TlsMode::VerifyCa),
            "verify-full" => Ok(TlsMode::VerifyFull),
            _ => Err(Error::new(
                ErrorKind::Config,
                format!(
                    "unknown sslmode `{name}`: use `disable`, `allow`, `prefer`, `require`, `verify-ca` or \
                     `verify-full`"
                ),
            )),
        }
    }
}

/// Where the certificates come from that the peer's chain has to end in.
#[derive(Debug, Clone)]
pub(super) enum Roots {
    Unset,
    Pem(Source),
    System,
}

/// The options of TLS. Setting one does no I/O and cannot fail; [`build`](TlsConfig::build) reads and checks.
///
/// Certificates and keys are PEM. A setter called again replaces what was set. `Debug` shows paths and sizes,
/// never the content of a key. Any thread may use it.
#[derive(Debug, Clone)]
pub struct TlsConfig {
    pub(super) mode: TlsMode,
    pub(super) roots: Roots,
    pub(super) cert: Option<Source>,
    pub(super) key: Option<Source>,
    pub(super) server_name: Option<String>,
}

impl TlsConfig {
    /// Options with `mode` and nothing else set.
    pub fn new(mode: TlsMode) -> Self {
        TlsConfig {
            mode,
            roots: Roots::Unset,
            cert: None,
            key: None,
            server_name: None,
        }
    }

    /// The mode that was set.
    pub fn mode(&self) -> TlsMode {
        self.mode
    }

    /// Sets the mode (`sslmode`).
    pub fn set_mode(&mut self, mode: TlsMode) -> &mut Self {
        self.mode = mode;
        self
    }

    /// Sets the file of CA certificates, one or several (`sslrootcert`).
    ///
    /// A certificate in it is trusted as itself too: a peer that presents that very certificate is accepted
    /// within its dates, even if it is marked as a CA, as a self-signed cluster certificate usually is.
    ///
    /// The word `system` alone means the certificates of the system, as in libpq, and like there it goes with
    /// [`TlsMode::VerifyFull`] only; a file of that name is `./system`. They are found by the rules of
    /// rustls-native-certs: `SSL_CERT_FILE` and `SSL_CERT_DIR` replace the system's store.
    pub fn ca_file(&mut self, path: impl Into<PathBuf>) -> &mut Self {
        let path = path.into();
        self.roots = if path.as_os_str() == "system" {
            Roots::System
        } else {
            Roots::Pem(Source::File(path))
        };
        self
    }

    /// Sets the CA certificates, one or several, as PEM text in place of a file.
    pub fn ca_pem(&mut self, pem: impl AsRef<[u8]>) -> &mut Self {
        self.roots = Roots::Pem(Source::bytes(pem));
        self
    }

    /// Sets the file of the client's certificate, followed by any intermediate ones (`sslcert`).
    pub fn client_cert_file(&mut self, path: impl Into<PathBuf>) -> &mut Self {
        self.cert = Some(Source::File(path.into()));
        self
    }

    /// Sets the client's certificate chain as PEM text in place of a file.
    pub fn client_cert_pem(&mut self, pem: impl AsRef<[u8]>) -> &mut Self {
        self.cert = Some(Source::bytes(pem));
        self
    }

    /// Sets the file of the client's private key (`sslkey`): PKCS#8, PKCS#1 or SEC1, not encrypted, of the
    /// kinds RSA (2048 to 8192 bits), ECDSA P-256 and P-384, and Ed25519.
    ///
    /// As in libpq, a file that the group or the world can read is refused, except one that belongs to root
    /// with mode 0640 or less.
    pub fn client_key_file(&mut self, path: impl Into<PathBuf>) -> &mut Self {
        self.key = Some(Source::File(path.into()));
        self
    }

    /// Sets the client's private key as PEM text in place of a file.
    pub fn client_key_pem(&mut self, pem: impl AsRef<[u8]>) -> &mut Self {
        self.key = Some(Source::bytes(pem));
        self
    }

    /// Sets the name, or the IP address, that is sent to the peer (SNI) and looked for in its certificate in
    /// place of the host. A Unix socket needs one, having no host.
    pub fn server_name(&mut self, name: impl Into<String>) -> &mut Self {
        self.server_name = Some(name.into());
        self
    }

    /// The value of `sslrootcert`; `None` where none was set, or PEM text in its place.
    pub(crate) fn ca_path(&self) -> Option<&Path> {
        match &self.roots {
            Roots::Unset => None,
            Roots::Pem(source) => source.path(),
            Roots::System => Some(Path::new("system")),
        }
    }

    /// The value of `sslcert`; `None` as for [`ca_path`](TlsConfig::ca_path).
    pub(crate) fn client_cert_path(&self) -> Option<&Path> {
        self.cert.as_ref().and_then(Source::path)
    }

    /// The value of `sslkey`; `None` as for [`ca_path`](TlsConfig::ca_path).
    pub(crate) fn client_key_path(&self) -> Option<&Path> {
        self.key.as_ref().and_then(Source::path)
    }

    /// The name that stands for the host's.
    pub(crate) fn name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// Reads the files and checks the options together.
    ///
    /// It blocks for as long as reading small local files takes, without a deadline; call it once for a pool,
    /// not once for a connection. A changed file is seen by the next call only.
    ///
    /// # Errors
    /// [`ErrorKind::Config`]: options that contradict each other, one that is missing, or the mode
    /// [`TlsMode::Disable`]. [`ErrorKind::Tls`]: a file that cannot be read, is not what it should be, is open
    /// to others, or holds an encrypted key. The message names the file and the fix; it never holds content.
    pub fn build(&self) -> Result<TlsConnector> {
        TlsConnector::new(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_read_and_written_under_libpqs_names() {
        for mode in [
            TlsMode::Disable,
            TlsMode::Allow,
            TlsMode::Prefer,
            TlsMode::Require,
            TlsMode::VerifyCa,
            TlsMode::VerifyFull,
        ] {
            assert_eq!(mode.to_string().parse::<TlsMode>().unwrap(), mode);
        }
    }

    #[test]
    fn unknown_modes_are_refused() {
        for name in ["", "Require", "verify_full", "on"] {
            let error = name.parse::<TlsMode>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.message().contains("unknown sslmode"), "{error}");
        }
    }

    #[test]
    fn debug_shows_no_key() {
        let mut config = TlsConfig::new(TlsMode::Require);
        config
            .client_cert_file("/etc/app/client.crt")
            .client_key_pem("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----");
        let shown = format!("{config:?} {config:#?}");
        assert!(!shown.contains("c2VjcmV0"), "{shown}");
        assert!(shown.contains("/etc/app/client.crt"), "{shown}");
    }
}
