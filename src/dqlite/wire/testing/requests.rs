//! Every request beside its bytes, written by hand from the protocol.

use super::words;
use crate::dqlite::wire::request::Request;
use crate::value::ValueRef;

/// Every request with the frame it makes.
pub(in crate::dqlite::wire) fn golden() -> Vec<(Request<'static>, Vec<u8>)> {
    let params: &[ValueRef<'_>] = &[ValueRef::Int(7), ValueRef::Text("hi")];
    vec![
        (
            Request::Leader,
            words(&[b"\x01\0\0\0\0\0\0\0", b"\0\0\0\0\0\0\0\0"]),
        ),
        (
            Request::Client { id: 0x1122 },
            words(&[b"\x01\0\0\0\x01\0\0\0", b"\x22\x11\0\0\0\0\0\0"]),
        ),
        (
            Request::Heartbeat { timestamp: 3 },
            words(&[b"\x01\0\0\0\x02\0\0\0", b"\x03\0\0\0\0\0\0\0"]),
        ),
        (
            Request::Open {
                name: "test.db",
                flags: 6,
                vfs: "volatile",
            },
            words(&[
                b"\x04\0\0\0\x03\0\0\0",
                b"test.db\0",
                b"\x06\0\0\0\0\0\0\0",
                b"volatile",
                b"\0\0\0\0\0\0\0\0",
            ]),
        ),
        (
            Request::Prepare {
                db: 1,
                sql: "select 1",
                schema: 0,
            },
            words(&[
                b"\x03\0\0\0\x04\0\0\0",
                b"\x01\0\0\0\0\0\0\0",
                b"select 1",
                b"\0\0\0\0\0\0\0\0",
            ]),
        ),
        (
            Request::Prepare {
                db: 0,
                sql: "vacuum",
                schema: 1,
            },
            words(&[
                b"\x02\0\0\0\x04\x01\0\0",
                b"\0\0\0\0\0\0\0\0",
                b"vacuum\0\0",
            ]),
        ),
        (
            Request::Exec {
                db: 1,
                stmt: 2,
                params,
            },
            words(&[
                b"\x04\0\0\0\x05\0\0\0",
                b"\x01\0\0\0\x02\0\0\0",
                b"\x02\x01\x03\0\0\0\0\0",
                b"\x07\0\0\0\0\0\0\0",
                b"hi\0\0\0\0\0\0",
            ]),
        ),
        (
            Request::Query {
                db: 0,
                stmt: 5,
                params: &[],
            },
            words(&[b"\x01\0\0\0\x06\0\0\0", b"\0\0\0\0\x05\0\0\0"]),
        ),
        (
            Request::Finalize { db: 0, stmt: 3 },
            words(&[b"\x01\0\0\0\x07\0\0\0", b"\0\0\0\0\x03\0\0\0"]),
        ),
        (
            Request::ExecSql {
                db: 0,
                sql: "commit",
                params: &[],
            },
            words(&[b"\x02\0\0\0\x08\0\0\0", b"\0\0\0\0\0\0\0\0", b"commit\0\0"]),
        ),
        (
            Request::QuerySql {
                db: 0,
                sql: "values(?,?)",
                params,
            },
            words(&[
                b"\x06\0\0\0\x09\0\0\0",
                b"\0\0\0\0\0\0\0\0",
                b"values(?",
                b",?)\0\0\0\0\0",
                b"\x02\x01\x03\0\0\0\0\0",
                b"\x07\0\0\0\0\0\0\0",
                b"hi\0\0\0\0\0\0",
            ]),
        ),
        (
            Request::Interrupt { db: 0 },
            words(&[b"\x01\0\0\0\x0a\0\0\0", b"\0\0\0\0\0\0\0\0"]),
        ),
        (
            Request::Connect {
                id: 2,
                address: "@2",
            },
            words(&[
                b"\x02\0\0\0\x0b\0\0\0",
                b"\x02\0\0\0\0\0\0\0",
                b"@2\0\0\0\0\0\0",
            ]),
        ),
        (
            Request::Add {
                id: 3,
                address: "10.0.0.3",
            },
            words(&[
                b"\x03\0\0\0\x0c\0\0\0",
                b"\x03\0\0\0\0\0\0\0",
                b"10.0.0.3",
                b"\0\0\0\0\0\0\0\0",
            ]),
        ),
        (
            Request::Promote { id: 3 },
            words(&[b"\x01\0\0\0\x0d\0\0\0", b"\x03\0\0\0\0\0\0\0"]),
        ),
        (
            Request::Assign { id: 3, role: 2 },
            words(&[
                b"\x02\0\0\0\x0d\0\0\0",
                b"\x03\0\0\0\0\0\0\0",
                b"\x02\0\0\0\0\0\0\0",
            ]),
        ),
        (
            Request::Remove { id: 4 },
            words(&[b"\x01\0\0\0\x0e\0\0\0", b"\x04\0\0\0\0\0\0\0"]),
        ),
        (
            Request::Dump { name: "test.db" },
            words(&[b"\x01\0\0\0\x0f\0\0\0", b"test.db\0"]),
        ),
        (
            Request::Cluster { format: 1 },
            words(&[b"\x01\0\0\0\x10\0\0\0", b"\x01\0\0\0\0\0\0\0"]),
        ),
        (
            Request::Transfer { id: 5 },
            words(&[b"\x01\0\0\0\x11\0\0\0", b"\x05\0\0\0\0\0\0\0"]),
        ),
        (
            Request::Describe { format: 0 },
            words(&[b"\x01\0\0\0\x12\0\0\0", b"\0\0\0\0\0\0\0\0"]),
        ),
        (
            Request::Weight { weight: 9 },
            words(&[b"\x01\0\0\0\x13\0\0\0", b"\x09\0\0\0\0\0\0\0"]),
        ),
    ]
}
