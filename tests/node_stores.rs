//! Node stores under several threads and processes.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use quorate::dqlite::store::{NodeInfo, NodeRole, NodeStore};

const DEADLINE: Duration = Duration::from_secs(60);
const WRITES: usize = 40;

/// Set for a process that this test starts as a writer: the path of the store.
const WRITER_PATH: &str = "QUORATE_TEST_STORE_PATH";
/// The number of the writer's own list.
const WRITER_LIST: &str = "QUORATE_TEST_STORE_LIST";

/// A list that shows whether it is whole: its length, its addresses and its ids follow from its number.
fn list(number: u64) -> Vec<NodeInfo> {
    (0..=20 + number * 30)
        .map(|node| NodeInfo {
            id: number,
            address: format!("node-{number}-{node}.example:9001"),
            role: NodeRole::Spare,
        })
        .collect()
}

fn assert_whole(nodes: &[NodeInfo]) {
    let number = nodes.first().expect("the list is empty").id;
    assert!(nodes == list(number), "a torn list: {nodes:?}");
}

/// The list, which is whole. Two writers without a pause may keep a reader out for longer than it waits for
/// SQLite's lock; that is told as an error, and asking again helps.
fn whole_list(store: &dyn NodeStore) -> Vec<NodeInfo> {
    const SQLITE_BUSY: i32 = 5;
    let start = Instant::now();
    loop {
        match store.get() {
            Ok(nodes) => {
                assert_whole(&nodes);
                return nodes;
            }
            Err(error) if error.code() == Some(SQLITE_BUSY) && start.elapsed() < DEADLINE => {}
            Err(error) => panic!("{error}"),
        }
    }
}

fn open(path: &Path) -> Box<dyn NodeStore> {
    <dyn NodeStore>::open(path).unwrap()
}

fn start_writer(path: &Path, number: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writer_process"])
        .env(WRITER_PATH, path)
        .env(WRITER_LIST, number.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// The body of the processes that `start_writer` starts; it has nothing to do in the test run itself.
#[test]
fn writer_process() {
    let Some(path) = std::env::var_os(WRITER_PATH) else {
        return;
    };
    let number = std::env::var(WRITER_LIST).unwrap().parse().unwrap();
    let store = open(Path::new(&path));
    for _ in 0..WRITES {
        store.set(&list(number)).unwrap();
        store.set(&list(0)).unwrap();
    }
    store.set(&list(number)).unwrap();
}

fn in_both_kinds_of_file(test: impl Fn(&Path)) {
    let dir = tempfile::tempdir().unwrap();
    for name in ["servers.db", "servers.yaml"] {
        test(&dir.path().join(name));
    }
}

#[test]
fn threads_see_whole_lists_alone() {
    in_both_kinds_of_file(|path| {
        let store = open(path);
        store.set(&list(0)).unwrap();
        let writing = AtomicUsize::new(2);
        thread::scope(|scope| {
            for number in [1, 2] {
                let (store, writing) = (&store, &writing);
                scope.spawn(move || {
                    for _ in 0..WRITES {
                        store.set(&list(number)).unwrap();
                    }
                    writing.fetch_sub(1, Ordering::SeqCst);
                });
            }
            for _ in 0..2 {
                scope.spawn(|| {
                    let other = open(path);
                    while writing.load(Ordering::SeqCst) > 0 {
                        whole_list(&*store);
                        whole_list(&*other);
                    }
                });
            }
        });
        whole_list(&*store);
    });
}

#[test]
fn processes_that_write_at_once_never_tear_the_list() {
    in_both_kinds_of_file(|path| {
        let store = open(path);
        store.set(&list(0)).unwrap();
        let mut writers = [start_writer(path, 1), start_writer(path, 2)];
        let start = Instant::now();
        loop {
            whole_list(&*store);
            let ended = writers
                .iter_mut()
                .map(|writer| writer.try_wait().unwrap())
                .collect::<Vec<_>>();
            if ended.iter().all(Option::is_some) {
                assert!(ended.iter().flatten().all(|status| status.success()));
                break;
            }
            assert!(start.elapsed() < DEADLINE, "the writers did not end");
        }
        assert_ne!(whole_list(&*store)[0].id, 0);
    });
}

#[test]
fn a_writer_that_is_killed_leaves_a_whole_list() {
    in_both_kinds_of_file(|path| {
        let store = open(path);
        for _ in 0..5 {
            store.set(&list(0)).unwrap();
            let mut writer = start_writer(path, 1);
            let start = Instant::now();
            while whole_list(&*store)[0].id == 0 {
                assert!(start.elapsed() < DEADLINE, "the writer did not begin");
            }
            writer.kill().unwrap();
            writer.wait().unwrap();
            whole_list(&*store);
            whole_list(&*open(path));
        }
    });
}
