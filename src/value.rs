//! Values: what a parameter may be and what a column may hold, the same for both databases.

use chrono::{DateTime, FixedOffset, NaiveDate, Utc};
use uuid::Uuid;

/// A value that borrows its text and bytes.
///
/// Rows give their columns as this type, borrowed from the receive buffer, and parameters are sent from it.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum ValueRef<'a> {
    /// SQL's NULL.
    Null,
    /// A truth value.
    ///
    /// dqlite sends one for a column declared BOOLEAN alone, an integer for all others, and sends NULL in such
    /// a column as false: select the column as an expression, `+done`, to tell them apart.
    Bool(bool),
    /// A signed 64-bit integer; every narrower one is widened to it.
    Int(i64),
    /// A 64-bit IEEE 754 number. SQLite, thus dqlite, stores NaN as NULL, and in a column of floats -0.0 as 0.0.
    Float(f64),
    /// Text, always UTF-8.
    Text(&'a str),
    /// Bytes.
    Blob(&'a [u8]),
    /// A point in time with the offset from UTC that it was given with.
    Timestamp(DateTime<FixedOffset>),
    /// A calendar day.
    Date(NaiveDate),
    /// A universally unique identifier.
    Uuid(Uuid),
    /// A decimal number in its text form, which loses no digit.
    Decimal(&'a str),
    /// A JSON document in its text form. With PostgreSQL and Picodata also an array, read and as a parameter:
    /// `WHERE id = ANY($1)` takes `[1,2]`.
    Json(&'a str),
}

/// A value that owns its text and bytes.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub enum Value {
    /// SQL's NULL.
    #[default]
    Null,
    /// A truth value.
    Bool(bool),
    /// A signed 64-bit integer.
    Int(i64),
    /// A 64-bit IEEE 754 number.
    Float(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
    /// A point in time with the offset from UTC that it was given with.
    Timestamp(DateTime<FixedOffset>),
    /// A calendar day.
    Date(NaiveDate),
    /// A universally unique identifier.
    Uuid(Uuid),
    /// A decimal number in its text form.
    Decimal(String),
    /// A JSON document in its text form.
    Json(String),
}

/// The type of a value that is not NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ValueType {
    /// [`Value::Bool`]
    Bool,
    /// [`Value::Int`]
    Int,
    /// [`Value::Float`]
    Float,
    /// [`Value::Text`]
    Text,
    /// [`Value::Blob`]
    Blob,
    /// [`Value::Timestamp`]
    Timestamp,
    /// [`Value::Date`]
    Date,
    /// [`Value::Uuid`]
    Uuid,
    /// [`Value::Decimal`]
    Decimal,
    /// [`Value::Json`]
    Json,
}

impl ValueRef<'_> {
    /// The name of the value's type, as error messages use it.
    pub fn type_name(&self) -> &'static str {
        match self {
            ValueRef::Null => "null",
            ValueRef::Bool(_) => "bool",
            ValueRef::Int(_) => "int",
            ValueRef::Float(_) => "float",
            ValueRef::Text(_) => "text",
            ValueRef::Blob(_) => "blob",
            ValueRef::Timestamp(_) => "timestamp",
            ValueRef::Date(_) => "date",
            ValueRef::Uuid(_) => "uuid",
            ValueRef::Decimal(_) => "decimal",
            ValueRef::Json(_) => "json",
        }
    }

    /// Whether the value is NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, ValueRef::Null)
    }

    /// The value with text and bytes of its own.
    pub fn to_owned(&self) -> Value {
        match *self {
            ValueRef::Null => Value::Null,
            ValueRef::Bool(value) => Value::Bool(value),
            ValueRef::Int(value) => Value::Int(value),
            ValueRef::Float(value) => Value::Float(value),
            ValueRef::Text(value) => Value::Text(value.into()),
            ValueRef::Blob(value) => Value::Blob(value.into()),
            ValueRef::Timestamp(value) => Value::Timestamp(value),
            ValueRef::Date(value) => Value::Date(value),
            ValueRef::Uuid(value) => Value::Uuid(value),
            ValueRef::Decimal(value) => Value::Decimal(value.into()),
            ValueRef::Json(value) => Value::Json(value.into()),
        }
    }
}

impl Value {
    /// The same value, borrowed.
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Value::Null => ValueRef::Null,
            Value::Bool(value) => ValueRef::Bool(*value),
            Value::Int(value) => ValueRef::Int(*value),
            Value::Float(value) => ValueRef::Float(*value),
            Value::Text(value) => ValueRef::Text(value),
            Value::Blob(value) => ValueRef::Blob(value),
            Value::Timestamp(value) => ValueRef::Timestamp(*value),
            Value::Date(value) => ValueRef::Date(*value),
            Value::Uuid(value) => ValueRef::Uuid(*value),
            Value::Decimal(value) => ValueRef::Decimal(value),
            Value::Json(value) => ValueRef::Json(value),
        }
    }
}

macro_rules! value_from {
    ($($type:ty => |$value:ident| $result:expr),* $(,)?) => {
        $(impl From<$type> for Value {
            fn from($value: $type) -> Self {
                $result
            }
        })*
    };
}

value_from! {
    bool => |value| Value::Bool(value),
    i8 => |value| Value::Int(value.into()),
    i16 => |value| Value::Int(value.into()),
    i32 => |value| Value::Int(value.into()),
    i64 => |value| Value::Int(value),
    u8 => |value| Value::Int(value.into()),
    u16 => |value| Value::Int(value.into()),
    u32 => |value| Value::Int(value.into()),
    f32 => |value| Value::Float(value.into()),
    f64 => |value| Value::Float(value),
    &str => |value| Value::Text(value.into()),
    String => |value| Value::Text(value),
    &[u8] => |value| Value::Blob(value.into()),
    Vec<u8> => |value| Value::Blob(value),
    DateTime<FixedOffset> => |value| Value::Timestamp(value),
    DateTime<Utc> => |value| Value::Timestamp(value.fixed_offset()),
    NaiveDate => |value| Value::Date(value),
    Uuid => |value| Value::Uuid(value),
    serde_json::Value => |value| Value::Json(value.to_string()),
    ValueRef<'_> => |value| value.to_owned(),
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

impl<'a> From<&'a Value> for ValueRef<'a> {
    fn from(value: &'a Value) -> Self {
        value.as_ref()
    }
}
