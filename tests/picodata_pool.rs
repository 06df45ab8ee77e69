//! A pool over the instances of a Picodata cluster, as the stand-in plays it: who is asked, who is left out, and
//! what becomes of calls when instances come and go.

mod common;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::time::{Duration, Instant};

use common::picodata::{Addresses, Fault, PASSWORD, PicodataCluster, State, USER};
use common::wait_for;
use quorate::{
    Batch, Config, Error, ErrorKind, Event, LogLevel, OptionalRow, Outcome, Pool, TransactionMode,
    Value,
};

const SOON: Duration = Duration::from_secs(10);

fn open(cluster: &PicodataCluster, more: &str) -> Pool {
    Pool::open(&format!("{}?{more}", cluster.url(0))).unwrap()
}

/// How many statements of a test's own each instance has run.
fn runs(cluster: &PicodataCluster, text: &str) -> Vec<usize> {
    let indexes = 0..cluster.instances().len();
    indexes
        .map(|index| {
            let statements = cluster.statements(index);
            statements.iter().filter(|one| one.contains(text)).count()
        })
        .collect()
}

fn create(pool: &Pool) {
    let sql = "CREATE TABLE item (id INTEGER NOT NULL, name TEXT, PRIMARY KEY (id))";
    pool.exec(sql, ()).unwrap();
}

#[test]
fn one_seed_finds_all_instances_and_calls_are_spread_evenly() {
    let cluster = PicodataCluster::start(3);
    let pool = open(&cluster, "");
    for number in 0..30 {
        let (answer,): (i64,) = pool.query_row("SELECT 1 + $1", (number,)).unwrap();
        assert_eq!(answer, number + 1);
    }
    assert_eq!(runs(&cluster, "SELECT 1 + $1"), [10, 10, 10]);
    pool.ping().unwrap();
    pool.close().unwrap();
    wait_for("the last connection to close", SOON, || {
        (cluster.connections_open() == 0).then_some(())
    });
}

/// In binary Picodata has none of more than 28 digits.
#[test]
fn decimals_of_38_digits_go_and_come() {
    let cluster = PicodataCluster::start(1);
    let pool = open(&cluster, "");
    pool.exec("CREATE TABLE price (id INTEGER PRIMARY KEY, n DECIMAL)", ())
        .unwrap();
    for (id, text) in [
        "99999999999999999999999999999999999999",
        "-0.00000000000000000000000000000000000001",
        "1234567890123456789.1234567890123456789",
        "1.50",
    ]
    .into_iter()
    .enumerate()
    {
        let values = [Value::Int(id as i64), Value::Decimal(text.to_owned())];
        pool.exec("INSERT INTO price VALUES ($1, $2)", values)
            .unwrap();
        let (back,): (Value,) = pool
            .query_row("SELECT n FROM price WHERE id = $1", (id as i64,))
            .unwrap();
        assert_eq!(back, Value::Decimal(text.to_owned()));
    }
    // In plain digits: where `1E+3` has its bucket, `1000` is not looked for.
    let (sum,): (Value,) = pool
        .query_row(
            "SELECT n FROM price WHERE n = $1",
            (Value::Decimal("150E-2".to_owned()),),
        )
        .unwrap();
    assert_eq!(sum, Value::Decimal("1.50".to_owned()));
}

#[test]
fn statements_go_on_when_their_table_was_dropped_and_made_again() {
    let cluster = PicodataCluster::start(1);
    let pool = open(&cluster, "");
    let (insert, select) = (
        "INSERT INTO item VALUES ($1, 'x')",
        "SELECT count(*) FROM item",
    );
    for _ in 0..2 {
        create(&pool);
        pool.exec(insert, (1,)).unwrap();
        let (count,): (i64,) = pool.query_row(select, ()).unwrap();
        assert_eq!(count, 1);
        pool.exec("DROP TABLE item", ()).unwrap();
    }
}

#[test]
fn a_row_is_read_by_its_id() {
    let cluster = PicodataCluster::start(3);
    let pool = open(&cluster, "");
    create(&pool);
    let insert = "INSERT INTO item (id, name) VALUES ($1, $2)";
    for (id, name) in [(1, "brick"), (2, "panel"), (3, "dock")] {
        assert_eq!(pool.exec(insert, (id, name)).unwrap().rows_affected, 1);
    }
    let select = "SELECT id, name FROM item WHERE id = $1";
    let row: (i64, String) = pool.query_row(select, (2,)).unwrap();
    assert_eq!(row, (2, "panel".to_owned()));
    let none = pool.query_row::<(i64, String)>(select, (9,)).optional();
    assert_eq!(none.unwrap(), None);

    let mut names = Vec::new();
    let mut rows = pool.query("SELECT id, name FROM item", ()).unwrap();
    while let Some(row) = rows.next().unwrap() {
        names.push(row.get::<String>("name").unwrap());
    }
    drop(rows);
    names.sort();
    assert_eq!(names, ["brick", "dock", "panel"]);

    let mut batch = Batch::new();
    batch.queue(insert, (4, "gate")).unwrap();
    batch.queue(insert, (1, "again")).unwrap();
    batch.queue(select, (4,)).unwrap();
    let mut results = pool.send_batch(&batch).unwrap();
    assert_eq!(results.exec().unwrap().rows_affected, 1);
    assert_eq!(results.exec().unwrap_err().outcome(), Outcome::Rejected);
    assert_eq!(results.query_row::<(i64, String)>().unwrap().1, "gate");
    drop(results);
    pool.close().unwrap();
}

#[test]
fn placeholders_are_written_as_the_option_says() {
    let cluster = PicodataCluster::start(1);
    for (style, sql) in [
        ("native", "SELECT 5 + $1"),
        ("question", "SELECT 5 + ?"),
        ("named", "SELECT 5 + :n"),
    ] {
        let pool = open(&cluster, &format!("placeholders={style}"));
        assert_eq!(
            pool.query_row::<(i64,)>(sql, (1,)).unwrap(),
            (6,),
            "{style}"
        );
        let mut batch = Batch::new();
        batch.queue(sql, (2,)).unwrap();
        let mut results = pool.send_batch(&batch).unwrap();
        assert_eq!(results.query_row::<(i64,)>().unwrap(), (7,), "{style}");
    }
}

/// Where TLS is on, Picodata takes no plain text; where it is off, it says so.
#[test]
fn each_cluster_is_met_as_it_wants() {
    let plain = PicodataCluster::start(2);
    let tls = PicodataCluster::builder().instances(2).tls().start();
    for mode in ["allow", "prefer"] {
        for cluster in [&plain, &tls] {
            let pool = open(cluster, &format!("sslmode={mode}"));
            for _ in 0..4 {
                pool.exec("SELECT 1", ()).unwrap();
            }
            pool.close().unwrap();
            let address = cluster.address(0);
            let url = format!("picodata://{USER}:wrong@{address}/any?sslmode={mode}");
            let before = cluster.auth_failures(USER);
            let pool = Pool::open(&url).unwrap();
            for _ in 0..3 {
                let error = pool.exec("SELECT 1", ()).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Authentication, "{error}");
            }
            assert_eq!(cluster.auth_failures(USER), before + 1);
            pool.close().unwrap();
        }
    }
    let url = format!("{}?sslmode=disable", tls.url(0));
    let error = Pool::open(&url).unwrap().exec("SELECT 1", ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication, "{error}");
    assert_eq!(error.sqlstate(), Some("28000"));
}

/// Picodata blocks a user after five.
#[test]
fn a_wrong_password_is_tried_once() {
    const THREADS: usize = 8;
    let cluster = PicodataCluster::start(3);
    let more = "pool_min_conns=2&topology_interval=100ms";
    let url = format!("postgres://{USER}:wrong@{}/any?{more}", cluster.address(0));
    let pool = Pool::open(&url).unwrap();
    let together = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                together.wait();
                for _ in 0..3 {
                    let start = Instant::now();
                    let error = pool.exec("SELECT 1", ()).unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::Authentication, "{error}");
                    assert_eq!(error.outcome(), Outcome::NotSent);
                    assert!(start.elapsed() < Duration::from_secs(2));
                }
            });
        }
    });
    // The worker would have had its turn thirty times.
    let end = Instant::now() + Duration::from_secs(3);
    while Instant::now() < end {
        assert_eq!(cluster.auth_failures(USER), 1);
        std::thread::sleep(Duration::from_millis(100));
    }
    // Whoever has put it right says so.
    pool.reset();
    pool.exec("SELECT 1", ()).unwrap_err();
    assert_eq!(cluster.auth_failures(USER), 2);
    assert!(!cluster.is_blocked(USER));
    pool.close().unwrap();
}

#[test]
fn an_instance_that_is_killed_is_left_out_and_used_again() {
    let cluster = PicodataCluster::start(3);
    let pool = open(&cluster, "");
    let sql = "SELECT 2 + $1";
    let (stop, done) = (AtomicBool::new(false), AtomicU64::new(0));
    let more = |count: u64| {
        let wanted = done.load(Ordering::Relaxed) + count;
        wait_for("further calls", SOON, || {
            (done.load(Ordering::Relaxed) >= wanted).then_some(())
        });
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut errors: Vec<Error> = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        match pool.query_row::<(i64,)>(sql, (1,)) {
                            Ok((answer,)) => assert_eq!(answer, 3),
                            Err(error) => errors.push(error),
                        }
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                    errors
                })
            })
            .collect();
        more(100);
        cluster.kill(1);
        more(1000);
        let left_out = cluster.counters(1).statements;
        more(100);
        assert_eq!(cluster.counters(1).statements, left_out);
        cluster.restart(1);
        wait_for("the instance to be used again", SOON, || {
            (cluster.counters(1).statements > left_out + 10).then_some(())
        });
        stop.store(true, Ordering::Relaxed);
        // What was under way when the instance died may have been run: one statement on each connection to it.
        let most = threads.len();
        let errors = threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap());
        let errors: Vec<_> = errors.collect();
        assert!(errors.len() <= most, "{errors:?}");
        for error in errors {
            assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
        }
    });
    pool.close().unwrap();
}

#[test]
fn the_error_of_a_cluster_that_is_gone_names_every_instance() {
    let cluster = PicodataCluster::start(3);
    let pool = open(&cluster, "topology_interval=1h");
    pool.ping().unwrap();
    cluster.kill(2);
    let error = pool.ping().unwrap_err();
    let nodes: Vec<_> = error.causes().iter().map(|cause| &cause.node).collect();
    assert_eq!(nodes, [&cluster.address(2)], "{error}");
    (0..2).for_each(|index| cluster.kill(index));
    let start = Instant::now();
    let error = pool.exec("SELECT 1", ()).unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Connect, Outcome::NotSent)
    );
    assert_eq!(error.causes().len(), 3, "{error}");
    pool.close().unwrap();
}

#[test]
fn the_pool_of_an_instance_that_was_expelled_drains() {
    let cluster = PicodataCluster::start(3);
    let pool = open(&cluster, "topology_interval=100ms");
    let mut connections: Vec<_> = (0..3).map(|_| pool.acquire().unwrap()).collect();
    let expelled = cluster.address(2);
    cluster.expel(2);
    wait_for("the instance to be left out", SOON, || {
        let nodes: Vec<_> = (0..4)
            .map(|_| pool.acquire().unwrap().node().to_owned())
            .collect();
        (!nodes.contains(&expelled)).then_some(())
    });
    // A connection that is in use finishes what it does.
    let held = connections
        .iter_mut()
        .find(|connection| connection.node() == expelled)
        .unwrap();
    assert_eq!(held.query_row::<(i64,)>("SELECT 7", ()).unwrap().0, 7);
    assert_eq!(held.node(), expelled);
    drop(connections);
    wait_for("the connections to close", SOON, || {
        (cluster.counters(2).connections_open == 0).then_some(())
    });
    cluster.set_state(2, State::Online);
    wait_for("the instance to be used again", SOON, || {
        (pool.acquire().unwrap().node() == expelled).then_some(())
    });
    pool.close().unwrap();
}

#[test]
fn no_transaction_is_begun() {
    let cluster = PicodataCluster::start(1);
    for scheme in ["picodata", "postgres"] {
        let address = cluster.address(0);
        let pool = Pool::open(&format!("{scheme}://{USER}:{PASSWORD}@{address}/any")).unwrap();
        for mode in [TransactionMode::Deferred, TransactionMode::Immediate] {
            let error = pool.begin(mode).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        }
        assert_eq!(
            pool.exec("BEGIN", ()).unwrap_err().kind(),
            ErrorKind::Unsupported
        );
    }
    assert_eq!(runs(&cluster, "BEGIN"), [0]);
    // Whoever insists gets what the server does: it says yes to all of them.
    let pool = open(&cluster, "transaction_guard=off");
    create(&pool);
    let mut transaction = pool.begin(TransactionMode::Deferred).unwrap();
    transaction
        .exec("INSERT INTO item (id, name) VALUES (1, 'brick')", ())
        .unwrap();
    transaction.commit().unwrap();
    assert_eq!(runs(&cluster, "COMMIT"), [1]);
}

#[test]
fn a_close_sends_those_away_who_wait() {
    let cluster = PicodataCluster::start(1);
    let pool = open(&cluster, "pool_max_conns=1");
    let held = pool.acquire().unwrap();
    std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| pool.exec("SELECT 1", ()).unwrap_err().kind()))
            .collect();
        wait_for("all to wait", SOON, || {
            (pool.stats().waiting == 8).then_some(())
        });
        let closing = scope.spawn(|| pool.close());
        for thread in waiting {
            assert_eq!(thread.join().unwrap(), ErrorKind::Closed);
        }
        drop(held);
        closing.join().unwrap().unwrap();
    });
    wait_for("the last connection to close", SOON, || {
        (cluster.connections_open() == 0).then_some(())
    });
}

/// What a pool has told of, one line each.
#[derive(Default, Clone)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn open(&self, cluster: &PicodataCluster, more: &str) -> Pool {
        let mut config = Config::parse(&format!("{}?{more}", cluster.url(0))).unwrap();
        let (events, log) = (self.clone(), self.clone());
        config.set_event(move |event| {
            events.0.lock().unwrap().push(match event {
                Event::Leader(address) => format!("leader {address}"),
                Event::InstanceCame(one) => format!("came {}", one.name),
                Event::InstanceWent(one) => format!("went {}", one.name),
                Event::InstanceMoved { instance, from } => {
                    format!("moved {} from {from}", instance.name)
                }
                Event::InstanceState { instance, from } => {
                    format!("state {} {from} {}", instance.name, instance.state)
                }
                Event::InstanceRole(one) => format!("role {} {}", one.name, one.is_master),
                other => panic!("{other:?}"),
            });
        });
        config.set_log(move |level, text| {
            if level <= LogLevel::Info {
                log.0.lock().unwrap().push(format!("log {text}"));
            }
        });
        Pool::with_config(config).unwrap()
    }

    fn wait_for(&self, line: &str) {
        wait_for(line, SOON, || {
            let told = self.0.lock().unwrap();
            told.iter().any(|one| one == line).then_some(())
        });
    }
}

#[test]
fn changes_of_the_cluster_are_told() {
    let cluster = PicodataCluster::builder()
        .instances(3)
        .replication_factor(3)
        .start();
    let told = Told::default();
    let pool = told.open(&cluster, "topology_interval=20ms");
    pool.ping().unwrap();
    let events = || {
        let told = told.0.lock().unwrap();
        told.iter()
            .filter(|one| !one.starts_with("log "))
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(events(), Vec::<String>::new());
    cluster.offline(2);
    told.wait_for("state default_1_3 Online Offline");
    told.wait_for(&format!(
        "log default_1_3 at {} was Online and is Offline",
        cluster.address(2)
    ));
    cluster.online(2);
    told.wait_for("state default_1_3 Offline Online");
    cluster.change_master(0, 1);
    told.wait_for("role default_1_1 false");
    told.wait_for("role default_1_2 true");
    cluster.change_leader(1);
    told.wait_for(&format!("leader {}", cluster.address(1)));
    assert_eq!(pool.stats().leader_changes, 1);
    let (old, new) = (cluster.address(2), "127.9.9.9:4327");
    cluster.change(2, move |one| one.address = new.to_owned());
    told.wait_for(&format!("moved default_1_3 from {old}"));
    cluster.join();
    told.wait_for("came default_2_1");
    let far = cluster.add_virtual(1, Addresses::Refusing).start;
    told.wait_for("came default_2_2");
    cluster.remove(far);
    told.wait_for("went default_2_2");
    assert_eq!(events().len(), 9, "{:?}", events());
    pool.close().unwrap();
}

#[test]
fn an_event_is_told_while_no_lock_is_held() {
    let cluster = PicodataCluster::start(2);
    let pool: Arc<OnceLock<Pool>> = Arc::default();
    let seen = Arc::new(AtomicU64::new(0));
    let mut config = Config::parse(&format!("{}?topology_interval=20ms", cluster.url(0))).unwrap();
    config.set_event({
        let (pool, seen) = (Arc::clone(&pool), Arc::clone(&seen));
        move |_| {
            if let Some(pool) = pool.get() {
                // Its figures, and a call of another thread, which needs the same locks.
                assert_eq!(pool.stats().instances, 2);
                let pool = pool.clone();
                let called = std::thread::spawn(move || pool.exec("SELECT 1", ())).join();
                called.unwrap().unwrap();
                seen.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let opened = Pool::with_config(config).unwrap();
    opened.ping().unwrap();
    pool.set(opened).unwrap();
    cluster.change_leader(1);
    wait_for("the event", SOON, || {
        (seen.load(Ordering::Relaxed) == 1).then_some(())
    });
    pool.get().unwrap().close().unwrap();
}

#[test]
fn the_statistics_tell_of_the_topology_and_of_each_instance() {
    let cluster = PicodataCluster::start(3);
    let pool = open(&cluster, "topology_interval=20ms&balance=lowest_latency");
    wait_for("the topology to be read", SOON, || {
        (pool.stats().refreshes > 2).then_some(())
    });
    let stats = pool.stats();
    assert_eq!((stats.instances, stats.usable_instances), (3, 3));
    assert!(!stats.topology_failing && stats.topology_age < Some(Duration::from_secs(5)));
    let held = pool.acquire().unwrap();
    pool.exec("SELECT 1", ()).unwrap();
    let of = |address: &str| {
        let all = pool.endpoint_stats();
        assert_eq!(all.len(), 3);
        all.into_iter()
            .find(|one| *one.address == *address)
            .unwrap()
    };
    let one = of(held.node());
    assert_eq!((one.in_use, one.waiting, one.left_out), (1, 0, false));
    assert!(one.connections >= 1);
    assert!(
        pool.endpoint_stats()
            .iter()
            .any(|one| one.latency.is_some())
    );
    drop(held);

    cluster.offline(2);
    wait_for("the state to be known", SOON, || {
        let stats = pool.stats();
        (stats.instances == 3 && stats.usable_instances == 2).then_some(())
    });
    (0..3).for_each(|index| cluster.kill(index));
    wait_for("the failure to be known", SOON, || {
        let stats = pool.stats();
        (stats.topology_failing && stats.refresh_failures > 0).then_some(())
    });
    assert_eq!(pool.stats().instances, 3);
    pool.close().unwrap();
    assert_eq!(pool.endpoint_stats().len(), 2);
}

fn left_out(pool: &Pool) -> Vec<Arc<str>> {
    let stats = pool.endpoint_stats().into_iter();
    stats
        .filter(|one| one.left_out)
        .map(|one| one.address)
        .collect()
}

#[test]
fn slow_statements_leave_nobody_out_and_silence_does() {
    let cluster = PicodataCluster::start(2);
    let pool = open(&cluster, "topology_interval=1h&dial_timeout=300ms");
    pool.ping().unwrap();
    for index in 0..2 {
        cluster.inject(index, "SELECT 77", Fault::Stall, usize::MAX);
    }
    // Each gives its connection up, and the next one has to connect, which is a sign of life.
    for _ in 0..8 {
        let error = pool
            .within(Duration::from_millis(50))
            .exec("SELECT 77", ())
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        assert_eq!(left_out(&pool), []);
    }
    cluster.clear_faults(0);
    cluster.clear_faults(1);
    let mut idle: Vec<_> = (0..8).map(|_| pool.acquire().unwrap()).collect();
    idle.drain(..);
    // Idle connections to an instance that hangs: nothing comes back.
    cluster.hang(1);
    let mut timeouts = 0;
    for _ in 0..20 {
        if pool
            .within(Duration::from_millis(200))
            .exec("SELECT 1", ())
            .is_err()
        {
            timeouts += 1;
        }
        if !left_out(&pool).is_empty() {
            break;
        }
    }
    assert_eq!(timeouts, 3);
    assert_eq!(left_out(&pool), [cluster.address(1).into()]);
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(500) {
        pool.exec("SELECT 1", ()).unwrap();
    }
    cluster.resume(1);
    wait_for("the instance to be used again", SOON, || {
        pool.exec("SELECT 1", ()).unwrap();
        left_out(&pool).is_empty().then_some(())
    });
    pool.close().unwrap();
}

/// The texts are those of a cluster of 25.5.7 whose instances were killed.
#[test]
fn a_write_that_a_replicaset_has_not_answered_may_have_been_applied() {
    let cluster = PicodataCluster::start(1);
    let pool = open(&cluster, "");
    create(&pool);
    let one = "INSERT INTO item (id, name) VALUES ($1, 'a')";
    let two = "INSERT INTO item (id, name) VALUES ($1, 'b'), (-1, 'c')";
    let of_replicaset = |said: &str| {
        format!(
            "sbroad: box error: ProcLua: {{\"code\":32,\"base_type\":\"ClientError\",\"type\":\"ClientError\",\
             \"message\":\"Error on replicaset 69bea4d4-3c4a-4b26-a599-a6a6367dbcd2: {said}\",\"trace\":[]}}"
        )
    };
    let closed = of_replicaset("Peer closed");
    let refused = of_replicaset(
        "Failed to execute '.proc_sql_execute': sbroad: invalid transaction: transaction rolled-back: \
         failed to insert space: TupleFound: Duplicate key exists in unique index",
    );
    let timeout = "Timeout: timeout".to_owned();
    for (sql, text, kind, outcome) in [
        (one, &closed, ErrorKind::Database, Outcome::Unknown),
        (one, &refused, ErrorKind::Constraint, Outcome::Rejected),
        (two, &refused, ErrorKind::Constraint, Outcome::Unknown),
        (one, &timeout, ErrorKind::Database, Outcome::Unknown),
    ] {
        let fault = Fault::Refuse("XX000", text.clone());
        cluster.inject(0, sql, fault, 3);
        let mut batch = Batch::new();
        batch.queue(sql, [1]).unwrap();
        batch.queue("SELECT 1", ()).unwrap();
        let mut results = pool.send_batch(&batch).unwrap();
        let in_batch = results.exec().unwrap_err();
        assert_eq!(results.query_row::<(i64,)>().unwrap(), (1,));
        results.close().unwrap();
        let alone = pool.exec(sql, [1]).unwrap_err();
        let queried = pool.query(sql, [1]).unwrap_err();
        for error in [in_batch, alone, queried] {
            assert_eq!((error.kind(), error.outcome()), (kind, outcome), "{error}");
        }
    }
    let fault = Fault::Refuse("XX000", timeout);
    cluster.inject(0, "CREATE TABLE late", fault, 1);
    let ddl = "CREATE TABLE late (id INTEGER NOT NULL, PRIMARY KEY (id))";
    assert_eq!(pool.exec(ddl, ()).unwrap_err().outcome(), Outcome::Unknown);
    assert_eq!(pool.stats().connects, 1, "the connection is kept");
}

/// The text is that of a cluster of 25.5.7, one of whose instances had just started.
#[test]
fn a_write_whose_replicaset_cannot_begin_yet_may_be_repeated() {
    let cluster = PicodataCluster::start(1);
    let pool = open(&cluster, "");
    create(&pool);
    let text = "sbroad: box error: ProcLua: {\"code\":32,\"base_type\":\"ClientError\",\"type\":\"ClientError\",\
                \"message\":\"Error on replicaset 69bea4d4-3c4a-4b26-a599-a6a6367dbcd2: Failed to add a storage \
                reference: box error: ProcLua: vshard\\/storage\\/ref.lua:326: attempt to index local 'sched' (a nil \
                value)\",\"trace\":[]}";
    for (sql, outcome) in [
        (
            "INSERT INTO item (id, name) VALUES ($1, 'a')",
            Outcome::Rejected,
        ),
        (
            "INSERT INTO item (id, name) VALUES ($1, 'b'), (-1, 'c')",
            Outcome::Unknown,
        ),
    ] {
        cluster.inject(0, sql, Fault::Refuse("XX000", text.to_owned()), 1);
        let error = pool.exec(sql, [1]).unwrap_err();
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::Busy, outcome),
            "{error}"
        );
        assert_eq!(error.is_retryable(), outcome == Outcome::Rejected);
    }
}

#[test]
fn a_call_whose_time_is_up_when_the_next_instance_is_to_be_tried_says_so() {
    let cluster = PicodataCluster::start(2);
    let mut config = Config::parse(&cluster.url(0)).unwrap();
    let time = Duration::from_millis(300);
    let is_slow = Arc::new(AtomicBool::new(false));
    let sleeps = Arc::clone(&is_slow);
    // The time passes just after the first instance has been found to be slow.
    config.set_log(move |_, text| {
        if sleeps.load(Ordering::Relaxed) && text.contains("reading the topology again") {
            std::thread::sleep(time);
        }
    });
    let pool = Pool::with_config(config).unwrap();
    pool.ping().unwrap();
    cluster.hang(0);
    cluster.hang(1);
    pool.reset();
    is_slow.store(true, Ordering::Relaxed);
    let limited = pool.within(time);
    let error = limited.query_row::<(i64,)>("SELECT 1", ()).unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Timeout, Outcome::NotSent),
        "{error}"
    );
}

#[test]
fn a_call_waits_for_a_busy_instance_and_not_at_one_that_is_left_out() {
    let cluster = PicodataCluster::start(2);
    let mut config = Config::parse(&cluster.url(0)).unwrap();
    config.set("pool_max_conns", "1").unwrap();
    config.set("dial_timeout", "1m").unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&told);
    config.set_log(move |_, text| log.lock().unwrap().push(text.to_owned()));
    let pool = Pool::with_config(config).unwrap();
    pool.ping().unwrap();
    cluster.hang(1);
    pool.reset();
    let ask = |time| {
        let limited = pool.within(time);
        limited.query_row::<(i64,)>("SELECT 1", ())
    };
    let hanging = wait_for("it is left out", SOON, || {
        drop(ask(Duration::from_millis(100)));
        let all = pool.endpoint_stats();
        all.into_iter().find(|one| one.left_out)
    });
    let held = pool.acquire().unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| ask(2 * SOON));
        wait_for("the call waits for the connection", SOON, || {
            (pool.stats().waiting == 1).then_some(())
        });
        drop(held);
        assert_eq!(waiting.join().unwrap().unwrap(), (1,));
    });
    let told = told.lock().unwrap();
    let mut doubts = told.iter().filter(|one| one.contains("reading the"));
    assert!(doubts.clone().next().is_some(), "{told:?}");
    assert!(
        doubts.all(|one| one.matches(&*hanging.address).count() == 1),
        "{told:?}"
    );
}
