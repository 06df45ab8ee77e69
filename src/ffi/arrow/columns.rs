//! The columns of a record batch: which Arrow type, and the buffers that Arrow wants for it.

use std::ffi::c_void;

use chrono::{DateTime, FixedOffset};

use super::super::value::{days, quorate_type};
use crate::convert::FromValue;
use crate::error::{Error, ErrorKind, Result};
use crate::value::{Value, ValueRef};

/// The Arrow type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Int64,
    Double,
    Text,
    Binary,
    Timestamp,
    Date,
    Uuid,
}

impl Kind {
    /// The type that a caller declares; `None` leaves it to the values.
    pub(super) fn of_type(kind: quorate_type) -> Option<Kind> {
        Some(match kind {
            quorate_type::Null => return None,
            quorate_type::Bool => Kind::Bool,
            quorate_type::Int64 => Kind::Int64,
            quorate_type::Double => Kind::Double,
            quorate_type::Text | quorate_type::Decimal | quorate_type::Json => Kind::Text,
            quorate_type::Blob => Kind::Binary,
            quorate_type::Timestamp => Kind::Timestamp,
            quorate_type::Date => Kind::Date,
            quorate_type::Uuid => Kind::Uuid,
        })
    }

    /// The type that holds all of `values`: their own where they have one, else the one that loses nothing,
    /// else text. `None` where there is none.
    pub(super) fn of_values(values: &[Value]) -> Option<Kind> {
        let kind = |value: &Value| Kind::of_type(quorate_type::of_value(&value.as_ref()));
        let mut kinds = values.iter().filter_map(kind);
        let first = kinds.next()?;
        let all = |allowed: &[Kind]| {
            let kinds = values.iter().filter_map(kind);
            kinds.into_iter().all(|kind| allowed.contains(&kind))
        };
        let exact = |value: &Value| f64::from_value(value.as_ref()).is_ok();
        Some(if all(&[first]) {
            first
        } else if all(&[Kind::Int64, Kind::Double])
            && values
                .iter()
                .all(|value| *value == Value::Null || exact(value))
        {
            Kind::Double
        } else if all(&[Kind::Text, Kind::Binary]) {
            Kind::Binary
        } else {
            Kind::Text
        })
    }

    /// The format string (Arrow C data interface, "Data type description").
    pub(super) fn format(self) -> &'static str {
        match self {
            Kind::Bool => "b",
            Kind::Int64 => "l",
            Kind::Double => "g",
            Kind::Text => "U",
            Kind::Binary => "Z",
            Kind::Timestamp => "tsu:UTC",
            Kind::Date => "tdD",
            Kind::Uuid => "w:16",
        }
    }
}

/// A column while it is filled.
pub(super) struct Builder {
    kind: Kind,
    len: usize,
    nulls: usize,
    validity: Vec<u8>,
    /// Numbers, by their bits: of ints, doubles and timestamps; offsets of texts and blobs.
    words: Vec<i64>,
    /// Days.
    days: Vec<i32>,
    /// The bits of truth values; the bytes of texts, blobs and uuids.
    bytes: Vec<u8>,
}

/// Memory that Arrow is given. A validity that is not needed has no pointer.
pub(super) enum Buffer {
    None,
    Bytes(Vec<u8>),
    Words(Vec<i64>),
    Days(Vec<i32>),
}

impl Buffer {
    pub(super) fn pointer(&self) -> Option<*const c_void> {
        match self {
            Buffer::None => None,
            Buffer::Bytes(bytes) => Some(bytes.as_ptr().cast()),
            Buffer::Words(words) => Some(words.as_ptr().cast()),
            Buffer::Days(days) => Some(days.as_ptr().cast()),
        }
    }
}

impl Builder {
    pub(super) fn new(kind: Kind) -> Self {
        let words = match kind {
            Kind::Text | Kind::Binary => vec![0],
            _ => Vec::new(),
        };
        Builder {
            kind,
            len: 0,
            nulls: 0,
            validity: Vec::new(),
            words,
            days: Vec::new(),
            bytes: Vec::new(),
        }
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn nulls(&self) -> usize {
        self.nulls
    }

    /// Puts a value at the end, which stays as it is where the value does not fit the type.
    pub(super) fn append(&mut self, value: ValueRef<'_>) -> Result<()> {
        let valid = value != ValueRef::Null;
        match self.kind {
            Kind::Bool => {
                let value = Option::<bool>::from_value(value)?.unwrap_or_default();
                push_bit(&mut self.bytes, self.len, value);
            }
            Kind::Int64 => {
                let value = Option::<i64>::from_value(value)?;
                self.words.push(value.unwrap_or_default());
            }
            Kind::Double => {
                let value = Option::<f64>::from_value(value)?.unwrap_or_default();
                self.words.push(value.to_bits().cast_signed());
            }
            Kind::Timestamp => {
                let value = Option::<DateTime<FixedOffset>>::from_value(value)?;
                self.words
                    .push(value.map_or(0, |time| time.timestamp_micros()));
            }
            Kind::Date => {
                let value = Option::<chrono::NaiveDate>::from_value(value)?.map_or(0, days);
                self.days.push(i32::try_from(value).unwrap_or_default());
            }
            Kind::Uuid => {
                let value = Option::<uuid::Uuid>::from_value(value)?.unwrap_or_default();
                self.bytes.extend_from_slice(value.as_bytes());
            }
            Kind::Text => {
                push_text(&mut self.bytes, value)?;
                self.words.push(self.bytes.len() as i64);
            }
            Kind::Binary => {
                let value = Option::<&[u8]>::from_value(value)?;
                self.bytes.extend_from_slice(value.unwrap_or_default());
                self.words.push(self.bytes.len() as i64);
            }
        }
        push_bit(&mut self.validity, self.len, valid);
        self.len += 1;
        self.nulls += usize::from(!valid);
        Ok(())
    }

    /// The buffers in Arrow's order: validity, then offsets where there are any, then the values.
    pub(super) fn finish(self) -> Vec<Buffer> {
        let validity = if self.nulls == 0 {
            Buffer::None
        } else {
            Buffer::Bytes(self.validity)
        };
        match self.kind {
            Kind::Bool | Kind::Uuid => vec![validity, Buffer::Bytes(self.bytes)],
            Kind::Int64 | Kind::Double | Kind::Timestamp => {
                vec![validity, Buffer::Words(self.words)]
            }
            Kind::Date => vec![validity, Buffer::Days(self.days)],
            Kind::Text | Kind::Binary => vec![
                validity,
                Buffer::Words(self.words),
                Buffer::Bytes(self.bytes),
            ],
        }
    }
}

fn push_bit(bits: &mut Vec<u8>, index: usize, bit: bool) {
    if index.is_multiple_of(8) {
        bits.push(0);
    }
    if let Some(last) = bits.last_mut() {
        *last |= u8::from(bit) << (index % 8);
    }
}

/// Any value but a blob as text.
fn push_text(bytes: &mut Vec<u8>, value: ValueRef<'_>) -> Result<()> {
    let text = match value {
        ValueRef::Null => return Ok(()),
        ValueRef::Text(text) | ValueRef::Decimal(text) | ValueRef::Json(text) => {
            bytes.extend_from_slice(text.as_bytes());
            return Ok(());
        }
        ValueRef::Bool(value) => value.to_string(),
        ValueRef::Int(value) => value.to_string(),
        ValueRef::Float(value) => value.to_string(),
        ValueRef::Timestamp(time) => time.to_rfc3339(),
        ValueRef::Date(date) => date.to_string(),
        ValueRef::Uuid(uuid) => uuid.to_string(),
        ValueRef::Blob(_) => {
            return Err(Error::new(
                ErrorKind::Conversion,
                "the value is of type blob, and the column is text",
            ));
        }
    };
    bytes.extend_from_slice(text.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_has_the_type_that_loses_nothing() {
        let text = || Value::Text("a".into());
        for (values, kind) in [
            (vec![], None),
            (vec![Value::Null], None),
            (vec![Value::Null, Value::Int(1)], Some(Kind::Int64)),
            (vec![Value::Int(1), Value::Float(0.5)], Some(Kind::Double)),
            (
                vec![Value::Int(i64::MAX), Value::Float(0.5)],
                Some(Kind::Text),
            ),
            (vec![text(), Value::Blob(vec![0])], Some(Kind::Binary)),
            (vec![text(), Value::Int(1)], Some(Kind::Text)),
            (vec![Value::Bool(true)], Some(Kind::Bool)),
        ] {
            assert_eq!(Kind::of_values(&values), kind, "{values:?}");
        }
    }

    #[test]
    fn nulls_are_bits_and_offsets_go_on_past_them() {
        let mut column = Builder::new(Kind::Text);
        for value in [ValueRef::Text("ab"), ValueRef::Null, ValueRef::Int(7)] {
            column.append(value).unwrap();
        }
        assert!(column.append(ValueRef::Blob(&[1])).is_err());
        assert_eq!((column.len(), column.nulls()), (3, 1));
        let [
            Buffer::Bytes(validity),
            Buffer::Words(offsets),
            Buffer::Bytes(bytes),
        ] = <[Buffer; 3]>::try_from(column.finish()).ok().unwrap()
        else {
            panic!("a column of text has three buffers");
        };
        assert_eq!(validity, [0b101]);
        assert_eq!(offsets, [0, 2, 2, 3]);
        assert_eq!(bytes, b"ab7");
    }
}
