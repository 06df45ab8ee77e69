//! What the driver is measured against: libpq, opened at run time, and the least that its user has to write.
//!
//! Values travel in binary both ways, as the driver's do. It panics where an answer is wrong.
#![allow(
    unsafe_code,
    reason = "a C library has no other kind of interface; nothing of it leaves this file"
)]

use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr::{null, null_mut};

use libloading::Library;

use crate::harness::items::Sums;

const INT8: u32 = 20;
const BINARY: c_int = 1;

// ConnStatusType and ExecStatusType (libpq-fe.h).
const CONNECTION_OK: c_int = 0;
const COMMAND_OK: c_int = 1;
const TUPLES_OK: c_int = 2;
const SINGLE_TUPLE: c_int = 9;
const PIPELINE_SYNC: c_int = 10;

#[repr(C)]
struct PgConn {
    _opaque: [u8; 0],
}

#[repr(C)]
struct PgResult {
    _opaque: [u8; 0],
}

/// Declares the functions of the library, and how they are looked up.
macro_rules! functions {
    ($($field:ident = $symbol:literal: fn($($argument:ty),*) $(-> $result:ty)?;)*) => {
        struct Functions {
            $($field: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
            /// The functions are its own: it has to stay.
            _library: Library,
        }

        impl Functions {
            fn load(library: Library) -> Functions {
                // SAFETY: the signatures are those of libpq-fe.h.
                unsafe {
                    $(let $field = *library.get(concat!($symbol, "\0").as_bytes()).unwrap();)*
                    Functions { $($field,)* _library: library }
                }
            }
        }
    };
}

functions! {
    connect = "PQconnectdb": fn(*const c_char) -> *mut PgConn;
    connection_status = "PQstatus": fn(*const PgConn) -> c_int;
    error_message = "PQerrorMessage": fn(*const PgConn) -> *const c_char;
    finish = "PQfinish": fn(*mut PgConn);
    prepare = "PQprepare": fn(*mut PgConn, *const c_char, *const c_char, c_int, *const u32)
        -> *mut PgResult;
    exec_prepared = "PQexecPrepared": fn(
        *mut PgConn, *const c_char, c_int, *const *const c_char, *const c_int, *const c_int, c_int
    ) -> *mut PgResult;
    send_prepared = "PQsendQueryPrepared": fn(
        *mut PgConn, *const c_char, c_int, *const *const c_char, *const c_int, *const c_int, c_int
    ) -> c_int;
    single_row_mode = "PQsetSingleRowMode": fn(*mut PgConn) -> c_int;
    enter_pipeline = "PQenterPipelineMode": fn(*mut PgConn) -> c_int;
    pipeline_sync = "PQpipelineSync": fn(*mut PgConn) -> c_int;
    next_result = "PQgetResult": fn(*mut PgConn) -> *mut PgResult;
    result_status = "PQresultStatus": fn(*const PgResult) -> c_int;
    tuples = "PQntuples": fn(*const PgResult) -> c_int;
    value = "PQgetvalue": fn(*const PgResult, c_int, c_int) -> *const u8;
    length = "PQgetlength": fn(*const PgResult, c_int, c_int) -> c_int;
    clear = "PQclear": fn(*mut PgResult);
}

/// A connection, used by one thread.
pub(crate) struct Client {
    functions: Functions,
    connection: *mut PgConn,
}

/// A statement with one integer as its parameter.
pub(crate) struct Prepared(CString);

/// A result until it is dropped.
struct Answer<'c> {
    functions: &'c Functions,
    result: *mut PgResult,
}

impl Client {
    pub(crate) fn open(host: &str, port: u16) -> Client {
        // SAFETY: what runs when libpq is loaded needs nothing of this process.
        let library = unsafe { Library::new("libpq.so.5") };
        let functions = Functions::load(library.expect("install Debian's package libpq5"));
        let info = format!("host={host} port={port} user=postgres dbname=postgres sslmode=disable");
        let info = CString::new(info).unwrap();
        // SAFETY: the text ends with a NUL; libpq copies it.
        let connection = unsafe { (functions.connect)(info.as_ptr()) };
        let client = Client {
            functions,
            connection,
        };
        // SAFETY: PQstatus takes what PQconnectdb has answered, NULL as well.
        let status = unsafe { (client.functions.connection_status)(client.connection) };
        assert_eq!(status, CONNECTION_OK, "{}", client.error());
        client
    }

    fn error(&self) -> String {
        // SAFETY: the message is the connection's, ends with a NUL, and is copied before another call.
        let message = unsafe { CStr::from_ptr((self.functions.error_message)(self.connection)) };
        message.to_string_lossy().into_owned()
    }

    pub(crate) fn prepare(&mut self, name: &str, sql: &str) -> Prepared {
        let name = CString::new(name).unwrap();
        let sql = CString::new(sql).unwrap();
        // SAFETY: both texts end with a NUL, and there is one type, as the count says.
        let result = unsafe {
            (self.functions.prepare)(self.connection, name.as_ptr(), sql.as_ptr(), 1, &INT8)
        };
        let answer = self.answer(result).expect("a result");
        answer.expect_status(COMMAND_OK, self);
        drop(answer);
        Prepared(name)
    }

    fn answer(&self, result: *mut PgResult) -> Option<Answer<'_>> {
        (!result.is_null()).then_some(Answer {
            functions: &self.functions,
            result,
        })
    }

    fn next(&self) -> Option<Answer<'_>> {
        // SAFETY: the connection is open, and one thread uses it.
        self.answer(unsafe { (self.functions.next_result)(self.connection) })
    }

    fn send(&mut self, prepared: &Prepared, id: i64) {
        let bytes = id.to_be_bytes();
        let (value, length) = (bytes.as_ptr().cast(), bytes.len() as c_int);
        // SAFETY: each array has one element, as the count says; libpq copies them.
        let sent = unsafe {
            let name = prepared.0.as_ptr();
            (self.functions.send_prepared)(
                self.connection,
                name,
                1,
                &value,
                &length,
                &BINARY,
                BINARY,
            )
        };
        assert_eq!(sent, 1, "{}", self.error());
    }

    /// Runs a query of one row: its integer, its float and the length of its text.
    pub(crate) fn point(&mut self, prepared: &Prepared, id: i64) -> (i64, f64, usize) {
        let bytes = id.to_be_bytes();
        let (value, length) = (bytes.as_ptr().cast(), bytes.len() as c_int);
        // SAFETY: each array has one element, as the count says; they outlive the call.
        let result = unsafe {
            let name = prepared.0.as_ptr();
            (self.functions.exec_prepared)(
                self.connection,
                name,
                1,
                &value,
                &length,
                &BINARY,
                BINARY,
            )
        };
        let answer = self.answer(result).expect("a result");
        answer.expect_status(TUPLES_OK, self);
        answer.row()
    }

    /// Reads all rows of a query in single-row mode, and touches each value.
    pub(crate) fn scan(&mut self, prepared: &Prepared, id: i64) -> Sums {
        self.send(prepared, id);
        // SAFETY: a query has just been sent.
        let set = unsafe { (self.functions.single_row_mode)(self.connection) };
        assert_eq!(set, 1);
        let mut sums = Sums::default();
        while let Some(answer) = self.next() {
            if answer.status() != SINGLE_TUPLE {
                answer.expect_status(TUPLES_OK, self);
                continue;
            }
            let (id, price, letters) = answer.row();
            sums.rows += 1;
            sums.ids += id;
            sums.prices += price;
            sums.letters += letters;
        }
        sums
    }

    /// From here on statements are sent without waiting for their answers.
    pub(crate) fn enter_pipeline(&mut self) {
        // SAFETY: the connection is open and idle.
        let entered = unsafe { (self.functions.enter_pipeline)(self.connection) };
        assert_eq!(entered, 1, "{}", self.error());
    }

    /// Sends a point query for each id, then one Sync, and gives the answers to `check`.
    pub(crate) fn pipeline(
        &mut self,
        prepared: &Prepared,
        ids: &[i64],
        mut check: impl FnMut(i64, (i64, f64, usize)),
    ) {
        for id in ids {
            self.send(prepared, *id);
        }
        // SAFETY: the connection is in pipeline mode.
        let synced = unsafe { (self.functions.pipeline_sync)(self.connection) };
        assert_eq!(synced, 1, "{}", self.error());
        for id in ids {
            let answer = self.next().expect("a result");
            answer.expect_status(TUPLES_OK, self);
            check(*id, answer.row());
            drop(answer);
            assert!(self.next().is_none());
        }
        let end = self.next().expect("the end of the pipeline");
        end.expect_status(PIPELINE_SYNC, self);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // SAFETY: it is not used again.
        unsafe { (self.functions.finish)(self.connection) }
    }
}

impl Answer<'_> {
    fn status(&self) -> c_int {
        // SAFETY: the result is not cleared yet.
        unsafe { (self.functions.result_status)(self.result) }
    }

    fn expect_status(&self, expected: c_int, client: &Client) {
        assert_eq!(self.status(), expected, "{}", client.error());
    }

    /// The one row.
    fn row(&self) -> (i64, f64, usize) {
        // SAFETY: the result is not cleared yet.
        let tuples = unsafe { (self.functions.tuples)(self.result) };
        assert_eq!(tuples, 1);
        let id = i64::from_be_bytes(self.fixed(0));
        let price = f64::from_be_bytes(self.fixed(1));
        let name = std::str::from_utf8(self.value(2)).unwrap();
        (id, price, name.len())
    }

    fn fixed(&self, column: c_int) -> [u8; 8] {
        self.value(column).try_into().unwrap()
    }

    fn value(&self, column: c_int) -> &[u8] {
        // SAFETY: the first row has the column, and the bytes are the result's, which outlives the borrow.
        unsafe {
            let value = (self.functions.value)(self.result, 0, column);
            let length = (self.functions.length)(self.result, 0, column);
            assert_ne!(value, null());
            std::slice::from_raw_parts(value, length as usize)
        }
    }
}

impl Drop for Answer<'_> {
    fn drop(&mut self) {
        // SAFETY: it is cleared once.
        unsafe { (self.functions.clear)(std::mem::replace(&mut self.result, null_mut())) }
    }
}
