//! Driving tokio-postgres on the caller's thread: polling what has something to do, and waiting for the socket when
//! nothing has.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use tokio_postgres::tls::NoTlsStream;
use tokio_postgres::{AsyncMessage, Connection};

use crate::error::{Error, ErrorKind, Outcome};
use crate::logging::Logger;
use crate::net::socket::Idle;
use crate::net::wait::Call;
use crate::picodata::failure::{Cause, Failure};
use crate::picodata::line::Line;
use crate::picodata::pipe::{Pipe, Queues};
use crate::picodata::portal;
use crate::picodata::sharding::StatementKey;
use crate::picodata::startup::Key;

/// How many statements may be described before somebody asks for it: a batch prepares as many at once as a session
/// keeps.
const MAX_DESCRIBED: usize = 4096;

/// The side of a conversation that moves bytes.
///
/// A request and the connection are two state machines that talk through channels. Both are polled with a
/// waker that sets a flag: only while it is clear does neither have anything to do, and the thread may wait.
/// No runtime is entered, so a thread that belongs to one may call it.
pub(crate) struct Driver {
    line: Line,
    queues: Queues,
    /// `None` before the start-up is done, and once the conversation is over.
    connection: Option<Connection<Pipe, NoTlsStream>>,
    /// Why the connection ended, until a request has told it.
    end: Option<Failure>,
    broken: bool,
    /// What the server has said of statements that are being prepared, if it was asked to.
    described: Option<Vec<StatementKey>>,
    logger: Logger,
    flag: Arc<Flag>,
    waker: Waker,
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Driver {
    pub(crate) fn new(line: Line, logger: Logger) -> Self {
        let flag = Arc::new(Flag(AtomicBool::new(false)));
        Driver {
            line,
            queues: Queues::default(),
            connection: None,
            end: None,
            broken: false,
            described: None,
            logger,
            waker: Waker::from(Arc::clone(&flag)),
            flag,
        }
    }

    /// The stream for tokio-postgres.
    pub(crate) fn pipe(&self) -> Pipe {
        self.queues.pipe()
    }

    /// Takes over the connection that a start-up has given; the key is the server's, if it has sent one.
    pub(crate) fn start(&mut self, connection: Connection<Pipe, NoTlsStream>) -> Option<Key> {
        self.connection = Some(connection);
        self.line.started()
    }

    /// The socket, for a conversation without tokio-postgres.
    pub(crate) fn line(&self) -> &Line {
        &self.line
    }

    pub(crate) fn line_mut(&mut self) -> &mut Line {
        &mut self.line
    }

    /// Keeps from now on what the server says of statements before it has parsed them.
    pub(crate) fn keep_descriptions(&mut self) {
        self.described = Some(Vec::new());
    }

    /// What the server has said of statements since this was last called.
    pub(crate) fn take_descriptions(&mut self) -> Vec<StatementKey> {
        self.described
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Gives the conversation up. Requests that are under way fail.
    pub(crate) fn set_broken(&mut self) {
        self.broken = true;
        self.connection = None;
    }

    /// How many statements have left this process whole.
    pub(crate) fn executed(&mut self) -> u64 {
        self.line.executed()
    }

    /// What became of the statement that is the `number`th to be sent, if it was not answered.
    pub(crate) fn outcome(&mut self, number: u64) -> Outcome {
        if self.executed() < number {
            Outcome::NotSent
        } else {
            Outcome::Unknown
        }
    }

    /// What the server said of the transaction; meaningful while no request is under way.
    pub(crate) fn transaction_status(&self) -> Option<u8> {
        self.line.transaction_status()
    }

    /// Runs a request until it is answered, or until the call ends.
    ///
    /// When the call ends first, the request stays under way and may be run on.
    pub(crate) fn run<T>(
        &mut self,
        call: &Call<'_>,
        mut request: impl FnMut(&mut Context<'_>) -> Poll<Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Failure> {
        loop {
            if let Poll::Ready(answer) = self.turn(&mut request) {
                return answer;
            }
            self.wait(call)?;
        }
    }

    /// Runs a request as far as it gets with what has been received.
    pub(crate) fn turn<T>(
        &mut self,
        mut request: impl FnMut(&mut Context<'_>) -> Poll<Result<T, tokio_postgres::Error>>,
    ) -> Poll<Result<T, Failure>> {
        loop {
            self.flag.0.store(false, Ordering::Relaxed);
            if let Poll::Ready(answer) = request(&mut Context::from_waker(&self.waker)) {
                return Poll::Ready(answer.map_err(|error| self.failed(error)));
            }
            let ended = self.poll_connection();
            match self.move_bytes() {
                Ok(moved) if moved || ended => {}
                Ok(_) if self.flag.0.load(Ordering::Relaxed) => {}
                Ok(_) => return Poll::Pending,
                Err(error) => self.break_off(Failure::broken(error))?,
            }
        }
    }

    /// Polls the connection; true if it has just ended: what has ended may have answered a request before.
    fn poll_connection(&mut self) -> bool {
        let Some(connection) = &mut self.connection else {
            return false;
        };
        let context = &mut Context::from_waker(&self.waker);
        loop {
            match connection.poll_message(context) {
                Poll::Pending => return false,
                Poll::Ready(Some(Ok(AsyncMessage::Notice(notice)))) => {
                    let key = match &self.described {
                        Some(told) if told.len() < MAX_DESCRIBED => {
                            StatementKey::from_notice(notice.message())
                        }
                        _ => None,
                    };
                    match (key, &mut self.described) {
                        (Some(key), Some(told)) => told.push(key),
                        _ => self
                            .logger
                            .debug(format_args!("notice: {}", notice.message())),
                    }
                }
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(error))) => {
                    self.end = Some(Failure::from(error));
                    break;
                }
                Poll::Ready(None) => break,
            }
        }
        self.set_broken();
        true
    }

    /// Moves bytes between tokio-postgres and the socket, without waiting; true if it has more to read now.
    fn move_bytes(&mut self) -> crate::error::Result<bool> {
        if self.broken {
            return Ok(false);
        }
        let outgoing = self.queues.take();
        if !outgoing.is_empty() {
            self.line.queue(&outgoing)?;
        }
        self.line.flush_some()?;
        if !self.queues.is_hungry() || !self.line.has_unread() {
            return Ok(false);
        }
        let line = &mut self.line;
        self.queues.give(|incoming| line.pass(incoming))?;
        Ok(true)
    }

    /// Waits for the socket, on behalf of tokio-postgres. An error of the connection is told by the request.
    fn wait(&mut self, call: &Call<'_>) -> Result<(), Failure> {
        let waited = if self.queues.is_hungry() {
            self.line.wait(call).map(|()| true)
        } else {
            self.line.flush(call)
        };
        match waited.map_err(Failure::waiting) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Failure::broken(Error::new(
                ErrorKind::Internal,
                "a request is pending and waits for nothing",
            ))),
            Err(failure) if failure.cause == Cause::Broken => self.break_off(failure),
            Err(failure) => Err(failure),
        }
    }

    /// Ends a conversation whose socket failed. During a start-up there is no connection that would tell the request.
    fn break_off(&mut self, failure: Failure) -> Result<(), Failure> {
        let was_started = self.connection.is_some();
        self.set_broken();
        if !was_started {
            return Err(failure);
        }
        self.end = Some(failure);
        Ok(())
    }

    /// Waits until the server has answered all that it was asked, whoever has asked it. Nobody wants these answers.
    pub(crate) fn quiesce(&mut self, call: &Call<'_>) -> Result<(), Failure> {
        while !self.line.is_quiet() && !self.broken {
            if self.line.is_owed_here() {
                let skipped = portal::skip(&mut self.line, call);
                skipped.inspect_err(|failure| {
                    if failure.cause == Cause::Broken {
                        self.broken = true;
                    }
                })?;
                continue;
            }
            if let Poll::Ready(Err(failure)) = self.turn(|_| Poll::<Result<(), _>>::Pending) {
                return Err(failure);
            }
            if !self.line.is_quiet() && !self.broken {
                self.wait(call)?;
            }
        }
        // What has come since was not asked for: it must not be taken for the next answer. A notice may have.
        if !self.broken
            && self.line.has_unread()
            && let Poll::Ready(Err(failure)) = self.turn(|_| Poll::<Result<(), _>>::Pending)
        {
            return Err(failure);
        }
        Ok(())
    }

    /// Waits until the server is ready again, behind an error that it has sent by itself.
    ///
    /// There is no harm in a call that ends first: what the server says then is skipped before the next request.
    pub(crate) fn settle(&mut self, call: &Call<'_>) {
        let _ = self.quiesce(call);
    }

    /// What an error of a request means. One that ends the conversation ends it here too.
    pub(crate) fn failed(&mut self, error: tokio_postgres::Error) -> Failure {
        let failure = if error.is_closed() {
            self.end.take().unwrap_or_else(|| error.into())
        } else {
            Failure::from(error)
        };
        if failure.cause == Cause::Broken {
            self.set_broken();
        }
        failure
    }

    /// Receives what has arrived, without waiting.
    pub(crate) fn look(&mut self) -> crate::error::Result<()> {
        self.line.receive_now()
    }

    /// Sends what the socket takes of what the line has queued, without waiting.
    pub(crate) fn send_now(&mut self) {
        if let Err(error) = self.line.flush_some() {
            self.end = Some(Failure::broken(error));
            self.set_broken();
        }
    }

    /// Why the conversation ended.
    pub(crate) fn ending(&mut self) -> Error {
        self.end
            .take()
            .map_or_else(given_up, |failure| failure.error)
    }

    /// Reads what a server may send to a session that asks for nothing (parameters, notices), without waiting.
    pub(crate) fn idle(&mut self) -> Idle {
        if self.broken {
            return Idle::Closed;
        }
        if self.line.receive_now().is_err() {
            self.set_broken();
            return Idle::Closed;
        }
        if self.line.is_quiet() && !self.line.has_unread() {
            return Idle::Ready;
        }
        if self.line.is_owed_here() {
            return Idle::OutOfStep;
        }
        match self.turn(|_| Poll::<Result<(), _>>::Pending) {
            _ if self.broken => Idle::Closed,
            Poll::Pending if self.line.is_quiet() => Idle::Ready,
            _ => Idle::OutOfStep,
        }
    }
}

/// Polls a pinned future, as [`Driver::run`] takes it.
pub(crate) fn poll<F: Future + ?Sized>(
    mut future: Pin<&mut F>,
) -> impl FnMut(&mut Context<'_>) -> Poll<F::Output> {
    move |context| future.as_mut().poll(context)
}

/// The error of a session that was given up.
pub(crate) fn given_up() -> Error {
    Error::new(
        ErrorKind::Disconnected,
        "the connection was given up after an earlier error",
    )
}
