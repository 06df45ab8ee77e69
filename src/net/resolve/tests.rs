use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use std::time::Instant;

use super::*;
use crate::cancel::CancelHandle;
use crate::deadline::Deadline;

const PATIENCE: Duration = Duration::from_secs(20);

fn parse(text: &str) -> Address {
    Address::parse(text, None).unwrap()
}

fn socket(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn within(limit: Duration) -> Call<'static> {
    Call::until(Deadline::after(limit))
}

/// A lookup that waits until the sender is used or dropped, and counts its calls.
fn held() -> (Resolver, mpsc::Sender<()>, Arc<AtomicUsize>) {
    let (release, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let resolver = Resolver::with_lookup(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        let _ = wait.lock().recv();
        Ok(vec![socket("10.0.0.1:0")])
    });
    (resolver, release, calls)
}

fn until(mut reached: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !reached() {
        assert!(Instant::now() < deadline, "waited in vain");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn what_needs_no_lookup_makes_none() {
    let resolver = Resolver::with_lookup(|_| unreachable!());
    let past = within(Duration::ZERO);
    for (text, expected) in [
        ("10.0.0.1:9", SocketAddress::Ip(socket("10.0.0.1:9"))),
        ("[::1]:9", SocketAddress::Ip(socket("[::1]:9"))),
        ("[fe80::1%3]:9", SocketAddress::Ip(socket("[fe80::1%3]:9"))),
        ("/run/db", SocketAddress::Unix("/run/db".into())),
        ("@db", SocketAddress::Abstract("db".to_owned())),
    ] {
        assert_eq!(resolver.resolve(&parse(text), &past).unwrap(), [expected]);
    }
}

#[test]
fn families_take_turns_from_the_one_that_came_first() {
    let six = |n: u8| socket(&format!("[::{n}]:0"));
    let four = |n: u8| socket(&format!("10.0.0.{n}:0"));
    let table = [
        (vec![], vec![]),
        (vec![four(1), four(2)], vec![four(1), four(2)]),
        (
            vec![six(1), six(2), six(3), four(1)],
            vec![six(1), four(1), six(2), six(3)],
        ),
        (
            vec![four(1), four(2), four(1), six(1), six(2), six(1)],
            vec![four(1), six(1), four(2), six(2)],
        ),
    ];
    for (found, expected) in table {
        assert_eq!(interleave(found), expected);
    }
}

#[test]
fn the_systems_resolver_is_asked() {
    let resolver = Resolver::new();
    let found = resolver
        .resolve(&parse("localhost:9"), &within(PATIENCE))
        .unwrap();
    assert!(found.iter().all(|address| matches!(
        address,
        SocketAddress::Ip(socket) if socket.ip().is_loopback() && socket.port() == 9
    )));
    until(|| resolver.shared.flights.lock().lookups.is_empty());
}

#[test]
fn failures_name_the_host() {
    let failing = Resolver::with_lookup(|_| Err(io::Error::other("no such name")));
    let error = failing
        .resolve(&parse("db1:9"), &Call::until(Deadline::NONE))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert!(
        error
            .message()
            .contains("`db1` cannot be looked up: no such name")
    );
    assert!(std::error::Error::source(&error).is_some());

    let empty = Resolver::with_lookup(|_| Ok(Vec::new()));
    let error = empty
        .resolve(&parse("db1:9"), &Call::until(Deadline::NONE))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert!(error.message().contains("`db1` has no address"));

    let panicking = Resolver::with_lookup(|_| panic!("on purpose"));
    let error = panicking
        .resolve(&parse("db1:9"), &within(PATIENCE))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert!(error.message().contains("panicked"));
}

#[test]
fn a_lookup_that_hangs_does_not_outlive_the_deadline() {
    let (resolver, release, calls) = held();
    for _ in 0..3 {
        let start = Instant::now();
        let error = resolver
            .resolve(&parse("db1:9"), &within(Duration::from_millis(20)))
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert!(error.message().contains("`db1`"), "{error}");
        assert!(start.elapsed() < PATIENCE / 2);
    }
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    drop(release);
    until(|| resolver.shared.flights.lock().lookups.is_empty());
    resolver
        .resolve(&parse("db1:9"), &within(PATIENCE))
        .unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[test]
fn a_deadline_that_has_passed_starts_no_lookup() {
    let (resolver, _release, calls) = held();
    let error = resolver
        .resolve(&parse("db1:9"), &within(Duration::ZERO))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(resolver.shared.flights.lock().lookups.is_empty());
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

#[test]
fn one_lookup_serves_all_who_ask_for_the_name() {
    let (resolver, release, calls) = held();
    thread::scope(|scope| {
        let callers: Vec<_> = (1..=8)
            .map(|port| {
                let resolver = resolver.clone();
                scope.spawn(move || {
                    resolver.resolve(&parse(&format!("db1:{port}")), &within(PATIENCE))
                })
            })
            .collect();
        // The map and the helper hold a share each, and so does every caller who waits.
        until(|| {
            let flights = resolver.shared.flights.lock();
            flights
                .lookups
                .get("db1")
                .is_some_and(|flight| Arc::strong_count(flight) == 10)
        });
        release.send(()).unwrap();
        for (port, caller) in (1..=8).zip(callers) {
            let expected = socket(&format!("10.0.0.1:{port}"));
            assert_eq!(
                caller.join().unwrap().unwrap(),
                [SocketAddress::Ip(expected)]
            );
        }
    });
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[test]
fn no_more_lookups_run_than_may() {
    let (resolver, release, calls) = held();
    let soon = Duration::from_millis(5);
    for number in 0..MAX_LOOKUPS + 4 {
        let address = parse(&format!("db{number}:9"));
        let error = resolver.resolve(&address, &within(soon)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
    }
    assert_eq!(resolver.shared.flights.lock().lookups.len(), MAX_LOOKUPS);
    assert!(calls.load(Ordering::SeqCst) <= MAX_LOOKUPS);

    thread::scope(|scope| {
        let waiting = scope.spawn(|| resolver.resolve(&parse("last:9"), &within(PATIENCE)));
        drop(release);
        assert!(waiting.join().unwrap().is_ok());
    });
    until(|| resolver.shared.flights.lock().lookups.is_empty());
}

#[test]
fn a_call_is_cancelled_while_a_name_is_looked_up() {
    let (resolver, release, _) = held();
    let handle = CancelHandle::new();
    let canceller = thread::spawn({
        let (resolver, handle) = (resolver.clone(), handle.clone());
        move || {
            until(|| !resolver.shared.flights.lock().waiting.is_empty());
            handle.cancel();
        }
    });
    let _running = handle.enter().unwrap();
    let call = Call {
        cancel: Some(&handle),
        ..within(PATIENCE)
    };
    let error = resolver.resolve(&parse("db1:9"), &call).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    canceller.join().unwrap();
    drop(release);
}
