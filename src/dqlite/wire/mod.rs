//! The wire protocol of dqlite: pure functions from bytes to messages and back, without I/O.
//!
//! A connection opens with the protocol version, a `u64`. After it, both sides send frames: a header of
//! 8 bytes ([`frame::Header`]) and a body of whole 8-byte words. All numbers are little endian. Text ends
//! with a NUL and is padded to a whole word; a blob is its length, a `u64`, and its bytes, padded likewise.
//! The content of padding is not defined: servers leave whatever was in their buffer there.
//!
//! Nothing that a peer declares is trusted: a count is compared with the bytes that are there before
//! anything is reserved, every message must use up its body, and no input makes this module panic.
//!
//! Sources: dqlite, `src/protocol.h`, `src/message.h`, `src/request.h`, `src/response.h`, `src/tuple.h`,
//! releases 1.11.1 and 1.18.6, which share everything here unless a comment says otherwise.

mod cursor;
pub(crate) mod error;
mod failure;
pub(crate) mod frame;
pub(crate) mod params;
mod reader;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod rows;
#[cfg(any(test, fuzzing))]
pub(crate) mod server;
#[cfg(test)]
mod testing;
mod writer;

/// The version of the protocol, the first word on a connection.
pub(crate) const VERSION: u64 = 1;
/// The version before dqlite 1.0: its answer to LEADER lacks the node's id.
pub(crate) const VERSION_LEGACY: u64 = 0x8610_4dd7_6043_3fe5;

/// Bytes in a word, the unit of every body.
pub(crate) const WORD: usize = 8;

// Type tags of requests.
pub(crate) const REQUEST_LEADER: u8 = 0;
pub(crate) const REQUEST_CLIENT: u8 = 1;
/// No longer answered by any server: both releases refuse it as an unknown type.
pub(crate) const REQUEST_HEARTBEAT: u8 = 2;
pub(crate) const REQUEST_OPEN: u8 = 3;
pub(crate) const REQUEST_PREPARE: u8 = 4;
pub(crate) const REQUEST_EXEC: u8 = 5;
pub(crate) const REQUEST_QUERY: u8 = 6;
pub(crate) const REQUEST_FINALIZE: u8 = 7;
pub(crate) const REQUEST_EXEC_SQL: u8 = 8;
pub(crate) const REQUEST_QUERY_SQL: u8 = 9;
pub(crate) const REQUEST_INTERRUPT: u8 = 10;
pub(crate) const REQUEST_CONNECT: u8 = 11;
pub(crate) const REQUEST_ADD: u8 = 12;
/// PROMOTE and ASSIGN share a tag; the one with a role is ASSIGN.
pub(crate) const REQUEST_ASSIGN: u8 = 13;
pub(crate) const REQUEST_REMOVE: u8 = 14;
pub(crate) const REQUEST_DUMP: u8 = 15;
pub(crate) const REQUEST_CLUSTER: u8 = 16;
pub(crate) const REQUEST_TRANSFER: u8 = 17;
pub(crate) const REQUEST_DESCRIBE: u8 = 18;
pub(crate) const REQUEST_WEIGHT: u8 = 19;

// Type tags of responses.
pub(crate) const RESPONSE_FAILURE: u8 = 0;
pub(crate) const RESPONSE_NODE: u8 = 1;
pub(crate) const RESPONSE_WELCOME: u8 = 2;
pub(crate) const RESPONSE_NODES: u8 = 3;
pub(crate) const RESPONSE_DB: u8 = 4;
pub(crate) const RESPONSE_STMT: u8 = 5;
pub(crate) const RESPONSE_RESULT: u8 = 6;
pub(crate) const RESPONSE_ROWS: u8 = 7;
pub(crate) const RESPONSE_EMPTY: u8 = 8;
pub(crate) const RESPONSE_FILES: u8 = 9;
pub(crate) const RESPONSE_METADATA: u8 = 10;

/// The layout of parameters with a count of one byte.
pub(crate) const PARAMS_SCHEMA_U8: u8 = 0;
/// The layout of parameters with a count of four bytes; refused by 1.11.
pub(crate) const PARAMS_SCHEMA_U32: u8 = 1;

/// PREPARE of one statement.
pub(crate) const PREPARE_SCHEMA_SINGLE: u8 = 0;
/// PREPARE of the first of several statements, answered with the offset of the rest; 1.11 ignores the
/// schema and answers as if it were [`PREPARE_SCHEMA_SINGLE`].
pub(crate) const PREPARE_SCHEMA_OFFSET: u8 = 1;

/// CLUSTER answered with ids and addresses.
pub(crate) const CLUSTER_FORMAT_ADDRESSES: u64 = 0;
/// CLUSTER answered with ids, addresses and roles.
pub(crate) const CLUSTER_FORMAT_ROLES: u64 = 1;
/// DESCRIBE answered with the failure domain and the weight, the only format there is.
pub(crate) const DESCRIBE_FORMAT: u64 = 0;

/// The role of a node that votes and can lead.
pub(crate) const ROLE_VOTER: u64 = 0;
/// The role of a node that replicates without a vote.
pub(crate) const ROLE_STANDBY: u64 = 1;
/// The role of a node that holds no data.
pub(crate) const ROLE_SPARE: u64 = 2;

// Types of values. The first five are SQLite's fundamental types (sqlite3.h), the rest dqlite's own.
pub(crate) const TYPE_INT: u8 = 1;
pub(crate) const TYPE_FLOAT: u8 = 2;
pub(crate) const TYPE_TEXT: u8 = 3;
pub(crate) const TYPE_BLOB: u8 = 4;
pub(crate) const TYPE_NULL: u8 = 5;
/// Seconds since 1970-01-01T00:00:00Z: an integer in a column declared DATE, DATETIME or TIMESTAMP.
/// Servers send it and do not accept it as a parameter.
pub(crate) const TYPE_UNIX_TIME: u8 = 9;
/// A date or time in ISO 8601 text.
pub(crate) const TYPE_ISO_8601: u8 = 10;
/// A truth value in a whole word.
pub(crate) const TYPE_BOOL: u8 = 11;

/// SQLITE_ERROR.
pub(crate) const ERROR_GENERIC: u64 = 1;
/// SQLITE_BUSY.
pub(crate) const ERROR_BUSY: u64 = 5;
/// SQLITE_BUSY_SNAPSHOT.
pub(crate) const ERROR_BUSY_SNAPSHOT: u64 = 5 | 2 << 8;
/// SQLITE_IOERR_NOT_LEADER: nothing ran.
pub(crate) const ERROR_NOT_LEADER: u64 = 10 | 40 << 8;
/// SQLITE_IOERR_LEADERSHIP_LOST: the entry may have been appended, so the outcome is unknown.
pub(crate) const ERROR_LEADERSHIP_LOST: u64 = 10 | 41 << 8;
/// The number of [`ERROR_NOT_LEADER`] before 2020.
pub(crate) const ERROR_NOT_LEADER_OLD: u64 = 10 | 32 << 8;
/// The number of [`ERROR_LEADERSHIP_LOST`] before 2020.
pub(crate) const ERROR_LEADERSHIP_LOST_OLD: u64 = 10 | 33 << 8;
/// SQLITE_NOTFOUND: a database or statement that is not open, or was lost with the leadership.
pub(crate) const ERROR_NOT_FOUND: u64 = 12;
/// SQLITE_CONSTRAINT, the primary code of [`ERROR_CONSTRAINT_PRIMARY_KEY`] and its like.
pub(crate) const ERROR_CONSTRAINT: u64 = 19;
/// SQLITE_CONSTRAINT_PRIMARYKEY.
pub(crate) const ERROR_CONSTRAINT_PRIMARY_KEY: u64 = 1555;
/// SQLITE_CONSTRAINT_UNIQUE.
pub(crate) const ERROR_CONSTRAINT_UNIQUE: u64 = 2067;
/// DQLITE_PROTO: the request broke the protocol.
pub(crate) const ERROR_PROTOCOL: u64 = 1001;
/// DQLITE_NOTFOUND: DUMP of a database that does not exist.
pub(crate) const ERROR_NO_SUCH_DATABASE: u64 = 1002;
/// DQLITE_PARSE: the request could not be decoded.
pub(crate) const ERROR_PARSE: u64 = 1005;
