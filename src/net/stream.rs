//! A socket with its two buffers: whole requests go out, answers are read in place.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::PollFlags;

use crate::deadline::Deadline;
use crate::error::{ErrorKind, Result};
use crate::net::socket::{Idle, PATIENCE, Socket, disconnected};
use crate::net::wait::Call;

/// What one read takes at most when no large message is under way, in bytes.
const INPUT_SIZE: usize = 64 * 1024;
/// A buffer that grew past this is given back once it is empty, in bytes.
const KEEP_SIZE: usize = 256 * 1024;

/// How the server answers what is under way, which decides how its packets are acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answers {
    /// With one write: the next request acknowledges it.
    One,
    /// With one answer in several writes. Acknowledging the first at once keeps the second from waiting; those of a
    /// long answer are let gather.
    Parts,
    /// With one write for each of several requests. Each is acknowledged at once: the server waits for it.
    Many,
    /// The same, and there are so many that the next ones are worth waiting for: while an answer is not acknowledged,
    /// the server gathers those behind it, and sends them together. A batch of 100 point SELECTs costs a third of the
    /// CPU so, and takes half of the time: neither side is woken for each answer.
    Plenty,
}

impl Answers {
    /// To so many requests, besides the one whose answer is read.
    pub(crate) fn behind(requests: usize) -> Self {
        match requests {
            0 => Answers::One,
            few if few < PLENTY => Answers::Many,
            _ => Answers::Plenty,
        }
    }
}

/// By how many reads the parts of an answer are received before they are let gather.
const PARTS: u32 = 16;

/// How long is waited for parts that gather before what has come of them is acknowledged.
const PART_PATIENCE: Duration = Duration::from_millis(1);

/// From how many answers on they are let gather.
const PLENTY: usize = 8;

/// For how long; the kernel makes about 0.1 ms of it, in which a server answers several requests.
const GATHERING: Duration = Duration::from_micros(50);

/// A socket, what is still to be sent over it, and what has been received but not yet consumed.
///
/// Positions count the bytes queued since the connection was made, so that the sender of a request can
/// tell later whether its last byte has left this process.
pub(crate) struct Stream {
    socket: Socket,
    input: Vec<u8>,
    /// The unread part of `input`.
    start: usize,
    end: usize,
    output: Vec<u8>,
    /// How much of `output` the socket has taken.
    written: usize,
    /// The position of the first byte of `output`.
    base: u64,
    /// An answer that is not there yet is waited for first, which spares a read that would find nothing.
    wait_first: bool,
    answers: Answers,
    /// The kernel has been told to acknowledge at once since the last write.
    acknowledging: bool,
    /// How often parts of an answer have been read without letting them gather.
    part_reads: u32,
}

impl Stream {
    pub(crate) fn new(socket: Socket) -> Self {
        Stream {
            socket,
            input: Vec::new(),
            start: 0,
            end: 0,
            output: Vec::with_capacity(4096),
            written: 0,
            base: 0,
            wait_first: false,
            answers: Answers::One,
            acknowledging: false,
            part_reads: 0,
        }
    }

    /// The queue of bytes to be sent; a request is appended whole.
    pub(crate) fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// The position after the last byte queued.
    pub(crate) fn queued(&self) -> u64 {
        self.base + self.output.len() as u64
    }

    /// The position after the last byte that has left this process.
    pub(crate) fn sent(&self) -> u64 {
        self.base + self.written as u64
    }

    /// Says how answers come in.
    pub(crate) fn expect(&mut self, answers: Answers) {
        self.answers = answers;
    }

    /// Forgets what was queued after `position` and not sent.
    pub(crate) fn unqueue(&mut self, position: u64) {
        let keep = position.saturating_sub(self.base) as usize;
        self.output.truncate(keep.max(self.written));
    }

    /// Sends all that is queued.
    pub(crate) fn flush(&mut self, call: &Call<'_>) -> Result<()> {
        while !self.flush_some()? {
            call.wait_fd(self.socket.as_fd(), PollFlags::OUT)?;
        }
        Ok(())
    }

    /// Sends what the socket takes without waiting; true when nothing is left.
    pub(crate) fn flush_some(&mut self) -> Result<bool> {
        while self.written < self.output.len() {
            match self.socket.try_write(&self.output[self.written..]) {
                Ok(written) => {
                    self.written += written;
                    self.wait_first = true;
                    self.acknowledging = false;
                    self.part_reads = 0;
                }
                Err(error) if is_pause(&error) => return Ok(false),
                Err(error) => return Err(disconnected(&error)),
            }
        }
        self.base += self.output.len() as u64;
        self.written = 0;
        if self.output.capacity() > KEEP_SIZE {
            self.output = Vec::with_capacity(4096);
        } else {
            self.output.clear();
        }
        while self.socket.wants_write() {
            match self.socket.try_flush() {
                Ok(()) => {}
                Err(error) if is_pause(&error) => return Ok(false),
                Err(error) => return Err(disconnected(&error)),
            }
        }
        Ok(true)
    }

    /// Whether something of the queue has not been sent.
    pub(crate) fn wants_write(&self) -> bool {
        self.written < self.output.len() || self.socket.wants_write()
    }

    /// The received bytes that are not consumed yet.
    pub(crate) fn unread(&self) -> &[u8] {
        self.input.get(self.start..self.end).unwrap_or_default()
    }

    /// Marks the first `len` unread bytes as read. They stay where they are, and
    /// [`consumed`](Stream::consumed) finds them, until the next [`fill`](Stream::fill).
    pub(crate) fn consume(&mut self, len: usize) {
        self.start = (self.start + len).min(self.end);
    }

    /// Makes bytes that were consumed unread again, in front of those that have come since.
    pub(crate) fn put_back(&mut self, bytes: &[u8]) {
        self.input = [bytes, self.unread()].concat();
        (self.start, self.end) = (0, self.input.len());
    }

    /// The last `len` bytes that were consumed.
    pub(crate) fn consumed(&self, len: usize) -> &[u8] {
        self.input
            .get(self.start.saturating_sub(len)..self.start)
            .unwrap_or_default()
    }

    /// Receives until at least `len` bytes are unread, sending meanwhile what is still queued.
    pub(crate) fn fill(&mut self, len: usize, call: &Call<'_>) -> Result<()> {
        if self.end - self.start >= len {
            return Ok(());
        }
        self.make_room(len);
        while self.end - self.start < len {
            self.fill_some(call)?;
        }
        Ok(())
    }

    fn make_room(&mut self, len: usize) {
        if self.start > 0 {
            self.input.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let size = len.max(INPUT_SIZE);
        if self.input.len() < size {
            self.input.resize(size, 0);
        } else if self.input.len() > KEEP_SIZE.max(size) && self.end <= size {
            self.input.truncate(size);
            self.input.shrink_to_fit();
        }
    }

    /// Receives what has arrived, without waiting; false if nothing has.
    pub(crate) fn fill_now(&mut self) -> Result<bool> {
        self.make_room(2 * (self.end - self.start));
        let read = self.socket.try_read(&mut self.input[self.end..]);
        self.received(read)
    }

    /// Gives the memory back that a large message took, once it is read.
    pub(crate) fn release(&mut self) {
        if self.start == self.end && self.input.len() > KEEP_SIZE {
            self.input = Vec::new();
            (self.start, self.end) = (0, 0);
        }
    }

    #[cfg(test)]
    pub(crate) fn input_size(&self) -> usize {
        self.input.len()
    }

    /// Receives something, waiting for it if need be.
    fn fill_some(&mut self, call: &Call<'_>) -> Result<()> {
        loop {
            let flushed = self.flush_some()?;
            let gathers = self.answers == Answers::Plenty && flushed;
            if gathers && !self.wait_first {
                std::thread::sleep(GATHERING);
                self.socket.acknowledge_once();
                self.acknowledging = false;
            }
            if self.answers == Answers::Parts && flushed && self.socket.can_wait() {
                self.let_parts_gather(call)?;
            }
            let acknowledge = match self.answers {
                Answers::One => false,
                Answers::Parts => !self.acknowledging,
                Answers::Many => true,
                Answers::Plenty => !gathers,
            };
            let can_sleep = flushed && self.socket.can_wait() && call.has_time(PATIENCE);
            // A read that may sleep finds what is there as well.
            let wait_first = std::mem::take(&mut self.wait_first) || (can_sleep && !acknowledge);
            if !wait_first {
                // What comes as quickly as it is read is never waited for.
                call.check()?;
                let read = self.socket.try_read(&mut self.input[self.end..]);
                if self.received(read)? {
                    return Ok(());
                }
            }
            if acknowledge {
                self.socket.acknowledge_at_once();
                self.acknowledging = true;
            }
            if can_sleep {
                let read = self.socket.wait_read(&mut self.input[self.end..]);
                if self.received(read)? {
                    return Ok(());
                }
                call.ask()?;
                continue;
            }
            let mut interest = PollFlags::IN;
            if !flushed {
                interest |= PollFlags::OUT;
            }
            call.wait_fd(self.socket.as_fd(), interest)?;
        }
    }

    /// Waits a little for the parts of a long answer, after telling the kernel not to acknowledge each of them.
    ///
    /// While a packet is not acknowledged, the server's kernel gathers what is smaller than one behind it (RFC 896), so
    /// parts of 4 KiB come sixteen at a time on a loopback device. On a connection that has been idle, whose packets the
    /// kernel acknowledges one by one, 300,000 rows are received in two thirds of the time with an eighth of the wake-ups.
    /// The last packet is held back in the same way, and parts that come slowly are: hence the short patience, behind which
    /// parts are acknowledged at once for a while.
    fn let_parts_gather(&mut self, call: &Call<'_>) -> Result<()> {
        if self.part_reads < PARTS {
            self.part_reads += 1;
            return Ok(());
        }
        if self.part_reads == PARTS {
            if !self.socket.acknowledge_once() {
                self.part_reads = 0;
                return Ok(());
            }
            self.part_reads += 1;
        }
        let patience = call.at_most(Deadline::after(PART_PATIENCE));
        match patience.wait_fd(self.socket.as_fd(), PollFlags::IN) {
            Err(error) if error.kind() == ErrorKind::Timeout => {
                self.socket.acknowledge_at_once();
                self.part_reads = 0;
                Ok(())
            }
            waited => waited.map(drop),
        }
    }

    /// Takes the result of a read; false if it found nothing.
    fn received(&mut self, read: io::Result<usize>) -> Result<bool> {
        match read {
            Ok(0) => Err(disconnected(&io::ErrorKind::UnexpectedEof.into())),
            Ok(received) => {
                self.end += received;
                Ok(true)
            }
            Err(error) if is_pause(&error) => Ok(false),
            Err(error) => Err(disconnected(&error)),
        }
    }

    /// Looks at an idle connection without waiting; unread or unsent bytes are out of step.
    pub(crate) fn idle(&mut self) -> Idle {
        if self.start != self.end || !self.output.is_empty() {
            return Idle::OutOfStep;
        }
        self.socket.idle()
    }
}

fn is_pause(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cancel::CancelHandle;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;
    use std::sync::mpsc;
    use std::thread;
    use std::time::{Duration, Instant};

    fn pair() -> (Stream, UnixStream) {
        let (ours, peer) = UnixStream::pair().unwrap();
        (Stream::new(Socket::new(ours.into()).unwrap()), peer)
    }

    #[test]
    fn a_deadline_is_kept_after_a_sleep_in_a_read() {
        let (mut stream, _peer) = pair();
        let start = Instant::now();
        let deadline = Deadline::at(start.into(), PATIENCE + Duration::from_millis(30));
        let call = Call::until(deadline);
        assert!(call.has_time(PATIENCE) && stream.socket.can_wait());
        let error = stream.fill(1, &call).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        let late = start.elapsed() - PATIENCE - Duration::from_millis(30);
        assert!(late < Duration::from_millis(50), "{late:?} too late");
    }

    #[test]
    fn an_answer_and_the_end_of_the_stream_end_a_sleep_in_a_read() {
        let (mut stream, mut peer) = pair();
        let writer = thread::spawn(move || {
            for byte in b"answer" {
                thread::sleep(Duration::from_millis(2));
                peer.write_all(&[*byte]).unwrap();
            }
        });
        let call = Call::until(Deadline::NONE);
        stream.fill(6, &call).unwrap();
        assert_eq!(stream.unread(), b"answer");
        writer.join().unwrap();
        let error = stream.fill(7, &call).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Disconnected);
    }

    #[test]
    fn answers_that_gather_are_received_and_waited_for_within_the_deadline() {
        let (mut stream, mut peer) = pair();
        stream.expect(Answers::behind(PLENTY));
        let writer = thread::spawn(move || {
            for _ in 0..200 {
                peer.write_all(b"answer").unwrap();
            }
            peer
        });
        let call = Call::until(Deadline::after(Duration::from_secs(10)));
        for _ in 0..200 {
            stream.fill(6, &call).unwrap();
            stream.consume(6);
            assert_eq!(stream.consumed(6), b"answer");
        }
        let _peer = writer.join().unwrap();
        let start = Instant::now();
        let call = Call::until(Deadline::at(start.into(), Duration::from_millis(30)));
        let error = stream.fill(1, &call).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert!(start.elapsed() < Duration::from_millis(80));
    }

    const PART: usize = 4096;

    /// A stream that reads parts, and its peer, which sends them as a dqlite node does: each with one write, while the
    /// kernel holds back what is not acknowledged.
    fn tcp_pair() -> (Stream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut stream = Stream::new(Socket::new(ours.into()).unwrap());
        stream.expect(Answers::Parts);
        (stream, listener.accept().unwrap().0)
    }

    /// Asks for parts, which the peer sends with pauses of that length, and gives to `take` how many bytes were there
    /// without a read, and how long ago the part that is read now was sent.
    fn read_parts(count: usize, pause: Duration, mut take: impl FnMut(usize, Duration)) {
        let (mut stream, mut peer) = tcp_pair();
        let (sender, sent) = mpsc::channel();
        let writer = thread::spawn(move || {
            peer.read_exact(&mut [0; 3]).unwrap();
            for _ in 0..count {
                sender.send(Instant::now()).unwrap();
                peer.write_all(&[0; PART]).unwrap();
                let next = Instant::now() + pause;
                while let Some(left) = next.checked_duration_since(Instant::now()) {
                    thread::sleep(left.saturating_sub(Duration::from_micros(100)));
                }
            }
            peer
        });
        let call = Call::until(Deadline::after(Duration::from_secs(30)));
        stream.output().extend(b"go!");
        stream.flush(&call).unwrap();
        for _ in 0..count {
            let there = stream.unread().len();
            stream.fill(PART, &call).unwrap();
            stream.consume(PART);
            take(there, sent.recv().unwrap().elapsed());
        }
        writer.join().unwrap();
    }

    #[test]
    fn the_parts_of_a_long_answer_are_received_many_at_a_time() {
        let mut reads = 0;
        read_parts(400, Duration::from_micros(100), |there, _| {
            reads += usize::from(there < PART);
        });
        assert!(reads < 200, "{reads} reads of 400 parts");
    }

    #[test]
    fn parts_that_come_slowly_are_received_as_they_come() {
        let mut delays = Vec::new();
        read_parts(80, Duration::from_millis(3), |_, delay| delays.push(delay));
        delays.sort();
        // The kernel would hold a part back for 40 ms.
        assert!(delays[40] < Duration::from_millis(10), "{delays:?}");
    }

    #[test]
    fn a_call_that_can_be_cancelled_does_not_sleep_in_a_read() {
        let (mut stream, _peer) = pair();
        let handle = CancelHandle::new();
        let call = Call {
            deadline: Deadline::NONE,
            cancel: Some(&handle),
            closing: None,
        };
        assert!(call.has_time(PATIENCE), "nobody else holds the handle");
        let other = handle.clone();
        assert!(!call.has_time(PATIENCE));
        let start = Instant::now();
        let _running = handle.enter().unwrap();
        let canceller = thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            other.cancel();
        });
        let error = stream.fill(1, &call).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
        assert!(start.elapsed() < Duration::from_millis(400));
        canceller.join().unwrap();
    }
}
