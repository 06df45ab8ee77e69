//! A TCP proxy that breaks what passes through it: delay, black hole, refusal, cut, half-close, reset.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::set_socket_linger;

use super::wait_for;

/// How long a change of the settings may go unnoticed.
const TICK: Duration = Duration::from_millis(5);

/// How many bytes are held per direction before the proxy stops reading, in bytes.
const HELD: usize = 1 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    ToServer,
    ToClient,
}

/// What has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    pub connections: u64,
    pub bytes_to_server: u64,
    pub bytes_to_client: u64,
    /// How often the client sent something after it had heard from the server, or for the first time on a
    /// connection.
    pub round_trips: u64,
    /// How many reads the client's bytes took; a client that writes a message in one piece makes one.
    pub bursts: u64,
}

/// Forwards a loopback port to `target` until it is dropped. Settings apply to open connections as well as to
/// new ones: to what is read after the call. Orders (half-close, reset, close) are obeyed within milliseconds.
pub struct Proxy {
    address: String,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    listening: AtomicBool,
    settings: Mutex<Settings>,
    connections: AtomicU64,
    bytes_to_server: AtomicU64,
    bytes_to_client: AtomicU64,
    round_trips: AtomicU64,
    bursts: AtomicU64,
}

#[derive(Clone, Default)]
struct Settings {
    target: String,
    delay_to_server: Duration,
    delay_to_client: Duration,
    black_hole: bool,
    refuse: bool,
    /// Bytes to the client that may still pass before the connection that sends them is cut.
    cut_after: Option<u64>,
    /// The same, but the connection is kept, and no byte moves on it any more.
    stall: bool,
    orders: Orders,
}

/// How often each order was given. A connection obeys those that are given while it is open.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Orders {
    reset: u64,
    close: u64,
    half_close_to_server: u64,
    half_close_to_client: u64,
}

impl Proxy {
    pub fn start(target: &str) -> Proxy {
        Proxy::start_at("127.0.0.1:0", target)
    }

    /// The same at an address of this machine.
    pub fn start_at(address: &str, target: &str) -> Proxy {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        shared.settings().target = target.into();
        shared.listening.store(true, Ordering::Relaxed);
        let acceptor = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(listener, address, &shared)
        });
        Proxy {
            address: address.to_string(),
            shared,
            acceptor: Some(acceptor),
        }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// Sends new connections elsewhere.
    pub fn set_target(&self, target: &str) {
        self.shared.settings().target = target.into();
    }

    /// Holds every byte in one direction for this long. The rate is not limited.
    pub fn delay(&self, direction: Direction, time: Duration) {
        let mut settings = self.shared.settings();
        match direction {
            Direction::ToServer => settings.delay_to_server = time,
            Direction::ToClient => settings.delay_to_client = time,
        }
    }

    /// Keeps connections open, takes new ones, and moves no byte.
    pub fn black_hole(&self, on: bool) {
        self.shared.settings().black_hole = on;
    }

    /// Refuses new connections, as a port where nobody listens. Returns when that is so.
    pub fn refuse(&self, on: bool) {
        self.shared.settings().refuse = on;
        wait_for("the proxy changes its mind", Duration::from_secs(5), || {
            (self.shared.listening.load(Ordering::Relaxed) != on).then_some(())
        });
    }

    /// Lets this many more bytes pass to clients, all connections together, then ends the connection that
    /// carried the last of them. Works once.
    pub fn cut_after(&self, bytes: u64) {
        let mut settings = self.shared.settings();
        settings.cut_after = Some(bytes);
        settings.stall = false;
    }

    /// The same, but that connection stays open and moves no byte any more, as with a server that hangs there.
    pub fn stall_after(&self, bytes: u64) {
        let mut settings = self.shared.settings();
        settings.cut_after = Some(bytes);
        settings.stall = true;
    }

    /// Whether [`cut_after`](Proxy::cut_after) or [`stall_after`](Proxy::stall_after) is still to happen.
    pub fn is_armed(&self) -> bool {
        self.shared.settings().cut_after.is_some()
    }

    /// Ends one direction of the open connections: who reads there sees the end, the other one goes on.
    pub fn half_close(&self, direction: Direction) {
        let orders = &mut self.shared.settings().orders;
        match direction {
            Direction::ToServer => orders.half_close_to_server += 1,
            Direction::ToClient => orders.half_close_to_client += 1,
        }
    }

    /// Resets (RST) the open connections on both sides.
    pub fn reset(&self) {
        self.shared.settings().orders.reset += 1;
    }

    /// Closes the open connections in order on both sides.
    pub fn close(&self) {
        self.shared.settings().orders.close += 1;
    }

    pub fn stats(&self) -> Stats {
        Stats {
            connections: self.shared.connections.load(Ordering::Relaxed),
            bytes_to_server: self.shared.bytes_to_server.load(Ordering::Relaxed),
            bytes_to_client: self.shared.bytes_to_client.load(Ordering::Relaxed),
            round_trips: self.shared.round_trips.load(Ordering::Relaxed),
            bursts: self.shared.bursts.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl Shared {
    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap()
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

fn accept(listener: TcpListener, address: SocketAddr, shared: &Arc<Shared>) {
    let mut listener = Some(listener);
    let mut connections: Vec<JoinHandle<()>> = Vec::new();
    while !shared.stopping() {
        if shared.settings().refuse {
            listener = None;
            shared.listening.store(false, Ordering::Relaxed);
            thread::sleep(TICK);
            continue;
        }
        let listener = match &listener {
            Some(listener) => listener,
            None => match TcpListener::bind(address) {
                Ok(bound) => listener.insert(bound),
                Err(_) => {
                    thread::sleep(TICK);
                    continue;
                }
            },
        };
        shared.listening.store(true, Ordering::Relaxed);
        let mut wanted = [PollFd::new(listener, PollFlags::IN)];
        if !matches!(poll(&mut wanted, Some(&timespec(TICK))), Ok(1..)) {
            continue;
        }
        let Ok((client, _)) = listener.accept() else {
            continue;
        };
        shared.connections.fetch_add(1, Ordering::Relaxed);
        connections.retain(|connection| !connection.is_finished());
        let shared = Arc::clone(shared);
        connections.push(thread::spawn(move || {
            // A connection that breaks is what a proxy is for.
            let _ = Connection::open(client, &shared).and_then(|mut connection| connection.run());
        }));
    }
    for connection in connections {
        let _ = connection.join();
    }
}

/// Both halves of one connection, driven by one thread, so that a reset can be sent: while another thread held
/// a socket too, closing it would send nothing.
struct Connection<'a> {
    shared: &'a Shared,
    client: TcpStream,
    server: TcpStream,
    to_server: Flow,
    to_client: Flow,
    obeyed: Orders,
    /// The client's next bytes begin a round trip.
    turn: bool,
}

/// One direction: what was read and not yet written, each piece with the moment it is due.
#[derive(Default)]
struct Flow {
    held: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    /// The source has ended; the end goes to the other side once the queue is empty.
    ended: bool,
    closed: bool,
    /// The last write would have blocked.
    full: bool,
}

impl<'a> Connection<'a> {
    fn open(client: TcpStream, shared: &'a Shared) -> io::Result<Self> {
        let (target, obeyed) = {
            let settings = shared.settings();
            (settings.target.clone(), settings.orders)
        };
        let target: SocketAddr = target.parse().map_err(io::Error::other)?;
        let server = TcpStream::connect_timeout(&target, Duration::from_secs(2))?;
        for stream in [&client, &server] {
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
        }
        Ok(Connection {
            shared,
            client,
            server,
            to_server: Flow::default(),
            to_client: Flow::default(),
            obeyed,
            turn: true,
        })
    }

    fn run(&mut self) -> io::Result<()> {
        while !(self.shared.stopping() || self.to_server.closed && self.to_client.closed) {
            if self.shared.settings().black_hole {
                thread::sleep(TICK);
            } else {
                self.wait()?;
            }
            // What was set during the wait applies to what has ended it.
            let settings = self.shared.settings().clone();
            if self.obey(&settings)? {
                return Ok(());
            }
            if settings.black_hole {
                continue;
            }
            self.read_client(settings.delay_to_server)?;
            self.read_server(settings.delay_to_client)?;
            self.to_server.write(&mut self.server, None)?;
            let cut = settings.cut_after;
            let written = self.to_client.write(&mut self.client, cut)?;
            if cut.is_some() && self.count_down(written) {
                return if settings.stall {
                    self.stall()
                } else {
                    self.cut()
                };
            }
        }
        Ok(())
    }

    /// Does what was ordered; true where that ends the connection.
    fn obey(&mut self, settings: &Settings) -> io::Result<bool> {
        let (new, old) = (settings.orders, self.obeyed);
        self.obeyed = new;
        if new.reset != old.reset {
            set_socket_linger(&self.client, Some(Duration::ZERO))?;
            set_socket_linger(&self.server, Some(Duration::ZERO))?;
            return Ok(true);
        }
        if new.half_close_to_server != old.half_close_to_server {
            self.server.shutdown(Shutdown::Write)?;
            self.to_server.closed = true;
        }
        if new.half_close_to_client != old.half_close_to_client {
            self.client.shutdown(Shutdown::Write)?;
            self.to_client.closed = true;
        }
        Ok(new.close != old.close)
    }

    /// Waits until something can be read or written, or is due, or a tick has passed.
    fn wait(&self) -> io::Result<()> {
        let (mut client, mut server) = (PollFlags::empty(), PollFlags::empty());
        client.set(PollFlags::IN, self.to_server.wants());
        server.set(PollFlags::OUT, self.to_server.full);
        server.set(PollFlags::IN, self.to_client.wants());
        client.set(PollFlags::OUT, self.to_client.full);
        let now = Instant::now();
        let due = [&self.to_server, &self.to_client]
            .into_iter()
            .filter(|flow| !flow.full)
            .filter_map(|flow| flow.held.front())
            .map(|(due, _)| due.saturating_duration_since(now))
            .min()
            .unwrap_or(TICK)
            .min(TICK);
        // A side that is waited for in no way is left out: its hang-up would be reported at once, again
        // and again.
        let mut wanted: Vec<PollFd<'_>> = [(&self.client, client), (&self.server, server)]
            .into_iter()
            .filter(|(_, flags)| !flags.is_empty())
            .map(|(stream, flags)| PollFd::new(stream, flags))
            .collect();
        match poll(&mut wanted, Some(&timespec(due))) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn read_client(&mut self, delay: Duration) -> io::Result<()> {
        let read = self.to_server.read(&mut self.client, delay)?;
        if read > 0 {
            self.shared.bursts.fetch_add(1, Ordering::Relaxed);
            self.shared
                .bytes_to_server
                .fetch_add(read as u64, Ordering::Relaxed);
            if self.turn {
                self.turn = false;
                self.shared.round_trips.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    fn read_server(&mut self, delay: Duration) -> io::Result<()> {
        let read = self.to_client.read(&mut self.server, delay)?;
        if read > 0 {
            self.turn = true;
            self.shared
                .bytes_to_client
                .fetch_add(read as u64, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Takes written bytes off those that may pass; true where none is left.
    fn count_down(&self, written: u64) -> bool {
        let cut_after = &mut self.shared.settings().cut_after;
        let left = cut_after.map_or(u64::MAX, |left| left.saturating_sub(written));
        *cut_after = (left > 0).then_some(left).filter(|left| *left != u64::MAX);
        left == 0
    }

    /// Ends the connection towards the client in order: closed with bytes unread, it would be reset.
    fn cut(&mut self) -> io::Result<()> {
        self.server.shutdown(Shutdown::Both)?;
        self.client.shutdown(Shutdown::Write)?;
        self.drain(Instant::now() + Duration::from_secs(2))
    }

    /// Leaves the connection as it is until the client gives it up.
    fn stall(&mut self) -> io::Result<()> {
        self.drain(Instant::now() + Duration::from_secs(60))
    }

    /// Reads what the client sends, and forgets it, until the client closes.
    fn drain(&mut self, end: Instant) -> io::Result<()> {
        let mut ignored = [0; 4096];
        while !self.shared.stopping() && Instant::now() < end {
            match self.client.read(&mut ignored) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(TICK),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Flow {
    fn wants(&self) -> bool {
        !self.ended && self.bytes < HELD
    }

    /// Reads once, without blocking; answers how many bytes came.
    fn read(&mut self, source: &mut TcpStream, delay: Duration) -> io::Result<usize> {
        if !self.wants() {
            return Ok(0);
        }
        let mut buffer = vec![0; 64 << 10];
        match source.read(&mut buffer) {
            Ok(0) => self.ended = true,
            Ok(read) => {
                buffer.truncate(read);
                self.bytes += read;
                self.held.push_back((Instant::now() + delay, buffer));
                return Ok(read);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(0)
    }

    /// Writes what is due, `limit` bytes at most; answers how many.
    fn write(&mut self, sink: &mut TcpStream, limit: Option<u64>) -> io::Result<u64> {
        let mut left = limit.unwrap_or(u64::MAX);
        let mut written = 0;
        self.full = false;
        if self.closed {
            // One direction was ended by order; what still comes for it is dropped.
            self.held.clear();
            self.bytes = 0;
            return Ok(0);
        }
        while let Some((due, bytes)) = self.held.front_mut() {
            if *due > Instant::now() || left == 0 {
                return Ok(written);
            }
            let count = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            match sink.write(&bytes[..count]) {
                Ok(count) => {
                    bytes.drain(..count);
                    self.bytes -= count;
                    written += count as u64;
                    left -= count as u64;
                    if bytes.is_empty() {
                        self.held.pop_front();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.full = true;
                    return Ok(written);
                }
                Err(error) => return Err(error),
            }
        }
        if self.ended {
            sink.shutdown(Shutdown::Write)?;
            self.closed = true;
        }
        Ok(written)
    }
}

fn timespec(time: Duration) -> Timespec {
    Timespec::try_from(time).expect("a short time")
}
