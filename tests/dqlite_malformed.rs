//! Leaders that break the protocol: every error says what and where, and the pool goes on.

mod common;

use std::time::{Duration, Instant};

use common::fake::{ANSWER, EMPTY, FakeLeader, RESULT, ROWS, failure, part, result, rows};
use common::raw::frame;
use common::scripted::Step;
use common::wait_for;
use quorate::{Batch, Error, ErrorKind, Outcome, Pool};

/// The deadline of a call that is answered at once, if wrongly.
const SOON: Duration = Duration::from_secs(5);
/// The deadline of a call that is never answered.
const SHORT: Duration = Duration::from_millis(100);
/// By how much a call may outlive its deadline; the machine may be busy with other tests.
const GRACE: Duration = Duration::from_millis(250);

const INSERT: &str = "INSERT INTO t VALUES (1)";
const SELECT: &str = "SELECT n FROM t";

fn pool(leader: &FakeLeader) -> Pool {
    // One connection, and no preparation: each statement is one request.
    let options = "statement_cache=0&pool_max_conns=1&refresh_interval=1h";
    let pool = Pool::open(&format!("dqlite://{}/test?{options}", leader.address())).unwrap();
    wait_for("the worker has read the list of nodes", SOON, || {
        (pool.stats().refreshes == 1 && leader.open() == 0).then_some(())
    });
    pool
}

/// Reads the first column of all rows.
fn select(pool: &Pool) -> quorate::Result<Vec<i64>> {
    let rows = pool.query(SELECT, ())?;
    rows.typed::<(i64,)>()
        .map(|row| row.map(|(n,)| n))
        .collect()
}

/// The connection that follows behaves, and has nothing to do with what came before.
fn assert_goes_on(pool: &Pool) {
    let pool = pool.within(SOON);
    assert_eq!(select(&pool).unwrap(), [ANSWER]);
    assert_eq!(pool.exec(INSERT, ()).unwrap().rows_affected, 1);
}

fn exec_answered(leader: &FakeLeader, pool: &Pool, steps: Vec<Step>) -> Error {
    leader.act(steps);
    let error = pool.within(SOON).exec(INSERT, ()).unwrap_err();
    assert_eq!(error.node(), Some(leader.address()), "{error}");
    error
}

fn select_answered(leader: &FakeLeader, pool: &Pool, steps: Vec<Step>) -> Error {
    leader.act(steps);
    let error = select(&pool.within(SOON)).unwrap_err();
    assert_eq!(error.node(), Some(leader.address()), "{error}");
    error
}

#[track_caller]
fn assert_error(error: &Error, kind: ErrorKind, outcome: Outcome, part: &str) {
    assert_eq!((error.kind(), error.outcome()), (kind, outcome), "{error}");
    assert!(error.to_string().contains(part), "{error}");
}

#[test]
fn an_answer_that_is_cut_off_anywhere_leaves_the_outcome_unknown() {
    let leader = FakeLeader::start();
    let pool = pool(&leader);
    let (answer, parts) = (
        result(7, 1),
        [part(&[1, 2], false), part(&[3], true)].concat(),
    );
    for at in 0..answer.len() {
        for end in [Step::Close, Step::Reset] {
            let steps = vec![Step::Send(answer[..at].to_vec()), end];
            let error = exec_answered(&leader, &pool, steps);
            assert_error(&error, ErrorKind::Disconnected, Outcome::Unknown, "server");
        }
    }
    for at in 0..parts.len() {
        let steps = vec![Step::Send(parts[..at].to_vec()), Step::Close];
        let error = select_answered(&leader, &pool, steps);
        assert_error(&error, ErrorKind::Disconnected, Outcome::Unknown, "closed");
    }
    assert_goes_on(&pool);
}

#[test]
fn an_answer_that_stops_halfway_ends_at_the_deadline() {
    let leader = FakeLeader::start();
    let pool = pool(&leader);
    let answer = result(7, 1);
    for at in [0, 4, 8, 12, answer.len() - 1] {
        leader.act(vec![Step::Send(answer[..at].to_vec()), Step::Hang]);
        let start = Instant::now();
        let error = pool.within(SHORT).exec(INSERT, ()).unwrap_err();
        assert!(start.elapsed() < SHORT + GRACE, "{:?}", start.elapsed());
        assert_error(&error, ErrorKind::Timeout, Outcome::Unknown, "deadline");
    }
    let first = part(&[1, 2], false);
    leader.act(vec![Step::Send(first), Step::Hang]);
    let start = Instant::now();
    let error = select(&pool.within(SHORT)).unwrap_err();
    assert!(start.elapsed() < SHORT + GRACE, "{:?}", start.elapsed());
    assert_error(&error, ErrorKind::Timeout, Outcome::Unknown, "deadline");
    assert_goes_on(&pool);
}

#[test]
fn what_the_protocol_does_not_allow_is_named() {
    let leader = FakeLeader::start();
    let pool = pool(&leader);
    let word = |number: u64| number.to_le_bytes();
    let header = |words: u32, kind: u8| [&words.to_le_bytes()[..], &[kind, 0, 0, 0]].concat();
    // Each with a part of its text, for a statement without rows and for a query.
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (
            header(1 << 29, RESULT),
            "4294967296 bytes, more than the 67108864",
        ),
        (header(u32::MAX, ROWS), "34359738360 bytes"),
        (header(0, RESULT), "0 bytes"),
        (header(0, ROWS), "0 bytes"),
        (frame(11, 0, &word(0)), "unknown type 11"),
        (frame(255, 0, &word(0)), "unknown type 255"),
        (frame(RESULT, 9, &[0; 16]), "schema is 9"),
        (frame(EMPTY, 0, &word(0)), "EMPTY where"),
        (frame(RESULT, 0, &[0; 8]), "RESULT"),
        (frame(RESULT, 0, &[0; 24]), "RESULT"),
        (frame(0, 0, &word(1)), "FAILURE"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), "bytes"),
    ];
    for (answer, expected) in &cases {
        for answered in [exec_answered, select_answered] {
            let steps = vec![Step::Send(answer.clone()), Step::Hang];
            let error = answered(&leader, &pool, steps);
            assert_error(&error, ErrorKind::Protocol, Outcome::Unknown, expected);
        }
    }
    let error = exec_answered(&leader, &pool, vec![Step::Send(rows(1))]);
    assert_error(
        &error,
        ErrorKind::Protocol,
        Outcome::Unknown,
        "ROWS where RESULT",
    );
    let error = select_answered(&leader, &pool, vec![Step::Send(result(1, 1))]);
    assert_error(
        &error,
        ErrorKind::Protocol,
        Outcome::Unknown,
        "RESULT where ROWS",
    );
    assert_goes_on(&pool);
}

#[test]
fn rows_that_cannot_be_read_are_named() {
    let leader = FakeLeader::start();
    let pool = pool(&leader);
    let with = |at: usize, bytes: &[u8]| {
        let mut answer = part(&[1, 2, 3], true);
        answer[at..at + bytes.len()].copy_from_slice(bytes);
        answer
    };
    // 8 of header, 8 of the number of columns, 8 of the name, 16 a row.
    let cases = [
        (with(8, &u64::MAX.to_le_bytes()), "columns"),
        (with(8, &2u64.to_le_bytes()), ""),
        (with(16, &[0xc3, 0x28, 0]), "utf-8"),
        (with(24 + 16, &[0x07]), "row 2"),
        (with(24 + 16, &[0x0f]), "row 2"),
        (with(24 + 48, &[0x00; 8]), "row 4"),
    ];
    for (answer, expected) in cases {
        let error = select_answered(&leader, &pool, vec![Step::Send(answer)]);
        assert_error(&error, ErrorKind::Protocol, Outcome::Unknown, expected);
    }
    let mut other = part(&[1], false);
    other.extend(frame(
        ROWS,
        0,
        &[&0u64.to_le_bytes()[..], &[0xff; 8]].concat(),
    ));
    let error = select_answered(&leader, &pool, vec![Step::Send(other)]);
    assert_error(&error, ErrorKind::Protocol, Outcome::Unknown, "0 columns");
    let mut other = part(&[1], false);
    other.extend(result(1, 1));
    let error = select_answered(&leader, &pool, vec![Step::Send(other)]);
    assert_error(
        &error,
        ErrorKind::Protocol,
        Outcome::Unknown,
        "RESULT where ROWS",
    );
    assert_goes_on(&pool);
}

#[test]
fn a_failure_with_an_odd_code_is_an_error_and_no_more() {
    let leader = FakeLeader::start();
    let pool = pool(&leader);
    let connections = {
        assert_goes_on(&pool);
        leader.connections()
    };
    for (code, kind, outcome) in [
        (0, ErrorKind::Database, Outcome::Unknown),
        (1, ErrorKind::Database, Outcome::Rejected),
        (0xff, ErrorKind::Database, Outcome::Rejected),
        (u64::from(u32::MAX), ErrorKind::Database, Outcome::Rejected),
        (u64::MAX, ErrorKind::Database, Outcome::Rejected),
        (1 << 63 | 19, ErrorKind::Constraint, Outcome::Rejected),
    ] {
        for answered in [exec_answered, select_answered] {
            let steps = vec![Step::Send(failure(code, "odd"))];
            let error = answered(&leader, &pool, steps);
            assert_error(&error, kind, outcome, "odd");
        }
    }
    assert_goes_on(&pool);
    assert_eq!(leader.connections(), connections, "the connection was good");
}

#[test]
fn what_nobody_asked_for_is_noticed_before_the_next_statement() {
    let leader = FakeLeader::start();
    let pool = pool(&leader);
    // Together with the answer.
    leader.act(vec![Step::Send([rows(1), rows(2)].concat())]);
    assert_eq!(select(&pool).unwrap(), [1]);
    assert_eq!(select(&pool).unwrap(), [ANSWER]);
    // Later, while the connection is idle.
    leader.act(vec![
        Step::Send(rows(1)),
        Step::Pause(Duration::from_millis(20)),
        Step::Send(rows(2)),
    ]);
    assert_eq!(select(&pool).unwrap(), [1]);
    wait_for("the second answer is sent", SOON, || {
        (leader.played() == 2).then_some(())
    });
    assert_eq!(select(&pool).unwrap(), [ANSWER]);
    // On a connection that is not given back in between.
    let mut connection = pool.acquire().unwrap();
    leader.act(vec![Step::Send([rows(1), rows(2)].concat())]);
    assert_eq!(connection.query_row::<(i64,)>(SELECT, ()).unwrap(), (1,));
    assert_eq!(
        connection.query_row::<(i64,)>(SELECT, ()).unwrap(),
        (ANSWER,)
    );
}

#[test]
fn a_closed_idle_connection_costs_the_caller_nothing() {
    let leader = FakeLeader::start();
    let pool = pool(&leader);
    for end in [Step::Close, Step::Reset] {
        leader.act(vec![Step::Send(result(1, 1)), end]);
        pool.exec(INSERT, ()).unwrap();
        wait_for("the connection ends", SOON, || {
            (leader.open() == 0).then_some(())
        });
        assert_goes_on(&pool);
    }
}

#[test]
fn each_statement_of_a_broken_batch_has_its_own_outcome() {
    let leader = FakeLeader::start();
    let pool = pool(&leader);
    let mut batch = Batch::new();
    for sql in [INSERT, SELECT, INSERT, INSERT] {
        batch.queue(sql, ()).unwrap();
    }
    let first = vec![Step::Send(result(1, 1))];
    for damage in [
        vec![Step::Close],
        vec![Step::Reset],
        vec![Step::Send(part(&[1], false)), Step::Close],
        vec![Step::Send(part(&[1], false)), Step::Reset],
        vec![
            Step::Send(part(&[1], false)),
            Step::Send(frame(11, 0, &[0; 8])),
        ],
        vec![Step::Send(part(&[1], false)), Step::Hang],
    ] {
        leader.act(first.clone());
        leader.act(damage.clone());
        let within = if matches!(damage.last(), Some(Step::Hang)) {
            SHORT
        } else {
            SOON
        };
        let mut results = pool.within(within).send_batch(&batch).unwrap();
        assert_eq!(results.exec().unwrap().rows_affected, 1);
        let error = (|| {
            let mut rows = results.query()?;
            while rows.next()?.is_some() {}
            Ok::<_, Error>(())
        })()
        .unwrap_err();
        assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
        for _ in 0..2 {
            let error = results.exec().unwrap_err();
            assert_eq!(error.outcome(), Outcome::Unknown, "{damage:?}: {error}");
        }
        assert_eq!(results.exec().unwrap_err().kind(), ErrorKind::Misuse);
        drop(results);
        assert_goes_on(&pool);
    }
}

#[test]
fn nothing_that_happens_at_the_start_of_a_connection_is_an_unknown_outcome() {
    // The answers to LEADER, and to CLIENT and OPEN.
    let node = |server: &str| common::fake::node(server);
    let welcome = frame(2, 0, &0u64.to_le_bytes());
    let damages: [&[u8]; 5] = [
        &[],
        &[0; 8],
        &[1, 0, 0, 0, 99, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0xff; 16],
        &[1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0],
    ];
    for damage in damages {
        for place in 0..3 {
            let server = common::scripted::ScriptedServer::start_with(|address| {
                let mut steps = vec![Step::Handshake, Step::Frames(1)];
                let answers = [node(address), welcome.clone(), Vec::new()];
                for (index, answer) in answers.into_iter().enumerate() {
                    if index == place {
                        steps.push(Step::Send(damage.to_vec()));
                        steps.push(Step::Close);
                        break;
                    }
                    steps.push(Step::Send(answer));
                    if index == 0 {
                        steps.push(Step::Frames(2));
                    }
                }
                vec![steps]
            });
            let url = format!("dqlite://{}/test?retry_limit=1", server.address());
            let pool = Pool::open(&url).unwrap();
            let error = pool.within(SOON).exec(INSERT, ()).unwrap_err();
            assert_eq!(
                (error.kind(), error.outcome()),
                (ErrorKind::NoLeader, Outcome::NotSent),
                "{error}"
            );
            assert_eq!(error.causes().len(), 1, "{error}");
        }
    }
}

#[test]
fn a_write_whose_answer_cannot_be_read_was_sent() {
    let leader = FakeLeader::start();
    let pool = pool(&leader);
    let insert = "INSERT INTO t VALUES (1) RETURNING n";
    let pool = pool.within(SOON);
    assert_eq!(pool.query_row::<(i64,)>(insert, ()).unwrap(), (ANSWER,));
    let error = pool.query_row::<(String,)>(insert, ()).unwrap_err();
    assert_error(&error, ErrorKind::Conversion, Outcome::Unknown, "text");
    let error = pool.query_row::<(String,)>(SELECT, ()).unwrap_err();
    assert_error(&error, ErrorKind::Conversion, Outcome::Rejected, "text");
}

/// Bytes from a seed, without a dependency: SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// Pure noise, or an answer with a few bytes changed.
fn noise(random: &mut Random) -> Vec<u8> {
    if random.below(4) == 0 {
        let len = random.below(200);
        return (0..len).map(|_| random.next() as u8).collect();
    }
    let mut answer = match random.below(4) {
        0 => result(random.next(), random.next()),
        1 => part(&[1, 2, 3], true),
        2 => [part(&[1, 2], false), part(&[3], true)].concat(),
        _ => failure(random.next(), "some message"),
    };
    for _ in 0..=random.below(4) {
        let at = random.below(answer.len());
        answer[at] = random.next() as u8;
    }
    answer
}

#[test]
fn no_answer_makes_a_call_hang_or_panic() {
    let leader = FakeLeader::start();
    let pool = pool(&leader);
    for seed in 0..500 {
        let mut random = Random(seed);
        leader.act(vec![Step::Send(noise(&mut random)), Step::Close]);
        let begun = Instant::now();
        let outcome = if random.below(2) == 0 {
            pool.within(SOON).exec(INSERT, ()).map(|_| Vec::new())
        } else {
            select(&pool.within(SOON))
        };
        // The server closes after it: no call has a reason to wait for its deadline.
        assert!(begun.elapsed() < SOON, "seed {seed}: {outcome:?}");
        if let Err(error) = &outcome {
            assert_ne!(error.kind(), ErrorKind::Internal, "seed {seed}: {error}");
            // A value that is not of the type asked for is a fault of no call.
            if error.kind() != ErrorKind::Conversion {
                assert_ne!(error.outcome(), Outcome::NotSent, "seed {seed}: {error}");
            }
        }
        // A statement that met a connection on its way to its end would leave its act to the next one.
        wait_for("the connection ends", SOON, || {
            (leader.open() == 0).then_some(())
        });
        if seed % 50 == 0 {
            assert_goes_on(&pool);
            pool.reset();
        }
    }
    assert_goes_on(&pool);
}
