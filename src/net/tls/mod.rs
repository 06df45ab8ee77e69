//! TLS for both databases, on rustls with the ring provider.
//!
//! [`TlsConfig`] holds the options, under libpq's names; [`TlsConfig::build`] reads the files and gives a
//! [`TlsConnector`], which is kept for the life of a pool; [`TlsConnector::session`] gives one [`TlsSession`]
//! for each connection. A session does no I/O of its own: whoever owns the non-blocking socket moves the bytes,
//! so the deadline and the cancel of a call hold during the handshake too.
//!
//! The provider is passed explicitly and nothing is installed for the process: a program that links this
//! library keeps its own rustls settings.

mod config;
mod connector;
mod failure;
mod pem;
mod session;
mod verify;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use config::{TlsConfig, TlsMode};
pub(crate) use connector::TlsConnector;
pub(crate) use session::{TlsRead, TlsSession};
