//! The socket of a session, and what has passed over it.
//!
//! Two have conversations over it, never at the same time: tokio-postgres, whose bytes are looked at as they pass,
//! and the portal, which writes its messages here and reads the answers where they were received.

use std::collections::VecDeque;

use crate::error::{Error, ErrorKind, Result};
use crate::logging::Logger;
use crate::net::socket::Socket;
use crate::net::stream::{Answers, Stream};
use crate::net::wait::Call;
use crate::picodata::frames::Frames;
use crate::picodata::options::ConnectOptions;
use crate::picodata::server_error::ServerError;
use crate::picodata::startup::{Key, Starting};

// Tags of messages (PostgreSQL's manual, "Message Formats").
const EXECUTE: u8 = b'E';
const PARSE: u8 = b'P';
const QUERY: u8 = b'Q';
const SYNC: u8 = b'S';
const COMMAND_COMPLETE: u8 = b'C';
const NOTICE_RESPONSE: u8 = b'N';
const NOTIFICATION_RESPONSE: u8 = b'A';
const PARAMETER_STATUS: u8 = b'S';
const READY_FOR_QUERY: u8 = b'Z';

/// The tag and the length of a message, in bytes. The length counts itself and not the tag.
const HEADER: usize = 5;
/// The length of a Sync, in bytes.
const SYNC_LEN: u64 = HEADER as u64;
/// What the server says of the transaction where none is open, where one is, and where it has failed.
const IDLE: u8 = b'I';
const OPEN: u8 = b'T';
const FAILED: u8 = b'E';
/// The tags of a transaction that has been committed, and of one that has been rolled back, whatever was asked for.
const COMMITTED: &[u8] = b"COMMIT\0";
const ROLLED_BACK: &[u8] = b"ROLLBACK\0";
/// The longest message that is read, in bytes: PostgreSQL's own limit (`MaxAllocSize`, src/include/utils/memutils.h).
const MAX_MESSAGE: usize = 0x3fff_ffff;
/// How many look-ups of types a statement may take, where it is prepared alone; an enumeration takes two. Each may lead
/// to another one, and tokio-postgres has all that led there on the stack: 3.3 kB each without optimization.
const MAX_LOOK_UPS: usize = 256;
/// How many bytes of a message are waited for at once: as many as have come, and this many more. What a server says of
/// a length takes no memory by itself.
const STEP: usize = 64 * 1024;

/// A message that has been received whole and not been read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) tag: u8,
    /// With the tag.
    len: usize,
}

pub(crate) struct Line {
    stream: Stream,
    sending: Frames,
    receiving: Frames,
    /// Where statements to be run end, as positions of the stream: those that were not sent yet.
    unsent: VecDeque<u64>,
    /// How many statements have left this process whole, to be run.
    executed: u64,
    /// How often the server has still to say that it is ready, to tokio-postgres, each time with the number of the
    /// statement that it ends; and to the portal.
    owed: VecDeque<u64>,
    owed_here: u64,
    /// The number of the statement whose answer the portal reads.
    answering: u64,
    /// What it said of the transaction when it was last ready.
    status: u8,
    /// Whether the statement that is being answered has had a tag. A text of several has one for each.
    is_tagged: bool,
    /// The statements whose first tag was that of a rollback, since this was last cleared.
    rolled_back: Vec<u64>,
    /// How often it has said that a transaction was committed, or that none was open.
    endings: u64,
    /// The names of the statements that were prepared since they were last taken.
    names: Vec<String>,
    /// How many types tokio-postgres has looked up meanwhile.
    look_ups: usize,
    logger: Logger,
    /// Until the server is ready for the first time.
    starting: Option<Starting>,
}

/// Answers that are to be read later.
pub(crate) struct Aside {
    bytes: Vec<u8>,
    owed: u64,
    /// What the server says of the transaction at their end.
    status: u8,
}

impl Aside {
    /// Whether a transaction has failed that was not rolled back yet.
    pub(crate) fn has_failed(&self) -> bool {
        self.status == FAILED
    }
}

/// The messages that run statements, each run ended by a Sync of its own, as they are queued.
pub(crate) struct Runs<'a> {
    pub(crate) messages: &'a mut Vec<u8>,
    /// The position of the first byte of `messages`.
    base: u64,
    ends: &'a mut VecDeque<u64>,
}

impl Runs<'_> {
    /// Marks the end of a run, behind its Sync.
    pub(crate) fn end(&mut self) {
        let end = self.base + self.messages.len() as u64;
        self.ends.push_back(end - SYNC_LEN);
    }
}

impl Line {
    pub(crate) fn new(socket: Socket, options: &ConnectOptions) -> Self {
        let starting = Starting::new(options, socket.is_encrypted());
        Line {
            stream: Stream::new(socket),
            sending: Frames::default(),
            receiving: Frames::default(),
            unsent: VecDeque::new(),
            executed: 0,
            // The start-up ends with it.
            owed: VecDeque::from([0]),
            owed_here: 0,
            answering: 0,
            status: IDLE,
            is_tagged: false,
            rolled_back: Vec::new(),
            endings: 0,
            names: Vec::new(),
            look_ups: 0,
            logger: options.logger.clone(),
            starting: Some(starting),
        }
    }

    /// Ends the start-up; the key is the server's, if it has sent one.
    pub(crate) fn started(&mut self) -> Option<Key> {
        self.starting.take().and_then(Starting::key)
    }

    /// Whether the start-up goes on, and nothing was said of authentication yet.
    pub(crate) fn is_unasked(&self) -> bool {
        let starting = self.starting.as_ref();
        starting.is_some_and(|starting| !starting.has_asked())
    }

    /// How many statements have left this process whole. One that has not cannot have been run.
    pub(crate) fn executed(&mut self) -> u64 {
        while self
            .unsent
            .front()
            .is_some_and(|end| *end <= self.stream.sent())
        {
            self.unsent.pop_front();
            self.executed += 1;
        }
        self.executed
    }

    /// How many statements were queued, be they sent or not.
    fn asked(&self) -> u64 {
        self.executed + self.unsent.len() as u64
    }

    /// What the server said of the transaction when it was last ready: `I` for none. It is known only while
    /// no request is under way.
    pub(crate) fn transaction_status(&self) -> Option<u8> {
        self.is_quiet().then_some(self.status)
    }

    /// How often the server has said that a transaction was committed, or that none was open: what was done in one
    /// that was begun before may have been applied, and so may what was done since.
    pub(crate) fn endings(&self) -> u64 {
        self.endings
    }

    /// Whether the server has answered the `number`th statement, or the first one in its text, by rolling a
    /// transaction back.
    pub(crate) fn was_rolled_back(&self, number: u64) -> bool {
        self.rolled_back.contains(&number)
    }

    /// Forgets what was answered by rolling back.
    pub(crate) fn forget_rolled_back(&mut self) {
        self.rolled_back.clear();
    }

    /// Whether everything that was asked is answered.
    pub(crate) fn is_quiet(&self) -> bool {
        self.owed.is_empty() && self.owed_here == 0 && self.receiving.is_between()
    }

    /// Whether the answer that is under way is the portal's.
    pub(crate) fn is_owed_here(&self) -> bool {
        self.owed_here > 0
    }

    /// Takes the names of the statements that were prepared since the last call, in their order.
    pub(crate) fn take_names(&mut self) -> Vec<String> {
        self.look_ups = 0;
        std::mem::take(&mut self.names)
    }

    /// Queues what tokio-postgres sends.
    pub(crate) fn queue(&mut self, bytes: &[u8]) -> Result<()> {
        if let Some(starting) = &mut self.starting
            && let Some(message) = starting.first_message(bytes)?
        {
            self.stream.output().extend_from_slice(&message);
            return Ok(());
        }
        self.stream.output().extend_from_slice(bytes);
        let end = self.stream.queued();
        self.sending.feed(bytes, |tag, body, behind| {
            if matches!(tag, EXECUTE | QUERY) {
                self.unsent.push_back(end - behind as u64);
            }
            // All else is run by the portal, or as a text.
            self.look_ups += usize::from(tag == EXECUTE);
            if matches!(tag, SYNC | QUERY) {
                self.owed
                    .push_back(self.executed + self.unsent.len() as u64);
            }
            if tag == PARSE {
                let name = body.split(|byte| *byte == 0).next().unwrap_or_default();
                if !name.is_empty() {
                    self.names.push(String::from_utf8_lossy(name).into_owned());
                }
            }
        });
        if self.look_ups > MAX_LOOK_UPS + 2 * self.names.len() {
            return Err(Error::new(
                ErrorKind::Protocol,
                format!("the types of a statement lead to more than {MAX_LOOK_UPS} others"),
            ));
        }
        Ok(())
    }

    /// Queues runs, as `write` writes them. Nothing is queued if it fails.
    pub(crate) fn queue_runs<E>(
        &mut self,
        write: impl FnOnce(&mut Runs<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (asked, start, unsent) = (self.asked(), self.stream.queued(), self.unsent.len());
        let messages = self.stream.output();
        let mut runs = Runs {
            base: start - messages.len() as u64,
            messages,
            ends: &mut self.unsent,
        };
        if let Err(error) = write(&mut runs) {
            self.unsent.truncate(unsent);
            self.stream.unqueue(start);
            return Err(error);
        }
        if self.owed_here == 0 {
            self.answering = asked + 1;
        }
        self.owed_here += (self.unsent.len() - unsent) as u64;
        Ok(())
    }

    /// Sends what the socket takes without waiting.
    pub(crate) fn flush_some(&mut self) -> Result<()> {
        self.stream.flush_some().map(|_| ())
    }

    /// Says how the answers to what is under way come in.
    pub(crate) fn expect(&mut self, answers: Answers) {
        self.stream.expect(answers);
    }

    /// Receives what has arrived, without waiting.
    pub(crate) fn receive_now(&mut self) -> Result<()> {
        self.stream.fill_now().map(|_| ())
    }

    /// Waits until something has been received, and sends what is queued.
    pub(crate) fn wait(&mut self, call: &Call<'_>) -> Result<()> {
        self.stream.fill(self.stream.unread().len() + 1, call)
    }

    /// Waits until all that is queued has been sent; false if it was already.
    pub(crate) fn flush(&mut self, call: &Call<'_>) -> Result<bool> {
        let wants_write = self.stream.wants_write();
        self.stream.flush(call).map(|()| wants_write)
    }

    pub(crate) fn has_unread(&self) -> bool {
        !self.stream.unread().is_empty()
    }

    /// Appends what was received to `incoming`, for tokio-postgres.
    pub(crate) fn pass(&mut self, incoming: &mut Vec<u8>) -> Result<()> {
        let bytes = self.stream.unread();
        let mut verdict = Ok(());
        self.receiving.feed(bytes, |tag, body, _| {
            match (tag, body) {
                (READY_FOR_QUERY, body) => match status(body) {
                    Ok(status) => {
                        self.owed.pop_front();
                        self.status = status;
                        self.is_tagged = false;
                        self.endings += u64::from(status == IDLE);
                    }
                    Err(error) => verdict = Err(error),
                },
                (COMMAND_COMPLETE, COMMITTED) => {
                    self.is_tagged = true;
                    self.endings += 1;
                }
                (COMMAND_COMPLETE, body) => {
                    let is_first = !std::mem::replace(&mut self.is_tagged, true);
                    if is_first && body == ROLLED_BACK {
                        self.rolled_back.extend(self.owed.front());
                    }
                }
                _ => {}
            }
            if let (Some(starting), Ok(())) = (&mut self.starting, &verdict) {
                verdict = starting.received(tag, body);
            }
        });
        incoming.extend_from_slice(bytes);
        let len = bytes.len();
        self.stream.consume(len);
        verdict?;
        let to_come = self.receiving.to_come();
        match &mut self.starting {
            Some(starting) => starting.check_length(len, to_come),
            None if to_come > MAX_MESSAGE => Err(too_long(to_come)),
            None => Ok(()),
        }
    }

    /// The next message of an answer to the portal, if it has been received whole. What the server says by itself
    /// is taken out.
    pub(crate) fn head(&mut self) -> Result<Option<Head>> {
        loop {
            let Some(head) = self.whole()? else {
                return Ok(None);
            };
            match head.tag {
                NOTICE_RESPONSE => {
                    self.take(head);
                    self.log_notice(head);
                }
                NOTIFICATION_RESPONSE | PARAMETER_STATUS => self.take(head),
                _ => return Ok(Some(head)),
            }
        }
    }

    fn whole(&self) -> Result<Option<Head>> {
        let unread = self.stream.unread();
        let [tag, a, b, c, d, ..] = *unread else {
            return Ok(None);
        };
        let len = message_len([a, b, c, d])?;
        if unread.len() < len {
            return Ok(None);
        }
        if tag == READY_FOR_QUERY {
            status(unread.get(HEADER..len).unwrap_or_default())?;
        }
        Ok(Some(Head { tag, len }))
    }

    /// Marks a message as read. Its body can be looked at until more is received.
    pub(crate) fn take(&mut self, head: Head) {
        self.stream.consume(head.len);
        if head.tag == READY_FOR_QUERY
            && let [status] = *self.body(head)
        {
            self.owed_here = self.owed_here.saturating_sub(1);
            self.answering += 1;
            self.status = status;
            self.endings += u64::from(status == IDLE);
        }
    }

    /// Notes what the server says has been done, in a message that was taken.
    pub(crate) fn note_tag(&mut self, head: Head) {
        match self.body(head) {
            COMMITTED => self.endings += 1,
            ROLLED_BACK => self.rolled_back.push(self.answering),
            _ => {}
        }
    }

    /// The body of the message that was taken last.
    pub(crate) fn body(&self, head: Head) -> &[u8] {
        self.stream.consumed(head.len - HEADER)
    }

    /// Waits until the next message has been received whole.
    pub(crate) fn receive(&mut self, call: &Call<'_>) -> Result<()> {
        while self.whole()?.is_none() {
            let unread = self.stream.unread();
            let len = match *unread {
                [_, a, b, c, d, ..] => message_len([a, b, c, d])?,
                _ => HEADER,
            };
            let at_once = STEP.max(2 * unread.len());
            self.stream.fill(len.min(at_once), call)?;
        }
        Ok(())
    }

    /// Receives the rest of what the portal has asked for, whatever its size, and takes it out, so that something else
    /// may be asked before it is read. Nothing is taken if it fails.
    pub(crate) fn set_aside(&mut self, call: &Call<'_>) -> Result<Aside> {
        let (mut at, mut owed, mut status) = (0, self.owed_here, self.status);
        while owed > 0 {
            let unread = self.stream.unread();
            let rest = unread.get(at..).unwrap_or_default();
            let len = match *rest {
                [_, a, b, c, d, ..] => message_len([a, b, c, d])?,
                _ => HEADER,
            };
            match *rest {
                [tag, _, _, _, _, ..] if rest.len() >= len => {
                    if tag == READY_FOR_QUERY {
                        let body = rest.get(HEADER..len).unwrap_or_default();
                        (owed, status) = (owed - 1, self::status(body)?);
                    }
                    at += len;
                }
                _ => {
                    let at_once = STEP.max(2 * unread.len());
                    self.stream.fill((at + len).min(at_once), call)?;
                }
            }
        }
        let bytes = self.stream.unread().to_vec();
        self.stream.consume(bytes.len());
        Ok(Aside {
            bytes,
            status,
            owed: std::mem::take(&mut self.owed_here),
        })
    }

    /// Puts back what was set aside.
    pub(crate) fn put_back(&mut self, aside: Aside) {
        self.stream.put_back(&aside.bytes);
        self.owed_here = aside.owed;
    }

    /// Gives the memory back that a large message took.
    pub(crate) fn release(&mut self) {
        self.stream.release();
    }

    /// The size of the input buffer, in bytes.
    #[cfg(test)]
    pub(crate) fn input_size(&self) -> usize {
        self.stream.input_size()
    }

    fn log_notice(&self, head: Head) {
        match ServerError::parse(self.body(head)) {
            Ok(notice) => self
                .logger
                .debug(format_args!("notice: {}", notice.message())),
            Err(error) => self
                .logger
                .debug(format_args!("a notice cannot be read: {error}")),
        }
    }
}

/// The length of a message with its tag, from the four bytes behind that.
fn message_len(bytes: [u8; 4]) -> Result<usize> {
    let len = u32::from_be_bytes(bytes) as usize;
    if (HEADER - 1..=MAX_MESSAGE).contains(&len) {
        return Ok(len + 1);
    }
    Err(too_long(len))
}

#[cold]
fn too_long(len: usize) -> Error {
    Error::new(
        ErrorKind::Protocol,
        format!("the server announces a message of {len} bytes"),
    )
}

/// What a server that is ready says of the transaction, in the body of its message.
fn status(body: &[u8]) -> Result<u8> {
    match *body {
        [status @ (IDLE | OPEN | FAILED)] => Ok(status),
        _ => Err(Error::new(
            ErrorKind::Protocol,
            "the server says in a way that is not understood that it is ready",
        )),
    }
}
