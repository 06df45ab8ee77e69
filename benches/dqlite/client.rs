//! What the driver is measured against: a hand-written client with no more code than its one task needs.
//!
//! It is an honest minimum. It blocks in `read`, has no deadline, no pool and no cancel, knows the shape of
//! its answers, and checks of them what tells a right one from a wrong one. It panics where it is wrong.

use std::io::{Read, Write};
use std::net::TcpStream;

use rustix::net::sockopt::set_tcp_quickack;

use crate::common::raw::{frame, text};
use crate::harness::items::Sums;

const REQUEST_CLIENT: u8 = 1;
const REQUEST_OPEN: u8 = 3;
const REQUEST_PREPARE: u8 = 4;
const REQUEST_EXEC: u8 = 5;
const REQUEST_QUERY: u8 = 6;
const RESPONSE_RESULT: u8 = 6;
const RESPONSE_ROWS: u8 = 7;

const TYPE_INT: u8 = 1;
const TYPE_FLOAT: u8 = 2;
const TYPE_TEXT: u8 = 3;

/// The types of a row of an integer, a float and a text.
const ROW_TYPES: u64 = TYPE_INT as u64 | (TYPE_FLOAT as u64) << 4 | (TYPE_TEXT as u64) << 8;
const END_OF_PART: u64 = 0xeeee_eeee_eeee_eeee;
const END_OF_ROWS: u64 = 0xffff_ffff_ffff_ffff;

/// As much as the driver reads at once.
const INPUT_SIZE: usize = 64 * 1024;

pub(crate) struct Client {
    stream: TcpStream,
    input: Vec<u8>,
    /// The part of `input` that has been received and not been read.
    start: usize,
    end: usize,
    /// Several answers are under way, each of which the node holds back until the one before is acknowledged.
    pipelined: bool,
}

/// A prepared statement with one integer as its parameter.
pub(crate) struct Prepared {
    request: Vec<u8>,
}

impl Prepared {
    /// The request with its parameter.
    fn with(&mut self, id: i64) -> &[u8] {
        let at = self.request.len() - 8;
        self.request[at..].copy_from_slice(&id.to_le_bytes());
        &self.request
    }
}

impl Client {
    pub(crate) fn open(address: &str, database: &str) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut client = Client {
            stream,
            input: vec![0; INPUT_SIZE],
            start: 0,
            end: 0,
            pipelined: false,
        };
        let mut hello = 1u64.to_le_bytes().to_vec();
        hello.extend(frame(REQUEST_CLIENT, 0, &1u64.to_le_bytes()));
        client.stream.write_all(&hello).unwrap();
        client.receive();
        let mut body = text(database);
        body.extend(0u64.to_le_bytes());
        body.extend(text("volatile"));
        client.send(&frame(REQUEST_OPEN, 0, &body));
        client.receive();
        client
    }

    /// Prepares a statement that answers rows.
    pub(crate) fn prepare_query(&mut self, sql: &str) -> Prepared {
        self.prepare(sql, REQUEST_QUERY)
    }

    /// Prepares a statement that answers none.
    pub(crate) fn prepare_exec(&mut self, sql: &str) -> Prepared {
        self.prepare(sql, REQUEST_EXEC)
    }

    fn prepare(&mut self, sql: &str, run: u8) -> Prepared {
        let mut body = 0u64.to_le_bytes().to_vec();
        body.extend(text(sql));
        self.send(&frame(REQUEST_PREPARE, 0, &body));
        let (_, answer) = self.receive();
        let stmt: [u8; 4] = answer[4..8].try_into().unwrap();
        let mut body = 0u32.to_le_bytes().to_vec();
        body.extend(stmt);
        body.extend([1, TYPE_INT, 0, 0, 0, 0, 0, 0]);
        body.extend([0; 8]);
        Prepared {
            request: frame(run, 0, &body),
        }
    }

    /// Runs a query of one row: its integer, its float and the length of its text.
    pub(crate) fn point(&mut self, prepared: &mut Prepared, id: i64) -> (i64, f64, usize) {
        self.run(prepared, id);
        self.answer()
    }

    /// Runs such a query for each id, all sent with one write, and gives each answer to `take`.
    pub(crate) fn points(
        &mut self,
        prepared: &mut Prepared,
        wanted: &[i64],
        mut take: impl FnMut(i64, (i64, f64, usize)),
    ) {
        let mut requests = Vec::new();
        for id in wanted {
            requests.extend_from_slice(prepared.with(*id));
        }
        self.send(&requests);
        self.pipelined = true;
        for id in wanted {
            take(*id, self.answer());
        }
        self.pipelined = false;
    }

    fn answer(&mut self) -> (i64, f64, usize) {
        let (kind, body) = self.receive();
        assert_eq!(kind, RESPONSE_ROWS);
        let row = first_row(body);
        assert_eq!(word(row), ROW_TYPES);
        let (price, name) = (f64::from_bits(word(&row[16..])), &row[24..]);
        let letters = name.iter().position(|byte| *byte == 0).unwrap();
        let found = word(&row[8..]).cast_signed();
        assert_eq!(word(&name[(letters / 8 + 1) * 8..]), END_OF_ROWS);
        (found, price, letters)
    }

    /// Reads all rows of a query, and touches each value.
    pub(crate) fn scan(&mut self, prepared: &mut Prepared, id: i64) -> Sums {
        self.run(prepared, id);
        let mut sums = Sums::default();
        loop {
            let (kind, body) = self.receive();
            assert_eq!(kind, RESPONSE_ROWS);
            let mut rest = first_row(body);
            loop {
                match word(rest) {
                    ROW_TYPES => {}
                    END_OF_PART => break,
                    END_OF_ROWS => return sums,
                    other => panic!("a row begins with {other:x}"),
                }
                sums.rows += 1;
                sums.ids += word(&rest[8..]).cast_signed();
                sums.prices += f64::from_bits(word(&rest[16..]));
                rest = &rest[24..];
                let letters = text_len(rest);
                sums.letters += letters;
                rest = &rest[(letters / 8 + 1) * 8..];
            }
        }
    }

    /// Runs a statement without rows, and answers how many rows it changed.
    pub(crate) fn exec(&mut self, prepared: &mut Prepared, id: i64) -> u64 {
        self.run(prepared, id);
        let (kind, body) = self.receive();
        assert_eq!(kind, RESPONSE_RESULT);
        word(&body[8..])
    }

    fn run(&mut self, prepared: &mut Prepared, id: i64) {
        self.send(prepared.with(id));
    }

    fn send(&mut self, request: &[u8]) {
        self.stream.write_all(request).unwrap();
    }

    /// The next message: its type and its body.
    fn receive(&mut self) -> (u8, &[u8]) {
        loop {
            let unread = &self.input[self.start..self.end];
            if unread.len() >= 8 {
                let len = 8 + u32::from_le_bytes(unread[..4].try_into().unwrap()) as usize * 8;
                assert!(len <= self.input.len());
                if unread.len() >= len {
                    let start = self.start;
                    self.start += len;
                    let message = &self.input[start..start + len];
                    assert_ne!(message[4], 0, "{}", String::from_utf8_lossy(message));
                    return (message[4], &message[8..]);
                }
            }
            if self.start > 0 {
                self.input.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            }
            if self.pipelined {
                set_tcp_quickack(&self.stream, true).unwrap();
            }
            let received = self.stream.read(&mut self.input[self.end..]).unwrap();
            assert_ne!(received, 0, "the node has closed the connection");
            self.end += received;
        }
    }
}

fn word(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes[..8].try_into().unwrap())
}

/// Skips the number of columns and their names.
fn first_row(body: &[u8]) -> &[u8] {
    assert_eq!(word(body), 3);
    let mut rest = &body[8..];
    for _ in 0..3 {
        rest = &rest[(text_len(rest) / 8 + 1) * 8..];
    }
    rest
}

/// The length of a text, looked for a word at a time.
fn text_len(bytes: &[u8]) -> usize {
    let (words, _) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let zeros = word.wrapping_sub(0x0101_0101_0101_0101) & !word & 0x8080_8080_8080_8080;
        if zeros != 0 {
            return index * 8 + zeros.trailing_zeros() as usize / 8;
        }
    }
    panic!("a text without an end")
}
