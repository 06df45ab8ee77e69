//! Which transactions are repeated as a whole: those of which the answers say that nothing was applied, whether
//! their statements went one by one, in a batch or as one text.

mod common;

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;
use std::time::Duration;

use common::cluster::DEADLINE;
use common::fake::{FakeLeader, failure, result};
use common::passing::passing_leadership;
use common::scripted::Step;
use common::wait_for;
use quorate::{Batch, Connection, ErrorKind, Outcome, Pool, Result, TransactionMode};

const SOON: Duration = Duration::from_secs(15);

/// What the server answers to one statement.
#[derive(Debug, Clone, Copy)]
enum Answer {
    Done,
    Failed(u64, &'static str),
    /// Nothing: it resets the connection.
    Gone,
}

use Answer::{Done, Failed, Gone};

const NOT_LEADER: Answer = Failed(10 | 40 << 8, "not leader");
const LOST: Answer = Failed(10 | 41 << 8, "leadership lost");
const NO_DATABASE: Answer = Failed(12, "no database opened");
const INTERRUPTED: Answer = Failed(9, "interrupted");
/// Of INSERT, which leaves the transaction open, or of INSERT OR ROLLBACK, which ends it.
const CONSTRAINT: Answer = Failed(1555, "UNIQUE constraint failed: t.id");
const EXEC_FAILED: Answer = Failed(10, "leader exec failed");
/// Of a BEGIN within a transaction.
const OPEN: Answer = Failed(1, "cannot start a transaction within a transaction");

impl Answer {
    fn steps(self) -> Vec<Step> {
        match self {
            Done => vec![Step::Send(result(1, 1))],
            Failed(code, message) => vec![Step::Send(failure(code, message))],
            Gone => vec![Step::Reset],
        }
    }
}

/// Runs `body` in a transaction whose first attempt, BEGIN included, is answered so; every later one goes well.
/// Answers how often the body has run.
fn run(
    answers: &[Answer],
    mut body: impl FnMut(&mut Connection) -> Result<()>,
) -> (usize, Result<()>) {
    let leader = FakeLeader::start();
    for answer in answers {
        leader.act(answer.steps());
    }
    let pool = Pool::open(&format!(
        "dqlite://{}/test?pool_max_conns=1&refresh_interval=1h",
        leader.address()
    ))
    .unwrap();
    let runs = Cell::new(0);
    let result = pool
        .within(SOON)
        .transaction(TransactionMode::Immediate, |connection| {
            runs.set(runs.get() + 1);
            body(connection)
        });
    wait_for(&format!("{answers:?} are given"), SOON, || {
        (leader.played() == answers.len()).then_some(())
    });
    (runs.get(), result)
}

fn batch(statements: usize) -> Batch {
    let mut batch = Batch::new();
    for n in 0..statements {
        batch
            .queue(format!("INSERT INTO t VALUES ({n})"), ())
            .unwrap();
    }
    batch
}

/// Reads the answers up to the first error.
fn up_to_the_error(connection: &mut Connection) -> Result<()> {
    let mut results = connection.send_batch(&batch(3))?;
    for _ in 0..3 {
        results.exec()?;
    }
    Ok(())
}

/// Reads all answers.
fn to_the_end(connection: &mut Connection) -> Result<()> {
    connection.send_batch(&batch(3))?.close()
}

/// Reads no answer, and finds out by the next statement.
fn by_the_next(connection: &mut Connection) -> Result<()> {
    drop(connection.send_batch(&batch(3))?);
    connection.exec("INSERT INTO t VALUES (3)", ()).map(drop)
}

#[test]
fn a_batch_of_which_nothing_was_applied_is_repeated_with_its_transaction() {
    for answers in [
        [Done, NOT_LEADER, NOT_LEADER],
        [NOT_LEADER, NOT_LEADER, NOT_LEADER],
        // What was running is interrupted, which ends the transaction; nothing runs behind it.
        [INTERRUPTED, NOT_LEADER, NOT_LEADER],
        [Done, LOST, NO_DATABASE],
        [LOST, NOT_LEADER, NO_DATABASE],
        [Done, EXEC_FAILED, NOT_LEADER],
        // What is refused is not run, so the transaction is open, or has gone with the database.
        [NOT_LEADER, NOT_LEADER, Gone],
        [Done, Done, Gone],
        [Gone, Gone, Gone],
    ] {
        // Behind a connection that was reset nothing is answered.
        let gone = answers.iter().position(|answer| matches!(answer, Gone));
        let mut all = vec![Done];
        all.extend(&answers[..gone.map_or(3, |gone| gone + 1)]);
        for body in [up_to_the_error, to_the_end] {
            let mut all = all.clone();
            if gone.is_none() {
                // To ROLLBACK.
                all.push(NO_DATABASE);
            }
            let (runs, result) = run(&all, body);
            assert!(result.is_ok(), "{all:?}: {result:?}");
            assert_eq!(runs, 2, "{all:?}");
        }
        if gone.is_none() {
            // To the next statement, or to the BEGIN before it.
            all.push(NO_DATABASE);
        }
        let (runs, result) = run(&all, by_the_next);
        assert!(result.is_ok(), "{all:?}: {result:?}");
        assert_eq!(runs, 2, "{all:?}");
    }
}

#[test]
fn a_batch_of_which_something_may_have_been_applied_is_not_repeated() {
    for answers in [
        // INSERT OR ROLLBACK, and what was applied at once behind it.
        &[CONSTRAINT, Done, NOT_LEADER][..],
        &[CONSTRAINT, LOST, NOT_LEADER],
        &[CONSTRAINT, Gone],
        &[CONSTRAINT, NOT_LEADER, Gone],
        &[INTERRUPTED, Done, NOT_LEADER],
        &[INTERRUPTED, Gone],
    ] {
        let gone = answers.iter().any(|answer| matches!(answer, Gone));
        for body in [up_to_the_error, to_the_end, by_the_next] {
            let mut all = vec![Done];
            all.extend(answers);
            if !gone {
                // To the BEGIN that asks whether the transaction is open.
                all.push(NO_DATABASE);
            }
            let (runs, result) = run(&all, |connection| {
                // The body wants to be repeated, whatever the error was.
                body(connection).map_err(|error| {
                    quorate::Error::new(ErrorKind::Busy, error.to_string())
                        .with_outcome(Outcome::Rejected)
                })
            });
            let error = result.unwrap_err();
            assert_eq!(runs, 1, "{all:?}: {error}");
            assert_eq!(error.outcome(), Outcome::Unknown, "{all:?}: {error}");
        }
    }
}

#[test]
fn a_batch_that_has_left_the_transaction_open_is_repeated_where_its_body_asks_for_it() {
    let answers = [Done, CONSTRAINT, Done, Done, OPEN, Done];
    let mut first = true;
    let (runs, result) = run(&answers, |connection| {
        let done = to_the_end(connection);
        if std::mem::take(&mut first) {
            assert_eq!(done.unwrap_err().kind(), ErrorKind::Constraint);
            return Err(quorate::Error::new(ErrorKind::Busy, "once more"));
        }
        done
    });
    result.unwrap();
    assert_eq!(runs, 2);
}

#[test]
fn a_text_of_several_statements_that_loses_its_leader_is_repeated_with_its_transaction() {
    let text = "INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)";
    for answer in [
        EXEC_FAILED,
        NOT_LEADER,
        LOST,
        NO_DATABASE,
        INTERRUPTED,
        Gone,
    ] {
        let (runs, result) = run(&[Done, answer], |connection| {
            connection.exec(text, ()).map(drop)
        });
        assert!(result.is_ok(), "{answer:?}: {result:?}");
        assert_eq!(runs, 2, "{answer:?}");
        // One that commits may have been applied.
        let ends = "INSERT INTO t VALUES (1); COMMIT";
        let (runs, result) = run(&[Done, answer], |connection| {
            connection.exec(ends, ()).map(drop)
        });
        let error = result.unwrap_err();
        assert_eq!(error.outcome(), Outcome::Unknown, "{answer:?}: {error}");
        assert_eq!(runs, 1, "{answer:?}: {error}");
    }
}

#[test]
fn a_begin_that_was_not_answered_well_is_repeated() {
    for answer in [INTERRUPTED, LOST, EXEC_FAILED, Gone] {
        let (runs, result) = run(&[answer], |connection| {
            connection.exec("INSERT INTO t VALUES (1)", ()).map(drop)
        });
        assert!(result.is_ok(), "{answer:?}: {result:?}");
        assert_eq!(runs, 1, "{answer:?}");
    }
}

#[test]
fn what_transactions_write_while_the_leadership_passes_is_written_once() {
    const EACH: usize = 40;
    passing_leadership("", |cluster, pool, client| {
        let batch = batch(EACH);
        let text = "INSERT INTO t VALUES (1);".repeat(EACH);
        let (end, acknowledged, unknown) =
            (AtomicBool::new(false), AtomicI64::new(0), AtomicI64::new(0));
        thread::scope(|scope| {
            for writer in 0..4 {
                let (batch, text) = (&batch, &text);
                let (end, acknowledged, unknown) = (&end, &acknowledged, &unknown);
                scope.spawn(move || {
                    while !end.load(Ordering::Relaxed) {
                        let written = pool.within(2 * SOON).transaction(
                            TransactionMode::Immediate,
                            |connection| match writer % 2 {
                                // 1.11 ends where its leadership is taken while it runs such a text.
                                0 if !cluster.is_old() => connection.exec(text, ()).map(drop),
                                _ => connection.send_batch(batch)?.close(),
                            },
                        );
                        match written {
                            Ok(()) => acknowledged.fetch_add(1, Ordering::Relaxed),
                            // The commit was under way.
                            Err(error) => {
                                assert_eq!(
                                    (error.kind(), error.outcome()),
                                    (ErrorKind::NotLeader, Outcome::Unknown),
                                    "{error}"
                                );
                                assert!(!error.message().contains("several"), "{error}");
                                unknown.fetch_add(1, Ordering::Relaxed)
                            }
                        };
                    }
                });
            }
            let _end = EndOnDrop(&end);
            for _ in 0..15 {
                let next = (cluster.leader() + 1) % 3;
                // A node that has not caught up refuses it.
                let _ = client.within(DEADLINE).transfer(cluster.id(next));
                thread::sleep(Duration::from_millis(200));
            }
        });
        let (count,): (i64,) = pool.query_row("SELECT count(*) FROM t", ()).unwrap();
        let (acknowledged, unknown) = (acknowledged.into_inner(), unknown.into_inner());
        println!("{acknowledged} acknowledged, {unknown} unknown");
        let each = EACH as i64;
        assert!(
            count % each == 0 && (acknowledged..=acknowledged + unknown).contains(&(count / each)),
            "{count} of {acknowledged} and {unknown} times {each}"
        );
    });
}

/// Ends the writers also where the test fails, so that the scope ends.
struct EndOnDrop<'a>(&'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
