//! dqlite nodes that break the protocol where `dqlite_malformed` does not: in what goes before a statement, in every field
//! of an answer, without end, and with the leader that they name.

mod common;

use std::fs;
use std::time::{Duration, Instant};

use common::fake::{
    ANSWER, CLIENT, CLUSTER, DB, FINALIZE, FakeLeader, LEADER, OPEN, PREPARE, STMT, WELCOME,
    failure, node, part, result, rows,
};
use common::raw::{frame, text};
use common::scripted::{ScriptedServer, Step};
use common::wait_for;
use quorate::{Batch, Config, Error, ErrorKind, Outcome, Pool, Result, TlsConfig, TlsMode};

/// The deadline of a call that is answered at once, if wrongly.
const SOON: Duration = Duration::from_secs(5);
/// The deadline of a call that is never answered.
const SHORT: Duration = Duration::from_millis(100);
/// By how much a call may outlive its deadline on a machine that is busy with other tests. How late a call is by itself
/// is looked at elsewhere; here, whether it ends.
const GRACE: Duration = Duration::from_secs(2);

const INSERT: &str = "INSERT INTO t VALUES (1)";
const SELECT: &str = "SELECT n FROM t";

fn pool(leader: &FakeLeader, more: &str) -> Pool {
    let options = format!("pool_max_conns=1&refresh_interval=1h&retry_limit=1{more}");
    let pool = Pool::open(&format!("dqlite://{}/test?{options}", leader.address())).unwrap();
    wait_for("the worker has read the list of nodes", SOON, || {
        (pool.stats().refreshes == 1 && leader.open() == 0).then_some(())
    });
    pool
}

fn insert(pool: &Pool) -> Result<i64> {
    pool.exec(INSERT, ()).map(|done| done.rows_affected as i64)
}

fn select(pool: &Pool) -> Result<i64> {
    pool.query_row::<(i64,)>(SELECT, ()).map(|(n,)| n)
}

fn goes_on(pool: &Pool) {
    let pool = pool.within(SOON);
    assert_eq!(select(&pool).unwrap(), ANSWER);
    assert_eq!(insert(&pool).unwrap(), 1);
}

/// Makes a call that has to end in time.
#[track_caller]
fn ends<T>(pool: &Pool, within: Duration, call: impl FnOnce(&Pool) -> Result<T>) -> Result<T> {
    let begin = Instant::now();
    let result = call(&pool.within(within));
    let took = begin.elapsed();
    assert!(took < within + GRACE, "{took:?}");
    if let Err(error) = &result {
        assert!(
            error.node().is_some() || !error.causes().is_empty(),
            "{error}"
        );
        assert_ne!(error.kind(), ErrorKind::Internal, "{error}");
    }
    result
}

/// Each byte of the header and of the body set to what is likely to hurt.
fn damaged(answer: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for at in 0..answer.len() {
        for byte in [0, 1, 3, 4, 0x7f, 0x80, 0xff] {
            let mut damaged = answer.to_vec();
            damaged[at] = byte;
            if damaged != answer {
                all.push(damaged);
            }
        }
    }
    for words in [0_u32, 3, 4, 0x7fff_ffff, 0xffff_ffff] {
        all.push([&words.to_le_bytes(), &answer[4..]].concat());
    }
    for kind in 0..=255 {
        let mut damaged = answer.to_vec();
        damaged[4] = kind;
        if damaged != answer {
            all.push(damaged);
        }
    }
    all
}

#[test]
fn an_answer_with_any_byte_changed_is_refused_or_means_what_it_says() {
    let leader = FakeLeader::start();
    let pool = pool(&leader, "&statement_cache=0");
    for answer in damaged(&result(0, 1)) {
        // A server that closes behind it leaves nothing to wait for.
        leader.act(vec![Step::Send(answer.clone()), Step::Close]);
        match ends(&pool, SOON, insert) {
            // The header is whole.
            Ok(_) => assert_eq!(answer[..6], result(0, 1)[..6], "{answer:?}"),
            Err(error) => assert_eq!(error.outcome(), Outcome::Unknown, "{answer:?}: {error}"),
        }
        wait_for("the connection ends", SOON, || {
            (leader.open() == 0).then_some(())
        });
    }
    goes_on(&pool);
}

#[test]
fn what_goes_before_a_statement_never_leaves_its_outcome_unknown() {
    let leader = FakeLeader::start();
    let words = |numbers: &[u64]| {
        let bytes: Vec<u8> = numbers
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect();
        bytes
    };
    let answers = [
        (LEADER, node(leader.address())),
        (CLIENT, frame(WELCOME, 0, &words(&[15000]))),
        (OPEN, frame(DB, 0, &words(&[0]))),
        (PREPARE, frame(STMT, 1, &words(&[0, 0, 0]))),
    ];
    let pool = pool(&leader, "");
    for (kind, answer) in answers {
        let mut bad: Vec<Vec<u8>> = (0..answer.len()).map(|at| answer[..at].to_vec()).collect();
        bad.extend(damaged(&answer).into_iter().step_by(5));
        bad.push([&answer[..], &answer].concat());
        bad.push([&answer[..], &result(1, 1)].concat());
        bad.push(failure(1, "\u{fffd}"));
        bad.push(frame(
            0,
            0,
            &[&words(&[1])[..], b"\xff\xfe\x80\0\0\0\0\0"].concat(),
        ));
        for bytes in bad {
            pool.reset();
            leader.act_on(kind, vec![Step::Send(bytes.clone()), Step::Close]);
            if let Err(error) = ends(&pool, SOON, insert) {
                let told = format!("{kind}, {bytes:?}: {error}");
                // Of some bytes it does not matter what they are: then the statement has been sent.
                let sent = kind == PREPARE && error.kind() == ErrorKind::Disconnected;
                assert!(sent || error.outcome() != Outcome::Unknown, "{told}");
            }
            leader.forget();
        }
        goes_on(&pool);
    }
}

#[test]
fn an_answer_that_comes_early_is_not_taken_for_that_to_the_statement() {
    let leader = FakeLeader::start();
    let pool = pool(&leader, "");
    let prepared = frame(STMT, 1, &[0; 24]);
    for early in [result(1, 9), rows(-1), failure(1, "early")] {
        pool.reset();
        let before = leader.statements();
        leader.act_on(PREPARE, vec![Step::Send([&prepared[..], &early].concat())]);
        match ends(&pool, SOON, insert) {
            Ok(count) => assert_eq!((count, leader.statements()), (1, before + 1)),
            Err(error) => assert_eq!(error.outcome(), Outcome::NotSent, "{error}"),
        }
        goes_on(&pool);
        // And to those of a batch.
        pool.reset();
        leader.act_on(PREPARE, vec![Step::Send([&prepared[..], &early].concat())]);
        let mut batch = Batch::new();
        batch.queue(INSERT, ()).unwrap();
        let counted = ends(&pool, SOON, |pool| {
            pool.send_batch(&batch)?
                .exec()
                .map(|done| done.rows_affected)
        });
        match counted {
            Ok(count) => assert_eq!(count, 1),
            Err(error) => assert_eq!(error.outcome(), Outcome::NotSent, "{error}"),
        }
        goes_on(&pool);
    }
}

#[test]
fn the_answer_to_a_statement_that_is_dropped_is_looked_at() {
    let leader = FakeLeader::start();
    for answer in [
        result(1, 9),
        rows(-1),
        failure(12, "unknown"),
        frame(8, 0, &[0; 16]),
        vec![0; 8],
    ] {
        let pool = pool(&leader, "&statement_cache=1");
        let mut connection = pool.acquire().unwrap();
        connection.exec(INSERT, ()).unwrap();
        leader.act_on(FINALIZE, vec![Step::Send(answer.clone()), Step::Close]);
        // The first is driven out by the second.
        let done = connection.exec("INSERT INTO t VALUES (2)", ());
        if let Ok(done) = done {
            assert_eq!(done.rows_affected, 1, "{answer:?}");
        }
        leader.forget();
        drop(connection);
        goes_on(&pool);
    }
}

/// How much memory the process holds, in bytes.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = status.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[test]
fn answers_without_end_stop_at_the_deadline_and_fill_no_memory() {
    let leader = FakeLeader::start();
    let pool = pool(&leader, "&statement_cache=0");
    let before = resident();
    let empty = frame(8, 0, &[0; 8]);
    let within = 4 * SHORT;
    for flood in [
        part(&[1; 100], false),
        part(&[], false),
        empty,
        result(1, 1),
        rows(1),
    ] {
        // Rows that are read, that nobody reads, and that a statement without any answers.
        for which in 0..3 {
            leader.act(vec![
                Step::Send(part(&[1], false)),
                Step::Flood(flood.clone()),
            ]);
            let ended = ends(&pool, within, |pool| match which {
                0 => {
                    let mut rows = pool.query(SELECT, ())?;
                    while rows.next()?.is_some() {}
                    Ok(())
                }
                1 => pool.query(SELECT, ()).map(drop),
                _ => pool.exec(INSERT, ()).map(drop),
            });
            if which == 2 {
                assert_eq!(ended.unwrap_err().outcome(), Outcome::Unknown);
            }
            goes_on(&pool);
        }
        for kind in [LEADER, CLIENT, OPEN] {
            pool.reset();
            leader.act_on(kind, vec![Step::Flood(flood.clone())]);
            // The worker may have been the one that met it.
            if let Err(error) = ends(&pool, within, insert) {
                assert_eq!(error.outcome(), Outcome::NotSent, "{error}");
            }
            leader.forget();
        }
        goes_on(&pool);
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes");
}

#[test]
fn a_length_takes_no_memory_by_itself() {
    let leader = FakeLeader::start();
    let pool = pool(&leader, "&statement_cache=0");
    let before = resident();
    // 64 MiB to the word, which are allowed.
    let header = [&(8_u32 << 20).to_le_bytes()[..], &[7, 0, 0, 0]].concat();
    leader.act(vec![Step::Send(header), Step::Hang]);
    let error = ends(&pool, SHORT, select).unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Timeout, Outcome::Unknown)
    );
    let grown = resident().saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes");
    goes_on(&pool);
}

/// Opens a pool on a node that names `leader`, and asks it something.
fn named(leader: &str) -> Error {
    let fake = FakeLeader::start();
    fake.name(leader);
    let url = format!("dqlite://{}/test?retry_limit=2", fake.address());
    let pool = Pool::open(&url).unwrap();
    let error = ends(&pool, SOON, insert).unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotSent, "{error}");
    error
}

#[test]
fn a_leader_that_cannot_be_one_is_an_error_that_names_both() {
    let garbage = [
        "",
        " ",
        ":",
        "::::",
        "a b",
        "\n",
        "host:99999",
        "[::1",
        "127.0.0.1:-1",
        "127.0.0.1:1",
        "@",
        "/etc/passwd",
        "dqlite://127.0.0.1:9001",
        "\u{1b}[2J",
    ];
    for leader in garbage {
        let error = named(leader);
        println!("{leader:?}: {error}");
        assert_eq!(error.causes().len(), 1, "{error}");
        assert!(!error.to_string().contains(['\n', '\u{1b}']), "{error:?}");
    }
    // What is said of one is no longer than what can be read.
    let error = named(&"x".repeat(1 << 20));
    assert!(
        error.to_string().len() < 4096,
        "{} bytes",
        error.to_string().len()
    );
}

#[test]
fn nodes_that_name_each_other_are_not_followed_in_a_circle() {
    let (one, other) = (FakeLeader::start(), FakeLeader::start());
    one.name(other.address());
    other.name(one.address());
    let url = format!(
        "dqlite://{},{}/test?retry_limit=3",
        one.address(),
        other.address()
    );
    let pool = Pool::open(&url).unwrap();
    let error = ends(&pool, SOON, insert).unwrap_err();
    println!("{error}");
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::NoLeader, Outcome::NotSent)
    );
    // Three rounds of two nodes, each of which leads to the other, and the worker's own.
    assert!(one.connections() + other.connections() < 60);
    one.name(one.address());
    other.name(one.address());
    goes_on(&pool);
}

#[test]
fn a_list_of_nodes_that_is_garbage_does_not_cost_the_leader() {
    let leader = FakeLeader::start();
    let nodes = |addresses: &[&str]| {
        let mut body = (addresses.len() as u64).to_le_bytes().to_vec();
        for (id, address) in addresses.iter().enumerate() {
            body.extend((id as u64).to_le_bytes());
            body.extend(text(address));
            body.extend(99_u64.to_le_bytes());
        }
        frame(3, 0, &body)
    };
    let many: Vec<String> = (0..10_000)
        .map(|n| format!("127.0.0.1:{}", n % 7))
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for list in [
        nodes(&[]),
        nodes(&["", "\n", "a b", ":", "[::1"]),
        nodes(&many),
        frame(3, 0, &u64::MAX.to_le_bytes()),
    ] {
        leader.act_on(CLUSTER, vec![Step::Send(list)]);
        let url = format!("dqlite://{}/test?retry_limit=2", leader.address());
        let pool = Pool::open(&url).unwrap();
        wait_for("the worker has asked", SOON, || {
            (leader.forget() == 0).then_some(())
        });
        for _ in 0..3 {
            goes_on(&pool);
            pool.reset();
        }
    }
}

#[test]
fn tls_that_is_none_is_refused() {
    for answer in [
        &b"N"[..],
        b"",
        &[1, 0, 0, 0, 0, 0, 0, 0],
        b"\x16\x03\x03\xff\xff",
        &[0x15, 3, 3, 0, 2, 2, 40],
    ] {
        let server = ScriptedServer::start(vec![vec![
            Step::Handshake,
            Step::Send(answer.to_vec()),
            Step::Pause(SHORT),
            Step::Close,
        ]]);
        let url = format!(
            "dqlite://{}/test?retry_limit=1&sslmode=require",
            server.address()
        );
        let error = ends(&Pool::open(&url).unwrap(), SOON, insert).unwrap_err();
        println!("{answer:?}: {error}");
        assert_eq!(error.outcome(), Outcome::NotSent, "{error}");
    }
    // A node cannot be asked whether it has TLS.
    for mode in [TlsMode::Allow, TlsMode::Prefer] {
        let mut config = Config::parse("dqlite://127.0.0.1:1/test").unwrap();
        config.set_tls(TlsConfig::new(mode));
        let error = Pool::with_config(config).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        assert!(error.message().contains("not for dqlite"), "{error}");
    }
    let server = ScriptedServer::start(vec![vec![Step::Flood(vec![0x14, 3, 3, 0, 1, 1])]]);
    let url = format!("dqlite://{}/test?sslmode=require", server.address());
    let error = ends(&Pool::open(&url).unwrap(), 4 * SHORT, insert).unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotSent, "{error}");
}
