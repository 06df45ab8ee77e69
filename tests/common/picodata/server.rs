//! The thread that serves all instances of a cluster: one loop around poll(2).

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::ServerConnection;

use super::session::{Session, Verdict};
use super::world::World;

/// A connection whose client does not read is not read either, from this many bytes on.
const BACKLOG: usize = 1 << 20;

type Command = Box<dyn FnOnce(&mut World) + Send>;

/// The thread, and the way to its world. It ends on drop, and closes every socket.
pub struct Server {
    commands: Option<Sender<Command>>,
    wake: UnixStream,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts the thread with the world that `make` makes there.
    pub fn start(make: impl FnOnce() -> World + Send + 'static) -> Server {
        let (commands, inbox) = channel();
        let (wake, woken) = UnixStream::pair().unwrap();
        wake.set_nonblocking(true).unwrap();
        woken.set_nonblocking(true).unwrap();
        let thread = thread::Builder::new().name("picodata".into());
        let thread = thread
            .spawn(move || Loop::new(make(), inbox, woken).run())
            .unwrap();
        Server {
            commands: Some(commands),
            wake,
            thread: Some(thread),
        }
    }

    /// Runs `action` on the thread, between two rounds of the loop, and answers what it answers.
    pub fn call<T: Send + 'static>(
        &self,
        action: impl FnOnce(&mut World) -> T + Send + 'static,
    ) -> T {
        let (sender, receiver) = channel();
        let command: Command = Box::new(move |world| {
            let _ = sender.send(action(world));
        });
        self.commands
            .as_ref()
            .unwrap()
            .send(command)
            .expect("the stand-in is alive");
        let _ = (&self.wake).write(&[0]);
        receiver.recv().expect("the stand-in is alive")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.commands = None;
        let _ = (&self.wake).write(&[0]);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !thread::panicking()
        {
            panic!("the stand-in has panicked");
        }
    }
}

struct Loop {
    world: World,
    inbox: Receiver<Command>,
    woken: UnixStream,
    connections: Vec<Connection>,
}

/// What a descriptor in the set belongs to.
enum Source {
    Wake,
    Listener(usize),
    Wildcard,
    Connection(usize),
}

impl Loop {
    fn new(world: World, inbox: Receiver<Command>, woken: UnixStream) -> Loop {
        Loop {
            world,
            inbox,
            woken,
            connections: Vec::new(),
        }
    }

    fn run(mut self) {
        loop {
            let ready = self.wait();
            for (source, flags) in ready {
                match source {
                    Source::Wake => {
                        if !self.obey() {
                            return;
                        }
                    }
                    Source::Listener(node) => self.accept(Some(node)),
                    Source::Wildcard => self.accept(None),
                    Source::Connection(index) => {
                        self.connections[index].serve(&mut self.world, flags);
                    }
                }
            }
            self.sweep();
        }
    }

    /// Waits until something can be read or written, or is due.
    fn wait(&self) -> Vec<(Source, PollFlags)> {
        let mut sources = vec![Source::Wake];
        let mut fds = vec![PollFd::new(&self.woken, PollFlags::IN)];
        let mut add = |source, fd, flags| {
            sources.push(source);
            fds.push(PollFd::from_borrowed_fd(fd, flags));
        };
        let now = Instant::now();
        let mut due: Option<Instant> = None;
        for (index, node) in self.world.nodes.iter().enumerate() {
            if let Some(listener) = node.listener.as_ref().filter(|_| !node.hung) {
                add(Source::Listener(index), listener.as_fd(), PollFlags::IN);
            }
        }
        if let Some(listener) = &self.world.wildcard {
            add(Source::Wildcard, listener.as_fd(), PollFlags::IN);
        }
        for (index, connection) in self.connections.iter().enumerate() {
            if self.world.nodes[connection.session.node].hung {
                continue;
            }
            let mut flags = PollFlags::empty();
            if connection.reads() {
                flags |= PollFlags::IN;
            }
            match connection.due() {
                Some(at) if at <= now => flags |= PollFlags::OUT,
                Some(at) => due = Some(due.map_or(at, |due| due.min(at))),
                None => {}
            }
            add(Source::Connection(index), connection.stream.as_fd(), flags);
        }
        let timeout = due.map(|at| {
            let left = at.saturating_duration_since(now) + Duration::from_micros(100);
            Timespec::try_from(left).unwrap()
        });
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("poll: {error}"),
        }
        let flags: Vec<_> = fds.iter().map(PollFd::revents).collect();
        let now = Instant::now();
        sources
            .into_iter()
            .zip(flags)
            .filter(|(source, flags)| match source {
                Source::Connection(index) => {
                    !flags.is_empty() || self.connections[*index].due().is_some_and(|at| at <= now)
                }
                _ => !flags.is_empty(),
            })
            .collect()
    }

    /// Runs the commands that have come; `false` when there will be no more.
    fn obey(&mut self) -> bool {
        let mut bytes = [0; 64];
        while matches!(self.woken.read(&mut bytes), Ok(count) if count > 0) {}
        loop {
            match self.inbox.try_recv() {
                Ok(command) => command(&mut self.world),
                Err(std::sync::mpsc::TryRecvError::Empty) => return true,
                Err(std::sync::mpsc::TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn accept(&mut self, node: Option<usize>) {
        let listener = match node {
            Some(node) => self.world.nodes[node].listener.as_ref(),
            None => self.world.wildcard.as_ref(),
        };
        let Some(Ok((stream, _))) = listener.map(TcpListener::accept) else {
            return;
        };
        let node = node.or_else(|| match stream.local_addr().ok()?.ip() {
            IpAddr::V4(address) => self.world.virtuals.get(&address).copied(),
            IpAddr::V6(_) => None,
        });
        // Nobody but the virtual instances is spoken for.
        let Some(node) = node else {
            return;
        };
        stream.set_nonblocking(true).unwrap();
        stream.set_nodelay(true).unwrap();
        let state = &mut self.world.nodes[node];
        state.counters.connections_open += 1;
        state.counters.connections_total += 1;
        self.connections.push(Connection {
            stream,
            tls: None,
            session: Session::new(node),
            generation: state.generation,
            output: VecDeque::new(),
            queued: 0,
            closing: false,
            dead: false,
        });
    }

    /// Drops the connections that are over.
    fn sweep(&mut self) {
        let world = &mut self.world;
        self.connections.retain(|connection| {
            let node = &mut world.nodes[connection.session.node];
            let over = connection.dead
                || connection.generation != node.generation
                || (connection.closing && connection.queued == 0);
            if over {
                node.counters.connections_open -= 1;
            }
            !over
        });
    }
}

struct Connection {
    stream: TcpStream,
    tls: Option<Box<ServerConnection>>,
    session: Session,
    generation: u64,
    /// What is to be sent, and from when on.
    output: VecDeque<(Instant, Vec<u8>)>,
    /// How many bytes `output` holds.
    queued: usize,
    closing: bool,
    dead: bool,
}

impl Connection {
    fn reads(&self) -> bool {
        !self.closing && self.queued < BACKLOG
    }

    fn due(&self) -> Option<Instant> {
        if self.tls.as_ref().is_some_and(|tls| tls.wants_write()) {
            return Some(Instant::now());
        }
        self.output.front().map(|(at, _)| *at)
    }

    fn serve(&mut self, world: &mut World, flags: PollFlags) {
        let read = flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR);
        let result = if read && self.reads() {
            self.read(world)
        } else {
            Ok(())
        };
        let result = result.and_then(|()| self.write());
        if result.is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock) {
            self.dead = true;
        }
    }

    fn read(&mut self, world: &mut World) -> io::Result<()> {
        let mut bytes = [0; 16 << 10];
        match &mut self.tls {
            None => {
                let count = self.stream.read(&mut bytes)?;
                if count == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                self.take(world, &bytes[..count]);
            }
            Some(tls) => {
                let count = tls.read_tls(&mut self.stream)?;
                tls.process_new_packets().map_err(io::Error::other)?;
                let mut plain = Vec::new();
                while let Ok(count) = tls.reader().read(&mut bytes) {
                    if count == 0 {
                        break;
                    }
                    plain.extend_from_slice(&bytes[..count]);
                }
                if !plain.is_empty() {
                    self.take(world, &plain);
                } else if count == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, world: &mut World, bytes: &[u8]) {
        let mut output = Vec::new();
        let verdict = self.session.receive(world, bytes, &mut output);
        if !output.is_empty() {
            self.queued += output.len();
            let at = Instant::now() + world.nodes[self.session.node].delay;
            self.output.push_back((at, output));
        }
        match verdict {
            Verdict::Open => {}
            Verdict::Closed => self.closing = true,
            Verdict::Secure => {
                // The answer to the SSLRequest is a single byte, which has to go out in the clear.
                let answer: Vec<u8> = self.output.drain(..).flat_map(|(_, bytes)| bytes).collect();
                self.queued = 0;
                let certificates = world.tls.as_mut().expect("TLS was offered");
                let config = certificates.config(self.stream.local_addr().unwrap().ip());
                match (
                    self.stream.write_all(&answer),
                    ServerConnection::new(config),
                ) {
                    (Ok(()), Ok(mut tls)) => {
                        tls.set_buffer_limit(None);
                        self.session.secure = true;
                        self.tls = Some(Box::new(tls));
                    }
                    _ => self.dead = true,
                }
            }
        }
    }

    fn write(&mut self) -> io::Result<()> {
        let now = Instant::now();
        while let Some((at, bytes)) = self.output.front_mut() {
            if *at > now {
                break;
            }
            let count = match &mut self.tls {
                Some(tls) => {
                    tls.writer().write_all(bytes)?;
                    bytes.len()
                }
                None => self.stream.write(bytes)?,
            };
            self.queued -= count;
            bytes.drain(..count);
            if bytes.is_empty() {
                self.output.pop_front();
            }
        }
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                tls.write_tls(&mut self.stream)?;
            }
        }
        Ok(())
    }
}

/// Listens at an address that nobody else uses.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
