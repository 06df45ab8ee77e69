//! What a call answers when its server fails, at every point of a conversation, and that the pool goes on. Each test
//! runs against a real PostgreSQL and against the stand-in for Picodata, which sends no key to cancel with.

mod common;

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use common::latency::Sleeper;
use common::pico_servers::{self, PicoServers};
use common::picodata::{self, PicodataCluster};
use common::proxy::Proxy;
use common::scripted::{ScriptedServer, Step};
use common::{loopback, wait_for};
use quorate::{CancelHandle, Error, ErrorKind, Outcome, Pool, Result};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, listen, socket_with};

/// The deadline of a call that does not come back by itself.
const SHORT: Duration = Duration::from_millis(250);
/// By how much a call may outlive its deadline.
const GRACE: Duration = Duration::from_millis(50);
/// How long a call may take to clean up after it was cancelled.
const CANCEL_GRACE: Duration = Duration::from_millis(150);
/// The deadline of a call that comes back.
const SOON: Duration = Duration::from_secs(15);
const SELECT: &str = "SELECT id, name FROM item WHERE id > $1";

#[allow(dead_code, reason = "they run for as long as they are held")]
enum Server {
    Postgres(PicoServers),
    StandIn(PicodataCluster),
}

/// One server that is reached through a proxy alone.
struct Setup {
    server: Server,
    proxy: Proxy,
    account: String,
}

impl Setup {
    fn new(postgres: bool) -> Setup {
        let (server, address, user, password) = if postgres {
            let cluster = pico_servers::start(1);
            let address = cluster.servers[0].address();
            let server = Server::Postgres(cluster);
            (server, address, pico_servers::USER, pico_servers::PASSWORD)
        } else {
            let cluster = PicodataCluster::start(1);
            let address = cluster.address(0);
            let server = Server::StandIn(cluster);
            (server, address, picodata::USER, picodata::PASSWORD)
        };
        let setup = Setup {
            server,
            proxy: Proxy::start(&address),
            account: format!("{user}:{password}"),
        };
        let pool = setup.pool("");
        let table = "CREATE TABLE item (id INTEGER NOT NULL, name TEXT, PRIMARY KEY (id))";
        pool.exec(table, ()).unwrap();
        let rows: Vec<_> = (0..500)
            .map(|id| format!("({id}, 'an item with a name, number {id}')"))
            .collect();
        let insert = format!("INSERT INTO item (id, name) VALUES {}", rows.join(", "));
        pool.exec(insert, ()).unwrap();
        pool.close().unwrap();
        setup
    }

    fn url(&self, hosts: &str, more: &str) -> String {
        format!(
            "postgres://{}@{hosts}/postgres?topology=off{more}",
            self.account
        )
    }

    fn pool(&self, more: &str) -> Pool {
        Pool::open(&self.url(self.proxy.address(), more)).unwrap()
    }

    /// How many bytes a client has been sent when it has a connection, when its statement is prepared, and when
    /// it has the rows.
    fn phases(&self) -> [u64; 3] {
        let pool = self.pool("");
        let sent = || self.proxy.stats().bytes_to_client;
        let before = sent();
        let mut connection = pool.acquire().unwrap();
        let connected = sent() - before;
        connection.prepare(SELECT).unwrap();
        let prepared = sent() - before;
        count(connection.query(SELECT, (0,)).unwrap()).unwrap();
        [connected, prepared, sent() - before]
    }
}

fn count(mut rows: quorate::Rows<'_>) -> Result<usize> {
    let mut count = 0;
    while rows.next()?.is_some() {
        count += 1;
    }
    Ok(count)
}

fn select(pool: &Pool) -> Result<usize> {
    count(pool.query(SELECT, (0,))?)
}

/// The pool is as good as before.
fn goes_on(pool: &Pool) {
    assert_eq!(select(&pool.within(SOON)).unwrap(), 499);
    assert_eq!(pool.stats().in_use, 0);
}

#[track_caller]
fn is(error: &Error, kind: ErrorKind, outcome: Outcome) {
    assert_eq!((error.kind(), error.outcome()), (kind, outcome), "{error}");
}

fn on_both(test: impl Fn(&Setup)) {
    for postgres in [true, false] {
        println!(
            "{}",
            if postgres {
                "PostgreSQL"
            } else {
                "the stand-in"
            }
        );
        test(&Setup::new(postgres));
    }
}

/// Points of each phase: its first byte, its last one, and some between.
fn points(phases: [u64; 3]) -> Vec<u64> {
    // None at 0: a connection that is just closing might take the order for itself.
    let mut start = 1;
    let mut points = Vec::new();
    for end in phases {
        let step = (end - start).div_ceil(6).max(1);
        points.extend((start..end).step_by(step as usize));
        points.push(end - 1);
        start = end;
    }
    points
}

/// When calls should have ended, and when they did.
struct Ends {
    sleeper: Sleeper,
    calls: Vec<(Instant, Instant)>,
}

impl Ends {
    fn new() -> Ends {
        Ends {
            sleeper: Sleeper::start(),
            calls: Vec::new(),
        }
    }

    /// Makes a call that fails by a deadline of its own.
    #[track_caller]
    fn fails<R>(&mut self, pool: &Pool, call: impl FnOnce(&Pool) -> Result<R>) -> Error {
        let deadline = Instant::now() + SHORT;
        let error = call(&pool.within(deadline)).map(drop).unwrap_err();
        self.calls.push((deadline, Instant::now()));
        error
    }

    /// What the machine was late by is not the call's.
    fn check(self) {
        let delays = self.sleeper.stop();
        let late = self.calls.iter().map(|(deadline, end)| {
            let late = end.saturating_duration_since(*deadline);
            late.saturating_sub(delays.within(*deadline, *end))
        });
        let latest = late.max().unwrap();
        println!("{} calls, late by at most {latest:?}", self.calls.len());
        assert!(latest < GRACE, "{latest:?}");
    }
}

#[test]
fn a_server_that_hangs_anywhere_holds_no_call_longer_than_its_deadline() {
    on_both(|setup| {
        let phases = setup.phases();
        println!("bytes until connected, prepared, answered: {phases:?}");
        let mut ends = Ends::new();
        for point in points(phases) {
            let pool = setup.pool("");
            setup.proxy.stall_after(point);
            let mut error = ends.fails(&pool, select);
            // A machine that is slow enough has ended the call before it came there.
            while setup.proxy.is_armed() {
                assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
                setup.proxy.stall_after(point);
                error = ends.fails(&pool, select);
            }
            let outcome = match point < phases[1] {
                true => Outcome::NotSent,
                false => Outcome::Unknown,
            };
            assert_eq!(error.kind(), ErrorKind::Timeout, "{point}: {error}");
            assert_eq!(error.outcome(), outcome, "{point}: {error}");
            goes_on(&pool);
            pool.close().unwrap();
        }
        ends.check();
    });
}

#[test]
fn a_server_that_dies_anywhere_leaves_the_right_outcome() {
    on_both(|setup| {
        let phases = setup.phases();
        for point in points(phases) {
            let pool = setup.pool("");
            setup.proxy.cut_after(point);
            let begin = Instant::now();
            let result = select(&pool);
            match point {
                _ if point < phases[0] => {
                    is(&result.unwrap_err(), ErrorKind::Connect, Outcome::NotSent);
                }
                // Nothing can have been run: the pool repeats it.
                _ if point < phases[1] => assert_eq!(result.unwrap(), 499),
                _ => is(
                    &result.unwrap_err(),
                    ErrorKind::Disconnected,
                    Outcome::Unknown,
                ),
            }
            assert!(begin.elapsed() < SOON);
            goes_on(&pool);
            pool.close().unwrap();
        }
    });
}

#[test]
fn a_call_is_cancelled_in_every_phase() {
    on_both(|setup| {
        let phases = setup.phases();
        let sleeper = Sleeper::start();
        let mut calls = Vec::new();
        let mut cancelled = |pool: &Pool, is_there: &dyn Fn() -> bool, outcome: Option<Outcome>| {
            let handle = CancelHandle::new();
            let limited = pool.cancel_with(&handle);
            thread::scope(|scope| {
                let call = scope.spawn(|| (select(&limited).unwrap_err(), Instant::now()));
                wait_for("the phase", SOON, || is_there().then_some(()));
                let told = Instant::now();
                handle.cancel();
                let (error, end) = call.join().unwrap();
                let outcome = outcome.unwrap_or(error.outcome());
                is(&error, ErrorKind::Cancelled, outcome);
                calls.push((told, end));
            });
        };
        // A connection that has answered all that it was asked when it hangs is as good as any.
        let asked = points(phases)
            .into_iter()
            .filter(|point| !phases.contains(point));
        for point in asked {
            let pool = setup.pool("");
            let before = setup.proxy.stats();
            setup.proxy.stall_after(point);
            let outcome = match point {
                _ if point < phases[1] => Some(Outcome::NotSent),
                // The answer to the execution has begun.
                _ if point > phases[1] + 6 => Some(Outcome::Unknown),
                _ => None,
            };
            let is_there = || {
                let now = setup.proxy.stats();
                now.connections > before.connections && !setup.proxy.is_armed()
            };
            cancelled(&pool, &is_there, outcome);
            goes_on(&pool);
        }
        let pool = setup.pool("&pool_max_conns=1");
        let held = pool.acquire().unwrap();
        cancelled(&pool, &|| pool.stats().waiting == 1, Some(Outcome::NotSent));
        drop(held);
        goes_on(&pool);
        let silent = ScriptedServer::silent();
        let pool = Pool::open(&setup.url(silent.address(), "")).unwrap();
        cancelled(&pool, &|| silent.connections() == 1, Some(Outcome::NotSent));
        let delays = sleeper.stop();
        let late = calls.iter().map(|(told, end)| {
            let late = *end - *told;
            late.saturating_sub(delays.within(*told, *end))
        });
        let latest = late.max().unwrap();
        println!("{} calls, late by at most {latest:?}", calls.len());
        assert!(latest < CANCEL_GRACE);
    });
}

/// A listener that takes no connection: the kernel answers none once its queue is full.
struct BlackHole {
    address: SocketAddr,
    _held: Vec<OwnedFd>,
}

impl BlackHole {
    fn new() -> BlackHole {
        let open = || {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).unwrap()
        };
        let address: SocketAddr = format!("{}:5432", loopback()).parse().unwrap();
        let listener = open();
        bind(&listener, &address).unwrap();
        listen(&listener, 0).unwrap();
        let mut held = vec![listener];
        for _ in 0..4 {
            let client = open();
            // It is under way, or waits for ever.
            let _ = connect(&client, &address);
            held.push(client);
        }
        BlackHole {
            address,
            _held: held,
        }
    }
}

#[test]
fn a_server_that_cannot_be_reached_costs_no_more_than_the_deadline() {
    on_both(|setup| {
        let mut ends = Ends::new();
        let pool = setup.pool("");
        setup.proxy.refuse(true);
        is(
            &ends.fails(&pool, select),
            ErrorKind::Connect,
            Outcome::NotSent,
        );
        setup.proxy.refuse(false);
        goes_on(&pool);

        // The other end is gone and nobody has told: what was open stays open.
        setup.proxy.black_hole(true);
        is(
            &ends.fails(&pool, select),
            ErrorKind::Timeout,
            Outcome::Unknown,
        );
        is(
            &ends.fails(&pool, select),
            ErrorKind::Timeout,
            Outcome::NotSent,
        );
        setup.proxy.black_hole(false);
        goes_on(&pool);

        let hole = BlackHole::new();
        let silent = ScriptedServer::silent();
        for address in [hole.address.to_string(), silent.address().to_owned()] {
            let pool = Pool::open(&setup.url(&address, "")).unwrap();
            is(
                &ends.fails(&pool, select),
                ErrorKind::Timeout,
                Outcome::NotSent,
            );
            let pool = Pool::open(&setup.url(&address, "&dial_timeout=50ms")).unwrap();
            is(
                &ends.fails(&pool, select),
                ErrorKind::Connect,
                Outcome::NotSent,
            );

            // With another instance beside it no call fails, from the first on.
            let hosts = format!("{address},{}", setup.proxy.address());
            let pool = Pool::open(&setup.url(&hosts, "&timeout=8s")).unwrap();
            thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        for _ in 0..5 {
                            let count = select(&pool).unwrap_or_else(|error| panic!("{error}"));
                            assert_eq!(count, 499);
                        }
                    });
                }
            });
        }
        ends.check();
    });
}

#[test]
fn an_instance_whose_connections_are_all_in_use_is_passed_over() {
    on_both(|setup| {
        let other = Proxy::start(&{
            let target: &str = match &setup.server {
                Server::Postgres(cluster) => &cluster.servers[0].address(),
                Server::StandIn(cluster) => &cluster.address(0),
            };
            target.to_owned()
        });
        let hosts = format!("{},{}", setup.proxy.address(), other.address());
        let pool = Pool::open(&setup.url(&hosts, "&pool_max_conns=2")).unwrap();
        let mut held: Vec<_> = (0..4).map(|_| pool.acquire().unwrap()).collect();
        let free = held.pop().unwrap();
        let node = free.node().to_owned();
        drop(free);
        for _ in 0..4 {
            assert_eq!(pool.within(SHORT).acquire().unwrap().node(), node);
        }
        held.push(pool.acquire().unwrap());
        let mut ends = Ends::new();
        is(
            &ends.fails(&pool, select),
            ErrorKind::PoolTimeout,
            Outcome::NotSent,
        );
        ends.check();
        drop(held);
        goes_on(&pool);
    });
}

#[test]
fn a_call_that_cannot_begin_says_why() {
    on_both(|setup| {
        let pool = setup.pool("");
        for _ in 0..2 {
            let error = select(&pool.within(Duration::ZERO)).unwrap_err();
            is(&error, ErrorKind::Timeout, Outcome::NotSent);
            goes_on(&pool);
        }
        let forked = forked(&pool);
        assert_eq!(forked, 0, "check number {forked} of the child");
        goes_on(&pool);
        pool.close().unwrap();
        is(
            &select(&pool).unwrap_err(),
            ErrorKind::Closed,
            Outcome::NotSent,
        );
        pool.close().unwrap();
    });
}

/// Forks, and gives the number of the first check that fails in the child.
#[allow(unsafe_code)]
fn forked(pool: &Pool) -> i32 {
    let mut connection = pool.acquire().unwrap();
    // SAFETY: the child uses memory of its own, takes no lock that another thread may have held but the
    // allocator's, which libc repairs in the child, and leaves by _exit.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let forked =
            |result: Result<()>| result.is_err_and(|error| error.kind() == ErrorKind::Forked);
        let checks = [
            forked(pool.exec("SELECT 1", ()).map(drop)),
            forked(pool.acquire().map(drop)),
            forked(pool.ping()),
            forked(connection.exec("SELECT 1", ()).map(drop)),
            forked(pool.close()),
        ];
        drop(connection);
        let failed = checks.iter().position(|good| !good);
        // SAFETY: ends the child without running what belongs to the parent.
        unsafe { libc::_exit(failed.map_or(0, |index| index as i32 + 1)) };
    }
    let mut status = 0;
    wait_for("the child ends", SOON, || {
        // SAFETY: `status` lives as long as the call.
        let waited = unsafe { libc::waitpid(child, &mut status, libc::WNOHANG) };
        (waited == child).then_some(())
    });
    connection.exec("SELECT 1", ()).unwrap();
    assert!(libc::WIFEXITED(status));
    libc::WEXITSTATUS(status)
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32 + 4).to_be_bytes();
    [&[tag], &length[..], body].concat()
}

#[test]
fn a_malformed_answer_is_told_as_one() {
    let malformed = [
        ("a length of 3", b"D\0\0\0\x03".to_vec()),
        ("a length of 0", b"D\0\0\0\0".to_vec()),
        ("4 GiB", b"D\xff\xff\xff\xffabc".to_vec()),
        ("an unknown message", message(b'?', b"what")),
        (
            "another protocol",
            b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        ),
        (
            "a row that is cut",
            message(b'D', &[0, 1, 0, 0, 0, 9, b'x']),
        ),
    ];
    let start = |with_key: bool| {
        let mut bytes = message(b'R', &[0; 4]);
        if with_key {
            bytes.extend(message(b'K', &[0, 0, 0, 1, 0, 0, 0, 2]));
        }
        bytes.extend(message(b'Z', b"I"));
        bytes
    };
    // Of `SELECT 1`: prepared, with one column, of type int8.
    let mut prepared = message(b'1', b"");
    prepared.extend(message(b't', &[0, 0]));
    let column = b"a\0\0\0\0\0\0\0\0\0\0\x14\0\x08\xff\xff\xff\xff\0\0";
    prepared.extend(message(b'T', &[&[0, 1], &column[..]].concat()));
    prepared.extend(message(b'Z', b"I"));
    for with_key in [true, false] {
        for (what, bytes) in &malformed {
            let answer = [message(b'2', b""), bytes.clone()].concat();
            let started = [Step::Startup, Step::Send(start(with_key))];
            let asked = [Step::Messages(3), Step::Send(prepared.clone())];
            let broken = [Step::Send(bytes.clone()), Step::Hang];
            let starts_alone = *what == "another protocol";
            let scripts = [
                (Outcome::NotSent, [&[Step::Startup], &broken[..]].concat()),
                (
                    Outcome::NotSent,
                    [&started[..], &[Step::Messages(3)], &broken].concat(),
                ),
                (
                    Outcome::Unknown,
                    [
                        &started[..],
                        &asked,
                        &[Step::Messages(3), Step::Send(answer), Step::Hang],
                    ]
                    .concat(),
                ),
            ];
            // Later on a message may be as long as that.
            let scripts = scripts.into_iter().take(if starts_alone { 1 } else { 3 });
            for (index, (outcome, script)) in scripts.enumerate() {
                let server = ScriptedServer::start(vec![script]);
                let url = format!("postgres://u@{}/d?topology=off", server.address());
                let pool = Pool::open(&url).unwrap();
                // Twice: the second has a connection of its own.
                for _ in 0..2 {
                    let begin = Instant::now();
                    let row = pool.within(SOON).query_row::<(i64,)>("SELECT 1", ());
                    let error = row.expect_err(what);
                    let told = format!("{what}, script {index}: {error}");
                    assert_eq!(error.kind(), ErrorKind::Protocol, "{told}");
                    assert_eq!(error.outcome(), outcome, "{told}");
                    assert!(begin.elapsed() < SOON / 3, "{told}");
                }
                assert_eq!((server.connections(), pool.stats().connections), (2, 0));
                drop(pool);
            }
        }
    }
}

#[test]
fn a_close_sends_those_away_who_wait_and_lets_the_others_finish() {
    on_both(|setup| {
        let pool = Arc::new(setup.pool("&pool_max_conns=2"));
        let mut held = [pool.acquire().unwrap(), pool.acquire().unwrap()];
        thread::scope(|scope| {
            let waiting: Vec<_> = (0..32)
                .map(|_| scope.spawn(|| select(&pool).unwrap_err()))
                .collect();
            wait_for("all to wait", SOON, || {
                (pool.stats().waiting == 32).then_some(())
            });
            let begin = Instant::now();
            let closing = scope.spawn(|| pool.close());
            for thread in waiting {
                is(&thread.join().unwrap(), ErrorKind::Closed, Outcome::NotSent);
            }
            println!("32 calls were sent away within {:?}", begin.elapsed());
            assert!(begin.elapsed() < SOON && !closing.is_finished());
            for connection in &mut held {
                // New calls are refused; what is held can be given back.
                let error = connection.exec("SELECT 1", ()).unwrap_err();
                is(&error, ErrorKind::Closed, Outcome::NotSent);
            }
            drop(held);
            closing.join().unwrap().unwrap();
        });
    });
}

/// Nobody listens where nothing was bound; kept from being a test of nothing by the one above.
#[test]
fn the_black_hole_answers_nobody() {
    let hole = BlackHole::new();
    let error = std::net::TcpStream::connect_timeout(&hole.address, SHORT).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    let free = TcpListener::bind((loopback(), 0)).unwrap();
    std::net::TcpStream::connect_timeout(&free.local_addr().unwrap(), SHORT).unwrap();
}
