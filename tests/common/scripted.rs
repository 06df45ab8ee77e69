//! A server that plays a script: what a broken, slow or hostile node would send.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;

use super::acceptor::Acceptor;

/// How often a thread looks whether the server is being dropped.
const TICK: Duration = Duration::from_millis(10);

/// One thing to do on a connection.
#[derive(Debug, Clone)]
pub enum Step {
    /// Reads exactly these bytes, or notes what came instead and closes.
    Expect(Vec<u8>),
    /// Reads dqlite's eight bytes of handshake.
    Handshake,
    /// Reads this many whole dqlite messages.
    Frames(usize),
    /// Reads the message that opens a conversation in PostgreSQL's protocol.
    Startup,
    /// Reads this many of its messages.
    Messages(usize),
    /// Sends bytes.
    Send(Vec<u8>),
    /// Sends bytes again and again.
    Flood(Vec<u8>),
    /// Waits.
    Pause(Duration),
    /// Closes at once, whatever steps follow. A script that ends does the same.
    Close,
    /// Closes with a reset in place of an orderly end.
    Reset,
    /// Keeps the connection open and reads nothing, until the server is dropped.
    Hang,
}

/// Listens on a loopback port; the connection number k gets the script number k, later ones the last.
pub struct ScriptedServer {
    acceptor: Acceptor,
    shared: Arc<Shared>,
}

struct Shared {
    stop: Arc<AtomicBool>,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    /// What each connection has sent.
    received: Vec<Vec<u8>>,
    /// How often the peer sent something else than the script expects, or went away too early.
    failures: Vec<String>,
}

impl ScriptedServer {
    pub fn start(scripts: Vec<Vec<Step>>) -> ScriptedServer {
        ScriptedServer::start_with(|_| scripts)
    }

    /// The same, with scripts that depend on the server's address.
    pub fn start_with(scripts: impl FnOnce(&str) -> Vec<Vec<Step>>) -> ScriptedServer {
        let mut acceptor = Acceptor::bind();
        let scripts = scripts(acceptor.address());
        assert!(!scripts.is_empty());
        let shared = Arc::new(Shared {
            stop: acceptor.stop(),
            log: Mutex::default(),
        });
        acceptor.serve({
            let shared = Arc::clone(&shared);
            move |index, stream| {
                let player = Player::new(stream, index, Arc::clone(&shared));
                player.play_all(&scripts[index.min(scripts.len() - 1)]);
            }
        });
        ScriptedServer { acceptor, shared }
    }

    /// A server that accepts, reads nothing and says nothing.
    pub fn silent() -> ScriptedServer {
        ScriptedServer::start(vec![vec![Step::Hang]])
    }

    /// A server that takes the handshake and one message, and sends `answer`.
    pub fn answering(answer: Vec<u8>) -> ScriptedServer {
        ScriptedServer::start(vec![vec![
            Step::Handshake,
            Step::Frames(1),
            Step::Send(answer),
            Step::Hang,
        ]])
    }

    pub fn address(&self) -> &str {
        self.acceptor.address()
    }

    /// How many connections there have been.
    pub fn connections(&self) -> usize {
        self.shared.log.lock().unwrap().received.len()
    }

    /// What the connection number `index` has sent so far, as far as the script has read it.
    pub fn received(&self, index: usize) -> Vec<u8> {
        self.shared.log.lock().unwrap().received[index].clone()
    }

    /// Where the peers did not follow the script.
    pub fn failures(&self) -> Vec<String> {
        self.shared.log.lock().unwrap().failures.clone()
    }
}

struct Player {
    stream: TcpStream,
    index: usize,
    shared: Arc<Shared>,
}

impl Player {
    fn new(stream: TcpStream, index: usize, shared: Arc<Shared>) -> Player {
        let mut log = shared.log.lock().unwrap();
        // An earlier one may be served later.
        let count = log.received.len().max(index + 1);
        log.received.resize_with(count, Vec::new);
        drop(log);
        Player {
            stream,
            index,
            shared,
        }
    }

    fn play_all(mut self, script: &[Step]) {
        for step in script {
            match self.play(step) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    let failure = format!("connection {}: {step:?}: {error}", self.index);
                    self.shared.log.lock().unwrap().failures.push(failure);
                    break;
                }
            }
        }
    }

    /// Plays one step; false where it was the last.
    fn play(&mut self, step: &Step) -> io::Result<bool> {
        match step {
            Step::Expect(bytes) => {
                let got = self.read(bytes.len())?;
                if got != *bytes {
                    return Err(io::Error::other(format!("got {got:?}")));
                }
            }
            Step::Handshake => {
                self.read(8)?;
            }
            Step::Frames(count) => {
                for _ in 0..*count {
                    let header = self.read(8)?;
                    let words = u32::from_le_bytes(header[..4].try_into().unwrap());
                    self.read(words as usize * 8)?;
                }
            }
            Step::Startup => {
                self.read_message()?;
            }
            Step::Messages(count) => {
                for _ in 0..*count {
                    self.read(1)?;
                    self.read_message()?;
                }
            }
            Step::Send(bytes) => self.send(bytes)?,
            Step::Flood(bytes) => loop {
                self.send(bytes)?;
            },
            Step::Pause(time) => thread::sleep(*time),
            Step::Close => return Ok(false),
            Step::Reset => {
                set_socket_linger(&self.stream, Some(Duration::ZERO))?;
                return Ok(false);
            }
            Step::Hang => {
                while !self.stopping() {
                    thread::sleep(TICK);
                }
            }
        }
        Ok(true)
    }

    fn stopping(&self) -> bool {
        self.shared.stop.load(Ordering::Relaxed)
    }

    fn read(&mut self, count: usize) -> io::Result<Vec<u8>> {
        self.stream.set_read_timeout(Some(TICK))?;
        let mut bytes = vec![0; count];
        let mut filled = 0;
        while filled < count {
            match self.stream.read(&mut bytes[filled..]) {
                Ok(0) => return Err(io::Error::other("the peer has closed")),
                Ok(read) => {
                    let new = &bytes[filled..filled + read];
                    self.shared.log.lock().unwrap().received[self.index].extend(new);
                    filled += read;
                }
                Err(error) => self.again(error)?,
            }
        }
        Ok(bytes)
    }

    /// A length that counts itself, and what it says.
    fn read_message(&mut self) -> io::Result<()> {
        let length = self.read(4)?;
        let length = u32::from_be_bytes(length.try_into().unwrap());
        self.read(length as usize - 4)?;
        Ok(())
    }

    fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        self.stream.set_write_timeout(Some(TICK))?;
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) => self.again(error)?,
            }
        }
        Ok(())
    }

    /// Passes over a timeout, unless the server is being dropped.
    fn again(&self, error: io::Error) -> io::Result<()> {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut if !self.stopping() => Ok(()),
            _ => Err(error),
        }
    }
}
