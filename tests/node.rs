//! The embedded node, the program `quorate node`, and the tools the other tests stand on.

mod common;

use std::fs;
use std::io::{ErrorKind as IoKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use common::cluster::{Cluster, DEADLINE};
use common::proxy::{Direction, Proxy};
use common::raw::{Cell, Raw, RawError, VOTER, frame};
use common::scripted::{ScriptedServer, Step};
use common::{TempDir, loopback, unique, wait_for};
use quorate::ErrorKind;
use quorate::dqlite::node::{self, BOOTSTRAP_ID, Node};

/// An address on which nobody else listens.
fn free_address() -> String {
    format!("{}:9001", loopback())
}

/// A node of its own in this process, in `directory`.
fn start_node(address: &str, directory: &TempDir) -> Node {
    Node::builder(BOOTSTRAP_ID, address, directory.path().join("node"))
        .network_latency(Duration::from_millis(30))
        .start()
        .unwrap()
}

fn one_cell(address: &str, sql: &str) -> Result<Cell, RawError> {
    Ok(Raw::open(address, "test")?.query(sql)?.remove(0).remove(0))
}

#[test]
fn a_node_starts_serves_stops_and_starts_again_with_its_data() {
    let (directory, address) = (TempDir::new(), free_address());
    let node = start_node(&address, &directory);
    assert_eq!(node.id(), BOOTSTRAP_ID);
    assert_eq!(node.address(), address);
    assert_eq!(node.bind_address(), address);
    assert_eq!(
        node.directory(),
        directory.path().join("node").canonicalize().unwrap()
    );
    assert_eq!(
        fs::metadata(node.directory()).unwrap().permissions().mode() & 0o777,
        0o700
    );
    let mut raw = Raw::open(&address, "test").unwrap();
    raw.exec("CREATE TABLE t (n INTEGER, s TEXT)").unwrap();
    assert_eq!(
        raw.exec("INSERT INTO t VALUES (7, 'seven')").unwrap(),
        (1, 1)
    );
    assert_eq!(
        raw.query("SELECT n, s FROM t").unwrap(),
        [[Cell::Int(7), Cell::Text("seven".into())]]
    );
    // The client is still connected.
    node.stop().unwrap();
    wait_until_refused(&address);

    drop(start_node(&address, &directory));
    let node = start_node(&address, &directory);
    assert_eq!(one_cell(&address, "SELECT n FROM t").unwrap(), Cell::Int(7));
    node.stop().unwrap();
}

#[test]
fn one_process_runs_several_nodes_and_moves_them_between_threads() {
    let directories = [TempDir::new(), TempDir::new()];
    let addresses = [free_address(), free_address()];
    let nodes: Vec<Node> = std::thread::scope(|scope| {
        let starts: Vec<_> = addresses
            .iter()
            .zip(&directories)
            .map(|(address, directory)| scope.spawn(|| start_node(address, directory)))
            .collect();
        starts
            .into_iter()
            .map(|start| start.join().unwrap())
            .collect()
    });
    for (number, address) in addresses.iter().enumerate() {
        let mut raw = Raw::open(address, "test").unwrap();
        raw.exec(&format!("CREATE TABLE t AS SELECT {number} AS n"))
            .unwrap();
    }
    for (number, address) in addresses.iter().enumerate() {
        let found = one_cell(address, "SELECT n FROM t").unwrap();
        assert_eq!(found, Cell::Int(number as i64));
    }
    for node in nodes {
        node.stop().unwrap();
    }
}

#[test]
fn nodes_reach_each_other_by_host_name() {
    let directories = [TempDir::new(), TempDir::new()];
    let port = 20_000 + std::process::id() % 10_000;
    let addresses = [
        format!("localhost:{port}"),
        format!("localhost:{}", port + 1),
    ];
    let _nodes: Vec<Node> = (0..2)
        .map(|index| {
            Node::builder(
                index as u64 + 1,
                &addresses[index],
                directories[index].path(),
            )
            .network_latency(Duration::from_millis(30))
            .start()
            .unwrap()
        })
        .collect();
    let numeric = format!("127.0.0.1:{port}");
    let mut leader = Raw::connect(&numeric).unwrap();
    leader.add(2, &addresses[1]).unwrap();
    leader.set_timeout(DEADLINE);
    // A node is caught up before it becomes a voter: the leader has to have reached it by its name.
    leader.assign(2, VOTER).unwrap();
    assert_eq!(leader.cluster().unwrap()[1].role, VOTER);
}

#[test]
fn an_abstract_socket_and_a_separate_bind_address() {
    let directory = TempDir::new();
    let node = Node::builder(1, "db.example:9000", directory.path().join("a"))
        .bind_address("@")
        .start()
        .unwrap();
    assert_eq!(node.address(), "db.example:9000");
    let name = node.bind_address().strip_prefix('@').unwrap().to_string();
    assert!(!name.is_empty());
    connect_abstract(&name).unwrap();
    node.stop().unwrap();
    assert!(connect_abstract(&name).is_err());

    let name = format!("quorate-{}-{}", std::process::id(), unique());
    let node = Node::builder(1, "db.example:9000", directory.path().join("b"))
        .bind_address(&format!("@{name}"))
        .start()
        .unwrap();
    assert_eq!(node.bind_address(), format!("@{name}"));
    connect_abstract(&name).unwrap();
    let error = Node::builder(1, &format!("@{name}"), directory.path().join("c"))
        .start()
        .unwrap_err();
    assert!(error.message().contains("in use"), "{error}");
}

fn connect_abstract(name: &str) -> std::io::Result<std::os::unix::net::UnixStream> {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixStream};
    UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?)
}

#[test]
fn what_cannot_be_started_says_why() {
    let directory = TempDir::new();
    let address = free_address();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let data = directory.path().join("data");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    let new = |id, address: &str| Node::builder(id, address, &data);
    let path = |path: std::path::PathBuf| Node::builder(1, &address, path);
    let cases = [
        (new(0, &address), ErrorKind::Config, "node id of 0"),
        (new(1, "127.0.0.1"), ErrorKind::Config, "no port"),
        (new(1, "127.0.0.1:70000"), ErrorKind::Config, "1 to 65535"),
        (new(1, "127.0.0.1:9001\0"), ErrorKind::Config, "NUL"),
        (new(1, "@"), ErrorKind::Config, "need a name"),
        (
            new(1, &address).bind_address("x"),
            ErrorKind::Config,
            "no port",
        ),
        (
            new(1, "no.such.host.invalid:9001"),
            ErrorKind::Node,
            "no address",
        ),
        (new(1, "192.0.2.1:9001"), ErrorKind::Node, "cannot bind"),
        (new(1, &taken), ErrorKind::Node, "in use"),
        (path("a\0b".into()), ErrorKind::Config, "NUL"),
        (
            path(directory.path().join("x".repeat(300))),
            ErrorKind::Node,
            "too long",
        ),
        (path(file.clone()), ErrorKind::Node, "not a directory"),
        (path(file.join("below")), ErrorKind::Node, "ot a directory"),
        (
            path("/proc/quorate".into()),
            ErrorKind::Node,
            "/proc/quorate",
        ),
        (
            new(1, &address).network_latency(Duration::ZERO),
            ErrorKind::Config,
            "out of range",
        ),
        (
            new(1, &address).snapshot_params(10, 3),
            ErrorKind::Config,
            "4 or more",
        ),
        (
            new(1, &address).block_size(1000),
            ErrorKind::Config,
            "power of two",
        ),
    ];
    for (builder, kind, message) in cases {
        let described = format!("{builder:?}");
        let error = builder.start().expect_err(&described);
        assert_eq!(error.kind(), kind, "{described}: {error}");
        assert!(error.to_string().contains(message), "{described}: {error}");
    }
    // None of it stands in the way of a start that is right.
    start_node(&address, &directory).stop().unwrap();
}

#[test]
fn a_directory_holds_one_node() {
    let (directory, address) = (TempDir::new(), free_address());
    let node = start_node(&address, &directory);
    let error = Node::builder(1, &free_address(), directory.path().join("node"))
        .start()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Node);
    assert!(
        error.message().contains("in use by another node"),
        "{error}"
    );
    node.stop().unwrap();
}

#[test]
fn damaged_data_is_an_error_and_leaves_no_listener() {
    let (directory, address) = (TempDir::new(), free_address());
    let node = start_node(&address, &directory);
    let path = node.directory().to_path_buf();
    Raw::open(&address, "test")
        .unwrap()
        .exec("CREATE TABLE t (n)")
        .unwrap();
    node.stop().unwrap();
    for entry in fs::read_dir(&path).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        // A closed segment, by its name: first entry, dash, last entry.
        if name.len() == 33 && name.as_bytes()[16] == b'-' {
            fs::write(entry.path(), [0x5a; 100]).unwrap();
        }
    }
    let error = Node::builder(1, &address, &path).start().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Node);
    assert!(error.message().contains("load"), "{error}");
    wait_until_refused(&address);
    // The address is free again, and libdqlite still works.
    let other = TempDir::new();
    start_node(&address, &other).stop().unwrap();
}

#[test]
fn damaged_metadata_does_not_break_other_nodes() {
    let (directory, address) = (TempDir::new(), free_address());
    let running_directory = TempDir::new();
    let running_address = free_address();
    let running = start_node(&running_address, &running_directory);
    for round in 0..3 {
        let path = directory.path().join(round.to_string());
        fs::create_dir(&path).unwrap();
        // A format that no version knows.
        let metadata: Vec<u8> = [9u64, 1, 1, 1]
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        fs::write(path.join("metadata1"), metadata).unwrap();
        let error = Node::builder(1, &address, path).start().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Node, "{error}");
        let mut raw = Raw::open(&running_address, &format!("db{round}")).unwrap();
        raw.exec("CREATE TABLE t (n)").unwrap();
        start_node(&address, &TempDir::new()).stop().unwrap();
    }
    running.stop().unwrap();
}

#[test]
fn libdqlites_threads_take_no_signals_and_its_sockets_are_not_inherited() {
    let (directory, address) = (TempDir::new(), free_address());
    let before = threads();
    let node = start_node(&address, &directory);
    // Other tests start threads too; those of libdqlite are the ones that block SIGPIPE and SIGTERM.
    let blocked = threads()
        .into_iter()
        .filter(|thread| !before.contains(thread))
        .filter_map(|thread| blocked_signals(&thread))
        .any(|mask| mask & SIGPIPE != 0 && mask & SIGTERM != 0);
    assert!(blocked, "no new thread blocks SIGPIPE");
    let own = std::thread::spawn(|| blocked_signals("thread-self"))
        .join()
        .unwrap();
    assert_eq!(own.unwrap() & SIGPIPE, 0);

    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    node.stop().unwrap();
    wait_until_refused(&address);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Another test that starts a process at this moment holds copies of all sockets until that process runs its
/// own program, so the refusal may come a little late.
fn wait_until_refused(address: &str) {
    let address: SocketAddr = address.parse().unwrap();
    wait_for("a connection is refused", DEADLINE, || {
        // A listener that nobody serves takes connections until its queue is full, and then none.
        let error = TcpStream::connect_timeout(&address, Duration::from_millis(100)).err()?;
        (error.kind() == IoKind::ConnectionRefused).then_some(())
    });
}

fn threads() -> Vec<String> {
    fs::read_dir("/proc/self/task")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .map(|thread| format!("self/task/{thread}"))
        .collect()
}

fn blocked_signals(thread: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("SigBlk:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// The signals' bits in a mask: their number less one.
const SIGPIPE: u64 = 1 << 12;
const SIGTERM: u64 = 1 << 14;

#[test]
fn ids_and_version() {
    let (first, second) = (
        node::generate_id("a:1").unwrap(),
        node::generate_id("a:1").unwrap(),
    );
    assert!(first != 0 && first != second);
    assert_eq!(
        node::generate_id("a\0").unwrap_err().kind(),
        ErrorKind::Config
    );
    let version = node::library_version().unwrap();
    assert!(version >= (1, 10, 0), "{version:?}");
    // Debian 12's library lacks the busy timeout, a newer one has it: both are right.
    let (directory, address) = (TempDir::new(), free_address());
    let started = Node::builder(1, &address, directory.path())
        .busy_timeout(Duration::from_millis(100))
        .start();
    match started {
        Ok(node) => assert!(node.bind_address() == address && version >= (1, 18, 2)),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.message().contains("1.18.2"), "{error}");
            assert!(
                error.message().contains("dqlite_node_set_busy_timeout"),
                "{error}"
            );
        }
    }
}

#[test]
fn a_node_alone_has_nobody_to_hand_over_to() {
    let (directory, address) = (TempDir::new(), free_address());
    let mut node = start_node(&address, &directory);
    let answer = node.handover();
    if let Err(error) = &answer {
        assert!(
            matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::Node),
            "{error}"
        );
    }
    node.stop().unwrap();
}

#[test]
fn a_missing_library_names_the_fix() {
    let directory = TempDir::new();
    let output = Command::new(env!("CARGO_BIN_EXE_quorate"))
        .args(["node", "--id", "1", "--address", "127.0.0.1:9001", "--dir"])
        .arg(directory.path())
        .env("QUORATE_LIBDQLITE", directory.path().join("none.so"))
        .output()
        .unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("none.so"), "{message}");
    assert!(
        message
            .contains("install the package libdqlite0 (Debian, Ubuntu) or set QUORATE_LIBDQLITE"),
        "{message}"
    );
}

#[test]
fn the_program_names_the_argument_that_is_wrong() {
    for (arguments, message) in [
        (
            &["node", "--adress", "x"][..],
            "unknown option --adress; did you mean --address?",
        ),
        (&["node", "--id", "x"], "bad value \"x\" for --id"),
        (&["node", "--id"], "--id needs a value"),
        (&["node", "--id", "1"], "--address is missing"),
        (&["nod"], "unknown command \"nod\"; did you mean node?"),
        (&[], "no command"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_quorate"))
            .args(arguments)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(message), "{arguments:?}: {text}");
        assert_eq!(output.status.code(), Some(2));
    }
    let help = Command::new(env!("CARGO_BIN_EXE_quorate"))
        .args(["node", "--help"])
        .output()
        .unwrap();
    assert!(help.status.success());
    assert!(
        String::from_utf8(help.stdout)
            .unwrap()
            .contains("--die-with-parent")
    );
}

#[test]
fn three_processes_survive_the_loss_and_the_return_of_each_kind() {
    let mut cluster = Cluster::start(3);
    let first = cluster.leader();
    let members = Raw::connect(cluster.address(first))
        .unwrap()
        .cluster()
        .unwrap();
    let listed: Vec<&str> = members
        .iter()
        .map(|member| member.address.as_str())
        .collect();
    assert_eq!(listed, cluster.addresses());
    assert!(members.iter().all(|member| member.role == VOTER));

    let mut raw = Raw::open(cluster.address(first), "test").unwrap();
    raw.exec("CREATE TABLE t (n)").unwrap();
    raw.exec("INSERT INTO t VALUES (1)").unwrap();
    assert_eq!(
        one_cell(cluster.address(first), "SELECT n FROM t").unwrap(),
        Cell::Int(1)
    );
    let follower = (first + 1) % 3;
    let refused = one_cell(cluster.address(follower), "SELECT n FROM t").unwrap_err();
    assert_eq!(refused.code(), Some(10 | 40 << 8), "{refused}");

    // Killed: the others elect a new leader, which has the data.
    cluster.kill(first);
    let second = cluster.leader();
    assert_ne!(second, first);
    let count = insert_until_accepted(&cluster, second);
    assert!(count >= 2);

    // Started again: it learns of the leader and can lead itself, with all the data.
    cluster.restart(first);
    wait_for("the restarted node knows a leader", DEADLINE, || {
        cluster.leader_known_to(first)
    });

    // Stopped: it keeps its sockets, answers nothing, and is replaced; continued, it follows.
    cluster.stop(second);
    let third = cluster.leader();
    assert_ne!(third, second);
    assert_eq!(cluster.leader_known_to(second), None);
    cluster.cont(second);
    wait_for("the continued node follows", DEADLINE, || {
        let known = cluster.leader_known_to(second)?;
        (known == cluster.id(cluster.leader_now()?)).then_some(())
    });
    insert_until_accepted(&cluster, cluster.leader());

    // Terminated: an orderly end.
    let last = cluster.leader();
    assert!(cluster.terminate(last).success());
    assert_ne!(cluster.leader(), last);

    let pids: Vec<u32> = (0..3)
        .filter(|i| cluster.is_running(*i))
        .map(|i| cluster.pid(i))
        .collect();
    let directory = cluster.path().to_path_buf();
    drop(cluster);
    assert_eq!(pids.len(), 2);
    for pid in pids {
        assert!(!fs::exists(format!("/proc/{pid}")).unwrap());
    }
    assert!(!directory.exists());
}

/// Writes a row through the leader, trying again while it settles, and answers how many rows there are.
fn insert_until_accepted(cluster: &Cluster, leader: usize) -> i64 {
    wait_for("a write is accepted", DEADLINE, || {
        let mut raw = Raw::open(cluster.address(leader), "test").ok()?;
        raw.exec("INSERT INTO t VALUES (2)").ok()?;
        match raw.query("SELECT count(*) FROM t").ok()?[0][0] {
            Cell::Int(count) => Some(count),
            _ => None,
        }
    })
}

#[test]
fn a_node_dies_with_the_process_that_started_it() {
    let directory = TempDir::new();
    let address = free_address();
    // A shell that starts the node, says its process id and waits.
    let script = format!(
        "{} node --die-with-parent --id 1 --address {address} --dir {} & echo $!; wait",
        env!("CARGO_BIN_EXE_quorate"),
        directory.path().display()
    );
    let mut shell = Command::new("sh")
        .args(["-c", &script])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    wait_for("the node accepts", DEADLINE, || {
        TcpStream::connect(&address).ok()
    });
    shell.kill().unwrap();
    shell.wait().unwrap();
    wait_for("the node has died", DEADLINE, || {
        TcpStream::connect(&address).err()
    });
}

#[test]
fn the_proxy_breaks_connections_in_each_way() {
    let echo = EchoServer::start();
    let proxy = Proxy::start(&echo.address);
    let mut client = connect(proxy.address());

    assert_eq!(exchange(&mut client, b"hello").unwrap(), b"hello");
    assert_eq!(exchange(&mut client, b"again").unwrap(), b"again");
    let stats = proxy.stats();
    assert_eq!(
        (stats.connections, stats.round_trips, stats.bursts),
        (1, 2, 2)
    );
    assert_eq!((stats.bytes_to_server, stats.bytes_to_client), (10, 10));

    let delay = Duration::from_millis(40);
    proxy.delay(Direction::ToServer, delay);
    proxy.delay(Direction::ToClient, delay);
    let start = Instant::now();
    exchange(&mut client, b"slow").unwrap();
    assert!(start.elapsed() >= 2 * delay, "{:?}", start.elapsed());
    proxy.delay(Direction::ToServer, Duration::ZERO);
    proxy.delay(Direction::ToClient, Duration::ZERO);

    proxy.black_hole(true);
    client
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let silent = exchange(&mut client, b"lost?").unwrap_err();
    assert_eq!(silent.kind(), IoKind::WouldBlock);
    proxy.black_hole(false);
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut late = [0; 5];
    client.read_exact(&mut late).unwrap();
    assert_eq!(&late, b"lost?");

    proxy.refuse(true);
    wait_until_refused(proxy.address());
    assert_eq!(exchange(&mut client, b"open").unwrap(), b"open");
    proxy.refuse(false);

    let mut cut = connect(proxy.address());
    proxy.cut_after(3);
    cut.write_all(b"abcdef").unwrap();
    let mut got = Vec::new();
    cut.read_to_end(&mut got).unwrap();
    assert_eq!(got, b"abc");

    let mut half = connect(proxy.address());
    exchange(&mut half, b"x").unwrap();
    proxy.half_close(Direction::ToClient);
    assert_eq!(half.read(&mut [0]).unwrap(), 0);

    let mut reset = connect(proxy.address());
    exchange(&mut reset, b"x").unwrap();
    proxy.reset();
    assert_eq!(
        reset.read(&mut [0]).unwrap_err().kind(),
        IoKind::ConnectionReset
    );

    let mut closed = connect(proxy.address());
    exchange(&mut closed, b"x").unwrap();
    proxy.close();
    assert_eq!(closed.read(&mut [0]).unwrap(), 0);

    let large = vec![7; 3 << 20];
    let mut client = connect(proxy.address());
    let mut reader = client.try_clone().unwrap();
    let sent = large.clone();
    let writer = std::thread::spawn(move || client.write_all(&sent));
    let mut back = vec![0; large.len()];
    reader.read_exact(&mut back).unwrap();
    writer.join().unwrap().unwrap();
    assert!(back == large);

    let address = proxy.address().to_string();
    drop(proxy);
    wait_until_refused(&address);
}

#[test]
fn a_node_behind_a_proxy_is_a_node() {
    let (directory, address) = (TempDir::new(), free_address());
    let _node = start_node(&address, &directory);
    let proxy = Proxy::start(&address);
    let mut raw = Raw::open(proxy.address(), "test").unwrap();
    raw.exec("CREATE TABLE t (n)").unwrap();
    let before = proxy.stats();
    for _ in 0..10 {
        raw.exec("INSERT INTO t VALUES (1)").unwrap();
    }
    assert_eq!(proxy.stats().round_trips - before.round_trips, 10);
    proxy.reset();
    wait_for("the connection breaks", DEADLINE, || {
        raw.exec("SELECT 1").err()
    });
}

#[test]
fn the_scripted_server_plays_its_script() {
    let server = ScriptedServer::start(vec![
        vec![
            Step::Expect(b"hello".to_vec()),
            Step::Send(b"abc".to_vec()),
            Step::Close,
        ],
        vec![Step::Reset],
        vec![Step::Hang],
    ]);
    let mut client = connect(server.address());
    client.write_all(b"hello").unwrap();
    let mut got = Vec::new();
    client.read_to_end(&mut got).unwrap();
    assert_eq!(got, b"abc");
    assert_eq!(server.received(0), b"hello");

    let mut client = connect(server.address());
    assert_eq!(
        client.read(&mut [0]).unwrap_err().kind(),
        IoKind::ConnectionReset
    );

    let mut client = connect(server.address());
    client
        .set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    assert_eq!(
        client.read(&mut [0]).unwrap_err().kind(),
        IoKind::WouldBlock
    );
    assert_eq!(server.connections(), 3);
    assert_eq!(server.failures(), [""; 0]);

    let server = ScriptedServer::start(vec![vec![Step::Expect(b"hello".to_vec())]]);
    connect(server.address()).write_all(b"hallo").unwrap();
    wait_for("the failure is noted", DEADLINE, || server.failures().pop());
}

#[test]
fn the_scripted_server_can_be_a_broken_node() {
    // A whole answer, one that ends in its middle, and one of 4 GiB in its header alone.
    let whole = frame(1, 0, &[1u64.to_le_bytes(), *b"abc:123\0"].concat());
    let server = ScriptedServer::answering(whole.clone());
    let leader = Raw::connect(server.address()).unwrap().leader().unwrap();
    assert_eq!(leader, Some((1, "abc:123".into())));
    assert_eq!(server.received(0).len(), 8 + 16);

    let server = ScriptedServer::start(vec![vec![
        Step::Handshake,
        Step::Frames(1),
        Step::Send(whole[..12].to_vec()),
    ]]);
    let error = Raw::connect(server.address())
        .unwrap()
        .leader()
        .unwrap_err();
    assert!(matches!(error, RawError::Io(error) if error.kind() == IoKind::UnexpectedEof));

    let huge = [&(u32::MAX / 8).to_le_bytes()[..], &[1, 0, 0, 0]].concat();
    let server = ScriptedServer::answering(huge.clone());
    let mut client = connect(server.address());
    client.write_all(&1u64.to_le_bytes()).unwrap();
    client.write_all(&frame(0, 0, &[0; 8])).unwrap();
    let mut header = [0; 8];
    client.read_exact(&mut header).unwrap();
    assert_eq!(header[..], huge);

    let server = ScriptedServer::silent();
    let mut raw = Raw::connect(server.address()).unwrap();
    raw.set_timeout(Duration::from_millis(50));
    assert!(matches!(raw.leader(), Err(RawError::Io(error)) if error.kind() == IoKind::WouldBlock));
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// Sends bytes and reads as many.
fn exchange(client: &mut TcpStream, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    client.write_all(bytes)?;
    let mut back = vec![0; bytes.len()];
    client.read_exact(&mut back)?;
    Ok(back)
}

/// Sends back what it gets, on any number of connections, until the test program ends.
struct EchoServer {
    address: String,
}

impl EchoServer {
    fn start() -> EchoServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
            }
        });
        EchoServer { address }
    }
}
