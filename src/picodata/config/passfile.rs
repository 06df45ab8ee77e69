//! The passfile: lines `host:port:database:user:password`.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use crate::config::secret::Secret;
use crate::logging::Logger;

/// The most of a passfile that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// The passwords of one user for one database, by instance.
#[derive(Debug, Clone, Default)]
pub(crate) struct Passwords {
    /// For every instance that no line names.
    general: Option<Secret>,
    /// In the order of the file: the first that matches counts.
    lines: Vec<Line>,
}

/// A line that is for the right database and user.
#[derive(Debug, Clone)]
struct Line {
    /// `None` is any.
    host: Option<String>,
    port: Option<String>,
    password: Secret,
}

impl Passwords {
    /// One password for all instances.
    pub(super) fn given(password: Secret) -> Self {
        Passwords {
            general: Some(password),
            lines: Vec::new(),
        }
    }

    /// Reads a passfile. As in libpq, one that is missing is as good as an empty one, and so is one that is no
    /// regular file or that the group or the world may use, with a warning.
    pub(super) fn read(
        path: &Path,
        database: &str,
        user: &str,
        hosts: &[String],
        logger: &Logger,
    ) -> Self {
        match open(path) {
            Ok(Ok(text)) => Passwords::parse(&text, database, user, hosts),
            Ok(Err(fault)) => {
                logger.warn(format_args!(
                    "the password file {} is ignored: {fault}",
                    path.display()
                ));
                Passwords::default()
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    logger.warn(format_args!(
                        "the password file {} is ignored: {error}",
                        path.display()
                    ));
                }
                Passwords::default()
            }
        }
    }

    fn parse(text: &str, database: &str, user: &str, hosts: &[String]) -> Self {
        let lines = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| Line::parse(line, database, user))
            .collect();
        let mut passwords = Passwords {
            general: None,
            lines,
        };
        // The other instances of the cluster have the same users, and their addresses are in no file.
        passwords.general = hosts.iter().find_map(|host| passwords.of(host)).cloned();
        passwords
    }

    /// The password for the instance at `address`, which is `host:port` or a Unix socket's path. An instance that
    /// no line names, because it was learned from the cluster, has the password of the first given host that has
    /// one.
    pub(crate) fn of(&self, address: &str) -> Option<&Secret> {
        // PostgreSQL's sockets are named after the port, and the file names their directory.
        let (host, port) = match address.rsplit_once("/.s.PGSQL.") {
            Some(parts) => parts,
            None => address.rsplit_once(':')?,
        };
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        let is = |wanted: &Option<String>, given: &str| {
            wanted
                .as_ref()
                .is_none_or(|wanted| wanted.eq_ignore_ascii_case(given))
        };
        self.lines
            .iter()
            .find(|line| is(&line.host, host) && is(&line.port, port))
            .map(|line| &line.password)
            .or(self.general.as_ref())
    }
}

impl Line {
    /// Reads a line; `None` if it is for another database or user, or is no whole line.
    fn parse(line: &str, database: &str, user: &str) -> Option<Self> {
        let mut fields = fields(line);
        let (host, port) = (fields.next()?, fields.next()?);
        let (for_database, for_user) = (fields.next()?, fields.next()?);
        let password = fields.next().filter(|password| !password.is_empty())?;
        let matches = |wanted: Option<String>, given| wanted.is_none_or(|wanted| wanted == given);
        (matches(any(for_database), database) && matches(any(for_user), user)).then(|| Line {
            host: any(host),
            port: any(port),
            password: Secret::new(unescape(password)),
        })
    }
}

/// The fields of a line, still escaped.
fn fields(line: &str) -> impl Iterator<Item = &str> {
    let mut escaped = false;
    line.split(move |char| {
        let ends = char == ':' && !escaped;
        escaped = char == '\\' && !escaped;
        ends
    })
}

/// The value of a field; `None` for `*`, which is any.
fn any(field: &str) -> Option<String> {
    (field != "*").then(|| unescape(field))
}

fn unescape(field: &str) -> String {
    let mut value = String::with_capacity(field.len());
    let mut chars = field.chars();
    while let Some(char) = chars.next() {
        match char {
            // A backslash at the end stands for itself.
            '\\' => value.push(chars.next().unwrap_or('\\')),
            other => value.push(other),
        }
    }
    value
}

/// Reads the file, or says why it should not be.
fn open(path: &Path) -> io::Result<Result<String, &'static str>> {
    // Without blocking, so that a named pipe is refused and not waited for.
    let file = File::options()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits() as i32)
        .open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok(Err("it is no regular file"));
    }
    if metadata.mode() & 0o077 != 0 {
        return Ok(Err(
            "others than its owner may use it; its permissions should be 0600 or less",
        ));
    }
    let mut text = String::new();
    file.take(MAX_FILE).read_to_string(&mut text)?;
    Ok(Ok(text))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const TEXT: &str = "\
# host:port:database:user:password\n\
db1:4327:shop:app:one\n\
db1:*:shop:app:two\r\n\
\\:\\:1:4327:*:app:colons \\: and \\\\ and \\x\n\
/run/postgresql:5432:shop:app:socket\n\
*:4327:other:app:other\n\
*:*:shop:someone:else's\n\
db3:4327:shop:app:\n\
db4:4327:shop:app\n\
db5:4327:shop:app:five:ignored\n\
*:9999:*:*:last\\\n";

    fn password(text: &str, address: &str) -> Option<String> {
        let passwords = Passwords::parse(text, "shop", "app", &[]);
        passwords
            .of(address)
            .map(|password| password.expose().to_owned())
    }

    #[test]
    fn the_first_line_that_matches_counts() {
        for (address, expected) in [
            ("db1:4327", Some("one")),
            ("DB1:4327", Some("one")),
            ("db1:1", Some("two")),
            ("[::1]:4327", Some("colons : and \\ and x")),
            ("[::1]:4328", None),
            ("/run/postgresql/.s.PGSQL.5432", Some("socket")),
            ("db2:4327", None),
            ("db3:4327", None),
            ("db4:4327", None),
            ("db5:4327", Some("five")),
            ("db2:9999", Some("last\\")),
            ("no address", None),
        ] {
            assert_eq!(password(TEXT, address).as_deref(), expected, "{address}");
        }
    }

    #[test]
    fn an_escaped_star_is_a_star() {
        assert_eq!(password("\\*:1:*:*:x", "a:1"), None);
        assert_eq!(password("*:1:*:*:x", "a:1").as_deref(), Some("x"));
    }

    #[test]
    fn instances_that_no_line_names_have_the_password_of_a_host_that_has_one() {
        let hosts = ["db9:1".to_owned(), "db1:4327".to_owned()];
        let passwords = Passwords::parse(TEXT, "shop", "app", &hosts);
        let of = |address| passwords.of(address).map(Secret::expose);
        assert_eq!(of("10.0.0.7:4327"), Some("one"));
        assert_eq!(of("db5:4327"), Some("five"));
        let given = Passwords::given(Secret::new("given"));
        assert_eq!(given.of("db1:4327").map(Secret::expose), Some("given"));
    }

    #[test]
    fn a_file_that_others_may_read_is_ignored() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pgpass");
        fs::write(&path, TEXT).unwrap();
        for (mode, read) in [
            (0o600, true),
            (0o400, true),
            (0o700, true),
            (0o640, false),
            (0o604, false),
            (0o620, false),
            (0o644, false),
        ] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let passwords = Passwords::read(&path, "shop", "app", &[], &Logger::default());
            assert_eq!(passwords.of("db1:4327").is_some(), read, "{mode:o}");
        }
        let none = Passwords::read(directory.path(), "shop", "app", &[], &Logger::default());
        assert!(none.of("db1:4327").is_none(), "a directory");
        let missing = directory.path().join("none");
        let none = Passwords::read(&missing, "shop", "app", &[], &Logger::default());
        assert!(none.of("db1:4327").is_none());
        let pipe = directory.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        let none = Passwords::read(&pipe, "shop", "app", &[], &Logger::default());
        assert!(none.of("db1:4327").is_none(), "a named pipe");
    }

    #[test]
    fn debug_shows_no_password() {
        let passwords = Passwords::parse(TEXT, "shop", "app", &["db1:4327".into()]);
        let shown = format!("{passwords:?}");
        assert!(shown.contains("db5"), "{shown}");
        for password in ["\"one\"", "two", "colons", "socket", "five", "last"] {
            assert!(!shown.contains(password), "{shown}");
        }
    }
}
