use std::time::Instant;

use super::*;
use crate::batch::Batch;
use crate::cancel::CancelHandle;
use crate::error::{ErrorKind, Outcome};

fn millis(millis: u64) -> Call<'static> {
    Call::until(Deadline::after(Duration::from_millis(millis)))
}

/// Longer than a call that has ended may take, and far shorter than what it ran.
const SOON: Duration = Duration::from_secs(3);

const NOTHING: ParamsRef<'static> = ParamsRef::Positional(&[]);

/// As a session whose server has sent no key.
fn without_key(cluster: &PostgresCluster) -> Testing {
    let mut session = open(cluster);
    session.0.forget_key();
    session
}

/// The session on which `call`, which ends before it is answered, has had the server stop. On a busy machine the server
/// may say so too late, and the connection is given up: then another one is tried.
fn stopped(cluster: &PostgresCluster, call: impl Fn(&mut Testing)) -> Testing {
    let mut sessions = (0..20).map(|_| open(cluster));
    let stopped = sessions.find_map(|mut session| {
        call(&mut session);
        (!session.0.is_broken()).then_some(session)
    });
    stopped.expect("the server is asked to stop, and the session goes on")
}

#[test]
fn a_deadline_ends_a_statement_and_the_server_stops() {
    let cluster = shared();
    let slow = "INSERT INTO d SELECT 1 FROM pg_sleep(60)";
    let calls: [fn(&mut Testing, &str) -> crate::Error; 3] = [
        |session, slow| session.0.exec(slow, NOTHING, &millis(100)).unwrap_err(),
        |session, _| {
            let sql = "SELECT pg_sleep(60); SELECT 1";
            session.0.exec(sql, NOTHING, &millis(100)).unwrap_err()
        },
        |session, _| {
            let sql = "SELECT pg_sleep(60)";
            session.0.query(sql, NOTHING, &millis(100)).unwrap_err()
        },
    ];
    for call in calls {
        let mut session = stopped(&cluster, |session| {
            session.exec("CREATE TEMP TABLE d (id int)", ()).unwrap();
            let start = Instant::now();
            let error = call(session, slow);
            assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
            assert_eq!(error.kind(), ErrorKind::Timeout);
            // The server has answered that it gave the statement up.
            let is_broken = session.0.is_broken();
            assert!(is_broken || error.outcome() == Outcome::Rejected, "{error}");
        });
        session.check();
        assert_eq!(
            session.value("SELECT count(*) FROM d", ()).unwrap(),
            Value::Int(0)
        );
    }

    let start = Instant::now();
    let mut session = without_key(&cluster);
    let error = session
        .0
        .exec(slow.trim(), NOTHING, &millis(0))
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Timeout, Outcome::NotSent)
    );
    assert!(session.0.is_broken());
    let mut session = without_key(&cluster);
    let error = session
        .0
        .exec("SELECT pg_sleep(60)", NOTHING, &millis(100))
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Timeout, Outcome::Unknown)
    );
    assert!(session.0.is_broken());
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}

#[test]
fn a_statement_that_waits_for_a_lock_is_not_left_behind() {
    let cluster = shared();
    let mut holder = open(&cluster);
    holder.exec("CREATE TABLE locked (id int)", ()).unwrap();
    holder.exec("BEGIN; LOCK TABLE locked", ()).unwrap();
    // Its preparation waits.
    let mut session = stopped(&cluster, |session| {
        let sql = "SELECT id FROM locked";
        let error = session.0.query(sql, NOTHING, &millis(100)).unwrap_err();
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::Timeout, Outcome::NotSent)
        );
    });
    session.check();
    holder.exec("ROLLBACK", ()).unwrap();
    holder.exec("DROP TABLE locked", ()).unwrap();
}

#[test]
fn a_deadline_ends_the_rows() {
    let cluster = shared();
    let sql =
        "SELECT n, pg_sleep(CASE WHEN n > 1000 THEN 60 ELSE 0 END) FROM generate_series(1, 2000) n";
    for with_key in [true, false] {
        let mut session = if with_key {
            open(&cluster)
        } else {
            without_key(&cluster)
        };
        session.0.query(sql, NOTHING, &seconds(20)).unwrap();
        let start = Instant::now();
        let call = millis(300);
        let error = loop {
            match session.advance(&call) {
                Ok(true) => {}
                Ok(false) => panic!("the rows have ended"),
                Err(error) => break error,
            }
        };
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::Timeout, Outcome::Unknown)
        );
        let closed = session.0.close_rows(&millis(200));
        assert!(start.elapsed() < SOON);
        if with_key {
            closed.unwrap();
            session.check();
        } else {
            assert_eq!(closed.unwrap_err().kind(), ErrorKind::Timeout);
            assert!(session.0.is_broken());
        }
    }
}

#[test]
fn another_thread_cancels() {
    stopped(&shared(), |session| {
        let handle = CancelHandle::new();
        let other = handle.clone();
        let _running = handle.enter().unwrap();
        let call = Call {
            deadline: Deadline::after(Duration::from_secs(20)),
            cancel: Some(&handle),
            closing: None,
        };
        let start = Instant::now();
        let error = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(200));
                other.cancel();
            });
            let sql = "SELECT pg_sleep(60)";
            session.0.exec(sql, NOTHING, &call).unwrap_err()
        });
        assert!(start.elapsed() < SOON);
        assert_eq!(error.kind(), ErrorKind::Cancelled);
        if session.0.is_broken() {
            return;
        }
        assert_eq!(error.outcome(), Outcome::Rejected);
        session.check();
        let error = session.0.ping(&call).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
    });
}

#[test]
fn a_frozen_server_holds_nobody_up() {
    let cluster = PostgresCluster::start(&PostgresOptions::new());
    let (mut one, mut two, mut three) = (open(&cluster), open(&cluster), open(&cluster));
    one.check();
    cluster.freeze();
    let start = Instant::now();
    let error = one.0.exec(
        "SELECT 40 + $1::int",
        ParamsRef::Positional(&[crate::ValueRef::Int(2)]),
        &millis(100),
    );
    let error = error.unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Timeout, Outcome::Unknown)
    );
    assert!(one.0.is_broken());
    let error = two.0.ping(&millis(100)).unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Timeout, Outcome::NotSent)
    );
    let error = three.0.prepare("SELECT 1", &millis(100)).unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Timeout, Outcome::NotSent)
    );
    assert!(two.0.is_broken() && three.0.is_broken());
    let error = connect(&cluster.address(), &Arc::new(options()), &millis(100))
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    cluster.thaw();
    open(&cluster).check();
}

/// Ends the server in the middle of a statement, and gives what the statement answers.
fn interrupted(
    end: fn(&mut PostgresCluster),
    run: impl FnOnce(&mut Testing) -> crate::Error + Send,
) -> crate::Error {
    let mut cluster = PostgresCluster::start(&PostgresOptions::new());
    let mut session = open(&cluster);
    std::thread::scope(|scope| {
        let running = scope.spawn(move || {
            let error = run(&mut session);
            assert!(session.0.is_broken());
            error
        });
        std::thread::sleep(Duration::from_millis(200));
        end(&mut cluster);
        running.join().unwrap()
    })
}

#[test]
fn a_server_that_ends_leaves_the_outcome_unknown() {
    let sleeping = |session: &mut Testing| session.exec("SELECT pg_sleep(60)", ()).unwrap_err();
    let error = interrupted(PostgresCluster::stop, sleeping);
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Disconnected, Outcome::Unknown)
    );
    assert_eq!(error.sqlstate(), Some("57P01"));
    let error = interrupted(PostgresCluster::crash, sleeping);
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Disconnected, Outcome::Unknown)
    );
    // Rows that are under way.
    let error = interrupted(PostgresCluster::crash, |session| {
        let sql = "SELECT n, pg_sleep(0.001) FROM generate_series(1, 1000000) n";
        session.query(sql, ()).unwrap_err()
    });
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Disconnected, Outcome::Unknown)
    );
    // What a batch had not got to.
    let error = interrupted(PostgresCluster::crash, |session| {
        let mut batch = Batch::new();
        for sql in ["SELECT 1", "SELECT pg_sleep(60)", "SELECT 3"] {
            batch.queue(sql, ()).unwrap();
        }
        session.0.start_batch(batch.items(), &seconds(20)).unwrap();
        assert!(session.0.next_step(&seconds(20)).unwrap().is_ok());
        assert_eq!(session.rows().unwrap(), [[Value::Int(1)]]);
        let error = session.0.next_step(&seconds(20)).unwrap().err().unwrap();
        let last = session.0.next_step(&seconds(20)).unwrap().err().unwrap();
        assert_eq!(
            (last.kind(), last.outcome()),
            (ErrorKind::Disconnected, Outcome::Unknown)
        );
        assert!(session.0.next_step(&seconds(20)).is_none());
        error
    });
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Disconnected, Outcome::Unknown)
    );
}
