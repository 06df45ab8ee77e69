//! The run of a statement: messages of ours, and an answer that is read where it was received.
//!
//! tokio-postgres prepares the statement and is idle while it runs (ARCHITECTURE.md, decision 22, has the figures). A
//! text of a batch that was not prepared is parsed and described on the way.

use crate::error::{Error, ErrorKind};
use crate::net::wait::Call;
use crate::picodata::description::{self, Described};
use crate::picodata::encode::BINARY;
use crate::picodata::failure::{Cause, Failure};
use crate::picodata::line::{Head, Line, Runs};
use crate::picodata::message;
use crate::picodata::server_error::ServerError;
use crate::picodata::statements::Prepared;
use crate::value::ValueRef;

// Tags of messages (PostgreSQL's manual, "Message Formats").
const PARAMETER_DESCRIPTION: u8 = b't';
const PARSE_COMPLETE: u8 = b'1';
const BIND_COMPLETE: u8 = b'2';
const COMMAND_COMPLETE: u8 = b'C';
const DATA_ROW: u8 = b'D';
const EMPTY_QUERY: u8 = b'I';
const ERROR_RESPONSE: u8 = b'E';
const NO_DATA: u8 = b'n';
const ROW_DESCRIPTION: u8 = b'T';
const READY_FOR_QUERY: u8 = b'Z';

/// The answer to one run.
#[derive(Default)]
pub(crate) struct Portal {
    awaited: Awaited,
    /// The columns of a text.
    columns: Vec<Described>,
    /// The number of rows in the server's tag.
    count: u64,
    /// The server's error, told when the server is ready again.
    failure: Option<Failure>,
}

/// What comes next of an answer, if no error does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Awaited {
    /// To a text.
    Parsed,
    BoundText,
    Parameters,
    Description,
    /// To a prepared statement.
    #[default]
    Bound,
    Rows,
    /// To either: all that comes behind the tag is that the server is ready, or an error of the commit.
    Ready,
}

/// How far an answer is, as far as it has been received.
pub(crate) enum Progress {
    /// A row is the next message.
    Row(Head),
    /// The answer has ended; the number of rows in the server's tag.
    End(u64),
    /// More has to be received first.
    Wait,
}

/// Writes the messages that run a prepared statement.
///
/// # Errors
///
/// [`Cause::Unsendable`]: a value does not fit its parameter.
pub(crate) fn write(
    prepared: &Prepared,
    values: &[ValueRef<'_>],
    runs: &mut Runs<'_>,
) -> Result<(), Failure> {
    let types = prepared.statement.params().iter();
    let written = (prepared.template).write(prepared.server, types, values, runs.messages);
    written.map_err(Failure::unsendable)?;
    runs.end();
    Ok(())
}

/// Writes the messages that run a text: the server finds out the types of its parameters, and says which columns it has.
///
/// # Errors
///
/// As [`write`]; the text is too long for a message.
pub(crate) fn write_text(
    text: &str,
    values: &[ValueRef<'_>],
    runs: &mut Runs<'_>,
) -> Result<(), Failure> {
    message::write_text(text, values, &[BINARY], runs.messages).map_err(Failure::unsendable)?;
    runs.end();
    Ok(())
}

/// Waits for the next message of an answer that nobody wants, and skips what has been received of it.
pub(crate) fn skip(line: &mut Line, call: &Call<'_>) -> Result<(), Failure> {
    line.receive(call).map_err(Failure::waiting)?;
    while line.is_owed_here()
        && let Some(head) = line.head().map_err(Failure::broken)?
    {
        line.take(head);
    }
    Ok(())
}

impl Portal {
    /// The answer to a text.
    pub(crate) fn to_text() -> Self {
        Portal {
            awaited: Awaited::Parsed,
            ..Portal::default()
        }
    }

    /// The columns of a text, once its first row or its end has come.
    pub(crate) fn take_columns(&mut self) -> Vec<Described> {
        std::mem::take(&mut self.columns)
    }

    /// Reads on up to the next row, or the end, without touching the socket.
    pub(crate) fn advance(&mut self, line: &mut Line) -> Result<Progress, Failure> {
        while let Some(head) = line.head().map_err(Failure::broken)? {
            if head.tag == DATA_ROW && self.awaited == Awaited::Rows && self.failure.is_none() {
                return Ok(Progress::Row(head));
            }
            line.take(head);
            // Behind an error, all is skipped up to the Sync.
            if self.failure.is_some() && !matches!(head.tag, ERROR_RESPONSE | READY_FOR_QUERY) {
                return Err(Failure::broken(unexpected(head.tag)));
            }
            let says_nothing = matches!(
                head.tag,
                PARSE_COMPLETE | BIND_COMPLETE | EMPTY_QUERY | NO_DATA
            );
            if says_nothing && !line.body(head).is_empty() {
                return Err(Failure::broken(unexpected(head.tag)));
            }
            match (head.tag, self.awaited) {
                (PARSE_COMPLETE, Awaited::Parsed) => self.awaited = Awaited::BoundText,
                (BIND_COMPLETE, Awaited::BoundText) => self.awaited = Awaited::Parameters,
                (BIND_COMPLETE, Awaited::Bound) => self.awaited = Awaited::Rows,
                (PARAMETER_DESCRIPTION, Awaited::Parameters) => self.awaited = Awaited::Description,
                (ROW_DESCRIPTION, Awaited::Description) => {
                    let columns = description::columns(line.body(head));
                    self.columns = columns.map_err(Failure::broken)?;
                    self.awaited = Awaited::Rows;
                }
                (NO_DATA, Awaited::Description) => self.awaited = Awaited::Rows,
                (COMMAND_COMPLETE, Awaited::Rows) => {
                    let count = count(line.body(head)).ok_or_else(malformed_tag);
                    self.count = count.map_err(Failure::broken)?;
                    line.note_tag(head);
                    self.awaited = Awaited::Ready;
                }
                (EMPTY_QUERY, Awaited::Rows) => self.awaited = Awaited::Ready,
                (ERROR_RESPONSE, _) => {
                    let answer = ServerError::parse(line.body(head)).map_err(Failure::broken)?;
                    let failure = Failure::answered(&answer);
                    if failure.cause == Cause::Broken {
                        return Err(failure);
                    }
                    self.failure = Some(failure);
                }
                (READY_FOR_QUERY, awaited) => {
                    return match self.failure.take() {
                        Some(failure) => Err(failure),
                        None if awaited == Awaited::Ready => Ok(Progress::End(self.count)),
                        // It has not run the statement, or not said that it has.
                        None => Err(Failure::broken(unexpected(READY_FOR_QUERY))),
                    };
                }
                (tag, _) => return Err(Failure::broken(unexpected(tag))),
            }
        }
        Ok(Progress::Wait)
    }

    /// Waits until there is more than was received. Behind an error of the server, that error is what is told if the
    /// wait fails.
    pub(crate) fn wait(&mut self, line: &mut Line, call: &Call<'_>) -> Result<(), Failure> {
        line.receive(call).map_err(|error| {
            let failure = Failure::waiting(error);
            match self.failure.take() {
                Some(answered) if failure.cause == Cause::Broken => Failure::broken(answered.error),
                Some(answered) => answered,
                None => failure,
            }
        })
    }
}

/// The number at the end of a tag such as `INSERT 0 5`; 0 where there is none. `None` for what is no tag.
fn count(body: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(body.strip_suffix(&[0])?).ok()?;
    let last = text.rsplit(' ').next()?;
    match last.bytes().all(|byte| byte.is_ascii_digit()) {
        _ if text.contains('\0') => None,
        true if !last.is_empty() => last.parse().ok(),
        _ => Some(0),
    }
}

#[cold]
fn malformed_tag() -> Error {
    Error::new(
        ErrorKind::Protocol,
        "the server says in a way that is not understood what it has done",
    )
}

fn unexpected(tag: u8) -> Error {
    Error::new(
        ErrorKind::Protocol,
        format!(
            "the server sends a message {:?} that does not belong to the answer",
            char::from(tag)
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deadline::Deadline;
    use crate::error::Outcome;
    use crate::net::socket::Socket;
    use crate::picodata::options::{ConnectOptions, Server};
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    /// A line to a server that has been asked to run one statement.
    fn pair() -> (Line, UnixStream) {
        let (ours, mut peer) = UnixStream::pair().unwrap();
        let options = ConnectOptions::new(Server::Postgres, "user");
        let mut line = Line::new(Socket::new(ours.into()).unwrap(), &options);
        peer.write_all(&message(READY_FOR_QUERY, b"I")).unwrap();
        line.receive_now().unwrap();
        line.pass(&mut Vec::new()).unwrap();
        line.started();
        let queued: Result<(), Failure> = line.queue_runs(|runs| {
            message::sync(runs.messages).unwrap();
            runs.end();
            Ok(())
        });
        queued.unwrap();
        line.flush_some().unwrap();
        // What its peer leaves unread resets a Unix socket that is closed.
        peer.read_exact(&mut [0; 5]).unwrap();
        (line, peer)
    }

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let len = (body.len() as u32 + 4).to_be_bytes();
        [&[tag], len.as_slice(), body].concat()
    }

    fn row(text: &[u8]) -> Vec<u8> {
        let len = (text.len() as u32).to_be_bytes();
        message(
            DATA_ROW,
            &[&1u16.to_be_bytes(), len.as_slice(), text].concat(),
        )
    }

    fn ready() -> Vec<u8> {
        message(READY_FOR_QUERY, b"T")
    }

    fn failed(severity: &str) -> Vec<u8> {
        let body = format!("V{severity}\0C22012\0Mdivision by zero\0\0");
        message(ERROR_RESPONSE, body.as_bytes())
    }

    fn soon() -> Call<'static> {
        Call::until(Deadline::after(Duration::from_secs(5)))
    }

    /// Reads what has been received: the lengths of the rows, and the end.
    fn read(portal: &mut Portal, line: &mut Line, rows: &mut Vec<usize>) -> Option<u64> {
        loop {
            match portal.advance(line).unwrap() {
                Progress::Row(head) => {
                    line.take(head);
                    rows.push(line.body(head).len());
                }
                Progress::End(count) => return Some(count),
                Progress::Wait => return None,
            }
        }
    }

    /// Waits for the failure of an answer.
    fn failure(answer: &[Vec<u8>], call: &Call<'_>) -> (Failure, Line) {
        let (mut line, mut peer) = pair();
        peer.write_all(&answer.concat()).unwrap();
        let mut portal = Portal::default();
        loop {
            match portal.advance(&mut line) {
                Ok(Progress::Row(head)) => line.take(head),
                Ok(Progress::Wait) => {
                    if let Err(failure) = portal.wait(&mut line, call) {
                        return (failure, line);
                    }
                }
                Ok(Progress::End(count)) => panic!("the answer ends well, with {count}"),
                Err(failure) => return (failure, line),
            }
        }
    }

    #[test]
    fn an_answer_is_read_however_it_is_cut() {
        let described = [b"\0\x01t\0", [0; 6].as_slice(), &[0, 0, 0, 25], &[0; 8]].concat();
        let bound = message(BIND_COMPLETE, b"");
        let to_text = [
            message(PARSE_COMPLETE, b""),
            bound.clone(),
            message(PARAMETER_DESCRIPTION, b"\0\0"),
            message(ROW_DESCRIPTION, &described),
        ];
        is_read_however_it_is_cut(Portal::default, &bound, 0);
        is_read_however_it_is_cut(Portal::to_text, &to_text.concat(), 1);
    }

    fn is_read_however_it_is_cut(make: fn() -> Portal, begin: &[u8], columns: usize) {
        let answer = [
            begin.to_vec(),
            row(b"one"),
            message(b'N', b"SNOTICE\0C00000\0Mlook\0\0"),
            row(b""),
            message(b'S', b"TimeZone\0UTC\0"),
            message(COMMAND_COMPLETE, b"SELECT 2\0"),
            ready(),
        ]
        .concat();
        for cut in 0..=answer.len() {
            let (mut line, mut peer) = pair();
            let (mut portal, mut rows) = (make(), Vec::new());
            let (first, second) = answer.split_at(cut);
            let mut end = None;
            for piece in [first, second] {
                if piece.is_empty() {
                    continue;
                }
                assert_eq!(end, None, "cut at {cut}");
                peer.write_all(piece).unwrap();
                line.receive_now().unwrap();
                end = read(&mut portal, &mut line, &mut rows);
                assert_eq!(end.is_some(), line.is_quiet(), "cut at {cut}");
            }
            assert_eq!((end, rows.as_slice()), (Some(2), &[9, 6][..]), "{cut}");
            assert_eq!(line.transaction_status(), Some(b'T'));
            assert_eq!(portal.take_columns().len(), columns);

            // And if nothing more comes.
            let (mut line, mut peer) = pair();
            peer.write_all(first).unwrap();
            drop(peer);
            let mut portal = make();
            let mut waited = Ok(());
            while waited.is_ok() && read(&mut portal, &mut line, &mut rows).is_none() {
                waited = portal.wait(&mut line, &soon());
            }
            let cause = waited.map_err(|failure| failure.cause);
            let expected = if first == answer {
                Ok(())
            } else {
                Err(Cause::Broken)
            };
            assert_eq!(cause, expected, "cut at {cut}");
        }
    }

    #[test]
    fn a_row_larger_than_the_buffer_takes_memory_as_it_comes_and_gives_it_back() {
        let (mut line, mut peer) = pair();
        let large = 3 << 20;
        let writer = std::thread::spawn(move || {
            let end = [message(COMMAND_COMPLETE, b"SELECT 1\0"), ready()].concat();
            let parts = [message(BIND_COMPLETE, b""), row(&vec![b'x'; large]), end];
            peer.write_all(&parts.concat()).unwrap();
            peer
        });
        let (mut portal, mut rows) = (Portal::default(), Vec::new());
        let mut most = 0;
        while read(&mut portal, &mut line, &mut rows).is_none() {
            portal.wait(&mut line, &soon()).unwrap();
            most = most.max(line.input_size());
        }
        assert_eq!(rows, [large + 6]);
        assert!((large..3 * large).contains(&most), "{most}");
        line.release();
        assert!(line.input_size() <= 256 * 1024);
        writer.join().unwrap();

        // A length alone takes none.
        let (mut line, mut peer) = pair();
        peer.write_all(b"D\x3f\xff\xff\xff").unwrap();
        drop(peer);
        let failure = Portal::default().wait(&mut line, &soon()).unwrap_err();
        assert_eq!(failure.error.kind(), ErrorKind::Disconnected);
        assert!(line.input_size() < 1 << 20);
    }

    #[test]
    fn an_error_amid_rows_is_told_when_the_server_is_ready() {
        let rows = [message(BIND_COMPLETE, b""), row(b"one"), failed("ERROR")];
        let answer = [&rows[..], &[ready()]].concat();
        let (failure, line) = self::failure(&answer, &soon());
        assert_eq!(failure.cause, Cause::Answered);
        assert_eq!(failure.error.outcome(), Outcome::Rejected);
        assert!(line.is_quiet());
        // It is not lost where the server does not get ready in time, and the session knows that it is not.
        let call = Call::until(Deadline::after(Duration::from_millis(20)));
        let (failure, line) = self::failure(&rows, &call);
        assert_eq!(failure.error.message(), "division by zero");
        assert_eq!(failure.cause, Cause::Answered);
        assert!(line.is_owed_here());
    }

    #[test]
    fn what_does_not_belong_to_an_answer_breaks_it() {
        let bound = message(BIND_COMPLETE, b"");
        let done = message(COMMAND_COMPLETE, b"INSERT 0 1\0");
        for answer in [
            vec![row(b"not bound")],
            vec![bound.clone(), bound.clone()],
            vec![bound.clone(), message(b'T', &[0, 0])],
            vec![message(PARSE_COMPLETE, b"")],
            vec![bound.clone(), message(NO_DATA, b"")],
            vec![ready()],
            vec![bound.clone(), ready()],
            vec![bound.clone(), done.clone(), done.clone(), ready()],
            vec![bound.clone(), done.clone(), row(b"late"), ready()],
            vec![bound.clone(), done.clone(), message(READY_FOR_QUERY, b"X")],
            vec![bound.clone(), done.clone(), message(READY_FOR_QUERY, b"")],
            vec![bound.clone(), done.clone(), message(READY_FOR_QUERY, b"II")],
            vec![bound.clone(), failed("ERROR"), done.clone(), ready()],
            vec![bound.clone(), b"D\0\0\0\x03".to_vec()],
            vec![bound.clone(), b"D\xff\xff\xff\xff".to_vec()],
            vec![message(ERROR_RESPONSE, b"Mno code\0\0")],
        ] {
            let (failure, _) = failure(&answer, &soon());
            assert_eq!(failure.cause, Cause::Broken, "{answer:?}");
            assert_eq!(failure.error.kind(), ErrorKind::Protocol, "{answer:?}");
        }
        let (failure, _) = failure(&[bound, failed("FATAL")], &soon());
        assert_eq!(failure.cause, Cause::Broken);
        assert_eq!(failure.error.message(), "division by zero");
    }

    #[test]
    fn the_count_is_the_last_number_of_the_tag() {
        for (tag, expected) in [
            (&b"INSERT 0 5\0"[..], Some(5)),
            (b"UPDATE 12\0", Some(12)),
            (b"CREATE TABLE\0", Some(0)),
            (b"\0", Some(0)),
            (b"", None),
            (b"UPDATE 12", None),
            (b"UPDATE\0 12\0", None),
            (b"UPDATE 18446744073709551616\0", None),
            (b"\xff 12\0", None),
        ] {
            assert_eq!(count(tag), expected);
        }
    }
}
