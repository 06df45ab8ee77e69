//! Timestamps: the text forms that dqlite's clients write, and the numbers that PostgreSQL sends.

use chrono::{
    DateTime, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Utc,
};

/// Reads a timestamp in any of the forms that go-dqlite reads (`internal/protocol/message.go`,
/// `iso8601Formats`): a date, then optionally a space or `T`, hours and minutes, optionally seconds with a
/// fraction, optionally an offset `±HH:MM`; a `Z` at the end is accepted and dropped. Without an offset
/// the time is UTC. `None` for any other text.
pub(crate) fn parse_timestamp(text: &str) -> Option<DateTime<FixedOffset>> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let bytes = text.as_bytes();
    if bytes.len() == 10 {
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
        return Some(utc(date.and_time(NaiveTime::MIN)));
    }
    let separator = match bytes.get(10)? {
        b' ' => ' ',
        b'T' => 'T',
        _ => return None,
    };
    let clock = text.get(11..)?;
    if clock.len() == 5 {
        let format = if separator == 'T' {
            "%Y-%m-%dT%H:%M"
        } else {
            "%Y-%m-%d %H:%M"
        };
        return NaiveDateTime::parse_from_str(text, format).ok().map(utc);
    }
    if clock.contains(['+', '-']) {
        let format = if separator == 'T' {
            "%Y-%m-%dT%H:%M:%S%.f%:z"
        } else {
            "%Y-%m-%d %H:%M:%S%.f%:z"
        };
        return DateTime::parse_from_str(text, format).ok();
    }
    let format = if separator == 'T' {
        "%Y-%m-%dT%H:%M:%S%.f"
    } else {
        "%Y-%m-%d %H:%M:%S%.f"
    };
    NaiveDateTime::parse_from_str(text, format).ok().map(utc)
}

/// The timestamp of a Unix time in seconds; `None` beyond the years that a timestamp can hold.
pub(crate) fn from_unix(seconds: i64) -> Option<DateTime<FixedOffset>> {
    DateTime::<Utc>::from_timestamp(seconds, 0).map(|time| time.fixed_offset())
}

/// The timestamp of a Unix time in microseconds; `None` beyond the years that a timestamp can hold.
pub(crate) fn from_unix_micros(micros: i64) -> Option<DateTime<FixedOffset>> {
    DateTime::<Utc>::from_timestamp_micros(micros).map(|time| time.fixed_offset())
}

/// The day that is `days` after 1970-01-01; `None` beyond the years that a date can hold.
pub(crate) fn from_unix_days(days: i32) -> Option<NaiveDate> {
    NaiveDate::default().checked_add_signed(TimeDelta::try_days(i64::from(days))?)
}

/// How many days a day lies after 1970-01-01.
pub(crate) fn unix_days(date: NaiveDate) -> i64 {
    (date - NaiveDate::default()).num_days()
}

fn utc(time: NaiveDateTime) -> DateTime<FixedOffset> {
    Utc.from_utc_datetime(&time).fixed_offset()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_the_original_is_read() {
        for (text, expected) in [
            (
                "2024-02-29 12:34:56.789012345+02:00",
                "2024-02-29T12:34:56.789012345+02:00",
            ),
            (
                "2024-02-29T12:34:56.5-07:30",
                "2024-02-29T12:34:56.500-07:30",
            ),
            ("2024-02-29 12:34:56+00:00", "2024-02-29T12:34:56+00:00"),
            ("2024-02-29 12:34:56.789", "2024-02-29T12:34:56.789+00:00"),
            ("2024-02-29T12:34:56.789", "2024-02-29T12:34:56.789+00:00"),
            ("2024-02-29 12:34:56", "2024-02-29T12:34:56+00:00"),
            ("2024-02-29T12:34:56", "2024-02-29T12:34:56+00:00"),
            ("2024-02-29T12:34:56Z", "2024-02-29T12:34:56+00:00"),
            ("2024-02-29 12:34", "2024-02-29T12:34:00+00:00"),
            ("2024-02-29T12:34", "2024-02-29T12:34:00+00:00"),
            ("2024-02-29", "2024-02-29T00:00:00+00:00"),
        ] {
            let time = parse_timestamp(text).unwrap_or_else(|| panic!("{text} was not read"));
            assert_eq!(time.to_rfc3339(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_timestamp_is_none() {
        for text in [
            "",
            "now",
            "2024-02-30",
            "2024-02-29 25:00",
            "2024-02-29x12:00",
            "1709210096",
            "é024-02-29 12:34:56",
        ] {
            assert_eq!(parse_timestamp(text), None, "{text}");
        }
    }

    #[test]
    fn unix_time_is_utc() {
        assert_eq!(
            from_unix(0).unwrap().to_rfc3339(),
            "1970-01-01T00:00:00+00:00"
        );
        assert_eq!(from_unix(i64::MAX), None);
        assert_eq!(
            from_unix_micros(-1).unwrap().to_rfc3339(),
            "1969-12-31T23:59:59.999999+00:00"
        );
        assert_eq!(from_unix_micros(i64::MAX), None);
        for days in [-800_000, -1, 0, 19_782] {
            assert_eq!(unix_days(from_unix_days(days).unwrap()), i64::from(days));
        }
        assert_eq!(from_unix_days(19_782).unwrap().to_string(), "2024-02-29");
        assert_eq!(from_unix_days(i32::MAX), None);
    }
}
