//! Picodata's manners, played by a server that answers each execution as it is told: no key, errors without
//! anything but a text, statements that go out of date.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use super::*;
use crate::error::{ErrorKind, Outcome};
use basic::loopback;

/// What an execution is answered.
#[derive(Clone, Copy)]
enum Reply {
    Done,
    Error(&'static str, &'static str),
    Nothing,
}

const DROPPED: Reply = Reply::Error(
    "XX000",
    "sbroad: Failed to execute '.proc_sql_execute': sbroad: space metadata for table: 1074 not found",
);
const STALE: Reply = Reply::Error(
    "XX000",
    r#"sbroad: box error: ProcLua: {"code":32,"message":"Error on replicaset r1: sbroad: storage schema version different from router","trace":[]}"#,
);
const INVALIDATED: Reply = Reply::Error("42999", "prepared statement s1 has been invalidated");
/// 26.1 says it when it binds, of a table that was dropped.
const GONE: Reply = Reply::Error("XX000", "sbroad: space metadata for table: t not found");

/// Serves one connection; the executions are answered by `replies` in turn, and then not at all.
fn serve(replies: &[Reply]) -> (String, thread::JoinHandle<usize>) {
    let listener = TcpListener::bind((loopback(), 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let replies = replies.to_vec();
    let served = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        converse(&mut stream, replies).1
    });
    (address, served)
}

/// How many statements were prepared, when the client has gone.
fn converse(stream: &mut TcpStream, replies: Vec<Reply>) -> (std::io::Result<()>, usize) {
    let mut prepared = 0;
    let mut replies = replies.into_iter();
    let mut skipping = false;
    let mut answer = Vec::new();
    let mut next = || -> std::io::Result<()> {
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        stream.read_exact(&mut vec![0; u32::from_be_bytes(length) as usize - 4])?;
        message(&mut answer, b'R', &[0; 4]);
        message(&mut answer, b'Z', b"I");
        loop {
            stream.write_all(&answer)?;
            answer.clear();
            let mut header = [0; 5];
            stream.read_exact(&mut header)?;
            let [tag, length @ ..] = header;
            stream.read_exact(&mut vec![0; u32::from_be_bytes(length) as usize - 4])?;
            match tag {
                b'S' => {
                    skipping = false;
                    message(&mut answer, b'Z', b"I");
                }
                _ if skipping => {}
                b'P' => {
                    prepared += 1;
                    message(&mut answer, b'1', b"");
                }
                b'D' => {
                    message(&mut answer, b't', &[0, 0]);
                    message(&mut answer, b'n', b"");
                }
                b'B' => message(&mut answer, b'2', b""),
                b'C' => message(&mut answer, b'3', b""),
                b'E' => match replies.next().unwrap_or(Reply::Nothing) {
                    Reply::Done => message(&mut answer, b'C', b"INSERT 0 1\0"),
                    Reply::Error(code, text) => {
                        let body = format!("SERROR\0C{code}\0M{text}\0\0");
                        message(&mut answer, b'E', body.as_bytes());
                        skipping = true;
                    }
                    Reply::Nothing => loop {
                        stream.read_exact(&mut [0])?;
                    },
                },
                _ => panic!("message {:?}", char::from(tag)),
            }
        }
    };
    (next(), prepared)
}

fn message(out: &mut Vec<u8>, tag: u8, body: &[u8]) {
    out.push(tag);
    out.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
    out.extend_from_slice(body);
}

fn open_at(address: &str) -> Testing {
    let mut options = options();
    options.server = Server::Picodata;
    Testing(connect(address, &Arc::new(options), &seconds(20)).unwrap())
}

#[test]
fn a_statement_out_of_date_is_prepared_again_unless_part_of_it_may_have_been_run() {
    let read = "SELECT id FROM t";
    let write = "INSERT INTO t VALUES (1)";
    let writes = "INSERT INTO t VALUES (1), (2)";
    for (sql, replies, done, prepared) in [
        (read, &[Reply::Done, STALE, Reply::Done][..], true, 2),
        (read, &[Reply::Done, INVALIDATED, Reply::Done], true, 2),
        (write, &[Reply::Done, INVALIDATED, Reply::Done], true, 2),
        // The table was dropped, and there is a new one of its name.
        (read, &[Reply::Done, DROPPED, Reply::Done], true, 2),
        (write, &[Reply::Done, DROPPED, Reply::Done], true, 2),
        // One row lies in one replicaset. Of several, another one may have taken its own.
        (write, &[Reply::Done, STALE, Reply::Done], true, 2),
        (writes, &[Reply::Done, STALE, Reply::Done], false, 1),
        (writes, &[Reply::Done, INVALIDATED, Reply::Done], true, 2),
        (writes, &[Reply::Done, GONE, Reply::Done], true, 2),
        // Once, and not for ever.
        (read, &[Reply::Done, STALE, STALE, Reply::Done], false, 2),
    ] {
        let (address, server) = serve(replies);
        let mut session = open_at(&address);
        session.exec(sql, ()).unwrap();
        let again = session.exec(sql, ());
        assert_eq!(again.is_ok(), done, "{again:?}");
        if let Err(error) = again {
            assert_eq!(
                (error.kind(), error.sqlstate()),
                (ErrorKind::Database, Some("XX000"))
            );
            assert_eq!(
                error.message(),
                "storage schema version different from router"
            );
            let reads = sql == read;
            assert_eq!(error.outcome() == Outcome::Rejected, reads, "{sql}");
            assert!(!session.0.is_broken());
        }
        drop(session);
        assert_eq!(server.join().unwrap(), prepared);
    }
}

#[test]
fn errors_are_told_by_their_text_where_there_is_nothing_else() {
    let duplicate = r#"sbroad: TupleFound: Duplicate key exists in unique index "t_pkey""#;
    let (address, server) = serve(&[
        Reply::Error("XX000", duplicate),
        Reply::Error("XX000", "sbroad: table with name \"t\" not found"),
        Reply::Error("0A000", "unsupported type"),
        Reply::Done,
    ]);
    let mut session = open_at(&address);
    for (kind, whole) in [
        (ErrorKind::Constraint, Some(duplicate)),
        (
            ErrorKind::Database,
            Some("sbroad: table with name \"t\" not found"),
        ),
        (ErrorKind::Unsupported, None),
    ] {
        let error = session.exec("INSERT INTO t VALUES (1)", ()).unwrap_err();
        assert_eq!(error.detail(), whole, "{error:?}");
        assert_eq!(
            (error.kind(), error.outcome()),
            (kind, Outcome::Rejected),
            "{error:?}"
        );
    }
    session.exec("INSERT INTO t VALUES (1)", ()).unwrap();
    drop(session);
    assert_eq!(server.join().unwrap(), 1);
}

#[test]
fn a_server_without_a_key_is_left_behind() {
    let (address, server) = serve(&[]);
    let mut session = open_at(&address);
    let sql = "INSERT INTO t VALUES (1)";
    session.0.prepare(sql, &seconds(20)).unwrap();
    let call = Call::until(Deadline::after(Duration::from_millis(50)));
    let error = session
        .0
        .exec(sql, ParamsRef::Positional(&[]), &call)
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Timeout, Outcome::Unknown)
    );
    assert!(session.0.is_broken());
    drop(session);
    server.join().unwrap();
}
