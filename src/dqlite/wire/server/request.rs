//! Decodes requests.

use chrono::{DateTime, NaiveDate};

use crate::dqlite::wire::error::{Message, Place, Problem, WireError};
use crate::dqlite::wire::frame::Header;
use crate::dqlite::wire::reader::Reader;
use crate::dqlite::wire::request::Request;
use crate::dqlite::wire::{
    PARAMS_SCHEMA_U8, PARAMS_SCHEMA_U32, PREPARE_SCHEMA_OFFSET, REQUEST_ADD, REQUEST_ASSIGN,
    REQUEST_CLIENT, REQUEST_CLUSTER, REQUEST_CONNECT, REQUEST_DESCRIBE, REQUEST_DUMP, REQUEST_EXEC,
    REQUEST_EXEC_SQL, REQUEST_FINALIZE, REQUEST_HEARTBEAT, REQUEST_INTERRUPT, REQUEST_LEADER,
    REQUEST_OPEN, REQUEST_PREPARE, REQUEST_QUERY, REQUEST_QUERY_SQL, REQUEST_REMOVE,
    REQUEST_TRANSFER, REQUEST_WEIGHT, TYPE_BLOB, TYPE_BOOL, TYPE_FLOAT, TYPE_INT, TYPE_ISO_8601,
    TYPE_NULL, TYPE_TEXT,
};
use crate::value::{Value, ValueRef};

/// A request that was received.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Received<'a> {
    /// The request with its parameters left out.
    pub(crate) request: Request<'a>,
    /// The parameters, where the request has some.
    pub(crate) params: Vec<Value>,
}

impl<'a> Request<'a> {
    /// Decodes the body that came after `header`.
    ///
    /// # Errors
    /// An unknown type or schema, a field that is cut short or not UTF-8, bytes left over.
    pub(crate) fn decode(header: &Header, body: &'a [u8]) -> Result<Received<'a>, WireError> {
        let message = Message::Request(header.kind);
        let schema = header.schema;
        let highest = match header.kind {
            REQUEST_PREPARE => PREPARE_SCHEMA_OFFSET,
            REQUEST_EXEC | REQUEST_QUERY | REQUEST_EXEC_SQL | REQUEST_QUERY_SQL => {
                PARAMS_SCHEMA_U32
            }
            _ => 0,
        };
        if schema > highest {
            let problem = Problem::UnknownSchema(schema);
            return Err(WireError::of(message, Place::Field("schema"), problem));
        }
        let mut reader = Reader::new(message, body);
        let request = decode_body(header.kind, schema, &mut reader)?.ok_or_else(|| {
            let problem = Problem::UnknownType(header.kind);
            WireError::of(message, Place::Field("type"), problem)
        })?;
        let params = match request {
            Request::Exec { .. }
            | Request::Query { .. }
            | Request::ExecSql { .. }
            | Request::QuerySql { .. } => params(schema, &mut reader)?,
            _ => Vec::new(),
        };
        reader.finish()?;
        Ok(Received { request, params })
    }
}

impl Received<'_> {
    /// Calls `use_request` with the request as the client held it, parameters included.
    pub(crate) fn whole<R>(&self, use_request: impl FnOnce(Request<'_>) -> R) -> R {
        let params: Vec<ValueRef<'_>> = self.params.iter().map(Value::as_ref).collect();
        let params = params.as_slice();
        use_request(match self.request {
            Request::Exec { db, stmt, .. } => Request::Exec { db, stmt, params },
            Request::Query { db, stmt, .. } => Request::Query { db, stmt, params },
            Request::ExecSql { db, sql, .. } => Request::ExecSql { db, sql, params },
            Request::QuerySql { db, sql, .. } => Request::QuerySql { db, sql, params },
            other => other,
        })
    }
}

fn decode_body<'a>(
    kind: u8,
    schema: u8,
    reader: &mut Reader<'a>,
) -> Result<Option<Request<'a>>, WireError> {
    let (db, stmt) = (Place::Field("database"), Place::Field("statement"));
    let (id, sql, address) = (
        Place::Field("id"),
        Place::Field("sql"),
        Place::Field("address"),
    );
    let (name, format) = (Place::Field("name"), Place::Field("format"));
    Ok(Some(match kind {
        REQUEST_LEADER => {
            reader.u64(Place::Field("unused word"))?;
            Request::Leader
        }
        REQUEST_CLIENT => Request::Client {
            id: reader.u64(id)?,
        },
        REQUEST_HEARTBEAT => Request::Heartbeat {
            timestamp: reader.u64(Place::Field("timestamp"))?,
        },
        REQUEST_OPEN => Request::Open {
            name: reader.text(name)?,
            flags: reader.u64(Place::Field("flags"))?,
            vfs: reader.text(Place::Field("vfs"))?,
        },
        REQUEST_PREPARE => Request::Prepare {
            db: reader.u64(db)?,
            sql: reader.text(sql)?,
            schema,
        },
        REQUEST_EXEC => Request::Exec {
            db: reader.u32(db)?,
            stmt: reader.u32(stmt)?,
            params: &[],
        },
        REQUEST_QUERY => Request::Query {
            db: reader.u32(db)?,
            stmt: reader.u32(stmt)?,
            params: &[],
        },
        REQUEST_FINALIZE => Request::Finalize {
            db: reader.u32(db)?,
            stmt: reader.u32(stmt)?,
        },
        REQUEST_EXEC_SQL => Request::ExecSql {
            db: reader.u64(db)?,
            sql: reader.text(sql)?,
            params: &[],
        },
        REQUEST_QUERY_SQL => Request::QuerySql {
            db: reader.u64(db)?,
            sql: reader.text(sql)?,
            params: &[],
        },
        REQUEST_INTERRUPT => Request::Interrupt {
            db: reader.u64(db)?,
        },
        REQUEST_CONNECT => Request::Connect {
            id: reader.u64(id)?,
            address: reader.text(address)?,
        },
        REQUEST_ADD => Request::Add {
            id: reader.u64(id)?,
            address: reader.text(address)?,
        },
        REQUEST_ASSIGN => {
            let id = reader.u64(id)?;
            if reader.rest().is_empty() {
                Request::Promote { id }
            } else {
                let role = reader.u64(Place::Field("role"))?;
                Request::Assign { id, role }
            }
        }
        REQUEST_REMOVE => Request::Remove {
            id: reader.u64(id)?,
        },
        REQUEST_DUMP => Request::Dump {
            name: reader.text(name)?,
        },
        REQUEST_CLUSTER => Request::Cluster {
            format: reader.u64(format)?,
        },
        REQUEST_TRANSFER => Request::Transfer {
            id: reader.u64(id)?,
        },
        REQUEST_DESCRIBE => Request::Describe {
            format: reader.u64(format)?,
        },
        REQUEST_WEIGHT => Request::Weight {
            weight: reader.u64(Place::Field("weight"))?,
        },
        _ => return Ok(None),
    }))
}

/// Decodes a tuple of parameters; an exhausted body is a tuple of none.
fn params(schema: u8, reader: &mut Reader<'_>) -> Result<Vec<Value>, WireError> {
    if reader.rest().is_empty() {
        return Ok(Vec::new());
    }
    let place = Place::Field("number of parameters");
    let declared = match schema {
        PARAMS_SCHEMA_U8 => u32::from(reader.u8(place)?),
        _ => reader.u32(place)?,
    };
    let types = reader.bytes(Place::Field("types of parameters"), declared as usize)?;
    reader.align(Place::Field("padding"))?;
    types
        .iter()
        .enumerate()
        .map(|(index, &kind)| {
            let place = Place::Item {
                field: "parameter",
                index,
            };
            value(kind, place, reader)
        })
        .collect()
}

fn value(kind: u8, place: Place, reader: &mut Reader<'_>) -> Result<Value, WireError> {
    Ok(match kind {
        TYPE_INT => Value::Int(reader.u64(place)? as i64),
        TYPE_FLOAT => Value::Float(f64::from_bits(reader.u64(place)?)),
        TYPE_TEXT => Value::Text(reader.text(place)?.into()),
        TYPE_BLOB => Value::Blob(reader.blob(place)?.into()),
        TYPE_NULL => {
            reader.u64(place)?;
            Value::Null
        }
        TYPE_ISO_8601 => time(reader.text(place)?),
        TYPE_BOOL => Value::Bool(reader.u64(place)? != 0),
        kind => return Err(reader.error(place, Problem::UnknownType(kind))),
    })
}

/// The timestamp or date a client of ours meant; any other text stays text.
fn time(text: &str) -> Value {
    if let Ok(time) = DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%:z") {
        Value::Timestamp(time)
    } else if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        Value::Date(date)
    } else {
        Value::Text(text.into())
    }
}

#[cfg(test)]
mod tests {
    use chrono::FixedOffset;
    use uuid::Uuid;

    use super::*;
    use crate::dqlite::wire::testing::requests::golden;
    use crate::dqlite::wire::testing::{mutations, split};

    #[test]
    fn every_request_comes_back_from_its_bytes() {
        for (request, golden) in golden() {
            let (header, body) = split(&golden);
            let decoded = Request::decode(&header, body).unwrap();
            decoded.whole(|decoded| assert_eq!(decoded, request));
        }
    }

    #[test]
    fn every_value_comes_back_in_both_schemas() {
        let uuid = Uuid::from_u128(7);
        let time = DateTime::from_timestamp(1_700_000_000, 120_000_000)
            .unwrap()
            .with_timezone(&FixedOffset::west_opt(5 * 3600).unwrap());
        let date = NaiveDate::from_ymd_opt(1999, 12, 31).unwrap();
        let params = [
            ValueRef::Null,
            ValueRef::Bool(false),
            ValueRef::Bool(true),
            ValueRef::Int(i64::MIN),
            ValueRef::Float(-0.0),
            ValueRef::Text("grün"),
            ValueRef::Blob(b"\0\xff"),
            ValueRef::Blob(b""),
            ValueRef::Timestamp(time),
            ValueRef::Date(date),
            ValueRef::Uuid(uuid),
            ValueRef::Decimal("1.0"),
            ValueRef::Json("[]"),
        ];
        let mut expected: Vec<Value> = params.iter().map(ValueRef::to_owned).collect();
        expected[10] = Value::Text("00000000-0000-0000-0000-000000000007".into());
        expected[11] = Value::Text("1.0".into());
        expected[12] = Value::Text("[]".into());
        for schema in [0, 1] {
            let mut out = Vec::new();
            let request = Request::Exec {
                db: 1,
                stmt: 2,
                params: &params,
            };
            request.encode_as(schema, &mut out).unwrap();
            let (header, body) = split(&out);
            let decoded = Request::decode(&header, body).unwrap();
            assert_eq!(decoded.params, expected);
        }
    }

    #[test]
    fn a_request_cut_short_is_refused() {
        for (request, golden) in golden() {
            let (header, body) = split(&golden);
            // Parameters and a role may be absent as a whole.
            let optional = match request {
                Request::Exec { .. } | Request::Assign { .. } => Some(8),
                Request::QuerySql { .. } => Some(24),
                _ => None,
            };
            for len in 0..body.len() {
                let decoded = Request::decode(&header, &body[..len]);
                assert_eq!(decoded.is_ok(), Some(len) == optional, "{request:?} {len}");
            }
        }
    }

    #[test]
    fn a_request_followed_by_more_is_refused() {
        for (_, golden) in golden() {
            let (header, body) = split(&golden);
            let longer = [body, &[0; 16]].concat();
            let error = Request::decode(&header, &longer).unwrap_err().to_string();
            assert!(error.ends_with("bytes too many"), "{error}");
        }
    }

    #[test]
    fn what_is_unknown_is_named() {
        let header = |kind, schema| Header {
            words: 1,
            kind,
            schema,
            extra: 0,
        };
        let error = |kind, schema, body: &[u8]| {
            Request::decode(&header(kind, schema), body)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            error(99, 0, &[0; 8]),
            "request of unknown type: type has the unknown type 99"
        );
        assert_eq!(
            error(REQUEST_EXEC, 2, &[0; 8]),
            "request EXEC: schema is 2, which is not known"
        );
        assert_eq!(
            error(
                REQUEST_EXEC,
                0,
                b"\0\0\0\0\0\0\0\0\x01\x09\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
            ),
            "request EXEC: parameter 1 at byte 16 has the unknown type 9"
        );
        assert_eq!(
            error(REQUEST_EXEC, 1, b"\0\0\0\0\0\0\0\0\xff\xff\xff\xff\0\0\0\0"),
            "request EXEC: types of parameters at byte 12 needs 4294967295 bytes where 4 are left"
        );
    }

    #[test]
    fn damage_never_panics() {
        for (_, golden) in golden() {
            mutations(&golden, |bytes| {
                if let Some((header, body)) = bytes.split_first_chunk() {
                    let _ = Request::decode(&Header::decode(header), body);
                }
            });
        }
    }
}
