//! A second opinion: a blocking dqlite client of few lines, with its messages written by hand. It shares no
//! code with the library.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub const VOTER: u64 = 0;
pub const STANDBY: u64 = 1;
pub const SPARE: u64 = 2;

/// One request and its answer take at most this long each, unless [`Raw::set_timeout`] says otherwise.
const TIMEOUT: Duration = Duration::from_secs(2);

/// What went wrong with a request.
#[derive(Debug)]
pub enum RawError {
    Io(io::Error),
    /// The server answered FAILURE.
    Failure {
        code: u64,
        message: String,
    },
    /// The server answered something else than was asked for.
    Unexpected {
        kind: u8,
    },
}

impl RawError {
    pub fn code(&self) -> Option<u64> {
        match self {
            RawError::Failure { code, .. } => Some(*code),
            _ => None,
        }
    }
}

impl From<io::Error> for RawError {
    fn from(error: io::Error) -> Self {
        RawError::Io(error)
    }
}

impl fmt::Display for RawError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RawError::Io(error) => error.fmt(f),
            RawError::Failure { code, message } => write!(f, "failure {code}: {message}"),
            RawError::Unexpected { kind } => write!(f, "unexpected answer of type {kind}"),
        }
    }
}

/// One node as the CLUSTER request lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub id: u64,
    pub address: String,
    pub role: u64,
}

/// A column of a row; what the tests do not use is not decoded.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Null,
    Int(i64),
    Float(f64),
    Text(String),
    Blob(Vec<u8>),
}

pub struct Raw {
    stream: TcpStream,
    database: u64,
}

impl Raw {
    /// Connects and sends the protocol's version.
    pub fn connect(address: &str) -> Result<Raw, RawError> {
        let address: SocketAddr = address
            .parse()
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        stream.write_all(&1u64.to_le_bytes())?;
        Ok(Raw {
            stream,
            database: 0,
        })
    }

    /// Connects and opens `database`.
    pub fn open(address: &str, database: &str) -> Result<Raw, RawError> {
        let mut raw = Raw::connect(address)?;
        raw.client(1)?;
        let mut body = text(database);
        body.extend(0u64.to_le_bytes());
        body.extend(text("volatile"));
        let answer = raw.ask(3, &body, 4)?;
        raw.database = u64::from(Take(&answer).u32()?);
        Ok(raw)
    }

    pub fn set_timeout(&mut self, timeout: Duration) {
        self.stream.set_read_timeout(Some(timeout)).unwrap();
    }

    /// The leader's id and address as the node knows it; `None` where it knows none.
    pub fn leader(&mut self) -> Result<Option<(u64, String)>, RawError> {
        let answer = self.ask(0, &0u64.to_le_bytes(), 1)?;
        let mut take = Take(&answer);
        let (id, address) = (take.u64()?, take.text()?);
        Ok((!address.is_empty()).then_some((id, address)))
    }

    /// Names the client; the answer is the heartbeat timeout in milliseconds.
    pub fn client(&mut self, id: u64) -> Result<u64, RawError> {
        let answer = self.ask(1, &id.to_le_bytes(), 2)?;
        Take(&answer).u64()
    }

    pub fn add(&mut self, id: u64, address: &str) -> Result<(), RawError> {
        let mut body = id.to_le_bytes().to_vec();
        body.extend(text(address));
        self.ask(12, &body, 8).map(drop)
    }

    pub fn assign(&mut self, id: u64, role: u64) -> Result<(), RawError> {
        let mut body = id.to_le_bytes().to_vec();
        body.extend(role.to_le_bytes());
        self.ask(13, &body, 8).map(drop)
    }

    pub fn cluster(&mut self) -> Result<Vec<Member>, RawError> {
        let answer = self.ask(16, &1u64.to_le_bytes(), 3)?;
        let mut take = Take(&answer);
        (0..take.u64()?)
            .map(|_| {
                Ok(Member {
                    id: take.u64()?,
                    address: take.text()?,
                    role: take.u64()?,
                })
            })
            .collect()
    }

    /// Runs statements without rows: the last insert id and the rows affected.
    pub fn exec(&mut self, sql: &str) -> Result<(u64, u64), RawError> {
        let mut body = self.database.to_le_bytes().to_vec();
        body.extend(text(sql));
        let answer = self.ask(8, &body, 6)?;
        let mut take = Take(&answer);
        Ok((take.u64()?, take.u64()?))
    }

    /// Runs a statement with rows and answers them all.
    pub fn query(&mut self, sql: &str) -> Result<Vec<Vec<Cell>>, RawError> {
        let mut body = self.database.to_le_bytes().to_vec();
        body.extend(text(sql));
        let mut answer = self.ask(9, &body, 7)?;
        let mut rows = Vec::new();
        loop {
            let mut take = Take(&answer);
            let columns = usize::try_from(take.u64()?).unwrap();
            for _ in 0..columns {
                take.text()?;
            }
            loop {
                match take.0.get(..8) {
                    Some([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]) => return Ok(rows),
                    Some([0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee]) => break,
                    Some(_) => rows.push(take.row(columns)?),
                    None => return Err(short().into()),
                }
            }
            answer = self.receive(7)?;
        }
    }

    /// Sends one request and reads its answer, which has to be of type `expected`.
    pub fn ask(&mut self, kind: u8, body: &[u8], expected: u8) -> Result<Vec<u8>, RawError> {
        self.stream.write_all(&frame(kind, 0, body))?;
        self.receive(expected)
    }

    fn receive(&mut self, expected: u8) -> Result<Vec<u8>, RawError> {
        let mut header = [0; 8];
        self.stream.read_exact(&mut header)?;
        let words = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
        let mut body = vec![0; words as usize * 8];
        self.stream.read_exact(&mut body)?;
        match header[4] {
            kind if kind == expected => Ok(body),
            0 => {
                let mut take = Take(&body);
                Err(RawError::Failure {
                    code: take.u64()?,
                    message: take.text()?,
                })
            }
            kind => Err(RawError::Unexpected { kind }),
        }
    }
}

/// A whole message: u32 words, u8 type, u8 schema, u16 zero, body.
pub fn frame(kind: u8, schema: u8, body: &[u8]) -> Vec<u8> {
    assert_eq!(body.len() % 8, 0, "a body is made of words of 8 bytes");
    let mut message = u32::try_from(body.len() / 8)
        .unwrap()
        .to_le_bytes()
        .to_vec();
    message.extend([kind, schema, 0, 0]);
    message.extend(body);
    message
}

/// A text with its NUL, padded to whole words.
pub fn text(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize((bytes.len() / 8 + 1) * 8, 0);
    bytes
}

fn short() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the answer is too short")
}

/// Reads from the front of an answer.
struct Take<'a>(&'a [u8]);

impl Take<'_> {
    fn bytes(&mut self, count: usize) -> Result<&[u8], RawError> {
        if self.0.len() < count {
            return Err(short().into());
        }
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        Ok(taken)
    }

    fn u32(&mut self) -> Result<u32, RawError> {
        Ok(u32::from_le_bytes(self.bytes(4)?.try_into().unwrap()))
    }

    fn u64(&mut self) -> Result<u64, RawError> {
        Ok(u64::from_le_bytes(self.bytes(8)?.try_into().unwrap()))
    }

    fn text(&mut self) -> Result<String, RawError> {
        let length = self
            .0
            .iter()
            .position(|byte| *byte == 0)
            .ok_or_else(short)?;
        let bytes = self.bytes((length / 8 + 1) * 8)?;
        Ok(String::from_utf8_lossy(&bytes[..length]).into_owned())
    }

    fn row(&mut self, columns: usize) -> Result<Vec<Cell>, RawError> {
        let types = self.bytes(columns.div_ceil(16) * 8)?.to_vec();
        (0..columns)
            .map(|column| match types[column / 2] >> (column % 2 * 4) & 0xf {
                1 | 9 | 11 => Ok(Cell::Int(self.u64()?.cast_signed())),
                2 => Ok(Cell::Float(f64::from_bits(self.u64()?))),
                3 | 10 => Ok(Cell::Text(self.text()?)),
                4 => {
                    let length = usize::try_from(self.u64()?).unwrap();
                    let mut bytes = self.bytes(length.div_ceil(8) * 8)?.to_vec();
                    bytes.truncate(length);
                    Ok(Cell::Blob(bytes))
                }
                _ => self.u64().map(|_| Cell::Null),
            })
            .collect()
    }
}
