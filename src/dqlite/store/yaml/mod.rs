//! A node store in a YAML file.

mod text;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::{NodeInfo, NodeStore, checked};
use crate::error::{Error, ErrorKind, Result};

/// Far above the list of any cluster, and little enough to read without a thought.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// How many symbolic links are followed, as Linux counts them.
const MAX_LINKS: usize = 40;

/// Keeps the nodes in a YAML file that go-dqlite reads and writes too: a list of maps with `ID`, `Address`
/// and `Role`.
///
/// ```yaml
/// - ID: 3297041220608546238
///   Address: 10.0.0.1:9001
///   Role: 0
/// ```
///
/// `ID` may be missing and is then 0, `Role` is then [`Voter`](super::NodeRole::Voter); other keys are
/// ignored, and are lost when the list is written. Letters of a key may be in either case. Aliases are
/// refused.
///
/// [`get`](NodeStore::get) reads the file every time, so it answers what another process has written.
/// [`set`](NodeStore::set) writes a new file beside the old one, with the mode 0600, syncs it, renames it over
/// the old one and syncs the directory; the directory therefore has to be writable. Where the path is a
/// symbolic link, the file that it points to is replaced and the link stays (go-dqlite replaces the link).
/// If that last sync alone fails, the call does, but the new list is in place. A process that is killed
/// meanwhile can leave a file `.quorate-*.tmp` behind, which may be removed.
#[derive(Debug)]
pub struct YamlNodeStore {
    path: PathBuf,
}

impl YamlNodeStore {
    /// Opens the store in the file at `path`. A file that does not exist is an empty list; the first
    /// [`set`](NodeStore::set) creates it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`] if the file exists and cannot be read, or is no list of nodes; the message has
    /// the path and, where one is to blame, the line.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let store = YamlNodeStore {
            path: path.as_ref().to_owned(),
        };
        store.get()?;
        Ok(store)
    }

    fn read(&self) -> io::Result<String> {
        let metadata = match fs::metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
            metadata => metadata?,
        };
        // Opening a pipe would wait for its other end.
        if !metadata.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        let mut text = String::new();
        match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(text),
            file => file?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?,
        };
        if text.len() as u64 > MAX_FILE_BYTES {
            return Err(io::Error::other(format!(
                "it is longer than the {MAX_FILE_BYTES} bytes that a list of nodes may have"
            )));
        }
        Ok(text)
    }

    fn failed(&self, verb: &str, error: io::Error) -> Error {
        let message = format!("cannot {verb} {}: {error}", self.path.display());
        Error::new(ErrorKind::Store, message).with_source(error)
    }
}

impl NodeStore for YamlNodeStore {
    fn get(&self) -> Result<Vec<NodeInfo>> {
        let text = self.read().map_err(|error| self.failed("read", error))?;
        text::decode(&text).map_err(|problem| {
            let message = format!(
                "{}, line {}: {}",
                self.path.display(),
                problem.line,
                problem.message
            );
            let error = Error::new(ErrorKind::Store, message);
            match problem.source {
                Some(source) => error.with_source(source),
                None => error,
            }
        })
    }

    fn set(&self, nodes: &[NodeInfo]) -> Result<()> {
        let nodes = checked(nodes)?;
        if self.get().is_ok_and(|current| current == nodes) {
            return Ok(());
        }
        replace_file(&self.path, text::encode(&nodes).as_bytes())
            .map_err(|error| self.failed("write", error))
    }
}

/// Makes `content` the content of the file at `path`, at once and for good.
fn replace_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let path = follow_links(path)?;
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let temporary = directory.join(format!(
        ".quorate-{}-{:016x}.tmp",
        std::process::id(),
        fastrand::u64(..)
    ));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)?;
    let renamed = file
        .write_all(content)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&temporary, &path));
    if let Err(error) = renamed {
        // The first error is the one to report, and the leftover does no harm.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    File::open(directory)?.sync_all()
}

/// Where `path` points to in the end. Unlike `fs::canonicalize` this takes a link whose target is still to be
/// created.
fn follow_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&path) {
            Ok(target) => {
                path.pop();
                path.push(target);
            }
            // No link (EINVAL), or nothing there yet.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::InvalidInput | io::ErrorKind::NotFound
                ) =>
            {
                return Ok(path);
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

/// For the fuzz target: what can be read can be written, and is then the same.
#[cfg(fuzzing)]
pub(crate) fn read_and_write(text: &str) {
    if let Ok(nodes) = text::decode(text) {
        let written = text::encode(&nodes);
        assert!(text::decode(&written).is_ok_and(|again| again == nodes));
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::super::NodeRole;
    use super::super::tests::node;
    use super::*;

    fn files(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_written_file_is_private_and_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("servers.yaml");
        fs::write(&path, "[]\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let store = YamlNodeStore::open(&path).unwrap();
        store.set(&[node(1, "a:1", NodeRole::Voter)]).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(files(dir.path()), ["servers.yaml"]);
    }

    #[test]
    fn an_unchanged_list_is_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("servers.yaml");
        let text = "# by hand\n- Address: a:1\n";
        fs::write(&path, text).unwrap();
        let store = YamlNodeStore::open(&path).unwrap();
        store.set(&store.get().unwrap()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }

    #[test]
    fn what_another_process_wrote_is_read_without_opening_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("servers.yaml");
        let store = YamlNodeStore::open(&path).unwrap();
        fs::write(&path, "- Address: a:1\n").unwrap();
        assert_eq!(store.get().unwrap(), [node(0, "a:1", NodeRole::Voter)]);
    }

    #[test]
    fn a_link_stays_and_its_target_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        fs::create_dir(&data).unwrap();
        let link = dir.path().join("servers.yaml");
        symlink("data/real.yaml", &link).unwrap();
        let store = YamlNodeStore::open(&link).unwrap();
        for id in 1..3 {
            let nodes = [node(id, "a:1", NodeRole::Voter)];
            store.set(&nodes).unwrap();
            assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
            assert_eq!(store.get().unwrap(), nodes);
        }
        assert_eq!(files(&data), ["real.yaml"]);

        let circle = dir.path().join("circle.yaml");
        symlink("circle.yaml", &circle).unwrap();
        let error = YamlNodeStore { path: circle }
            .set(&[node(1, "a:1", NodeRole::Voter)])
            .unwrap_err();
        assert!(error.message().contains("too many symbolic links"));
    }

    #[test]
    fn a_malformed_file_is_named_with_its_line_and_can_be_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("servers.yaml");
        fs::write(&path, "- ID: 1\n  Address: a:1\n").unwrap();
        let store = YamlNodeStore::open(&path).unwrap();
        fs::write(&path, "- ID: 1\n  Address: \"a:1\n").unwrap();
        let error = store.get().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Store);
        let place = format!("{}, line ", path.display());
        assert!(error.message().starts_with(&place), "{error}");
        assert!(std::error::Error::source(&error).is_some());
        assert!(YamlNodeStore::open(&path).is_err());

        let nodes = [node(1, "a:1", NodeRole::Voter)];
        store.set(&nodes).unwrap();
        assert_eq!(store.get().unwrap(), nodes);
    }

    #[test]
    fn what_is_no_readable_text_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let message = |path: &Path| {
            let error = YamlNodeStore::open(path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Store);
            error.message().to_owned()
        };
        assert!(message(dir.path()).contains("no regular file"));
        assert!(message(Path::new("/dev/zero")).contains("no regular file"));

        let path = dir.path().join("servers.yaml");
        fs::write(&path, b"- Address: \xff\n").unwrap();
        assert!(message(&path).contains("UTF-8"));
        File::create(&path)
            .unwrap()
            .set_len(MAX_FILE_BYTES + 1)
            .unwrap();
        assert!(message(&path).contains("longer than"));
    }

    #[test]
    fn a_missing_directory_is_an_empty_list_that_cannot_be_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("missing/servers.yaml");
        let store = YamlNodeStore::open(&path).unwrap();
        assert_eq!(store.get().unwrap(), []);
        let error = store.set(&[node(1, "a:1", NodeRole::Voter)]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Store);
        assert!(error.message().contains(&path.display().to_string()));
    }
}
