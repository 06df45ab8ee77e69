//! The types of columns and parameters, and their two formats on the wire.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use rusqlite::types::Value;
use uuid::Uuid;

use super::error::PgError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    Boolean,
    Integer,
    Text,
    Double,
    Decimal,
    Uuid,
    Datetime,
    Json,
    /// Of a bare NULL.
    Unknown,
}

use Type::{Boolean, Datetime, Decimal, Double, Integer, Json, Text, Unknown};

impl Type {
    /// The type that a result has.
    pub fn oid(self) -> u32 {
        match self {
            Boolean => 16,
            Integer => 20,
            Text => 25,
            Json => 114,
            Double => 701,
            Unknown => 705,
            Datetime => 1184,
            Decimal => 1700,
            Type::Uuid => 2950,
        }
    }

    /// The type of a parameter that a client declares; `None` for one that the server has to find out.
    pub fn of_parameter(oid: u32) -> Result<Option<Type>, PgError> {
        let refused = |name: &str| Err(PgError::unsupported(format!("{name} parameters")));
        match oid {
            0 | 705 => Ok(None),
            16 => Ok(Some(Boolean)),
            20 | 21 | 23 => Ok(Some(Integer)),
            25 | 1043 => Ok(Some(Text)),
            701 => Ok(Some(Double)),
            1184 => Ok(Some(Datetime)),
            1700 => Ok(Some(Decimal)),
            2950 => Ok(Some(Type::Uuid)),
            17 => refused("bytea"),
            18 => refused("char"),
            19 => refused("name"),
            26 => refused("oid"),
            114 => refused("json"),
            700 => refused("float4"),
            1007 => refused("_int4"),
            1082 => refused("date"),
            1114 => refused("timestamp"),
            _ => Err(PgError::unsupported(format!("parameter oid {oid}"))),
        }
    }

    /// The type that SQL calls `name`.
    pub fn named(name: &str) -> Option<Type> {
        Some(match name {
            "bool" | "boolean" => Boolean,
            "int" | "integer" | "bigint" | "smallint" | "unsigned" | "int2" | "int4" | "int8" => {
                Integer
            }
            "text" | "string" | "varchar" => Text,
            "double" => Double,
            "decimal" | "numeric" | "number" => Decimal,
            "uuid" => Type::Uuid,
            "datetime" => Datetime,
            "json" => Json,
            _ => return None,
        })
    }

    /// What the column is declared as in SQLite: the affinity that keeps the value, and the type's name.
    pub fn declaration(self) -> &'static str {
        match self {
            Boolean => "BOOLEAN",
            Integer => "INTEGER",
            Text | Unknown => "TEXT",
            Double => "DOUBLE",
            Decimal => "DECIMAL TEXT",
            Type::Uuid => "UUID TEXT",
            Datetime => "DATETIME TEXT",
            Json => "JSON TEXT",
        }
    }

    pub fn declared(declaration: &str) -> Option<Type> {
        [
            Boolean,
            Integer,
            Text,
            Double,
            Decimal,
            Type::Uuid,
            Datetime,
            Json,
        ]
        .into_iter()
        .find(|one| one.declaration() == declaration)
    }

    /// The affinity for a CAST in SQLite; a boolean stays what it is.
    pub fn cast(self) -> Option<&'static str> {
        match self {
            Boolean => None,
            Integer => Some("INTEGER"),
            Double => Some("REAL"),
            _ => Some("TEXT"),
        }
    }

    /// The word of `_pico_table.format`.
    pub fn field_type(self) -> &'static str {
        match self {
            Boolean => "boolean",
            Integer => "integer",
            Text | Unknown => "string",
            Double => "double",
            Decimal => "decimal",
            Type::Uuid => "uuid",
            Datetime => "datetime",
            Json => "any",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Boolean => "bool",
            Integer => "int8",
            Text | Unknown => "text",
            Double => "float8",
            Decimal => "numeric",
            Type::Uuid => "uuid",
            Datetime => "timestamptz",
            Json => "json",
        }
    }

    /// A parameter's value as SQLite keeps it; `oid` is the type that was declared for it.
    pub fn decode(self, oid: u32, binary: bool, bytes: &[u8]) -> Result<Value, PgError> {
        if binary {
            self.decode_binary(oid, bytes).ok_or_else(|| {
                PgError::new(
                    "22P03",
                    format!("decoding error: binary data is not a valid {}", self.name()),
                )
            })
        } else {
            let text = str::from_utf8(bytes)
                .map_err(|error| PgError::new("22P02", format!("decoding error: {error}")))?;
            self.decode_text(text).ok_or_else(|| {
                PgError::new(
                    "22P02",
                    format!("decoding error: '{text}' is not a valid {}", self.name()),
                )
            })
        }
    }

    pub fn decode_text(self, text: &str) -> Option<Value> {
        let trimmed = text.trim();
        Some(match self {
            Boolean => Value::Integer(match &*trimmed.to_ascii_lowercase() {
                "t" | "true" | "y" | "yes" | "on" | "1" => 1,
                "f" | "false" | "n" | "no" | "off" | "0" => 0,
                _ => return None,
            }),
            Integer => Value::Integer(trimmed.parse().ok()?),
            Double => Value::Real(trimmed.parse().ok()?),
            Decimal => Value::Text(decimal(trimmed)?),
            Type::Uuid => Value::Text(Uuid::parse_str(trimmed).ok()?.to_string()),
            Datetime => Value::Text(stored(parse_datetime(trimmed)?)),
            Text | Json | Unknown => Value::Text(text.to_owned()),
        })
    }

    fn decode_binary(self, oid: u32, bytes: &[u8]) -> Option<Value> {
        Some(match self {
            Boolean => Value::Integer(match bytes {
                [0] => 0,
                [_] => 1,
                _ => return None,
            }),
            Integer => Value::Integer(match oid {
                21 => i16::from_be_bytes(bytes.try_into().ok()?).into(),
                23 => i32::from_be_bytes(bytes.try_into().ok()?).into(),
                _ => i64::from_be_bytes(bytes.try_into().ok()?),
            }),
            Double => Value::Real(f64::from_be_bytes(bytes.try_into().ok()?)),
            Decimal => Value::Text(decimal_of(&decimal(&numeric_text(bytes)?)?)?),
            Type::Uuid => Value::Text(Uuid::from_slice(bytes).ok()?.to_string()),
            Datetime => {
                let micros = i64::from_be_bytes(bytes.try_into().ok()?);
                Value::Text(stored(DateTime::from_timestamp_micros(
                    micros.checked_add(EPOCH_MICROS)?,
                )?))
            }
            Text | Json | Unknown => Value::Text(String::from_utf8(bytes.to_vec()).ok()?),
        })
    }

    /// A result's value; `None` is NULL.
    pub fn encode(self, binary: bool, value: &Value) -> Result<Option<Vec<u8>>, PgError> {
        if *value == Value::Null {
            return Ok(None);
        }
        let bytes = if binary {
            if self == Decimal && plain(value).is_some_and(|text| places(&text) > BINARY_PLACES) {
                return Err(PgError::sql(
                    "encoding error: Number has a high precision that can not be represented.",
                ));
            }
            self.encode_binary(value)
        } else {
            self.encode_text(value).map(String::into_bytes)
        };
        bytes.map(Some).ok_or_else(|| {
            PgError::unsupported(format!(
                "{value:?} cannot be represented as a value of type {}",
                self.name()
            ))
        })
    }

    fn encode_text(self, value: &Value) -> Option<String> {
        Some(match (self, value) {
            (Boolean, Value::Integer(number)) => if *number != 0 { "t" } else { "f" }.to_owned(),
            (Integer, Value::Integer(number)) => number.to_string(),
            (Integer, Value::Real(number)) => (number.trunc() as i64).to_string(),
            (Double, Value::Real(number)) => number.to_string(),
            (Double, Value::Integer(number)) => number.to_string(),
            (Decimal, value) => decimal(&plain(value)?)?,
            (Datetime, Value::Text(text)) => stored(parse_datetime(text)?).replace(".000000", ""),
            (Type::Uuid, Value::Text(text)) => Uuid::parse_str(text).ok()?.to_string(),
            (Text | Json | Unknown, value) => plain(value)?,
            _ => return None,
        })
    }

    fn encode_binary(self, value: &Value) -> Option<Vec<u8>> {
        Some(match (self, value) {
            (Boolean, Value::Integer(number)) => vec![u8::from(*number != 0)],
            (Integer, Value::Integer(number)) => number.to_be_bytes().to_vec(),
            (Integer, Value::Real(number)) => (number.trunc() as i64).to_be_bytes().to_vec(),
            (Double, Value::Real(number)) => number.to_be_bytes().to_vec(),
            (Double, Value::Integer(number)) => (*number as f64).to_be_bytes().to_vec(),
            (Decimal, value) => numeric_bytes(&decimal(&plain(value)?)?)?,
            (Datetime, Value::Text(text)) => (parse_datetime(text)?.timestamp_micros()
                - EPOCH_MICROS)
                .to_be_bytes()
                .to_vec(),
            (Type::Uuid, Value::Text(text)) => Uuid::parse_str(text).ok()?.as_bytes().to_vec(),
            (Text | Json | Unknown, value) => plain(value)?.into_bytes(),
            _ => return None,
        })
    }
}

/// 2000-01-01, where PostgreSQL's time begins, in microseconds since 1970.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

fn plain(value: &Value) -> Option<String> {
    Some(match value {
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        _ => return None,
    })
}

fn stored(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%S%.6f+00").to_string()
}

fn parse_datetime(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.to_utc());
    }
    for format in ["%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M:%S%.f%#z"] {
        if let Ok(time) = DateTime::parse_from_str(text, format) {
            return Some(time.to_utc());
        }
    }
    for format in ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"] {
        if let Ok(time) = NaiveDateTime::parse_from_str(text, format) {
            return Some(time.and_utc());
        }
    }
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    Some(date.and_time(NaiveTime::MIN).and_utc())
}

/// A decimal number in plain digits, without an exponent.
fn decimal(text: &str) -> Option<String> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (sign, digits) = match mantissa.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{fraction}");
    if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) || exponent.abs() > 38 {
        return None;
    }
    let point = whole.len() as i32 + exponent;
    let (whole, fraction) = if point <= 0 {
        ("0".to_owned(), "0".repeat((-point) as usize) + &all)
    } else if point as usize >= all.len() {
        (
            all.clone() + &"0".repeat(point as usize - all.len()),
            String::new(),
        )
    } else {
        (
            all[..point as usize].to_owned(),
            all[point as usize..].to_owned(),
        )
    };
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let number = if fraction.is_empty() {
        whole.to_owned()
    } else {
        format!("{whole}.{fraction}")
    };
    let zero = number.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    Some(if zero {
        number
    } else {
        format!("{sign}{number}")
    })
}

/// The most digits, and the most behind the point, of a decimal number in binary: what `rust_decimal` holds.
const BINARY_PLACES: usize = 28;

/// The digits of a number in plain digits, or those behind its point, whichever are more.
fn places(text: &str) -> usize {
    let digits = text.trim_start_matches('-').trim_start_matches('0');
    let fraction = text
        .split_once('.')
        .map_or(0, |(_, fraction)| fraction.len());
    let count = digits.bytes().filter(u8::is_ascii_digit).count();
    count.max(fraction)
}

/// What Picodata takes a binary number for: it is cut to 28 places, where Picodata rounds; a larger one is refused,
/// and some of those end the server.
fn decimal_of(text: &str) -> Option<String> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.trim_start_matches('-').trim_start_matches('0').len() > BINARY_PLACES {
        return None;
    }
    let kept: String = fraction.chars().take(BINARY_PLACES).collect();
    decimal(&format!("{whole}.{kept}"))
}

/// The binary form of numeric: groups of four decimal digits.
fn numeric_bytes(text: &str) -> Option<Vec<u8>> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = whole.trim_start_matches('0');
    let padded = format!("{}{whole}", "0".repeat((4 - whole.len() % 4) % 4));
    let tail = format!("{fraction}{}", "0".repeat((4 - fraction.len() % 4) % 4));
    let mut groups: Vec<i16> = Vec::new();
    for part in [&padded, &tail] {
        for group in part.as_bytes().chunks(4) {
            groups.push(str::from_utf8(group).ok()?.parse().ok()?);
        }
    }
    let mut weight = (padded.len() / 4) as i16 - 1;
    while groups.first() == Some(&0) {
        groups.remove(0);
        weight -= 1;
    }
    while groups.last() == Some(&0) {
        groups.pop();
    }
    if groups.is_empty() {
        weight = 0;
    }
    let mut bytes = Vec::new();
    bytes.extend((groups.len() as i16).to_be_bytes());
    bytes.extend(weight.to_be_bytes());
    bytes.extend(if negative { 0x4000_u16 } else { 0 }.to_be_bytes());
    bytes.extend((fraction.len() as i16).to_be_bytes());
    for group in groups {
        bytes.extend(group.to_be_bytes());
    }
    Some(bytes)
}

fn numeric_text(bytes: &[u8]) -> Option<String> {
    let mut words = bytes
        .chunks(2)
        .map(|pair| pair.try_into().map(i16::from_be_bytes).ok());
    let count = usize::try_from(words.next()??).ok()?;
    let weight = words.next()??;
    let sign = words.next()??;
    let scale = usize::try_from(words.next()??).ok()?;
    let groups = words.collect::<Option<Vec<i16>>>()?;
    if groups.len() != count || !matches!(sign, 0 | 0x4000) {
        return None;
    }
    let group = |position: i32| {
        usize::try_from(position)
            .ok()
            .and_then(|index| groups.get(index))
            .copied()
            .unwrap_or(0)
    };
    let mut text = String::from(if sign == 0 { "" } else { "-" });
    text.push('0');
    for position in 0..=i32::from(weight) {
        text.push_str(&format!("{:04}", group(position)));
    }
    let mut fraction = String::new();
    for step in 0..scale.div_ceil(4) {
        fraction.push_str(&format!(
            "{:04}",
            group(i32::from(weight) + 1 + step as i32)
        ));
    }
    fraction.truncate(scale);
    if scale > 0 {
        text.push('.');
        text.push_str(&fraction);
    }
    Some(text)
}
