//! A second opinion: a blocking PostgreSQL client of few lines, with its messages written by hand. It shares
//! no code with the library.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// One answer takes at most this long.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What the server sends: the type and the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub body: Vec<u8>,
}

impl Frame {
    /// A field of an error or a notice.
    pub fn field(&self, wanted: u8) -> Option<String> {
        let fields = self.body.split(|byte| *byte == 0);
        let mut fields = fields.filter(|field| field.first() == Some(&wanted));
        fields
            .next()
            .map(|field| String::from_utf8_lossy(&field[1..]).into_owned())
    }

    /// The letters of the fields of an error or a notice.
    pub fn field_letters(&self) -> String {
        let fields = self.body.split(|byte| *byte == 0);
        fields
            .filter_map(|field| field.first().map(|byte| char::from(*byte)))
            .collect()
    }

    /// The values of a DataRow.
    pub fn values(&self) -> Vec<Option<Vec<u8>>> {
        assert_eq!(self.kind, b'D');
        let mut rest = &self.body[2..];
        let mut values = Vec::new();
        while !rest.is_empty() {
            let length = i32::from_be_bytes(rest[..4].try_into().unwrap());
            rest = &rest[4..];
            values.push(usize::try_from(length).ok().map(|length| {
                let value = rest[..length].to_vec();
                rest = &rest[length..];
                value
            }));
        }
        values
    }

    /// The values of a DataRow in text format.
    pub fn texts(&self) -> Vec<Option<String>> {
        let texts = self.values().into_iter();
        texts
            .map(|value| value.map(|bytes| String::from_utf8(bytes).unwrap()))
            .collect()
    }

    /// Name, table, column, type, length, modifier and format of each column of a RowDescription.
    pub fn fields(&self) -> Vec<(String, i32, i16, u32, i16, i32, i16)> {
        assert_eq!(self.kind, b'T');
        let mut rest = &self.body[2..];
        let mut fields = Vec::new();
        while let Some(end) = rest.iter().position(|byte| *byte == 0) {
            let name = String::from_utf8(rest[..end].to_vec()).unwrap();
            let fixed = &rest[end + 1..end + 19];
            let i16_at = |at: usize| i16::from_be_bytes(fixed[at..at + 2].try_into().unwrap());
            let i32_at = |at: usize| i32::from_be_bytes(fixed[at..at + 4].try_into().unwrap());
            fields.push((
                name,
                i32_at(0),
                i16_at(4),
                i32_at(6).cast_unsigned(),
                i16_at(10),
                i32_at(12),
                i16_at(16),
            ));
            rest = &rest[end + 19..];
        }
        fields
    }

    pub fn tag(&self) -> String {
        assert_eq!(self.kind, b'C', "{self:?}");
        String::from_utf8_lossy(&self.body[..self.body.len() - 1]).into_owned()
    }
}

pub struct PgRaw {
    pub stream: TcpStream,
}

impl PgRaw {
    pub fn open(address: &str) -> io::Result<PgRaw> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        Ok(PgRaw { stream })
    }

    /// Connects with MD5 or a password in the clear; the frames up to ReadyForQuery, or to the error.
    pub fn connect(
        address: &str,
        user: &str,
        password: &str,
        parameters: &[(&str, &str)],
    ) -> io::Result<(PgRaw, Vec<Frame>)> {
        let mut raw = PgRaw::open(address)?;
        raw.start(0x0003_0000, user, parameters)?;
        let request = raw.receive()?;
        let answer = match request.body.get(3) {
            _ if request.kind != b'R' => return Ok((raw, vec![request])),
            Some(3) => password.to_owned(),
            Some(5) => {
                let inner = format!("{:x}", md5::compute(format!("{password}{user}")));
                format!(
                    "md5{:x}",
                    md5::compute([inner.as_bytes(), &request.body[4..8]].concat())
                )
            }
            _ => return Ok((raw, vec![request])),
        };
        raw.send(&[message(b'p', &cstring(&answer))])?;
        let mut frames = vec![request];
        frames.extend(raw.until_ready()?);
        Ok((raw, frames))
    }

    pub fn start(
        &mut self,
        version: u32,
        user: &str,
        parameters: &[(&str, &str)],
    ) -> io::Result<()> {
        let mut body = version.to_be_bytes().to_vec();
        for (name, value) in [("user", user), ("database", "any")]
            .iter()
            .chain(parameters)
        {
            body.extend(cstring(name));
            body.extend(cstring(value));
        }
        body.push(0);
        self.send(&[untyped(&body)])
    }

    pub fn send(&mut self, messages: &[Vec<u8>]) -> io::Result<()> {
        self.stream.write_all(&messages.concat())
    }

    pub fn receive(&mut self) -> io::Result<Frame> {
        let mut header = [0; 5];
        self.stream.read_exact(&mut header)?;
        let length = u32::from_be_bytes(header[1..].try_into().unwrap());
        let mut body = vec![0; length as usize - 4];
        self.stream.read_exact(&mut body)?;
        Ok(Frame {
            kind: header[0],
            body,
        })
    }

    /// The frames up to the next ReadyForQuery, which has to say "idle", or up to the end of the connection.
    pub fn until_ready(&mut self) -> io::Result<Vec<Frame>> {
        let mut frames = Vec::new();
        loop {
            match self.receive() {
                Ok(frame) => {
                    let ready = frame.kind == b'Z';
                    assert!(!ready || frame.body == b"I", "{frame:?}");
                    frames.push(frame);
                    if ready {
                        return Ok(frames);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(frames),
                Err(error) => return Err(error),
            }
        }
    }

    /// Runs a statement with the simple protocol.
    pub fn simple(&mut self, sql: &str) -> Vec<Frame> {
        self.send(&[message(b'Q', &cstring(sql))]).unwrap();
        self.until_ready().unwrap()
    }

    /// The rows of a query, as text; panics if it fails.
    pub fn rows(&mut self, sql: &str) -> Vec<Vec<Option<String>>> {
        let frames = self.simple(sql);
        let failed = frames.iter().find(|frame| frame.kind == b'E');
        assert!(
            failed.is_none(),
            "{sql}: {:?}",
            failed.and_then(|frame| frame.field(b'M'))
        );
        frames
            .iter()
            .filter(|frame| frame.kind == b'D')
            .map(Frame::texts)
            .collect()
    }

    /// The only value of a query, as text.
    pub fn one(&mut self, sql: &str) -> String {
        let rows = self.rows(sql);
        assert_eq!((rows.len(), rows[0].len()), (1, 1), "{sql}: {rows:?}");
        rows[0][0].clone().unwrap_or_else(|| "NULL".to_owned())
    }

    /// Runs a statement that has no rows, and answers its tag; panics if it fails.
    pub fn exec(&mut self, sql: &str) -> String {
        let frames = self.simple(sql);
        match frames[0].kind {
            b'C' => frames[0].tag(),
            _ => panic!("{sql}: {:?}", frames[0].field(b'M')),
        }
    }

    /// The code and message with which a statement fails.
    pub fn error(&mut self, sql: &str) -> (String, String) {
        let frames = self.simple(sql);
        let Some(error) = frames.iter().find(|frame| frame.kind == b'E') else {
            panic!("{sql} has not failed: {frames:?}");
        };
        (error.field(b'C').unwrap(), error.field(b'M').unwrap())
    }
}

pub fn cstring(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    bytes
}

pub fn untyped(body: &[u8]) -> Vec<u8> {
    let mut bytes = (body.len() as u32 + 4).to_be_bytes().to_vec();
    bytes.extend(body);
    bytes
}

pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend(untyped(body));
    bytes
}

pub fn parse(name: &str, sql: &str, oids: &[u32]) -> Vec<u8> {
    let mut body = [cstring(name), cstring(sql)].concat();
    body.extend((oids.len() as u16).to_be_bytes());
    for oid in oids {
        body.extend(oid.to_be_bytes());
    }
    message(b'P', &body)
}

/// Parameters and results all in one format: 0 is text, 1 is binary.
pub fn bind(portal: &str, statement: &str, format: u16, params: &[Option<&[u8]>]) -> Vec<u8> {
    let mut body = [cstring(portal), cstring(statement)].concat();
    body.extend([0, 1]);
    body.extend(format.to_be_bytes());
    body.extend((params.len() as u16).to_be_bytes());
    for param in params {
        match param {
            None => body.extend((-1_i32).to_be_bytes()),
            Some(bytes) => {
                body.extend((bytes.len() as u32).to_be_bytes());
                body.extend(*bytes);
            }
        }
    }
    body.extend([0, 1]);
    body.extend(format.to_be_bytes());
    message(b'B', &body)
}

/// Describes a statement (`S`) or a portal (`P`).
pub fn describe(kind: u8, name: &str) -> Vec<u8> {
    message(b'D', &[vec![kind], cstring(name)].concat())
}

pub fn execute(portal: &str, limit: u32) -> Vec<u8> {
    message(
        b'E',
        &[cstring(portal), limit.to_be_bytes().to_vec()].concat(),
    )
}

pub fn close(kind: u8, name: &str) -> Vec<u8> {
    message(b'C', &[vec![kind], cstring(name)].concat())
}

pub fn sync() -> Vec<u8> {
    message(b'S', &[])
}

pub fn flush() -> Vec<u8> {
    message(b'H', &[])
}
