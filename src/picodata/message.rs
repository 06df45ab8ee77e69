//! The messages that run a statement, as bytes (PostgreSQL's manual, "Message Formats"). No I/O.
//!
//! What is the same in each run of a prepared statement is made once, and copied.

use tokio_postgres::types::Type;

use crate::error::{Error, ErrorKind, Result};
use crate::picodata::array::parameter::literal;
use crate::picodata::encode::{TEXT, format_of, is_binary_array, numbered};
use crate::picodata::options::Server;
use crate::value::ValueRef;

// Tags of messages.
const BIND: u8 = b'B';
const DESCRIBE: u8 = b'D';
const EXECUTE: u8 = b'E';
const PARSE: u8 = b'P';
const SYNC: u8 = b'S';

/// What a statement is called where it is to be described. Describing it, not the portal, is what is known to work on
/// Picodata.
const STATEMENT: u8 = b'S';
/// The length of a NULL.
const NULL: [u8; 4] = (-1_i32).to_be_bytes();

/// The messages that run a prepared statement, but for the values of its parameters.
#[derive(Debug)]
pub(crate) struct Template {
    /// Bind up to the values, its length left open.
    head: Box<[u8]>,
    /// The parameters that are arrays in binary: the index of each, and where in `head` the code of its format is.
    arrays: Box<[(usize, usize)]>,
    /// What is behind the values in Bind.
    formats: Box<[u8]>,
    /// Execute, for all rows, and Sync.
    run: Box<[u8]>,
}

impl Template {
    /// The messages for the statement that the server knows as `name`. `formats` are the codes of the formats in which
    /// the columns are asked for: one for each, or one for all.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`]: there is more of something than a message can count.
    pub(crate) fn new<'t>(
        name: &str,
        server: Server,
        types: impl ExactSizeIterator<Item = &'t Type> + Clone,
        formats: &[i16],
    ) -> Result<Self> {
        let (mut head, mut behind, mut run) = (Vec::new(), Vec::new(), Vec::new());
        begin_bind(name, server, types.clone(), &mut head)?;
        // The codes of the formats are followed by the number of the values.
        let count = types.len();
        let formats_at = head.len() - size_of::<u16>() - count * size_of::<i16>();
        let arrays = (types.enumerate())
            .filter(|(_, kind)| is_binary_array(kind, server))
            .map(|(index, _)| (index, formats_at + index * size_of::<i16>()));
        end_bind(formats, &mut behind)?;
        execute(&mut run)?;
        Ok(Template {
            head: head.into(),
            arrays: arrays.collect(),
            formats: behind.into(),
            run: run.into(),
        })
    }

    /// Appends the messages with these values, one for each parameter.
    ///
    /// # Errors
    ///
    /// A value does not fit its parameter; a part of the messages was appended then.
    #[inline]
    pub(crate) fn write<'t>(
        &self,
        server: Server,
        types: impl Iterator<Item = &'t Type>,
        values: &[ValueRef<'_>],
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let start = out.len();
        out.extend_from_slice(&self.head);
        for (index, at) in &self.arrays {
            let is_text = (values.get(*index)).is_some_and(|value| literal(*value).is_some());
            let place = out.get_mut(start + at..start + at + size_of::<i16>());
            if is_text && let Some(place) = place {
                place.copy_from_slice(&TEXT.to_be_bytes());
            }
        }
        params(server, types, values, out)?;
        out.extend_from_slice(&self.formats);
        set_length(start, out)?;
        out.extend_from_slice(&self.run);
        Ok(())
    }
}

/// Appends the messages that run a text: the server finds out the types of its parameters, and says which columns it
/// has. Values go as text, and columns come in the formats that `formats` are the codes of.
///
/// # Errors
///
/// [`ErrorKind::Misuse`]: a value does not fit its parameter, or something is too long for a message. A part of the
/// messages was appended then.
pub(crate) fn write_text(
    text: &str,
    values: &[ValueRef<'_>],
    formats: &[i16],
    out: &mut Vec<u8>,
) -> Result<()> {
    // Values go as text, whatever the server.
    let server = Server::Postgres;
    let types = || std::iter::repeat_n(&Type::UNKNOWN, values.len());
    message(PARSE, out, |out| {
        put_text("", out)?;
        put_text(text, out)?;
        put_count(values.len(), out)?;
        for kind in types() {
            out.extend_from_slice(&kind.oid().to_be_bytes());
        }
        Ok(())
    })?;
    let start = out.len();
    begin_bind("", server, types(), out)?;
    params(server, types(), values, out)?;
    end_bind(formats, out)?;
    set_length(start, out)?;
    message(DESCRIBE, out, |out| {
        out.push(STATEMENT);
        put_text("", out)
    })?;
    execute(out)
}

/// Bind up to the values; its length is left open.
fn begin_bind<'t>(
    statement: &str,
    server: Server,
    types: impl ExactSizeIterator<Item = &'t Type>,
    out: &mut Vec<u8>,
) -> Result<()> {
    let count = types.len();
    begin(BIND, out);
    // The portal has no name.
    put_text("", out)?;
    put_text(statement, out)?;
    put_count(count, out)?;
    for kind in types {
        out.extend_from_slice(&format_of(kind, server).to_be_bytes());
    }
    put_count(count, out)
}

fn end_bind(formats: &[i16], out: &mut Vec<u8>) -> Result<()> {
    put_count(formats.len(), out)?;
    for format in formats {
        out.extend_from_slice(&format.to_be_bytes());
    }
    Ok(())
}

/// The values of parameters, each with its length.
#[inline]
fn params<'t>(
    server: Server,
    types: impl Iterator<Item = &'t Type>,
    values: &[ValueRef<'_>],
    out: &mut Vec<u8>,
) -> Result<()> {
    for (param, kind) in numbered(values).zip(types) {
        let at = out.len();
        out.extend_from_slice(&NULL);
        if !param.encode(kind, server, out)? {
            continue;
        }
        let start = at + NULL.len();
        let len = i32::try_from(out.len() - start).map_err(|_| too_long())?;
        if let Some(place) = out.get_mut(at..start) {
            place.copy_from_slice(&len.to_be_bytes());
        }
    }
    Ok(())
}

/// Execute, for all rows, and Sync.
fn execute(out: &mut Vec<u8>) -> Result<()> {
    message(EXECUTE, out, |out| {
        put_text("", out)?;
        out.extend_from_slice(&0_u32.to_be_bytes());
        Ok(())
    })?;
    sync(out)
}

pub(crate) fn sync(out: &mut Vec<u8>) -> Result<()> {
    message(SYNC, out, |_| Ok(()))
}

fn message(
    tag: u8,
    out: &mut Vec<u8>,
    body: impl FnOnce(&mut Vec<u8>) -> Result<()>,
) -> Result<()> {
    let start = out.len();
    begin(tag, out);
    body(out)?;
    set_length(start, out)
}

fn begin(tag: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&[tag, 0, 0, 0, 0]);
}

/// Sets the length of the last message, which begins at `start` with its tag. It counts itself and not the tag.
#[inline]
fn set_length(start: usize, out: &mut [u8]) -> Result<()> {
    let at = start + 1;
    let len = i32::try_from(out.len() - at).map_err(|_| too_long())?;
    if let Some(place) = out.get_mut(at..at + size_of::<i32>()) {
        place.copy_from_slice(&len.to_be_bytes());
    }
    Ok(())
}

fn put_text(text: &str, out: &mut Vec<u8>) -> Result<()> {
    if text.contains('\0') {
        return Err(misuse("a text that is sent has a NUL in it"));
    }
    out.extend_from_slice(text.as_bytes());
    out.push(0);
    Ok(())
}

fn put_count(count: usize, out: &mut Vec<u8>) -> Result<()> {
    let count = u16::try_from(count)
        .map_err(|_| misuse("a statement has at most 65535 parameters and columns"))?;
    out.extend_from_slice(&count.to_be_bytes());
    Ok(())
}

#[cold]
fn too_long() -> Error {
    misuse("the statement and its parameters are too long for a message")
}

#[cold]
fn misuse(message: &str) -> Error {
    Error::new(ErrorKind::Misuse, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use postgres_protocol::IsNull;
    use postgres_protocol::message::frontend;

    const VALUES: [ValueRef<'_>; 3] = [ValueRef::Int(5), ValueRef::Null, ValueRef::Text("abc")];
    const TYPES: [Type; 3] = [Type::INT8, Type::INT4, Type::TEXT];

    /// Bind, Execute and Sync as tokio-postgres's codec writes them.
    fn by_codec(name: &str, kinds: &[Type], formats: &[i16], describe: bool) -> Vec<u8> {
        let mut out = bytes::BytesMut::new();
        let params = numbered(&VALUES).zip(kinds);
        let bound = frontend::bind(
            "",
            name,
            kinds.iter().map(|kind| format_of(kind, Server::Postgres)),
            params,
            |(param, kind), out| {
                let mut value = Vec::new();
                let some = param.encode(kind, Server::Postgres, &mut value)?;
                out.extend_from_slice(&value);
                Ok(if some { IsNull::No } else { IsNull::Yes })
            },
            formats.iter().copied(),
            &mut out,
        );
        assert!(bound.is_ok());
        if describe {
            frontend::describe(STATEMENT, "", &mut out).unwrap();
        }
        frontend::execute("", 0, &mut out).unwrap();
        frontend::sync(&mut out);
        out.to_vec()
    }

    #[test]
    fn a_run_is_what_the_codec_writes() {
        for formats in [&[1][..], &[1, 0, 1], &[]] {
            let template = Template::new("s7", Server::Postgres, TYPES.iter(), formats).unwrap();
            let mut out = b"before".to_vec();
            let written = template.write(Server::Postgres, TYPES.iter(), &VALUES, &mut out);
            written.unwrap();
            let expected = by_codec("s7", &TYPES, formats, false);
            assert_eq!(out, [b"before", &*expected].concat());
        }
    }

    #[test]
    fn a_text_is_what_the_codec_writes() {
        let mut parsed = bytes::BytesMut::new();
        let unknown = [Type::UNKNOWN, Type::UNKNOWN, Type::UNKNOWN];
        let text = "SELECT $1, $2, $3";
        let oids = unknown.iter().map(Type::oid);
        frontend::parse("", text, oids, &mut parsed).unwrap();
        let mut out = Vec::new();
        write_text(text, &VALUES, &[1], &mut out).unwrap();
        let run = by_codec("", &unknown, &[1], true);
        assert_eq!(out, [&*parsed, &*run].concat());
    }

    #[test]
    fn what_no_message_can_hold_is_refused() {
        let mut out = Vec::new();
        let many = vec![ValueRef::Null; 65_536];
        for (text, values) in [("SELECT '\0'", &[][..]), ("SELECT 1", &many)] {
            let error = write_text(text, values, &[1], &mut out).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Misuse);
        }
        let template = Template::new("s7", Server::Postgres, TYPES.iter(), &[1]).unwrap();
        let values = [ValueRef::Null, ValueRef::Null, ValueRef::Int(1)];
        let written = template.write(Server::Postgres, TYPES.iter(), &values, &mut out);
        let error = written.unwrap_err();
        assert!(error.message().starts_with("parameter 3: "), "{error}");
    }
}
