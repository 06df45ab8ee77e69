//! Where the values of one column go in bulk: into memory of the caller's.

use std::ffi::c_void;

use chrono::{DateTime, FixedOffset, NaiveDate};
use uuid::Uuid;

use super::quorate_column;
use crate::convert::FromValue;
use crate::error::Result;
use crate::ffi::status::{Answer, Failure};
use crate::ffi::value::{days, quorate_type};
use crate::ffi::view::{is_ascii, slice_mut};
use crate::row::{Cell, Row};
use crate::value::ValueRef;

/// Where the cells of one column go.
pub(super) struct Sink<'a> {
    place: Target<'a>,
    validity: Option<&'a mut [u8]>,
    pub(super) needed: usize,
}

enum Target<'a> {
    Nowhere,
    Bool(&'a mut [u8]),
    Int64(&'a mut [i64]),
    Double(&'a mut [f64]),
    Timestamp(&'a mut [i64]),
    Date(&'a mut [i64]),
    Uuid(&'a mut [[u8; 16]]),
    Text(Bytes<'a>),
    Blob(Bytes<'a>),
    Decimal(Bytes<'a>),
}

struct Bytes<'a> {
    offsets: &'a mut [usize],
    bytes: &'a mut [u8],
}

impl Bytes<'_> {
    /// Puts the bytes of row `index`; the number that are missing where they do not fit.
    #[inline]
    fn put(&mut self, index: usize, bytes: &[u8]) -> std::result::Result<(), usize> {
        let start = if index == 0 { 0 } else { self.offsets[index] };
        let room = self.bytes.get_mut(start..).unwrap_or_default();
        let Some(room) = room.get_mut(..bytes.len()) else {
            return Err(bytes.len());
        };
        room.copy_from_slice(bytes);
        self.offsets[index] = start;
        self.offsets[index + 1] = start + bytes.len();
        Ok(())
    }
}

/// What became of a cell.
pub(super) enum Put {
    Done,
    Null,
    /// So many bytes of room are needed.
    Full(usize),
}

impl<'a> Sink<'a> {
    /// # Safety
    ///
    /// The buffers of `column` are as the header wants them for `max_rows` rows, and are the library's for
    /// `'a`.
    pub(super) unsafe fn new(column: &quorate_column, max_rows: usize) -> Answer<Self> {
        let Some(kind) = quorate_type::of(column.kind) else {
            return Err(Failure::misuse(format!(
                "{} is no quorate_type",
                column.kind
            )));
        };
        // SAFETY: the caller's.
        unsafe {
            let bytes = || -> Answer<Bytes<'a>> {
                Ok(Bytes {
                    offsets: slice_mut(column.offsets, max_rows + 1, "offsets")?,
                    bytes: slice_mut(column.bytes, column.bytes_capacity, "bytes")?,
                })
            };
            let place = match kind {
                quorate_type::Null => Target::Nowhere,
                quorate_type::Bool => Target::Bool(array(column.values, max_rows)?),
                quorate_type::Int64 => Target::Int64(array(column.values, max_rows)?),
                quorate_type::Double => Target::Double(array(column.values, max_rows)?),
                quorate_type::Timestamp => Target::Timestamp(array(column.values, max_rows)?),
                quorate_type::Date => Target::Date(array(column.values, max_rows)?),
                quorate_type::Uuid => Target::Uuid(array(column.values, max_rows)?),
                quorate_type::Text | quorate_type::Json => Target::Text(bytes()?),
                quorate_type::Blob => Target::Blob(bytes()?),
                quorate_type::Decimal => Target::Decimal(bytes()?),
            };
            let validity = if column.validity.is_null() {
                None
            } else {
                let bits = slice_mut(column.validity, max_rows.div_ceil(8), "validity")?;
                bits.fill(0xff);
                Some(bits)
            };
            Ok(Sink {
                place,
                validity,
                needed: 0,
            })
        }
    }

    /// Puts the cell of row `index`.
    #[inline]
    pub(super) fn put(&mut self, row: &Row<'_>, column: usize, index: usize) -> Result<Put> {
        // Most cells need no conversion.
        match (&mut self.place, row.cell(column)) {
            (Target::Int64(values), Some(Cell::Int(value))) => {
                values[index] = value;
                return Ok(Put::Done);
            }
            (Target::Double(values), Some(Cell::Float(value))) => {
                values[index] = value;
                return Ok(Put::Done);
            }
            (Target::Text(bytes), Some(Cell::Text(span))) => {
                let text = row.span(span);
                if is_ascii(text) {
                    return Ok(append(bytes, index, Some(text)));
                }
            }
            _ => {}
        }
        self.convert(row, column, index)
    }

    fn convert(&mut self, row: &Row<'_>, column: usize, index: usize) -> Result<Put> {
        let nullable = self.validity.is_some();
        let put = match &mut self.place {
            Target::Nowhere => Put::Done,
            Target::Bool(values) => {
                let value = get::<bool>(row, column, nullable)?;
                values[index] = value.unwrap_or_default().into();
                filled(value)
            }
            Target::Int64(values) => {
                let value = get::<i64>(row, column, nullable)?;
                values[index] = value.unwrap_or_default();
                filled(value)
            }
            Target::Double(values) => {
                let value = get::<f64>(row, column, nullable)?;
                values[index] = value.unwrap_or_default();
                filled(value)
            }
            Target::Timestamp(values) => {
                let value = get::<DateTime<FixedOffset>>(row, column, nullable)?;
                values[index] = value.map_or(0, |time| time.timestamp_micros());
                filled(value)
            }
            Target::Date(values) => {
                let value = get::<NaiveDate>(row, column, nullable)?;
                values[index] = value.map_or(0, days);
                filled(value)
            }
            Target::Uuid(values) => {
                let value = get::<Uuid>(row, column, nullable)?;
                values[index] = value.unwrap_or_default().into_bytes();
                filled(value)
            }
            Target::Text(bytes) => {
                let value = get::<&str>(row, column, nullable)?;
                append(bytes, index, value.map(str::as_bytes))
            }
            Target::Decimal(bytes) => match get::<ValueRef<'_>>(row, column, nullable)? {
                Some(ValueRef::Int(value)) => {
                    append(bytes, index, Some(value.to_string().as_bytes()))
                }
                _ => {
                    let value = get::<&str>(row, column, nullable)?;
                    append(bytes, index, value.map(str::as_bytes))
                }
            },
            Target::Blob(bytes) => {
                let value = get::<&[u8]>(row, column, nullable)?;
                append(bytes, index, value)
            }
        };
        if let (Put::Null, Some(validity)) = (&put, &mut self.validity) {
            validity[index / 8] &= !(1 << (index % 8));
        }
        Ok(put)
    }

    /// How many of the first `rows` rows are NULL.
    pub(super) fn nulls(&self, rows: usize) -> usize {
        self.validity.as_deref().map_or(0, |bits| {
            (0..rows)
                .filter(|row| bits[row / 8] & 1 << (row % 8) == 0)
                .count()
        })
    }
}

#[inline]
fn get<'a, T: FromValue<'a>>(row: &Row<'a>, column: usize, nullable: bool) -> Result<Option<T>> {
    if nullable {
        row.get::<Option<T>>(column)
    } else {
        row.get::<T>(column).map(Some)
    }
}

fn filled<T>(value: Option<T>) -> Put {
    value.map_or(Put::Null, |_| Put::Done)
}

#[inline]
fn append(bytes: &mut Bytes<'_>, index: usize, value: Option<&[u8]>) -> Put {
    match bytes.put(index, value.unwrap_or_default()) {
        Ok(()) => filled(value),
        Err(needed) => Put::Full(needed),
    }
}

/// # Safety
///
/// As for [`slice_mut`].
unsafe fn array<'a, T>(pointer: *mut c_void, len: usize) -> Answer<&'a mut [T]> {
    if !pointer.cast::<T>().is_aligned() {
        return Err(Failure::misuse("values is not aligned as its elements are"));
    }
    // SAFETY: the caller's.
    unsafe { slice_mut(pointer.cast::<T>(), len, "values") }
}
