//! PostgreSQL servers that break the protocol: nothing malformed is taken for an answer, no call outlives its deadline,
//! and a connection that has seen it is not used again.

mod common;

use std::fs;
use std::time::{Duration, Instant};

use common::fake_postgres::{
    Act, Ask, FakePostgres, authentication, columns, complete, failed, message, prepared, ran,
    ready, row, start,
};
use common::scripted::{ScriptedServer, Step};
use common::wait_for;
use quorate::{Batch, Error, ErrorKind, Outcome, Pool, Result};

/// The deadline of a call that is answered at once, if wrongly.
const SOON: Duration = Duration::from_secs(5);
/// The deadline of a call that is never answered.
const SHORT: Duration = Duration::from_millis(60);
/// By how much a call may outlive its deadline on a machine that is busy with other tests. How late a call is by itself
/// is looked at elsewhere; here, whether it ends.
const GRACE: Duration = Duration::from_secs(2);

const INSERT: &str = "INSERT INTO t VALUES (1)";
const SELECT: &str = "SELECT n FROM t";
/// Run by the simple protocol.
const SEVERAL: &str = "INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)";

fn open(address: &str, more: &str) -> Pool {
    let options = "topology=off&pool_max_conns=1&topology_interval=1h";
    Pool::open(&format!("postgres://u:secret@{address}/d?{options}{more}")).unwrap()
}

fn insert(pool: &Pool) -> Result<u64> {
    pool.exec(INSERT, ()).map(|done| done.rows_affected)
}

fn select(pool: &Pool) -> Result<i64> {
    pool.query_row::<(i64,)>(SELECT, ()).map(|(n,)| n)
}

/// Reads the answer to its end.
fn all(pool: &Pool) -> Result<Vec<i64>> {
    let rows = pool.query(SELECT, ())?;
    rows.typed::<(i64,)>()
        .map(|row| row.map(|(n,)| n))
        .collect()
}

fn several(pool: &Pool) -> Result<u64> {
    pool.exec(SEVERAL, ()).map(|done| done.rows_affected)
}

/// An insert that is run as a text, in a batch whose statements do not fit into the cache.
fn batch(pool: &Pool) -> Result<u64> {
    let mut batch = Batch::new();
    batch.queue(INSERT, ())?;
    let mut results = pool.send_batch(&batch)?;
    results.exec().map(|done| done.rows_affected)
}

/// The connection that follows behaves, and what it answers is the answer to what was asked.
fn goes_on(server: &FakePostgres, pool: &Pool) {
    let pool = pool.within(SOON);
    for _ in 0..2 {
        let before = server.runs() as i64;
        assert_eq!(select(&pool).unwrap(), before + 1);
        assert_eq!(insert(&pool).unwrap(), 1);
    }
}

/// The messages of an answer.
fn messages(answer: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut rest = answer;
    while let [_, a, b, c, d, ..] = *rest {
        let len = u32::from_be_bytes([a, b, c, d]) as usize + 1;
        found.push(rest[..len].to_vec());
        rest = &rest[len..];
    }
    assert!(rest.is_empty());
    found
}

/// The places of an answer where its messages begin.
fn places(answer: &[u8]) -> Vec<usize> {
    let mut at = 0;
    let mut places = Vec::new();
    for message in messages(answer) {
        places.push(at);
        at += message.len();
    }
    places
}

/// One way to ask, and what a server should answer.
struct Case {
    name: &'static str,
    ask: Ask,
    usual: Vec<u8>,
    call: fn(&Pool) -> Result<()>,
    /// What an error of it says became of the statement.
    outcome: Outcome,
    options: &'static str,
}

fn cases() -> Vec<Case> {
    let case = |name, ask, usual, call, outcome| Case {
        name,
        ask,
        usual,
        call,
        outcome,
        options: "",
    };
    let text = [
        message(b'1', b""),
        message(b'2', b""),
        message(b't', &[0, 0]),
        message(b'n', b""),
        complete("INSERT 0 1"),
        ready(b"I"),
    ];
    let simple = [complete("INSERT 0 1"), complete("INSERT 0 1"), ready(b"I")];
    vec![
        case(
            "start",
            Ask::Start,
            start(),
            |pool| insert(pool).map(drop),
            Outcome::NotSent,
        ),
        case(
            "prepare a write",
            Ask::Prepare,
            prepared(false),
            |pool| insert(pool).map(drop),
            Outcome::NotSent,
        ),
        case(
            "prepare a query",
            Ask::Prepare,
            prepared(true),
            |pool| select(pool).map(drop),
            Outcome::NotSent,
        ),
        case(
            "write",
            Ask::Run,
            ran(None),
            |pool| insert(pool).map(|count| assert_eq!(count, 1)),
            Outcome::Unknown,
        ),
        case(
            "query",
            Ask::Run,
            ran(Some(77)),
            |pool| all(pool).map(|rows| assert_eq!(rows, [77])),
            Outcome::Unknown,
        ),
        Case {
            options: "&statement_cache=0",
            ..case(
                "text",
                Ask::Text,
                text.concat(),
                |pool| batch(pool).map(|count| assert_eq!(count, 1)),
                Outcome::Unknown,
            )
        },
        case(
            "several",
            Ask::Simple,
            simple.concat(),
            |pool| several(pool).map(|count| assert_eq!(count, 1)),
            Outcome::Unknown,
        ),
    ]
}

/// Has a request answered with something else: what the call says, within its deadline.
fn answered(
    server: &FakePostgres,
    pool: &Pool,
    case: &Case,
    act: Act,
    within: Duration,
) -> Result<()> {
    let mut late = 0;
    let (begin, result) = loop {
        if matches!(case.ask, Ask::Start | Ask::Prepare) {
            // These happen on a new connection alone.
            pool.reset();
        }
        server.act(case.ask, act.clone());
        let begin = Instant::now();
        let result = (case.call)(&pool.within(within));
        let kind = result.as_ref().err().map(Error::kind);
        // There is one slot, which the connection before may still have.
        let has_queued = kind == Some(ErrorKind::PoolTimeout);
        match server.forget() {
            0 if !has_queued => break (begin, result),
            // A machine that is slow enough has ended the call before it came there.
            _ if (has_queued || kind == Some(ErrorKind::Timeout)) && late < 50 => {
                late += 1;
                // A request that is on its way would take the next act.
                pool.reset();
                wait_for("the connections end", SOON, || {
                    (server.open() == 0).then_some(())
                });
            }
            _ => panic!("{}: the server was not asked: {result:?}", case.name),
        }
    };
    let took = begin.elapsed();
    assert!(took < within + GRACE, "{}: {took:?}", case.name);
    if let Err(error) = &result {
        assert!(!error.to_string().is_empty());
        let named = error.node() == Some(server.address())
            || error
                .causes()
                .iter()
                .any(|cause| cause.node == server.address());
        assert!(named, "{}: {error}", case.name);
    }
    result
}

/// The same, where what the server says must be taken for no answer.
fn fails(
    server: &FakePostgres,
    pool: &Pool,
    case: &Case,
    act: Act,
    what: &str,
    within: Duration,
) -> Option<Error> {
    let before = server.connections();
    let result = answered(server, pool, case, act, within);
    // Nothing can have been run: the pool may repeat it on another connection of its own.
    let repeated = case.ask == Ask::Prepare && server.connections() > before + 1;
    match result {
        Err(error) => {
            let told = format!("{}, {what}: {error}", case.name);
            assert!(error.outcome() == case.outcome || repeated, "{told}");
            Some(error)
        }
        Ok(()) => {
            assert!(repeated, "{}: {what} is taken for an answer", case.name);
            None
        }
    }
}

/// The error where it is told, and its kind.
#[track_caller]
fn is_protocol(error: Option<Error>) {
    if let Some(error) = error {
        assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
    }
}

#[test]
fn an_answer_that_is_cut_anywhere_is_none() {
    for case in cases() {
        let server = FakePostgres::start();
        let pool = open(server.address(), case.options);
        for at in 0..case.usual.len() {
            let act = Act::Close(case.usual[..at].to_vec());
            fails(&server, &pool, &case, act, &format!("a cut at {at}"), SOON);
        }
        goes_on(&server, &pool);
    }
}

#[test]
fn a_length_that_is_wrong_is_told_as_such() {
    for case in cases() {
        let server = FakePostgres::start();
        let pool = open(server.address(), case.options);
        for at in places(&case.usual) {
            for len in [
                0_u32,
                3,
                4,
                5,
                0x3fff_ffff,
                0x5000_0000,
                0x7fff_ffff,
                0xffff_ffff,
            ] {
                let mut bytes = case.usual.clone();
                bytes[at + 1..at + 5].copy_from_slice(&len.to_be_bytes());
                if bytes == case.usual {
                    continue;
                }
                let what = format!("message {at}, a length of {len}");
                // Within the limits, it is waited for.
                let (within, expected) = match len {
                    4 | 5 | 0x3fff_ffff if case.ask != Ask::Start => (SHORT, false),
                    _ => (SOON, true),
                };
                let error = fails(&server, &pool, &case, Act::Send(bytes), &what, within);
                if expected && case.ask != Ask::Start {
                    println!("{}, {what}", case.name);
                    is_protocol(error);
                }
            }
        }
        goes_on(&server, &pool);
    }
}

#[test]
fn a_message_of_another_type_is_no_answer() {
    for case in cases() {
        let server = FakePostgres::start();
        let pool = open(server.address(), case.options);
        for at in places(&case.usual) {
            for tag in *b"RKZ1t23TnDCEIGHWdcsvV?\0\xff" {
                let mut bytes = case.usual.clone();
                bytes[at] = tag;
                // What a server begins with is its own affair, and what the texts of several statements do.
                let own =
                    case.ask == Ask::Start && at > 0 || case.ask == Ask::Simple && tag == b'I';
                if bytes == case.usual || own {
                    continue;
                }
                let what = format!("message {at}, {:?}", char::from(tag));
                fails(&server, &pool, &case, Act::Send(bytes), &what, SHORT);
            }
        }
        goes_on(&server, &pool);
    }
}

#[test]
fn a_message_that_is_missing_or_comes_twice_breaks_the_answer() {
    for case in cases() {
        let server = FakePostgres::start();
        let pool = open(server.address(), case.options);
        let parts = messages(&case.usual);
        for index in 0..parts.len() {
            let tag = char::from(parts[index][0]);
            // How many statements a text has is the server's affair, and so are parameters, keys and rows.
            if case.ask == Ask::Simple && tag == 'C' || "SKD".contains(tag) {
                continue;
            }
            let mut less = parts.clone();
            less.remove(index);
            let what = format!("no {tag:?}");
            fails(
                &server,
                &pool,
                &case,
                Act::Send(less.concat()),
                &what,
                SHORT,
            );
            // A second one at the end comes after the answer; tokio-postgres passes over what follows the description of
            // a statement, which then runs as it should.
            let ignored = case.ask == Ask::Prepare && "nT".contains(tag);
            if index + 1 < parts.len() && !ignored {
                let mut more = parts.clone();
                more.insert(index, parts[index].clone());
                let what = format!("{tag:?} twice");
                fails(
                    &server,
                    &pool,
                    &case,
                    Act::Send(more.concat()),
                    &what,
                    SHORT,
                );
            }
        }
        goes_on(&server, &pool);
    }
}

#[test]
fn what_comes_before_it_is_asked_for_is_no_answer() {
    let server = FakePostgres::start();
    let pool = open(server.address(), "");
    for early in [
        ran(None),
        ready(b"I"),
        [message(b'2', b""), complete("INSERT 0 1"), ready(b"I")].concat(),
        failed(b'E', "ERROR", b"early"),
    ] {
        // Behind the answer to the preparation, and behind the start.
        for (ask, usual) in [(Ask::Prepare, prepared(false)), (Ask::Start, start())] {
            let runs = server.runs();
            server.act(ask, Act::Send([usual, early.clone()].concat()));
            let result = insert(&pool.within(SOON));
            server.forget();
            assert!(
                result.is_err() || server.runs() == runs + 1 && server.connections() > 1,
                "{ask:?}: {early:?} is taken for an answer"
            );
            drop(result);
            goes_on(&server, &pool);
            pool.reset();
        }
    }
}

#[test]
fn an_answer_that_comes_twice_is_not_that_to_the_next_statement() {
    let server = FakePostgres::start();
    let pool = open(server.address(), "");
    let more: [&[u8]; 6] = [
        b"D",
        b"\0",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        &ready(b"I"),
        &message(b'?', b""),
        &ran(Some(-1)),
    ];
    for more in more {
        let mut connection = pool.acquire().unwrap();
        connection.set_timeout(Some(4 * SHORT));
        connection.prepare(SELECT).unwrap();
        server.act(Ask::Run, Act::Send([&ran(Some(-1)), more].concat()));
        assert_eq!(connection.query_row::<(i64,)>(SELECT, ()).unwrap(), (-1,));
        let before = server.runs() as i64;
        for _ in 0..2 {
            match connection.query_row::<(i64,)>(SELECT, ()) {
                Ok((n,)) => assert!(n > before, "{more:?}: an old answer"),
                Err(error) => assert_eq!(error.outcome(), Outcome::NotSent, "{more:?}: {error}"),
            }
        }
        drop(connection);
        goes_on(&server, &pool);
        server.act(Ask::Run, Act::Send([&ran(None), more].concat()));
        assert_eq!(insert(&pool.within(SOON)).unwrap(), 1);
        goes_on(&server, &pool);
    }
}

#[test]
fn a_server_that_is_ready_in_a_strange_way_is_left() {
    for case in cases() {
        let server = FakePostgres::start();
        let pool = open(server.address(), case.options);
        let usual = &case.usual[..case.usual.len() - 6];
        for status in [&b""[..], b"X", b"\0", b"II", b"IT"] {
            let act = Act::Send([usual, &ready(status)].concat());
            let what = format!("ready with {status:?}");
            is_protocol(fails(&server, &pool, &case, act, &what, SOON));
        }
        goes_on(&server, &pool);
    }
}

#[test]
fn a_tag_that_cannot_be_read_counts_no_rows() {
    let server = FakePostgres::start();
    let pool = open(server.address(), "");
    for tag in [
        &b""[..],
        b"INSERT 0 1",
        b"INSERT 0 99999999999999999999\0",
        b"INSERT 0 1\0INSERT 0 1\0",
        b"\xff\xfe 1\0",
    ] {
        let act = Act::Send([message(b'2', b""), message(b'C', tag), ready(b"I")].concat());
        let case = &cases()[3];
        let what = String::from_utf8_lossy(tag);
        is_protocol(fails(&server, &pool, case, act, &what, SOON));
    }
    goes_on(&server, &pool);
}

#[test]
fn rows_and_columns_that_do_not_fit_together_are_told_as_such() {
    let server = FakePostgres::start();
    let pool = open(server.address(), "");
    let one: &[u8] = &1_i64.to_be_bytes();
    let rows = |row: Vec<u8>| [message(b'2', b""), row, complete("SELECT 1"), ready(b"I")].concat();
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut row = row(&[one]);
        change(&mut row);
        row
    };
    for bad in [
        row(&[]),
        row(&[one, one]),
        row(&[&[0; 7]]),
        message(b'D', b""),
        with(&|row| row[6] = 0xff),
        with(&|row| row[5..7].copy_from_slice(&[0xff; 2])),
        with(&|row| row[7..11].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff])),
        with(&|row| row[7..11].copy_from_slice(&[0x80, 0, 0, 0])),
        with(&|row| row[10] = 7),
        with(&|row| row[10] = 9),
    ] {
        let what = format!("{bad:?}");
        is_protocol(fails(
            &server,
            &pool,
            &cases()[4],
            Act::Send(rows(bad)),
            &what,
            SOON,
        ));
    }
    let described = |body: &[u8]| {
        [
            message(b'1', b""),
            message(b't', &[0, 0]),
            message(b'T', body),
            ready(b"I"),
        ]
        .concat()
    };
    let good = columns(&[20])[5..].to_vec();
    let changed = |at: usize, byte: u8| {
        let mut body = good.clone();
        body[at] = byte;
        body
    };
    for body in [
        vec![],
        vec![0],
        vec![0xff, 0xff],
        changed(1, 2),
        changed(0, 0x80),
        changed(3, b'n'),
        good[..good.len() - 1].to_vec(),
        [&good[..], b"\0"].concat(),
        [&[0, 1, 0xff, 0xfe, 0][..], &good[4..]].concat(),
    ] {
        let what = format!("columns {body:?}");
        let act = Act::Send(described(&body));
        fails(&server, &pool, &cases()[2], act, &what, SOON);
    }
    for parameters in [&b""[..], b"\0", b"\0\x01", b"\xff\xff", b"\0\0\0"] {
        let parts = [
            message(b'1', b""),
            message(b't', parameters),
            columns(&[20]),
            ready(b"I"),
        ];
        let what = format!("parameters {parameters:?}");
        fails(
            &server,
            &pool,
            &cases()[2],
            Act::Send(parts.concat()),
            &what,
            SOON,
        );
    }
    goes_on(&server, &pool);
}

#[test]
fn what_a_server_says_by_itself_may_come_anywhere() {
    let notice = failed(b'N', "NOTICE", b"\xff\xfe look");
    let notification = message(b'A', b"\0\0\0\x07channel\0payload\0");
    let status = message(b'S', b"TimeZone\0UTC\0");
    for case in cases().iter().skip(1) {
        for said in [&failed(b'N', "NOTICE", b"look"), &notification, &status] {
            let server = FakePostgres::start();
            let pool = open(server.address(), case.options);
            let mut bytes = said.clone();
            for message in messages(&case.usual) {
                bytes.extend(message);
                bytes.extend(said);
            }
            let result = answered(&server, &pool, case, Act::Send(bytes), SOON);
            result.unwrap_or_else(|error| panic!("{}: {error}", case.name));
            goes_on(&server, &pool);
            assert_eq!(server.connections(), 1, "{}", case.name);
        }
    }
    // A text that is no text, in what the portal reads.
    let server = FakePostgres::start();
    let pool = open(server.address(), "");
    let act = Act::Send([notice, ran(None)].concat());
    answered(&server, &pool, &cases()[3], act, SOON).unwrap();
    goes_on(&server, &pool);
}

#[test]
fn a_copy_that_nobody_asked_for_is_no_answer() {
    for case in cases().iter().skip(1) {
        let server = FakePostgres::start();
        let pool = open(server.address(), case.options);
        for tag in *b"GHW" {
            let copy = message(tag, &[0, 0, 1, 0, 0]);
            for rest in [
                vec![],
                [
                    message(b'd', b"1\n"),
                    message(b'c', b""),
                    complete("COPY 1"),
                    ready(b"I"),
                ]
                .concat(),
            ] {
                let what = format!("copy {:?}", char::from(tag));
                let act = Act::Send([&copy[..], &rest].concat());
                is_protocol(fails(&server, &pool, case, act, &what, SOON));
            }
        }
        goes_on(&server, &pool);
    }
}

#[test]
fn errors_that_are_no_texts_are_errors_all_the_same() {
    for case in cases() {
        let server = FakePostgres::start();
        let pool = open(server.address(), case.options);
        for (body, outcome) in [
            (failed(b'E', "ERROR", b"\xff\xfe\x80"), None),
            (failed(b'E', "ERROR", &[b'x'; 100_000]), Some(())),
            (failed(b'E', "FATAL", b"gone"), None),
            (message(b'E', b""), None),
            (message(b'E', b"\0"), None),
            (message(b'E', b"MNo code\0\0"), None),
            (message(b'E', b"SERROR\0C22012\0Mcut"), None),
            (
                message(b'E', b"SERROR\0CX\0MA code of one letter\0\0"),
                None,
            ),
            (message(b'E', b"SERROR\0C22012\0Mmore\0\0\0\0"), None),
        ] {
            let act = Act::Send([body.clone(), ready(b"I")].concat());
            let what = format!("an error {body:?}");
            let result = answered(&server, &pool, &case, act, SOON);
            // A connection that ends while a statement is prepared has not run it: the pool may repeat it.
            let Err(error) = result else {
                assert_eq!(case.ask, Ask::Prepare, "{what} is taken for an answer");
                continue;
            };
            if outcome.is_some() && case.ask != Ask::Start {
                assert_eq!(error.outcome(), Outcome::Rejected, "{}: {error}", case.name);
                assert_eq!(error.sqlstate(), Some("22012"));
            }
        }
        goes_on(&server, &pool);
    }
}

/// How much memory the process holds, in bytes.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = status.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[test]
fn a_flood_ends_at_the_deadline_and_fills_no_memory() {
    let floods = [
        failed(b'N', "NOTICE", &[b'x'; 1000]),
        message(b'A', b"\0\0\0\x07channel\0payload\0"),
        message(b'S', b"TimeZone\0UTC\0"),
    ];
    let within = Duration::from_millis(400);
    for case in cases() {
        for flood in &floods {
            let server = FakePostgres::start();
            let pool = open(server.address(), case.options);
            let before = resident();
            let begin = match case.ask {
                Ask::Start => authentication(0, b""),
                _ => Vec::new(),
            };
            let act = Act::Flood(begin, flood.clone());
            if let Some(error) = fails(&server, &pool, &case, act, "a flood", within) {
                println!("{}, {:?}: {error}", case.name, char::from(flood[0]));
            }
            let grown = resident().saturating_sub(before);
            assert!(grown < 64 << 20, "{}: {grown} bytes", case.name);
            goes_on(&server, &pool);
        }
    }
    // Parameters of ever other names.
    let names: Vec<u8> = (0..20_000_u32)
        .flat_map(|n| message(b'S', format!("name{n}\0{}\0", "x".repeat(1000)).as_bytes()))
        .collect();
    let server = FakePostgres::start();
    let pool = open(server.address(), "");
    let act = Act::Send([authentication(0, b""), names].concat());
    let before = resident();
    fails(
        &server,
        &pool,
        &cases()[0],
        act,
        "20 MB of parameters",
        SOON,
    );
    assert!(resident().saturating_sub(before) < 64 << 20);
    // Rows that are read, and rows that are skipped.
    let server = FakePostgres::start();
    let pool = open(server.address(), "");
    let skip = |pool: &Pool| pool.query(SELECT, ()).map(drop);
    let calls: [fn(&Pool) -> Result<()>; 3] = [
        skip,
        |pool| all(pool).map(drop),
        |pool| insert(pool).map(drop),
    ];
    for call in calls {
        server.act(Ask::Run, Act::Flood(message(b'2', b""), row(&[&[0; 8]])));
        let begin = Instant::now();
        let result = call(&pool.within(within));
        assert!(begin.elapsed() < within + GRACE, "{:?}", begin.elapsed());
        if let Err(error) = result {
            assert_eq!(
                (error.kind(), error.outcome()),
                (ErrorKind::Timeout, Outcome::Unknown)
            );
        }
        assert_eq!(server.forget(), 0);
        goes_on(&server, &pool);
    }
    goes_on(&server, &pool);
}

#[test]
fn an_idle_connection_that_is_flooded_is_left() {
    let server = FakePostgres::start();
    let pool = open(server.address(), "");
    let notice = failed(b'N', "NOTICE", &[b'x'; 1000]);
    server.act(Ask::Run, Act::Flood(ran(None), notice));
    assert_eq!(insert(&pool.within(SOON)).unwrap(), 1);
    let begin = Instant::now();
    let _ = insert(&pool.within(Duration::from_millis(400)));
    assert!(begin.elapsed() < Duration::from_millis(400) + GRACE);
    drop(pool);
    assert!(begin.elapsed() < SOON);
}

#[test]
fn what_is_to_be_cancelled_is_left_where_the_server_talks_on() {
    let server = FakePostgres::start();
    let pool = open(server.address(), "");
    goes_on(&server, &pool);
    server.act(Ask::Run, Act::Send(vec![]));
    // The request to cancel is the beginning of a connection.
    server.act(Ask::Start, Act::Flood(vec![], vec![b'x'; 1000]));
    let begin = Instant::now();
    let error = insert(&pool.within(SHORT)).unwrap_err();
    assert!(begin.elapsed() < SHORT + GRACE, "{:?}", begin.elapsed());
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Timeout, Outcome::Unknown)
    );
    assert_eq!(server.forget(), 0);
    goes_on(&server, &pool);
}

#[test]
fn a_row_that_does_not_describe_a_type_is_an_error() {
    let server = FakePostgres::start();
    let pool = open(server.address(), "&statement_cache=0");
    let mut batch = Batch::new();
    batch.queue(SELECT, ()).unwrap();
    let run = [
        message(b'1', b""),
        message(b'2', b""),
        message(b't', &[0, 0]),
        columns(&[70_000]),
        row(&[b"x"]),
        complete("SELECT 1"),
        ready(b"I"),
    ];
    for (types, values) in [
        (&[][..], &[][..]),
        (&[25], &[&b"name"[..]]),
        (&[25, 25, 25, 25], &[b"\xff\xfe", b"e", b"0", b"0"]),
        (&[25, 25, 25, 25], &[b"name", b"d", b"0"]),
        (
            &[25, 25, 25, 25],
            &[b"name", b"d", b"99999999999999999999", b"0"],
        ),
    ] {
        let found = [
            columns(types),
            row(values),
            complete("SELECT 1"),
            ready(b"I"),
        ];
        server.act(Ask::Text, Act::Send(run.concat()));
        server.act(Ask::Simple, Act::Send(found.concat()));
        let limited = pool.within(SOON);
        let mut results = limited.send_batch(&batch).unwrap();
        let error = results.query_row::<(String,)>().unwrap_err();
        println!("{error}");
        assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
        drop(results);
        assert_eq!(server.forget(), 0);
        goes_on(&server, &pool);
    }
}

#[test]
fn a_type_that_leads_to_ever_other_types_is_an_error() {
    let server = FakePostgres::start();
    let pool = open(server.address(), "");
    let types = columns(&[19, 18, 26, 26, 26, 19, 26]);
    let look_up = [
        message(b'1', b""),
        message(b't', &[0, 1, 0, 0, 0, 26]),
        types,
        ready(b"I"),
    ];
    let word = |n: u32| n.to_be_bytes();
    // A domain over a domain, an array of arrays, a type that is its own field.
    for which in [4, 2, 3] {
        server.act(
            Ask::Prepare,
            Act::Send(
                [
                    message(b'1', b""),
                    message(b't', &[0, 0]),
                    columns(&[70_000]),
                    ready(b"I"),
                ]
                .concat(),
            ),
        );
        server.act(Ask::Prepare, Act::Send(look_up.concat()));
        for oid in 70_001..120_000_u32 {
            let mut values = [
                &b"name"[..],
                b"d",
                &word(0),
                &word(0),
                &word(0),
                b"s",
                &word(0),
            ]
            .map(<[u8]>::to_vec);
            values[which] = word(oid).to_vec();
            let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
            let run = [
                message(b'2', b""),
                row(&values),
                complete("SELECT 1"),
                ready(b"I"),
            ];
            server.act(Ask::Run, Act::Send(run.concat()));
        }
        pool.reset();
        let begin = Instant::now();
        let error = select(&pool.within(SOON)).unwrap_err();
        println!(
            "{} types, {:?}: {error}",
            50_000 - server.forget(),
            begin.elapsed()
        );
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::Protocol, Outcome::NotSent),
            "{error}"
        );
        goes_on(&server, &pool);
    }
}

#[test]
fn a_proof_that_is_malformed_is_refused_at_once() {
    let server = FakePostgres::start();
    let pool = open(server.address(), "");
    let offered = authentication(10, b"SCRAM-SHA-256\0\0");
    let first: [&[u8]; 12] = [
        b"",
        b"r=",
        b"r=other,s=c2FsdA==,i=4096",
        b"s=c2FsdA==,i=4096",
        b"r=%,s=c2FsdA==",
        b"r=%,s=c2FsdA==,i=",
        b"r=%,s=c2FsdA==,i=-1",
        b"r=%,s=c2FsdA==,i=1000000000",
        b"r=%,s=c2FsdA==,i=4294967296",
        b"r=%,s=!!,i=4096",
        b"e=other-error",
        b"\xff\xfe",
    ];
    let refused = |acts: Vec<Act>, what: &str| {
        server.act(Ask::Start, Act::Send(offered.clone()));
        for act in acts {
            server.act(Ask::Password, act);
        }
        let begin = Instant::now();
        let fresh = open(server.address(), "");
        let error = insert(&fresh.within(SOON)).unwrap_err();
        println!("{what}: {error}");
        assert!(begin.elapsed() < SOON, "{what}");
        assert_eq!(error.outcome(), Outcome::NotSent, "{what}: {error}");
        assert!(!error.to_string().contains("secret"));
        assert_eq!(server.forget(), 0, "{what}: all was asked for");
        error
    };
    for first in first {
        let what = String::from_utf8_lossy(first);
        refused(vec![Act::Scram(first.to_vec())], &what);
    }
    // A proof of the server's that is wrong, or missing: it does not know the password.
    let good = Act::Scram(b"r=%x,s=c2FsdA==,i=4096".to_vec());
    let begun = || start();
    for end in [
        [
            authentication(12, b"v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
            begun(),
        ]
        .concat(),
        [authentication(12, b"v="), begun()].concat(),
        [authentication(12, b"v=!"), begun()].concat(),
        [authentication(12, b""), begun()].concat(),
        [authentication(12, b"e=invalid-proof"), begun()].concat(),
        [authentication(11, b"r=x"), begun()].concat(),
        begun(),
    ] {
        let what = String::from_utf8_lossy(&end).into_owned();
        refused(vec![good.clone(), Act::Send(end)], &what);
    }
    for offered in [
        &b""[..],
        b"\0",
        b"SCRAM-SHA-256",
        b"SCRAM-SHA-256-PLUS\0\0",
        b"OTHER\0\0",
    ] {
        server.act(Ask::Start, Act::Send(authentication(10, offered)));
        let error = insert(&open(server.address(), "").within(SOON)).unwrap_err();
        assert_eq!(error.outcome(), Outcome::NotSent, "{error}");
    }
    goes_on(&server, &pool);
}

/// A server that answers a request for TLS with something else than TLS.
#[test]
fn what_is_no_tls_is_refused() {
    let hello = b"S\x15\x03\x03\0\x02\x02\x28";
    let stuffed = [b"S", &start()[..]].concat();
    let refusal = [b"E\0\0\0", &failed(b'E', "FATAL", b"no")[..]].concat();
    let answers: [(&[u8], &str); 8] = [
        (b"N", "offers no tls"),
        (&refusal, "does not know tls"),
        (b"HTTP/1.1 400 Bad Request\r\n", "does not know tls"),
        (b"\0", "does not know tls"),
        (&stuffed, ""),
        (hello, ""),
        (b"", "closed"),
        (b"S", ""),
    ];
    for (answer, text) in answers {
        for mode in ["require", "verify-full&sslrootcert=system"] {
            let script = vec![
                Step::Startup,
                Step::Send(answer.to_vec()),
                Step::Pause(SHORT),
                Step::Close,
            ];
            let server = ScriptedServer::start(vec![script]);
            let pool = open(server.address(), &format!("&sslmode={mode}"));
            let begin = Instant::now();
            let error = insert(&pool.within(SOON)).unwrap_err();
            println!("{:?}: {error}", String::from_utf8_lossy(answer));
            assert!(begin.elapsed() < SOON, "{error}");
            assert_eq!(error.outcome(), Outcome::NotSent, "{error}");
            assert!(
                matches!(error.kind(), ErrorKind::Tls | ErrorKind::Connect),
                "{error}"
            );
            assert!(error.to_string().contains(text), "{error}");
            // Nothing but the request for TLS, and what begins TLS, has been sent in the clear.
            let sent = server.received(0);
            assert_eq!(&sent[..8], b"\0\0\0\x08\x04\xd2\x16\x2f");
            assert!(!sent.windows(6).any(|part| part == b"secret"));
        }
    }
}

/// The request for TLS, and the beginning of a start-up, behind its length.
const SSL_REQUEST: [u8; 8] = *b"\0\0\0\x08\x04\xd2\x16\x2f";
const START_UP: [u8; 4] = *b"\0\x03\0\0";

/// An error of a server that takes no connection like this one.
fn not_admitted() -> Vec<u8> {
    let fields = b"SFATAL\0VFATAL\0C28000\0Mthis server requires the client to use ssl\0\0";
    message(b'E', fields)
}

/// Whether each connection has begun with the request for TLS. The password was sent in none.
fn asked_for_tls(server: &ScriptedServer) -> Vec<bool> {
    let connections = 0..server.connections();
    connections
        .map(|index| {
            let sent = server.received(index);
            assert!(!sent.windows(6).any(|part| part == b"secret"));
            let asked = sent.starts_with(&SSL_REQUEST);
            assert!(asked || sent.get(4..8) == Some(&START_UP), "{sent:?}");
            asked
        })
        .collect()
}

/// With `prefer`, what has no TLS is spoken to in plain text, and what fails in the handshake once more. With `allow`, it
/// is plain text that is tried first.
#[test]
fn a_server_that_decides_is_met_twice_at_most() {
    let answer = |steps: &[Step], bytes: &[u8]| {
        let end = [Step::Send(bytes.to_vec()), Step::Pause(SHORT), Step::Close];
        [steps, &end].concat()
    };
    let asked = [Step::Startup];
    let open_for_plain = vec![Step::Startup, Step::Send(start()), Step::Hang];
    let in_plain_behind = |bytes: &[u8]| {
        let begin = vec![Step::Startup, Step::Send(bytes.to_vec())];
        [begin, open_for_plain.clone()].concat()
    };
    for (mode, scripts, expected) in [
        ("prefer", vec![in_plain_behind(b"N")], &[true][..]),
        (
            "prefer",
            vec![answer(&asked, b"S"), open_for_plain.clone()],
            &[true, false],
        ),
        (
            "prefer",
            vec![
                answer(&asked, b"S\x15\x03\x03\0\x02\x02\x28"),
                open_for_plain.clone(),
            ],
            &[true, false],
        ),
        (
            "prefer",
            vec![
                answer(&asked, &[b"S", &start()[..]].concat()),
                open_for_plain.clone(),
            ],
            &[true, false],
        ),
        (
            "prefer",
            vec![
                vec![Step::Startup, Step::Send(b"S".to_vec()), Step::Reset],
                open_for_plain.clone(),
            ],
            &[true, false],
        ),
        ("allow", vec![open_for_plain.clone()], &[false]),
    ] {
        let server = ScriptedServer::start(scripts);
        let pool = open(server.address(), &format!("&sslmode={mode}"));
        drop(pool.within(SOON).acquire().unwrap());
        assert_eq!(asked_for_tls(&server), expected, "{mode}");
    }
    let salt = authentication(5, b"salt");
    for (mode, scripts, text, expected) in [
        // What is no answer to the question, or none at all.
        (
            "prefer",
            answer(&asked, b"E\0\0\0"),
            "does not know tls",
            &[true][..],
        ),
        (
            "prefer",
            answer(&asked, b"HTTP/1.1"),
            "does not know tls",
            &[true],
        ),
        ("prefer", answer(&asked, b""), "closed", &[true]),
        // Plain text was all that there was.
        (
            "prefer",
            [
                in_plain_behind(b"N")[..3].to_vec(),
                answer(&[], &not_admitted()),
            ]
            .concat(),
            "to use ssl",
            &[true],
        ),
        // Another refusal, and one of a user who has begun to prove who it is.
        (
            "allow",
            answer(&asked, &failed(b'E', "FATAL", b"no")),
            "no",
            &[false],
        ),
        (
            "allow",
            answer(
                &[Step::Startup, Step::Send(salt), Step::Messages(1)],
                &not_admitted(),
            ),
            "to use ssl",
            &[false],
        ),
        (
            "allow",
            answer(&asked, &[authentication(0, b""), not_admitted()].concat()),
            "to use ssl",
            &[false],
        ),
    ] {
        let server = ScriptedServer::start(vec![scripts]);
        let pool = open(server.address(), &format!("&sslmode={mode}"));
        let error = insert(&pool.within(SOON)).unwrap_err();
        println!("{mode}: {error}");
        assert_eq!(error.outcome(), Outcome::NotSent, "{error}");
        assert!(error.to_string().contains(text), "{error}");
        assert_eq!(asked_for_tls(&server), expected, "{mode}: {error}");
    }
}

/// Both ways are under the deadline of the call.
#[test]
fn a_second_way_takes_no_second_deadline() {
    let refused = |answer: &[u8]| vec![Step::Startup, Step::Send(answer.to_vec()), Step::Close];
    let half = Duration::from_millis(200);
    let late = |answer: &[u8]| {
        let begin = vec![Step::Startup, Step::Pause(half)];
        [begin, vec![Step::Send(answer.to_vec()), Step::Close]].concat()
    };
    let hang = vec![Step::Startup, Step::Hang];
    let in_handshake = vec![Step::Startup, Step::Send(b"S".to_vec()), Step::Hang];
    for (mode, scripts, connections) in [
        ("prefer", vec![in_handshake.clone()], 1),
        ("prefer", vec![refused(b"S"), hang.clone()], 2),
        ("prefer", vec![late(b"S"), hang.clone()], 2),
        ("allow", vec![late(&not_admitted()), hang], 2),
        ("allow", vec![refused(&not_admitted()), in_handshake], 2),
    ] {
        let server = ScriptedServer::start(scripts);
        let pool = open(server.address(), &format!("&sslmode={mode}"));
        let begin = Instant::now();
        let error = insert(&pool.within(2 * half)).unwrap_err();
        let took = begin.elapsed();
        println!("{mode}: {took:?}: {error}");
        assert!((2 * half..2 * half + GRACE).contains(&took), "{took:?}");
        assert!(error.is_retryable(), "{error}");
        assert_eq!(server.connections(), connections, "{mode}: {error}");
    }
}
