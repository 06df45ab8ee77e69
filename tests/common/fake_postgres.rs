//! A PostgreSQL server that answers by the protocol, until it is told to answer a request with something else.

use std::collections::{HashSet, VecDeque};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::acceptor::Acceptor;

/// How often a thread looks whether the server is being dropped.
const TICK: Duration = Duration::from_millis(10);

/// What a client asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// To begin.
    Start,
    /// The password, or a part of its proof.
    Password,
    /// To prepare a statement.
    Prepare,
    /// To run a prepared statement.
    Run,
    /// To run a text with parameters, in one.
    Text,
    /// To run a text by the simple protocol.
    Simple,
}

/// What is done instead of answering as the protocol says.
#[derive(Debug, Clone)]
pub enum Act {
    /// Sends this, and goes on.
    Send(Vec<u8>),
    /// Sends this, and closes.
    Close(Vec<u8>),
    /// Goes on with SCRAM by this message, in which the nonce of the client takes the place of `%`.
    Scram(Vec<u8>),
    /// Sends this, and then this again and again.
    Flood(Vec<u8>, Vec<u8>),
}

type Acts = VecDeque<(Ask, Act)>;

/// Listens on a loopback port. Acts are played in their order, each for the next request of its kind.
pub struct FakePostgres {
    acceptor: Acceptor,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    stop: Arc<AtomicBool>,
    acts: Mutex<Acts>,
    runs: AtomicUsize,
}

impl FakePostgres {
    pub fn start() -> FakePostgres {
        let mut acceptor = Acceptor::bind();
        let shared = Arc::new(Shared {
            stop: acceptor.stop(),
            ..Shared::default()
        });
        acceptor.serve({
            let shared = Arc::clone(&shared);
            move |_, stream| {
                let conversation = Conversation {
                    stream,
                    shared: Arc::clone(&shared),
                    proof: Vec::new(),
                };
                // That a peer goes away is what these tests are about.
                let _ = conversation.serve();
            }
        });
        FakePostgres { acceptor, shared }
    }

    pub fn address(&self) -> &str {
        self.acceptor.address()
    }

    /// Adds an act. One for [`Ask::Start`] or [`Ask::Password`] is played on the next connection.
    pub fn act(&self, ask: Ask, act: Act) {
        self.shared.acts.lock().unwrap().push_back((ask, act));
    }

    /// Forgets the acts that were not played, and says how many.
    pub fn forget(&self) -> usize {
        let mut acts = self.shared.acts.lock().unwrap();
        std::mem::take(&mut *acts).len()
    }

    /// How many connections there have been.
    pub fn connections(&self) -> usize {
        self.acceptor.connections()
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.acceptor.open()
    }

    /// How many statements were asked to be run.
    pub fn runs(&self) -> usize {
        self.shared.runs.load(Ordering::SeqCst)
    }
}

struct Conversation {
    stream: TcpStream,
    shared: Arc<Shared>,
    /// The last password, or part of its proof.
    proof: Vec<u8>,
}

impl Conversation {
    fn serve(mut self) -> io::Result<()> {
        self.stream.set_nonblocking(false)?;
        self.stream.set_nodelay(true)?;
        self.stream.set_read_timeout(Some(TICK))?;
        self.stream.set_write_timeout(Some(TICK))?;
        self.body()?;
        self.answer(Ask::Start, start)?;
        // The names of the statements that are queries.
        let mut queries = HashSet::new();
        let mut reads = false;
        loop {
            let mut seen = Vec::new();
            let ask = loop {
                let tag = self.read(1)?[0];
                let body = self.body()?;
                seen.push(tag);
                match tag {
                    b'P' => {
                        let mut parts = body.split(|byte| *byte == 0);
                        let name = parts.next().unwrap_or_default();
                        reads = parts.next().is_some_and(|text| text.starts_with(b"SELECT"));
                        match reads {
                            true => queries.insert(name.to_vec()),
                            false => queries.remove(name),
                        };
                    }
                    b'B' => {
                        let name = body.split(|byte| *byte == 0).nth(1).unwrap_or_default();
                        reads = queries.contains(name);
                    }
                    b'S' if seen == b"S" || seen.starts_with(b"C") => break None,
                    b'S' if !seen.contains(&b'E') => break Some(Ask::Prepare),
                    b'S' if seen.contains(&b'P') => break Some(Ask::Text),
                    b'S' => break Some(Ask::Run),
                    b'Q' => {
                        reads = body.starts_with(b"SELECT");
                        break Some(Ask::Simple);
                    }
                    b'p' => {
                        self.proof = body;
                        break Some(Ask::Password);
                    }
                    b'X' => return Ok(()),
                    _ => {}
                }
            };
            let Some(ask) = ask else {
                self.write(&[message(b'3', b""), ready(b"I")].concat())?;
                continue;
            };
            let answer = match ask {
                Ask::Start | Ask::Password => Vec::new(),
                Ask::Prepare => prepared(reads),
                Ask::Run | Ask::Text | Ask::Simple => {
                    let number = self.shared.runs.fetch_add(1, Ordering::SeqCst) + 1;
                    match ask {
                        Ask::Run => ran(reads.then_some(number as i64)),
                        Ask::Text => {
                            let run = ran(reads.then_some(number as i64));
                            [
                                message(b'1', b""),
                                run[..5].to_vec(),
                                described(reads),
                                run[5..].to_vec(),
                            ]
                            .concat()
                        }
                        _ => [complete("INSERT 0 1"), complete("INSERT 0 1"), ready(b"I")].concat(),
                    }
                }
            };
            self.answer(ask, || answer)?;
        }
    }

    fn answer(&mut self, ask: Ask, usual: impl FnOnce() -> Vec<u8>) -> io::Result<()> {
        let act = {
            let mut acts = self.shared.acts.lock().unwrap();
            match acts.front() {
                Some((wanted, _)) if *wanted == ask => acts.pop_front(),
                _ => None,
            }
        };
        match act.map(|(_, act)| act) {
            None => self.write(&usual()),
            Some(Act::Send(bytes)) => self.write(&bytes),
            Some(Act::Close(bytes)) => {
                self.write(&bytes)?;
                Err(io::ErrorKind::UnexpectedEof.into())
            }
            Some(Act::Scram(message)) => {
                let said = self.proof.split(|byte| *byte == b',');
                let nonce = said.filter_map(|part| part.strip_prefix(b"r=")).next();
                let place = message.iter().position(|byte| *byte == b'%');
                let data = match (place, nonce) {
                    (Some(at), Some(nonce)) => [&message[..at], nonce, &message[at + 1..]].concat(),
                    _ => message,
                };
                self.write(&authentication(11, &data))
            }
            Some(Act::Flood(bytes, again)) => {
                self.write(&bytes)?;
                let again = again.repeat((1 << 16) / again.len() + 1);
                loop {
                    self.write(&again)?;
                }
            }
        }
    }

    /// A length that counts itself, and what it says.
    fn body(&mut self) -> io::Result<Vec<u8>> {
        let len = self.read(4)?;
        let len = u32::from_be_bytes(len.try_into().unwrap());
        self.read(len as usize - 4)
    }

    fn read(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        let mut filled = 0;
        while filled < count {
            match self.stream.read(&mut bytes[filled..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => filled += read,
                Err(error) => self.again(error)?,
            }
        }
        Ok(bytes)
    }

    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) => self.again(error)?,
            }
        }
        Ok(())
    }

    fn again(&self, error: io::Error) -> io::Result<()> {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                if !self.shared.stop.load(Ordering::SeqCst) =>
            {
                Ok(())
            }
            _ => Err(error),
        }
    }
}

/// A message with its tag and its length.
pub fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let len = (body.len() as u32 + 4).to_be_bytes();
    [&[tag], &len[..], body].concat()
}

pub fn ready(status: &[u8]) -> Vec<u8> {
    message(b'Z', status)
}

pub fn complete(tag: &str) -> Vec<u8> {
    message(b'C', &[tag.as_bytes(), b"\0"].concat())
}

pub fn row(values: &[&[u8]]) -> Vec<u8> {
    let mut body = (values.len() as u16).to_be_bytes().to_vec();
    for value in values {
        body.extend((value.len() as u32).to_be_bytes());
        body.extend(*value);
    }
    message(b'D', &body)
}

/// A server's error, or its notice, with a code and a text.
pub fn failed(tag: u8, severity: &str, text: &[u8]) -> Vec<u8> {
    let fields = format!("S{severity}\0V{severity}\0C22012\0M");
    message(tag, &[fields.as_bytes(), text, b"\0\0"].concat())
}

/// A request for authentication.
pub fn authentication(code: u32, data: &[u8]) -> Vec<u8> {
    message(b'R', &[&code.to_be_bytes(), data].concat())
}

/// The start of a conversation without a password.
pub fn start() -> Vec<u8> {
    let key = message(b'K', &[0, 0, 0, 1, 0, 0, 0, 2]);
    let status = message(b'S', b"server_version\x0015.0\0");
    [authentication(0, b""), status, key, ready(b"I")].concat()
}

/// Columns of these types.
pub fn columns(types: &[u32]) -> Vec<u8> {
    let mut body = (types.len() as u16).to_be_bytes().to_vec();
    for kind in types {
        body.extend(b"n\0\0\0\0\0\0\0");
        body.extend(kind.to_be_bytes());
        body.extend([0, 8, 0xff, 0xff, 0xff, 0xff, 0, 0]);
    }
    message(b'T', &body)
}

fn described(reads: bool) -> Vec<u8> {
    let columns = match reads {
        true => columns(&[20]),
        false => message(b'n', b""),
    };
    [message(b't', &[0, 0]), columns].concat()
}

/// The answer to the preparation of a statement that has one column of 64-bit numbers, or none.
pub fn prepared(reads: bool) -> Vec<u8> {
    [message(b'1', b""), described(reads), ready(b"I")].concat()
}

/// The answer to a statement that has one row, or none.
pub fn ran(value: Option<i64>) -> Vec<u8> {
    let rows = match value {
        Some(value) => [row(&[&value.to_be_bytes()]), complete("SELECT 1")].concat(),
        None => complete("INSERT 0 1"),
    };
    [message(b'2', b""), rows, ready(b"I")].concat()
}
