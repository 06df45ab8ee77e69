//! Parameters
//!
//! Every function that runs a statement takes an array of `quorate_value`: one for each parameter of the
//! statement. An array may be filled by hand, or by a builder, which copies what it is given and gives the
//! array with `quorate_params_values`. A builder can be cleared and filled again. Its functions take the name
//! of the parameter, or NULL for the next one by position; a name that was added before is bound anew.

use std::ffi::c_char;
use std::ptr::null;

use crate::lock::Mutex;

use super::boundary::{Out, answer, boundary, free};
use super::error::quorate_error;
use super::handle::{borrow, give};
use super::status::{Answer, Failure, quorate_status};
use super::value::{
    quorate_bytes, quorate_timestamp, quorate_type, quorate_value, quorate_value_data,
};
use super::view::{slice, text};

/// A builder of parameters. One thread at a time fills it; any may use its array while it is not changed.
pub struct quorate_params {
    list: Mutex<List>,
}

/// A name, and bytes.
type Owned = (Box<[u8]>, Box<[u8]>);

#[derive(Default)]
struct List {
    values: Vec<quorate_value>,
    /// What the values point to, name and bytes, in the same order.
    owned: Vec<Owned>,
}

// SAFETY: the pointers are into boxes of the list itself, which nobody changes without its lock.
unsafe impl Send for List {}

/// What is added.
enum Added<'a> {
    Plain(quorate_type, quorate_value_data),
    Bytes(quorate_type, &'a [u8]),
}

impl quorate_params {
    fn add(&self, name: Option<&str>, added: Added<'_>) -> Answer<()> {
        let name: Box<[u8]> = name.unwrap_or_default().as_bytes().into();
        let bytes: Box<[u8]> = match added {
            Added::Plain(..) => Box::default(),
            Added::Bytes(_, bytes) => bytes.into(),
        };
        let (kind, data) = match added {
            Added::Plain(kind, data) => (kind, data),
            Added::Bytes(kind, _) => {
                let bytes = quorate_bytes {
                    pointer: bytes.as_ptr().cast(),
                    length: bytes.len(),
                };
                (kind, quorate_value_data { bytes })
            }
        };
        let name_length = u32::try_from(name.len())
            .ok()
            .filter(|length| *length != u32::MAX)
            .ok_or_else(|| Failure::misuse("the name of the parameter is longer than 4 GiB"))?;
        let value = quorate_value {
            kind: kind as i32,
            name_length,
            name: if name.is_empty() {
                null()
            } else {
                name.as_ptr().cast()
            },
            data,
        };
        let mut list = self.list.lock();
        let list = &mut *list;
        let known = list
            .owned
            .iter()
            .position(|(known, _)| !name.is_empty() && *known == name);
        match known {
            Some(index) => {
                list.values[index] = value;
                list.owned[index] = (name, bytes);
            }
            None => {
                list.values.push(value);
                list.owned.push((name, bytes));
            }
        }
        Ok(())
    }
}

/// # Safety
///
/// As for [`text`].
unsafe fn optional<'a>(name: *const c_char, len: usize) -> Answer<Option<&'a str>> {
    if name.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's.
    let name = unsafe { text(name, len, "name") }?;
    if name.is_empty() {
        return Err(Failure::misuse("the name of the parameter is empty"));
    }
    Ok(Some(name))
}

/// Makes an empty builder.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_params_new(
    out_params: *mut *mut quorate_params,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, Out(out_params, "out_params"), || {
            Ok(give(quorate_params {
                list: Mutex::default(),
            }))
        })
    }
}

/// Adds NULL. `name` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_params_add_null(
    params: *const quorate_params,
    name: *const c_char,
    name_len: usize,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, (), || {
            borrow(params, "params")?.add(
                optional(name, name_len)?,
                Added::Plain(quorate_type::Null, quorate_value_data { integer: 0 }),
            )
        })
    }
}

/// Adds a truth value. `name` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_params_add_bool(
    params: *const quorate_params,
    name: *const c_char,
    name_len: usize,
    value: bool,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, (), || {
            borrow(params, "params")?.add(
                optional(name, name_len)?,
                Added::Plain(
                    quorate_type::Bool,
                    quorate_value_data {
                        integer: i64::from(value),
                    },
                ),
            )
        })
    }
}

/// Adds an integer. `name` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_params_add_int64(
    params: *const quorate_params,
    name: *const c_char,
    name_len: usize,
    value: i64,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, (), || {
            borrow(params, "params")?.add(
                optional(name, name_len)?,
                Added::Plain(quorate_type::Int64, quorate_value_data { integer: value }),
            )
        })
    }
}

/// Adds a floating-point number. `name` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_params_add_double(
    params: *const quorate_params,
    name: *const c_char,
    name_len: usize,
    value: f64,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, (), || {
            borrow(params, "params")?.add(
                optional(name, name_len)?,
                Added::Plain(quorate_type::Double, quorate_value_data { real: value }),
            )
        })
    }
}

/// Adds a UTF-8 text. `name` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_params_add_text(
    params: *const quorate_params,
    name: *const c_char,
    name_len: usize,
    value: *const c_char,
    value_len: usize,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, (), || {
            borrow(params, "params")?.add(
                optional(name, name_len)?,
                Added::Bytes(
                    quorate_type::Text,
                    text(value, value_len, "value")?.as_bytes(),
                ),
            )
        })
    }
}

/// Adds bytes. `value` may be NULL where `value_len` is 0. `name` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_params_add_blob(
    params: *const quorate_params,
    name: *const c_char,
    name_len: usize,
    value: *const u8,
    value_len: usize,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, (), || {
            borrow(params, "params")?.add(
                optional(name, name_len)?,
                Added::Bytes(quorate_type::Blob, slice(value, value_len, "value")?),
            )
        })
    }
}

/// Adds a point in time. `name` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_params_add_timestamp(
    params: *const quorate_params,
    name: *const c_char,
    name_len: usize,
    value: quorate_timestamp,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, (), || {
            borrow(params, "params")?.add(
                optional(name, name_len)?,
                Added::Plain(
                    quorate_type::Timestamp,
                    quorate_value_data { timestamp: value },
                ),
            )
        })
    }
}

/// Adds a calendar day, as days from 1970-01-01. `name` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_params_add_date(
    params: *const quorate_params,
    name: *const c_char,
    name_len: usize,
    days: i64,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, (), || {
            borrow(params, "params")?.add(
                optional(name, name_len)?,
                Added::Plain(quorate_type::Date, quorate_value_data { integer: days }),
            )
        })
    }
}

/// Adds a UUID of 16 bytes. `name` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_params_add_uuid(
    params: *const quorate_params,
    name: *const c_char,
    name_len: usize,
    value: *const u8,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, (), || {
            borrow(params, "params")?.add(
                optional(name, name_len)?,
                Added::Plain(
                    quorate_type::Uuid,
                    quorate_value_data {
                        uuid: *borrow(value.cast::<[u8; 16]>(), "value")?,
                    },
                ),
            )
        })
    }
}

/// Adds a decimal number in its text form. `name` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_params_add_decimal(
    params: *const quorate_params,
    name: *const c_char,
    name_len: usize,
    value: *const c_char,
    value_len: usize,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, (), || {
            borrow(params, "params")?.add(
                optional(name, name_len)?,
                Added::Bytes(
                    quorate_type::Decimal,
                    text(value, value_len, "value")?.as_bytes(),
                ),
            )
        })
    }
}

/// Adds a JSON document in its text form. `name` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_params_add_json(
    params: *const quorate_params,
    name: *const c_char,
    name_len: usize,
    value: *const c_char,
    value_len: usize,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, (), || {
            borrow(params, "params")?.add(
                optional(name, name_len)?,
                Added::Bytes(
                    quorate_type::Json,
                    text(value, value_len, "value")?.as_bytes(),
                ),
            )
        })
    }
}

/// The array for the functions that run a statement, valid until the builder is changed or freed. `out_len` is
/// its length, and may be NULL. NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_params_values(
    params: *const quorate_params,
    out_len: *mut usize,
) -> *const quorate_value {
    answer(null(), || {
        // SAFETY: the header's rules.
        unsafe {
            super::view::put(out_len, 0);
            let list = params.as_ref()?.list.lock();
            super::view::put(out_len, list.values.len());
            Some(list.values.as_ptr())
        }
    })
}

/// Takes all parameters out.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_params_clear(
    params: *const quorate_params,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, (), || {
            *borrow(params, "params")?.list.lock() = List::default();
            Ok(())
        })
    }
}

/// Frees a builder. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_params_free(params: *mut quorate_params) {
    // SAFETY: the header's rules.
    unsafe { free(params) }
}
