//! The conversation with one dqlite node: requests out, responses in, one after the other.

use std::collections::VecDeque;

use crate::dqlite::failure::statement_error;
use crate::dqlite::reading::is_last_part;
use crate::dqlite::wire::RESPONSE_ROWS;
use crate::dqlite::wire::error::WireError;
use crate::dqlite::wire::frame::Header;
use crate::dqlite::wire::request::Request;
use crate::dqlite::wire::response::{Context, Response, kind_name};
use crate::error::{Error, ErrorKind, Outcome, Result};
use crate::net::socket::{Idle, Socket};
use crate::net::stream::{Answers, Stream};
use crate::net::wait::Call;

/// How many bytes of a response are waited for at once: as many as have come, and this many more. What a node says of a
/// length takes no memory by itself.
const STEP: usize = 64 * 1024;

/// A connection to a node after the protocol version was sent.
///
/// An error of the transport or of the protocol leaves the channel out of step for good:
/// [`is_broken`](Channel::is_broken).
pub(crate) struct Channel {
    stream: Stream,
    context: Context,
    max_message: u32,
    header: Header,
    body_len: usize,
    /// Where each request ends that was not answered to its end: all parts of rows are one answer.
    unanswered: VecDeque<u64>,
    broken: bool,
}

impl Channel {
    /// Begins a conversation. The version goes out with the first request.
    pub(crate) fn new(socket: Socket, version: u64, max_message: u32) -> Self {
        let mut stream = Stream::new(socket);
        stream.output().extend_from_slice(&version.to_le_bytes());
        Channel {
            stream,
            context: Context {
                version,
                ..Context::default()
            },
            max_message,
            header: Header {
                words: 0,
                kind: 0,
                schema: 0,
                extra: 0,
            },
            body_len: 0,
            unanswered: VecDeque::new(),
            broken: false,
        }
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    pub(crate) fn set_broken(&mut self) {
        self.broken = true;
    }

    pub(crate) fn idle(&mut self) -> Idle {
        if self.broken {
            return Idle::Closed;
        }
        self.stream.idle()
    }

    /// Whether something has been received that nobody has asked for yet.
    pub(crate) fn has_unread(&self) -> bool {
        !self.stream.unread().is_empty()
    }

    /// Says how the server answers what is under way.
    pub(crate) fn expect(&mut self, answers: Answers) {
        self.stream.expect(answers);
    }

    /// Puts a request into the queue and gives the position of its end.
    pub(crate) fn queue(&mut self, request: &Request<'_>) -> Result<u64> {
        if self.broken {
            return Err(broken());
        }
        request
            .encode(self.stream.output())
            .map_err(|error| Error::new(ErrorKind::Misuse, error.to_string()))?;
        let end = self.stream.queued();
        self.unanswered.push_back(end);
        Ok(end)
    }

    /// The position of the end of the queue.
    pub(crate) fn queued(&self) -> u64 {
        self.stream.queued()
    }

    /// Forgets what was queued after `position`; nothing of it may have been sent.
    pub(crate) fn unqueue(&mut self, position: u64) {
        self.stream.unqueue(position);
        while self.unanswered.back().is_some_and(|end| *end > position) {
            self.unanswered.pop_back();
        }
    }

    /// Sends all that is queued.
    pub(crate) fn flush(&mut self, call: &Call<'_>) -> Result<()> {
        let sent = self.stream.flush(call);
        self.keep_step(sent)
    }

    /// Sends what the socket takes at once; the rest goes out while answers are received.
    pub(crate) fn flush_some(&mut self) -> Result<()> {
        let sent = self.stream.flush_some();
        self.keep_step(sent).map(|_| ())
    }

    /// What became of a request that ends at `end` and was not answered.
    pub(crate) fn outcome(&self, end: u64) -> Outcome {
        if self.stream.sent() < end {
            Outcome::NotSent
        } else {
            Outcome::Unknown
        }
    }

    /// Receives the next response. [`body`](Channel::body) and [`response`](Channel::response) give it until
    /// the next call.
    ///
    /// When the call ends first, an answer that has begun to arrive stays in the buffer and the channel in
    /// step: the same call may be made again.
    pub(crate) fn receive(&mut self, call: &Call<'_>) -> Result<()> {
        if self.broken {
            return Err(broken());
        }
        let received = self.receive_frame(call);
        match received {
            Err(error) if !matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Cancelled) => {
                self.keep_step(Err(error))
            }
            other => other,
        }
    }

    fn receive_frame(&mut self, call: &Call<'_>) -> Result<()> {
        self.body_len = 0;
        self.stream.fill(Header::SIZE, call)?;
        let Some(bytes) = self.stream.unread().first_chunk() else {
            return Err(Error::new(ErrorKind::Internal, "a header is missing"));
        };
        let header = Header::decode(bytes);
        let body_len = header.check(self.max_message).map_err(violation)?;
        let whole = Header::SIZE + body_len;
        while self.stream.unread().len() < whole {
            let at_once = STEP.max(2 * self.stream.unread().len());
            self.stream.fill(whole.min(at_once), call)?;
        }
        self.stream.consume(Header::SIZE + body_len);
        self.header = header;
        self.body_len = body_len;
        if !self.is_rows() || is_last_part(self.body()) {
            self.unanswered.pop_front();
        }
        Ok(())
    }

    /// Whether the server has still to answer, or to answer to the end.
    pub(crate) fn is_owed(&self) -> bool {
        !self.unanswered.is_empty()
    }

    /// Receives what the server has still to answer, and keeps nothing of it.
    pub(crate) fn hear_out(&mut self, call: &Call<'_>) -> Result<()> {
        while self.is_owed() {
            call.check()?;
            self.receive_frame(call)?;
        }
        Ok(())
    }

    /// The body of the last response.
    pub(crate) fn body(&self) -> &[u8] {
        self.stream.consumed(self.body_len)
    }

    /// The type tag of the last response.
    pub(crate) fn kind(&self) -> u8 {
        self.header.kind
    }

    /// Whether the last response is a part of rows, in the one layout that they have.
    pub(crate) fn is_rows(&self) -> bool {
        self.header.kind == RESPONSE_ROWS && self.header.schema == 0
    }

    /// The last response, decoded. An error breaks the channel.
    pub(crate) fn response(&mut self) -> Result<Response<'_>> {
        let body = self.stream.consumed(self.body_len);
        Response::decode(&self.header, body, self.context).map_err(|error| {
            self.broken = true;
            violation(error)
        })
    }

    /// Sends one request and receives its answer.
    ///
    /// The outcome of an error is what became of the request; see [`harmless`].
    pub(crate) fn request(&mut self, request: &Request<'_>, call: &Call<'_>) -> Result<()> {
        let end = self.queue(request)?;
        self.flush(call)
            .and_then(|()| self.receive(call))
            .map_err(|error| {
                self.broken = true;
                let outcome = self.outcome(end);
                error.with_outcome(outcome)
            })
    }

    /// The error of a response that does not fit the request: a failure, or one of another type. The latter
    /// breaks the channel.
    pub(crate) fn unexpected(&mut self, wanted: &str) -> Error {
        let kind = self.header.kind;
        match self.response() {
            Ok(Response::Failure { code, message }) => statement_error(code, &message),
            Ok(_) => {
                self.broken = true;
                Error::new(
                    ErrorKind::Protocol,
                    format!(
                        "the server answered {} where {wanted} was expected",
                        kind_name(kind)
                    ),
                )
                .with_outcome(Outcome::Unknown)
            }
            Err(error) => error,
        }
    }

    fn keep_step<T>(&mut self, result: Result<T>) -> Result<T> {
        if result.is_err() {
            self.broken = true;
        }
        result
    }
}

/// The error of a request that changes nothing on the server, whatever became of it: the statement that it
/// was made for has not been sent.
pub(crate) fn harmless(error: Error) -> Error {
    if error.outcome() == Outcome::Unknown {
        return error.with_outcome(Outcome::NotSent);
    }
    error
}

/// The error of a message that the protocol does not allow. What became of the statement is unknown: the
/// server has answered, but not in a way that can be understood.
pub(crate) fn violation(error: WireError) -> Error {
    Error::new(ErrorKind::Protocol, error.to_string()).with_outcome(Outcome::Unknown)
}

fn broken() -> Error {
    Error::new(
        ErrorKind::Disconnected,
        "the connection was given up after an earlier error",
    )
}
