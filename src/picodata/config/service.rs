//! The service file: named sections of settings.

use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::picodata::config::Environment;
use crate::picodata::config::settings::{Origin, Settings};

fn bad(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, text)
}

/// Fills in what the section of the service leaves to it. `file` is the file that was named, if one was.
pub(super) fn fill(
    settings: &mut Settings,
    service: &str,
    file: Option<PathBuf>,
    environment: &Environment<'_>,
) -> Result<()> {
    let named = file.is_some();
    let files = match file {
        Some(file) => vec![file],
        None => {
            let system = environment.get("PGSYSCONFDIR").map(PathBuf::from);
            environment
                .home_file(".pg_service.conf")
                .into_iter()
                .chain(system.map(|directory| directory.join("pg_service.conf")))
                .collect()
        }
    };
    for file in files {
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if !named && error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => {
                return Err(bad(format!(
                    "the service file {} cannot be read: {error}",
                    file.display()
                ))
                .with_source(error));
            }
        };
        if let Some(section) = section(&text, service, &file)? {
            for (name, value) in section {
                settings.fill(name, value.to_owned(), Origin::Service(file.clone()));
            }
            return Ok(());
        }
    }
    Err(bad(format!(
        "the service {service:?} is in no service file; it is looked for in PGSERVICEFILE, or else in \
         ~/.pg_service.conf and $PGSYSCONFDIR/pg_service.conf"
    )))
}

/// The settings of a section; `None` if it is not there.
fn section<'t>(
    text: &'t str,
    service: &str,
    file: &Path,
) -> Result<Option<Vec<(&'t str, &'t str)>>> {
    let mut found: Option<Vec<(&str, &str)>> = None;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(rest) = line.strip_prefix('[') {
            if found.is_some() {
                break;
            }
            if rest.strip_suffix(']').map(str::trim) == Some(service) {
                found = Some(Vec::new());
            }
            continue;
        }
        let Some(settings) = &mut found else { continue };
        // The line is not repeated: it may hold a password.
        let fault = |fault: &str| {
            bad(format!(
                "line {} of the service file {} {fault}",
                index + 1,
                file.display()
            ))
        };
        if line.starts_with("ldap") && line.contains("://") {
            return Err(fault("asks an LDAP server, which is not supported"));
        }
        let (name, value) = line
            .split_once('=')
            .map(|(name, value)| (name.trim(), value.trim()))
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| fault("is not of the form keyword=value"))?;
        if matches!(name, "service" | "servicefile") {
            return Err(fault("names a service, which a service cannot"));
        }
        // The first of a name counts.
        if !settings.iter().any(|(known, _)| *known == name) {
            settings.push((name, value));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# settings of both\nignored=1\n\n[first]\nhost=a\nport = 5433\nhost=b\n# password=no\n\
 [ second ] \npassword= it's = a\r\n[first]\nhost=c\n[empty]\n";

    fn read(text: &str, service: &str) -> Result<Option<Vec<(String, String)>>> {
        let found = section(text, service, Path::new("/etc/s.conf"))?;
        Ok(found.map(|all| {
            all.iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .collect()
        }))
    }

    #[test]
    fn a_section_is_found_by_its_name() {
        let pair = |n: &str, v: &str| (n.to_owned(), v.to_owned());
        assert_eq!(
            read(TEXT, "first").unwrap().unwrap(),
            [pair("host", "a"), pair("port", "5433")]
        );
        assert_eq!(
            read(TEXT, "second").unwrap().unwrap(),
            [pair("password", "it's = a")]
        );
        assert_eq!(read(TEXT, "empty").unwrap().unwrap(), []);
        assert_eq!(read(TEXT, "none").unwrap(), None);
        assert_eq!(read("", "none").unwrap(), None);
    }

    #[test]
    fn a_bad_line_is_named_by_its_number_alone() {
        for (text, part) in [
            ("[s]\n\ns3cret", "line 3"),
            ("[s]\n=s3cret", "keyword=value"),
            ("[s]\nservice=s3cret", "cannot"),
            ("[s]\nldap://s3cret/", "LDAP"),
        ] {
            let error = read(text, "s").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.message().contains(part), "{error}");
            assert!(error.message().contains("/etc/s.conf"), "{error}");
            assert!(!format!("{error:?}").contains("s3cret"), "{error}");
            assert_eq!(read(text, "other").unwrap(), None);
        }
    }
}
