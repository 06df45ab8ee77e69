//! The ways into the crate that the fuzz targets take; not part of its interface.

use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rustix::net::{
    AddressFamily, SendFlags, Shutdown, SocketFlags, SocketType, send, shutdown, socketpair,
};

use crate::backend::{BatchStep, NextRow, Session};
use crate::batch::Batch;
use crate::config::Config;
use crate::deadline::Deadline;
use crate::dqlite::channel::Channel;
use crate::dqlite::session::DqliteSession;
use crate::dqlite::store::yaml;
use crate::dqlite::wire::frame::Header;
use crate::dqlite::wire::request::Request;
use crate::dqlite::wire::response::{Context, Response};
use crate::dqlite::wire::rows::{self, DecodedRows, RowStep};
use crate::dqlite::wire::{VERSION, VERSION_LEGACY};
use crate::error::Result;
use crate::net::address::Address;
use crate::net::socket::Socket;
use crate::net::wait::Call;
use crate::params::ParamsRef;
use crate::picodata::connect;
use crate::picodata::decode::{Form, read_row};
use crate::picodata::discovery::{Discovery, Leader, decode_schema, decode_tier};
use crate::picodata::frames::Frames;
use crate::picodata::numeric;
use crate::picodata::options::{ConnectOptions, Server};
use crate::picodata::sharding::{BucketMap, Distribution, StatementKey, StatementKeys};
use crate::row::{Cell, Row};
use crate::sql::{self, Dialect, Placeholders, against_sqlite};
use crate::value::ValueRef;

/// Decodes a frame as a response, its rows and their texts included.
pub fn response(data: &[u8]) {
    let Some((header, body)) = data.split_first_chunk() else {
        return;
    };
    let header = Header::decode(header);
    for (version, cluster_format) in [(VERSION, 0), (VERSION, 1), (VERSION_LEGACY, 2)] {
        let context = Context {
            version,
            cluster_format,
        };
        match Response::decode(&header, body, context) {
            Ok(Response::Rows(mut part)) => {
                let columns = part.columns();
                let mut decoded = DecodedRows::default();
                let mut behind = Ok(RowStep::Row);
                while behind == Ok(RowStep::Row) {
                    behind = part.decode_rows(&mut decoded);
                    while decoded.advance() {
                        if let Ok(columns) = &columns {
                            assert_eq!(decoded.current().len(), columns.len());
                        }
                        for cell in decoded.current() {
                            check_span(body, *cell);
                        }
                    }
                }
            }
            Ok(response) => {
                let mut out = Vec::new();
                if response.encode(&mut out).is_ok()
                    && let Some((header, body)) = out.split_first_chunk()
                {
                    let again = Response::decode(&Header::decode(header), body, context);
                    assert_eq!(again.as_ref(), Ok(&response));
                }
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

fn check_span(body: &[u8], cell: Cell) {
    if let Cell::Text(span) | Cell::TimeText(span) | Cell::Blob(span) = cell {
        assert!(rows::bytes(body, span).is_ok());
        let _ = rows::text(body, span);
    }
}

/// Decodes a frame as a request, and what is made of it again.
pub fn request(data: &[u8]) {
    let Some((header, body)) = data.split_first_chunk() else {
        return;
    };
    match Request::decode(&Header::decode(header), body) {
        Ok(received) => {
            let mut once = Vec::new();
            if received.whole(|request| request.encode(&mut once)).is_err() {
                return;
            }
            let (header, body) = once.split_first_chunk().expect("BUG: no header");
            let received = Request::decode(&Header::decode(header), body)
                .expect("BUG: what was encoded is not decoded");
            let mut twice = Vec::new();
            assert!(received.whole(|request| request.encode(&mut twice)).is_ok());
            assert_eq!(once, twice);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Reads a text as a connection string, and what is made of it again.
pub fn connection_string(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match Config::parse(text) {
        Ok(config) => {
            let shown = config.to_string();
            assert!(!format!("{config:?}").is_empty());
            if shown.contains("***") {
                return;
            }
            let again = Config::parse(&shown)
                .unwrap_or_else(|error| panic!("{text:?} is shown as {shown:?}: {error}"));
            assert_eq!(again.to_string(), shown, "{text:?}");
        }
        Err(error) => assert!(!error.message().is_empty()),
    }
}

/// Scans a text as SQL: without a panic, in linear time, and cut where SQLite itself cuts it.
pub fn statements(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let began = Instant::now();
    for dialect in [Dialect::Sqlite, Dialect::Postgres] {
        let shape = sql::shape(text, dialect);
        assert!(shape.first_start <= shape.first_end && shape.first_end <= text.len());
        let mut end = 0;
        for statement in sql::statements(text, dialect) {
            let start = statement.as_ptr() as usize - text.as_ptr() as usize;
            assert!(start >= end && !statement.is_empty());
            end = start + statement.len();
        }
        assert_eq!(sql::statements_end(text, dialect), end);
        sql::transaction_effect(text, dialect);
        sql::is_rollback(text, dialect);
        for from in [
            Placeholders::Native,
            Placeholders::Question,
            Placeholders::Named,
        ] {
            if let Ok(rewritten) = sql::rewrite(text, from, dialect) {
                let again = sql::parameters(&rewritten.sql, dialect)
                    .unwrap_or_else(|error| panic!("{text:?}: {:?}: {error}", rewritten.sql));
                assert_eq!(again.count(), rewritten.parameters.count(), "{text:?}");
            }
        }
    }
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{} bytes",
        text.len()
    );
    if !text.contains('\0') {
        thread_local! {
            static DATABASE: rusqlite::Connection = against_sqlite::database();
        }
        DATABASE.with(|database| against_sqlite::compare(database, text));
    }
}

/// Reads a text as the file of a node store.
pub fn node_store(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        yaml::read_and_write(text);
    }
}

/// Follows bytes as messages of PostgreSQL's protocol, cut into pieces, and reads them as values.
pub fn postgres(data: &[u8]) {
    let Some((size, data)) = data.split_first() else {
        return;
    };
    let seen = |size: usize| {
        let mut frames = Frames::default();
        let mut seen = Vec::new();
        for piece in data.chunks(size) {
            frames.feed(piece, |tag, body, _| seen.push((tag, body.to_vec())));
        }
        seen
    };
    assert_eq!(seen(usize::from(*size).max(1)), seen(usize::MAX));
    let forms: Vec<Form> = [
        16, 17, 20, 21, 23, 25, 26, 114, 700, 701, 705, 1043, 1082, 1114, 1184, 1700, 2950, 3802,
        // Arrays.
        1000, 1001, 1005, 1007, 1009, 1016, 1021, 1022, 1115, 1182, 1185, 1231, 2951, 3807,
    ]
    .into_iter()
    .filter_map(|oid| Form::of(&tokio_postgres::types::Type::from_oid(oid)?))
    .chain([Form::DecimalText, Form::DecimalTexts])
    .collect();
    let array_of_documents = Form::of(&tokio_postgres::types::Type::JSONB_ARRAY);
    let (mut cells, mut written) = (Vec::new(), Vec::new());
    for form in &forms {
        let len = (data.len() as u32).to_be_bytes();
        let row = [&1u16.to_be_bytes(), len.as_slice(), data].concat();
        cells.clear();
        written.clear();
        let read = read_row(&[*form], &row, &mut cells, &mut written);
        if let (Ok(()), Some(Cell::Json(span)), Form::Array(_) | Form::DecimalTexts) =
            (read, cells.first(), form)
            && let Ok(text) = std::str::from_utf8(&written[span.start as usize..])
        {
            // But for the documents in it, which are as the server sent them.
            let is_json = serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok();
            let has_documents = Some(*form) == array_of_documents;
            assert!(is_json || has_documents, "{text:?}");
        }
    }
    for count in 0..forms.len() {
        cells.clear();
        written.clear();
        if read_row(&forms[..count], data, &mut cells, &mut written).is_ok() {
            assert_eq!(cells.len(), count);
        }
    }
    let mut text = Vec::new();
    if numeric::decode(data, &mut text).is_some() {
        let text = String::from_utf8(text).expect("BUG: a number that is no text");
        let mut bytes = Vec::new();
        assert!(numeric::encode(&text, &mut bytes).is_ok(), "{text}");
        let mut again = Vec::new();
        assert!(numeric::decode(&bytes, &mut again).is_some());
        assert_eq!(again, text.as_bytes());
    }
}

/// Reads a text as what Picodata's tables and notices hold.
pub fn topology(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    // The parts of a row.
    let parts: Vec<&str> = text.split('\n').collect();
    let values: Vec<ValueRef<'_>> = parts
        .iter()
        .map(|part| part.parse().map_or(ValueRef::Text(part), ValueRef::Int))
        .collect();
    for count in 0..=values.len().min(12) {
        let row = &values[..count];
        let mut discovery = Discovery::new(Leader::decode(row));
        discovery.push(row);
        discovery.push(&row.iter().rev().copied().collect::<Vec<_>>());
        let _ = discovery.finish();
        let _ = (decode_schema(row), decode_tier(row));
    }
    if let Ok(map) = BucketMap::parse(text) {
        let count = map.bucket_count();
        for bucket in [0, 1, count.unwrap_or(3000), u64::MAX] {
            assert!(map.replicaset(bucket).is_some() || count.is_none_or(|count| bucket != count));
        }
    }
    let (distribution, format) = text.split_once('\n').unwrap_or((text, ""));
    let _ = Distribution::parse("t", distribution, format);
    let _ = StatementKey::from_notice(text);
    if let Ok(address) = Address::parse(text, None) {
        let shown = address.to_string();
        let again = Address::parse(&shown, None)
            .unwrap_or_else(|error| panic!("{text:?} is shown as {shown:?}: {error}"));
        assert_eq!(again.to_string(), shown, "{text:?}");
    }
}

/// A socket whose peer has said `data` and says no more, and that peer, which reads nothing. Two bytes, a length, go
/// before each piece that is read at once, so that answers need not have come before they are asked for.
fn socket(mut data: &[u8]) -> (Socket, OwnedFd) {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (ours, peer) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
        .expect("BUG: no pair of sockets");
    while let Some((len, rest)) = data.split_first_chunk() {
        let len = usize::from(u16::from_le_bytes(*len)).clamp(1, 32 * 1024);
        let (piece, rest) = rest.split_at(len.min(rest.len()));
        // An empty piece would be the end. As many are taken as the queue holds.
        if piece.is_empty() || send(&peer, piece, SendFlags::NOSIGNAL).is_err() {
            break;
        }
        data = rest;
    }
    shutdown(&peer, Shutdown::Write).expect("BUG: a socket that cannot end");
    (Socket::new(ours).expect("BUG: no socket"), peer)
}

/// The deadline of a conversation that ends by itself.
fn call() -> Call<'static> {
    Call::until(Deadline::after(Duration::from_secs(2)))
}

/// Reads all rows and all values of them.
fn read_all(session: &mut dyn Session, call: &Call<'_>) -> Result<()> {
    loop {
        match session.next_row()? {
            NextRow::Row => {
                let row = Row::new(session.columns(), session.cells(), session.data());
                for index in 0..row.len() {
                    let _ = row.value(index);
                }
            }
            NextRow::Wait => session.receive_rows(call)?,
            NextRow::End => return Ok(()),
        }
    }
}

/// Runs a little of everything, whatever comes of it.
fn use_session(session: &mut dyn Session) {
    let call = &call();
    let none = ParamsRef::Positional(&[]);
    let note = |result: Result<()>| {
        if let Err(error) = result {
            assert!(!error.to_string().is_empty());
        }
    };
    for _ in 0..2 {
        let queried = session.query("SELECT a, b FROM t", none, call);
        note(queried.and_then(|()| read_all(session, call)));
        note(
            session
                .exec("INSERT INTO t VALUES (1)", none, call)
                .map(drop),
        );
        note(
            session
                .exec("DELETE FROM t; DELETE FROM t", none, call)
                .map(drop),
        );
        let mut batch = Batch::new();
        for sql in ["SELECT a FROM t", "DROP TABLE t"] {
            batch.queue(sql, ()).expect("BUG: no statement");
        }
        note(session.start_batch(batch.items(), call));
        while let Some(step) = session.next_step(call) {
            match step {
                Ok(BatchStep::Rows) => note(read_all(session, call)),
                step => note(step.map(drop)),
            }
        }
        note(session.query("SELECT a FROM t", none, call));
        if !session.try_close_rows() {
            note(session.close_rows(call));
        }
        note(session.ping(call));
        note(session.exec("SELECT a FROM t", none, call).map(drop));
        let queried = session.query("INSERT INTO t VALUES (1) RETURNING a", none, call);
        note(queried);
        note(session.close_rows(call));
        session.idle();
    }
    assert!(call.check().is_ok(), "it has not ended by itself");
}

/// Takes bytes for all that a PostgreSQL server ever says.
pub fn postgres_session(data: &[u8]) {
    static OPTIONS: OnceLock<Arc<ConnectOptions>> = OnceLock::new();
    let options = OPTIONS.get_or_init(|| {
        let mut options = ConnectOptions::new(Server::Postgres, "user");
        options.password = Some("password".to_owned());
        options.statement_keys = Some(Arc::new(StatementKeys::default()));
        Arc::new(options)
    });
    let (socket, _peer) = socket(data);
    match connect::start(socket, "", options, &call()) {
        Ok(mut session) => use_session(&mut session),
        Err(refused) => assert!(!refused.error.to_string().is_empty()),
    }
}

/// Takes bytes for all that a dqlite node ever says.
pub fn dqlite_session(data: &[u8]) {
    let (socket, _peer) = socket(data);
    let channel = Channel::new(socket, VERSION, 1 << 20);
    match DqliteSession::open(channel, "node", "db", 8, &call()) {
        Ok(mut session) => use_session(&mut session),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
