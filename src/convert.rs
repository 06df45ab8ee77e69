//! Conversions from a column to the caller's types.

use std::time::SystemTime;

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Utc};
use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};
use crate::row::Row;
use crate::time;
use crate::value::{Value, ValueRef};

/// A type that a column can be read as.
///
/// Conversions lose nothing: a number that does not fit is an error, and so is a NULL read as anything but
/// an `Option`, a [`Value`] or a [`ValueRef`].
pub trait FromValue<'a>: Sized {
    /// Converts a value.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conversion`], saying what the value is and what was asked for.
    fn from_value(value: ValueRef<'a>) -> Result<Self>;

    /// Takes the bytes of a text or a blob as they were sent, where the type wants no more than those.
    #[doc(hidden)]
    fn from_bytes(_bytes: &'a [u8]) -> Option<Self> {
        None
    }
}

#[cold]
fn mismatch<T>(value: ValueRef<'_>, wanted: &str) -> Result<T> {
    let text = match value {
        ValueRef::Null => format!("the value is null; read it as an optional {wanted}"),
        other => format!("the value is of type {}, not {wanted}", other.type_name()),
    };
    Err(Error::new(ErrorKind::Conversion, text))
}

#[cold]
fn out_of_range<T>(value: i64, wanted: &str) -> Result<T> {
    Err(Error::new(
        ErrorKind::Conversion,
        format!("{value} does not fit {wanted}"),
    ))
}

macro_rules! from_int {
    ($($type:ident),*) => {
        $(impl<'a> FromValue<'a> for $type {
            #[inline]
            fn from_value(value: ValueRef<'a>) -> Result<Self> {
                match value {
                    ValueRef::Int(int) => {
                        $type::try_from(int).or_else(|_| out_of_range(int, stringify!($type)))
                    }
                    ValueRef::Bool(bool) => Ok($type::from(bool)),
                    other => mismatch(other, stringify!($type)),
                }
            }
        })*
    };
}

from_int!(i8, i16, i32, i64, u8, u16, u32, u64, isize, usize);

impl<'a> FromValue<'a> for bool {
    #[inline]
    fn from_value(value: ValueRef<'a>) -> Result<Self> {
        match value {
            ValueRef::Bool(value) => Ok(value),
            ValueRef::Int(0) => Ok(false),
            ValueRef::Int(1) => Ok(true),
            ValueRef::Int(other) => out_of_range(other, "bool"),
            other => mismatch(other, "bool"),
        }
    }
}

/// The largest integer up to which every integer is a 64-bit float.
const EXACT_IN_F64: u64 = 1 << 53;

impl<'a> FromValue<'a> for f64 {
    #[inline]
    fn from_value(value: ValueRef<'a>) -> Result<Self> {
        match value {
            ValueRef::Float(value) => Ok(value),
            ValueRef::Int(value) if value.unsigned_abs() <= EXACT_IN_F64 => Ok(value as f64),
            ValueRef::Int(value) => out_of_range(value, "f64 without loss"),
            other => mismatch(other, "f64"),
        }
    }
}

impl<'a> FromValue<'a> for &'a str {
    #[inline]
    fn from_value(value: ValueRef<'a>) -> Result<Self> {
        match value {
            ValueRef::Text(text) | ValueRef::Decimal(text) | ValueRef::Json(text) => Ok(text),
            other => mismatch(other, "text"),
        }
    }
}

impl<'a> FromValue<'a> for String {
    #[inline]
    fn from_value(value: ValueRef<'a>) -> Result<Self> {
        <&str>::from_value(value).map(str::to_owned)
    }
}

impl<'a> FromValue<'a> for &'a [u8] {
    #[inline]
    fn from_value(value: ValueRef<'a>) -> Result<Self> {
        match value {
            ValueRef::Blob(bytes) => Ok(bytes),
            ValueRef::Text(text) => Ok(text.as_bytes()),
            other => mismatch(other, "blob"),
        }
    }

    fn from_bytes(bytes: &'a [u8]) -> Option<Self> {
        Some(bytes)
    }
}

impl<'a> FromValue<'a> for Vec<u8> {
    #[inline]
    fn from_value(value: ValueRef<'a>) -> Result<Self> {
        <&[u8]>::from_value(value).map(<[u8]>::to_vec)
    }

    fn from_bytes(bytes: &'a [u8]) -> Option<Self> {
        Some(bytes.to_vec())
    }
}

impl<'a> FromValue<'a> for DateTime<FixedOffset> {
    fn from_value(value: ValueRef<'a>) -> Result<Self> {
        match value {
            ValueRef::Timestamp(time) => Ok(time),
            ValueRef::Date(date) => Ok(Utc
                .from_utc_datetime(&date.and_time(NaiveTime::MIN))
                .fixed_offset()),
            ValueRef::Text(text) => time::parse_timestamp(text).ok_or_else(|| {
                Error::new(
                    ErrorKind::Conversion,
                    format!("the text {text:?} is not a timestamp"),
                )
            }),
            other => mismatch(other, "timestamp"),
        }
    }
}

impl<'a> FromValue<'a> for DateTime<Utc> {
    fn from_value(value: ValueRef<'a>) -> Result<Self> {
        DateTime::<FixedOffset>::from_value(value).map(|time| time.to_utc())
    }
}

impl<'a> FromValue<'a> for NaiveDateTime {
    fn from_value(value: ValueRef<'a>) -> Result<Self> {
        DateTime::<FixedOffset>::from_value(value).map(|time| time.naive_utc())
    }
}

impl<'a> FromValue<'a> for SystemTime {
    fn from_value(value: ValueRef<'a>) -> Result<Self> {
        DateTime::<FixedOffset>::from_value(value).map(SystemTime::from)
    }
}

impl<'a> FromValue<'a> for NaiveDate {
    fn from_value(value: ValueRef<'a>) -> Result<Self> {
        match value {
            ValueRef::Date(date) => Ok(date),
            other => {
                let time = DateTime::<FixedOffset>::from_value(other)?;
                if time.time() != NaiveTime::MIN {
                    return Err(Error::new(
                        ErrorKind::Conversion,
                        format!("{time} has a time of day; read it as a timestamp"),
                    ));
                }
                Ok(time.date_naive())
            }
        }
    }
}

impl<'a> FromValue<'a> for Uuid {
    fn from_value(value: ValueRef<'a>) -> Result<Self> {
        let parsed = match value {
            ValueRef::Uuid(uuid) => return Ok(uuid),
            ValueRef::Text(text) => Uuid::parse_str(text),
            ValueRef::Blob(bytes) => Uuid::from_slice(bytes),
            other => return mismatch(other, "uuid"),
        };
        parsed.map_err(|error| {
            Error::new(
                ErrorKind::Conversion,
                format!("the value is no uuid: {error}"),
            )
            .with_source(error)
        })
    }
}

impl<'a> FromValue<'a> for ValueRef<'a> {
    fn from_value(value: ValueRef<'a>) -> Result<Self> {
        Ok(value)
    }
}

impl<'a> FromValue<'a> for Value {
    fn from_value(value: ValueRef<'a>) -> Result<Self> {
        Ok(value.to_owned())
    }
}

impl<'a, T: FromValue<'a>> FromValue<'a> for Option<T> {
    #[inline]
    fn from_value(value: ValueRef<'a>) -> Result<Self> {
        match value {
            ValueRef::Null => Ok(None),
            value => T::from_value(value).map(Some),
        }
    }

    fn from_bytes(bytes: &'a [u8]) -> Option<Self> {
        T::from_bytes(bytes).map(Some)
    }
}

/// A type that a whole row can be read as: tuples of up to twelve columns.
pub trait FromRow<'a>: Sized {
    /// Converts a row.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conversion`] where the number of columns is another or a column cannot be converted.
    fn from_row(row: &Row<'a>) -> Result<Self>;
}

macro_rules! tuple_from_row {
    ($count:literal: $($type:ident $index:tt),+) => {
        impl<'a, $($type: FromValue<'a>),+> FromRow<'a> for ($($type,)+) {
            fn from_row(row: &Row<'a>) -> Result<Self> {
                if row.len() != $count {
                    return Err(Error::new(
                        ErrorKind::Conversion,
                        format!(
                            concat!("the row has {} columns, not ", $count),
                            row.len()
                        ),
                    ));
                }
                Ok(($(row.get::<$type>($index)?,)+))
            }
        }
    };
}

tuple_from_row!(1: A 0);
tuple_from_row!(2: A 0, B 1);
tuple_from_row!(3: A 0, B 1, C 2);
tuple_from_row!(4: A 0, B 1, C 2, D 3);
tuple_from_row!(5: A 0, B 1, C 2, D 3, E 4);
tuple_from_row!(6: A 0, B 1, C 2, D 3, E 4, F 5);
tuple_from_row!(7: A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple_from_row!(8: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
tuple_from_row!(9: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
tuple_from_row!(10: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
tuple_from_row!(11: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
tuple_from_row!(12: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_in_a_conversion() {
        assert_eq!(i64::from_value(ValueRef::Int(i64::MIN)).unwrap(), i64::MIN);
        assert!(i32::from_value(ValueRef::Int(1 << 40)).is_err());
        assert!(u64::from_value(ValueRef::Int(-1)).is_err());
        assert!(f64::from_value(ValueRef::Int(i64::MAX)).is_err());
        assert_eq!(f64::from_value(ValueRef::Int(-3)).unwrap(), -3.0);
        assert!(i64::from_value(ValueRef::Float(1.0)).is_err());
        assert!(bool::from_value(ValueRef::Int(2)).is_err());
        assert!(String::from_value(ValueRef::Null).is_err());
        assert_eq!(<Option<i64>>::from_value(ValueRef::Null).unwrap(), None);
    }

    #[test]
    fn a_timestamp_with_a_time_of_day_is_no_date() {
        let noon = time::parse_timestamp("2024-02-29 12:00").unwrap();
        assert!(NaiveDate::from_value(ValueRef::Timestamp(noon)).is_err());
        let day = time::parse_timestamp("2024-02-29").unwrap();
        assert_eq!(
            NaiveDate::from_value(ValueRef::Timestamp(day))
                .unwrap()
                .to_string(),
            "2024-02-29"
        );
    }
}
