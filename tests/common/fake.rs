//! A server that plays a dqlite leader, well-behaved until a test has it misbehave.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;

use super::acceptor::Acceptor;
use super::raw::{frame, text};
use super::scripted::Step;

/// How often a thread looks whether the server is being dropped.
const TICK: Duration = Duration::from_millis(5);

pub const FAILURE: u8 = 0;
pub const NODE: u8 = 1;
pub const WELCOME: u8 = 2;
pub const NODES: u8 = 3;
pub const DB: u8 = 4;
pub const STMT: u8 = 5;
pub const RESULT: u8 = 6;
pub const ROWS: u8 = 7;
pub const EMPTY: u8 = 8;

/// The types of the requests that are never held back.
pub const LEADER: u8 = 0;
pub const CLIENT: u8 = 1;
pub const OPEN: u8 = 3;
pub const PREPARE: u8 = 4;
const QUERY: u8 = 6;
pub const FINALIZE: u8 = 7;
pub const CLUSTER: u8 = 16;

/// What a query that nothing is said about answers.
pub const ANSWER: i64 = 42;

/// Answers LEADER with itself, opens any database, prepares one statement, and answers each other request as the next of its acts
/// says; as a leader would, where none is left.
pub struct FakeLeader {
    acceptor: Acceptor,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    stop: Arc<AtomicBool>,
    acts: Mutex<VecDeque<Vec<Step>>>,
    /// What is done with the next request of a type that is never held back else.
    others: Mutex<VecDeque<(u8, Vec<Step>)>>,
    leader: Mutex<Option<String>>,
    played: AtomicUsize,
    statements: AtomicUsize,
}

impl FakeLeader {
    pub fn start() -> FakeLeader {
        let mut acceptor = Acceptor::bind();
        let address = acceptor.address().to_owned();
        let shared = Arc::new(Shared {
            stop: acceptor.stop(),
            leader: Mutex::new(Some(address.clone())),
            ..Shared::default()
        });
        acceptor.serve({
            let shared = Arc::clone(&shared);
            move |_, stream| {
                // That a peer goes away is what these tests are about.
                let _ = serve(stream, &address, &shared);
            }
        });
        FakeLeader { acceptor, shared }
    }

    pub fn address(&self) -> &str {
        self.acceptor.address()
    }

    /// How the next statement that no act is left for is answered.
    pub fn act(&self, steps: Vec<Step>) {
        self.shared.acts.lock().unwrap().push_back(steps);
    }

    /// How the next request of type `kind` is answered, of those that no act is for: LEADER, CLIENT, OPEN, PREPARE,
    /// FINALIZE or CLUSTER.
    pub fn act_on(&self, kind: u8, steps: Vec<Step>) {
        self.shared.others.lock().unwrap().push_back((kind, steps));
    }

    /// Forgets what has not been played, and says how much that was.
    pub fn forget(&self) -> usize {
        let acts = std::mem::take(&mut *self.shared.acts.lock().unwrap()).len();
        acts + std::mem::take(&mut *self.shared.others.lock().unwrap()).len()
    }

    /// Names another leader from now on; an empty text for none.
    pub fn name(&self, leader: &str) {
        *self.shared.leader.lock().unwrap() = Some(leader.to_owned());
    }

    /// Answers LEADER no longer.
    pub fn hush(&self) {
        *self.shared.leader.lock().unwrap() = None;
    }

    /// How many acts have been played to their end.
    pub fn played(&self) -> usize {
        self.shared.played.load(Ordering::SeqCst)
    }

    /// How many connections there have been.
    pub fn connections(&self) -> usize {
        self.acceptor.connections()
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.acceptor.open()
    }

    /// How many statements have come.
    pub fn statements(&self) -> usize {
        self.shared.statements.load(Ordering::SeqCst)
    }
}

fn serve(mut stream: TcpStream, address: &str, shared: &Shared) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TICK))?;
    stream.set_write_timeout(Some(TICK))?;
    read(&mut stream, 8, shared)?;
    let mut prepared = false;
    loop {
        let header = read(&mut stream, 8, shared)?;
        let words = u32::from_le_bytes(header[..4].try_into().unwrap());
        read(&mut stream, words as usize * 8, shared)?;
        let other = {
            let mut others = shared.others.lock().unwrap();
            match others.front() {
                Some((kind, _)) if *kind == header[4] => others.pop_front(),
                _ => None,
            }
        };
        if let Some((kind, steps)) = other {
            prepared |= kind == PREPARE;
            let goes_on = play(&mut stream, &steps, shared);
            shared.played.fetch_add(1, Ordering::SeqCst);
            if !goes_on? {
                return Ok(());
            }
            continue;
        }
        let answer = match header[4] {
            LEADER => {
                let leader = shared.leader.lock().unwrap().clone();
                let Some(leader) = leader else {
                    hang(&mut stream, shared)?;
                    return Ok(());
                };
                node(&leader)
            }
            CLIENT => frame(WELCOME, 0, &15000u64.to_le_bytes()),
            OPEN => frame(DB, 0, &0u64.to_le_bytes()),
            // As 1.15 and later answer it, with the one number that there is.
            PREPARE => {
                prepared = true;
                frame(STMT, 1, &[0; 24])
            }
            FINALIZE => {
                prepared = false;
                frame(EMPTY, 0, &[0; 8])
            }
            QUERY if !prepared => failure(12, "no statement with the given id"),
            CLUSTER => {
                let mut body = 1u64.to_le_bytes().to_vec();
                body.extend(1u64.to_le_bytes());
                body.extend(text(address));
                body.extend(0u64.to_le_bytes());
                frame(NODES, 0, &body)
            }
            kind => {
                shared.statements.fetch_add(1, Ordering::SeqCst);
                let act = shared.acts.lock().unwrap().pop_front();
                if let Some(act) = act {
                    let goes_on = play(&mut stream, &act, shared);
                    shared.played.fetch_add(1, Ordering::SeqCst);
                    if !goes_on? {
                        return Ok(());
                    }
                    continue;
                }
                match kind {
                    QUERY | 9 => rows(ANSWER),
                    10 => frame(EMPTY, 0, &0u64.to_le_bytes()),
                    _ => result(1, 1),
                }
            }
        };
        write(&mut stream, &answer, shared)?;
    }
}

fn play(stream: &mut TcpStream, act: &[Step], shared: &Shared) -> io::Result<bool> {
    for step in act {
        match step {
            Step::Send(bytes) => write(stream, bytes, shared)?,
            Step::Flood(bytes) => {
                let bytes = bytes.repeat((1 << 16) / bytes.len() + 1);
                loop {
                    write(stream, &bytes, shared)?;
                }
            }
            Step::Pause(time) => thread::sleep(*time),
            Step::Close => return Ok(false),
            Step::Reset => {
                set_socket_linger(&*stream, Some(Duration::ZERO))?;
                return Ok(false);
            }
            Step::Hang => {
                hang(stream, shared)?;
                return Ok(false);
            }
            other => panic!("{other:?} is no part of an act"),
        }
    }
    Ok(true)
}

/// Says nothing until the peer goes away.
fn hang(stream: &mut TcpStream, shared: &Shared) -> io::Result<()> {
    loop {
        read(stream, 1, shared)?;
    }
}

fn read(stream: &mut TcpStream, count: usize, shared: &Shared) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; count];
    let mut filled = 0;
    while filled < count {
        match stream.read(&mut bytes[filled..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => filled += read,
            Err(error) => again(error, shared)?,
        }
    }
    Ok(bytes)
}

fn write(stream: &mut TcpStream, mut bytes: &[u8], shared: &Shared) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) => again(error, shared)?,
        }
    }
    Ok(())
}

fn again(error: io::Error, shared: &Shared) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
            if !shared.stop.load(Ordering::SeqCst) =>
        {
            Ok(())
        }
        _ => Err(error),
    }
}

/// The answer to LEADER.
pub fn node(leader: &str) -> Vec<u8> {
    let mut body = u64::from(!leader.is_empty()).to_le_bytes().to_vec();
    body.extend(text(leader));
    frame(NODE, 0, &body)
}

/// The answer to a statement without rows.
pub fn result(last_insert_id: u64, rows_affected: u64) -> Vec<u8> {
    let mut body = last_insert_id.to_le_bytes().to_vec();
    body.extend(rows_affected.to_le_bytes());
    frame(RESULT, 0, &body)
}

/// The answer to a query: one row with one column.
pub fn rows(value: i64) -> Vec<u8> {
    part(&[value], true)
}

/// A part of the rows of one column called `n`.
pub fn part(values: &[i64], last: bool) -> Vec<u8> {
    let mut body = 1u64.to_le_bytes().to_vec();
    body.extend(text("n"));
    for value in values {
        body.extend(1u64.to_le_bytes());
        body.extend(value.to_le_bytes());
    }
    body.extend([if last { 0xff } else { 0xee }; 8]);
    frame(ROWS, 0, &body)
}

pub fn failure(code: u64, message: &str) -> Vec<u8> {
    let mut body = code.to_le_bytes().to_vec();
    body.extend(text(message));
    frame(FAILURE, 0, &body)
}
