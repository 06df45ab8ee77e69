//! Requests, as a client sends them (dqlite, `src/request.h`).

use super::error::{Message, Place, WireError};
use super::writer::{Writer, frame};
use super::{
    REQUEST_ADD, REQUEST_ASSIGN, REQUEST_CLIENT, REQUEST_CLUSTER, REQUEST_CONNECT,
    REQUEST_DESCRIBE, REQUEST_DUMP, REQUEST_EXEC, REQUEST_EXEC_SQL, REQUEST_FINALIZE,
    REQUEST_HEARTBEAT, REQUEST_INTERRUPT, REQUEST_LEADER, REQUEST_OPEN, REQUEST_PREPARE,
    REQUEST_QUERY, REQUEST_QUERY_SQL, REQUEST_REMOVE, REQUEST_TRANSFER, REQUEST_WEIGHT, params,
};
use crate::value::ValueRef;

/// A request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Request<'a> {
    /// Asks for the leader: NODE. A node that is no voter answers id 0 and an empty address.
    Leader,
    /// Names the client: WELCOME.
    Client { id: u64 },
    /// Of old clients; no server answers it any more.
    Heartbeat { timestamp: u64 },
    /// Opens the connection's one database: DB. Servers read neither `flags` nor `vfs`.
    Open {
        name: &'a str,
        flags: u64,
        vfs: &'a str,
    },
    /// Prepares a statement: STMT.
    Prepare { db: u64, sql: &'a str, schema: u8 },
    /// Runs a prepared statement: RESULT.
    Exec {
        db: u32,
        stmt: u32,
        params: &'a [ValueRef<'a>],
    },
    /// Runs a prepared statement: ROWS.
    Query {
        db: u32,
        stmt: u32,
        params: &'a [ValueRef<'a>],
    },
    /// Frees a prepared statement: EMPTY.
    Finalize { db: u32, stmt: u32 },
    /// Runs a text: RESULT.
    ExecSql {
        db: u64,
        sql: &'a str,
        params: &'a [ValueRef<'a>],
    },
    /// Runs a text: ROWS.
    QuerySql {
        db: u64,
        sql: &'a str,
        params: &'a [ValueRef<'a>],
    },
    /// Ends the rows that are being sent: EMPTY.
    Interrupt { db: u64 },
    /// Turns the connection into one of raft, between nodes; not answered.
    Connect { id: u64, address: &'a str },
    /// Adds a node: EMPTY.
    Add { id: u64, address: &'a str },
    /// Makes a node a voter; the form of ASSIGN that servers before 1.3 know: EMPTY.
    Promote { id: u64 },
    /// Gives a node a role: EMPTY.
    Assign { id: u64, role: u64 },
    /// Removes a node: EMPTY.
    Remove { id: u64 },
    /// Asks for the files of a database: FILES.
    Dump { name: &'a str },
    /// Asks for the nodes: NODES.
    Cluster { format: u64 },
    /// Passes the leadership on, to any voter if the id is 0: EMPTY.
    Transfer { id: u64 },
    /// Asks for what the node says of itself: METADATA.
    Describe { format: u64 },
    /// Sets the node's weight: EMPTY.
    Weight { weight: u64 },
}

/// The name of a request's type tag, as error messages use it.
pub(crate) fn kind_name(kind: u8) -> &'static str {
    match kind {
        REQUEST_LEADER => "LEADER",
        REQUEST_CLIENT => "CLIENT",
        REQUEST_HEARTBEAT => "HEARTBEAT",
        REQUEST_OPEN => "OPEN",
        REQUEST_PREPARE => "PREPARE",
        REQUEST_EXEC => "EXEC",
        REQUEST_QUERY => "QUERY",
        REQUEST_FINALIZE => "FINALIZE",
        REQUEST_EXEC_SQL => "EXEC_SQL",
        REQUEST_QUERY_SQL => "QUERY_SQL",
        REQUEST_INTERRUPT => "INTERRUPT",
        REQUEST_CONNECT => "CONNECT",
        REQUEST_ADD => "ADD",
        REQUEST_ASSIGN => "ASSIGN",
        REQUEST_REMOVE => "REMOVE",
        REQUEST_DUMP => "DUMP",
        REQUEST_CLUSTER => "CLUSTER",
        REQUEST_TRANSFER => "TRANSFER",
        REQUEST_DESCRIBE => "DESCRIBE",
        REQUEST_WEIGHT => "WEIGHT",
        _ => "of unknown type",
    }
}

impl Request<'_> {
    /// The type tag.
    pub(crate) fn kind(&self) -> u8 {
        match self {
            Request::Leader => REQUEST_LEADER,
            Request::Client { .. } => REQUEST_CLIENT,
            Request::Heartbeat { .. } => REQUEST_HEARTBEAT,
            Request::Open { .. } => REQUEST_OPEN,
            Request::Prepare { .. } => REQUEST_PREPARE,
            Request::Exec { .. } => REQUEST_EXEC,
            Request::Query { .. } => REQUEST_QUERY,
            Request::Finalize { .. } => REQUEST_FINALIZE,
            Request::ExecSql { .. } => REQUEST_EXEC_SQL,
            Request::QuerySql { .. } => REQUEST_QUERY_SQL,
            Request::Interrupt { .. } => REQUEST_INTERRUPT,
            Request::Connect { .. } => REQUEST_CONNECT,
            Request::Add { .. } => REQUEST_ADD,
            Request::Promote { .. } | Request::Assign { .. } => REQUEST_ASSIGN,
            Request::Remove { .. } => REQUEST_REMOVE,
            Request::Dump { .. } => REQUEST_DUMP,
            Request::Cluster { .. } => REQUEST_CLUSTER,
            Request::Transfer { .. } => REQUEST_TRANSFER,
            Request::Describe { .. } => REQUEST_DESCRIBE,
            Request::Weight { .. } => REQUEST_WEIGHT,
        }
    }

    /// Appends the whole frame to `out`, so that several requests can be sent at once.
    ///
    /// Up to 255 parameters are sent in schema 0, which every server knows, more in schema 1.
    ///
    /// # Errors
    /// A text with a NUL inside, a timestamp outside the years 0 to 9999, a body over 4 GiB. `out` is then
    /// as it was before.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) -> Result<(), WireError> {
        let schema = match self {
            Request::Prepare { schema, .. } => *schema,
            Request::Exec { params, .. }
            | Request::Query { params, .. }
            | Request::ExecSql { params, .. }
            | Request::QuerySql { params, .. } => params::schema(params.len()),
            _ => 0,
        };
        self.encode_as(schema, out)
    }

    /// Appends the frame in a schema that the caller chooses.
    pub(super) fn encode_as(&self, schema: u8, out: &mut Vec<u8>) -> Result<(), WireError> {
        frame(Message::Request(self.kind()), schema, out, |writer| {
            self.encode_body(schema, writer)
        })
    }

    fn encode_body(&self, schema: u8, writer: &mut Writer<'_>) -> Result<(), WireError> {
        match *self {
            Request::Leader => writer.u64(0),
            Request::Client { id } | Request::Remove { id } | Request::Transfer { id } => {
                writer.u64(id);
            }
            Request::Heartbeat { timestamp } => writer.u64(timestamp),
            Request::Open { name, flags, vfs } => {
                writer.text(Place::Field("name"), name)?;
                writer.u64(flags);
                writer.text(Place::Field("vfs"), vfs)?;
            }
            Request::Prepare { db, sql, .. } => {
                writer.u64(db);
                writer.text(Place::Field("sql"), sql)?;
            }
            Request::Exec { db, stmt, params } | Request::Query { db, stmt, params } => {
                writer.u32(db);
                writer.u32(stmt);
                params::encode(writer, schema, params)?;
            }
            Request::Finalize { db, stmt } => {
                writer.u32(db);
                writer.u32(stmt);
            }
            Request::ExecSql { db, sql, params } | Request::QuerySql { db, sql, params } => {
                writer.u64(db);
                writer.text(Place::Field("sql"), sql)?;
                params::encode(writer, schema, params)?;
            }
            Request::Interrupt { db } => writer.u64(db),
            Request::Connect { id, address } | Request::Add { id, address } => {
                writer.u64(id);
                writer.text(Place::Field("address"), address)?;
            }
            Request::Promote { id } => writer.u64(id),
            Request::Assign { id, role } => {
                writer.u64(id);
                writer.u64(role);
            }
            Request::Dump { name } => writer.text(Place::Field("name"), name)?,
            Request::Cluster { format } | Request::Describe { format } => writer.u64(format),
            Request::Weight { weight } => writer.u64(weight),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dqlite::wire::testing::requests::golden;

    #[test]
    fn every_request_is_the_bytes_of_the_protocol() {
        for (request, golden) in golden() {
            let mut out = Vec::new();
            request.encode(&mut out).unwrap();
            assert_eq!(out, golden, "{request:?}");
        }
    }

    #[test]
    fn requests_follow_each_other_in_one_buffer() {
        let (mut out, mut expected) = (Vec::new(), Vec::new());
        for (request, golden) in golden() {
            request.encode(&mut out).unwrap();
            expected.extend(golden);
        }
        assert_eq!(out, expected);
    }

    #[test]
    fn a_nul_in_any_text_names_the_field_and_writes_nothing() {
        let nul = "a\0b";
        let params = &[ValueRef::Text(nul)][..];
        let sql = "select ?";
        let cases = [
            (
                Request::Open {
                    name: nul,
                    flags: 0,
                    vfs: "",
                },
                "request OPEN: name ",
            ),
            (
                Request::Open {
                    name: "a",
                    flags: 0,
                    vfs: nul,
                },
                "request OPEN: vfs ",
            ),
            (
                Request::Prepare {
                    db: 0,
                    sql: nul,
                    schema: 0,
                },
                "request PREPARE: sql ",
            ),
            (
                Request::ExecSql {
                    db: 0,
                    sql: nul,
                    params: &[],
                },
                "request EXEC_SQL: sql ",
            ),
            (
                Request::QuerySql {
                    db: 0,
                    sql: nul,
                    params: &[],
                },
                "request QUERY_SQL: sql ",
            ),
            (
                Request::ExecSql { db: 0, sql, params },
                "request EXEC_SQL: parameter 1 ",
            ),
            (
                Request::QuerySql { db: 0, sql, params },
                "request QUERY_SQL: parameter 1 ",
            ),
            (
                Request::Exec {
                    db: 0,
                    stmt: 0,
                    params,
                },
                "request EXEC: parameter 1 ",
            ),
            (
                Request::Query {
                    db: 0,
                    stmt: 0,
                    params,
                },
                "request QUERY: parameter 1 ",
            ),
            (
                Request::Connect {
                    id: 1,
                    address: nul,
                },
                "request CONNECT: address ",
            ),
            (
                Request::Add {
                    id: 1,
                    address: nul,
                },
                "request ADD: address ",
            ),
            (Request::Dump { name: nul }, "request DUMP: name "),
        ];
        for (request, begin) in cases {
            let mut out = b"before".to_vec();
            let error = request.encode(&mut out).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("{begin}has a NUL after 1 bytes")),
                "{error}"
            );
            assert_eq!(out, b"before");
        }
    }

    #[test]
    fn more_than_255_parameters_take_schema_1() {
        let params = [ValueRef::Null; 256];
        let mut out = Vec::new();
        let request = Request::Exec {
            db: 0,
            stmt: 1,
            params: &params,
        };
        request.encode(&mut out).unwrap();
        assert_eq!(out[4..8], *b"\x05\x01\0\0");
        assert_eq!(out[16..20], *b"\0\x01\0\0");
        assert!(request.encode_as(0, &mut out).is_err());
    }
}
