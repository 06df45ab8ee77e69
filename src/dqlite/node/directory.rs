//! A node's data directory: made, checked and held against a second node.

use std::ffi::CString;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, FlockOperation};

use crate::error::{Error, ErrorKind, Result};

/// raft's paths have 1024 bytes, of which it keeps 128 for the file's name.
const PATH_LIMIT: usize = 880;

/// A data directory that this node alone uses. Dropping it frees the directory.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// Holds the lock.
    _handle: File,
}

impl Directory {
    /// Makes the directory where it is missing, and takes hold of it.
    ///
    /// What can be checked is checked before libdqlite sees the path, for a create that fails in libdqlite
    /// cannot be undone completely.
    pub(super) fn prepare(path: &Path) -> Result<Directory> {
        let failed = |what: &str, error: io::Error| {
            Error::new(
                ErrorKind::Node,
                format!("{what} the data directory {}: {error}", path.display()),
            )
            .with_source(error)
        };
        if path.as_os_str().as_bytes().contains(&0) {
            return Err(Error::new(
                ErrorKind::Config,
                format!("the data directory {path:?} contains a NUL"),
            ));
        }
        if path.exists() && !path.is_dir() {
            return Err(failed(
                "cannot use",
                io::Error::from(io::ErrorKind::NotADirectory),
            ));
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|error| failed("cannot make", error))?;
        let absolute = fs::canonicalize(path).map_err(|error| failed("cannot open", error))?;
        if absolute.as_os_str().len() > PATH_LIMIT {
            return Err(Error::new(
                ErrorKind::Config,
                format!(
                    "the path of the data directory is longer than {PATH_LIMIT} bytes: {}",
                    path.display()
                ),
            ));
        }
        rustix::fs::access(
            &absolute,
            Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK,
        )
        .map_err(|error| failed("cannot write to", error.into()))?;
        let handle = File::open(&absolute).map_err(|error| failed("cannot open", error))?;
        // libdqlite has a lock of its own in a file there, but only since 1.16.5.
        rustix::fs::flock(&handle, FlockOperation::NonBlockingLockExclusive).map_err(|error| {
            if error == rustix::io::Errno::WOULDBLOCK {
                Error::new(
                    ErrorKind::Node,
                    format!(
                        "the data directory {} is in use by another node",
                        path.display()
                    ),
                )
            } else {
                failed("cannot lock", error.into())
            }
        })?;
        Ok(Directory {
            path: absolute,
            _handle: handle,
        })
    }

    /// The path from the root, without symbolic links: a later change of the working directory is harmless.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The path as libdqlite takes it.
    pub(super) fn c_path(&self) -> Result<CString> {
        CString::new(self.path.as_os_str().as_bytes()).map_err(|error| {
            Error::new(ErrorKind::Config, "the data directory contains a NUL").with_source(error)
        })
    }
}
