//! The values of a distribution key as the server hashes them: MessagePack, with Tarantool's extensions.

use chrono::{DateTime, FixedOffset};

use crate::error::{Error, ErrorKind, Result};
use crate::picodata::sharding::murmur::murmur3_32;
use crate::value::ValueRef;

/// The seed of the hash.
const SEED: u32 = 13;

/// The types of MessagePack extensions (Tarantool, `mp_extension_types.h`).
const EXT_DECIMAL: u8 = 1;
const EXT_UUID: u8 = 2;
const EXT_DATETIME: u8 = 4;

/// The most digits, and the most digits behind the point, that a decimal has in the server. What is beyond is rounded
/// or refused there, so that the bucket is not known here.
const DECIMAL_DIGITS: usize = 38;

/// The type of a column that may be in a distribution key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum KeyType {
    Boolean,
    Integer,
    Text,
    Double,
    Datetime,
    Decimal,
    Uuid,
}

impl KeyType {
    /// The type with this number in PostgreSQL's catalogue, as a statement's description names it.
    pub(crate) fn from_oid(oid: u64) -> Option<Self> {
        Some(match oid {
            16 => KeyType::Boolean,
            20 => KeyType::Integer,
            25 => KeyType::Text,
            701 => KeyType::Double,
            1184 => KeyType::Datetime,
            1700 => KeyType::Decimal,
            2950 => KeyType::Uuid,
            _ => return None,
        })
    }

    /// The type with this name in `_pico_table`'s format.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "boolean" => KeyType::Boolean,
            "integer" | "unsigned" => KeyType::Integer,
            "string" => KeyType::Text,
            "double" => KeyType::Double,
            "datetime" => KeyType::Datetime,
            "decimal" => KeyType::Decimal,
            "uuid" => KeyType::Uuid,
            _ => return None,
        })
    }

    fn as_str(self) -> &'static str {
        match self {
            KeyType::Boolean => "boolean",
            KeyType::Integer => "integer",
            KeyType::Text => "string",
            KeyType::Double => "double",
            KeyType::Datetime => "datetime",
            KeyType::Decimal => "decimal",
            KeyType::Uuid => "uuid",
        }
    }
}

/// How a server hashes a double that is no integer. One that is, is hashed as that integer by all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum DoubleForm {
    /// As MessagePack: 0xcb and the eight bytes. Seen on 25.5.7.
    #[default]
    Marked,
    /// The eight bytes alone (picopyn, which is made for 26.1).
    Bare,
}

impl DoubleForm {
    /// The form that a server of this version (`25.5.7`) has; an unknown version counts as an old one.
    pub(crate) fn of_version(version: &str) -> Self {
        let mut numbers = version.split('.').map(|part| part.parse::<u32>().ok());
        let version = (numbers.next().flatten(), numbers.next().flatten());
        match version {
            (Some(major), Some(minor)) if (major, minor) >= (26, 1) => DoubleForm::Bare,
            _ => DoubleForm::Marked,
        }
    }
}

/// How decimal parameters are sent, always as text: the server hashes what arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum DecimalForm {
    /// As they are written: `1E+2` stays what it is.
    #[default]
    Written,
    /// In plain digits: `1E+2` becomes `100`.
    Plain,
}

/// How values are hashed, where servers differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Hashing {
    pub(crate) doubles: DoubleForm,
    pub(crate) decimals: DecimalForm,
}

/// The bucket, from 1 to `bucket_count`, of a key with these values, in the order of the key's columns.
///
/// # Errors
/// [`ErrorKind::Conversion`] names the first value, counted from 1, whose bucket is not known: one of another
/// type than its column, or a decimal that the server would round. [`ErrorKind::Misuse`]: there is no value, or
/// no bucket.
pub(crate) fn bucket_id<'v>(
    values: impl IntoIterator<Item = (ValueRef<'v>, KeyType)>,
    bucket_count: u64,
    hashing: Hashing,
) -> Result<u64> {
    let what = |index| format!("value {} of the sharding key", index + 1);
    bucket_id_of(values, bucket_count, hashing, what)
}

/// The same; `what` names the value with an index, counted from 0, for the error.
pub(super) fn bucket_id_of<'v>(
    values: impl IntoIterator<Item = (ValueRef<'v>, KeyType)>,
    bucket_count: u64,
    hashing: Hashing,
    what: impl Fn(usize) -> String,
) -> Result<u64> {
    let mut bytes = Vec::with_capacity(64);
    let mut count = 0;
    for (value, key_type) in values {
        encode(value, key_type, hashing, &mut bytes).ok_or_else(|| {
            Error::new(
                ErrorKind::Conversion,
                format!(
                    "{} is a {} that has no bucket as a {}",
                    what(count),
                    value.type_name(),
                    key_type.as_str()
                ),
            )
        })?;
        count += 1;
    }
    if count == 0 {
        return Err(Error::new(ErrorKind::Misuse, "the sharding key is empty"));
    }
    u64::from(murmur3_32(&bytes, SEED))
        .checked_rem(bucket_count)
        .map(|remainder| remainder + 1)
        .ok_or_else(|| Error::new(ErrorKind::Misuse, "the tier has no buckets"))
}

/// Appends one value; `None` if it does not fit the type.
fn encode(
    value: ValueRef<'_>,
    key_type: KeyType,
    hashing: Hashing,
    out: &mut Vec<u8>,
) -> Option<()> {
    match (key_type, value) {
        (_, ValueRef::Null) => out.push(0xc0),
        (KeyType::Boolean, ValueRef::Bool(value)) => out.push(if value { 0xc3 } else { 0xc2 }),
        (KeyType::Integer, ValueRef::Int(value)) => integer(value.into(), out),
        // Text is hashed without the header that MessagePack gives it.
        (KeyType::Text, ValueRef::Text(value)) => out.extend_from_slice(value.as_bytes()),
        (KeyType::Double, ValueRef::Float(value)) => double(value, hashing.doubles, out),
        (KeyType::Double, ValueRef::Int(value)) => double(value as f64, hashing.doubles, out),
        (KeyType::Datetime, ValueRef::Timestamp(value)) => datetime(value, out),
        (KeyType::Decimal, ValueRef::Decimal(value)) => decimal(value, hashing.decimals, out)?,
        (KeyType::Decimal, ValueRef::Int(value)) => {
            decimal(&value.to_string(), hashing.decimals, out)?;
        }
        (KeyType::Uuid, ValueRef::Uuid(value)) => extension(EXT_UUID, value.as_bytes(), out),
        _ => return None,
    }
    Some(())
}

/// The shortest form of an integer from -2^63 to 2^64 - 1.
fn integer(value: i128, out: &mut Vec<u8>) {
    // The casts cut off what the range of each arm says is not there.
    match value {
        0..=0x7f => out.push(value as u8),
        -32..=-1 => out.push(value as i8 as u8),
        0x80..=0xff => out.extend([0xcc, value as u8]),
        0x100..=0xffff => tagged(0xcd, &(value as u16).to_be_bytes(), out),
        0x1_0000..=0xffff_ffff => tagged(0xce, &(value as u32).to_be_bytes(), out),
        0x1_0000_0000.. => tagged(0xcf, &(value as u64).to_be_bytes(), out),
        -0x80..=-33 => out.extend([0xd0, value as i8 as u8]),
        -0x8000..=-0x81 => tagged(0xd1, &(value as i16).to_be_bytes(), out),
        -0x8000_0000..=-0x8001 => tagged(0xd2, &(value as i32).to_be_bytes(), out),
        _ => tagged(0xd3, &(value as i64).to_be_bytes(), out),
    }
}

fn tagged(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    out.extend_from_slice(bytes);
}

fn double(value: f64, form: DoubleForm, out: &mut Vec<u8>) {
    const TWO_63: f64 = 9_223_372_036_854_775_808.0;
    if value.trunc() == value && (-TWO_63..2.0 * TWO_63).contains(&value) {
        return integer(value as i128, out);
    }
    if form == DoubleForm::Marked {
        out.push(0xcb);
    }
    out.extend_from_slice(&value.to_be_bytes());
}

fn extension(kind: u8, payload: &[u8], out: &mut Vec<u8>) {
    match payload.len() {
        1 => out.push(0xd4),
        2 => out.push(0xd5),
        4 => out.push(0xd6),
        8 => out.push(0xd7),
        16 => out.push(0xd8),
        // No payload here is longer than 30 bytes.
        length => out.extend([0xc7, length as u8]),
    }
    out.push(kind);
    out.extend_from_slice(payload);
}

/// The point in time in UTC, to the microsecond, which is as much as the protocol carries.
fn datetime(value: DateTime<FixedOffset>, out: &mut Vec<u8>) {
    let nanoseconds = value.timestamp_subsec_micros().min(999_999) * 1000;
    let mut payload = value.timestamp().to_le_bytes().to_vec();
    if nanoseconds > 0 {
        payload.extend_from_slice(&nanoseconds.to_le_bytes());
        // The offset from UTC and the number of the zone's name.
        payload.extend_from_slice(&[0; 4]);
    }
    extension(EXT_DATETIME, &payload, out);
}

/// The scale as MessagePack, then the digits, two to a byte, with the sign in the last half byte.
fn decimal(text: &str, form: DecimalForm, out: &mut Vec<u8>) -> Option<()> {
    let Digits {
        mut negative,
        mut digits,
        mut exponent,
    } = Digits::parse(text)?;
    let is_zero = digits == [0];
    negative &= !is_zero || form == DecimalForm::Written;
    if exponent > 0 {
        if form == DecimalForm::Plain {
            let zeros = if is_zero { 0 } else { exponent };
            exponent = 0;
            if digits.len().checked_add(zeros as usize)? > DECIMAL_DIGITS {
                return None;
            }
            digits.extend(std::iter::repeat_n(0, zeros as usize));
        } else if digits.len().checked_add(exponent as usize)? > DECIMAL_DIGITS {
            return None;
        }
    }
    let scale = -i64::from(exponent);
    if scale > DECIMAL_DIGITS as i64 || digits.len() > DECIMAL_DIGITS {
        return None;
    }
    digits.push(if negative { 0xd } else { 0xc });
    if digits.len() % 2 == 1 {
        digits.insert(0, 0);
    }
    let mut payload = Vec::with_capacity(1 + digits.len() / 2);
    integer(scale.into(), &mut payload);
    payload.extend(digits.as_chunks::<2>().0.iter().map(|[a, b]| a << 4 | b));
    extension(EXT_DECIMAL, &payload, out);
    Some(())
}

/// A decimal number: the digits without leading zeros, at least one, times ten to the exponent.
struct Digits {
    negative: bool,
    digits: Vec<u8>,
    exponent: i32,
}

impl Digits {
    fn parse(text: &str) -> Option<Self> {
        let (negative, text) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = || whole.bytes().chain(fraction.bytes());
        if all().next().is_none() || !all().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let mut digits: Vec<u8> = all()
            .map(|byte| byte - b'0')
            .skip_while(|digit| *digit == 0)
            .collect();
        if digits.is_empty() {
            digits.push(0);
        }
        let exponent = exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?;
        Some(Digits {
            negative,
            digits,
            exponent,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One row of the vectors: the type, the key and the bucket that a server of version 25.5.7 gave it.
    fn vectors() -> Vec<(String, String, u64)> {
        let text = include_str!("../../../tests/data/picodata-bucket-vectors.csv");
        let mut rows = Vec::new();
        for line in text.lines().skip(1) {
            let (kind, rest) = match line.strip_prefix('"') {
                Some(quoted) => quoted.split_once("\",").unwrap(),
                None => line.split_once(',').unwrap(),
            };
            let (key, bucket) = rest.rsplit_once(',').unwrap();
            rows.push((kind.to_owned(), key.to_owned(), bucket.parse().unwrap()));
        }
        rows
    }

    fn value<'t>(kind: &str, text: &'t str) -> (ValueRef<'t>, KeyType) {
        match kind {
            "boolean" => (ValueRef::Bool(text == "true"), KeyType::Boolean),
            "integer" => (ValueRef::Int(text.parse().unwrap()), KeyType::Integer),
            "text" => (ValueRef::Text(text), KeyType::Text),
            "double" => (ValueRef::Float(text.parse().unwrap()), KeyType::Double),
            "decimal" => (ValueRef::Decimal(text), KeyType::Decimal),
            "uuid" => (ValueRef::Uuid(text.parse().unwrap()), KeyType::Uuid),
            "datetime" => {
                let time = DateTime::parse_from_rfc3339(text).unwrap();
                (ValueRef::Timestamp(time), KeyType::Datetime)
            }
            other => panic!("{other}"),
        }
    }

    #[test]
    fn every_vector_gives_its_bucket() {
        let rows = vectors();
        assert_eq!(rows.len(), 140);
        for (kinds, key, expected) in &rows {
            // A text key may hold a `|`, so the key is split only where there are several columns.
            let kinds: Vec<_> = kinds.split(',').collect();
            let parts = key.splitn(kinds.len(), '|');
            let values = kinds
                .iter()
                .zip(parts)
                .map(|(kind, text)| value(kind, text));
            let bucket = bucket_id(values, 3000, Hashing::default()).unwrap();
            assert_eq!(bucket, *expected, "{kinds:?} {key}");
        }
    }

    #[test]
    fn the_newer_form_differs_for_doubles_that_are_no_integers_alone() {
        let newer = Hashing {
            doubles: DoubleForm::of_version("26.1.1"),
            ..Hashing::default()
        };
        let mut differ = 0;
        for (kinds, key, expected) in vectors() {
            if kinds.contains(',') {
                continue;
            }
            let bucket = bucket_id([value(&kinds, &key)], 3000, newer).unwrap();
            let fractional =
                kinds == "double" && key.parse::<f64>().is_ok_and(|v| v.fract() != 0.0);
            if fractional {
                differ += usize::from(bucket != expected);
            } else {
                assert_eq!(bucket, expected, "{kinds} {key}");
            }
        }
        assert!(differ > 10, "{differ}");
        let mut bytes = Vec::new();
        double(0.5, DoubleForm::Bare, &mut bytes);
        assert_eq!(bytes, [0x3f, 0xe0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn versions_are_told_apart() {
        for (version, form) in [
            ("25.5.7", DoubleForm::Marked),
            ("25.6.0", DoubleForm::Marked),
            ("26.0.9", DoubleForm::Marked),
            ("26.1.0", DoubleForm::Bare),
            ("26.1.1-0-g1234", DoubleForm::Bare),
            ("27.0", DoubleForm::Bare),
            ("", DoubleForm::Marked),
            ("devel", DoubleForm::Marked),
        ] {
            assert_eq!(DoubleForm::of_version(version), form, "{version}");
        }
    }

    fn encoded(value: ValueRef<'_>, key_type: KeyType) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        encode(value, key_type, Hashing::default(), &mut out).map(|()| out)
    }

    #[test]
    fn integers_take_their_shortest_form() {
        // The bounds of each form in the MessagePack specification.
        let table: [(i64, &[u8]); 17] = [
            (0, &[0]),
            (127, &[0x7f]),
            (128, &[0xcc, 0x80]),
            (255, &[0xcc, 0xff]),
            (256, &[0xcd, 1, 0]),
            (65_535, &[0xcd, 0xff, 0xff]),
            (65_536, &[0xce, 0, 1, 0, 0]),
            (0xffff_ffff, &[0xce, 0xff, 0xff, 0xff, 0xff]),
            (0x1_0000_0000, &[0xcf, 0, 0, 0, 1, 0, 0, 0, 0]),
            (-1, &[0xff]),
            (-32, &[0xe0]),
            (-33, &[0xd0, 0xdf]),
            (-128, &[0xd0, 0x80]),
            (-129, &[0xd1, 0xff, 0x7f]),
            (-32_769, &[0xd2, 0xff, 0xff, 0x7f, 0xff]),
            (-2_147_483_648, &[0xd2, 0x80, 0, 0, 0]),
            (i64::MIN, &[0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0]),
        ];
        for (value, bytes) in table {
            let encoded = encoded(ValueRef::Int(value), KeyType::Integer).unwrap();
            assert_eq!(encoded, bytes, "{value}");
        }
    }

    #[test]
    fn doubles_that_are_integers_are_hashed_as_such() {
        let bytes = |value| encoded(ValueRef::Float(value), KeyType::Double).unwrap();
        assert_eq!(bytes(5.0), [5]);
        assert_eq!(bytes(-0.0), [0]);
        assert_eq!(bytes(1.8e19)[0], 0xcf);
        assert_eq!(
            bytes(9_223_372_036_854_775_808.0),
            [0xcf, 0x80, 0, 0, 0, 0, 0, 0, 0]
        );
        assert_eq!(bytes(18_446_744_073_709_551_616.0)[0], 0xcb);
        assert_eq!(bytes(-1e300)[0], 0xcb);
        assert_eq!(bytes(f64::INFINITY)[0], 0xcb);
        assert_eq!(bytes(f64::NAN)[0], 0xcb);
        assert_eq!(
            encoded(ValueRef::Int(5), KeyType::Double).unwrap(),
            bytes(5.0)
        );
    }

    #[test]
    fn decimals_keep_their_digits() {
        let text = |text| encoded(ValueRef::Decimal(text), KeyType::Decimal);
        let table: [(&str, Option<&[u8]>); 21] = [
            ("1", Some(&[0xd5, 1, 0, 0x1c])),
            ("1.0", Some(&[0xc7, 3, 1, 1, 0x01, 0x0c])),
            ("-1", Some(&[0xd5, 1, 0, 0x1d])),
            ("+001", Some(&[0xd5, 1, 0, 0x1c])),
            ("12", Some(&[0xc7, 3, 1, 0, 0x01, 0x2c])),
            (".5", Some(&[0xd5, 1, 1, 0x5c])),
            ("5.", Some(&[0xd5, 1, 0, 0x5c])),
            ("0.00", Some(&[0xd5, 1, 2, 0x0c])),
            ("1E-10", Some(&[0xd5, 1, 10, 0x1c])),
            ("1e+2", Some(&[0xd5, 1, 0xfe, 0x1c])),
            ("1E38", None),
            ("1E-39", None),
            ("123456789012345678901234567890123456789", None),
            ("1E999999999999", None),
            ("1E2147483648", None),
            ("0.1E-2147483648", None),
            ("NaN", None),
            ("", None),
            (".", None),
            ("-", None),
            ("1,5", None),
        ];
        for (written, bytes) in table {
            assert_eq!(text(written).as_deref(), bytes, "{written}");
        }
        assert_eq!(
            encoded(ValueRef::Int(-1), KeyType::Decimal),
            text("-1"),
            "an integer becomes a decimal in the server"
        );
        assert!(text("12345678901234567890123456789012345678").is_some());
    }

    #[test]
    fn decimals_in_plain_digits_have_no_exponent() {
        let plain = |text: &str| {
            let mut out = Vec::new();
            decimal(text, DecimalForm::Plain, &mut out).map(|()| out)
        };
        assert_eq!(plain("1E+2"), plain("100"));
        assert_eq!(plain("0E+5"), plain("0"));
        assert_eq!(plain("-0.0"), plain("0.0"));
        assert_eq!(plain("1E+38"), None);
        assert_eq!(plain("1E+2147483647"), None);
    }

    #[test]
    fn a_time_is_hashed_as_the_same_moment_in_utc() {
        let time = |text| {
            let time = DateTime::parse_from_rfc3339(text).unwrap();
            encoded(ValueRef::Timestamp(time), KeyType::Datetime).unwrap()
        };
        assert_eq!(time("1970-01-01T00:00:00Z")[..2], [0xd7, 4]);
        assert_eq!(time("1970-01-01T00:00:00.5Z")[..2], [0xd8, 4]);
        assert_eq!(
            time("2024-02-29T12:00:00+03:00"),
            time("2024-02-29T09:00:00Z")
        );
        assert_eq!(
            time("2024-02-29T12:00:00.000000999Z"),
            time("2024-02-29T12:00:00Z")
        );
    }

    #[test]
    fn a_value_of_another_type_has_no_bucket() {
        for (value, key_type) in [
            (ValueRef::Text("1"), KeyType::Integer),
            (ValueRef::Float(1.0), KeyType::Integer),
            (ValueRef::Int(1), KeyType::Text),
            (ValueRef::Float(1.0), KeyType::Decimal),
            (ValueRef::Bool(true), KeyType::Integer),
            (ValueRef::Blob(b"a"), KeyType::Text),
        ] {
            assert_eq!(encoded(value, key_type), None, "{value:?} {key_type:?}");
        }
        let error = bucket_id(
            [
                (ValueRef::Null, KeyType::Text),
                (ValueRef::Text("s3cret"), KeyType::Uuid),
            ],
            3000,
            Hashing::default(),
        )
        .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conversion);
        assert_eq!(
            error.message(),
            "value 2 of the sharding key is a text that has no bucket as a uuid"
        );
    }

    #[test]
    fn no_value_and_no_bucket_are_misuses() {
        for (values, count) in [
            (vec![], 3000),
            (vec![(ValueRef::Int(1), KeyType::Integer)], 0),
        ] {
            let error = bucket_id(values, count, Hashing::default()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Misuse);
        }
    }
}
