//! Rows as an Arrow stream
//!
//! The rows as record batches, through the Arrow C stream interface
//! (<https://arrow.apache.org/docs/format/CStreamInterface.html>), which pyarrow, pandas, polars and others
//! import without copying cell by cell.

use std::ffi::{CString, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{null, null_mut};

use super::boundary::boundary;
use super::error::quorate_error;
use super::handle::borrow;
use super::rows::quorate_rows;
use super::seat::{Place, Taken};
use super::status::{Answer, Failure, quorate_status};
use super::value::quorate_type;
use super::view::slice;
use crate::error::{Error, ErrorKind, Result};
use crate::row::Row;
use crate::value::Value;
use columns::{Builder, Kind};

mod columns;

/// The most rows of a batch where the caller names no number.
const BATCH_ROWS: usize = 4096;

// The three structures of the Arrow C data and stream interfaces, member by member.

#[repr(C)]
struct ArrowSchema {
    format: *const c_char,
    name: *const c_char,
    metadata: *const c_char,
    flags: i64,
    n_children: i64,
    children: *mut *mut ArrowSchema,
    dictionary: *mut ArrowSchema,
    release: Option<unsafe extern "C" fn(*mut ArrowSchema)>,
    private_data: *mut c_void,
}

#[repr(C)]
struct ArrowArray {
    length: i64,
    null_count: i64,
    offset: i64,
    n_buffers: i64,
    n_children: i64,
    buffers: *mut *const c_void,
    children: *mut *mut ArrowArray,
    dictionary: *mut ArrowArray,
    release: Option<unsafe extern "C" fn(*mut ArrowArray)>,
    private_data: *mut c_void,
}

#[repr(C)]
pub struct ArrowArrayStream {
    get_schema: Option<unsafe extern "C" fn(*mut ArrowArrayStream, *mut ArrowSchema) -> c_int>,
    get_next: Option<unsafe extern "C" fn(*mut ArrowArrayStream, *mut ArrowArray) -> c_int>,
    get_last_error: Option<unsafe extern "C" fn(*mut ArrowArrayStream) -> *const c_char>,
    release: Option<unsafe extern "C" fn(*mut ArrowArrayStream)>,
    private_data: *mut c_void,
}

/// Gives the rows from here on to `out_stream`, a structure of the caller's, whose `release` is then to be
/// called. The stream takes the rows over: `rows` can only be freed afterwards, at once if one likes. It is
/// used by one thread at a time, like the rows.
///
/// A batch has up to `batch_rows` rows; 0 is 4096. `types` says what each column is read as, a `quorate_type`
/// for each, `QUORATE_TYPE_NULL` where the library is to choose; it may be NULL where `types_len` is 0, and the
/// library then chooses all. It chooses by the values of the first batch: a column whose values are all of one
/// type has that type; int64 and double together are double where that loses nothing; blob and text together
/// are blob; any other mixture is text. A column without values has the type that the server says it has
/// (`quorate_rows_column_type`), and is text where that is not known. The Arrow types are bool, int64, float64,
/// large_utf8 (for text, decimal and json), large_binary, timestamp in microseconds UTC (rounded down), date32
/// and fixed_size_binary(16) for uuid.
///
/// Any value but a blob can be given as text. A value that its column's type cannot hold, in a later batch
/// perhaps, ends the stream with an error that names its row and column; declare the type then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_rows_export_arrow(
    rows: *const quorate_rows,
    batch_rows: usize,
    types: *const i32,
    types_len: usize,
    out_stream: *mut ArrowArrayStream,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, (), || {
            if out_stream.is_null() {
                return Err(Failure::null("out_stream"));
            }
            // A stream without a release function is one that was released.
            out_stream.write(ArrowArrayStream {
                get_schema: None,
                get_next: None,
                get_last_error: None,
                release: None,
                private_data: null_mut(),
            });
            let rows = borrow(rows, "rows")?;
            let width = rows.columns().len();
            let declared = declared(slice(types, types_len, "types")?, width)?;
            let stream = Stream {
                rows: rows.take()?,
                batch_rows: if batch_rows == 0 {
                    BATCH_ROWS
                } else {
                    batch_rows
                },
                declared,
                kinds: None,
                first: None,
                last_error: CString::default(),
            };
            out_stream.write(ArrowArrayStream {
                get_schema: Some(get_schema),
                get_next: Some(get_next),
                get_last_error: Some(get_last_error),
                release: Some(release_stream),
                private_data: Box::into_raw(Box::new(stream)).cast(),
            });
            Ok(())
        })
    }
}

/// What the caller says of each column; `None` is left to the values.
fn declared(types: &[i32], width: usize) -> Answer<Vec<Option<Kind>>> {
    if types.is_empty() {
        return Ok(vec![None; width]);
    }
    if types.len() != width {
        return Err(Failure::misuse(format!(
            "the rows have {width} columns, and {} types are given",
            types.len()
        )));
    }
    types
        .iter()
        .map(|number| match quorate_type::of(*number) {
            Some(kind) => Ok(Kind::of_type(kind)),
            None => Err(Failure::misuse(format!("{number} is no quorate_type"))),
        })
        .collect()
}

struct Stream {
    rows: quorate_rows,
    batch_rows: usize,
    declared: Vec<Option<Kind>>,
    /// Known once the first batch was read.
    kinds: Option<Vec<Kind>>,
    /// The first batch, read for its types, until it is asked for.
    first: Option<Vec<Builder>>,
    last_error: CString,
}

impl Stream {
    /// The types of the columns; reads the first batch to choose them.
    fn kinds(&mut self) -> Answer<Vec<Kind>> {
        if let Some(kinds) = &self.kinds {
            return Ok(kinds.clone());
        }
        let builders: Vec<Builder> = match self.declared.iter().copied().collect::<Option<Vec<_>>>()
        {
            Some(kinds) => kinds.into_iter().map(Builder::new).collect(),
            None => self.first_batch()?,
        };
        let kinds: Vec<_> = builders.iter().map(Builder::kind).collect();
        if builders.first().is_some_and(|column| column.len() > 0) {
            self.first = Some(builders);
        }
        self.kinds = Some(kinds.clone());
        Ok(kinds)
    }

    /// Reads the first batch as values, whose types are then those of the columns.
    fn first_batch(&mut self) -> Answer<Vec<Builder>> {
        let mut values: Vec<Vec<Value>> = self.declared.iter().map(|_| Vec::new()).collect();
        let limit = self.batch_rows;
        self.read(|row, number| {
            for (column, values) in values.iter_mut().enumerate() {
                values.push(
                    row.get::<Value>(column)
                        .map_err(|error| at(error, number))?,
                );
            }
            Ok(values.first().is_none_or(|column| column.len() >= limit))
        })?;
        let mut builders = Vec::with_capacity(values.len());
        for (column, (declared, values)) in self.declared.iter().zip(&values).enumerate() {
            let known = || {
                Kind::of_type(quorate_type::of_column(
                    self.rows.columns().value_type(column),
                ))
            };
            let kind = declared
                .or_else(|| Kind::of_values(values))
                .or_else(known)
                .unwrap_or(Kind::Text);
            let mut builder = Builder::new(kind);
            for (index, value) in values.iter().enumerate() {
                builder
                    .append(value.as_ref())
                    .map_err(|error| at_column(error, index as u64 + 1, column, &self.rows))?;
            }
            builders.push(builder);
        }
        Ok(builders)
    }

    /// The next batch; `None` after the last.
    fn batch(&mut self) -> Answer<Option<Vec<Builder>>> {
        let kinds = self.kinds()?;
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        let mut builders: Vec<_> = kinds.into_iter().map(Builder::new).collect();
        let limit = self.batch_rows;
        self.read(|row, number| {
            for (column, builder) in builders.iter_mut().enumerate() {
                let value = row.value(column).map_err(|error| at(error, number))?;
                builder.append(value).map_err(|error| {
                    let name = row.columns().name(column).unwrap_or("?");
                    at(
                        error.context(format_args!("column {column} ({name:?})")),
                        number,
                    )
                })?;
            }
            Ok(builders.first().is_none_or(|column| column.len() >= limit))
        })?;
        let any = builders.first().is_some_and(|column| column.len() > 0);
        Ok(any.then_some(builders))
    }

    /// Gives rows to `take` until it answers true or they end.
    fn read(&mut self, mut take: impl FnMut(&Row<'_>, u64) -> Result<bool>) -> Answer<()> {
        let mut inside = self.rows.enter()?;
        let mut failure = None;
        inside.take_rows(|row, number| match take(row, number) {
            Ok(true) => Taken::YesAndEnough,
            Ok(false) => Taken::Yes,
            Err(error) => {
                failure = Some(error);
                Taken::No
            }
        })?;
        match failure {
            None => Ok(()),
            Some(error) => {
                inside.cursor().place = Place::End;
                Err(error.into())
            }
        }
    }
}

fn at(error: Error, row: u64) -> Error {
    error.context(format_args!("row {row}"))
}

fn at_column(error: Error, row: u64, column: usize, rows: &quorate_rows) -> Error {
    let name = rows.columns().name(column).unwrap_or("?");
    at(
        error.context(format_args!("column {column} ({name:?})")),
        row,
    )
}

/// Runs `body` on the stream, and keeps the text of its failure.
///
/// # Safety
///
/// `stream` is one that [`quorate_rows_export_arrow`] has made and nobody has released.
unsafe fn guarded(
    stream: *mut ArrowArrayStream,
    body: impl FnOnce(&mut Stream) -> Answer<()>,
) -> c_int {
    // SAFETY: the caller's.
    let state = unsafe { stream.as_ref() }.map_or(null_mut(), |stream| stream.private_data);
    // SAFETY: the caller's.
    let Some(state) = (unsafe { state.cast::<Stream>().as_mut() }) else {
        return libc::EINVAL;
    };
    let failure = match catch_unwind(AssertUnwindSafe(|| body(state))) {
        Ok(Ok(())) => return 0,
        Ok(Err(failure)) => failure,
        Err(_) => Error::new(ErrorKind::Internal, "the library panicked").into(),
    };
    let text = failure.error().to_string();
    let errno = errno(failure.error().kind());
    state.last_error = CString::new(text.replace('\0', "\u{fffd}")).unwrap_or_default();
    errno
}

fn errno(kind: ErrorKind) -> c_int {
    match kind {
        ErrorKind::Conversion | ErrorKind::Misuse => libc::EINVAL,
        ErrorKind::Timeout => libc::ETIMEDOUT,
        ErrorKind::Cancelled => libc::ECANCELED,
        _ => libc::EIO,
    }
}

unsafe extern "C" fn get_schema(stream: *mut ArrowArrayStream, out: *mut ArrowSchema) -> c_int {
    let body = |state: &mut Stream| {
        let kinds = state.kinds()?;
        let columns = state.rows.columns();
        let children = kinds
            .iter()
            .zip(columns.names())
            .map(|(kind, name)| schema(kind.format(), name, Vec::new()))
            .collect();
        // SAFETY: the consumer gives a place for the schema.
        unsafe { out.write(schema("+s", "", children)) };
        Ok(())
    };
    // SAFETY: the consumer calls it with its stream.
    unsafe { guarded(stream, body) }
}

unsafe extern "C" fn get_next(stream: *mut ArrowArrayStream, out: *mut ArrowArray) -> c_int {
    let body = |state: &mut Stream| {
        let batch = match state.batch()? {
            Some(columns) => {
                let length = columns.first().map_or(0, Builder::len);
                let children = columns.into_iter().map(column).collect();
                array(length, 0, vec![None], Vec::new(), children)
            }
            // An array without a release function ends the stream.
            None => ArrowArray {
                length: 0,
                null_count: 0,
                offset: 0,
                n_buffers: 0,
                n_children: 0,
                buffers: null_mut(),
                children: null_mut(),
                dictionary: null_mut(),
                release: None,
                private_data: null_mut(),
            },
        };
        // SAFETY: the consumer gives a place for the array.
        unsafe { out.write(batch) };
        Ok(())
    };
    // SAFETY: the consumer calls it with its stream.
    unsafe { guarded(stream, body) }
}

unsafe extern "C" fn get_last_error(stream: *mut ArrowArrayStream) -> *const c_char {
    // SAFETY: the consumer calls it with its stream.
    let state = unsafe {
        stream
            .as_ref()
            .map_or(null_mut(), |stream| stream.private_data)
    };
    // SAFETY: as above.
    match unsafe { state.cast::<Stream>().as_ref() } {
        Some(state) if !state.last_error.is_empty() => state.last_error.as_ptr(),
        _ => null(),
    }
}

unsafe extern "C" fn release_stream(stream: *mut ArrowArrayStream) {
    // SAFETY: the consumer calls it once, with its stream.
    unsafe {
        let Some(stream) = stream.as_mut() else {
            return;
        };
        stream.release = None;
        let state = std::mem::replace(&mut stream.private_data, null_mut()).cast::<Stream>();
        super::boundary::free(state);
    }
}

/// What a schema points to.
struct SchemaData {
    _format: CString,
    _name: CString,
    children: Vec<*mut ArrowSchema>,
}

fn schema(format: &str, name: &str, children: Vec<ArrowSchema>) -> ArrowSchema {
    const NULLABLE: i64 = 2;
    let text = |text: &str| CString::new(text.replace('\0', "\u{fffd}")).unwrap_or_default();
    let (format, name) = (text(format), text(name));
    let mut data = Box::new(SchemaData {
        children: children
            .into_iter()
            .map(|child| Box::into_raw(Box::new(child)))
            .collect(),
        _format: format,
        _name: name,
    });
    ArrowSchema {
        format: data._format.as_ptr(),
        name: data._name.as_ptr(),
        metadata: null(),
        flags: NULLABLE,
        n_children: data.children.len() as i64,
        children: data.children.as_mut_ptr(),
        dictionary: null_mut(),
        release: Some(release_schema),
        private_data: Box::into_raw(data).cast(),
    }
}

unsafe extern "C" fn release_schema(schema: *mut ArrowSchema) {
    // SAFETY: the consumer calls it once, with what this file has made; a child that it has moved away has no
    // release function any more.
    unsafe {
        let Some(schema) = schema.as_mut() else {
            return;
        };
        schema.release = None;
        let data = Box::from_raw(schema.private_data.cast::<SchemaData>());
        for child in &data.children {
            let mut child = Box::from_raw(*child);
            if let Some(release) = child.release {
                release(&raw mut *child);
            }
        }
    }
}

/// What an array points to.
struct ArrayData {
    _owned: Vec<columns::Buffer>,
    buffers: Vec<*const c_void>,
    children: Vec<*mut ArrowArray>,
}

fn column(builder: Builder) -> ArrowArray {
    let (length, nulls) = (builder.len(), builder.nulls());
    let owned = builder.finish();
    let pointers = owned.iter().map(columns::Buffer::pointer).collect();
    array(length, nulls, pointers, owned, Vec::new())
}

fn array(
    length: usize,
    nulls: usize,
    pointers: Vec<Option<*const c_void>>,
    owned: Vec<columns::Buffer>,
    children: Vec<ArrowArray>,
) -> ArrowArray {
    let mut data = Box::new(ArrayData {
        _owned: owned,
        buffers: pointers
            .into_iter()
            .map(|pointer| pointer.unwrap_or(null()))
            .collect(),
        children: children
            .into_iter()
            .map(|child| Box::into_raw(Box::new(child)))
            .collect(),
    });
    ArrowArray {
        length: length as i64,
        null_count: nulls as i64,
        offset: 0,
        n_buffers: data.buffers.len() as i64,
        n_children: data.children.len() as i64,
        buffers: data.buffers.as_mut_ptr(),
        children: data.children.as_mut_ptr(),
        dictionary: null_mut(),
        release: Some(release_array),
        private_data: Box::into_raw(data).cast(),
    }
}

unsafe extern "C" fn release_array(array: *mut ArrowArray) {
    // SAFETY: as for a schema.
    unsafe {
        let Some(array) = array.as_mut() else { return };
        array.release = None;
        let data = Box::from_raw(array.private_data.cast::<ArrayData>());
        for child in &data.children {
            let mut child = Box::from_raw(*child);
            if let Some(release) = child.release {
                release(&raw mut *child);
            }
        }
    }
}
