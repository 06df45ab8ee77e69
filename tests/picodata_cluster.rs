//! What a real cluster of Picodata does, where there is one: `QUORATE_TEST_PICODATA` is the connection string of a user
//! who may create tables. Without it these tests pass without having done anything.
//!
//! Everything here was seen on 25.5.7 and on 26.1.5; docs/picodata.md tells what follows from it.

mod common;

use std::time::{Duration, Instant};

use chrono::{DateTime, FixedOffset, TimeZone, Utc};
use common::wait_for;
use quorate::{
    Batch, CancelHandle, Error, ErrorKind, Outcome, Pool, TransactionMode, Value, ValueRef,
};
use uuid::Uuid;

const SOON: Duration = Duration::from_secs(30);

/// A pool, with an empty table that is the test's own.
struct Cluster {
    pool: Pool,
    table: &'static str,
}

impl Cluster {
    fn open(table: &'static str, columns: &str) -> Option<Cluster> {
        let Ok(url) = std::env::var("QUORATE_TEST_PICODATA") else {
            eprintln!("skipped: QUORATE_TEST_PICODATA names no cluster");
            return None;
        };
        let pool = Pool::open(&url).unwrap();
        pool.exec(format!("DROP TABLE IF EXISTS {table}"), ())
            .unwrap();
        pool.exec(format!("CREATE TABLE {table} ({columns})"), ())
            .unwrap();
        Some(Cluster { pool, table })
    }

    /// With `id` and a number that is not NULL.
    fn with_numbers(table: &'static str) -> Option<Cluster> {
        Cluster::open(
            table,
            "id INTEGER NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (id)",
        )
    }

    fn exec(&self, sql: &str, params: impl quorate::Params) -> quorate::Result<u64> {
        let sql = sql.replace("{t}", self.table);
        Ok(self.pool.exec(sql, params)?.rows_affected)
    }

    /// Whether it is 26.1 or later.
    fn has_blocks(&self) -> bool {
        let version = "SELECT version()";
        let (version,) = self.pool.query_row::<(String,)>(version, ()).unwrap();
        let mut numbers = version.split('.').map(|part| part.parse::<u32>().ok());
        let has = (numbers.next(), numbers.next()) >= (Some(Some(26)), Some(Some(1)));
        if !has {
            eprintln!("skipped: {version} has no blocks");
        }
        has
    }

    fn number(&self, sql: &str) -> i64 {
        let sql = sql.replace("{t}", self.table);
        self.pool.query_row::<(i64,)>(sql, ()).unwrap().0
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.pool.exec(format!("DROP TABLE {}", self.table), ());
    }
}

#[track_caller]
fn is(error: &Error, kind: ErrorKind, outcome: Outcome) {
    assert_eq!((error.kind(), error.outcome()), (kind, outcome), "{error}");
}

#[test]
fn the_instances_are_found_and_each_answers() {
    let Some(cluster) = Cluster::with_numbers("quorate_found") else {
        return;
    };
    cluster.pool.ping().unwrap();
    let endpoints = cluster.pool.endpoint_stats();
    assert_eq!(endpoints.len(), cluster.pool.stats().instances as usize);
    for endpoint in endpoints {
        assert!(endpoint.connections > 0, "{endpoint:?}");
    }
}

#[test]
fn values_of_each_type_come_back() {
    let columns = "id INTEGER NOT NULL, u UNSIGNED, d DOUBLE, n DECIMAL, t TEXT, b BOOL, w DATETIME, g UUID, \
                   v VARCHAR(20), PRIMARY KEY (id)";
    let Some(cluster) = Cluster::open("quorate_values", columns) else {
        return;
    };
    let insert = "INSERT INTO {t} VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let when = Utc.timestamp_micros(1_700_000_000_123_456).unwrap();
    let uuid = Uuid::from_u128(0x1234_5678_9abc_4def_8123_4567_89ab_cdef);
    let decimal = ValueRef::Decimal("12345.678901234567890");
    let row = (
        i64::MAX,
        i64::MAX,
        -1.5e-9,
        decimal,
        "grün\n'",
        true,
        when,
        uuid,
        "",
    );
    assert_eq!(cluster.exec(insert, row).unwrap(), 1);
    let null = ValueRef::Null;
    let row = (i64::MIN, null, null, null, null, null, null, null, null);
    assert_eq!(cluster.exec(insert, row).unwrap(), 1);
    // There is no such number in SQLite's engine, which runs the statements.
    let nan = "INSERT INTO {t} (id, d) VALUES (0, $1)";
    assert_eq!(cluster.exec(nan, [f64::NAN]).unwrap(), 1);

    let select = format!("SELECT * FROM {} ORDER BY id", cluster.table);
    let mut rows = cluster.pool.query(select, ()).unwrap();
    let names: Vec<_> = rows.columns().names().map(str::to_owned).collect();
    assert_eq!(names, ["id", "u", "d", "n", "t", "b", "w", "g", "v"]);
    for id in [i64::MIN, 0] {
        let row = rows.next().unwrap().unwrap();
        assert_eq!(row.get::<i64>(0).unwrap(), id);
        for column in 1..9 {
            assert_eq!(row.value(column).unwrap(), ValueRef::Null);
        }
    }
    let row = rows.next().unwrap().unwrap();
    assert_eq!(row.get::<i64>("id").unwrap(), i64::MAX);
    assert_eq!(row.get::<u64>("u").unwrap(), i64::MAX as u64);
    assert_eq!(row.get::<f64>("d").unwrap(), -1.5e-9);
    assert_eq!(row.value("n").unwrap(), decimal);
    assert_eq!(row.get::<&str>("t").unwrap(), "grün\n'");
    assert!(row.get::<bool>("b").unwrap());
    assert_eq!(row.get::<DateTime<FixedOffset>>("w").unwrap(), when);
    assert_eq!(row.get::<Uuid>("g").unwrap(), uuid);
    assert_eq!(row.get::<&str>("v").unwrap(), "");
    assert!(rows.next().unwrap().is_none());
    drop(rows);

    // Its binary form of a decimal number has ten digits less.
    let decimals = [
        "12345678901234567890.123456789012345678".to_owned(),
        "9".repeat(38),
        format!("-0.{}1", "0".repeat(37)),
        "1.50".to_owned(),
    ];
    for (id, decimal) in (10_i64..).zip(&decimals) {
        let insert = "INSERT INTO {t} (id, n) VALUES ($1, $2)";
        let row = (id, ValueRef::Decimal(decimal));
        assert_eq!(cluster.exec(insert, row).unwrap(), 1);
        let select = format!("SELECT n, id FROM {} WHERE id = $1", cluster.table);
        let (read, _): (Value, i64) = cluster.pool.query_row(select, [id]).unwrap();
        assert_eq!(read, Value::Decimal(decimal.clone()));
    }
    let insert = "INSERT INTO {t} (id, n) VALUES (1, $1)";
    let error = cluster
        .exec(insert, [ValueRef::Decimal("1e-39")])
        .unwrap_err();
    is(&error, ErrorKind::Misuse, Outcome::NotSent);

    let double = "INSERT INTO {t} (id, d) VALUES (1, $1)";
    for lost in [1e300, 1e-20] {
        let error = cluster.exec(double, [lost]).unwrap_err();
        is(&error, ErrorKind::Unsupported, Outcome::NotSent);
    }
    // What the error says to do.
    let literal = "INSERT INTO {t} (id, d) VALUES (1, '1e300'::double)";
    assert_eq!(cluster.exec(literal, ()).unwrap(), 1);
    let select = format!("SELECT d FROM {} WHERE id = 1", cluster.table);
    assert_eq!(
        cluster.pool.query_row::<(f64,)>(select, ()).unwrap(),
        (1e300,)
    );
}

#[test]
fn a_key_gives_the_bucket_of_the_server() {
    let types = [
        ("quorate_key_integer", "INTEGER"),
        ("quorate_key_unsigned", "UNSIGNED"),
        ("quorate_key_text", "TEXT"),
        ("quorate_key_double", "DOUBLE"),
        ("quorate_key_decimal", "DECIMAL"),
        ("quorate_key_bool", "BOOL"),
        ("quorate_key_uuid", "UUID"),
    ];
    for (table, kind) in types {
        let columns = format!("k {kind} NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (k, n)");
        let Some(cluster) = Cluster::open(table, &columns) else {
            return;
        };
        let key = cluster.pool.sharding_key(table).unwrap();
        for n in -3..10_i64 {
            let value = match kind {
                "INTEGER" => Value::Int(n * 1_000_000_007),
                "UNSIGNED" => Value::Int(n.abs() * 1_000_000_007),
                "TEXT" => Value::Text(format!("grün {n}")),
                "DOUBLE" => Value::Float(n as f64 / 4.0),
                "DECIMAL" => Value::Decimal(format!("{n}.25")),
                "BOOL" => Value::Bool(n % 2 == 0),
                _ => Value::Uuid(Uuid::from_u128(n.unsigned_abs().into())),
            };
            cluster
                .exec("INSERT INTO {t} VALUES ($1, $2)", (&value, n))
                .unwrap();
            let sql = format!("SELECT bucket_id FROM {table} WHERE k = $1 AND n = $2");
            let (bucket,): (u64,) = cluster.pool.query_row(sql, (&value, n)).unwrap();
            assert_eq!(key.bucket((&value, n)).unwrap(), bucket, "{value:?}, {n}");
            assert!(!key.connection((&value, n)).unwrap().node().is_empty());
        }
    }
}

#[test]
fn a_write_that_fails_is_rejected_where_it_is_one_row_and_else_unknown() {
    let Some(cluster) = Cluster::with_numbers("quorate_failed") else {
        return;
    };
    let one = "INSERT INTO {t} VALUES ($1, 1)";
    cluster.exec(one, [15]).unwrap();
    let error = cluster.exec(one, [15]).unwrap_err();
    is(&error, ErrorKind::Constraint, Outcome::Rejected);
    assert!(error.message().starts_with("TupleFound: "), "{error}");

    let values: Vec<_> = (10..40).map(|id| format!("({id}, 2)")).collect();
    let many = format!("INSERT INTO {{t}} VALUES {}", values.join(", "));
    let error = cluster.exec(&many, ()).unwrap_err();
    is(&error, ErrorKind::Constraint, Outcome::Unknown);
    // What makes it so, where there is more than one replicaset.
    let written = cluster.number("SELECT count(*) FROM {t} WHERE n = 2");
    assert!((0..29).contains(&written), "{written}");

    for sql in [
        "INSERT INTO {t} VALUES ($1, NULL)",
        "INSERT INTO {t} (id) VALUES ($1)",
    ] {
        let error = cluster.exec(sql, [7]).unwrap_err();
        is(&error, ErrorKind::Constraint, Outcome::Rejected);
    }
    for sql in [
        "INSERT INTO quorate_nowhere VALUES ($1)",
        "INSERT INTO {t} VALUES ($1, 1, 1)",
        "INSER INTO {t} VALUES ($1)",
    ] {
        let error = cluster.exec(sql, [7]).unwrap_err();
        is(&error, ErrorKind::Database, Outcome::Rejected);
    }
}

#[test]
fn a_statement_is_prepared_again_when_the_table_has_changed() {
    let Some(cluster) = Cluster::with_numbers("quorate_changed") else {
        return;
    };
    let mut connection = cluster.pool.acquire().unwrap();
    let read = format!("SELECT n FROM {} WHERE id = $1", cluster.table);
    let write = format!("INSERT INTO {} (id, n) VALUES ($1, $2)", cluster.table);
    connection.exec(&write, (1, 10)).unwrap();
    assert_eq!(connection.query_row::<(i64,)>(&read, [1]).unwrap(), (10,));
    for (round, column) in ["a", "b"].into_iter().enumerate() {
        let alter = format!("ALTER TABLE {{t}} ADD COLUMN {column} INTEGER");
        cluster.exec(&alter, ()).unwrap();
        let id = 2 + round as i64;
        connection.exec(&write, (id, 20)).unwrap();
        assert_eq!(connection.query_row::<(i64,)>(&read, [id]).unwrap(), (20,));
    }
}

#[test]
fn what_was_prepared_for_a_table_that_is_gone_is_rejected() {
    let Some(cluster) = Cluster::with_numbers("quorate_gone") else {
        return;
    };
    let mut connection = cluster.pool.acquire().unwrap();
    let texts = [
        "UPDATE {t} SET n = 2",
        "INSERT INTO {t} VALUES (1, 1), (2, 1)",
        "SELECT n FROM {t} WHERE id = 1",
    ]
    .map(|sql| sql.replace("{t}", cluster.table));
    for sql in &texts {
        connection.exec(sql, ()).unwrap();
    }
    cluster.exec("DROP TABLE {t}", ()).unwrap();
    for sql in &texts {
        let error = connection.exec(sql, ()).unwrap_err();
        is(&error, ErrorKind::Database, Outcome::Rejected);
    }
    cluster
        .exec(
            "CREATE TABLE {t} (id INTEGER NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (id))",
            (),
        )
        .unwrap();
    connection.exec(&texts[2], ()).unwrap();
}

#[test]
fn a_block_is_undone_as_a_whole_and_says_so() {
    let Some(cluster) = Cluster::with_numbers("quorate_block") else {
        return;
    };
    if !cluster.has_blocks() {
        return;
    }
    let block = |statements: &str| {
        let statements = statements.replace("{t}", cluster.table);
        format!("DO $$ BEGIN {statements} END $$")
    };
    let raise = "UPDATE {t} SET n = n + $2 WHERE id = $1;";
    // Rows in all replicasets: an instance runs the block itself, or has another one do it.
    for id in 0..12 {
        cluster
            .exec("INSERT INTO {t} VALUES ($1, 1)", [id])
            .unwrap();
        assert_eq!(cluster.exec(&block(raise), (id, 10)).unwrap(), 1);
        let rows = block(&format!(
            "RETURN QUERY SELECT n FROM {{t}} WHERE id = $1; {raise}"
        ));
        let (before,): (i64,) = cluster.pool.query_row(rows, (id, 1)).unwrap();
        assert_eq!(before, 11);
        for second in [
            "INSERT INTO {t} VALUES ($1, 1);",
            "INSERT INTO {t} VALUES ($1, NULL);",
        ] {
            let error = cluster
                .exec(&block(&format!("{raise} {second}")), (id, 100))
                .unwrap_err();
            is(&error, ErrorKind::Constraint, Outcome::Rejected);
        }
        let error = cluster
            .exec(
                &block(&format!("{raise} UPDATE {{t}} SET n = 1/0 WHERE id = $1;")),
                (id, 100),
            )
            .unwrap_err();
        is(&error, ErrorKind::Database, Outcome::Rejected);
        assert!(error.message().ends_with(": division by zero"), "{error}");
    }
    assert_eq!(cluster.number("SELECT count(*) FROM {t} WHERE n = 12"), 12);
    let two = block("UPDATE {t} SET n = 5 WHERE id = 1; UPDATE {t} SET n = 5 WHERE id = 2;");
    let error = cluster.exec(&two, ()).unwrap_err();
    is(&error, ErrorKind::Database, Outcome::Rejected);
}

#[test]
fn the_statements_of_a_batch_fail_each_by_itself() {
    let Some(cluster) = Cluster::with_numbers("quorate_batch") else {
        return;
    };
    let insert = format!("INSERT INTO {} VALUES ($1, $2)", cluster.table);
    let mut batch = Batch::new();
    for id in [1, 2, 1, 3] {
        batch.queue(&insert, (id, 1)).unwrap();
    }
    batch.queue("SELECT 42", ()).unwrap();
    let mut results = cluster.pool.send_batch(&batch).unwrap();
    for id in 0..4 {
        match results.exec() {
            Ok(result) => assert_eq!((result.rows_affected, id == 2), (1, false)),
            Err(error) => {
                assert_eq!(id, 2);
                is(&error, ErrorKind::Constraint, Outcome::Rejected);
            }
        }
    }
    assert_eq!(results.query_row::<(i64,)>().unwrap(), (42,));
    results.close().unwrap();
    assert_eq!(cluster.number("SELECT count(*) FROM {t}"), 3);
}

#[test]
fn what_it_has_not_is_refused() {
    let Some(cluster) = Cluster::with_numbers("quorate_refused") else {
        return;
    };
    let begun = cluster.pool.begin(TransactionMode::Deferred);
    let error = begun.expect_err("a transaction was begun");
    is(&error, ErrorKind::Unsupported, Outcome::NotSent);
    let error = cluster.exec("BEGIN", ()).unwrap_err();
    is(&error, ErrorKind::Unsupported, Outcome::NotSent);
    let error = cluster.exec("DELETE FROM {t}; SELECT 1", ()).unwrap_err();
    is(&error, ErrorKind::Misuse, Outcome::NotSent);
}

#[test]
fn more_than_5000_rows_are_to_be_asked_for() {
    let Some(cluster) = Cluster::with_numbers("quorate_many") else {
        return;
    };
    for start in (0..6_000).step_by(500) {
        let values: Vec<_> = (start..start + 500)
            .map(|id| format!("({id}, 1)"))
            .collect();
        let sql = format!("INSERT INTO {{t}} VALUES {}", values.join(", "));
        assert_eq!(cluster.exec(&sql, ()).unwrap(), 500);
    }
    let read = |option: &str| {
        let sql = format!("SELECT id FROM {} {option}", cluster.table);
        let rows = cluster.pool.query(sql, ())?;
        rows.typed::<(i64,)>().collect::<quorate::Result<Vec<_>>>()
    };
    let error = read("").unwrap_err();
    assert!(
        error.message().contains("maximum number of rows"),
        "{error}"
    );
    let option = "OPTION (sql_motion_row_max = 10000, sql_vdbe_opcode_max = 1000000)";
    assert_eq!(read(option).unwrap().len(), 6_000);
}

#[test]
fn a_call_ends_when_it_has_to_and_the_pool_goes_on() {
    let Some(cluster) = Cluster::with_numbers("quorate_ended") else {
        return;
    };
    for id in 0..60 {
        let insert = "INSERT INTO {t} VALUES ($1, 1)";
        cluster.exec(insert, [id]).unwrap();
    }
    let slow = format!(
        "SELECT count(*) FROM {t} a JOIN {t} b ON true JOIN {t} c ON true JOIN {t} d ON true \
         OPTION (sql_motion_row_max = 100000000, sql_vdbe_opcode_max = 10000000000)",
        t = cluster.table
    );
    let start = Instant::now();
    let bounded = cluster.pool.within(Duration::from_millis(100));
    let error = bounded.query_row::<(i64,)>(&slow, ()).unwrap_err();
    is(&error, ErrorKind::Timeout, Outcome::Unknown);
    let handle = CancelHandle::new();
    let error = std::thread::scope(|scope| {
        let pool = cluster.pool.cancel_with(&handle);
        let call = scope.spawn(move || pool.query_row::<(i64,)>(&slow, ()).unwrap_err());
        std::thread::sleep(Duration::from_millis(100));
        handle.cancel();
        call.join().unwrap()
    });
    // The servers may be too busy with the first one to prepare the second.
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
    assert!(start.elapsed() < Duration::from_secs(5));
    wait_for("the servers have done with both", SOON, || {
        cluster.pool.ping().ok()
    });
}
