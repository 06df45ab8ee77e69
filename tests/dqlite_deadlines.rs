//! Every call ends at its deadline, or when it is cancelled, whatever the server does.

mod common;

use std::cell::RefCell;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::cluster::Cluster;
use common::fake::{ANSWER, FakeLeader, part};
use common::latency::Sleeper;
use common::proxy::Proxy;
use common::scripted::Step;
use common::wait_for;
use quorate::dqlite::ClusterClient;
use quorate::dqlite::store::NodeRole;
use quorate::{
    Batch, CancelHandle, Config, Connection, Error, ErrorKind, Outcome, Pool, Result,
    TransactionMode,
};

/// The deadline of a call that does not come back by itself.
const SHORT: Duration = Duration::from_millis(150);
/// By how much a call may outlive its deadline.
const GRACE: Duration = Duration::from_millis(50);
/// The deadline of a call that comes back.
const SOON: Duration = Duration::from_secs(15);

const INSERT: &str = "INSERT INTO t VALUES (?)";
const SELECT: &str = "SELECT n FROM t WHERE n = ?";
/// Many rows, which come in many parts.
const MANY: &str = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 20000000) \
                    SELECT n, 'some text that makes the rows longer' FROM c";

/// How the node is made to hang.
#[derive(Debug, Clone, Copy)]
enum Hang {
    /// The process is stopped.
    Stop,
    /// The proxy in front of it moves nothing.
    BlackHole,
}

/// One node that can be made to hang, and a pool that reaches it through a proxy.
struct Setup {
    cluster: Cluster,
    proxy: Proxy,
    config: Config,
    pool: Pool,
    hang: Hang,
    sleeper: Option<Sleeper>,
    /// What each call was, its deadline and its end.
    calls: RefCell<Vec<(&'static str, Instant, Instant)>>,
}

impl Setup {
    fn new(hang: Hang) -> Setup {
        let cluster = Cluster::start(1);
        let proxy = Proxy::start(cluster.address(0));
        let mut config = Config::parse(&format!(
            "dqlite://{}/test?refresh_interval=1h&pool_max_conns=4",
            cluster.address(0)
        ))
        .unwrap();
        let target = proxy.address().to_owned();
        config.set_dial(move |_, _| Ok(OwnedFd::from(TcpStream::connect(&target)?)));
        let pool = Pool::with_config(config.clone()).unwrap();
        pool.exec("CREATE TABLE t (n INTEGER)", ()).unwrap();
        Setup {
            cluster,
            proxy,
            config,
            pool,
            hang,
            sleeper: Some(Sleeper::start()),
            calls: RefCell::default(),
        }
    }

    fn hang(&self) {
        match self.hang {
            Hang::Stop => self.cluster.stop(0),
            Hang::BlackHole => self.proxy.black_hole(true),
        }
    }

    fn go_on(&self) {
        match self.hang {
            Hang::Stop => self.cluster.cont(0),
            Hang::BlackHole => self.proxy.black_hole(false),
        }
        let (n,): (i64,) = self.pool.within(SOON).query_row("SELECT 7", ()).unwrap();
        assert_eq!(n, 7);
    }

    /// A connection that has prepared what the calls use.
    fn connection(&self) -> Connection {
        let mut connection = self.pool.within(SOON).acquire().unwrap();
        connection.set_deadline(None);
        connection.prepare(INSERT).unwrap();
        connection.prepare(SELECT).unwrap();
        let transaction = connection.begin(TransactionMode::Deferred).unwrap();
        transaction.commit().unwrap();
        let transaction = connection.begin(TransactionMode::Deferred).unwrap();
        transaction.rollback().unwrap();
        connection
    }

    /// Makes a call on the hanging node with a deadline, which it must keep.
    #[track_caller]
    fn ends<R>(&self, what: &'static str, call: impl FnOnce(Instant) -> Result<R>) -> Error {
        let deadline = Instant::now() + SHORT;
        let error = call(deadline).map(drop).expect_err(what);
        let end = Instant::now();
        self.calls.borrow_mut().push((what, deadline, end));
        error
    }

    #[track_caller]
    fn ends_with<R>(
        &self,
        what: &'static str,
        (kind, outcome): (ErrorKind, Outcome),
        call: impl FnOnce(Instant) -> Result<R>,
    ) {
        let error = self.ends(what, call);
        assert_eq!(
            (error.kind(), error.outcome()),
            (kind, outcome),
            "{what}: {error}"
        );
    }

    /// The same on a connection of its own, which was good when the node began to hang.
    #[track_caller]
    fn on_connection<R>(
        &self,
        what: &'static str,
        expected: (ErrorKind, Outcome),
        call: impl FnOnce(&mut Connection) -> Result<R>,
    ) {
        let mut connection = self.connection();
        self.hang();
        self.ends_with(what, expected, |deadline| {
            connection.set_deadline(Some(deadline.into()));
            call(&mut connection)
        });
        self.go_on();
        connection.set_deadline(None);
        assert!(!connection.in_transaction(), "{what}");
        let (n,): (i64,) = connection.query_row("SELECT ?", (11,)).unwrap();
        assert_eq!(n, 11, "{what}");
    }

    /// No call may have outlived its deadline by more than the machine's own delays explain.
    fn check(&mut self) {
        let delays = self.sleeper.take().unwrap().stop();
        let late = |(_, deadline, end): &(&str, Instant, Instant)| {
            end.saturating_duration_since(*deadline)
                .saturating_sub(delays.within(*deadline, *end))
        };
        let calls = self.calls.borrow();
        let worst = calls.iter().max_by_key(|call| late(call)).unwrap();
        println!(
            "{:?}: the latest call is {} by {:?}",
            self.hang,
            worst.0,
            late(worst)
        );
        assert!(
            late(worst) <= GRACE,
            "{} ended {:?} late",
            worst.0,
            late(worst)
        );
    }
}

const SENT: (ErrorKind, Outcome) = (ErrorKind::Timeout, Outcome::Unknown);
const NOT_SENT: (ErrorKind, Outcome) = (ErrorKind::Timeout, Outcome::NotSent);

fn every_call_ends_at_its_deadline(hang: Hang) {
    let mut setup = Setup::new(hang);
    let this = &setup;
    this.on_connection("exec", SENT, |c| c.exec(INSERT, (1,)));
    // The preparation did not come back, and the statement was not sent.
    this.on_connection("exec, not prepared", NOT_SENT, |c| {
        c.exec("INSERT INTO t VALUES (? + 1)", (1,))
    });
    this.on_connection("query", SENT, |c| c.query(SELECT, (1,)).map(drop));
    this.on_connection("query_row", SENT, |c| c.query_row::<(i64,)>(SELECT, (1,)));
    this.on_connection("prepare", NOT_SENT, |c| c.prepare("SELECT 1"));
    this.on_connection("ping", NOT_SENT, Connection::ping);
    this.on_connection("begin", NOT_SENT, |c| {
        c.begin(TransactionMode::Deferred).map(drop)
    });
    this.on_connection("start of a batch, not prepared", NOT_SENT, |c| {
        let mut batch = Batch::new();
        batch.queue("INSERT INTO t VALUES (? + 2)", (1,))?;
        c.send_batch(&batch).map(drop)
    });
    this.on_connection("batch", SENT, |c| {
        let mut batch = Batch::new();
        batch.queue(INSERT, (1,))?;
        batch.queue(INSERT, (2,))?;
        let mut results = c.send_batch(&batch)?;
        let first = results.exec();
        let second = results.exec().unwrap_err();
        assert_eq!(second.outcome(), Outcome::Unknown, "{second}");
        first
    });
    for commit in [true, false] {
        let mut connection = this.connection();
        let mut transaction = connection.begin(TransactionMode::Deferred).unwrap();
        transaction.exec(INSERT, (5,)).unwrap();
        this.hang();
        let what = if commit { "commit" } else { "rollback" };
        this.ends_with(what, SENT, |deadline| {
            transaction.set_deadline(Some(deadline.into()));
            if commit {
                transaction.commit()
            } else {
                transaction.rollback()
            }
        });
        this.go_on();
    }

    this.ends_in_the_middle();
    this.ends_without_a_connection();
    this.ends_in_the_transaction_helper();
    setup.check();
}

impl Setup {
    fn ends_in_the_middle(&self) {
        let mut connection = self.connection();
        connection.prepare(MANY).unwrap();
        self.ends_with("rows", SENT, |deadline| {
            connection.set_deadline(Some(deadline.into()));
            let mut rows = connection.query(MANY, ())?;
            assert!(rows.next()?.is_some());
            self.hang();
            while rows.next()?.is_some() {}
            Ok(())
        });
        self.go_on();
        let mut batch = Batch::new();
        batch.queue(INSERT, (6,)).unwrap();
        batch.queue(MANY, ()).unwrap();
        batch.queue(INSERT, (7,)).unwrap();
        self.ends_with("batch, in the middle", SENT, |deadline| {
            connection.set_deadline(Some(deadline.into()));
            let mut results = connection.send_batch(&batch)?;
            results.exec().unwrap();
            let mut rows = results.query()?;
            assert!(rows.next()?.is_some());
            self.hang();
            let error = loop {
                match rows.next() {
                    Ok(row) => assert!(row.is_some()),
                    Err(error) => break error,
                }
            };
            let next = results.exec().unwrap_err();
            assert_eq!(next.outcome(), Outcome::Unknown, "{next}");
            Err::<(), _>(error)
        });
        self.go_on();
    }

    /// Calls for which a connection has to be made.
    fn ends_without_a_connection(&self) {
        self.pool.reset();
        self.hang();
        let refused = |error: &Error, what| {
            let kinds = [ErrorKind::Timeout, ErrorKind::NoLeader];
            assert!(kinds.contains(&error.kind()), "{what}: {error}");
            assert_eq!(error.outcome(), Outcome::NotSent, "{what}: {error}");
        };
        // At first the leader is known, then it is looked up.
        for what in ["acquire", "acquire, with a lookup"] {
            let error = self.ends(what, |deadline| self.pool.within(deadline).acquire());
            refused(&error, what);
        }
        let client = ClusterClient::with_config(self.config.clone()).unwrap();
        let own = self.cluster.address(0).to_owned();
        type ClientCall = fn(&ClusterClient, &str) -> Result<()>;
        let calls: [(&str, ClientCall); 9] = [
            ("leader", |c, _| c.leader().map(drop)),
            ("nodes", |c, _| c.nodes().map(drop)),
            ("add", |c, _| c.add(9, "127.0.0.1:9")),
            ("assign", |c, _| c.assign(9, NodeRole::Voter)),
            ("remove", |c, _| c.remove(9)),
            ("transfer", |c, _| c.transfer(9)),
            ("dump", |c, _| c.dump("test").map(drop)),
            ("describe", |c, own| c.describe(own).map(drop)),
            ("set_weight", |c, own| c.set_weight(own, 1)),
        ];
        for (what, call) in calls {
            let error = self.ends(what, |deadline| call(&client.within(deadline), &own));
            if what == "set_weight" {
                assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
            } else {
                refused(&error, what);
            }
        }
        self.go_on();
        // The leader is known to the client, and hangs.
        assert_eq!(client.within(SOON).leader().unwrap(), own);
        self.hang();
        for (what, call) in calls {
            self.ends(what, |deadline| call(&client.within(deadline), &own));
        }
        self.go_on();
        let used = self.connection();
        self.hang();
        let pool = Pool::with_config(self.config.clone()).unwrap();
        let error = self.ends("acquire in a new pool", |deadline| {
            pool.within(deadline).acquire()
        });
        refused(&error, "acquire in a new pool");
        let closed = self.config.clone();
        self.go_on();
        drop(used);
        let pool = Pool::with_config(closed).unwrap();
        let used = pool.within(SOON).acquire().unwrap();
        self.hang();
        self.ends_with("close", NOT_SENT, |deadline| pool.within(deadline).close());
        self.go_on();
        drop(used);
    }

    /// The deadline holds for the rollback as well.
    fn ends_in_the_transaction_helper(&self) {
        let error = self.ends("transaction", |deadline| {
            self.pool
                .within(deadline)
                .transaction(TransactionMode::Deferred, |connection| {
                    connection.exec(INSERT, (8,))?;
                    self.hang();
                    Err::<(), _>(Error::new(ErrorKind::Misuse, "the body changes its mind"))
                })
        });
        assert_eq!(error.kind(), ErrorKind::Misuse, "{error}");
        self.go_on();
        let error = self.ends("rows that are dropped", |deadline| {
            let pool = self.pool.within(deadline);
            let mut rows = pool.query(MANY, ())?;
            assert!(rows.next()?.is_some());
            self.hang();
            drop(rows);
            Err::<(), _>(Error::new(ErrorKind::Misuse, ""))
        });
        assert_eq!(error.kind(), ErrorKind::Misuse, "{error}");
        self.go_on();
        let (count,): (i64,) = self
            .pool
            .query_row("SELECT count(*) FROM t WHERE n = 8", ())
            .unwrap();
        assert_eq!(count, 0);
    }
}

#[test]
fn every_call_ends_at_its_deadline_when_the_leader_is_stopped() {
    every_call_ends_at_its_deadline(Hang::Stop);
}

#[test]
fn every_call_ends_at_its_deadline_when_the_route_is_a_black_hole() {
    every_call_ends_at_its_deadline(Hang::BlackHole);
}

#[test]
fn a_deadline_that_has_passed_sends_nothing() {
    let leader = FakeLeader::start();
    let pool = fake_pool(&leader);
    let mut connection = pool.acquire().unwrap();
    let past = Instant::now();
    let check = |error: Error| {
        assert_eq!((error.kind(), error.outcome()), NOT_SENT, "{error}");
    };
    check(
        pool.within(past)
            .exec("INSERT INTO t VALUES (1)", ())
            .unwrap_err(),
    );
    connection.set_deadline(Some(past.into()));
    check(connection.exec("INSERT INTO t VALUES (1)", ()).unwrap_err());
    check(connection.query("SELECT 1", ()).map(drop).unwrap_err());
    check(
        connection
            .begin(TransactionMode::Deferred)
            .map(drop)
            .unwrap_err(),
    );
    for _ in 0..200 {
        // It has passed this moment, which a clock that ticks does not show yet.
        connection.set_deadline(Some(Instant::now().into()));
        check(connection.query_row::<(i64,)>("SELECT 1", ()).unwrap_err());
    }
    assert_eq!(leader.statements(), 0);
}

#[test]
fn a_transaction_whose_rows_cannot_be_closed_is_lost() {
    let leader = FakeLeader::start();
    let pool = fake_pool(&leader);
    let mut transaction = pool.begin(TransactionMode::Deferred).unwrap();
    leader.act(vec![Step::Send(part(&[1], false)), Step::Hang]);
    transaction.set_deadline(Some(SHORT.into()));
    let mut rows = transaction.query("SELECT n FROM t", ()).unwrap();
    assert!(rows.next().unwrap().is_some());
    drop(rows);
    transaction.set_deadline(None);
    let before = leader.statements();
    let error = transaction
        .exec("INSERT INTO t VALUES (1)", ())
        .unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotSent);
    assert_eq!(
        leader.statements(),
        before,
        "it ran outside of the transaction"
    );
    transaction.commit().unwrap_err();
    assert_eq!(leader.statements(), before);
    assert_eq!(
        pool.query_row::<(i64,)>("SELECT n FROM t", ()).unwrap(),
        (ANSWER,)
    );
}

fn fake_pool(leader: &FakeLeader) -> Pool {
    let options = "statement_cache=0&pool_max_conns=1&refresh_interval=1h";
    let pool = Pool::open(&format!("dqlite://{}/test?{options}", leader.address())).unwrap();
    wait_for("the worker has read the list of nodes", SOON, || {
        (pool.stats().refreshes == 1).then_some(())
    });
    pool
}

/// Runs `call`, cancels it as soon as `begun`, and answers its error, which must come at once.
#[track_caller]
fn cancelled<R>(
    handle: &CancelHandle,
    mut begun: impl FnMut() -> bool + Send,
    call: impl FnOnce() -> Result<R>,
) -> Error {
    let ended = AtomicBool::new(false);
    let (error, cancelled, end) = thread::scope(|scope| {
        let ended = &ended;
        let canceller = scope.spawn(move || {
            wait_for("the call has begun", SOON, || begun().then_some(()));
            let first = Instant::now();
            // The handle of a connection has no effect in the moments between two calls.
            while !ended.load(Ordering::SeqCst) {
                handle.cancel();
                thread::yield_now();
            }
            first
        });
        let result = call();
        let end = Instant::now();
        ended.store(true, Ordering::SeqCst);
        (
            result.map(drop).unwrap_err(),
            canceller.join().unwrap(),
            end,
        )
    });
    let late = end.saturating_duration_since(cancelled);
    assert!(
        late < Duration::from_millis(400),
        "cancelled, it took {late:?}"
    );
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
    error
}

#[test]
fn a_call_that_is_cancelled_comes_back_at_once() {
    let leader = FakeLeader::start();
    let pool = fake_pool(&leader);
    let insert = "INSERT INTO t VALUES (1)";

    let connection = pool.acquire().unwrap();
    let handle = CancelHandle::new();
    let error = cancelled(
        &handle,
        || pool.stats().waiting == 1,
        || pool.cancel_with(&handle).exec(insert, ()),
    );
    assert_eq!(
        error.outcome(),
        Outcome::NotSent,
        "while waiting for a connection"
    );
    assert_eq!(pool.stats().waiting, 0);
    drop(connection);
    // It stays cancelled.
    let error = pool.cancel_with(&handle).exec(insert, ()).unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Cancelled, Outcome::NotSent)
    );

    let handle = CancelHandle::new();
    leader.act(vec![Step::Hang]);
    let sent = leader.statements() + 1;
    let error = cancelled(
        &handle,
        || leader.statements() == sent,
        || pool.cancel_with(&handle).exec(insert, ()),
    );
    assert_eq!(error.outcome(), Outcome::Unknown, "in exec");

    let mut connection = pool.acquire().unwrap();
    let handle = connection.cancel_handle();
    leader.act(vec![Step::Hang]);
    let sent = leader.statements() + 1;
    cancelled(
        &handle,
        || leader.statements() == sent,
        || connection.query("SELECT n FROM t", ()).map(drop),
    );
    assert_eq!(
        connection
            .query_row::<(i64,)>("SELECT n FROM t", ())
            .unwrap(),
        (ANSWER,)
    );

    let handle = connection.cancel_handle();
    let sent = leader.statements() + 1;
    leader.act(vec![Step::Send(part(&[1], false)), Step::Hang]);
    cancelled(
        &handle,
        || leader.statements() == sent,
        || {
            let mut rows = connection.query("SELECT n FROM t", ())?;
            while rows.next()?.is_some() {}
            Ok(())
        },
    );
    assert_eq!(
        connection
            .query_row::<(i64,)>("SELECT n FROM t", ())
            .unwrap(),
        (ANSWER,)
    );

    let handle = connection.cancel_handle();
    let sent = leader.statements() + 1;
    leader.act(vec![
        Step::Send(part(&[1], false)),
        Step::Pause(SHORT),
        Step::Send(part(&[2], true)),
    ]);
    cancelled(
        &handle,
        || leader.statements() == sent,
        || connection.exec("SELECT n FROM t", ()),
    );
    assert_eq!(
        connection
            .query_row::<(i64,)>("SELECT n FROM t", ())
            .unwrap(),
        (ANSWER,)
    );
    drop(connection);

    leader.hush();
    pool.reset();
    let handle = CancelHandle::new();
    let asked = leader.connections() + 1;
    let error = cancelled(
        &handle,
        || leader.connections() >= asked,
        || pool.cancel_with(&handle).exec(insert, ()),
    );
    assert_eq!(error.outcome(), Outcome::NotSent, "in a lookup");
}

/// Numbers from a seed: SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) % limit
    }
}

/// One of the things that a connection can do.
fn something(connection: &mut Connection, which: u64) -> Result<()> {
    let rows = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 3000) \
                SELECT n FROM c";
    match which {
        0 => connection.exec(INSERT, (1,)).map(drop),
        1 => {
            let mut rows = connection.query(rows, ())?;
            while rows.next()?.is_some() {}
            Ok(())
        }
        2 => {
            let mut rows = connection.query(rows, ())?;
            rows.next()?;
            rows.close()
        }
        3 => connection.exec(rows, ()).map(drop),
        4 => {
            let mut batch = Batch::new();
            for n in 0..20 {
                batch.queue(INSERT, (n,))?;
                batch.queue(rows, ())?;
            }
            let mut results = connection.send_batch(&batch)?;
            for _ in 0..10 {
                results.exec()?;
                let mut rows = results.query()?;
                while rows.next()?.is_some() {}
            }
            results.close()
        }
        5 => {
            let mut transaction = connection.begin(TransactionMode::Immediate)?;
            transaction.exec(INSERT, (1,))?;
            transaction.query_row::<(i64,)>("SELECT count(*) FROM t", ())?;
            transaction.commit()
        }
        _ => {
            let before = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c \
                          LIMIT 20000) SELECT count(*) FROM c";
            connection.query_row::<(i64,)>(before, ()).map(drop)
        }
    }
}

#[test]
fn after_a_cancelled_call_a_connection_is_never_out_of_step() {
    let cluster = Cluster::start(1);
    let pool = Pool::open(&format!("dqlite://{}/test", cluster.address(0))).unwrap();
    pool.exec("CREATE TABLE t (n INTEGER)", ()).unwrap();
    let mut connection = pool.acquire().unwrap();
    let mut hit = 0;
    let mut random = Random(1);
    for round in 0..200_i64 {
        let handle = connection.cancel_handle();
        let delay = Duration::from_micros(random.below(4000));
        let which = random.below(7);
        let begun = Arc::new(AtomicBool::new(false));
        let canceller = thread::spawn({
            let begun = Arc::clone(&begun);
            move || {
                while !begun.load(Ordering::Acquire) {
                    std::hint::spin_loop();
                }
                thread::sleep(delay);
                handle.cancel();
            }
        });
        begun.store(true, Ordering::Release);
        match something(&mut connection, which) {
            Ok(()) => {}
            Err(error) => {
                let expected = [
                    ErrorKind::Cancelled,
                    ErrorKind::Disconnected,
                    ErrorKind::Busy,
                ];
                assert!(expected.contains(&error.kind()), "{which}: {error}");
                hit += 1;
            }
        }
        canceller.join().unwrap();
        assert!(!connection.in_transaction(), "{which}");
        let (n, text): (i64, String) = connection
            .query_row("SELECT ?, ?", (round, round.to_string()))
            .unwrap();
        assert_eq!((n, text), (round, round.to_string()), "after {which}");
    }
    println!(
        "{hit} of 200 calls were cut short; {} connections",
        pool.stats().connects
    );
    assert!(hit > 20, "only {hit} calls were cancelled");
}
