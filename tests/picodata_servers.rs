//! A pool over real PostgreSQL servers that look like the instances of a Picodata cluster: discovery, strategies,
//! passwords, batches, TLS.

mod common;

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use common::pico_servers::{self, PASSWORD, PicoServers, USER};
use common::postgres::Auth;
use common::proxy::{Direction, Proxy};
use common::wait_for;
use quorate::{
    BalanceStrategy, Batch, Candidate, Config, Connection, ErrorKind, Outcome, Pool, Result,
};

const WHO: &str = "SELECT pico_instance_uuid()";
const SOON: Duration = Duration::from_secs(10);

/// Asks `count` times who answers, and gives how often each instance did.
fn spread(pool: &Pool, cluster: &PicoServers, count: usize) -> Vec<usize> {
    let mut counts = vec![0; cluster.members.len()];
    for _ in 0..count {
        let (uuid,): (String,) = pool.query_row(WHO, ()).unwrap();
        counts[cluster.index_of(&uuid)] += 1;
    }
    counts
}

fn open(cluster: &PicoServers, more: &str) -> Pool {
    Pool::open(&format!("{}?{more}", cluster.url(0))).unwrap()
}

/// Holds every connection to the instance `held` and lets those to the others go.
fn hold(pool: &Pool, cluster: &PicoServers, held: usize, count: usize) -> Vec<Connection> {
    let address = &cluster.members[held].address;
    let mut kept = Vec::new();
    let mut others = Vec::new();
    while kept.len() < count {
        let connection = pool.acquire().unwrap();
        match connection.node() == address {
            true => kept.push(connection),
            false => others.push(connection),
        }
    }
    kept
}

/// Always the raft leader.
struct Leader;

impl BalanceStrategy for Leader {
    fn choose(&self, candidates: &[Candidate<'_>]) -> usize {
        let mut leads = candidates.iter().map(|one| one.instance.is_leader);
        leads.position(|leads| leads).unwrap()
    }
}

#[test]
fn the_example_finds_its_row() {
    let cluster = pico_servers::start(3);
    cluster.sql_everywhere(
        "CREATE TABLE items (id bigint PRIMARY KEY, name text NOT NULL, stock bigint); \
         INSERT INTO items VALUES (1, 'bricks', 1123), (2, 'panels', 998), (3, 'piles', 177); \
         GRANT SELECT ON items TO app",
    );
    let target = Path::new(env!("CARGO_BIN_EXE_quorate")).parent().unwrap();
    let program = target.join("examples").join("picodata");
    assert!(program.exists(), "run cargo build --examples");
    let ran = |command: &mut Command| {
        let output = command.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "2 panels Some(998)\n"
        );
    };
    ran(Command::new(&program).arg(cluster.url(1)));
    ran(Command::new(&program).env("PICODATA_CONNECTION_URL", cluster.url(2)));
    let source =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/picodata.rs"));
    assert!(source.unwrap().lines().count() <= 30);
}

#[test]
fn statements_are_spread_as_the_strategy_says() {
    let proxies = RefCell::new(Vec::new());
    let cluster = pico_servers::start_with(3, &pico_servers::options(), |_, server| {
        let proxy = Proxy::start(&server.address());
        let address = proxy.address().to_owned();
        proxies.borrow_mut().push(proxy);
        address
    });
    let proxies = proxies.into_inner();

    // From one seed, and exactly even.
    let pool = open(&cluster, "");
    let counts = spread(&pool, &cluster, 300);
    println!("round_robin: {counts:?}");
    assert_eq!(counts, [100; 3]);

    let pool = open(&cluster, "balance=random");
    let counts = spread(&pool, &cluster, 300);
    println!("random: {counts:?}");
    // Six standard deviations.
    assert!(counts.iter().all(|count| (50..150).contains(count)));

    let pool = open(&cluster, "balance=least_busy");
    let _held = (hold(&pool, &cluster, 0, 2), hold(&pool, &cluster, 2, 1));
    let counts = spread(&pool, &cluster, 100);
    println!("least_busy, the first and the last busy: {counts:?}");
    assert_eq!(counts, [0, 100, 0]);

    let pool = open(&cluster, "balance=lowest_latency");
    for index in [0, 1] {
        proxies[index].delay(Direction::ToClient, Duration::from_millis(150));
    }
    let counts = spread(&pool, &cluster, 200);
    println!("lowest_latency, the last the quickest: {counts:?}");
    // A machine that is busy makes the quickest slow at times; without the strategy it would get 67.
    assert!(counts[2] >= 150);

    let mut config = Config::parse(&cluster.url(0)).unwrap();
    config.set_balance(Leader);
    let pool = Pool::with_config(config).unwrap();
    let counts = spread(&pool, &cluster, 50);
    println!("own, the leader: {counts:?}");
    assert_eq!(counts, [50, 0, 0]);
}

#[test]
fn a_wrong_password_is_tried_once_whoever_asks() {
    let cluster = pico_servers::start(3);
    let address = &cluster.members[0].address;
    let url = format!(
        "postgres://{USER}:wrong@{address}/postgres?pool_min_conns=2&topology_interval=100ms"
    );
    let told = format!("password authentication failed for user \"{USER}\"");
    let tries = || -> usize {
        let servers = cluster.servers.iter();
        servers
            .map(|server| server.log().matches(&told).count())
            .sum()
    };
    let pool = Pool::open(&url).unwrap();
    let slowest = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let begin = Instant::now();
                    let error = pool.query_row::<(i64,)>("SELECT 1", ()).unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::Authentication, "{error}");
                    assert_eq!(error.outcome(), Outcome::NotSent);
                    begin.elapsed()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .max()
    });
    // The worker would have had its turn twenty times.
    let end = Instant::now() + Duration::from_secs(2);
    while Instant::now() < end {
        assert!(tries() <= 1);
        thread::sleep(Duration::from_millis(50));
    }
    println!(
        "8 threads: {} try, the slowest call took {slowest:?}",
        tries()
    );
    assert_eq!(tries(), 1);
    pool.close().unwrap();
}

/// How many round trips a batch of 100 statements takes.
fn round_trips(connection: &mut Connection, proxy: &Proxy) -> u64 {
    let before = proxy.stats().round_trips;
    let mut batch = Batch::new();
    for number in 0..100_i64 {
        batch.queue("SELECT $1::bigint + 1", (number,)).unwrap();
    }
    let mut results = connection.send_batch(&batch).unwrap();
    for number in 0..100_i64 {
        assert_eq!(results.query_row::<(i64,)>().unwrap(), (number + 1,));
    }
    drop(results);
    proxy.stats().round_trips - before
}

#[test]
fn a_hundred_statements_of_a_batch_cost_one_round_trip() {
    let cluster = pico_servers::start(1);
    let proxy = Proxy::start(&cluster.servers[0].address());
    for direction in [Direction::ToServer, Direction::ToClient] {
        proxy.delay(direction, Duration::from_millis(5));
    }
    let url = format!(
        "postgres://{USER}:{PASSWORD}@{}/postgres?topology=off",
        proxy.address()
    );
    let pool = Pool::open(&url).unwrap();
    let mut connection = pool.acquire().unwrap();
    let first = round_trips(&mut connection, &proxy);
    let second = round_trips(&mut connection, &proxy);
    println!("round trips of 100 statements: {first} the first time, then {second}");
    // The first time the statement is prepared.
    assert!(first <= 2);
    assert_eq!(second, 1);
}

#[test]
fn tls_scram_and_md5_go_through_a_pool_and_through_a_runtime() {
    let options = pico_servers::options()
        .user("by_scram", PASSWORD, Auth::Scram)
        .tls();
    let cluster = pico_servers::start_with(3, &options, |_, server| server.address());
    let file = cluster.servers[0].ca_file().with_file_name("all.crt");
    let certificates: Vec<_> = cluster
        .servers
        .iter()
        .map(|server| fs::read_to_string(server.ca_file()).unwrap())
        .collect();
    fs::write(&file, certificates.concat()).unwrap();
    let open = |user: &str, ca: &Path, more: &str| {
        let address = &cluster.members[0].address;
        Pool::open(&format!(
            "postgres://{user}:{PASSWORD}@{address}/postgres?sslmode=verify-full&sslrootcert={}{more}",
            ca.display()
        ))
        .unwrap()
    };
    let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let check = |pool: &Pool| -> Result<()> {
        for _ in 0..6 {
            assert_eq!(pool.query_row::<(bool,)>(sql, ())?, (true,));
        }
        assert_eq!(spread(pool, &cluster, 6), [2; 3]);
        pool.ping()
    };
    for user in [USER, "by_scram"] {
        check(&open(user, &file, "")).unwrap();
    }

    let other = pico_servers::start_with(1, &options, |_, server| server.address());
    let ca = other.servers[0].ca_file();
    for (ca, more) in [(&*ca, ""), (&*file, "&sslservername=nobody.example")] {
        let begin = Instant::now();
        let error = open(USER, ca, more).exec("SELECT 1", ()).unwrap_err();
        println!("{error}");
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::Tls, Outcome::NotSent),
            "{error}"
        );
        assert!(begin.elapsed() < SOON);
    }

    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async { check(&open("by_scram", &file, "")).unwrap() });
}

#[test]
fn a_member_that_is_expelled_or_comes_is_followed() {
    let mut cluster = pico_servers::start(3);
    let pool = open(&cluster, "topology_interval=100ms");
    assert_eq!(spread(&pool, &cluster, 6), [2; 3]);
    cluster.expel(2);
    wait_for("the instance to be left", SOON, || {
        (spread(&pool, &cluster, 6)[2] == 0).then_some(())
    });
    cluster.rejoin(2);
    wait_for("the instance to be used again", SOON, || {
        (spread(&pool, &cluster, 6)[2] > 0).then_some(())
    });
    pool.close().unwrap();
}

#[test]
fn a_server_that_knows_none_of_picodatas_parameters_is_asked_without_them() {
    let cluster = pico_servers::start(2);
    let url = cluster.url(0).replacen("postgres://", "picodata://", 1);
    let pool = Pool::open(&url).unwrap();
    assert_eq!(spread(&pool, &cluster, 10), [5, 5]);
    assert_eq!(pool.stats().connect_failures, 0);
    // The scheme says what the server is for, so it gets no transaction all the same.
    let error = pool.exec("BEGIN", ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    pool.close().unwrap();
}
