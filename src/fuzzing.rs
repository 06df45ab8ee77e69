//! The ways into the crate that the fuzz targets take; not part of its interface.

use crate::dqlite::wire::frame::Header;
use crate::dqlite::wire::request::Request;
use crate::dqlite::wire::response::{Context, Response};
use crate::dqlite::wire::rows::{self, RowStep};
use crate::dqlite::wire::{VERSION, VERSION_LEGACY};
use crate::row::Cell;

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
