//! Certificates and keys from files or memory.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::{Error, ErrorKind, Result};

/// The largest file that is read. The bundle of a whole system is a quarter of a megabyte.
const MAX_FILE: u64 = 16 << 20;

/// PEM text and where it came from.
#[derive(Clone)]
pub(super) enum Source {
    File(PathBuf),
    Bytes(Arc<[u8]>),
}

impl Source {
    pub(super) fn bytes(pem: impl AsRef<[u8]>) -> Self {
        Source::Bytes(pem.as_ref().into())
    }

    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Source::File(path) => Some(path),
            Source::Bytes(_) => None,
        }
    }

    /// Reads the certificates, at least one. `what` names them in errors.
    pub(super) fn certificates(&self, what: &str) -> Result<Vec<CertificateDer<'static>>> {
        let pem = self.read(what, |_| Ok(()))?;
        let certs = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| self.broken(what))?;
        if certs.is_empty() {
            return Err(self.error(
                what,
                "holds no `BEGIN CERTIFICATE` section: give a certificate in PEM \
                 (`openssl x509 -inform der` converts DER)",
            ));
        }
        Ok(certs)
    }

    /// Reads the first private key.
    pub(super) fn private_key(&self) -> Result<PrivateKeyDer<'static>> {
        let what = "client key";
        let pem = self.read(what, check_access)?;
        if is_encrypted(&pem) {
            return Err(self.error(
                what,
                "is encrypted, which is not supported: store it decrypted \
                 (`openssl pkey -in <key> -out <new key>`, then `chmod 600 <new key>`)",
            ));
        }
        PrivateKeyDer::from_pem_slice(&pem).map_err(|error| match error {
            rustls::pki_types::pem::Error::NoItemsFound => self.error(
                what,
                "holds no private key: give one in PEM (PKCS#8, PKCS#1 or SEC1)",
            ),
            _ => self.broken(what),
        })
    }

    /// An error about this source. `problem` must not hold any of its content.
    pub(super) fn error(&self, what: &str, problem: impl fmt::Display) -> Error {
        let place = match self {
            Source::File(path) => format!("{what} file `{}`", path.display()),
            Source::Bytes(_) => what.to_owned(),
        };
        Error::new(ErrorKind::Tls, format!("{place} {problem}"))
    }

    /// The parser's own error is dropped, because it quotes the text it could not read, which may be the key.
    fn broken(&self, what: &str) -> Error {
        self.error(
            what,
            "is broken PEM: check that no line break and no end line was lost",
        )
    }

    fn read(&self, what: &str, check: impl Fn(&File) -> Result<(), String>) -> Result<Arc<[u8]>> {
        match self {
            Source::Bytes(bytes) => Ok(Arc::clone(bytes)),
            Source::File(path) => {
                let file = open(path).map_err(|error| {
                    self.error(what, format_args!("cannot be opened: {error}"))
                        .with_source(error)
                })?;
                check_regular(&file)
                    .and_then(|()| check(&file))
                    .map_err(|problem| self.error(what, problem))?;
                let mut pem = Vec::new();
                file.take(MAX_FILE).read_to_end(&mut pem).map_err(|error| {
                    self.error(what, format_args!("cannot be read: {error}"))
                        .with_source(error)
                })?;
                Ok(pem.into())
            }
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File(path) => f.debug_tuple("File").field(path).finish(),
            Source::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
        }
    }
}

/// Opens without blocking, so that a named pipe is refused below and not waited for.
fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits() as i32)
        .open(path)
}

fn check_regular(file: &File) -> Result<(), String> {
    let metadata = file
        .metadata()
        .map_err(|error| format!("cannot be examined: {error}"))?;
    if !metadata.is_file() {
        return Err("is not a regular file".to_owned());
    }
    if metadata.len() > MAX_FILE {
        return Err(format!("is larger than {MAX_FILE} bytes"));
    }
    Ok(())
}

fn check_access(file: &File) -> Result<(), String> {
    let metadata = file
        .metadata()
        .map_err(|error| format!("cannot be examined: {error}"))?;
    if is_private(metadata.mode(), metadata.uid()) {
        return Ok(());
    }
    Err(format!(
        "is open to group or world (mode {:04o}): run `chmod 600` on it \
         (0640 is allowed where root owns it)",
        metadata.mode() & 0o7777
    ))
}

/// libpq's rule (`initialize_SSL` in fe-secure-openssl.c): nothing for group and world, but a file of root's
/// may be readable by the group, which is how Debian's ssl-cert group works.
fn is_private(mode: u32, uid: u32) -> bool {
    let forbidden = if uid == 0 { 0o037 } else { 0o077 };
    mode & forbidden == 0
}

/// Both forms: PKCS#8's own section, and the header that OpenSSL's traditional format puts inside one.
fn is_encrypted(pem: &[u8]) -> bool {
    let contains = |needle: &[u8]| pem.windows(needle.len()).any(|window| window == needle);
    contains(b"-----BEGIN ENCRYPTED PRIVATE KEY-----") || contains(b"Proc-Type: 4,ENCRYPTED")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::net::tls::testing::{Authority, TempDir};

    #[test]
    fn private_follows_libpqs_table() {
        let table = [
            (0o600, 1000, true),
            (0o400, 1000, true),
            (0o640, 1000, false),
            (0o604, 1000, false),
            (0o610, 1000, false),
            (0o600, 0, true),
            (0o640, 0, true),
            (0o660, 0, false),
            (0o650, 0, false),
            (0o644, 0, false),
        ];
        for (mode, uid, expected) in table {
            assert_eq!(is_private(mode, uid), expected, "mode {mode:o} uid {uid}");
        }
    }

    #[test]
    fn a_key_file_open_to_others_is_refused_and_the_fix_is_named() {
        let dir = TempDir::new();
        let path = dir.file("client.key", &Authority::new().client("app").key_pem);
        let source = Source::File(path.clone());

        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = source.private_key().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tls);
        assert!(
            error.message().contains("chmod 600") && error.message().contains("0644"),
            "{error}"
        );

        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        source.private_key().unwrap();
    }

    #[test]
    fn what_is_not_a_regular_file_is_refused_without_waiting() {
        let dir = TempDir::new();
        let fifo = dir.path("fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        for path in [fifo, dir.path("."), PathBuf::from("/dev/zero")] {
            let error = Source::File(path).certificates("ca").unwrap_err();
            assert!(error.message().contains("not a regular file"), "{error}");
        }
        let error = Source::File(dir.path("absent"))
            .certificates("ca")
            .unwrap_err();
        assert!(error.message().contains("absent` cannot be opened"));
    }

    #[test]
    fn encrypted_keys_are_named_as_such() {
        let traditional = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\
            DEK-Info: AES-128-CBC,00\n\nc2VjcmV0\n-----END RSA PRIVATE KEY-----\n";
        let pkcs8 =
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nc2VjcmV0\n-----END ENCRYPTED PRIVATE KEY-----";
        for pem in [traditional, pkcs8] {
            let error = Source::bytes(pem).private_key().unwrap_err();
            assert!(
                error.message().contains("is encrypted") && error.message().contains("chmod 600"),
                "{error}"
            );
        }
    }

    #[test]
    fn errors_about_a_broken_key_do_not_quote_it() {
        let broken = [
            "-----BEGIN PRIVATE KEY-----c2VjcmV0-----END PRIVATE KEY-----",
            "-----BEGIN PRIVATE KEY-----\nc2VjcmV0",
            "-----BEGIN PRIVATE KEY-----\nc2VjcmV0!!!!\n-----END PRIVATE KEY-----",
            "-----BEGIN c2VjcmV0",
            "c2VjcmV0",
            "",
        ];
        for pem in broken {
            let error = Source::bytes(pem).private_key().unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("c2VjcmV0"), "{shown}");
            assert!(!shown.contains("115, 101"), "{shown}");
        }
    }

    #[test]
    fn several_certificates_are_read_and_other_sections_skipped() {
        let (one, two) = (Authority::new(), Authority::new());
        let key = one.client("app").key_pem;
        let pem = format!("# comment\r\n{}{key}{}", one.pem, two.pem).replace('\n', "\r\n");
        assert_eq!(Source::bytes(pem).certificates("ca").unwrap().len(), 2);

        let error = Source::bytes(key).certificates("ca").unwrap_err();
        assert!(error.message().contains("BEGIN CERTIFICATE"), "{error}");
    }
}
