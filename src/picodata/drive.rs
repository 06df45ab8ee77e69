//! Driving tokio-postgres on the caller's thread: polling what has something to do, and waiting in `poll(2)`
//! when nothing has.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use parking_lot::Mutex;
use tokio_postgres::tls::NoTlsStream;
use tokio_postgres::{AsyncMessage, Connection};

use crate::error::{Error, ErrorKind, Outcome};
use crate::logging::Logger;
use crate::net::socket::Idle;
use crate::net::wait::Call;
use crate::picodata::failure::{Cause, Failure};
use crate::picodata::pipe::{Line, Pipe};
use crate::picodata::sharding::StatementKey;

/// How many statements may be described before somebody asks for it: a batch prepares as many at once as a session
/// keeps.
const MAX_DESCRIBED: usize = 4096;

/// The side of a conversation that moves bytes.
///
/// A request and the connection are two state machines that talk through channels. Both are polled with a
/// waker that sets a flag: only while it is clear does neither have anything to do, and the thread may wait.
/// No runtime is entered, so a thread that belongs to one may call it.
pub(crate) struct Driver {
    line: Arc<Mutex<Line>>,
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
    pub(crate) fn new(line: Arc<Mutex<Line>>, logger: Logger) -> Self {
        let flag = Arc::new(Flag(AtomicBool::new(false)));
        Driver {
            line,
            connection: None,
            end: None,
            broken: false,
            described: None,
            logger,
            waker: Waker::from(Arc::clone(&flag)),
            flag,
        }
    }

    /// Takes over the connection that a start-up has given.
    pub(crate) fn start(&mut self, connection: Connection<Pipe, NoTlsStream>) {
        self.connection = Some(connection);
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
    pub(crate) fn executed(&self) -> u64 {
        self.line.lock().executed()
    }

    /// What became of the statement that is the `number`th to be sent, if it was not answered.
    pub(crate) fn outcome(&self, number: u64) -> Outcome {
        if self.executed() < number {
            Outcome::NotSent
        } else {
            Outcome::Unknown
        }
    }

    /// What the server said of the transaction; meaningful while no request is under way.
    pub(crate) fn transaction_status(&self) -> Option<u8> {
        self.line.lock().transaction_status()
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
            match self.turn(&mut request) {
                Poll::Ready(answer) => return answer,
                Poll::Pending => {
                    let waited = self.line.lock().wait(call);
                    waited.map_err(|error| Failure {
                        error,
                        cause: Cause::CallEnded,
                    })?;
                }
            }
        }
    }

    /// Runs a request as far as it gets without waiting.
    pub(crate) fn turn<T>(
        &mut self,
        mut request: impl FnMut(&mut Context<'_>) -> Poll<Result<T, tokio_postgres::Error>>,
    ) -> Poll<Result<T, Failure>> {
        loop {
            self.flag.0.store(false, Ordering::Relaxed);
            // Before all else, and cheaply: a row of a large answer is mostly here already.
            if let Poll::Ready(answer) = request(&mut Context::from_waker(&self.waker)) {
                return Poll::Ready(answer.map_err(|error| self.failed(error)));
            }
            if !self.move_bytes() && !self.flag.0.load(Ordering::Relaxed) {
                return Poll::Pending;
            }
        }
    }

    /// Polls a request alone: it gets as far as what has been received allows, and the socket is not touched.
    pub(crate) fn peek<T>(&self, request: impl FnOnce(&mut Context<'_>) -> T) -> T {
        request(&mut Context::from_waker(&self.waker))
    }

    /// Polls the connection; true if it has just ended: what has ended may have answered a request before.
    fn move_bytes(&mut self) -> bool {
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

    /// Waits until the server is ready again, behind an error that it has sent by itself.
    ///
    /// There is no harm in a call that ends first: what the server says then is read with the next answer.
    pub(crate) fn settle(&mut self, call: &Call<'_>) {
        while self.transaction_status().is_none() && !self.move_bytes() {
            if self.transaction_status().is_none() && self.line.lock().wait(call).is_err() {
                return;
            }
        }
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
        self.line.lock().look();
        match self.turn(|_| Poll::<Result<(), _>>::Pending) {
            _ if self.broken => Idle::Closed,
            Poll::Pending => Idle::Ready,
            Poll::Ready(_) => Idle::OutOfStep,
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
