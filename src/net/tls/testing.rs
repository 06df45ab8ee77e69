//! A certificate authority, a TLS server in memory, and the wire between it and a session.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, process};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion};

use super::{TlsConfig, TlsMode, TlsRead, TlsSession};
use crate::error::Error;

/// TLS 1.2 alone, and 1.3 alone.
pub(super) const VERSIONS: [&[&SupportedProtocolVersion]; 2] =
    [&[&rustls::version::TLS12], &[&rustls::version::TLS13]];

/// A certificate with its key.
#[derive(Clone)]
pub(super) struct Identity {
    pub(super) cert_pem: String,
    pub(super) key_pem: String,
}

pub(super) struct Authority {
    pub(super) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(super) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        Self::named(&format!("ca {}", COUNT.fetch_add(1, Ordering::Relaxed)))
    }

    pub(super) fn named(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Authority {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    pub(super) fn server(&self, names: &[&str]) -> Identity {
        self.issue(server_params(names), &KeyPair::generate().unwrap())
    }

    pub(super) fn client(&self, name: &str) -> Identity {
        self.client_with(name, &KeyPair::generate().unwrap())
    }

    pub(super) fn client_with(&self, name: &str, key: &KeyPair) -> Identity {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(params, key)
    }

    pub(super) fn issue(&self, params: CertificateParams, key: &KeyPair) -> Identity {
        Identity {
            cert_pem: params.signed_by(key, &self.issuer).unwrap().pem(),
            key_pem: key.serialize_pem(),
        }
    }
}

pub(super) fn server_params(names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

/// What `openssl req -x509 -addext subjectAltName=…` makes: signed by itself and marked as a CA.
pub(super) fn self_signed_ca(mut params: CertificateParams) -> Identity {
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.extended_key_usages.clear();
    let key = KeyPair::generate().unwrap();
    Identity {
        cert_pem: params.self_signed(&key).unwrap().pem(),
        key_pem: key.serialize_pem(),
    }
}

/// How the server in memory behaves.
pub(super) struct Server<'a> {
    pub(super) identity: &'a Identity,
    pub(super) client_ca: Option<&'a Authority>,
    pub(super) versions: &'static [&'static SupportedProtocolVersion],
}

impl<'a> Server<'a> {
    pub(super) fn new(identity: &'a Identity) -> Self {
        Server {
            identity,
            client_ca: None,
            versions: rustls::ALL_VERSIONS,
        }
    }

    pub(super) fn versions(
        mut self,
        versions: &'static [&'static SupportedProtocolVersion],
    ) -> Self {
        self.versions = versions;
        self
    }

    pub(super) fn demands_client_of(mut self, ca: &'a Authority) -> Self {
        self.client_ca = Some(ca);
        self
    }

    fn start(&self) -> ServerConnection {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(self.versions)
            .unwrap();
        let builder = match self.client_ca {
            None => builder.with_no_client_auth(),
            Some(ca) => {
                let mut roots = RootCertStore::empty();
                roots
                    .add(CertificateDer::from_pem_slice(ca.pem.as_bytes()).unwrap())
                    .unwrap();
                builder.with_client_cert_verifier(
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                        .build()
                        .unwrap(),
                )
            }
        };
        let chain = CertificateDer::pem_slice_iter(self.identity.cert_pem.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .unwrap();
        let key = PrivateKeyDer::from_pem_slice(self.identity.key_pem.as_bytes()).unwrap();
        let config = builder.with_single_cert(chain, key).unwrap();
        ServerConnection::new(Arc::new(config)).unwrap()
    }
}

/// One direction of a non-blocking socket.
#[derive(Default)]
pub(super) struct Pipe {
    pub(super) bytes: VecDeque<u8>,
    pub(super) closed: bool,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.bytes.is_empty() && !self.closed {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.bytes.read(buffer)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A session, a server, and the two directions between them.
pub(super) struct Wire {
    pub(super) client: TlsSession,
    pub(super) server: ServerConnection,
    pub(super) to_server: Pipe,
    pub(super) to_client: Pipe,
    pub(super) server_error: Option<rustls::Error>,
    /// What the server has received.
    pub(super) arrived: Vec<u8>,
}

impl Wire {
    pub(super) fn new(config: &TlsConfig, host: &str, server: &Server<'_>) -> Self {
        Wire {
            client: config.build().unwrap().session(host).unwrap(),
            server: server.start(),
            to_server: Pipe::default(),
            to_client: Pipe::default(),
            server_error: None,
            arrived: Vec::new(),
        }
    }

    /// Moves bytes both ways until nothing moves. The client's alert is sent before its error is returned.
    pub(super) fn pump(&mut self) -> Result<(), Error> {
        let mut failed = None;
        loop {
            let mut moved = false;
            while self.client.wants_write() {
                moved |= self.client.write_tls(&mut self.to_server).unwrap() > 0;
            }
            while !self.to_server.bytes.is_empty() {
                moved = true;
                self.server.read_tls(&mut self.to_server).unwrap();
                if let Err(error) = self.server.process_new_packets() {
                    self.server_error = Some(error);
                    self.to_server.bytes.clear();
                }
                // Ends with `WouldBlock`, having taken what there was.
                let _ = self.server.reader().read_to_end(&mut self.arrived);
            }
            while self.server.wants_write() {
                moved |= self.server.write_tls(&mut self.to_client).unwrap() > 0;
            }
            while failed.is_none() && self.client.wants_read() {
                match self.client.read_tls(&mut self.to_client) {
                    Ok(TlsRead::Progress) => moved = true,
                    Ok(TlsRead::WouldBlock | TlsRead::Eof) => break,
                    Err(error) => {
                        failed = Some(error);
                        moved = true;
                    }
                }
            }
            if !moved {
                return failed.map_or(Ok(()), Err);
            }
        }
    }

    /// Shakes hands and sends a word each way.
    pub(super) fn greet(&mut self) -> Result<(), Error> {
        self.pump()?;
        assert!(!self.client.is_handshaking(), "{:?}", self.server_error);
        assert_eq!(self.client.write_plain(b"ping").unwrap(), 4);
        self.pump()?;
        assert_eq!(std::mem::take(&mut self.arrived), b"ping");
        let mut word = [0; 4];
        self.server.writer().write_all(b"pong").unwrap();
        self.pump()?;
        assert_eq!(self.client.read_plain(&mut word).unwrap(), 4);
        assert_eq!(&word, b"pong");
        Ok(())
    }
}

/// The outcome of a handshake and a word each way.
pub(super) fn greet(config: &TlsConfig, host: &str, server: &Server<'_>) -> Result<(), Error> {
    Wire::new(config, host, server).greet()
}

pub(super) fn config(mode: TlsMode, ca: &Authority) -> TlsConfig {
    let mut config = TlsConfig::new(mode);
    config.ca_pem(&ca.pem);
    config
}

/// A directory that is removed when dropped.
pub(super) struct TempDir(PathBuf);

impl TempDir {
    pub(super) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("quorate-tls-{}-{count}", process::id()));
        fs::create_dir(&path).unwrap();
        TempDir(path)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file that only its owner can read.
    pub(super) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
