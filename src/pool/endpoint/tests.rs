//! Connections that change hands while an endpoint is reset, tidied and retired, with sessions that go nowhere.

use super::*;

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use crate::backend::{BatchStep, Description, ExecResult, NextRow, Refreshed, Route, Target};
use crate::batch::BatchItem;
use crate::cancel::CancelHandle;
use crate::config::{Config, Database};
use crate::error::ErrorKind;
use crate::lock::Mutex;
use crate::params::ParamsRef;
use crate::pool::lease::Lease;
use crate::process;
use crate::row::{Cell, Columns};

const SOON: Duration = Duration::from_secs(5);

/// What the sessions of a test share.
#[derive(Default)]
struct World {
    open: AtomicU32,
    most: AtomicU32,
    /// Whether a new connection, or the end of one, says that it has begun and waits until it may go on.
    holds_connect: AtomicBool,
    holds_close: AtomicBool,
    gate: Mutex<Option<(Sender<()>, Receiver<()>)>>,
}

impl World {
    /// What is to be received when something is held, and what lets it go on.
    fn hold(&self, what: &AtomicBool) -> (Receiver<()>, Sender<()>) {
        let (here, begun) = channel();
        let (go_on, released) = channel();
        *self.gate.lock() = Some((here, released));
        what.store(true, Ordering::SeqCst);
        (begun, go_on)
    }

    fn pass(&self, what: &AtomicBool) {
        if what.swap(false, Ordering::SeqCst)
            && let Some((here, released)) = self.gate.lock().take()
        {
            here.send(()).unwrap();
            released.recv_timeout(SOON).unwrap();
        }
    }

    fn open(&self) -> u32 {
        self.open.load(Ordering::SeqCst)
    }
}

struct Server(Arc<World>);

impl Backend for Server {
    fn route(&self, _: &Target<'_>, _: &Call<'_>) -> Result<Option<Route>> {
        unreachable!()
    }

    fn connect(&self, _: &str, _: Option<Duration>, _: &Call<'_>) -> Result<Box<dyn Session>> {
        self.0.pass(&self.0.holds_connect);
        let open = self.0.open.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.most.fetch_max(open, Ordering::SeqCst);
        Ok(Box::new(Idler {
            world: Arc::clone(&self.0),
            broken: false,
            columns: Columns::default(),
        }))
    }

    fn report(&self, _: &str, _: &Error) -> bool {
        unreachable!()
    }

    fn refresh(&self, _: &Call<'_>) -> Result<Refreshed> {
        unreachable!()
    }

    fn leader_changes(&self) -> u64 {
        0
    }
}

/// A session that is never asked for anything but a ping, which breaks it.
struct Idler {
    world: Arc<World>,
    broken: bool,
    columns: Columns,
}

impl Drop for Idler {
    fn drop(&mut self) {
        self.world.pass(&self.world.holds_close);
        self.world.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Session for Idler {
    fn is_broken(&self) -> bool {
        self.broken
    }

    fn idle(&mut self) -> Idle {
        Idle::Ready
    }

    fn in_transaction(&self) -> bool {
        false
    }

    fn endings(&self) -> u64 {
        0
    }

    fn prepare(&mut self, _: &str, _: &Call<'_>) -> Result<Description> {
        unreachable!()
    }

    fn exec(&mut self, _: &str, _: ParamsRef<'_>, _: &Call<'_>) -> Result<ExecResult> {
        unreachable!()
    }

    fn query(&mut self, _: &str, _: ParamsRef<'_>, _: &Call<'_>) -> Result<()> {
        unreachable!()
    }

    fn columns(&self) -> &Columns {
        &self.columns
    }

    fn written(&self) -> ExecResult {
        ExecResult::default()
    }

    fn next_row(&mut self) -> Result<NextRow> {
        unreachable!()
    }

    fn receive_rows(&mut self, _: &Call<'_>) -> Result<()> {
        unreachable!()
    }

    fn cells(&self) -> &[Cell] {
        &[]
    }

    fn data(&self) -> &[u8] {
        &[]
    }

    fn try_close_rows(&mut self) -> bool {
        true
    }

    fn close_rows(&mut self, _: &Call<'_>) -> Result<()> {
        Ok(())
    }

    fn start_batch(&mut self, _: &[BatchItem], _: &Call<'_>) -> Result<()> {
        unreachable!()
    }

    fn next_step(&mut self, _: &Call<'_>) -> Option<Result<BatchStep>> {
        None
    }

    fn ping(&mut self, _: &Call<'_>) -> Result<()> {
        self.broken = true;
        Ok(())
    }
}

struct Setup {
    world: Arc<World>,
    server: Server,
    endpoint: Arc<Endpoint>,
}

impl Setup {
    fn new(max: u32, change: impl FnOnce(&mut PoolConfig)) -> Setup {
        let mut config = Config::new(Database::Dqlite, Vec::new(), String::new()).pool;
        config.max_conns = max;
        change(&mut config);
        let world = Arc::<World>::default();
        Setup {
            server: Server(Arc::clone(&world)),
            world,
            endpoint: Arc::new(Endpoint::new(
                "nowhere".into(),
                &config,
                Arc::default(),
                process::id(),
            )),
        }
    }

    fn checkout(&self, call: &Call<'_>) -> Result<Lease, Unavailable> {
        let permit = self.endpoint.try_enter();
        let now = Moment::now();
        self.endpoint
            .checkout(&self.server, None, permit, call, &|| None, now)
            .map(|slot| Lease::new(Arc::clone(&self.endpoint), slot))
    }

    fn take(&self) -> Lease {
        let call = Call::until(Deadline::after(SOON));
        self.checkout(&call)
            .ok()
            .expect("a connection within the deadline")
    }

    /// Takes a connection while `other` is held in the middle of what it does, and lets that go on as soon as this
    /// waits; answers how long it took.
    fn take_beside(
        &self,
        what: fn(&World) -> &AtomicBool,
        other: impl FnOnce() + Send,
    ) -> Duration {
        let (begun, go_on) = self.world.hold(what(&self.world));
        thread::scope(|scope| {
            scope.spawn(other);
            begun.recv_timeout(SOON).unwrap();
            let taker = scope.spawn(|| {
                let start = Instant::now();
                drop(self.take());
                start.elapsed()
            });
            let end = Instant::now() + Duration::from_millis(200);
            while !taker.is_finished() && Instant::now() < end {
                thread::sleep(Duration::from_millis(1));
            }
            go_on.send(()).unwrap();
            taker.join().unwrap()
        })
    }
}

const LONG: Duration = Duration::from_secs(1);
const ROUNDS: u32 = 50_000;

#[test]
fn who_waits_for_the_place_of_a_connection_that_is_closed_meanwhile_gets_it() {
    let setup = Setup::new(1, |config| {
        config.max_conn_idle_time = Some(Duration::from_nanos(1))
    });
    for reset in [true, false] {
        drop(setup.take());
        assert_eq!(setup.world.open(), 1);
        // It is seen lying there for the first time.
        setup.endpoint.tidy();
        let waited = setup.take_beside(
            |world| &world.holds_close,
            || match reset {
                true => setup.endpoint.reset(),
                false => setup.endpoint.tidy(),
            },
        );
        assert!(waited < LONG, "reset {reset}: {waited:?}");
    }
}

#[test]
fn who_waits_for_the_end_of_a_connection_can_be_cancelled() {
    let setup = Setup::new(1, |_| {});
    drop(setup.take());
    let (begun, go_on) = setup.world.hold(&setup.world.holds_close);
    let handle = CancelHandle::new();
    let other = handle.clone();
    thread::scope(|scope| {
        scope.spawn(|| setup.endpoint.reset());
        begun.recv_timeout(SOON).unwrap();
        let start = Instant::now();
        let taker = scope.spawn(|| {
            let _running = handle.enter().unwrap();
            let call = Call {
                cancel: Some(&handle),
                ..Call::until(Deadline::after(SOON))
            };
            match setup.checkout(&call) {
                Err(Unavailable::Failed(error)) => error.kind(),
                _ => panic!("there is no connection to be had"),
            }
        });
        thread::sleep(Duration::from_millis(20));
        other.cancel();
        assert_eq!(taker.join().unwrap(), ErrorKind::Cancelled);
        assert!(start.elapsed() < LONG);
        go_on.send(()).unwrap();
    });
}

#[test]
fn idle_connections_are_there_for_callers_while_a_further_one_is_made() {
    let setup = Setup::new(3, |_| {});
    let taken = (setup.take(), setup.take());
    drop(taken);
    let call = Call::until(Deadline::after(SOON));
    let keep = || {
        let kept = setup.endpoint.keep_min(&setup.server, 3, None, &call);
        kept.unwrap();
    };
    let (begun, go_on) = setup.world.hold(&setup.world.holds_connect);
    thread::scope(|scope| {
        scope.spawn(keep);
        begun.recv_timeout(SOON).unwrap();
        let start = Instant::now();
        let taken = (setup.take(), setup.take());
        assert!(start.elapsed() < LONG);
        assert_eq!(setup.world.open(), 2, "no other one was made");
        drop(taken);
        go_on.send(()).unwrap();
    });
    assert_eq!(setup.world.open(), 3);
}

#[test]
fn the_least_number_is_restored_beside_callers_who_make_connections_themselves() {
    let setup = Setup::new(2, |_| {});
    let together = Barrier::new(2);
    let late = thread::scope(|scope| {
        let keeper = scope.spawn(|| {
            let mut late = 0;
            for _ in 0..ROUNDS / 10 {
                together.wait();
                let call = Call::until(Deadline::after(LONG));
                let kept = setup.endpoint.keep_min(&setup.server, 2, None, &call);
                late += u32::from(kept.is_err());
                together.wait();
            }
            late
        });
        for _ in 0..ROUNDS / 10 {
            setup.endpoint.reset();
            together.wait();
            pause();
            drop(setup.take());
            drop(setup.take());
            together.wait();
        }
        keeper.join().unwrap()
    });
    assert_eq!(late, 0, "it waited for connections that lay at the gate");
}

/// Lets some instructions pass.
fn pause() {
    for _ in 0..fastrand::u32(0..1_000) {
        std::hint::spin_loop();
    }
}

#[test]
fn a_connection_that_is_given_back_during_a_reset_is_closed() {
    let setup = Setup::new(2, |_| {});
    let together = Barrier::new(2);
    let mut stale = 0;
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..ROUNDS {
                together.wait();
                pause();
                setup.endpoint.reset();
                together.wait();
            }
        });
        for _ in 0..ROUNDS {
            let taken = (setup.take(), setup.take());
            together.wait();
            pause();
            taken.0.give_back();
            taken.1.give_back();
            together.wait();
            stale += u32::from(setup.world.open() > 0);
            setup.endpoint.reset();
        }
    });
    assert_eq!(stale, 0, "connections that stayed open");
}

#[test]
fn there_are_never_more_connections_than_allowed() {
    let short = Duration::from_micros(300);
    for max in [1, 2, 4] {
        let setup = Setup::new(max, |config| {
            config.max_conn_idle_time = Some(short);
            config.max_conn_lifetime = Some(short);
            config.max_conn_lifetime_jitter = short;
        });
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let users: Vec<_> = (0..8)
                .map(|user| {
                    let setup = &setup;
                    scope.spawn(move || {
                        for turn in 0..3_000 {
                            let mut lease = setup.take();
                            if (turn + user) % 7 == 0 {
                                let call = Call::until(Deadline::NONE);
                                lease.session().unwrap().ping(&call).unwrap();
                            }
                            match turn % 5 {
                                0 => lease.discard(),
                                1 => drop(lease),
                                _ => lease.give_back(),
                            }
                        }
                    })
                })
                .collect();
            scope.spawn(|| {
                let call = Call::until(Deadline::NONE);
                let mut turn = 0;
                while !done.load(Ordering::Relaxed) {
                    match turn % 4 {
                        0 => setup.endpoint.reset(),
                        1 => setup
                            .endpoint
                            .keep_min(&setup.server, max, None, &call)
                            .unwrap(),
                        _ => setup.endpoint.tidy(),
                    }
                    turn += 1;
                    let (connections, idle) = setup.endpoint.connections();
                    assert!(
                        connections <= max && idle <= connections,
                        "{connections} connections, {idle} idle"
                    );
                    thread::yield_now();
                }
            });
            for user in users {
                user.join().unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
        assert!(setup.world.most.load(Ordering::SeqCst) <= max);
        assert_eq!((setup.endpoint.in_use(), setup.endpoint.waiting()), (0, 0));
        setup.endpoint.retire();
        assert_eq!(
            (setup.world.open(), setup.endpoint.connections()),
            (0, (0, 0))
        );
    }
}
