//! Every response beside its bytes, written by hand from the protocol.

use super::words;
use crate::dqlite::wire::response::{Context, File, Node, Response};
use crate::dqlite::wire::rows::RowsPart;
use crate::dqlite::wire::{VERSION, VERSION_LEGACY};

/// The answer to CLUSTER in a format.
fn format(cluster_format: u64) -> Context {
    Context {
        version: VERSION,
        cluster_format,
    }
}

/// Two columns and two rows of rows of all types, the last part.
pub(in crate::dqlite::wire) const ROWS: &[&[u8; 8]] = &[
    b"\x05\0\0\0\0\0\0\0",
    b"id\0\0\0\0\0\0",
    b"amount\0\0",
    b"comment\0",
    b"birthday",
    b"\0\0\0\0\0\0\0\0",
    b"ok\0\0\0\0\0\0",
    b"\x21\xa3\x0b\0\0\0\0\0",
    b"\x01\0\0\0\0\0\0\0",
    b"\0\0\0\0\0\0\xf8\x3f",
    b"eight by",
    b"tes\0\0\0\0\0",
    b"2024-02-",
    b"29\0\0\0\0\0\0",
    b"\x01\0\0\0\0\0\0\0",
    b"\x51\x94\x0b\0\0\0\0\0",
    b"\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\0\0\0\0\0\0\0\0",
    b"\x03\0\0\0\0\0\0\0",
    b"\xee\xee\xee\0\0\0\0\0",
    b"\x80\x51\x01\0\0\0\0\0",
    b"\0\0\0\0\0\0\0\0",
    b"\xff\xff\xff\xff\xff\xff\xff\xff",
];

/// Every response that servers send, what has to be known to decode it, and its frame.
pub(in crate::dqlite::wire) fn golden() -> Vec<(Response<'static>, Context, Vec<u8>)> {
    let rows: &'static [u8] = words(ROWS).leak();
    let no_columns: &'static [u8] = b"\0\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff";
    let part: &'static [u8] =
        b"\x01\0\0\0\0\0\0\0n\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\xee\xee\xee\xee\xee\xee\xee\xee";
    let any = Context::default();
    let rows_frame = |words: u8, body: &[u8]| [&[words, 0, 0, 0, 7, 0, 0, 0][..], body].concat();
    let rows_of = |body| Response::Rows(RowsPart::decode(body).unwrap());
    vec![
        (
            Response::Failure {
                code: 1555,
                message: "not unique".into(),
            },
            any,
            words(&[
                b"\x03\0\0\0\0\0\0\0",
                b"\x13\x06\0\0\0\0\0\0",
                b"not uniq",
                b"ue\0\0\0\0\0\0",
            ]),
        ),
        (
            Response::Failure {
                code: 0,
                message: "empty statement".into(),
            },
            any,
            words(&[
                b"\x03\0\0\0\0\0\0\0",
                b"\0\0\0\0\0\0\0\0",
                b"empty st",
                b"atement\0",
            ]),
        ),
        (
            Response::Node {
                id: 0x2dc1_7185_8c31_55be,
                address: "@1",
            },
            any,
            words(&[
                b"\x02\0\0\0\x01\0\0\0",
                b"\xbe\x55\x31\x8c\x85\x71\xc1\x2d",
                b"@1\0\0\0\0\0\0",
            ]),
        ),
        (
            Response::NodeLegacy {
                address: "10.0.0.1",
            },
            Context {
                version: VERSION_LEGACY,
                ..any
            },
            words(&[b"\x02\0\0\0\x01\0\0\0", b"10.0.0.1", b"\0\0\0\0\0\0\0\0"]),
        ),
        (
            Response::Welcome {
                heartbeat_timeout: 15_000,
            },
            any,
            words(&[b"\x01\0\0\0\x02\0\0\0", b"\x98\x3a\0\0\0\0\0\0"]),
        ),
        (
            Response::Nodes(vec![
                Node {
                    id: 1,
                    address: "@1",
                    role: None,
                },
                Node {
                    id: 2,
                    address: "10.0.0.2",
                    role: None,
                },
            ]),
            format(0),
            words(&[
                b"\x06\0\0\0\x03\0\0\0",
                b"\x02\0\0\0\0\0\0\0",
                b"\x01\0\0\0\0\0\0\0",
                b"@1\0\0\0\0\0\0",
                b"\x02\0\0\0\0\0\0\0",
                b"10.0.0.2",
                b"\0\0\0\0\0\0\0\0",
            ]),
        ),
        (
            Response::Nodes(vec![
                Node {
                    id: 1,
                    address: "@1",
                    role: Some(0),
                },
                Node {
                    id: 2,
                    address: "@2",
                    role: Some(2),
                },
            ]),
            format(1),
            words(&[
                b"\x07\0\0\0\x03\0\0\0",
                b"\x02\0\0\0\0\0\0\0",
                b"\x01\0\0\0\0\0\0\0",
                b"@1\0\0\0\0\0\0",
                b"\0\0\0\0\0\0\0\0",
                b"\x02\0\0\0\0\0\0\0",
                b"@2\0\0\0\0\0\0",
                b"\x02\0\0\0\0\0\0\0",
            ]),
        ),
        (
            Response::Nodes(vec![]),
            format(1),
            words(&[b"\x01\0\0\0\x03\0\0\0", b"\0\0\0\0\0\0\0\0"]),
        ),
        (
            Response::Db { id: 1 },
            any,
            words(&[b"\x01\0\0\0\x04\0\0\0", b"\x01\0\0\0\0\0\0\0"]),
        ),
        (
            Response::Stmt {
                db: 1,
                id: 2,
                params: 3,
            },
            any,
            words(&[
                b"\x02\0\0\0\x05\0\0\0",
                b"\x01\0\0\0\x02\0\0\0",
                b"\x03\0\0\0\0\0\0\0",
            ]),
        ),
        (
            Response::StmtWithOffset {
                db: 1,
                id: 2,
                params: 3,
                offset: 9,
            },
            any,
            words(&[
                b"\x03\0\0\0\x05\x01\0\0",
                b"\x01\0\0\0\x02\0\0\0",
                b"\x03\0\0\0\0\0\0\0",
                b"\x09\0\0\0\0\0\0\0",
            ]),
        ),
        (
            Response::Result {
                last_insert_id: 5,
                rows_affected: 2,
            },
            any,
            words(&[
                b"\x02\0\0\0\x06\0\0\0",
                b"\x05\0\0\0\0\0\0\0",
                b"\x02\0\0\0\0\0\0\0",
            ]),
        ),
        (rows_of(rows), any, rows_frame(23, rows)),
        (rows_of(part), any, rows_frame(5, part)),
        (rows_of(no_columns), any, rows_frame(2, no_columns)),
        (
            Response::Empty,
            any,
            words(&[b"\x01\0\0\0\x08\0\0\0", b"\0\0\0\0\0\0\0\0"]),
        ),
        (
            Response::Files(vec![
                File {
                    name: "test.db",
                    data: b"SQLite format 3\0",
                },
                File {
                    name: "test.db-wal",
                    data: b"",
                },
            ]),
            any,
            words(&[
                b"\x08\0\0\0\x09\0\0\0",
                b"\x02\0\0\0\0\0\0\0",
                b"test.db\0",
                b"\x10\0\0\0\0\0\0\0",
                b"SQLite f",
                b"ormat 3\0",
                b"test.db-",
                b"wal\0\0\0\0\0",
                b"\0\0\0\0\0\0\0\0",
            ]),
        ),
        (
            Response::Metadata {
                failure_domain: 4,
                weight: 6,
            },
            any,
            words(&[
                b"\x02\0\0\0\x0a\0\0\0",
                b"\x04\0\0\0\0\0\0\0",
                b"\x06\0\0\0\0\0\0\0",
            ]),
        ),
    ]
}
