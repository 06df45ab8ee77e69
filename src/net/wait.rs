//! Waiting: the one place where a thread of a caller sleeps, in `poll(2)`, with a deadline and a wake-up.

use std::cell::RefCell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;

use crate::cancel::CancelHandle;
use crate::clock::Moment;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};

/// A wait for longer than this is ended early and begun again.
const LONG_WAIT: Duration = Duration::from_secs(1);
/// By how much it is ended early. Linux lets a poll run over by a thousandth of its timeout, a 200th in a
/// process that is nice, and at most by 100 ms (`fs/select.c`, `select_estimate_accuracy`): a call of 30 s
/// was seen to end 30 ms late.
const EARLY: Duration = Duration::from_millis(200);

/// How often a cancel handle that asks is asked, at least. A signal handler that ran just before a wait has not
/// interrupted it.
const ASK_AFTER: Duration = Duration::from_millis(500);

thread_local! {
    static CURRENT: RefCell<Option<Arc<Waker>>> = const { RefCell::new(None) };
}

/// Wakes one thread out of its wait, from any other thread.
///
/// A wake-up is remembered: one that comes before the wait ends the next wait at once. Waits may also end
/// without cause, so every waiter looks at its condition again.
#[derive(Debug)]
pub(crate) struct Waker {
    event: OwnedFd,
    process: u32,
}

impl Waker {
    fn new() -> Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let event = eventfd(0, flags).map_err(|errno| {
            Error::new(
                ErrorKind::Internal,
                "no file descriptor is left to wait with; raise the limit of open files",
            )
            .with_source(std::io::Error::from(errno))
        })?;
        Ok(Waker {
            event,
            process: std::process::id(),
        })
    }

    /// A waker for a thread that is yet to be started, which then [adopts](Waker::adopt) it.
    pub(crate) fn for_thread() -> Result<Arc<Waker>> {
        Waker::new().map(Arc::new)
    }

    /// Becomes the waker of the calling thread.
    pub(crate) fn adopt(self: Arc<Waker>) {
        CURRENT.with_borrow_mut(|current| *current = Some(self));
    }

    /// The waker of the calling thread, made when it is first asked for.
    // Within a caller, its look at the thread's storage comes before everything else there: a call in a shared library.
    #[inline(never)]
    pub(crate) fn current() -> Result<Arc<Waker>> {
        CURRENT
            .try_with(|current| {
                let mut current = current.borrow_mut();
                // After a fork both processes would wait for one eventfd, and take each other's wake-ups.
                if let Some(waker) = &*current
                    && waker.process == std::process::id()
                {
                    return Ok(Arc::clone(waker));
                }
                let waker = Arc::new(Waker::new()?);
                *current = Some(Arc::clone(&waker));
                Ok(waker)
            })
            // A call made while the thread's own storage is being destroyed.
            .unwrap_or_else(|_| Waker::new().map(Arc::new))
    }

    /// Ends the current wait of the thread, or its next one.
    pub(crate) fn wake(&self) {
        // The only failure is a counter at its maximum, and such a waker is awake already.
        let _ = rustix::io::write(&self.event, &1u64.to_ne_bytes());
    }

    fn clear(&self) {
        let _ = rustix::io::read(&self.event, &mut [0u8; 8]);
    }
}

/// What a blocking call is bounded by: its deadline, and the handle that can cancel it.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) deadline: Deadline,
    pub(crate) cancel: Option<&'a CancelHandle>,
    /// Cancelled when the pool closes; for a call that waits for a connection of it.
    pub(crate) closing: Option<&'a CancelHandle>,
}

impl<'a> Call<'a> {
    /// A call that only its deadline bounds.
    pub(crate) fn until(deadline: Deadline) -> Call<'static> {
        Call {
            deadline,
            cancel: None,
            closing: None,
        }
    }

    /// The same call with a deadline that is at most `deadline`.
    pub(crate) fn at_most(self, deadline: Deadline) -> Call<'a> {
        Call {
            deadline: self.deadline.min(deadline),
            ..self
        }
    }

    /// Whether nobody can end the call early and at least `time` is left of it.
    pub(crate) fn has_time(&self, time: Duration) -> bool {
        !self.cancel.is_some_and(CancelHandle::is_shared)
            && self.closing.is_none()
            && self.deadline.leaves(time)
    }

    /// Fails if the call was cancelled, the pool closed or the deadline has passed.
    pub(crate) fn check(&self) -> Result<()> {
        self.check_at(Moment::now())
    }

    /// The same, for one who has just read the clock.
    pub(crate) fn check_at(&self, now: Moment) -> Result<()> {
        self.check_cancelled()?;
        if self.deadline.has_passed_at(now) {
            return Err(timeout());
        }
        Ok(())
    }

    /// Between two waits: lets the one who called decide whether to go on.
    pub(crate) fn ask(&self) -> Result<()> {
        if let Some(cancel) = self.cancel {
            cancel.ask();
        }
        self.check_cancelled()
    }

    fn check_cancelled(&self) -> Result<()> {
        if self.cancel.is_some_and(CancelHandle::is_cancelled) {
            return Err(cancelled());
        }
        if self.closing.is_some_and(CancelHandle::is_cancelled) {
            return Err(closed());
        }
        Ok(())
    }

    /// Sleeps until the calling thread's waker is woken.
    ///
    /// Fails as [`check`](Call::check) does. The wake-up is consumed.
    pub(crate) fn wait(&self, waker: &Waker) -> Result<()> {
        self.poll(None, Some(waker)).map(|_| ())
    }

    /// Sleeps until `fd` is ready for one of `interest`, and says for which; errors and hang-ups count as
    /// ready. Fails as [`check`](Call::check) does.
    pub(crate) fn wait_fd(&self, fd: BorrowedFd<'_>, interest: PollFlags) -> Result<PollFlags> {
        let may_be_woken =
            |handle: Option<&CancelHandle>| handle.is_some_and(|one| one.is_shared());
        let waker = if may_be_woken(self.cancel) || may_be_woken(self.closing) {
            Some(Waker::current()?)
        } else {
            None
        };
        loop {
            let ready = self.poll(Some((fd, interest)), waker.as_deref())?;
            if !ready.is_empty() {
                return Ok(ready);
            }
        }
    }

    fn poll(
        &self,
        target: Option<(BorrowedFd<'_>, PollFlags)>,
        waker: Option<&Waker>,
    ) -> Result<PollFlags> {
        let none = PollFlags::empty();
        // A pool that closes wakes those who wait; whoever does not wait looks before it does.
        let _closing = self.closing.map_or(Ok(None), CancelHandle::enter)?;
        loop {
            self.check_cancelled()?;
            let timeout = match self.deadline.remaining() {
                Some(left) if left.is_zero() => return Err(self::timeout()),
                // The conversion fails for more seconds than fit an i64, which is no bound at all.
                left => self
                    .one_wait(left)
                    .and_then(|wait| Timespec::try_from(wait).ok()),
            };
            let (ready, woken) = match (target, waker) {
                (Some((fd, interest)), Some(waker)) => {
                    let mut fds = [
                        PollFd::from_borrowed_fd(fd, interest),
                        PollFd::new(&waker.event, PollFlags::IN),
                    ];
                    match poll(&mut fds, timeout.as_ref()) {
                        Ok(_) => (fds[0].revents(), fds[1].revents()),
                        Err(errno) => (self.interrupted(errno)?, none),
                    }
                }
                (Some((fd, interest)), None) => {
                    let mut fds = [PollFd::from_borrowed_fd(fd, interest)];
                    match poll(&mut fds, timeout.as_ref()) {
                        Ok(_) => (fds[0].revents(), none),
                        Err(errno) => (self.interrupted(errno)?, none),
                    }
                }
                (None, Some(waker)) => {
                    let mut fds = [PollFd::from_borrowed_fd(waker.event.as_fd(), PollFlags::IN)];
                    match poll(&mut fds, timeout.as_ref()) {
                        Ok(_) => (none, fds[0].revents()),
                        Err(errno) => (self.interrupted(errno)?, none),
                    }
                }
                (None, None) => return Err(Error::new(ErrorKind::Internal, "a wait for nothing")),
            };
            if let (false, Some(waker)) = (woken.is_empty(), waker) {
                waker.clear();
                self.check_cancelled()?;
                return Ok(ready);
            }
            if !ready.is_empty() {
                return Ok(ready);
            }
            self.ask()?;
        }
    }

    /// How long to wait at once when `left` is left.
    fn one_wait(&self, left: Option<Duration>) -> Option<Duration> {
        let wait = left.map(one_wait);
        if self.cancel.is_some_and(CancelHandle::asks) {
            return Some(wait.map_or(ASK_AFTER, |wait| wait.min(ASK_AFTER)));
        }
        wait
    }

    /// A signal handler of the host ran: that is no error.
    fn interrupted(&self, errno: Errno) -> Result<PollFlags> {
        if errno == Errno::INTR {
            return Ok(PollFlags::empty());
        }
        Err(Error::new(ErrorKind::Internal, "poll failed").with_source(std::io::Error::from(errno)))
    }
}

/// How long to wait at once when `left` is left.
fn one_wait(left: Duration) -> Duration {
    if left > LONG_WAIT { left - EARLY } else { left }
}

/// The error of a call whose deadline passed.
pub(crate) fn timeout() -> Error {
    Error::new(ErrorKind::Timeout, "the deadline of the call has passed")
}

/// The error of a call that was cancelled.
pub(crate) fn cancelled() -> Error {
    Error::new(
        ErrorKind::Cancelled,
        "the call was cancelled through its cancel handle",
    )
}

/// The error of a call on a closed pool.
pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the pool is closed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_wait_ends_at_its_deadline() {
        let waker = Waker::current().unwrap();
        let start = Instant::now();
        let error = Call::until(Deadline::after(Duration::from_millis(30)))
            .wait(&waker)
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert!(start.elapsed() >= Duration::from_millis(30));
    }

    #[test]
    fn the_last_wait_before_a_deadline_is_short() {
        let seconds = Duration::from_secs;
        assert_eq!(one_wait(seconds(1)), seconds(1));
        assert_eq!(one_wait(seconds(30)), seconds(30) - EARLY);
    }

    #[test]
    fn a_wake_up_before_the_wait_is_remembered_once() {
        let waker = Waker::current().unwrap();
        waker.wake();
        waker.wake();
        let call = Call::until(Deadline::after(Duration::from_millis(20)));
        call.wait(&waker).unwrap();
        assert_eq!(call.wait(&waker).unwrap_err().kind(), ErrorKind::Timeout);
    }

    #[test]
    fn another_thread_wakes_a_wait() {
        let waker = Waker::current().unwrap();
        let other = Arc::clone(&waker);
        let thread = std::thread::spawn(move || other.wake());
        Call::until(Deadline::after(Duration::from_secs(10)))
            .wait(&waker)
            .unwrap();
        thread.join().unwrap();
    }

    #[test]
    fn a_handle_that_asks_ends_a_wait_without_a_signal() {
        use std::sync::atomic::{AtomicU32, Ordering};

        let (reader, _writer) = std::os::unix::net::UnixStream::pair().unwrap();
        let asked = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&asked);
        let handle =
            CancelHandle::with_interrupt(move || count.fetch_add(1, Ordering::SeqCst) == 1);
        let call = Call {
            deadline: Deadline::after(Duration::from_secs(10)),
            cancel: Some(&handle),
            closing: None,
        };
        let error = call.wait_fd(reader.as_fd(), PollFlags::IN).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
        assert_eq!(
            asked.load(Ordering::SeqCst),
            2,
            "no answers are not asked twice"
        );
        assert!(handle.is_cancelled(), "a yes stays");
    }

    #[test]
    fn cancel_ends_a_wait_for_a_socket() {
        let (reader, _writer) = std::os::unix::net::UnixStream::pair().unwrap();
        let handle = CancelHandle::new();
        let other = handle.clone();
        let thread = std::thread::spawn(move || other.cancel());
        let running = handle.enter().unwrap();
        let call = Call {
            deadline: Deadline::after(Duration::from_secs(10)),
            cancel: Some(&handle),
            closing: None,
        };
        let error = call.wait_fd(reader.as_fd(), PollFlags::IN).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
        drop(running);
        thread.join().unwrap();
    }
}
