//! Whether connections are encrypted, and what is tried where that is refused.

use crate::error::Result;
use crate::net::tls::{TlsConfig, TlsConnector, TlsMode};

/// Whether the connections of a pool are encrypted.
#[derive(Debug, Clone)]
pub(crate) enum Encryption {
    /// Never.
    Never,
    /// Where the server refuses plain text (libpq's `allow`).
    WhereDemanded(TlsConnector),
    /// Where the server offers it (libpq's `prefer`).
    WhereOffered(TlsConnector),
    /// Always.
    Always(TlsConnector),
}

impl Encryption {
    /// What the options of TLS ask for.
    ///
    /// # Errors
    ///
    /// Those of [`TlsConfig::build`].
    pub(crate) fn new(config: &TlsConfig) -> Result<Self> {
        Ok(match config.mode() {
            TlsMode::Disable => Encryption::Never,
            TlsMode::Allow => Encryption::WhereDemanded(config.build()?),
            TlsMode::Prefer => Encryption::WhereOffered(config.build()?),
            TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull => {
                Encryption::Always(config.build()?)
            }
        })
    }

    /// How a connection is tried first, and how once more where that is refused. Nobody listens in on a Unix socket, so there
    /// it is encrypted only where it has to be, as in libpq.
    pub(crate) fn ways(&self, is_unix: bool) -> (Encryption, Option<Encryption>) {
        match self {
            Encryption::WhereDemanded(_) | Encryption::WhereOffered(_) if is_unix => {
                (Encryption::Never, None)
            }
            Encryption::WhereDemanded(tls) => {
                (Encryption::Never, Some(Encryption::Always(tls.clone())))
            }
            Encryption::WhereOffered(_) => (self.clone(), Some(Encryption::Never)),
            Encryption::Never | Encryption::Always(_) => (self.clone(), None),
        }
    }

    /// What holds for a further connection to a server that has given one that is, or is not, encrypted.
    pub(crate) fn settled(self, is_encrypted: bool) -> Encryption {
        match self {
            Encryption::WhereOffered(tls) | Encryption::WhereDemanded(tls) if is_encrypted => {
                Encryption::Always(tls)
            }
            Encryption::WhereOffered(_) | Encryption::WhereDemanded(_) => Encryption::Never,
            settled => settled,
        }
    }
}
