//! Conversions from a column to the caller's types.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;
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
pub(crate) fn mismatch<T>(value: ValueRef<'_>, wanted: &str) -> Result<T> {
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

impl<'a> FromValue<'a> for f32 {
    #[inline]
    fn from_value(value: ValueRef<'a>) -> Result<Self> {
        let wide = f64::from_value(value)?;
        let narrow = wide as f32;
        match f64::from(narrow) == wide || wide.is_nan() {
            true => Ok(narrow),
            false => Err(Error::new(
                ErrorKind::Conversion,
                format!("{wide} does not fit f32 without loss"),
            )),
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

macro_rules! from_text {
    ($($type:ty),*) => {
        $(impl<'a> FromValue<'a> for $type {
            #[inline]
            fn from_value(value: ValueRef<'a>) -> Result<Self> {
                <&str>::from_value(value).map(Into::into)
            }
        })*
    };
}

from_text!(Box<str>, Rc<str>, Arc<str>, Cow<'a, str>);

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

macro_rules! from_blob {
    ($($type:ty),*) => {
        $(impl<'a> FromValue<'a> for $type {
            #[inline]
            fn from_value(value: ValueRef<'a>) -> Result<Self> {
                <&[u8]>::from_value(value).map(Into::into)
            }

            fn from_bytes(bytes: &'a [u8]) -> Option<Self> {
                Some(bytes.into())
            }
        })*
    };
}

from_blob!(Box<[u8]>, Rc<[u8]>, Arc<[u8]>, Cow<'a, [u8]>);

impl<'a, const N: usize> FromValue<'a> for [u8; N] {
    fn from_value(value: ValueRef<'a>) -> Result<Self> {
        let bytes = <&[u8]>::from_value(value)?;
        bytes.try_into().map_err(|_| {
            Error::new(
                ErrorKind::Conversion,
                format!("the value has {} bytes, not {N}", bytes.len()),
            )
        })
    }
}

impl<'a> FromValue<'a> for serde_json::Value {
    fn from_value(value: ValueRef<'a>) -> Result<Self> {
        let text = match value {
            ValueRef::Json(text) | ValueRef::Text(text) => text,
            other => return mismatch(other, "json"),
        };
        serde_json::from_str(text).map_err(|error| {
            Error::new(
                ErrorKind::Conversion,
                format!("the text is not JSON: {error}"),
            )
            .with_source(error)
        })
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

/// From a text such as `12:34:56.5`.
impl<'a> FromValue<'a> for NaiveTime {
    fn from_value(value: ValueRef<'a>) -> Result<Self> {
        let ValueRef::Text(text) = value else {
            return mismatch(value, "time of day");
        };
        let format = if text.len() == 5 {
            "%H:%M"
        } else {
            "%H:%M:%S%.f"
        };
        NaiveTime::parse_from_str(text, format).map_err(|error| {
            Error::new(
                ErrorKind::Conversion,
                format!("the text {text:?} is not a time of day"),
            )
            .with_source(error)
        })
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

/// A type that a whole row can be read as: a tuple of up to sixteen columns, the type of the one column of a row that
/// has one, or `Vec<Value>` for columns that are not known beforehand.
///
/// ```no_run
/// use quorate::{FromRow, Pool, Result, Row};
///
/// struct Item {
///     id: i64,
///     name: Option<String>,
/// }
///
/// impl FromRow<'_> for Item {
///     fn from_row(row: &Row<'_>) -> Result<Self> {
///         Ok(Item { id: row.get("id")?, name: row.get("name")? })
///     }
/// }
///
/// fn items(pool: &Pool) -> Result<Vec<Item>> {
///     let count: u64 = pool.query_row("SELECT count(*) FROM item", ())?;
///     println!("{count} items");
///     pool.query("SELECT id, name FROM item", ())?.typed().collect()
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "a row cannot be read as `{Self}`",
    note = "a row is read as a tuple, as a type that implements `FromRow`, or, where it has one column, as a type that \
            implements `FromValue`"
)]
pub trait FromRow<'a>: Sized {
    /// Converts a row.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conversion`] where the number of columns is another or a column cannot be converted.
    fn from_row(row: &Row<'a>) -> Result<Self>;
}

#[inline]
fn check_width(row: &Row<'_>, wanted: usize) -> Result<()> {
    if row.len() == wanted {
        return Ok(());
    }
    Err(wrong_width(row.len(), wanted))
}

#[cold]
fn wrong_width(width: usize, wanted: usize) -> Error {
    let s = if width == 1 { "" } else { "s" };
    Error::new(
        ErrorKind::Conversion,
        format!("the row has {width} column{s}, not {wanted}"),
    )
}

/// The one column of a row.
impl<'a, T: FromValue<'a>> FromRow<'a> for T {
    fn from_row(row: &Row<'a>) -> Result<Self> {
        check_width(row, 1)?;
        row.get(0)
    }
}

/// All columns, whatever they hold.
impl<'a> FromRow<'a> for Vec<Value> {
    fn from_row(row: &Row<'a>) -> Result<Self> {
        (0..row.len()).map(|index| row.get(index)).collect()
    }
}

macro_rules! tuple_from_row {
    ($count:literal: $($type:ident $index:tt),+) => {
        impl<'a, $($type: FromValue<'a>),+> FromRow<'a> for ($($type,)+) {
            fn from_row(row: &Row<'a>) -> Result<Self> {
                check_width(row, $count)?;
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
tuple_from_row!(13: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12);
tuple_from_row!(14: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13);
tuple_from_row!(15: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13, O 14);
tuple_from_row!(16: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13, O 14, P 15);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::ToValue;
    use crate::row::{Cell, Columns};

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
    fn a_narrow_float_is_read_where_nothing_is_lost() {
        assert_eq!(f32::from_value(ValueRef::Float(1.5)).unwrap(), 1.5);
        assert_eq!(f32::from_value(ValueRef::Int(3)).unwrap(), 3.0);
        let stored = f64::from(0.1f32);
        assert_eq!(f32::from_value(ValueRef::Float(stored)).unwrap(), 0.1);
        assert!(f32::from_value(ValueRef::Float(f64::NAN)).unwrap().is_nan());
        for wide in [0.1, 1e300] {
            let error = f32::from_value(ValueRef::Float(wide)).unwrap_err();
            assert!(error.message().contains("without loss"), "{error}");
        }
    }

    #[test]
    fn text_and_bytes_are_read_as_what_holds_them() {
        let text = ValueRef::Text("a");
        assert_eq!(&*<Box<str>>::from_value(text).unwrap(), "a");
        assert_eq!(&*<Arc<str>>::from_value(text).unwrap(), "a");
        assert!(matches!(
            <Cow<'_, str>>::from_value(text).unwrap(),
            Cow::Borrowed("a")
        ));
        let blob = ValueRef::Blob(&[1, 2]);
        assert_eq!(*<Box<[u8]>>::from_value(blob).unwrap(), [1, 2]);
        assert_eq!(<[u8; 2]>::from_value(blob).unwrap(), [1, 2]);
        let error = <[u8; 3]>::from_value(blob).unwrap_err();
        assert_eq!(error.message(), "the value has 2 bytes, not 3");
    }

    #[test]
    fn a_time_of_day_is_a_text() {
        for text in ["12:34:56.500", "00:00:00", "23:59:60"] {
            let time = NaiveTime::from_value(ValueRef::Text(text)).unwrap();
            assert_eq!(time.to_value().unwrap().as_ref(), ValueRef::Text(text));
        }
        assert!(NaiveTime::from_value(ValueRef::Text("12:34")).is_ok());
        for value in [ValueRef::Text("noon"), ValueRef::Int(12)] {
            let error = NaiveTime::from_value(value).unwrap_err();
            assert!(error.message().contains("time of day"), "{error}");
        }
    }

    #[test]
    fn json_is_read_from_json_and_from_text() {
        for value in [ValueRef::Json("[1]"), ValueRef::Text("[1]")] {
            let json = serde_json::Value::from_value(value).unwrap();
            assert_eq!(json, serde_json::json!([1]));
        }
        let error = serde_json::Value::from_value(ValueRef::Text("[1")).unwrap_err();
        assert!(error.message().starts_with("the text is not JSON"));
    }

    #[test]
    fn a_row_of_one_column_is_read_as_its_type() {
        let columns = Columns::new([("n".to_owned(), None)]);
        let cells = [Cell::Int(7)];
        let row = Row::new(&columns, &cells, &[]);
        assert_eq!(row.read::<i64>().unwrap(), 7);
        assert_eq!(row.read::<(i64,)>().unwrap(), (7,));
        assert_eq!(row.read::<Vec<Value>>().unwrap(), [Value::Int(7)]);
        let error = row.read::<String>().unwrap_err();
        assert!(error.message().starts_with("column 0 (\"n\")"), "{error}");
        let error = row.read::<(i64, i64)>().unwrap_err();
        assert_eq!(error.message(), "the row has 1 column, not 2");
        let columns = Columns::new([("n".to_owned(), None), ("m".to_owned(), None)]);
        let cells = [Cell::Int(7), Cell::Null];
        let row = Row::new(&columns, &cells, &[]);
        let error = row.read::<i64>().unwrap_err();
        assert_eq!(error.message(), "the row has 2 columns, not 1");
        let all: Vec<Value> = row.read().unwrap();
        assert_eq!(all, [Value::Int(7), Value::Null]);
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
