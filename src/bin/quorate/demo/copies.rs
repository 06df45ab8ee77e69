//! What each node has itself: its own copy of the database, whoever leads.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use quorate::dqlite::{ClusterClient, DatabaseFile};
use quorate::{Error, ErrorKind, Result};
use rusqlite::Connection;

use super::writers::COUNT;

/// How often each number is in the table.
pub(super) type Table = HashMap<i64, usize>;

/// Copies the database of one node into a directory of its own under `directory`, and reads the table there.
///
/// The node is not asked to lead: with the libraft of Debian 12 (0.15), passing the leadership on may end the node that
/// leads (docs/dqlite.md).
pub(super) fn read(
    cluster: &ClusterClient,
    address: &str,
    database: &str,
    directory: &Path,
) -> Result<Table> {
    let files = cluster.dump_from(address, database)?;
    let path = write(&files, &directory.join("copy"))?;
    count(&path).map_err(|error| {
        Error::new(
            ErrorKind::Database,
            format!("the copy of the database cannot be read: {error}"),
        )
        .with_source(error)
    })
}

/// Writes the files anew, and answers where the database is.
fn write(files: &[DatabaseFile], directory: &Path) -> Result<PathBuf> {
    let path = directory.join("database");
    let write = || {
        if directory.exists() {
            fs::remove_dir_all(directory)?;
        }
        fs::create_dir(directory)?;
        for file in files {
            let name = match file.name.ends_with("-wal") {
                true => "database-wal",
                false => "database",
            };
            fs::write(directory.join(name), &file.data)?;
        }
        Ok(())
    };
    write().map_err(|error: std::io::Error| {
        Error::new(
            ErrorKind::Node,
            format!("cannot write to {}: {error}", directory.display()),
        )
        .with_source(error)
    })?;
    Ok(path)
}

fn count(path: &Path) -> rusqlite::Result<Table> {
    let connection = Connection::open(path)?;
    let mut statement = connection.prepare(COUNT)?;
    statement
        .query_map((), |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as usize)))?
        .collect()
}
