//! Values
//!
//! A parameter is a `quorate_value`, and `quorate_rows_get_value` and `quorate_rows_fetch_values` answer such.
//! Its layout is part of the interface: on machines with 64-bit pointers it is 32 bytes long, the member
//! `data` at byte 16. Fill one by hand or with the `quorate_make_…` functions below.

use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::ptr::null;

use chrono::{DateTime, Datelike, FixedOffset, NaiveDate};
use uuid::Uuid;

use super::status::{Answer, Failure};
use super::view::{QUORATE_NUL_TERMINATED, SHORT, is_ascii, is_short_ascii, slice, text, utf8};
use crate::params::ParamsRef;
use crate::row::{Cell, Row};
use crate::value::{ValueRef, ValueType};

/// The type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(i32)]
pub enum quorate_type {
    /// SQL's NULL. No member of `data` is used.
    #[default]
    Null = 0,
    /// A truth value: `data.integer` is 0 or not.
    Bool = 1,
    /// A signed 64-bit integer: `data.integer`.
    Int64 = 2,
    /// A 64-bit IEEE 754 number: `data.real`.
    Double = 3,
    /// UTF-8 text: `data.bytes`.
    Text = 4,
    /// Bytes: `data.bytes`.
    Blob = 5,
    /// A point in time: `data.timestamp`.
    Timestamp = 6,
    /// A calendar day: `data.integer` counts days from 1970-01-01.
    Date = 7,
    /// A universally unique identifier: `data.uuid`.
    Uuid = 8,
    /// A decimal number in its text form: `data.bytes`.
    Decimal = 9,
    /// A JSON document in its text form: `data.bytes`.
    Json = 10,
}

impl quorate_type {
    pub(super) fn of(number: i32) -> Option<Self> {
        Some(match number {
            0 => quorate_type::Null,
            1 => quorate_type::Bool,
            2 => quorate_type::Int64,
            3 => quorate_type::Double,
            4 => quorate_type::Text,
            5 => quorate_type::Blob,
            6 => quorate_type::Timestamp,
            7 => quorate_type::Date,
            8 => quorate_type::Uuid,
            9 => quorate_type::Decimal,
            10 => quorate_type::Json,
            _ => return None,
        })
    }

    /// That of a column; `Null` where it is not known.
    pub(super) fn of_column(value_type: Option<ValueType>) -> Self {
        let Some(value_type) = value_type else {
            return quorate_type::Null;
        };
        match value_type {
            ValueType::Bool => quorate_type::Bool,
            ValueType::Int => quorate_type::Int64,
            ValueType::Float => quorate_type::Double,
            ValueType::Text => quorate_type::Text,
            ValueType::Blob => quorate_type::Blob,
            ValueType::Timestamp => quorate_type::Timestamp,
            ValueType::Date => quorate_type::Date,
            ValueType::Uuid => quorate_type::Uuid,
            ValueType::Decimal => quorate_type::Decimal,
            ValueType::Json => quorate_type::Json,
        }
    }

    pub(super) fn of_value(value: &ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => quorate_type::Null,
            ValueRef::Bool(_) => quorate_type::Bool,
            ValueRef::Int(_) => quorate_type::Int64,
            ValueRef::Float(_) => quorate_type::Double,
            ValueRef::Text(_) => quorate_type::Text,
            ValueRef::Blob(_) => quorate_type::Blob,
            ValueRef::Timestamp(_) => quorate_type::Timestamp,
            ValueRef::Date(_) => quorate_type::Date,
            ValueRef::Uuid(_) => quorate_type::Uuid,
            ValueRef::Decimal(_) => quorate_type::Decimal,
            ValueRef::Json(_) => quorate_type::Json,
        }
    }
}

/// A point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct quorate_timestamp {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub seconds: i64,
    /// Nanoseconds after that, 0 to 999,999,999.
    pub nanoseconds: u32,
    /// Seconds east of UTC: the offset that the time was written with.
    pub utc_offset: i32,
}

impl From<DateTime<FixedOffset>> for quorate_timestamp {
    fn from(time: DateTime<FixedOffset>) -> Self {
        quorate_timestamp {
            seconds: time.timestamp(),
            // chrono counts a leap second as nanoseconds beyond a second.
            nanoseconds: time.timestamp_subsec_nanos().min(999_999_999),
            utc_offset: time.offset().local_minus_utc(),
        }
    }
}

/// Bytes that lie elsewhere.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct quorate_bytes {
    /// The first byte. May be NULL where `length` is 0.
    pub pointer: *const c_char,
    /// How many bytes there are. For a text that the caller gives, also `QUORATE_NUL_TERMINATED`.
    pub length: usize,
}

impl quorate_bytes {
    /// Bytes, which stay where they are.
    #[inline]
    pub(super) fn of_bytes(bytes: &[u8]) -> Self {
        quorate_bytes {
            pointer: bytes.as_ptr().cast(),
            length: bytes.len(),
        }
    }

    /// A text, which stays where it is.
    pub(super) fn of(text: &str) -> Self {
        quorate_bytes::of_bytes(text.as_bytes())
    }
}

/// What a value holds; its type says in which member.
#[derive(Clone, Copy)]
#[repr(C)]
pub union quorate_value_data {
    /// For `QUORATE_TYPE_BOOL`, `_INT64` and `_DATE`.
    pub integer: i64,
    /// For `QUORATE_TYPE_DOUBLE`.
    pub real: f64,
    /// For `QUORATE_TYPE_TEXT`, `_BLOB`, `_DECIMAL` and `_JSON`.
    pub bytes: quorate_bytes,
    /// For `QUORATE_TYPE_TIMESTAMP`.
    pub timestamp: quorate_timestamp,
    /// For `QUORATE_TYPE_UUID`.
    pub uuid: [u8; 16],
}

/// A value with its type, and for a parameter its name.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct quorate_value {
    /// A `quorate_type`.
    pub kind: i32,
    /// How many bytes `name` has, or `UINT32_MAX` for one that ends at its first NUL.
    pub name_length: u32,
    /// The name of the parameter, with or without its prefix (`:id`, `@id`, `$id`, `id`), or NULL for one that
    /// is bound by its position. The parameters of a call all have names, or none has. NULL in answers.
    pub name: *const c_char,
    /// The value itself.
    pub data: quorate_value_data,
}

impl Default for quorate_value {
    fn default() -> Self {
        quorate_value {
            kind: quorate_type::Null as i32,
            name_length: 0,
            name: null(),
            data: quorate_value_data { uuid: [0; 16] },
        }
    }
}

impl quorate_value {
    /// The value of a column; texts and bytes stay where they are.
    pub(super) fn of(value: ValueRef<'_>) -> Self {
        quorate_value::of_bytes_at(value, |bytes| bytes)
    }

    /// The value of a column, with its text or bytes where `place` has put them.
    #[inline]
    pub(super) fn of_bytes_at<'v, 'b>(
        value: ValueRef<'v>,
        place: impl FnOnce(&'v [u8]) -> &'b [u8],
    ) -> Self {
        let bytes = |bytes: &'v [u8]| quorate_value_data {
            bytes: quorate_bytes::of_bytes(place(bytes)),
        };
        let integer = |integer| quorate_value_data { integer };
        let data = match value {
            ValueRef::Null => integer(0),
            ValueRef::Bool(value) => integer(i64::from(value)),
            ValueRef::Int(value) => integer(value),
            ValueRef::Float(real) => quorate_value_data { real },
            ValueRef::Text(text) | ValueRef::Decimal(text) | ValueRef::Json(text) => {
                bytes(text.as_bytes())
            }
            ValueRef::Blob(blob) => bytes(blob),
            ValueRef::Timestamp(time) => quorate_value_data {
                timestamp: time.into(),
            },
            ValueRef::Date(date) => integer(days(date)),
            ValueRef::Uuid(uuid) => quorate_value_data {
                uuid: uuid.into_bytes(),
            },
        };
        quorate_value {
            kind: quorate_type::of_value(&value) as i32,
            data,
            ..quorate_value::default()
        }
    }

    /// Puts the value of a column that needs no conversion to `place`, with its text or bytes where `keep` has put
    /// them; false if it needs one.
    #[inline(always)]
    pub(super) fn put_plain<'v, 'b>(
        row: Row<'v>,
        column: usize,
        place: &mut Self,
        keep: impl FnOnce(&'v [u8]) -> &'b [u8],
    ) -> bool {
        let mut put = |kind, data| {
            *place = quorate_value {
                kind,
                data,
                ..quorate_value::default()
            };
        };
        match row.cell(column) {
            Some(Cell::Null) => put(NULL, quorate_value_data { integer: 0 }),
            Some(Cell::Int(integer)) => put(INT64, quorate_value_data { integer }),
            Some(Cell::Float(real)) => put(DOUBLE, quorate_value_data { real }),
            Some(Cell::Text(span)) => {
                let text = row.span(span);
                if !is_ascii(text) {
                    return false;
                }
                let bytes = quorate_bytes::of_bytes(keep(text));
                put(TEXT, quorate_value_data { bytes });
            }
            _ => return false,
        }
        true
    }

    /// The value as the library takes it.
    ///
    /// # Safety
    ///
    /// The member of `data` that the type names is set, and bytes stay as they are for `'a`.
    #[inline(always)]
    unsafe fn read<'a>(&self) -> Answer<ValueRef<'a>> {
        let Some(kind) = quorate_type::of(self.kind) else {
            return Err(no_type(self.kind));
        };
        // SAFETY: the caller's; all members are plain numbers, of which any bits are valid.
        unsafe {
            Ok(match kind {
                quorate_type::Null => ValueRef::Null,
                quorate_type::Bool => ValueRef::Bool(self.data.integer != 0),
                quorate_type::Int64 => ValueRef::Int(self.data.integer),
                quorate_type::Double => ValueRef::Float(self.data.real),
                quorate_type::Text => ValueRef::Text(self.text()?),
                quorate_type::Blob => ValueRef::Blob(self.bytes()?),
                quorate_type::Timestamp => ValueRef::Timestamp(time(self.data.timestamp)?),
                quorate_type::Date => ValueRef::Date(date(self.data.integer)?),
                quorate_type::Uuid => ValueRef::Uuid(Uuid::from_bytes(self.data.uuid)),
                quorate_type::Decimal => ValueRef::Decimal(self.text()?),
                quorate_type::Json => ValueRef::Json(self.text()?),
            })
        }
    }

    /// The value of parameter `index`.
    ///
    /// # Safety
    ///
    /// As for [`read`](quorate_value::read).
    #[inline(always)]
    unsafe fn read_at<'a>(&self, index: usize) -> Answer<ValueRef<'a>> {
        // SAFETY: the caller's.
        unsafe { self.read() }.map_err(|failure| failure.of_parameter(index))
    }

    /// # Safety
    ///
    /// `data` holds bytes that stay as they are for `'a`.
    unsafe fn bytes<'a>(&self) -> Answer<&'a [u8]> {
        // SAFETY: the caller's.
        unsafe {
            let bytes = self.data.bytes;
            slice(
                bytes.pointer.cast::<u8>(),
                bytes.length,
                "data.bytes.pointer",
            )
        }
    }

    /// # Safety
    ///
    /// As for [`bytes`](quorate_value::bytes).
    unsafe fn text<'a>(&self) -> Answer<&'a str> {
        // SAFETY: the caller's.
        unsafe {
            let bytes = self.data.bytes;
            if bytes.length == QUORATE_NUL_TERMINATED {
                return text(bytes.pointer, bytes.length, "data.bytes.pointer");
            }
            utf8(self.bytes()?, "the text")
        }
    }
}

#[cold]
fn no_type(kind: i32) -> Failure {
    Failure::misuse(format!("{kind} is no quorate_type"))
}

/// The day 1970-01-01, counted as chrono does from the year 1.
const EPOCH: i64 = 719_163;

pub(super) fn days(date: NaiveDate) -> i64 {
    i64::from(date.num_days_from_ce()) - EPOCH
}

fn date(days: i64) -> Answer<NaiveDate> {
    days.checked_add(EPOCH)
        .and_then(|days| i32::try_from(days).ok())
        .and_then(NaiveDate::from_num_days_from_ce_opt)
        .ok_or_else(|| Failure::misuse(format!("{days} days from 1970-01-01 is no date")))
}

fn time(time: quorate_timestamp) -> Answer<DateTime<FixedOffset>> {
    FixedOffset::east_opt(time.utc_offset)
        .and_then(|offset| {
            let instant = DateTime::from_timestamp(time.seconds, time.nanoseconds)?;
            Some(instant.with_timezone(&offset))
        })
        .ok_or_else(|| {
            Failure::misuse(format!(
                "{} s, {} ns, {} s east of UTC is no timestamp",
                time.seconds, time.nanoseconds, time.utc_offset
            ))
        })
}

/// Parameters up to this number are passed on without an allocation.
const FEW: usize = 8;

/// Places for parameters, which are filled one by one: to fill all of them with NULL first would cost more than that.
type Few<'a> = [MaybeUninit<ValueRef<'a>>; FEW];

/// Gives the parameters at `params` to `run`.
///
/// # Safety
///
/// `params` is NULL or points to `len` values, as the header wants them.
#[inline(always)]
pub(super) unsafe fn with_params<R>(
    params: *const quorate_value,
    len: usize,
    run: impl FnOnce(ParamsRef<'_>) -> Answer<R>,
) -> Answer<R> {
    let mut few: Few<'_> = [const { MaybeUninit::uninit() }; FEW];
    let mut other = None;
    // SAFETY: the caller's.
    let params = if unsafe { read_plain(params, len, &mut few) } {
        // SAFETY: so many were written, and a `MaybeUninit` lies in memory as what it holds.
        ParamsRef::Positional(unsafe { std::slice::from_raw_parts(few.as_ptr().cast(), len) })
    } else {
        // SAFETY: the caller's.
        let values = unsafe { slice(params, len, "params") }?;
        // SAFETY: the caller's.
        match unsafe { read_few(values, &mut few) } {
            Some(few) => ParamsRef::Positional(few),
            // SAFETY: the caller's.
            None => other.insert(unsafe { Other::read(values) }?).as_params(),
        }
    };
    // In one place, so that what is run becomes a part of the caller's code.
    run(params)
}

/// Reads parameters that are few, short, have no names and need no conversion into `few`; false where one is another.
///
/// # Safety
///
/// `params` is NULL or points to `len` values, as the header wants them.
// It calls nothing, so it has no registers to save: the caller has not got any left.
#[inline(never)]
unsafe fn read_plain<'a>(params: *const quorate_value, len: usize, few: &mut Few<'a>) -> bool {
    // SAFETY: the caller's.
    let Ok(values) = (unsafe { slice::<quorate_value>(params, len, "params") }) else {
        return false;
    };
    let Some(few) = few.get_mut(..len) else {
        return false;
    };
    for (place, value) in few.iter_mut().zip(values) {
        if !value.name.is_null() {
            return false;
        }
        // SAFETY: the caller's; all members are plain numbers, of which any bits are valid.
        unsafe {
            match value.kind {
                NULL => place.write(ValueRef::Null),
                INT64 => place.write(ValueRef::Int(value.data.integer)),
                DOUBLE => place.write(ValueRef::Float(value.data.real)),
                TEXT => {
                    let quorate_bytes { pointer, length } = value.data.bytes;
                    if pointer.is_null() || length > SHORT {
                        return false;
                    }
                    let text = std::slice::from_raw_parts(pointer.cast(), length);
                    if !is_short_ascii(text) {
                        return false;
                    }
                    // ASCII is UTF-8.
                    place.write(ValueRef::Text(std::str::from_utf8_unchecked(text)))
                }
                _ => return false,
            };
        }
    }
    true
}

const NULL: i32 = quorate_type::Null as i32;
const INT64: i32 = quorate_type::Int64 as i32;
const DOUBLE: i32 = quorate_type::Double as i32;
const TEXT: i32 = quorate_type::Text as i32;

/// Reads parameters that are few and have no names into `few`; `None` where they are others, or one cannot be read.
///
/// # Safety
///
/// `values` are as the header wants them.
#[inline(never)]
unsafe fn read_few<'a, 'f>(
    values: &'a [quorate_value],
    few: &'f mut Few<'a>,
) -> Option<&'f [ValueRef<'a>]> {
    let few = few.get_mut(..values.len())?;
    for (place, value) in few.iter_mut().zip(values) {
        if !value.name.is_null() {
            return None;
        }
        // SAFETY: the caller's.
        place.write(unsafe { value.read() }.ok()?);
    }
    // SAFETY: the loop has written all of them, and a `MaybeUninit` lies in memory as what it holds.
    Some(unsafe { &*(std::ptr::from_ref(few) as *const [ValueRef<'_>]) })
}

/// Parameters that are many, have names, or cannot be read.
enum Other<'a> {
    Positional(Vec<ValueRef<'a>>),
    Named(Vec<(&'a str, ValueRef<'a>)>),
}

impl<'a> Other<'a> {
    /// # Safety
    ///
    /// `values` are as the header wants them.
    #[cold]
    unsafe fn read(values: &'a [quorate_value]) -> Answer<Box<Self>> {
        let (named, len) = (
            values.iter().filter(|value| !value.name.is_null()),
            values.len(),
        );
        let named = named.count();
        if named == 0 {
            let mut all = Vec::with_capacity(len);
            for (index, value) in values.iter().enumerate() {
                // SAFETY: the caller's.
                all.push(unsafe { value.read_at(index) }?);
            }
            return Ok(Box::new(Other::Positional(all)));
        }
        if named != len {
            return Err(Failure::misuse(format!(
                "{named} of {len} parameters have names; give one to all or to none"
            )));
        }
        let mut all = Vec::with_capacity(len);
        for (index, value) in values.iter().enumerate() {
            let length = match value.name_length {
                u32::MAX => QUORATE_NUL_TERMINATED,
                length => length as usize,
            };
            // SAFETY: the caller's.
            let name = unsafe { text(value.name, length, "the name") }
                .map_err(|failure| failure.of_parameter(index))?;
            // SAFETY: the caller's.
            all.push((name, unsafe { value.read_at(index) }?));
        }
        Ok(Box::new(Other::Named(all)))
    }

    fn as_params(&self) -> ParamsRef<'_> {
        match self {
            Other::Positional(all) => ParamsRef::Positional(all),
            Other::Named(all) => ParamsRef::Named(all),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roundtrip(value: ValueRef<'_>) {
        let passed = quorate_value::of(value);
        // SAFETY: made of a value that is still there.
        let read = unsafe { passed.read() }.unwrap_or_else(|_| panic!("{value:?} is not read"));
        assert_eq!(read, value);
    }

    #[test]
    fn every_value_passes_both_ways() {
        assert_eq!(size_of::<quorate_value>(), 32);
        let time = DateTime::parse_from_rfc3339("1969-12-31T23:59:59.999999999+02:00").unwrap();
        for value in [
            ValueRef::Null,
            ValueRef::Bool(true),
            ValueRef::Int(i64::MIN),
            ValueRef::Float(-0.5),
            ValueRef::Text("a\0é"),
            ValueRef::Text(""),
            ValueRef::Blob(&[0, 255]),
            ValueRef::Timestamp(time),
            ValueRef::Date(NaiveDate::MIN),
            ValueRef::Date(NaiveDate::MAX),
            ValueRef::Uuid(Uuid::from_u128(7)),
            ValueRef::Decimal("1.50"),
            ValueRef::Json("{}"),
        ] {
            roundtrip(value);
        }
        let (kind, epoch) = (quorate_type::Date as i32, 0);
        assert_eq!(days(date(epoch).ok().unwrap()), 0);
        for (kind, integer) in [(kind, i64::MAX), (11, 0), (-1, 0)] {
            let value = quorate_value {
                kind,
                data: quorate_value_data { integer },
                ..quorate_value::default()
            };
            // SAFETY: no bytes are named.
            assert!(unsafe { value.read() }.is_err(), "{kind} {integer}");
        }
    }
}
