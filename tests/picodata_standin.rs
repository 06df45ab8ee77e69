//! The stand-in for Picodata has Picodata's manners: each is looked at once, with messages written by hand
//! and with psql.

mod common;

use std::fs;
use std::io::{ErrorKind, Read};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use common::pg_raw::{
    Frame, PgRaw, bind, close, cstring, describe, execute, flush, message, parse, sync, untyped,
};
use common::picodata::{
    ADMIN, Addresses, Fault, Method, PASSWORD, PicodataCluster, Release, State, USER,
};
use common::{TempDir, wait_for};

const DISCOVERY: &str = "SELECT ppa.address, pi.current_state FROM _pico_peer_address AS ppa \
     JOIN _pico_instance AS pi ON ppa.raft_id = pi.raft_id WHERE connection_type = 'pgproto';";

fn connect(cluster: &PicodataCluster, index: usize) -> PgRaw {
    connect_with(cluster, index, USER, &[])
}

fn connect_with(
    cluster: &PicodataCluster,
    index: usize,
    user: &str,
    parameters: &[(&str, &str)],
) -> PgRaw {
    let address = cluster.address(index);
    let (raw, frames) = PgRaw::connect(&address, user, PASSWORD, parameters).unwrap();
    assert_eq!(frames.last().unwrap().kind, b'Z', "{frames:?}");
    raw
}

/// What the discovery of picodata-go reads: an address and a state each, in the order of the addresses.
fn discover(raw: &mut PgRaw) -> Vec<(String, String)> {
    let rows = raw.rows(DISCOVERY).into_iter();
    let mut found: Vec<_> = rows
        .map(|row| {
            let mut texts = row.into_iter().flatten();
            (texts.next().unwrap(), texts.next().unwrap())
        })
        .collect();
    found.sort();
    found
}

/// The states that discovery tells of an instance's address.
fn states(raw: &mut PgRaw, cluster: &PicodataCluster, index: usize) -> Vec<String> {
    let address = cluster.address(index);
    let found = discover(raw).into_iter().filter(|(one, _)| *one == address);
    found.map(|(_, state)| state).collect()
}

fn kinds(frames: &[Frame]) -> String {
    frames.iter().map(|frame| char::from(frame.kind)).collect()
}

/// What is left to read before the connection ends.
fn rest(raw: &mut PgRaw) -> Vec<u8> {
    let mut bytes = Vec::new();
    match raw.stream.read_to_end(&mut bytes) {
        Ok(_) => bytes,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => bytes,
        Err(error) => panic!("the connection was not closed: {error}"),
    }
}

fn psql(cluster: &PicodataCluster, index: usize, user: &str, more: &str, sql: &str) -> Output {
    let address = cluster.address(index);
    let (host, port) = address.rsplit_once(':').unwrap();
    Command::new("psql")
        .args(["-X", "-A", "-t", "-c", sql])
        .arg(format!(
            "host={host} port={port} user={user} dbname=x {more}"
        ))
        .env("PGPASSWORD", PASSWORD)
        .output()
        .expect("psql can be started")
}

#[test]
fn the_start_tells_parameters_and_no_key() {
    let cluster = PicodataCluster::start(1);
    let (_raw, frames) = PgRaw::connect(
        &cluster.address(0),
        USER,
        PASSWORD,
        &[("application_name", "x")],
    )
    .unwrap();
    assert_eq!(kinds(&frames), "RRSSSSSSZ");
    assert!(
        frames
            .iter()
            .any(|frame| frame.body == b"server_version\x0015.0\0")
    );
    let counters = cluster.counters(0);
    assert_eq!(
        (counters.connections_open, counters.connections_total),
        (1, 1)
    );
}

#[test]
fn other_versions_of_the_protocol_and_cancel_requests_are_closed_unanswered() {
    let cluster = PicodataCluster::start(1);
    let mut raw = PgRaw::open(&cluster.address(0)).unwrap();
    raw.start(0x0003_0002, USER, &[]).unwrap();
    assert_eq!(rest(&mut raw), b"");
    let mut raw = PgRaw::open(&cluster.address(0)).unwrap();
    let cancel = [80_877_102_u32.to_be_bytes(), [0; 4], [0; 4]].concat();
    raw.send(&[untyped(&cancel)]).unwrap();
    assert_eq!(rest(&mut raw), b"");
    assert_eq!(cluster.counters(0).cancel_requests, 1);
}

#[test]
fn a_malformed_option_closes_silently() {
    let cluster = PicodataCluster::start(1);
    for options in ["sql_motion_row_max", "-c a=b,x", "sql_motion_row_max=-1"] {
        let mut raw = PgRaw::open(&cluster.address(0)).unwrap();
        raw.start(0x0003_0000, USER, &[("options", options)])
            .unwrap();
        assert_eq!(rest(&mut raw), b"", "{options}");
    }
    connect_with(
        &cluster,
        0,
        USER,
        &[("options", "unknown=1,sql_vdbe_opcode_max=5")],
    );
}

#[test]
fn a_wrong_password_is_counted_and_blocks_the_user() {
    let cluster = PicodataCluster::start(2);
    for attempt in 1..=5 {
        let address = cluster.address(attempt % 2);
        let (mut raw, frames) = PgRaw::connect(&address, USER, "wrong", &[]).unwrap();
        let error = &frames[1];
        assert_eq!(error.field(b'C').unwrap(), "28P01");
        assert_eq!(error.field_letters(), "SCM");
        assert_eq!(rest(&mut raw), b"");
        assert_eq!(cluster.auth_failures(USER), attempt as u64);
        assert_eq!(cluster.is_blocked(USER), attempt == 5);
        if attempt == 4 {
            connect(&cluster, 0);
            (0..4).for_each(|_| drop(PgRaw::connect(&address, USER, "wrong", &[]).unwrap()));
        }
    }
    let (_, frames) = PgRaw::connect(&cluster.address(0), USER, PASSWORD, &[]).unwrap();
    assert_eq!(frames[1].field(b'C').unwrap(), "28P01");
    assert_eq!(
        cluster.counters(0).auth_failures + cluster.counters(1).auth_failures,
        10
    );
    cluster.unblock(USER);
    connect(&cluster, 0);
}

#[test]
fn scram_and_cleartext_by_user() {
    let cluster = PicodataCluster::start(1);
    cluster.put_user("sam", PASSWORD, Method::Scram);
    let output = psql(&cluster, 0, "sam", "", "SELECT 41 + 1");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "42\n",
        "{output:?}"
    );
    cluster.put_user("sam", "another", Method::Scram);
    let output = psql(&cluster, 0, "sam", "", "SELECT 1");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        text.contains("authentication failed for user 'sam'"),
        "{text}"
    );
    assert_eq!(cluster.auth_failures("sam"), 1);
    // A user that does not exist is asked like a user of SCRAM.
    let (_, frames) = PgRaw::connect(&cluster.address(0), "nobody", PASSWORD, &[]).unwrap();
    assert_eq!(frames[0].body, b"\0\0\0\x0aSCRAM-SHA-256\0\0");

    cluster.put_user("lea", PASSWORD, Method::Cleartext);
    let (_, frames) = PgRaw::connect(&cluster.address(0), "lea", PASSWORD, &[]).unwrap();
    assert_eq!(frames[0].body, [0, 0, 0, 3]);
    assert_eq!(frames.last().unwrap().kind, b'Z');
}

#[test]
fn tls_is_refused_where_it_is_off_and_demanded_where_it_is_on() {
    let plain = PicodataCluster::start(1);
    let output = psql(&plain, 0, USER, "sslmode=require", "SELECT 1");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("server does not support SSL"),
        "{output:?}"
    );

    let cluster = PicodataCluster::builder().instances(1).tls().start();
    let directory = TempDir::new();
    let ca = directory.path().join("ca.pem");
    fs::write(&ca, cluster.ca_pem()).unwrap();
    let (_, frames) = PgRaw::connect(&cluster.address(0), USER, PASSWORD, &[]).unwrap();
    assert_eq!(frames[0].field(b'C').unwrap(), "28000");
    for version in ["TLSv1.2", "TLSv1.3"] {
        let more = format!(
            "sslmode=verify-full sslrootcert={} ssl_min_protocol_version={version} \
             ssl_max_protocol_version={version}",
            ca.display()
        );
        let output = psql(&cluster, 0, USER, &more, "SELECT 'secret'");
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "secret\n",
            "{output:?}"
        );
    }
}

#[test]
fn transactions_are_answered_and_do_nothing() {
    let cluster = PicodataCluster::start(2);
    let mut raw = connect(&cluster, 0);
    assert_eq!(
        raw.exec("CREATE TABLE t (id INT PRIMARY KEY, name TEXT) DISTRIBUTED BY (id)"),
        "CREATE TABLE"
    );
    assert_eq!(raw.exec("BEGIN"), "BEGIN");
    assert_eq!(
        raw.exec("INSERT INTO t VALUES (1, 'a'), (2, 'b')"),
        "INSERT 0 2"
    );
    assert_eq!(raw.exec("ROLLBACK"), "ROLLBACK");
    assert_eq!(connect(&cluster, 1).one("SELECT count(*) FROM t"), "2");
    assert_eq!(raw.exec("COMMIT;"), "COMMIT");
    for refused in [
        "START TRANSACTION",
        "SAVEPOINT a",
        "SHOW server_version",
        "RESET ALL",
        "DISCARD ALL",
    ] {
        let (code, text) = raw.error(refused);
        assert_eq!(code, "XX000");
        assert!(text.contains("rule parsing error:  --> 1:1\n"), "{text}");
    }
    assert_eq!(raw.exec("SET search_path TO x"), "SET");
}

#[test]
fn statements_are_one_and_have_no_comments() {
    let cluster = PicodataCluster::start(1);
    let mut raw = connect(&cluster, 0);
    assert_eq!(raw.one("SELECT 1;"), "1");
    for refused in [
        "SELECT 1; SELECT 2",
        "-- ping",
        "/* ping */ SELECT 1",
        "SELECT 1 -- x",
        "LISTEN x",
    ] {
        let (code, text) = raw.error(refused);
        assert!(
            code == "XX000" && text.contains("rule parsing error"),
            "{refused}: {text}"
        );
    }
    assert_eq!(raw.one("SELECT '-- no /* comment'"), "-- no /* comment");
    assert_eq!(kinds(&raw.simple(" ; ")), "IZ");
    raw.exec("CREATE TABLE t (id INT PRIMARY KEY)");
    for refused in [
        "INSERT INTO t VALUES (1) RETURNING id",
        "COPY t FROM STDIN",
        "DECLARE c CURSOR FOR SELECT 1",
    ] {
        assert!(
            raw.error(refused).1.contains("rule parsing error"),
            "{refused}"
        );
    }
    assert_eq!(
        raw.error("SELECT now()").1,
        "sbroad: SQL function now not found"
    );
    let gone = |name: &str| {
        (
            "XX000".to_owned(),
            format!("sbroad: table with name \"{name}\" not found"),
        )
    };
    assert_eq!(raw.error("SELECT * FROM nowhere"), gone("nowhere"));
    assert_eq!(
        raw.error("SELECT typname FROM pg_catalog.pg_type"),
        gone("pg_type")
    );
    assert_eq!(raw.error("SELECT oid FROM pg_type"), gone("pg_type"));
}

#[test]
fn a_duplicate_key_is_told_by_text_and_from_another_replicaset_in_json() {
    let cluster = PicodataCluster::start(2);
    let mut near = connect(&cluster, 0);
    near.exec("CREATE TABLE t (id INT PRIMARY KEY)");
    near.exec("INSERT INTO t VALUES (1)");
    let (code, text) = near.error("INSERT INTO t VALUES (1)");
    assert!(
        code == "XX000" && text.contains("TupleFound: Duplicate key exists in unique index"),
        "{text}"
    );
    let (code, text) = connect(&cluster, 1).error("INSERT INTO t VALUES (1)");
    assert_eq!(code, "XX000");
    assert!(
        text.starts_with("sbroad: box error: ProcLua: {\"code\":32,"),
        "{text}"
    );
    assert!(
        text.contains("\"message\":\"Error on replicaset ") && text.contains("\"trace\":["),
        "{text}"
    );
    assert!(
        text.contains("TupleFound: Duplicate key exists in unique index \\\"t_pkey\\\""),
        "{text}"
    );
    assert_eq!(
        near.exec("INSERT INTO t VALUES (1), (2) ON CONFLICT DO NOTHING"),
        "INSERT 0 1"
    );
    assert_eq!(
        near.exec("INSERT INTO t VALUES (1) ON CONFLICT DO REPLACE"),
        "INSERT 0 1"
    );
}

#[test]
fn more_than_5000_rows_are_an_error_unless_allowed() {
    let cluster = PicodataCluster::start(1);
    let many = |count: u32| {
        format!(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) SELECT i FROM n"
        )
    };
    let mut raw = connect(&cluster, 0);
    assert_eq!(raw.rows(&many(5000)).len(), 5000);
    let (code, text) = raw.error(&many(5001));
    assert_eq!(code, "XX000");
    assert!(
        text.contains("Exceeded maximum number of rows (5000) in virtual table: 5001"),
        "{text}"
    );
    let allowed = format!("{} OPTION (sql_motion_row_max = 6000)", many(5001));
    assert_eq!(raw.rows(&allowed).len(), 5001);
    let mut raw = connect_with(
        &cluster,
        0,
        USER,
        &[("options", "sql_motion_row_max=20000")],
    );
    assert_eq!(raw.rows(&many(20_000)).len(), 20_000);
}

#[test]
fn columns_have_types_and_names_and_nothing_else() {
    let cluster = PicodataCluster::start(1);
    let mut raw = connect(&cluster, 0);
    raw.exec(
        "CREATE TABLE t (a INT PRIMARY KEY, b TEXT, c BOOL, d DOUBLE, e DECIMAL, f UUID, g DATETIME)",
    );
    let mut described = |sql: &str| {
        raw.send(&[parse("", sql, &[]), describe(b'S', ""), sync()])
            .unwrap();
        let frames = raw.until_ready().unwrap();
        assert_eq!(kinds(&frames), "1tTZ", "{sql}: {:?}", frames[0].field(b'M'));
        let fields = frames[2].fields();
        for (_, table, column, _, length, modifier, format) in &fields {
            assert_eq!(
                (table, column, length, modifier, format),
                (&0, &0, &0, &-1, &0)
            );
        }
        fields
            .into_iter()
            .map(|field| (field.0, field.3))
            .collect::<Vec<_>>()
    };
    let named = |pairs: &[(&str, u32)]| -> Vec<(String, u32)> {
        pairs
            .iter()
            .map(|(name, oid)| ((*name).to_owned(), *oid))
            .collect()
    };
    let all = [
        ("a", 20),
        ("b", 25),
        ("c", 16),
        ("d", 701),
        ("e", 1700),
        ("f", 2950),
        ("g", 1184),
    ];
    assert_eq!(described("SELECT * FROM t"), named(&all));
    assert_eq!(
        described(
            "SELECT B AS x, 1, T.a, count(*) n, NULL, a + 1, 1.5, 'x' || b FROM t GROUP BY a, b"
        ),
        named(&[
            ("x", 25),
            ("col_1", 20),
            ("a", 20),
            ("n", 20),
            ("col_2", 705),
            ("col_3", 20),
            ("col_4", 1700),
            ("col_5", 25),
        ])
    );
    assert_eq!(
        described(
            "SELECT current_state, $1::uuid, CAST('1' AS double), a = 1 AS eq, max(d) FROM _pico_instance JOIN t ON true"
        ),
        named(&[
            ("current_state", 114),
            ("col_1", 2950),
            ("col_2", 701),
            ("eq", 16),
            ("col_3", 701)
        ])
    );
}

#[test]
fn parameters_have_types_that_are_given_or_found_or_refused() {
    let cluster = PicodataCluster::start(1);
    let mut raw = connect(&cluster, 0);
    raw.exec("CREATE TABLE t (a INT PRIMARY KEY, b TEXT, c UUID)");
    let mut types = |sql: &str, oids: &[u32]| {
        raw.send(&[parse("", sql, oids), describe(b'S', ""), sync()])
            .unwrap();
        let frames = raw.until_ready().unwrap();
        if frames[0].kind == b'E' {
            return Err((
                frames[0].field(b'C').unwrap(),
                frames[0].field(b'M').unwrap(),
            ));
        }
        let found = frames[1].body[2..].chunks(4);
        Ok(found
            .map(|oid| u32::from_be_bytes(oid.try_into().unwrap()))
            .collect::<Vec<_>>())
    };
    assert_eq!(
        types("INSERT INTO t VALUES ($1, $2, $3)", &[]),
        Ok(vec![20, 25, 2950])
    );
    assert_eq!(
        types("INSERT INTO t (c, a) VALUES ($1, $2)", &[0, 23]),
        Ok(vec![2950, 23])
    );
    assert_eq!(
        types("SELECT a FROM t WHERE c = $1 AND t.b LIKE $2", &[705]),
        Ok(vec![2950, 25])
    );
    assert_eq!(
        types(
            "SELECT a FROM t WHERE a IN ($2, $1) AND a BETWEEN $3 AND $4",
            &[]
        ),
        Ok(vec![20; 4])
    );
    assert_eq!(
        types(
            "SELECT a FROM t WHERE lower(b) = $1 AND b::uuid = $2 AND $3 > length(b) AND (a + 1) < $4",
            &[]
        ),
        Ok(vec![25, 2950, 20, 20])
    );
    assert_eq!(
        types(
            "INSERT INTO t VALUES ($1, 'x', NULL), (2, $2, $3) ON CONFLICT DO NOTHING",
            &[]
        ),
        Ok(vec![20, 25, 2950])
    );
    assert_eq!(
        types("UPDATE t SET b = $1, c = $2 WHERE a = $3", &[]),
        Ok(vec![25, 2950, 20])
    );
    for oid in [16, 20, 21, 23, 25, 701, 1043, 1184, 1700, 2950] {
        assert_eq!(types("SELECT $1", &[oid]), Ok(vec![oid]));
    }
    for oid in [17, 18, 19, 26, 114, 700, 1007, 1082, 1114] {
        assert_eq!(types("SELECT $1", &[oid]).unwrap_err().0, "0A000", "{oid}");
    }
    // Nothing beside them says a type.
    assert_eq!(types("SELECT $1, coalesce($2, $3)", &[]), Ok(vec![25; 3]));
}

#[test]
fn what_picodatas_parser_refuses_is_refused() {
    let cluster = PicodataCluster::start(1);
    let mut raw = connect(&cluster, 0);
    raw.exec("CREATE TABLE t (a INT PRIMARY KEY, b TEXT)");
    for sql in [
        "SELECT 1 FROM t, t AS u",
        "SELECT 1 FROM t WHERE a IN (SELECT u.a FROM t AS u, t AS v)",
        "SELECT a FROM t LIMIT 1 OFFSET 1",
        "SELECT a FROM t LIMIT $1",
        "SELECT -a FROM t",
        "SELECT a FROM t WHERE b NOT LIKE 'x'",
        "SELECT a FROM t INTERSECT SELECT a FROM t",
        "SELECT 1 FROM t FULL OUTER JOIN t AS u ON t.a = u.a",
        "CREATE TABLE u (a INTEGER NOT NULL, CONSTRAINT k PRIMARY KEY (a))",
        "CREATE TABLE u (a INTEGER PRIMARY KEY, b TIMESTAMP)",
        "CREATE TABLE u (a INTEGER PRIMARY KEY, b DOUBLE PRECISION)",
        "CREATE TABLE u (a INTEGER PRIMARY KEY, b DATE)",
        "CREATE TABLE u (a INTEGER PRIMARY KEY, b MAP)",
        "CREATE TABLE u (a INTEGER PRIMARY KEY, b INTEGER DEFAULT 5)",
    ] {
        raw.send(&[parse("", sql, &[]), sync()]).unwrap();
        let frames = raw.until_ready().unwrap();
        let text = frames[0].field(b'M').unwrap_or_default();
        assert!(
            text.starts_with("sbroad: rule parsing error"),
            "{sql}: {text}"
        );
    }
    // Sorted are the columns of the result, by their names there.
    raw.exec("CREATE TABLE u (x TEXT, y INT, z INT, PRIMARY KEY (y)) DISTRIBUTED BY (x, y)");
    for sql in [
        "SELECT a FROM t ORDER BY b",
        "SELECT a AS c FROM t ORDER BY t.a DESC",
        "SELECT a + 1 FROM t ORDER BY a",
    ] {
        assert!(raw.error(sql).1.contains("not found"), "{sql}");
    }
    raw.rows("SELECT t.a, b AS c FROM t ORDER BY t.a, c, 2 DESC NULLS LAST");
    // A unique index begins with the distribution key.
    assert!(
        raw.error("CREATE UNIQUE INDEX i ON u (y, x, z)")
            .1
            .contains("as a prefix")
    );
    raw.exec("CREATE UNIQUE INDEX i ON u (x, y, z)");
    let sql = "SELECT -1, 2 - t.a, (t.a + 1) - t.a FROM t JOIN t AS u ON true WHERE NOT (t.b LIKE 'x') LIMIT 1";
    raw.send(&[parse("", sql, &[]), sync()]).unwrap();
    assert_eq!(raw.until_ready().unwrap()[0].kind, b'1');
}

#[test]
fn values_survive_both_formats() {
    let cluster = PicodataCluster::start(1);
    let mut raw = connect(&cluster, 0);
    let uuid = [0xab; 16];
    let samples: [(u32, &str, Vec<u8>); 9] = [
        (16, "t", vec![1]),
        (
            20,
            "-9000000000",
            (-9_000_000_000_i64).to_be_bytes().to_vec(),
        ),
        (25, "ü'x", "ü'x".into()),
        (701, "1.25", 1.25_f64.to_be_bytes().to_vec()),
        (
            1184,
            "2024-02-29 12:30:00.000001+00",
            762_525_000_000_001_i64.to_be_bytes().to_vec(),
        ),
        (
            1184,
            "1969-12-31 23:59:59+00",
            (-946_684_801_000_000_i64).to_be_bytes().to_vec(),
        ),
        (
            1700,
            "-12345678.90123",
            vec![
                0, 4, 0, 1, 0x40, 0, 0, 5, 0x04, 0xd2, 0x16, 0x2e, 0x23, 0x33, 0x0b, 0xb8,
            ],
        ),
        (1700, "0.0001", vec![0, 1, 0xff, 0xff, 0, 0, 0, 4, 0, 1]),
        (2950, "abababab-abab-abab-abab-abababababab", uuid.to_vec()),
    ];
    for (oid, text, binary) in &samples {
        for (format, bytes) in [(0, text.as_bytes()), (1, binary)] {
            raw.send(&[
                parse("", "SELECT $1", &[*oid]),
                bind("", "", format, &[Some(bytes)]),
                describe(b'P', ""),
                execute("", 0),
                sync(),
            ])
            .unwrap();
            let frames = raw.until_ready().unwrap();
            assert_eq!(
                kinds(&frames),
                "12TDCZ",
                "{text}: {:?}",
                frames[1].field(b'M')
            );
            assert_eq!(frames[2].fields()[0].3, *oid);
            assert_eq!(
                frames[3].values()[0].as_deref(),
                Some(bytes),
                "{text} in format {format}"
            );
        }
    }
    let mut single = |oid: u32, format: u16, bytes: Option<&[u8]>| {
        raw.send(&[
            parse("", "SELECT $1", &[oid]),
            bind("", "", format, &[bytes]),
            execute("", 0),
            sync(),
        ])
        .unwrap();
        raw.until_ready().unwrap()
    };
    assert_eq!(single(20, 0, None)[2].values(), [None]);
    assert_eq!(
        single(701, 0, Some(b"NaN"))[2].values(),
        [None],
        "NaN comes back as NULL"
    );
    assert_eq!(single(20, 0, Some(b"x"))[1].field(b'C').unwrap(), "22P02");
    assert_eq!(single(20, 1, Some(b"x"))[1].field(b'C').unwrap(), "22P03");
}

#[test]
fn named_statements_portals_and_pipelines() {
    let cluster = PicodataCluster::start(1);
    let mut raw = connect(&cluster, 0);
    raw.exec("CREATE TABLE t (a INT PRIMARY KEY)");
    raw.exec("INSERT INTO t VALUES (1), (2), (3), (4), (5)");
    let query = "SELECT a FROM t ORDER BY a";
    raw.send(&[
        parse("s", query, &[]),
        sync(),
        parse("s", query, &[]),
        sync(),
    ])
    .unwrap();
    assert_eq!(kinds(&raw.until_ready().unwrap()), "1Z");
    let frames = raw.until_ready().unwrap();
    assert_eq!(frames[0].field(b'C').unwrap(), "42P05");

    // The row limit, and a flush in place of a sync.
    raw.send(&[bind("p", "s", 0, &[]), execute("p", 2), flush()])
        .unwrap();
    let part: Vec<_> = (0..4).map(|_| raw.receive().unwrap()).collect();
    assert_eq!(kinds(&part), "2DDs");
    raw.send(&[execute("p", 2), execute("p", 2), close(b'P', "p"), sync()])
        .unwrap();
    let frames = raw.until_ready().unwrap();
    assert_eq!(kinds(&frames), "DDsDC3Z");
    assert_eq!(frames[4].tag(), "SELECT 1");

    // An error skips to the next Sync, and what comes after that runs.
    raw.send(&[
        parse("", "INSERT INTO t VALUES ($1)", &[]),
        bind("", "", 0, &[Some(b"6")]),
        execute("", 0),
        parse("", "SELECT nothing FROM nowhere", &[]),
        bind("", "", 0, &[Some(b"7")]),
        execute("", 0),
        sync(),
        bind("", "s", 0, &[]),
        execute("", 0),
        sync(),
    ])
    .unwrap();
    assert_eq!(kinds(&raw.until_ready().unwrap()), "12CEZ");
    assert_eq!(kinds(&raw.until_ready().unwrap()), "2DDDDDDCZ");
    raw.send(&[close(b'S', "s"), bind("", "s", 0, &[]), sync()])
        .unwrap();
    assert_eq!(kinds(&raw.until_ready().unwrap()), "3EZ");
    raw.send(&[
        parse("", "", &[]),
        bind("", "", 0, &[]),
        execute("", 0),
        sync(),
    ])
    .unwrap();
    assert_eq!(kinds(&raw.until_ready().unwrap()), "12IZ");
    let counters = cluster.counters(0);
    assert_eq!((counters.parses, counters.statements), (5, 6));
    assert_eq!(
        cluster
            .statements(0)
            .iter()
            .filter(|sql| **sql == query)
            .count(),
        2
    );
}

#[test]
fn nothing_is_sent_before_a_flush() {
    let cluster = PicodataCluster::start(1);
    let mut raw = connect(&cluster, 0);
    raw.send(&[parse("", "SELECT 1", &[])]).unwrap();
    raw.stream
        .set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    assert!(raw.receive().is_err());
    raw.send(&[flush()]).unwrap();
    assert_eq!(raw.receive().unwrap().kind, b'1');
}

fn prepare_and_alter(cluster: &PicodataCluster, parameters: &[(&str, &str)]) -> Vec<Frame> {
    let mut raw = connect_with(cluster, 0, USER, parameters);
    raw.exec("CREATE TABLE IF NOT EXISTS t (a INT PRIMARY KEY)");
    raw.send(&[parse("s", "INSERT INTO t (a) VALUES ($1)", &[]), sync()])
        .unwrap();
    raw.until_ready().unwrap();
    assert_eq!(raw.exec("ALTER TABLE t ADD COLUMN b TEXT"), "ALTER TABLE");
    raw.send(&[bind("", "s", 0, &[Some(b"1")]), execute("", 0), sync()])
        .unwrap();
    let frames = raw.until_ready().unwrap();
    assert_eq!(raw.one("SELECT count(*) FROM t"), "0");
    raw.send(&[
        parse("again", "INSERT INTO t (a) VALUES ($1)", &[]),
        bind("", "again", 0, &[Some(b"1")]),
        execute("", 0),
        sync(),
    ])
    .unwrap();
    assert_eq!(kinds(&raw.until_ready().unwrap()), "12CZ");
    frames
}

#[test]
fn a_statement_from_before_a_change_of_the_table_is_stale() {
    // 25.5 does not know the parameter.
    let cluster = PicodataCluster::start(2);
    let frames = prepare_and_alter(&cluster, &[("pico_stmt_invalidation", "true")]);
    assert_eq!(kinds(&frames), "2EZ");
    assert_eq!(frames[1].field(b'C').unwrap(), "XX000");
    let text = frames[1].field(b'M').unwrap();
    assert!(text.starts_with("sbroad: box error: ProcLua: {"), "{text}");
    assert!(
        text.contains("storage schema version different from router"),
        "{text}"
    );

    let cluster = PicodataCluster::builder().release(Release::V26).start();
    let frames = prepare_and_alter(&cluster, &[("options", "pico_stmt_invalidation=true")]);
    assert_eq!(kinds(&frames), "EZ");
    assert_eq!(frames[0].field(b'C').unwrap(), "42999");
    let cluster = PicodataCluster::builder().release(Release::V26).start();
    assert_eq!(kinds(&prepare_and_alter(&cluster, &[])), "2EZ");

    // Of a table that is gone it has no such code.
    let mut raw = connect_with(&cluster, 0, USER, &[("pico_stmt_invalidation", "true")]);
    raw.send(&[parse("s", "INSERT INTO t (a) VALUES ($1)", &[]), sync()])
        .unwrap();
    raw.until_ready().unwrap();
    assert_eq!(raw.exec("DROP TABLE t"), "DROP TABLE");
    raw.send(&[bind("", "s", 0, &[Some(b"1")]), sync()])
        .unwrap();
    let frames = raw.until_ready().unwrap();
    assert_eq!(frames[0].field(b'C').unwrap(), "XX000");
    assert_eq!(
        frames[0].field(b'M').unwrap(),
        "sbroad: space metadata for table: t not found"
    );
}

#[test]
fn a_notice_tells_the_distribution_key_before_parse_complete() {
    let cluster = PicodataCluster::builder().release(Release::V26).start();
    let mut raw = connect_with(&cluster, 0, USER, &[("pico_query_metadata", "true")]);
    raw.exec("CREATE TABLE t (a INT PRIMARY KEY, b TEXT, c INT) DISTRIBUTED BY (c, b)");
    let mut notice = |sql: &str| {
        raw.send(&[parse("", sql, &[]), sync()]).unwrap();
        let frames = raw.until_ready().unwrap();
        assert_eq!(kinds(&frames), "N1Z");
        assert_eq!(frames[0].field_letters(), "SCM");
        frames[0].field(b'M').unwrap()
    };
    assert_eq!(
        notice("insert into t (b, a, c) values ($1, $2, $3::int);"),
        "{\"type\":\"PreparedStatementMetadata\",\"query\":\"insert into t (b, a, c) values ($1, $2, $3::int);\",\
         \"tier\":\"default\",\"dk_meta\":[[3,20],[1,25]]}"
    );
    let twice = notice("insert into t values ($1, $2, $1)");
    assert!(twice.ends_with("\"dk_meta\":[[1,20],[2,25]]}"), "{twice}");
    for without in [
        "insert into t (a, b) values ($1, $2)",
        "insert into t values (1, '', 2), ($1, $2, $3)",
        "insert into t values ($1, 'x', $2)",
        "select * from t where b = $1 and c = $2",
    ] {
        let told = notice(without);
        assert!(
            told.ends_with("\"tier\":\"default\",\"dk_meta\":[]}"),
            "{told}"
        );
    }
    let told = notice("select 1");
    assert!(told.ends_with("\"tier\":null,\"dk_meta\":[]}"), "{told}");
    // Nobody asked, or nobody understands.
    let mut raw = connect(&cluster, 0);
    raw.send(&[parse("", "SELECT 1", &[]), sync()]).unwrap();
    assert_eq!(kinds(&raw.until_ready().unwrap()), "1Z");
    let cluster = PicodataCluster::start(1);
    let mut raw = connect_with(&cluster, 0, USER, &[("pico_query_metadata", "true")]);
    raw.send(&[parse("", "SELECT 1", &[]), sync()]).unwrap();
    assert_eq!(kinds(&raw.until_ready().unwrap()), "1Z");
}

#[test]
fn the_topology_can_be_read() {
    let cluster = PicodataCluster::builder()
        .instances(3)
        .replication_factor(2)
        .start();
    let mut raw = connect(&cluster, 2);
    let mut expected = cluster.addresses();
    expected.sort();
    let expected: Vec<_> = expected
        .into_iter()
        .map(|address| (address, "[\"Online\",1]".to_owned()))
        .collect();
    assert_eq!(discover(&mut raw), expected);
    let uuid = cluster.instance(2).uuid;
    assert_eq!(
        raw.rows("SELECT pico_raft_leader_id(), pico_raft_leader_uuid(), pico_instance_uuid()")[0],
        [
            Some("1".to_owned()),
            Some(cluster.instance(0).uuid),
            Some(uuid.clone())
        ]
    );
    assert_eq!(
        raw.one(&format!("SELECT pico_instance_name('{uuid}')")),
        "default_2_1"
    );
    assert_eq!(
        raw.one(&format!("SELECT pico_replicaset_name('{uuid}')")),
        "default_2"
    );
    assert_eq!(
        raw.one(&format!("SELECT pico_tier_name('{uuid}')")),
        "default"
    );
    assert_eq!(
        raw.rows(
            "SELECT r.name, m.name FROM _pico_replicaset r LEFT JOIN _pico_instance m \
                  ON r.current_master_name = m.name ORDER BY r.name"
        )
        .len(),
        2
    );
    cluster.change_master(0, 1);
    assert_eq!(
        raw.one("SELECT current_master_name FROM _pico_replicaset WHERE name = 'default_1'"),
        cluster.instance(1).name
    );
    let (code, text) = raw.error("SELECT bucket_count FROM _pico_tier");
    assert!(code == "XX000" && text.contains("AccessDenied"), "{text}");
    let mut admin = connect_with(&cluster, 0, ADMIN, &[]);
    assert_eq!(admin.one("SELECT bucket_count FROM _pico_tier"), "3000");
    let ranges = raw.one("SELECT _pico_bucket('default') AS buckets");
    assert!(ranges.contains("\"bucket_id_start\":1501,"), "{ranges}");
    assert!(
        raw.error("SELECT _pico_bucket('no')")
            .1
            .contains("_pico_bucket: tier 'no' doesn't exist")
    );
    raw.exec("CREATE TABLE t (a INT PRIMARY KEY, b TEXT) DISTRIBUTED BY (b)");
    assert_eq!(
        raw.rows("SELECT distribution, format FROM _pico_table WHERE name = 't'")[0],
        [
            Some("{\"ShardedImplicitly\":[[\"b\"],\"murmur3\",\"default\"]}".to_owned()),
            Some(
                "[{\"name\":\"a\",\"field_type\":\"integer\",\"is_nullable\":false},\
                 {\"name\":\"bucket_id\",\"field_type\":\"unsigned\",\"is_nullable\":false},\
                 {\"name\":\"b\",\"field_type\":\"string\",\"is_nullable\":true}]"
                    .to_owned()
            ),
        ]
    );
    raw.exec("CREATE UNIQUE INDEX t_b ON t USING TREE (b, a)");
    raw.exec("CREATE INDEX IF NOT EXISTS t_b ON t (b)");
    assert!(raw.error("CREATE INDEX t_b ON t (b)").1.contains("already"));
    let indexes = "SELECT i.id, i.name, i.type, i.opts, i.parts FROM _pico_index AS i \
                   JOIN _pico_table AS t ON i.table_id = t.id WHERE t.name = 't' ORDER BY i.id";
    let found = raw.rows(indexes);
    let texts = |row: &[Option<String>]| row.iter().flatten().cloned().collect::<Vec<_>>();
    assert_eq!(
        texts(&found[0])[2..],
        [
            "tree",
            "[{\"unique\":true}]",
            "[[\"a\",\"integer\",null,false,null]]"
        ]
    );
    assert_eq!(
        texts(&found[1]),
        [
            "1",
            "t_b",
            "tree",
            "[{\"unique\":true}]",
            "[[\"b\",\"string\",null,true,null],[\"a\",\"integer\",null,false,null]]"
        ]
    );
    // The table keeps its number, and its indexes, through a change.
    raw.exec("ALTER TABLE t ADD COLUMN c INT");
    assert_eq!(raw.rows(indexes), found);
    raw.exec("DROP INDEX t_b");
    assert_eq!(raw.rows(indexes), found[..1]);
    assert!(raw.error("DROP INDEX t_b").1.contains("does not exist"));
    raw.exec("DROP TABLE t");
    assert_eq!(
        raw.one("SELECT count(*) FROM _pico_index WHERE table_id > 1024"),
        "0"
    );
}

#[test]
fn instances_come_and_go_as_the_script_says() {
    let cluster = PicodataCluster::start(2);
    let mut raw = connect(&cluster, 0);
    assert_eq!(cluster.join(), 2);
    connect(&cluster, 2);
    assert_eq!(discover(&mut raw).len(), 3);
    cluster.offline(1);
    assert_eq!(states(&mut raw, &cluster, 1), ["[\"Offline\",1]"]);
    cluster.online(1);
    assert_eq!(states(&mut raw, &cluster, 1), ["[\"Online\",2]"]);
    cluster.expel(1);
    assert_eq!(states(&mut raw, &cluster, 1), ["[\"Expelled\",2]"]);
    let address = cluster.address(1);
    let same = format!("SELECT count(*) FROM _pico_peer_address WHERE address = '{address}'");

    let renewed = cluster.rejoin(1);
    assert_eq!((renewed, cluster.instance(renewed).raft_id), (3, 4));
    assert_eq!(raw.one(&same), "2");
    assert_eq!(states(&mut raw, &cluster, renewed), ["[\"Online\",1]"]);
    assert_eq!(
        connect(&cluster, renewed).one("SELECT pico_instance_uuid()"),
        cluster.instance(3).uuid
    );

    // The old row is gone for good.
    cluster.offline(1);
    assert_eq!(states(&mut raw, &cluster, renewed), ["[\"Online\",1]"]);
    cluster.lose_quorum(Duration::ZERO);
    cluster.regain_quorum();
    assert_eq!(states(&mut raw, &cluster, renewed), ["[\"Online\",1]"]);

    cluster.expel(renewed);
    let again = cluster.rejoin_renamed(renewed);
    assert_eq!(raw.one(&same), "3");
    assert_eq!(states(&mut raw, &cluster, again).len(), 2);
    assert_eq!(cluster.instance(renewed).state, State::Expelled);
    assert_eq!(cluster.instance(again).state, State::Online);
}

#[test]
fn a_killed_instance_refuses_and_can_be_started_again() {
    let cluster = PicodataCluster::start(2);
    let mut raw = connect(&cluster, 1);
    cluster.kill(1);
    assert_eq!(rest(&mut raw), b"");
    let refused = PgRaw::open(&cluster.address(1)).err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(
        states(&mut connect(&cluster, 0), &cluster, 1),
        ["[\"Online\",1]"]
    );
    cluster.restart(1);
    assert_eq!(connect(&cluster, 1).one("SELECT 1"), "1");
    cluster.terminate(0);
    let mut raw = connect(&cluster, 1);
    assert_eq!(raw.one("SELECT pico_raft_leader_id()"), "2");
    assert_eq!(states(&mut raw, &cluster, 0), ["[\"Offline\",1]"]);
    wait_for("the connections are gone", Duration::from_secs(5), || {
        (cluster.counters(0).connections_open == 0).then_some(())
    });
}

#[test]
fn without_a_quorum_the_catalog_stands_still() {
    let cluster = PicodataCluster::start(3);
    let mut raw = connect(&cluster, 0);
    raw.exec("CREATE TABLE t (a INT PRIMARY KEY)");
    cluster.lose_quorum(Duration::from_millis(100));
    cluster.offline(2);
    assert_eq!(states(&mut raw, &cluster, 2), ["[\"Online\",1]"]);
    wait_for("the leader is forgotten", Duration::from_secs(5), || {
        (raw.one("SELECT pico_raft_leader_id()") == "0").then_some(())
    });
    assert_eq!(raw.error("SELECT pico_raft_leader_uuid()").0, "XX000");
    assert_eq!(raw.one("SELECT 1"), "1");
    assert_eq!(raw.error("DROP TABLE t").1, "Timeout: timeout");
    cluster.regain_quorum();
    assert_eq!(raw.one("SELECT pico_raft_leader_id()"), "1");
    assert_eq!(states(&mut raw, &cluster, 2), ["[\"Offline\",1]"]);
    assert_eq!(raw.exec("DROP TABLE t"), "DROP TABLE");
}

#[test]
fn an_instance_hangs_resumes_and_is_slow() {
    let cluster = PicodataCluster::start(2);
    let mut raw = connect(&cluster, 0);
    cluster.hang(0);
    raw.send(&[message(b'Q', &cstring("SELECT 1"))]).unwrap();
    raw.stream
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    assert!(raw.receive().is_err());
    PgRaw::open(&cluster.address(0)).unwrap();
    assert_eq!(connect(&cluster, 1).one("SELECT 1"), "1");
    cluster.resume(0);
    raw.stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    assert_eq!(kinds(&raw.until_ready().unwrap()), "TDCZ");
    cluster.delay(Duration::from_millis(30));
    let start = Instant::now();
    raw.one("SELECT 1");
    assert!(start.elapsed() >= Duration::from_millis(30));
}

#[test]
fn a_statement_is_refused_stalls_or_loses_its_connection() {
    let cluster = PicodataCluster::start(2);
    let mut raw = connect(&cluster, 0);
    raw.exec("CREATE TABLE t (a INT PRIMARY KEY)");
    cluster.inject(
        0,
        "count",
        Fault::Refuse("58030", "IO error: disk".to_owned()),
        1,
    );
    assert_eq!(raw.error("SELECT count(*) FROM t").0, "58030");
    assert_eq!(raw.one("SELECT count(*) FROM t"), "0");

    cluster.inject(0, "VALUES (1)", Fault::Close, 1);
    cluster.inject(0, "VALUES (2)", Fault::RunAndClose, 1);
    for (sql, count) in [
        ("INSERT INTO t VALUES (1)", "0"),
        ("INSERT INTO t VALUES (2)", "1"),
    ] {
        let mut lost = connect(&cluster, 0);
        assert_eq!(lost.simple(sql), []);
        assert_eq!(raw.one("SELECT count(*) FROM t"), count);
    }

    cluster.inject(0, "DELETE", Fault::Stall, 1);
    let mut stalled = connect(&cluster, 0);
    let delete = [
        parse("", "DELETE FROM t", &[]),
        bind("", "", 0, &[]),
        execute("", 0),
        sync(),
    ];
    stalled.send(&delete).unwrap();
    stalled
        .stream
        .set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    assert!(stalled.until_ready().is_err());
    assert_eq!(raw.one("SELECT count(*) FROM t"), "1");
    assert_eq!(raw.exec("DELETE FROM t"), "DELETE 1");
    cluster.inject(0, "SELECT", Fault::Close, 9);
    cluster.clear_faults(0);
    raw.one("SELECT 1");
}

#[test]
fn thousands_of_virtual_instances() {
    let cluster = PicodataCluster::start(1);
    let answering = cluster.add_virtual(1000, Addresses::Answering);
    assert_eq!(answering, 1..1001);
    cluster.add_virtual(1000, Addresses::Refusing);
    let mut raw = connect(&cluster, 0);
    assert_eq!(discover(&mut raw).len(), 2001);
    for index in [1, 500, 1000] {
        assert_eq!(states(&mut raw, &cluster, index), ["[\"Online\",1]"]);
        let mut virtually = connect(&cluster, index);
        assert_eq!(
            virtually.one("SELECT pico_instance_uuid()"),
            cluster.instance(index).uuid
        );
        assert_eq!(cluster.counters(index).connections_total, 1);
    }
    let refused = PgRaw::open(&cluster.address(1500)).err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    cluster.kill(800);
    assert!(PgRaw::connect(&cluster.address(800), USER, PASSWORD, &[]).is_err());
    cluster.restart(800);
    connect(&cluster, 800);
    cluster.offline(700);
    cluster.remove(701);
    assert_eq!(discover(&mut raw).len(), 2000);
    assert_eq!(states(&mut raw, &cluster, 700), ["[\"Offline\",1]"]);
    let start = Instant::now();
    for change in 0..200 {
        cluster.set_state(1 + change * 7, [State::Offline, State::Online][change % 2]);
    }
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "a change is cheap"
    );
}

#[test]
fn psql_gets_along_with_it() {
    let cluster = PicodataCluster::start(2);
    let run = |sql: &str| {
        let output = psql(&cluster, 1, USER, "", sql);
        (
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let create = "CREATE TABLE warehouse (id INTEGER NOT NULL, item TEXT NOT NULL, price DECIMAL, PRIMARY KEY (id)) \
                  USING memtx DISTRIBUTED BY (id) IN TIER default WAIT APPLIED GLOBALLY OPTION (TIMEOUT = 3.0)";
    assert_eq!(run(create).0, "CREATE TABLE\n");
    assert_eq!(
        run("INSERT INTO warehouse VALUES (1, 'bricks', 1.50::decimal), (2, 'bars', NULL)").0,
        "INSERT 0 2\n"
    );
    assert_eq!(
        run("SELECT * FROM warehouse ORDER BY id").0,
        "1|bricks|1.50\n2|bars|\n"
    );
    assert_eq!(
        run("UPDATE warehouse SET item = item || '!' WHERE id > 1").0,
        "UPDATE 1\n"
    );
    assert_eq!(run("DELETE FROM warehouse WHERE id = 2").0, "DELETE 1\n");
    assert!(
        run("SELECT x FROM warehouse")
            .1
            .contains("column with name \"x\" not found")
    );
    assert_eq!(run("TRUNCATE TABLE warehouse").0, "TRUNCATE TABLE\n");
}

#[test]
fn nothing_is_left_when_a_cluster_is_dropped() {
    let count = |of: &str| fs::read_dir(format!("/proc/self/{of}")).unwrap().count();
    let named = || {
        let tasks = fs::read_dir("/proc/self/task").unwrap();
        let names =
            tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
        names.filter(|name| name.trim() == "picodata").count()
    };
    // Other tests run beside this one, so only the addresses of this cluster say something.
    let cluster = PicodataCluster::start(3);
    let connections: Vec<_> = (0..30).map(|index| connect(&cluster, index % 3)).collect();
    assert_eq!(cluster.connections_open(), 30);
    assert!(named() >= 1 && count("fd") >= 60);
    let addresses = cluster.addresses();
    drop(cluster);
    for mut connection in connections {
        assert_eq!(rest(&mut connection), b"");
    }
    for address in addresses {
        assert_eq!(
            PgRaw::open(&address).err().unwrap().kind(),
            ErrorKind::ConnectionRefused
        );
    }
}
