//! Encodes responses.

use crate::dqlite::wire::error::{Message, Place, Problem, WireError};
use crate::dqlite::wire::response::Response;
use crate::dqlite::wire::writer::{Writer, frame};
use crate::dqlite::wire::{PREPARE_SCHEMA_OFFSET, PREPARE_SCHEMA_SINGLE, WORD};

impl Response<'_> {
    /// Appends the whole frame to `out`.
    ///
    /// # Errors
    /// A text with a NUL inside, a file that is not of whole words, a body over 4 GiB. `out` is then as it was
    /// before.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) -> Result<(), WireError> {
        let schema = match self {
            Response::StmtWithOffset { .. } => PREPARE_SCHEMA_OFFSET,
            _ => PREPARE_SCHEMA_SINGLE,
        };
        frame(Message::Response(self.kind()), schema, out, |writer| {
            self.encode_body(writer)
        })
    }

    fn encode_body(&self, writer: &mut Writer<'_>) -> Result<(), WireError> {
        let item = |field, index| Place::Item { field, index };
        match self {
            Response::Failure { code, message } => {
                writer.u64(*code);
                writer.text(Place::Field("message"), message)?;
            }
            Response::Node { id, address } => {
                writer.u64(*id);
                writer.text(Place::Field("address"), address)?;
            }
            Response::NodeLegacy { address } => writer.text(Place::Field("address"), address)?,
            Response::Welcome { heartbeat_timeout } => writer.u64(*heartbeat_timeout),
            Response::Nodes(nodes) => {
                writer.u64(nodes.len() as u64);
                for (index, node) in nodes.iter().enumerate() {
                    writer.u64(node.id);
                    writer.text(item("address of node", index), node.address)?;
                    if let Some(role) = node.role {
                        writer.u64(role);
                    }
                }
            }
            Response::Db { id } => {
                writer.u32(*id);
                writer.u32(0);
            }
            Response::Stmt { db, id, params } => {
                writer.u32(*db);
                writer.u32(*id);
                writer.u64(*params);
            }
            Response::StmtWithOffset {
                db,
                id,
                params,
                offset,
            } => {
                writer.u32(*db);
                writer.u32(*id);
                writer.u64(*params);
                writer.u64(*offset);
            }
            Response::Result {
                last_insert_id,
                rows_affected,
            } => {
                writer.u64(*last_insert_id);
                writer.u64(*rows_affected);
            }
            Response::Rows(part) => writer.raw(part.body()),
            Response::Empty => writer.u64(0),
            Response::Files(files) => {
                writer.u64(files.len() as u64);
                for (index, file) in files.iter().enumerate() {
                    writer.text(item("name of file", index), file.name)?;
                    if !file.data.len().is_multiple_of(WORD) {
                        let problem = Problem::BrokenWords(file.data.len());
                        return Err(writer.error(item("data of file", index), problem));
                    }
                    writer.blob(file.data);
                }
            }
            Response::Metadata {
                failure_domain,
                weight,
            } => {
                writer.u64(*failure_domain);
                writer.u64(*weight);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dqlite::wire::response::File;
    use crate::dqlite::wire::testing::responses::golden;

    #[test]
    fn every_response_is_the_bytes_of_the_protocol() {
        for (response, _, golden) in golden() {
            let mut out = b"before!!".to_vec();
            response.encode(&mut out).unwrap();
            assert_eq!(out[8..], golden, "{response:?}");
        }
    }

    #[test]
    fn a_file_of_broken_words_is_refused() {
        let files = vec![File {
            name: "a",
            data: b"123",
        }];
        let mut out = Vec::new();
        assert_eq!(
            Response::Files(files)
                .encode(&mut out)
                .unwrap_err()
                .to_string(),
            "response FILES: data of file 1 has 3 bytes, not a whole number of 8-byte words"
        );
    }
}
