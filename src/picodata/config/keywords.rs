//! libpq's other form: `host=a,b port=5432,5433 user=x password='it\'s' dbname=y`.

use crate::config::Config;
use crate::config::options::is_known;
use crate::error::{Error, ErrorKind, Result};
use crate::picodata::config::resolve::resolve;
use crate::picodata::config::settings::{Origin, Settings};
use crate::picodata::config::{Environment, Scheme};

fn bad(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, text)
}

/// Reads keywords and values.
pub(crate) fn from_keywords(text: &str, environment: &Environment<'_>) -> Result<Config> {
    let mut settings = Settings::default();
    // A word behind a password without quotes may be the rest of it.
    let mut doubtful = None;
    let mut rest = text.trim_start();
    let mut number = 0;
    let mut after_password = false;
    while !rest.is_empty() {
        number += 1;
        let Some((name, behind)) = rest
            .split_once('=')
            .map(|(name, behind)| (name.trim_end(), behind.trim_start()))
            .filter(|(name, _)| !name.is_empty() && !name.contains(char::is_whitespace))
        else {
            return Err(bad(format!(
                "keyword {number} of the connection string has no `=` and no value; a value with spaces is put \
                 in quotes: keyword='a value'"
            )));
        };
        if after_password && !is_known(name) {
            doubtful = Some(name.to_owned());
        }
        let quoted = behind.starts_with('\'');
        let (value, behind) = if quoted {
            read_quoted(&behind[1..]).ok_or_else(|| {
                bad(format!(
                    "the value of keyword {number} of the connection string has no closing quote"
                ))
            })?
        } else {
            read_plain(behind)
        };
        after_password = !quoted && matches!(name, "password" | "service_url");
        settings.set(name, value, Origin::Text);
        rest = behind.trim_start();
    }
    resolve(Scheme::Postgres, settings, environment).map_err(|error| match doubtful {
        Some(name) if error.message().contains(&name) => bad(
            "a keyword behind the password is not understood; a password with spaces is put in quotes: \
             password='a password'",
        ),
        _ => error,
    })
}

/// A value up to the closing quote, and what follows it.
fn read_quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '\'' => return Some((value, &text[at + 1..])),
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    None
}

/// A value up to the next space, and what follows it.
fn read_plain(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            space if space.is_whitespace() => return (value, &text[at..]),
            other => value.push(other),
        }
    }
    (value, "")
}
