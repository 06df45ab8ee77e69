//! Responses, as a server sends them (dqlite, `src/response.h`, `src/gateway.c`).

use std::borrow::Cow;

use super::error::{Message, Place, Problem, WireError};
use super::frame::Header;
use super::reader::Reader;
use super::rows::RowsPart;
use super::{
    CLUSTER_FORMAT_ADDRESSES, CLUSTER_FORMAT_ROLES, PREPARE_SCHEMA_OFFSET, RESPONSE_DB,
    RESPONSE_EMPTY, RESPONSE_FAILURE, RESPONSE_FILES, RESPONSE_METADATA, RESPONSE_NODE,
    RESPONSE_NODES, RESPONSE_RESULT, RESPONSE_ROWS, RESPONSE_STMT, RESPONSE_WELCOME, VERSION,
    VERSION_LEGACY, WORD, failure,
};

/// A response, borrowed from the body it was decoded from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Response<'a> {
    /// The request failed. The code is SQLite's extended one or dqlite's own; code 0 occurs.
    Failure { code: u64, message: Cow<'a, str> },
    /// The leader; id 0 and an empty address where there is none, or the node that was asked is no voter.
    Node { id: u64, address: &'a str },
    /// The leader, as the legacy version answers it.
    NodeLegacy { address: &'a str },
    /// The client is known; the timeout is in milliseconds.
    Welcome { heartbeat_timeout: u64 },
    /// The nodes of the cluster.
    Nodes(Vec<Node<'a>>),
    /// The database is open.
    Db { id: u32 },
    /// The statement is prepared and takes so many parameters.
    Stmt { db: u32, id: u32, params: u64 },
    /// The first statement of a text is prepared; the rest begins `offset` bytes into the text.
    StmtWithOffset {
        db: u32,
        id: u32,
        params: u64,
        offset: u64,
    },
    /// The statement ran.
    Result {
        last_insert_id: u64,
        rows_affected: u64,
    },
    /// Rows, or some of them.
    Rows(RowsPart<'a>),
    /// The request is done.
    Empty,
    /// The files of a database: itself and its write-ahead log.
    Files(Vec<File<'a>>),
    /// What the node says of itself.
    Metadata { failure_domain: u64, weight: u64 },
}

/// A node of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Node<'a> {
    pub(crate) id: u64,
    pub(crate) address: &'a str,
    /// The role's number, where the format has it.
    pub(crate) role: Option<u64>,
}

/// A file of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct File<'a> {
    pub(crate) name: &'a str,
    pub(crate) data: &'a [u8],
}

/// What the connection and the request say about the layout of the answer, which itself does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Context {
    /// The protocol version that the connection was opened with.
    pub(crate) version: u64,
    /// The format that CLUSTER asked for.
    pub(crate) cluster_format: u64,
}

impl Default for Context {
    fn default() -> Self {
        Context {
            version: VERSION,
            cluster_format: CLUSTER_FORMAT_ROLES,
        }
    }
}

/// The name of a response's type tag, as error messages use it.
pub(crate) fn kind_name(kind: u8) -> &'static str {
    match kind {
        RESPONSE_FAILURE => "FAILURE",
        RESPONSE_NODE => "NODE",
        RESPONSE_WELCOME => "WELCOME",
        RESPONSE_NODES => "NODES",
        RESPONSE_DB => "DB",
        RESPONSE_STMT => "STMT",
        RESPONSE_RESULT => "RESULT",
        RESPONSE_ROWS => "ROWS",
        RESPONSE_EMPTY => "EMPTY",
        RESPONSE_FILES => "FILES",
        RESPONSE_METADATA => "METADATA",
        _ => "of unknown type",
    }
}

impl<'a> Response<'a> {
    /// The type tag.
    pub(crate) fn kind(&self) -> u8 {
        match self {
            Response::Failure { .. } => RESPONSE_FAILURE,
            Response::Node { .. } | Response::NodeLegacy { .. } => RESPONSE_NODE,
            Response::Welcome { .. } => RESPONSE_WELCOME,
            Response::Nodes(_) => RESPONSE_NODES,
            Response::Db { .. } => RESPONSE_DB,
            Response::Stmt { .. } | Response::StmtWithOffset { .. } => RESPONSE_STMT,
            Response::Result { .. } => RESPONSE_RESULT,
            Response::Rows(_) => RESPONSE_ROWS,
            Response::Empty => RESPONSE_EMPTY,
            Response::Files(_) => RESPONSE_FILES,
            Response::Metadata { .. } => RESPONSE_METADATA,
        }
    }

    /// Decodes the body that came after `header`.
    ///
    /// Of rows, the columns alone are decoded here; the rest is for [`RowsPart`].
    ///
    /// # Errors
    /// An unknown type, schema or format, a field that is cut short or not UTF-8, bytes left over.
    pub(crate) fn decode(
        header: &Header,
        body: &'a [u8],
        context: Context,
    ) -> Result<Self, WireError> {
        let message = Message::Response(header.kind);
        let mut reader = Reader::new(message, body);
        let schema_known = match header.kind {
            RESPONSE_STMT => header.schema <= PREPARE_SCHEMA_OFFSET,
            _ => header.schema == 0,
        };
        if !schema_known {
            let problem = Problem::UnknownSchema(header.schema);
            return Err(WireError::of(message, Place::Field("schema"), problem));
        }
        let response = match header.kind {
            RESPONSE_FAILURE => return failure::decode(body),
            RESPONSE_ROWS => return RowsPart::decode(body).map(Response::Rows),
            RESPONSE_NODE if context.version == VERSION_LEGACY => Response::NodeLegacy {
                address: reader.text(Place::Field("address"))?,
            },
            RESPONSE_NODE => Response::Node {
                id: reader.u64(Place::Field("id"))?,
                address: reader.text(Place::Field("address"))?,
            },
            RESPONSE_WELCOME => Response::Welcome {
                heartbeat_timeout: reader.u64(Place::Field("heartbeat timeout"))?,
            },
            RESPONSE_NODES => Response::Nodes(nodes(&mut reader, context.cluster_format)?),
            RESPONSE_DB => {
                let id = reader.u32(Place::Field("id"))?;
                reader.align(Place::Field("padding"))?;
                Response::Db { id }
            }
            RESPONSE_STMT => {
                let db = reader.u32(Place::Field("database"))?;
                let id = reader.u32(Place::Field("id"))?;
                let params = reader.u64(Place::Field("number of parameters"))?;
                match header.schema {
                    PREPARE_SCHEMA_OFFSET => Response::StmtWithOffset {
                        db,
                        id,
                        params,
                        offset: reader.u64(Place::Field("offset"))?,
                    },
                    _ => Response::Stmt { db, id, params },
                }
            }
            RESPONSE_RESULT => Response::Result {
                last_insert_id: reader.u64(Place::Field("last insert id"))?,
                rows_affected: reader.u64(Place::Field("rows affected"))?,
            },
            RESPONSE_EMPTY => {
                reader.u64(Place::Field("unused word"))?;
                Response::Empty
            }
            RESPONSE_FILES => Response::Files(files(&mut reader)?),
            RESPONSE_METADATA => Response::Metadata {
                failure_domain: reader.u64(Place::Field("failure domain"))?,
                weight: reader.u64(Place::Field("weight"))?,
            },
            kind => {
                let place = Place::Field("type");
                return Err(WireError::of(message, place, Problem::UnknownType(kind)));
            }
        };
        reader.finish()?;
        Ok(response)
    }
}

fn nodes<'a>(reader: &mut Reader<'a>, format: u64) -> Result<Vec<Node<'a>>, WireError> {
    let (with_role, smallest) = match format {
        CLUSTER_FORMAT_ADDRESSES => (false, 2 * WORD),
        CLUSTER_FORMAT_ROLES => (true, 3 * WORD),
        _ => {
            let problem = Problem::UnknownFormat(format);
            return Err(reader.error(Place::Field("format"), problem));
        }
    };
    let item = |field, index| Place::Item { field, index };
    let count = reader.count(Place::Field("number of nodes"), smallest)?;
    (0..count)
        .map(|index| {
            Ok(Node {
                id: reader.u64(item("id of node", index))?,
                address: reader.text(item("address of node", index))?,
                role: match with_role {
                    true => Some(reader.u64(item("role of node", index))?),
                    false => None,
                },
            })
        })
        .collect()
}

/// Decodes the files of a dump. Every server sends whole pages, so the data is never padded, and a length that
/// would need it is refused: whether padding follows is not defined.
fn files<'a>(reader: &mut Reader<'a>) -> Result<Vec<File<'a>>, WireError> {
    let item = |field, index| Place::Item { field, index };
    let count = reader.count(Place::Field("number of files"), 2 * WORD)?;
    (0..count)
        .map(|index| {
            let name = reader.text(item("name of file", index))?;
            let place = item("data of file", index);
            let data = reader.blob(place)?;
            match data.len().is_multiple_of(WORD) {
                true => Ok(File { name, data }),
                false => Err(reader.error(place, Problem::BrokenWords(data.len()))),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dqlite::wire::testing::responses::golden;
    use crate::dqlite::wire::testing::{mutations, split};

    fn decode(kind: u8, schema: u8, body: &[u8]) -> Result<Response<'_>, WireError> {
        let header = Header {
            words: 1,
            kind,
            schema,
            extra: 0,
        };
        Response::decode(&header, body, Context::default())
    }

    use crate::dqlite::wire::rows::{DecodedRows, RowStep};

    /// Decodes a response and every row of it.
    fn decode_all(header: &Header, body: &[u8], context: Context) -> Result<(), WireError> {
        if let Response::Rows(mut part) = Response::decode(header, body, context)? {
            part.columns()?;
            let mut rows = DecodedRows::default();
            while part.decode_rows(&mut rows)? == RowStep::Row {}
        }
        Ok(())
    }

    #[test]
    fn every_response_comes_back_from_its_bytes() {
        for (response, context, golden) in golden() {
            let (header, body) = split(&golden);
            assert_eq!(header.check(4096), Ok(body.len()));
            assert_eq!(Response::decode(&header, body, context), Ok(response));
            assert_eq!(decode_all(&header, body, context), Ok(()));
        }
    }

    #[test]
    fn a_response_cut_short_anywhere_is_refused() {
        for (response, context, golden) in golden() {
            let (header, body) = split(&golden);
            for len in 0..body.len() {
                let result = decode_all(&header, &body[..len], context);
                assert!(result.is_err(), "{response:?} cut to {len} bytes");
            }
        }
    }

    #[test]
    fn a_response_followed_by_more_is_refused() {
        for (response, context, golden) in golden() {
            let (header, body) = split(&golden);
            for extra in [1, 8] {
                let longer = [body, &[0; 8][..extra]].concat();
                let result = decode_all(&header, &longer, context);
                let text = result.expect_err(&format!("{response:?}")).to_string();
                assert!(
                    text.contains("bytes too many") || text.contains("whole number"),
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn damage_never_panics() {
        for (_, context, golden) in golden() {
            mutations(&golden, |bytes| {
                if let Some((header, body)) = bytes.split_first_chunk() {
                    let _ = decode_all(&Header::decode(header), body, context);
                }
            });
        }
    }

    #[test]
    fn what_is_unknown_is_named() {
        let error = |kind, schema, body| decode(kind, schema, body).unwrap_err().to_string();
        assert_eq!(
            error(11, 0, &[0; 8]),
            "response of unknown type: type has the unknown type 11"
        );
        assert_eq!(
            error(RESPONSE_STMT, 2, &[0; 24]),
            "response STMT: schema is 2, which is not known"
        );
        assert_eq!(
            error(RESPONSE_RESULT, 1, &[0; 16]),
            "response RESULT: schema is 1, which is not known"
        );
    }

    #[test]
    fn a_declared_count_needs_the_bytes_for_it() {
        let huge = [0xff; 64];
        for (kind, fit, field) in [(RESPONSE_NODES, 2, "nodes"), (RESPONSE_FILES, 3, "files")] {
            assert_eq!(
                decode(kind, 0, &huge).unwrap_err().to_string(),
                format!(
                    "response {}: number of {field} at byte 0 is 18446744073709551615 where at most \
                     {fit} fit",
                    kind_name(kind)
                )
            );
        }
    }

    #[test]
    fn errors_name_the_item() {
        let nodes = b"\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\xff\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
        assert_eq!(
            decode(RESPONSE_NODES, 0, nodes).unwrap_err().to_string(),
            "response NODES: address of node 1 at byte 16 is not utf-8"
        );
    }
}
