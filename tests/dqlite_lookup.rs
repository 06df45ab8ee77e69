//! How the leader is found, and followed when it changes.

mod common;

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use common::cluster::{Cluster, DEADLINE};
use common::fake::{ANSWER, FakeLeader};
use common::passing::passing_leadership;
use common::proxy::Proxy;
use common::scripted::{ScriptedServer, Step};
use common::{TempDir, loopback, wait_for};
use quorate::dqlite::ClusterClient;
use quorate::dqlite::store::{MemoryNodeStore, NodeInfo, NodeStore};
use quorate::{Config, ErrorKind, Outcome, Pool, TlsConfig, TlsMode, TransactionMode};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;

const SOON: Duration = Duration::from_secs(15);

fn url(addresses: &[&str], options: &str) -> String {
    format!("dqlite://{}/test?{options}", addresses.join(","))
}

fn one(pool: &Pool) -> quorate::Result<i64> {
    pool.query_row::<(i64,)>("SELECT 1", ()).map(|(n,)| n)
}

/// An address where nobody listens.
fn refusing() -> String {
    format!("{}:9009", loopback())
}

fn followers(cluster: &Cluster) -> Vec<usize> {
    let leader = cluster.leader();
    (0..3).filter(|index| *index != leader).collect()
}

fn addresses(nodes: &[NodeInfo]) -> Vec<String> {
    let mut addresses: Vec<_> = nodes.iter().map(|node| node.address.clone()).collect();
    addresses.sort_unstable();
    addresses
}

#[test]
fn nodes_are_learned_and_forgotten_in_every_kind_of_store() {
    let mut cluster = Cluster::start(3);
    let seed = followers(&cluster)[0];
    let directory = TempDir::new();
    let mut pools = Vec::new();
    for name in ["servers.yaml", "servers.db"] {
        let path = directory.path().join(name);
        let options = format!("refresh_interval=100ms&store={}", path.display());
        let seeds = [cluster.address(seed)];
        pools.push((Pool::open(&url(&seeds, &options)).unwrap(), path));
    }
    // A store that is shared with the test, so that it can look inside.
    struct Shared(Arc<MemoryNodeStore>);
    impl NodeStore for Shared {
        fn get(&self) -> quorate::Result<Vec<NodeInfo>> {
            self.0.get()
        }
        fn set(&self, nodes: &[NodeInfo]) -> quorate::Result<()> {
            self.0.set(nodes)
        }
    }
    let memory = Arc::new(MemoryNodeStore::from_addresses([cluster.address(seed)]));
    let mut config = Config::dqlite("test", Shared(Arc::clone(&memory))).unwrap();
    config.set("refresh_interval", "100ms").unwrap();
    let pool = Pool::with_config(config).unwrap();

    let all_know = |what: &str, mut expected: Vec<String>| {
        expected.sort_unstable();
        wait_for(what, DEADLINE, || {
            let files = pools
                .iter()
                .map(|(_, path)| <dyn NodeStore>::open(path).unwrap().get().unwrap());
            let lists = files.chain([memory.get().unwrap()]);
            lists
                .map(|nodes| addresses(&nodes))
                .all(|known| known == expected)
                .then_some(())
        });
    };
    all_know("the nodes are learned", cluster.addresses());
    let added = cluster.add();
    cluster.join(added);
    all_know("the added node is learned", cluster.addresses());

    let client = ClusterClient::open(&url(&[cluster.address(seed)], "")).unwrap();
    let nodes = client.within(SOON).nodes().unwrap();
    assert_eq!(addresses(&nodes), {
        let mut all = cluster.addresses();
        all.sort_unstable();
        all
    });
    client.within(SOON).remove(cluster.id(added)).unwrap();
    cluster.kill(added);
    all_know(
        "the removed node is forgotten",
        cluster.addresses()[..3].to_vec(),
    );
    // The seed is not needed any more.
    cluster.kill(seed);
    for pool in pools.iter().map(|(pool, _)| pool).chain([&pool]) {
        assert_eq!(one(&pool.within(SOON)).unwrap(), 1);
    }
}

#[test]
fn one_live_seed_is_enough() {
    let cluster = Cluster::start(3);
    let (refusing, silent) = (refusing(), ScriptedServer::silent());
    let seed = cluster.address(followers(&cluster)[1]);
    let pool = Pool::open(&url(&[&refusing, silent.address(), seed], "")).unwrap();
    let start = Instant::now();
    assert_eq!(one(&pool.within(SOON)).unwrap(), 1);
    // The silent node is not waited for.
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
    assert!(silent.connections() > 0);
}

#[test]
fn a_hanging_leader_that_the_others_still_name_is_not_waited_for() {
    let leader = FakeLeader::start();
    let (first, second) = (FakeLeader::start(), FakeLeader::start());
    first.name(leader.address());
    second.name(leader.address());
    leader.hush();
    let seeds = [leader.address(), first.address(), second.address()];
    let pool = Pool::open(&url(&seeds, "refresh_interval=1h&statement_cache=0")).unwrap();
    let result = thread::scope(|scope| {
        let call = scope.spawn(|| {
            let start = Instant::now();
            one(&pool.within(SOON)).map(|n| (n, start.elapsed()))
        });
        wait_for("the others have been asked", SOON, || {
            (first.connections() + second.connections() >= 2).then_some(())
        });
        // Now they elect another one.
        first.name(second.address());
        second.name(second.address());
        call.join().unwrap()
    });
    let (n, took) = result.unwrap();
    assert_eq!(n, ANSWER);
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[test]
fn without_a_leader_every_node_is_listed_with_its_own_cause() {
    let refusing = refusing();
    let silent = ScriptedServer::silent();
    let closing = ScriptedServer::start(vec![vec![Step::Close]]);
    let garbage = ScriptedServer::answering(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec());
    let ignorant = FakeLeader::start();
    ignorant.name("");
    let misled = FakeLeader::start();
    misled.name(ignorant.address());
    let seeds = [
        &refusing,
        silent.address(),
        closing.address(),
        garbage.address(),
        ignorant.address(),
        misled.address(),
    ];
    let expected = [
        "refused",
        "no answer",
        "the server ",
        "bytes",
        "knows no leader",
        "it names",
    ];
    for options in ["retry_limit=1&backoff_factor=10ms", "timeout=2s"] {
        let pool = Pool::open(&url(&seeds, options)).unwrap();
        let start = Instant::now();
        let error = one(&pool).unwrap_err();
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::NoLeader, Outcome::NotSent),
            "{error}"
        );
        assert!(
            start.elapsed() < Duration::from_millis(2100),
            "{:?}",
            start.elapsed()
        );
        assert_eq!(error.causes().len(), seeds.len(), "{error}");
        for (seed, text) in seeds.iter().zip(expected) {
            let cause = error.causes().iter().find(|cause| cause.node == **seed);
            let cause = cause.unwrap_or_else(|| panic!("{seed} is missing in {error}"));
            assert!(cause.error.to_string().contains(text), "{}", cause.error);
            assert!(error.to_string().contains(&cause.node), "{error}");
        }
    }
}

#[test]
fn the_retry_limit_counts_the_rounds() {
    let closing = ScriptedServer::start(vec![vec![Step::Close]]);
    for (limit, rounds) in [(1, 2), (3, 4)] {
        let mut config = Config::parse(&url(&[closing.address()], "backoff_factor=1ms")).unwrap();
        config.set("retry_limit", &limit.to_string()).unwrap();
        let client = ClusterClient::with_config(config).unwrap();
        let before = closing.connections();
        let error = client.within(SOON).leader().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoLeader);
        assert_eq!(closing.connections() - before, rounds, "{error}");
    }
}

#[test]
fn no_more_nodes_are_asked_at_once_than_allowed() {
    let nodes: Vec<_> = (0..8).map(|_| FakeLeader::start()).collect();
    for node in &nodes {
        node.hush();
    }
    let open = || nodes.iter().map(FakeLeader::open).sum::<usize>();
    let seeds: Vec<_> = nodes.iter().map(FakeLeader::address).collect();
    let options = "probe_limit=3&attempt_timeout=150ms";
    let client = ClusterClient::open(&url(&seeds, options)).unwrap();
    let done = AtomicBool::new(false);
    let most = thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut most = 0;
            while !done.load(Ordering::SeqCst) {
                most = most.max(open());
                thread::yield_now();
            }
            most
        });
        client
            .within(Duration::from_millis(600))
            .leader()
            .unwrap_err();
        done.store(true, Ordering::SeqCst);
        watcher.join().unwrap()
    });
    assert!(most >= 2, "at most {most} at once");
    // A server sees a connection end a moment after the next one began.
    assert!(most <= 2 * 3, "{most} at once");
    wait_for("all probes end", SOON, || (open() == 0).then_some(()));
}

#[test]
fn threads_that_ask_at_once_share_one_lookup() {
    let leader = FakeLeader::start();
    let others = [FakeLeader::start(), FakeLeader::start()];
    for other in &others {
        other.name(leader.address());
    }
    let seeds = [leader.address(), others[0].address(), others[1].address()];
    let options = "refresh_interval=1h&pool_max_conns=32";
    let pool = Pool::open(&url(&seeds, options)).unwrap();
    wait_for("the worker has read the list of nodes", SOON, || {
        (pool.stats().refreshes == 1).then_some(())
    });
    let connections =
        || leader.connections() + others.iter().map(FakeLeader::connections).sum::<usize>();
    // Each node in turn, and the leader that it names.
    assert!(connections() <= 3 + 3 + 1, "{} connections", connections());

    let pool = Pool::open(&url(&seeds, options)).unwrap();
    let before = connections();
    let barrier = Barrier::new(32);
    thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                barrier.wait();
                let connection = pool.within(SOON).acquire().unwrap();
                // All have one before any gives it back.
                barrier.wait();
                drop(connection);
            });
        }
    });
    // One each, and one lookup, and the worker's own question.
    let made = connections() - before;
    assert!(made <= 32 + 3 + 3 + 2, "{made} connections");
    assert_eq!(pool.stats().leader_changes, 0);
}

#[test]
fn a_transfer_is_followed_without_an_error() {
    passing_leadership("pool_max_conns=4", |cluster, pool, client| {
        let held: Vec<_> = (0..4).map(|_| pool.acquire().unwrap()).collect();
        drop(held);
        assert_eq!(pool.stats().idle, 4);
        for round in 0..3 {
            let old = cluster.leader();
            assert_eq!(client.within(SOON).leader().unwrap(), cluster.address(old));
            let next = (old + 1) % 3;
            client.within(SOON).transfer(cluster.id(next)).unwrap();
            wait_for("the leadership passes", DEADLINE, || {
                (cluster.leader_now() == Some(next)).then_some(())
            });
            for n in 0..8 {
                pool.within(SOON)
                    .exec("INSERT INTO t VALUES (?)", (n,))
                    .unwrap();
            }
            assert_eq!(pool.acquire().unwrap().node(), cluster.address(next));
            let stats = pool.stats();
            assert_eq!(stats.leader_changes, round + 1);
            assert!(stats.connections <= 4 && stats.in_use == 0, "{stats:?}");
            wait_for("the old connections are dropped", SOON, || {
                (pool.stats().connections <= 2).then_some(())
            });
            // What was cached of the leader does not keep the client from finding the new one.
            assert_eq!(client.within(SOON).leader().unwrap(), cluster.address(next));
        }
        let (count,): (i64,) = pool.query_row("SELECT count(*) FROM t", ()).unwrap();
        assert_eq!(count, 24);
    });
}

#[test]
fn what_is_written_while_the_leadership_passes_is_written_once() {
    passing_leadership("", |cluster, pool, client| {
        let end = AtomicBool::new(false);
        let (acknowledged, unknown) = thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let (mut acknowledged, mut unknown) = (0, 0);
                while !end.load(Ordering::Relaxed) {
                    match pool.within(SOON).exec("INSERT INTO t VALUES (1)", ()) {
                        Ok(_) => acknowledged += 1,
                        Err(error) if error.outcome() == Outcome::Unknown => unknown += 1,
                        Err(error) => panic!("{error}"),
                    }
                }
                (acknowledged, unknown)
            });
            for _ in 0..10 {
                let next = (cluster.leader() + 1) % 3;
                // A node that has not caught up refuses it.
                let _ = client.within(DEADLINE).transfer(cluster.id(next));
                thread::sleep(Duration::from_millis(100));
            }
            end.store(true, Ordering::Relaxed);
            writer.join().unwrap()
        });
        let (count,): (i64,) = pool.query_row("SELECT count(*) FROM t", ()).unwrap();
        assert!(
            (acknowledged..=acknowledged + unknown).contains(&count),
            "{count} of {acknowledged} and {unknown}"
        );
    });
}

#[test]
fn a_transaction_that_loses_its_leader_in_the_midst_of_rows_is_repeated() {
    passing_leadership("", |cluster, pool, client| {
        // More than what is under way: the server still has rows to send when it loses the leadership.
        let many = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r LIMIT 2000000) \
                SELECT n, 'a text that fills the answer' FROM r";
        let mut runs = 0;
        pool.within(SOON)
            .transaction(TransactionMode::Immediate, |connection| {
                runs += 1;
                connection.exec("INSERT INTO t VALUES (1)", ())?;
                if runs > 1 {
                    return Ok(());
                }
                let mut rows = connection.query(many, ())?;
                assert!(rows.next()?.is_some());
                let next = (cluster.leader() + 1) % 3;
                client.within(SOON).transfer(cluster.id(next)).unwrap();
                while rows.next()?.is_some() {}
                panic!("all rows came");
            })
            .unwrap();
        assert_eq!(runs, 2);
        let (count,): (i64,) = pool.query_row("SELECT count(*) FROM t", ()).unwrap();
        assert_eq!(count, 1);
    });
}

#[test]
fn a_dial_function_makes_every_connection() {
    let cluster = Cluster::start(3);
    let proxies: Vec<_> = cluster
        .addresses()
        .iter()
        .map(|to| Proxy::start(to))
        .collect();
    let map: Vec<(String, String)> = cluster
        .addresses()
        .into_iter()
        .zip(proxies.iter().map(|proxy| proxy.address().to_owned()))
        .collect();
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let broken = Arc::new(AtomicBool::new(false));
    let mut config = Config::parse(&url(&[cluster.address(1)], "retry_limit=1")).unwrap();
    config.set_dial({
        let (asked, broken) = (Arc::clone(&asked), Arc::clone(&broken));
        move |address, deadline| {
            assert!(deadline.instant().is_some());
            asked.lock().unwrap().push(address.to_owned());
            if broken.load(Ordering::SeqCst) {
                return Err(io::Error::other("the tunnel is down"));
            }
            let (_, to) = map.iter().find(|(from, _)| from == address).unwrap();
            Ok(OwnedFd::from(TcpStream::connect(to)?))
        }
    });
    let pool = Pool::with_config(config).unwrap();
    assert_eq!(one(&pool).unwrap(), 1);
    let through: u64 = proxies.iter().map(|proxy| proxy.stats().connections).sum();
    assert!(through > 0 && through as usize <= asked.lock().unwrap().len());
    broken.store(true, Ordering::SeqCst);
    pool.reset();
    let error = one(&pool).unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotSent);
    assert!(error.to_string().contains("the tunnel is down"), "{error}");
    broken.store(false, Ordering::SeqCst);
    assert_eq!(one(&pool).unwrap(), 1);
}

/// Copies both ways until one side ends.
fn join<A, B>(a: A, b: B, clone: impl Fn(&A, &B) -> (A, B), end: impl Fn(&A, &B) + Send)
where
    A: io::Read + io::Write + Send + 'static,
    B: io::Read + io::Write + Send + 'static,
{
    let (mut a2, mut b2) = clone(&a, &b);
    let (mut a, mut b) = (a, b);
    let other = thread::spawn(move || {
        let _ = io::copy(&mut a2, &mut b2);
    });
    let _ = io::copy(&mut b, &mut a);
    end(&a, &b);
    let _ = other.join();
}

#[test]
fn a_unix_socket_is_an_address_like_any_other() {
    let cluster = Cluster::start(1);
    let directory = TempDir::new();
    let path = directory.path().join("node.sock");
    let name = format!("quorate-{}-{}", std::process::id(), common::unique());
    let abstract_name = {
        use std::os::linux::net::SocketAddrExt;
        std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap()
    };
    for listener in [
        UnixListener::bind(&path).unwrap(),
        UnixListener::bind_addr(&abstract_name).unwrap(),
    ] {
        let target = cluster.address(0).to_owned();
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, target) = (client.unwrap(), target.clone());
                thread::spawn(move || {
                    let server = TcpStream::connect(target).unwrap();
                    join(
                        client,
                        server,
                        |a: &UnixStream, b| (a.try_clone().unwrap(), b.try_clone().unwrap()),
                        |a, b| {
                            let _ = a.shutdown(Shutdown::Both);
                            let _ = b.shutdown(Shutdown::Both);
                        },
                    );
                });
            }
        });
    }
    let encoded = path.to_str().unwrap().replace('/', "%2F");
    for seed in [encoded, format!("@{name}")] {
        // The node names itself by its TCP address, and is followed there.
        let pool = Pool::open(&url(&[&seed], "")).unwrap();
        assert_eq!(one(&pool.within(SOON)).unwrap(), 1, "{seed}");
    }
    let pool = Pool::open(&url(&["%2Fnone%2Fnode.sock"], "retry_limit=1")).unwrap();
    let error = one(&pool.within(SOON)).unwrap_err();
    assert_eq!(error.causes()[0].node, "/none/node.sock", "{error}");
}

/// A certificate and its key in PEM.
struct Identity(String, String);

struct Authority(String, Issuer<'static, KeyPair>);

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Authority(pem, Issuer::new(params, key))
    }

    fn identity(&self, name: &str) -> Identity {
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.1).unwrap();
        Identity(certificate.pem(), key.serialize_pem())
    }
}

/// Ends TLS in front of a node and asks for a certificate of the client.
struct TlsProxy {
    address: String,
    connections: Arc<AtomicUsize>,
}

impl TlsProxy {
    fn start(target: &str, authority: &Authority, identity: &Identity) -> TlsProxy {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(authority.0.as_bytes()).unwrap();
        roots.add(root).unwrap();
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .unwrap();
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(identity.0.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(identity.1.as_bytes()).unwrap(),
            )
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let connections = Arc::new(AtomicUsize::new(0));
        thread::spawn({
            let (target, connections) = (target.to_owned(), Arc::clone(&connections));
            move || {
                for client in listener.incoming() {
                    connections.fetch_add(1, Ordering::SeqCst);
                    let (client, config) = (client.unwrap(), Arc::clone(&config));
                    let server = TcpStream::connect(&target).unwrap();
                    thread::spawn(move || drop(serve_tls(client, server, config)));
                }
            }
        });
        TlsProxy {
            address,
            connections,
        }
    }
}

/// Answers one request at a time: what comes from the client goes to the server, and back, in turns.
fn serve_tls(
    mut client: TcpStream,
    mut server: TcpStream,
    config: Arc<rustls::ServerConfig>,
) -> io::Result<()> {
    use std::io::{Read, Write};
    let mut tls = rustls::ServerConnection::new(config).map_err(io::Error::other)?;
    let tick = Some(Duration::from_millis(2));
    client.set_read_timeout(tick)?;
    server.set_read_timeout(tick)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let waits = |error: &io::Error| {
        matches!(
            error.kind(),
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
        )
    };
    let mut buffer = [0; 16 << 10];
    loop {
        match tls.read_tls(&mut client) {
            Ok(0) => return Ok(()),
            Ok(_) => {
                if let Err(error) = tls.process_new_packets() {
                    // The alert.
                    tls.write_tls(&mut client)?;
                    return Err(io::Error::other(error));
                }
            }
            Err(error) if waits(&error) => {}
            Err(error) => return Err(error),
        }
        match tls.reader().read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => server.write_all(&buffer[..read])?,
            Err(error) if waits(&error) => {}
            Err(error) => return Err(error),
        }
        match server.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => tls.writer().write_all(&buffer[..read])?,
            Err(error) if waits(&error) => {}
            Err(error) => return Err(error),
        }
        while tls.wants_write() {
            tls.write_tls(&mut client)?;
        }
    }
}

#[test]
fn a_node_behind_tls_is_reached_by_those_who_may_alone() {
    let cluster = Cluster::start(1);
    let (authority, stranger) = (Authority::new(), Authority::new());
    let proxy = TlsProxy::start(
        cluster.address(0),
        &authority,
        &authority.identity("node.test"),
    );
    let client = authority.identity("client");
    let other = stranger.identity("client");
    let pool = |ca: &str, server: &str, client: Option<&Identity>| {
        let mut config = Config::parse(&url(&[cluster.address(0)], "refresh_interval=1h")).unwrap();
        let to = proxy.address.clone();
        config.set_dial(move |_, _| Ok(OwnedFd::from(TcpStream::connect(&to)?)));
        let mut tls = TlsConfig::new(TlsMode::VerifyFull);
        tls.ca_pem(ca).server_name(server);
        if let Some(Identity(certificate, key)) = client {
            tls.client_cert_pem(certificate).client_key_pem(key);
        }
        config.set_tls(tls);
        Pool::with_config(config).unwrap()
    };
    let good = pool(&authority.0, "node.test", Some(&client));
    assert_eq!(one(&good.within(SOON)).unwrap(), 1);
    good.exec("CREATE TABLE t (n INTEGER, b BLOB)", ()).unwrap();
    good.exec("INSERT INTO t VALUES (1, ?)", (vec![7_u8; 300_000],))
        .unwrap();
    let (blob,): (Vec<u8>,) = good.query_row("SELECT b FROM t", ()).unwrap();
    assert_eq!(blob, [7; 300_000]);
    assert_eq!(
        good.stats().connects,
        1,
        "an idle connection was not used again"
    );

    for (what, ca, name, client) in [
        ("wrong ca", &stranger.0, "node.test", Some(&client)),
        ("wrong name", &authority.0, "other.test", Some(&client)),
        ("no certificate", &authority.0, "node.test", None),
        ("wrong certificate", &authority.0, "node.test", Some(&other)),
    ] {
        let before = proxy.connections.load(Ordering::SeqCst);
        let pool = pool(ca, name, client);
        let start = Instant::now();
        let error = one(&pool.within(SOON)).unwrap_err();
        let took = start.elapsed();
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::Tls, Outcome::NotSent),
            "{what}: {error}"
        );
        // At once, and without asking again and again.
        assert!(took < Duration::from_secs(2), "{what} took {took:?}");
        let asked = proxy.connections.load(Ordering::SeqCst) - before;
        assert!(asked <= 3, "{what}: {asked} connections");
    }
    assert_eq!(one(&good.within(SOON)).unwrap(), 1);
}
