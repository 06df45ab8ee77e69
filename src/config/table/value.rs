//! How the values of options are read and written.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use super::Fault;
use crate::config::duration::{format_duration, parse_duration};

const DURATION: &str = "a duration such as 1h30m, 500ms or, in seconds, 5";
const POSITIVE: &str = "a duration above 0 such as 1h30m or 500ms";

/// What stands for no limit where a duration is needed: longer than any call.
pub(super) const ENDLESS: Duration = Duration::from_secs(24 * 3600);

pub(super) fn duration(value: &str) -> Result<Duration, Fault> {
    parse_duration(value).ok_or(Fault::Wanted(DURATION))
}

pub(super) fn positive(value: &str) -> Result<Duration, Fault> {
    parse_duration(value)
        .filter(|duration| !duration.is_zero())
        .ok_or(Fault::Wanted(POSITIVE))
}

/// A duration of which 0 means none.
pub(super) fn limit(value: &str) -> Result<Option<Duration>, Fault> {
    duration(value).map(|duration| (!duration.is_zero()).then_some(duration))
}

pub(super) fn number<T: FromStr + PartialOrd>(
    value: &str,
    least: T,
    wanted: &'static str,
) -> Result<T, Fault> {
    value
        .parse()
        .ok()
        .filter(|number| *number >= least)
        .ok_or(Fault::Wanted(wanted))
}

pub(super) fn switch(value: &str) -> Result<bool, Fault> {
    match value {
        "on" | "true" | "yes" | "1" => Ok(true),
        "off" | "false" | "no" | "0" => Ok(false),
        _ => Err(Fault::Wanted("on or off")),
    }
}

/// Text that goes to the server, whose protocol ends it with a NUL.
pub(super) fn text(value: &str) -> Result<String, Fault> {
    if value.contains('\0') {
        return Err(Fault::Wanted("text without a NUL"));
    }
    Ok(value.to_owned())
}

pub(super) fn optional(value: &str) -> Result<Option<String>, Fault> {
    text(value).map(|value| (!value.is_empty()).then_some(value))
}

/// An option of libpq whose offered values ask for nothing.
pub(super) fn harmless(value: &str, accepted: &[&str], wanted: &'static str) -> Result<(), Fault> {
    if accepted
        .iter()
        .any(|known| known.eq_ignore_ascii_case(value))
    {
        return Ok(());
    }
    Err(Fault::Wanted(wanted))
}

/// `name=value,name=value`.
pub(super) fn pairs(value: &str) -> Option<Vec<(&str, &str)>> {
    if value.is_empty() {
        return Some(Vec::new());
    }
    value
        .split(',')
        .map(|pair| {
            let (name, value) = pair.split_once('=')?;
            let (name, value) = (name.trim(), value.trim());
            (!name.is_empty() && !value.is_empty()).then_some((name, value))
        })
        .collect()
}

pub(super) fn shown(duration: Option<Duration>) -> Option<String> {
    Some(format_duration(duration.unwrap_or_default()))
}

pub(super) fn time(duration: Duration) -> Option<String> {
    Some(format_duration(duration))
}

pub(super) fn path(path: Option<&Path>) -> Option<String> {
    path.map(|path| path.to_string_lossy().into_owned())
}

pub(super) fn on_off(on: bool) -> Option<String> {
    Some(if on { "on" } else { "off" }.to_owned())
}
