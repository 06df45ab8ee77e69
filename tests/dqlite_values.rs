//! Values on a real dqlite node: what is bound comes back, and what SQLite or the protocol make of the rest.

mod common;

use std::time::{Duration, SystemTime};

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, Utc};
use common::cluster::Cluster;
use common::database::{TestDatabase, assert_error};
use quorate::{ErrorKind, Outcome, Pool, Rows, ToValue, Value, ValueRef};
use uuid::Uuid;

/// The value that a bound parameter comes back as, without a table between.
fn echo(pool: &Pool, value: impl ToValue) -> Value {
    pool.query_row::<(Value,)>("SELECT ?", (value,)).unwrap().0
}

/// A database with a table `v` of one column, declared as `declared`.
fn table(declared: &str) -> TestDatabase {
    let db = TestDatabase::new("pool_max_conns=1");
    let sql = format!("CREATE TABLE v (id INTEGER PRIMARY KEY, x {declared})");
    db.exec(sql, ()).unwrap();
    db
}

/// The value that comes back from the table `v`.
fn store(pool: &Pool, value: impl ToValue) -> Value {
    pool.exec("INSERT OR REPLACE INTO v VALUES (1, ?)", (value,))
        .unwrap();
    stored(pool)
}

fn stored(pool: &Pool) -> Value {
    pool.query_row::<(Value,)>("SELECT x FROM v WHERE id = 1", ())
        .unwrap()
        .0
}

fn drain(mut rows: Rows<'_>) -> u64 {
    let mut count = 0;
    while rows.next().unwrap().is_some() {
        count += 1;
    }
    count
}

fn timestamp(text: &str) -> DateTime<FixedOffset> {
    DateTime::parse_from_rfc3339(text).unwrap()
}

#[test]
fn integers_come_back_to_the_last_bit() {
    for declared in ["", "INTEGER", "BIGINT"] {
        let db = table(declared);
        for int in [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX] {
            assert_eq!(echo(&db, int), Value::Int(int));
            assert_eq!(store(&db, int), Value::Int(int), "{declared}");
        }
    }
    let db = TestDatabase::new("");
    assert_eq!(echo(&db, u32::MAX), Value::Int(i64::from(u32::MAX)));
    assert_eq!(echo(&db, i64::MAX as u64), Value::Int(i64::MAX));
    let error = db.exec("SELECT ?", (u64::MAX,)).unwrap_err();
    assert_error(&error, ErrorKind::Misuse, Outcome::NotSent, "parameter 1");
    let error = db
        .query_row::<(i32,)>("SELECT ? AS big", (i64::MAX,))
        .unwrap_err();
    assert_error(
        &error,
        ErrorKind::Conversion,
        Outcome::Rejected,
        "column 0 (\"big\"): 9223372036854775807 does not fit i32",
    );
}

#[test]
fn floats_come_back_to_the_last_bit_but_nan_is_null() {
    let edges = [
        0.0,
        -0.0,
        1.5,
        0.1,
        f64::MIN_POSITIVE,
        f64::from_bits(1),
        -f64::from_bits(0x000f_ffff_ffff_ffff),
        f64::MAX,
        f64::MIN,
        f64::EPSILON,
        f64::INFINITY,
        f64::NEG_INFINITY,
        9_007_199_254_740_993.0,
        1e300,
    ];
    for declared in ["", "REAL", "DOUBLE"] {
        let db = table(declared);
        for float in edges {
            for (value, expected) in [
                (echo(&db, float), float),
                // SQLite keeps a whole number in a column of floats as an integer, which has no -0.
                (
                    store(&db, float),
                    if declared.is_empty() {
                        float
                    } else {
                        float + 0.0
                    },
                ),
            ] {
                let Value::Float(back) = value else {
                    panic!("{float:e} in {declared:?} came back as {value:?}");
                };
                assert_eq!(
                    back.to_bits(),
                    expected.to_bits(),
                    "{float:e} in {declared:?}"
                );
            }
        }
        assert_eq!(echo(&db, f64::NAN), Value::Null);
        assert_eq!(store(&db, f64::NAN), Value::Null);
    }
    // The affinity of the column decides what is stored.
    assert_eq!(store(&table("INTEGER"), 2.0), Value::Int(2));
    assert_eq!(store(&table("INTEGER"), 2.5), Value::Float(2.5));
    assert_eq!(store(&table("REAL"), 2), Value::Float(2.0));
    assert_eq!(store(&table("NUMERIC"), -0.0), Value::Int(0));
}

#[test]
fn blobs_of_every_length_come_back() {
    let big: Vec<u8> = (0..5_000_000u32).map(|n| ((n * 31) >> 3) as u8).collect();
    for declared in ["", "BLOB", "TEXT"] {
        let db = table(declared);
        for length in [0, 1, 7, 8, 9, 16, 4095, 4096, 4097, big.len()] {
            let blob = &big[..length];
            assert_eq!(
                echo(&db, blob),
                Value::Blob(blob.into()),
                "length {length} in {declared:?}"
            );
            assert_eq!(
                store(&db, blob),
                Value::Blob(blob.into()),
                "length {length} in {declared:?}"
            );
        }
    }
}

#[test]
fn text_of_every_length_comes_back() {
    let big = "brick ".repeat(5_000_000 / 6);
    for declared in ["", "TEXT", "BLOB", "VARCHAR(3)"] {
        let db = table(declared);
        for length in [0, 1, 6, 7, 8, 9, 15, 16, 4095, 4096, 4097, big.len()] {
            let text = &big[..length];
            assert_eq!(store(&db, text), Value::Text(text.into()), "{length}");
        }
        for text in [
            "ß",
            "日本語",
            "𝄞 clef",
            "e\u{301}",
            "\u{10ffff}",
            "\u{1}\u{7f}",
            "1 ",
            "'\"`;--",
        ] {
            assert_eq!(echo(&db, text), Value::Text(text.into()));
            assert_eq!(store(&db, text), Value::Text(text.into()));
        }
    }
    // A column of numbers turns text that is one into a number, and no other.
    let db = table("INTEGER");
    assert_eq!(store(&db, "12"), Value::Int(12));
    assert_eq!(store(&db, "twelve"), Value::Text("twelve".into()));
}

#[test]
fn booleans_are_integers_except_in_a_column_declared_boolean() {
    let db = table("BOOLEAN");
    assert_eq!(store(&db, true), Value::Bool(true));
    assert_eq!(store(&db, false), Value::Bool(false));
    assert_eq!(store(&db, 7), Value::Bool(true));
    // NULL cannot be told from false there, in either version.
    assert_eq!(store(&db, None::<bool>), Value::Bool(false));
    let is_null = db.query_row::<(bool,)>("SELECT x IS NULL FROM v", ());
    assert_eq!(is_null.unwrap(), (true,));
    // An expression has no declared type, so NULL comes through one.
    let expression = db.query_row::<(Option<bool>,)>("SELECT +x FROM v", ());
    assert_eq!(expression.unwrap(), (None,));

    for declared in ["", "INTEGER", "BOOL"] {
        let db = table(declared);
        assert_eq!(store(&db, true), Value::Int(1), "{declared}");
        assert_eq!(store(&db, false), Value::Int(0), "{declared}");
        assert_eq!(store(&db, None::<bool>), Value::Null, "{declared}");
    }
    let db = TestDatabase::new("");
    assert_eq!(echo(&db, true), Value::Int(1));
    assert_eq!(
        db.query_row::<(bool,)>("SELECT ?", (true,)).unwrap(),
        (true,)
    );
}

#[test]
fn null_comes_back_as_null() {
    for declared in [
        "",
        "INTEGER",
        "TEXT",
        "BLOB",
        "REAL",
        "DATETIME",
        "DATE",
        "TIMESTAMP",
    ] {
        let db = table(declared);
        assert_eq!(store(&db, None::<i64>), Value::Null, "{declared}");
        let mut rows = db.query("SELECT x FROM v", ()).unwrap();
        let row = rows.next().unwrap().unwrap();
        assert_eq!(row.type_name(0).unwrap(), "NULL");
        assert_eq!(row.get::<Option<String>>(0).unwrap(), None);
        assert_eq!(row.get::<Option<DateTime<Utc>>>(0).unwrap(), None);
        assert_eq!(row.get::<Option<Vec<u8>>>(0).unwrap(), None);
        let error = row.get::<i64>("x").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conversion);
        assert!(
            error
                .message()
                .contains("column 0 (\"x\"): the value is null")
        );
    }
}

/// The formats of go-dqlite (`internal/protocol/message.go`, `iso8601Formats`), and the `Z` it cuts off.
const FORMATS: [(&str, &str); 10] = [
    (
        "2024-02-29 12:34:56.789012345+02:00",
        "2024-02-29T12:34:56.789012345+02:00",
    ),
    (
        "2024-02-29T12:34:56.789012345-07:30",
        "2024-02-29T12:34:56.789012345-07:30",
    ),
    (
        "2024-02-29 12:34:56.000000001",
        "2024-02-29T12:34:56.000000001Z",
    ),
    ("2024-02-29T12:34:56.5", "2024-02-29T12:34:56.5Z"),
    ("2024-02-29 12:34:56", "2024-02-29T12:34:56Z"),
    ("2024-02-29T12:34:56", "2024-02-29T12:34:56Z"),
    ("2024-02-29 12:34", "2024-02-29T12:34:00Z"),
    ("2024-02-29T12:34", "2024-02-29T12:34:00Z"),
    ("2024-02-29", "2024-02-29T00:00:00Z"),
    ("2024-02-29T12:34:56Z", "2024-02-29T12:34:56Z"),
];

#[test]
fn every_time_format_of_the_original_is_read() {
    for declared in ["DATETIME", "DATE", "TIMESTAMP", "timestamp"] {
        let db = table(declared);
        for (text, expected) in FORMATS {
            let expected = timestamp(expected);
            let Value::Timestamp(back) = store(&db, text) else {
                panic!("{text} in {declared} is no timestamp");
            };
            assert_eq!(
                (back, back.offset()),
                (expected, expected.offset()),
                "{text}"
            );
            let (bytes,) = db.query_row::<(Vec<u8>,)>("SELECT x FROM v", ()).unwrap();
            assert_eq!(
                bytes,
                text.as_bytes(),
                "the text itself is to be had as bytes"
            );
        }
        // What is no time stays text; an empty one cannot be told from NULL.
        assert_eq!(store(&db, "soon"), Value::Text("soon".into()));
        assert_eq!(store(&db, ""), Value::Null);
    }
    // Elsewhere they are text, which is converted when a time is asked for.
    let db = table("TEXT");
    for (text, expected) in FORMATS {
        assert_eq!(store(&db, text), Value::Text(text.into()));
        let (back,) = db
            .query_row::<(DateTime<FixedOffset>,)>("SELECT x FROM v", ())
            .unwrap();
        assert_eq!(back, timestamp(expected));
    }
}

#[test]
fn an_integer_in_a_column_of_times_is_unix_time() {
    let db = table("DATETIME");
    for (seconds, expected) in [
        (0, "1970-01-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59Z"),
        (1_709_210_096, "2024-02-29T12:34:56Z"),
        (253_402_300_799i64, "9999-12-31T23:59:59Z"),
    ] {
        assert_eq!(store(&db, seconds), Value::Timestamp(timestamp(expected)));
    }
    // No calendar reaches so far.
    assert_eq!(store(&db, i64::MAX), Value::Int(i64::MAX));
    assert_eq!(store(&db, i64::MIN), Value::Int(i64::MIN));
    // The affinity of the column is numeric: the text of a number is one.
    let epoch = Value::Timestamp(timestamp("1970-01-01T00:00:00Z"));
    assert_eq!(store(&db, "0"), epoch);
    // The declared type is lost in an expression.
    assert_eq!(
        db.query_row::<(Value,)>("SELECT max(x) FROM v", ())
            .unwrap(),
        (Value::Int(0),)
    );
}

#[test]
fn times_that_are_bound_come_back_exactly() {
    let db = table("DATETIME");
    for text in [
        "2024-02-29T12:34:56.789012345+02:00",
        "2024-02-29T12:34:56.000000001-11:30",
        "2024-02-29T12:34:56.1Z",
        "1969-12-31T23:59:59.999999999Z",
        "0000-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999999+14:00",
    ] {
        let time = timestamp(text);
        let Value::Timestamp(back) = store(&db, time) else {
            panic!("{text} is no timestamp");
        };
        assert_eq!((back, back.offset()), (time, time.offset()), "{text}");
    }
    let naive: NaiveDateTime = "2024-02-29T12:34:56.123456".parse().unwrap();
    store(&db, naive);
    let back = db.query_row::<(NaiveDateTime,)>("SELECT x FROM v", ());
    assert_eq!(back.unwrap(), (naive,));
    let system = SystemTime::UNIX_EPOCH + Duration::new(1_709_210_096, 789_012_345);
    store(&db, system);
    let back = db.query_row::<(SystemTime,)>("SELECT x FROM v", ());
    assert_eq!(back.unwrap(), (system,));

    let late = NaiveDate::from_ymd_opt(10_000, 1, 1).unwrap();
    let error = db.exec("SELECT ?, ?", (1, late)).unwrap_err();
    assert_error(&error, ErrorKind::Misuse, Outcome::NotSent, "parameter 2");
    // SQLite's own functions read what was bound.
    store(&db, timestamp("2024-02-29T12:34:56+02:00"));
    let (utc,) = db
        .query_row::<(String,)>("SELECT datetime(x) FROM v", ())
        .unwrap();
    assert_eq!(utc, "2024-02-29 10:34:56");
}

#[test]
fn dates_come_back_as_dates() {
    for declared in ["DATE", "DATETIME", "TEXT", ""] {
        let db = table(declared);
        for (year, month, day) in [(2024, 2, 29), (0, 1, 1), (9999, 12, 31), (1969, 12, 31)] {
            let date = NaiveDate::from_ymd_opt(year, month, day).unwrap();
            store(&db, date);
            let back = db.query_row::<(NaiveDate,)>("SELECT x FROM v", ());
            assert_eq!(back.unwrap(), (date,), "{declared}");
        }
    }
}

#[test]
fn values_without_a_type_of_their_own_are_text() {
    let db = table("");
    let uuid = Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
    assert_eq!(
        store(&db, uuid),
        Value::Text("01234567-89ab-cdef-0123-456789abcdef".into())
    );
    let back = db.query_row::<(Uuid,)>("SELECT x FROM v", ());
    assert_eq!(back.unwrap(), (uuid,));
    store(&db, uuid.as_bytes());
    let back = db.query_row::<(Uuid,)>("SELECT x FROM v", ());
    assert_eq!(back.unwrap(), (uuid,), "from 16 bytes");

    let digits = "-12345678901234567890.123456789012345678901234567890";
    assert_eq!(
        store(&db, ValueRef::Decimal(digits)),
        Value::Text(digits.into())
    );
    let json = r#"{"brick": [1, null, "ß"]}"#;
    assert_eq!(store(&db, ValueRef::Json(json)), Value::Text(json.into()));
    let part = db.query_row::<(i64,)>("SELECT json_extract(x, '$.brick[0]') FROM v", ());
    assert_eq!(part.unwrap(), (1,));
}

#[test]
fn text_that_is_not_utf_8_names_its_column_and_byte() {
    let db = TestDatabase::new("pool_max_conns=1");
    db.ping().unwrap();
    db.without_connects(|| {
        let sql = "SELECT 1 AS good, CAST(x'6162ff63' AS TEXT) AS bad, 'after' AS last";
        let mut rows = db.query(sql, ()).unwrap();
        let row = rows.next().unwrap().unwrap();
        for error in [
            row.get::<&str>("bad").unwrap_err(),
            row.get::<String>(1).unwrap_err(),
            row.value(1).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Conversion);
            assert!(
                error.message().starts_with("column 1 (\"bad\"): ")
                    && error.message().contains("not UTF-8 at byte 2"),
                "{error}"
            );
        }
        assert_eq!(row.get::<&[u8]>("bad").unwrap(), b"ab\xffc");
        assert_eq!(row.get::<i64>("good").unwrap(), 1);
        assert_eq!(row.get::<&str>("last").unwrap(), "after");
        assert!(format!("{row:?}").contains("not UTF-8"));
        drop(rows);
        let error = db.query_row::<(i64, String, String)>(sql, ()).unwrap_err();
        assert_error(
            &error,
            ErrorKind::Conversion,
            Outcome::Rejected,
            "column 1 (\"bad\")",
        );
        assert_eq!(echo(&db, "good"), Value::Text("good".into()));
    });
    // A name that is not UTF-8 cannot be given at all, for a text cannot be sent so: see the wire's own tests.
}

#[test]
fn text_with_a_nul_that_sql_has_made_is_cut_there() {
    // The protocol ends a text at its NUL; a blob carries the whole.
    let db = TestDatabase::new("");
    let sql = "SELECT CAST(x'610062' AS TEXT) AS t, x'610062' AS b, 'next'";
    let row = db.query_row::<(String, Vec<u8>, String)>(sql, ()).unwrap();
    assert_eq!(row, ("a".into(), b"a\0b".to_vec(), "next".into()));
}

#[test]
fn a_column_changes_its_type_from_row_to_row() {
    let db = table("");
    let values = [
        Value::Int(1),
        Value::Text("two".into()),
        Value::Null,
        Value::Float(4.0),
        Value::Blob(vec![5; 100]),
        Value::Text(String::new()),
        Value::Int(i64::MIN),
    ];
    for value in &values {
        db.exec("INSERT INTO v (x) VALUES (?)", (value,)).unwrap();
    }
    let mut rows = db.query("SELECT x FROM v ORDER BY id", ()).unwrap();
    let names = [
        "INTEGER", "TEXT", "NULL", "FLOAT", "BLOB", "TEXT", "INTEGER",
    ];
    for (value, name) in values.iter().zip(names) {
        let row = rows.next().unwrap().unwrap();
        assert_eq!(row.type_name("x").unwrap(), name);
        assert_eq!(row.value(0).unwrap(), value.as_ref());
    }
    assert!(rows.next().unwrap().is_none());

    // In a column of times too: a time, a Unix time, no time.
    let db = table("DATETIME");
    for value in [Value::Text("2024-02-29".into()), Value::Int(0), Value::Null] {
        db.exec("INSERT INTO v (x) VALUES (?)", (value,)).unwrap();
    }
    let rows = db.query("SELECT x FROM v ORDER BY id", ()).unwrap();
    let times: Vec<_> = rows
        .typed::<(Option<DateTime<Utc>>,)>()
        .map(|row| row.unwrap().0.map(|time| time.to_rfc3339()))
        .collect();
    let time = |text: &str| Some(text.to_owned());
    assert_eq!(
        times,
        [
            time("2024-02-29T00:00:00+00:00"),
            time("1970-01-01T00:00:00+00:00"),
            None
        ]
    );
}

#[test]
fn columns_are_found_by_index_and_name() {
    let db = TestDatabase::new("");
    let sql = "SELECT 1 AS a, 2 AS A, 3 AS a, 4 AS \"\", 5 AS \"naïve name\", 6";
    let mut rows = db.query(sql, ()).unwrap();
    let names: Vec<_> = rows.columns().names().map(str::to_owned).collect();
    assert_eq!(names, ["a", "A", "a", "", "naïve name", "6"]);
    let row = rows.next().unwrap().unwrap();
    assert_eq!(row.len(), 6);
    // Of columns with one name the first is meant.
    assert_eq!(row.get::<i64>("a").unwrap(), 1);
    assert_eq!(row.get::<i64>("A").unwrap(), 2);
    assert_eq!(row.get::<i64>(2).unwrap(), 3);
    assert_eq!(row.get::<i64>("").unwrap(), 4);
    assert_eq!(row.get::<i64>("naïve name").unwrap(), 5);
    for error in [
        row.get::<i64>("b").unwrap_err(),
        row.get::<i64>(6).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Conversion);
        assert!(
            error.message().starts_with("there is no column "),
            "{error}"
        );
    }
}

#[test]
fn a_row_has_as_many_columns_as_their_names_leave_room_for() {
    let db = TestDatabase::new("pool_max_conns=1");
    let select = |columns: usize, name: &str| {
        let list: Vec<_> = (0..columns).map(|n| format!("{n} AS \"{name}\"")).collect();
        format!("SELECT {}", list.join(", "))
    };
    // A row may have as many as this if it is the first of its part. From there to 509 it corrupts the heap of
    // the server; see docs/dqlite.md.
    let mut rows = db.query(select(480, "c"), ()).unwrap();
    assert_eq!(rows.columns().len(), 480);
    let row = rows.next().unwrap().unwrap();
    for index in 0..480 {
        assert_eq!(row.get::<i64>(index).unwrap(), index as i64);
    }
    assert!(rows.next().unwrap().is_none());
    drop(rows);
    // 32 are safe wherever the row begins.
    let count = "WITH RECURSIVE s(v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM s WHERE v < 1000)";
    let list = "substr('xxxxxxxxxxxxxxxxxxxxxxxx', 1, v % 24)".to_owned() + &", v".repeat(31);
    let rows = db
        .query(format!("{count} SELECT {list} FROM s"), ())
        .unwrap();
    assert_eq!(drain(rows), 1000);
    let long = "n".repeat(5000);
    for sql in [select(510, "c"), select(2000, "c"), select(1, &long)] {
        let mut rows = db.query(&sql, ()).unwrap();
        let error = rows.next().unwrap_err();
        assert_error(
            &error,
            ErrorKind::Unsupported,
            Outcome::Rejected,
            "names of the columns",
        );
        drop(rows);
        let error = db.exec(&sql, ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert_eq!(echo(&db, 1), Value::Int(1));
    }
    let error = db.query(select(2001, "c"), ()).unwrap_err();
    assert_error(
        &error,
        ErrorKind::Database,
        Outcome::Rejected,
        "too many columns",
    );
}

/// What the server asserts of a column's values, and how it ends when they are others.
#[test]
fn a_value_that_the_server_has_no_type_for_ends_the_server_and_not_the_pool() {
    let mut cluster = Cluster::start(1);
    let url = format!("dqlite://{}/app?timeout=10s", cluster.address(0));
    let pool = Pool::open(&url).unwrap();
    pool.exec("CREATE TABLE v (b BOOLEAN, d DATETIME)", ())
        .unwrap();
    pool.exec("INSERT INTO v VALUES ('maybe', 1.5)", ())
        .unwrap();
    for column in ["b", "d"] {
        let error = pool
            .query(format!("SELECT {column} FROM v"), ())
            .unwrap_err();
        // Unknown, so it is not repeated: the next leader would go the same way.
        assert_error(&error, ErrorKind::Disconnected, Outcome::Unknown, "");
        assert_eq!(error.node(), Some(cluster.address(0)));
        cluster.kill(0);
        cluster.restart(0);
    }
    // An expression has no declared type.
    let row = pool.query_row::<(String, f64)>("SELECT +b, +d FROM v", ());
    assert_eq!(row.unwrap(), ("maybe".into(), 1.5));
}
