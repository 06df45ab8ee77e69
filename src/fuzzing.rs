//! The ways into the crate that the fuzz targets take; not part of its interface.

use std::time::{Duration, Instant};

use crate::config::Config;
use crate::dqlite::store::yaml;
use crate::dqlite::wire::frame::Header;
use crate::dqlite::wire::request::Request;
use crate::dqlite::wire::response::{Context, Response};
use crate::dqlite::wire::rows::{self, RowStep};
use crate::dqlite::wire::{VERSION, VERSION_LEGACY};
use crate::picodata::decode::{Form, read_row};
use crate::picodata::frames::Frames;
use crate::picodata::numeric;
use crate::row::Cell;
use crate::sql::{self, Dialect, Placeholders, against_sqlite};

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
                let mut cells = Vec::new();
                while let Ok(RowStep::Row) = part.next_row(&mut cells) {
                    if let Ok(columns) = &columns {
                        assert_eq!(cells.len(), columns.len());
                    }
                    for cell in &cells {
                        if let Cell::Text(span) | Cell::TimeText(span) | Cell::Blob(span) = *cell {
                            assert!(rows::bytes(body, span).is_ok());
                            let _ = rows::text(body, span);
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
    ]
    .into_iter()
    .filter_map(|oid| Form::of(&tokio_postgres::types::Type::from_oid(oid)?))
    .collect();
    let (mut cells, mut written) = (Vec::new(), Vec::new());
    for form in &forms {
        let len = (data.len() as u32).to_be_bytes();
        let row = [&1u16.to_be_bytes(), len.as_slice(), data].concat();
        cells.clear();
        written.clear();
        let _ = read_row(&[*form], &row, &mut cells, &mut written);
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
