use std::error::Error as _;
use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::super::NodeRole;
use super::super::tests::node;
use super::*;
use crate::error::ErrorKind;

/// The bytes, with their offsets, that are not zero in a file of 12,288 bytes written by go-dqlite 3.
const GO_DQLITE_3: [(usize, &[u8]); 5] = [
    (
        0,
        b"SQLite format 3\0\x10\0\x01\x01\0@  \0\0\0\x02\0\0\0\x03\0\0\0\0\0\0\0\0\0\0\0\x01\
          \0\0\0\x04\0\0\0\0\0\0\0\0\0\0\0\x01",
    ),
    (95, b"\x02\0.O|\r\x0f\xf8\0\x02\x0fy\0\x0fy\x0f\xc9"),
    (
        3961,
        b"N\x01\x06\x17\x1b\x1b\x01utableserversservers\x02CREATE TABLE servers \
          (address TEXT, UNIQUE(address))-\x02\x06\x17A\x1b\x01\0indexsqlite_autoindex_servers_1\
          servers\x03\0\0\0\x08\0\0\0\0\r\0\0\0\x08\x0f\x90\0\x0f\xee\x0f\xd7\x0f\xca\x0f\xbc\
          \x0f\xb3\x0f\xa1\x0f\x98\x0f\x90",
    ),
    (
        8080,
        b"\x06\x08\x02\x15true\x07\x07\x02\x1712345\x10\x06\x02)a: \"b\" #c'\\\xc3\xa9\x01\x07\x05\
          \x02\x1710:20\x0c\x04\x02![::1]:9001\x0b\x03\x02\x1f@abstract\x15\x02\x023\
          node-2.example:9001\x10\x01\x02)127.0.0.1:9001\n\0\0\0\x08\x0f\x89\0\x0f\xaf\x0f\x92\
          \x0f\xee\x0f\xc8\x0f\xb9\x0f\x9c\x0f\xd6\x0f\x89",
    ),
    (
        12169,
        b"\x08\x03\x15\x01true\x08\t\x03\x17\x0112345\x07\x12\x03)\x01a: \"b\" #c'\\\xc3\xa9\x01\
          \x06\t\x03\x17\x0110:20\x05\x0e\x03!\x01[::1]:9001\x04\r\x03\x1f\x01@abstract\x03\x17\
          \x033\x01node-2.example:9001\x02\x11\x03)\t127.0.0.1:9001",
    ),
];

struct Database {
    dir: TempDir,
}

impl Database {
    fn new(sql: &str) -> Self {
        let database = Database {
            dir: tempfile::tempdir().unwrap(),
        };
        database.connect().execute_batch(sql).unwrap();
        database
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("servers.db")
    }

    fn connect(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }

    fn builder(&self) -> SqliteNodeStoreBuilder {
        SqliteNodeStore::builder(self.path()).busy_timeout(Duration::from_millis(20))
    }

    fn count(&self, sql: &str) -> i64 {
        self.connect().query_row(sql, [], |row| row.get(0)).unwrap()
    }
}

fn voters(addresses: &[&str]) -> Vec<NodeInfo> {
    addresses
        .iter()
        .map(|address| node(0, address, NodeRole::Voter))
        .collect()
}

#[test]
fn a_database_that_go_dqlite_wrote_is_read_and_keeps_its_table() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("servers.db");
    let mut bytes = vec![0; 12_288];
    for (offset, part) in GO_DQLITE_3 {
        bytes[offset..offset + part.len()].copy_from_slice(part);
    }
    fs::write(&path, &bytes).unwrap();

    let store = SqliteNodeStore::open(&path).unwrap();
    let expected = voters(&[
        "127.0.0.1:9001",
        "node-2.example:9001",
        "@abstract",
        "[::1]:9001",
        "10:20",
        "a: \"b\" #c'\\é\u{1}",
        "12345",
        "true",
    ]);
    assert_eq!(store.get().unwrap(), expected);
    assert_eq!(fs::read(&path).unwrap(), bytes);

    store.set(&[node(7, "b:1", NodeRole::Spare)]).unwrap();
    assert_eq!(store.get().unwrap(), voters(&["b:1"]));
    let sql: String = Connection::open(&path)
        .unwrap()
        .query_row(
            "SELECT sql FROM sqlite_schema WHERE name = 'servers'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(sql, "CREATE TABLE servers (address TEXT, UNIQUE(address))");
}

#[test]
fn rows_that_go_dqlite_adds_to_our_table_are_voters_of_unknown_id() {
    let database = Database::new("");
    let store = SqliteNodeStore::open(database.path()).unwrap();
    store.set(&[node(7, "z:1", NodeRole::Spare)]).unwrap();
    database
        .connect()
        .execute_batch(
            "DELETE FROM main.servers; INSERT INTO main.servers(address) VALUES ('b:1'), ('a:1')",
        )
        .unwrap();
    assert_eq!(store.get().unwrap(), voters(&["b:1", "a:1"]));
}

#[test]
fn names_are_quoted_and_never_run() {
    let database = Database::new(
        "CREATE TABLE victim (x);
         CREATE TABLE \"a \"\"b'; DROP TABLE victim; --\" (\"the \"\"address\"\"; --\" TEXT)",
    );
    for schema in ["main", "my \"cluster'; --", "Main"] {
        let store = database
            .builder()
            .schema(schema)
            .table("a \"b'; DROP TABLE victim; --")
            .column("the \"address\"; --")
            .open()
            .unwrap();
        let nodes = voters(&["b:1", "a'); DROP TABLE victim; --"]);
        store.set(&nodes).unwrap();
        assert_eq!(store.get().unwrap(), nodes);
        store.set(&voters(&["c:1"])).unwrap();
    }
    assert_eq!(database.count("SELECT count(*) FROM victim"), 0);
}

#[test]
fn a_filter_limits_what_is_read_and_what_is_replaced() {
    let database = Database::new(
        "CREATE TABLE hosts (name TEXT UNIQUE);
         INSERT INTO hosts VALUES ('10.0.0.1:1'), ('db.example:1'), ('10.0.0.2:1')",
    );
    let store = database
        .builder()
        .table("HOSTS")
        .column("Name")
        .filter("name LIKE '10.%' OR name LIKE '11.%' -- ours")
        .open()
        .unwrap();
    assert_eq!(store.get().unwrap(), voters(&["10.0.0.1:1", "10.0.0.2:1"]));
    store.set(&voters(&["11.0.0.1:1", "10.0.0.2:1"])).unwrap();
    assert_eq!(store.get().unwrap(), voters(&["11.0.0.1:1", "10.0.0.2:1"]));
    assert_eq!(
        database.count("SELECT count(*) FROM hosts WHERE name = 'db.example:1'"),
        1
    );

    let error = store
        .set(&voters(&["10.0.0.3:1", "12.0.0.1:1"]))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store);
    assert!(
        error
            .message()
            .contains("does not select the new node \"12.0.0.1:1\""),
        "{error}"
    );
    assert_eq!(store.get().unwrap(), voters(&["11.0.0.1:1", "10.0.0.2:1"]));
}

#[test]
fn a_new_node_that_a_row_outside_the_filter_has_changes_nothing() {
    let database = Database::new(
        "CREATE TABLE servers (address TEXT UNIQUE, cluster INT DEFAULT 1);
         INSERT INTO servers VALUES ('a:1', 1), ('b:1', 2)",
    );
    let store = database.builder().filter("cluster = 1").open().unwrap();
    let error = store.set(&voters(&["c:1", "b:1"])).unwrap_err();
    assert_eq!(error.code(), Some(rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE));
    assert_eq!(store.get().unwrap(), voters(&["a:1"]));
}

#[test]
fn id_and_role_are_used_where_both_are_integers() {
    let nodes = [
        node(u64::MAX, "b:1", NodeRole::StandBy),
        node(3, "a:1", NodeRole::Spare),
    ];
    for (columns, address_only, used) in [
        ("address TEXT, ID BIGINT, Role int", false, true),
        ("address TEXT, id INTEGER, role INTEGER", true, false),
        ("address TEXT, id INTEGER, role TEXT", false, false),
        ("address TEXT, id INTEGER PRIMARY KEY", false, false),
    ] {
        let database = Database::new(&format!("CREATE TABLE servers ({columns})"));
        let store = database
            .builder()
            .address_only(address_only)
            .open()
            .unwrap();
        store.set(&nodes).unwrap();
        let expected = if used {
            nodes.to_vec()
        } else {
            voters(&["b:1", "a:1"])
        };
        assert_eq!(store.get().unwrap(), expected, "{columns}");
    }
}

#[test]
fn a_table_without_rowids_and_a_view_are_read() {
    let database = Database::new(
        "CREATE TABLE servers (address TEXT PRIMARY KEY, id INT, role INT) WITHOUT ROWID;
         CREATE VIEW seen AS SELECT address FROM servers",
    );
    let store = database.builder().open().unwrap();
    let nodes = [
        node(1, "a:1", NodeRole::Voter),
        node(2, "b:1", NodeRole::Spare),
    ];
    store.set(&nodes).unwrap();
    assert_eq!(store.get().unwrap(), nodes);
    let view = database.builder().table("seen").open().unwrap();
    assert_eq!(view.get().unwrap(), voters(&["a:1", "b:1"]));
    assert_eq!(view.set(&nodes[..1]).unwrap_err().kind(), ErrorKind::Store);
}

#[test]
fn an_unchanged_list_is_not_written_and_keeps_other_columns() {
    let database = Database::new(
        "CREATE TABLE servers (address TEXT, note TEXT); INSERT INTO servers VALUES ('a:1', 'mine')",
    );
    let store = database.builder().open().unwrap();
    let before = fs::read(database.path()).unwrap();
    store.set(&[node(5, "a:1", NodeRole::Spare)]).unwrap();
    assert_eq!(fs::read(database.path()).unwrap(), before);
}

#[test]
fn a_trigger_that_alters_the_list_is_noticed() {
    let database = Database::new(
        "CREATE TABLE servers (address TEXT); INSERT INTO servers VALUES ('a:1');
         CREATE TRIGGER upper AFTER INSERT ON servers BEGIN
             UPDATE servers SET address = upper(address); END",
    );
    let store = database.builder().open().unwrap();
    let error = store.set(&voters(&["b:1"])).unwrap_err();
    assert!(
        error
            .message()
            .contains("did not keep the new node \"b:1\""),
        "{error}"
    );
    assert_eq!(store.get().unwrap(), voters(&["a:1"]));
}

#[test]
fn wrong_names_and_filters_fail_when_the_store_is_opened() {
    let database = Database::new("CREATE TABLE servers (address TEXT)");
    let refused = |builder: SqliteNodeStoreBuilder, text: &str| {
        let error = builder.open().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Store);
        assert!(error.message().contains(text), "{error}");
        assert!(
            error
                .message()
                .contains(&database.path().display().to_string()),
            "{error}"
        );
        error
    };
    refused(
        database.builder().table("serverz"),
        "table \"main\".\"serverz\": there is no such table",
    );
    refused(
        database.builder().column("adress"),
        "there is no column \"adress\"; the table has address",
    );
    let error = refused(database.builder().filter("adress = 1"), "adress");
    assert_eq!(error.code(), Some(1));
    assert!(
        error
            .source()
            .is_some_and(|source| source.is::<rusqlite::Error>())
    );
    refused(database.builder().filter("address = ?"), "parameter");
    refused(database.builder().schema("temp"), "already in use");
}

#[test]
fn a_missing_file_is_created_only_where_asked() {
    let dir = tempfile::tempdir().unwrap();
    for schema in ["main", "cluster"] {
        let path = dir.path().join(schema);
        let builder = SqliteNodeStore::builder(&path).schema(schema);
        let error = builder.clone().open().unwrap_err();
        assert_eq!(
            error.code(),
            Some(rusqlite::ffi::SQLITE_CANTOPEN),
            "{error}"
        );
        assert!(!path.exists());
        let store = builder.create(true).open().unwrap();
        store.set(&[node(1, "a:1", NodeRole::Spare)]).unwrap();
        let again = SqliteNodeStore::open(&path).unwrap();
        assert_eq!(again.get().unwrap(), [node(1, "a:1", NodeRole::Spare)]);
    }
}

#[test]
fn what_is_no_database_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("servers.db");
    fs::write(&path, "- Address: a:1\n".repeat(100)).unwrap();
    let error = SqliteNodeStore::open(&path).unwrap_err();
    assert_eq!(error.code(), Some(rusqlite::ffi::SQLITE_NOTADB));
    assert!(error.message().contains(".yaml"), "{error}");
}

#[test]
fn bad_rows_are_named_and_can_be_replaced() {
    for (values, text) in [
        (
            "(NULL, 1, 0)",
            "row 1: the address has to be a text, and is null",
        ),
        ("('', 1, 0)", "row 1: the address is empty"),
        (
            "('a:1', 1, 0), (x'00', 1, 0)",
            "row 2: the address has to be a text, and is blob",
        ),
        ("(CAST(x'ff' AS TEXT), 1, 0)", "the address is not UTF-8"),
        (
            "('a:1', 'one', 0)",
            "the id has to be an integer, and is text",
        ),
        (
            "('a:1', 1, 1.5)",
            "the role has to be an integer, and is real",
        ),
        ("('a:1', 1, 3)", "role 3 is unknown"),
        ("('a:1', 1, -1)", "role -1 is unknown"),
    ] {
        let database = Database::new("");
        let store = SqliteNodeStore::open(database.path()).unwrap();
        database
            .connect()
            .execute_batch(&format!("INSERT INTO servers VALUES {values}"))
            .unwrap();
        let error = store.get().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Store);
        assert!(error.message().contains(text), "{error}");
        store.set(&voters(&["b:1"])).unwrap();
        assert_eq!(store.get().unwrap(), voters(&["b:1"]));
    }
}

#[test]
fn a_lock_is_waited_for_no_longer_than_the_busy_timeout() {
    let database = Database::new("CREATE TABLE servers (address TEXT)");
    let store = database.builder().open().unwrap();
    let other = database.connect();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    for error in [
        store.get().unwrap_err(),
        store.set(&voters(&["a:1"])).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Store);
        assert_eq!(error.code(), Some(rusqlite::ffi::SQLITE_BUSY));
    }
    other.execute_batch("ROLLBACK").unwrap();
    store.set(&voters(&["a:1"])).unwrap();

    let held = store.connection.lock().take();
    let error = store.get().unwrap_err();
    assert!(error.message().contains("other threads"), "{error}");
    *store.connection.lock() = held;
    assert_eq!(store.get().unwrap(), voters(&["a:1"]));
}

#[test]
fn the_longest_busy_timeout_is_taken() {
    let database = Database::new("CREATE TABLE servers (address TEXT)");
    database
        .builder()
        .busy_timeout(Duration::MAX)
        .open()
        .unwrap();
}

#[test]
fn a_locked_store_is_given_up_at_the_deadline_of_the_call() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("servers.db");
    let store = SqliteNodeStore::open(&path).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let began = std::time::Instant::now();
    let limit = Duration::from_millis(100);
    let error = store.get_within(Deadline::after(limit)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store);
    assert!(
        began.elapsed() < limit + Duration::from_millis(400),
        "{:?}",
        began.elapsed()
    );
    let nodes = [crate::dqlite::store::NodeInfo {
        id: 1,
        address: "a:1".into(),
        role: Default::default(),
    }];
    let error = store
        .set_within(&nodes, Deadline::after(limit))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store);
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    other.execute_batch("COMMIT").unwrap();
    store.get().unwrap();
}
