use chrono::{DateTime, FixedOffset, NaiveDate};
use uuid::Uuid;

use super::*;
use crate::error::{ErrorKind, Outcome};
use crate::value::ValueType;

fn time(text: &str) -> DateTime<FixedOffset> {
    DateTime::parse_from_rfc3339(text).unwrap()
}

/// A value of every type goes to the server and comes back; the server says that it is what was meant.
#[test]
fn values_come_back_as_they_went() {
    let cluster = shared();
    let mut session = open(&cluster);
    let text = |text: &str| Value::Text(text.to_owned());
    let decimal = |text: &str| Value::Decimal(text.to_owned());
    let json = |text: &str| Value::Json(text.to_owned());
    let digits = "-12345678901234567890123456789012345678.12345678901234567890123456789012345678";
    let uuid = Uuid::parse_str("6ba7b810-9dad-11d1-80b4-00c04fd430c8").unwrap();
    let day = NaiveDate::from_ymd_opt(1899, 12, 31).unwrap();
    let noon = time("2024-02-29T12:00:00.123456+00:00");
    for (kind, sent, literal, back) in [
        ("bool", Value::Bool(true), "true", Value::Bool(true)),
        ("int2", Value::Int(-32768), "-32768", Value::Int(-32768)),
        ("int4", Value::Int(-7), "-7", Value::Int(-7)),
        (
            "int8",
            Value::Int(i64::MIN),
            "-9223372036854775808",
            Value::Int(i64::MIN),
        ),
        ("int8", text("42"), "42", Value::Int(42)),
        (
            "oid",
            Value::Int(4_000_000_000),
            "4000000000",
            Value::Int(4_000_000_000),
        ),
        ("float4", Value::Float(1.5), "1.5", Value::Float(1.5)),
        ("float8", Value::Float(-0.1), "-0.1", Value::Float(-0.1)),
        ("float8", Value::Int(3), "3", Value::Float(3.0)),
        ("numeric", decimal(digits), digits, decimal(digits)),
        (
            "numeric",
            decimal("1e-20"),
            "0.00000000000000000001",
            decimal("0.00000000000000000001"),
        ),
        ("numeric", Value::Int(-10_000), "-10000", decimal("-10000")),
        ("numeric", Value::Float(0.1), "0.1", decimal("0.1")),
        ("numeric", text("NaN"), "NaN", decimal("NaN")),
        (
            "numeric(20,5)",
            decimal("1.5"),
            "1.50000",
            decimal("1.50000"),
        ),
        ("text", text("a 'b' é"), "a ''b'' é", text("a 'b' é")),
        ("varchar(3)", text("abc"), "abc", text("abc")),
        ("text", text(""), "", text("")),
        (
            "bytea",
            Value::Blob(vec![0, 0xff]),
            "\\x00ff",
            Value::Blob(vec![0, 0xff]),
        ),
        (
            "uuid",
            Value::Uuid(uuid),
            "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
            Value::Uuid(uuid),
        ),
        (
            "uuid",
            text("6BA7B8109DAD11D180B400C04FD430C8"),
            "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
            Value::Uuid(uuid),
        ),
        ("date", Value::Date(day), "1899-12-31", Value::Date(day)),
        ("date", text("1899-12-31"), "1899-12-31", Value::Date(day)),
        (
            "timestamptz",
            Value::Timestamp(noon),
            "2024-02-29 12:00:00.123456+00",
            Value::Timestamp(noon),
        ),
        (
            "timestamptz",
            Value::Timestamp(time("2024-02-29T14:00:00.123456+02:00")),
            "2024-02-29 12:00:00.123456+00",
            Value::Timestamp(noon),
        ),
        (
            "timestamp",
            Value::Timestamp(noon),
            "2024-02-29 12:00:00.123456",
            Value::Timestamp(noon),
        ),
        (
            "timestamptz",
            text("2024-02-29 12:00:00.123456"),
            "2024-02-29 12:00:00.123456+00",
            Value::Timestamp(noon),
        ),
        (
            "timestamptz",
            text("infinity"),
            "infinity",
            text("infinity"),
        ),
        ("date", text("-infinity"), "-infinity", text("-infinity")),
        (
            "time",
            text("23:59:59.5"),
            "23:59:59.5",
            text("23:59:59.500000"),
        ),
        ("json", json("{\"a\": 1}"), "{\"a\": 1}", json("{\"a\": 1}")),
        ("jsonb", text("{\"a\":1}"), "{\"a\": 1}", json("{\"a\": 1}")),
        ("int4", Value::Null, "", Value::Null),
    ] {
        let sql = format!(
            "SELECT $1::{kind}, coalesce($1::{kind}::text, '') = '{literal}' OR $1::{kind}::text = '{literal}'::{kind}::text"
        );
        let sql = if back == Value::Null {
            "SELECT $1::int4, $1::int4 IS NULL".to_owned()
        } else {
            sql
        };
        let rows = session
            .query(&sql, [sent.clone()])
            .unwrap_or_else(|error| panic!("{kind} {sent:?}: {error}"));
        assert_eq!(rows, [[back, Value::Bool(true)]], "{kind} {sent:?}");
    }
}

#[test]
fn types_have_names_and_what_is_not_read_is_told() {
    let cluster = shared();
    let mut session = open(&cluster);
    session
        .0
        .query(
            "SELECT 1, 1.5::float8, 'x', '\\x00'::bytea, NULL, true, now(), current_date, \
             gen_random_uuid(), 1.5::numeric, '{}'::jsonb",
            ParamsRef::Positional(&[]),
            &seconds(20),
        )
        .unwrap();
    assert!(session.advance(&seconds(20)).unwrap());
    let row = session.row();
    let types = (0..=row.len()).map(|index| row.columns().value_type(index));
    // NULL of no type is text to PostgreSQL; there is no column behind the last.
    let expected = [
        Some(ValueType::Int),
        Some(ValueType::Float),
        Some(ValueType::Text),
        Some(ValueType::Blob),
        Some(ValueType::Text),
        Some(ValueType::Bool),
        Some(ValueType::Timestamp),
        Some(ValueType::Date),
        Some(ValueType::Uuid),
        Some(ValueType::Decimal),
        Some(ValueType::Json),
        None,
    ];
    assert!(types.eq(expected));
    let names: Vec<_> = (0..row.len())
        .map(|index| row.type_name(index).unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "INTEGER",
            "FLOAT",
            "TEXT",
            "BLOB",
            "NULL",
            "BOOL",
            "TIMESTAMP",
            "DATE",
            "UUID",
            "DECIMAL",
            "JSON"
        ]
    );
    assert_eq!(row.get::<&[u8]>(9).unwrap(), b"1.5");
    assert_eq!(row.get::<&[u8]>(8).unwrap().len(), 16);
    session.0.close_rows(&seconds(20)).unwrap();

    let error = session
        .query("SELECT 1 AS a, '1 day'::interval AS b", ())
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Unsupported, Outcome::NotSent)
    );
    assert!(
        error.message().contains("\"b\"") && error.message().contains("interval"),
        "{error}"
    );
    let day = session
        .value("SELECT $1::interval::text", ("1 day",))
        .unwrap();
    assert_eq!(day, Value::Text("1 day".to_owned()));
    let error = session
        .query("SELECT 1 + $1::int2, $2::text", (1 << 20, "x"))
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Misuse, Outcome::NotSent)
    );
    assert!(error.message().starts_with("parameter 1: "), "{error}");
    session.check();
}

#[test]
fn types_of_the_database_itself_are_looked_up() {
    let cluster = shared();
    let mut session = open(&cluster);
    session
        .exec(
            "CREATE TYPE pg_temp.mood AS ENUM ('sad', 'ok'); \
             CREATE DOMAIN pg_temp.small AS int2 CHECK (value < 10)",
            (),
        )
        .unwrap();
    assert_eq!(
        session
            .query("SELECT $1::pg_temp.mood, $2::pg_temp.small", ("ok", 7))
            .unwrap(),
        [[Value::Text("ok".to_owned()), Value::Int(7)]]
    );
    session.check();
}

/// The server's own text of numbers of many shapes is what the codec makes of its binary form.
#[test]
fn numbers_are_read_as_the_server_writes_them() {
    let cluster = shared();
    let mut session = open(&cluster);
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..300 {
        let digits = |random: &mut fastrand::Rng| -> String {
            let zeros = "0".repeat(random.usize(0..9));
            let some: String = (0..random.usize(0..25)).map(|_| random.digit(10)).collect();
            format!("{zeros}{some}{}", "0".repeat(random.usize(0..9)))
        };
        let sign = ["", "-", "+"][random.usize(0..3)];
        let number = format!("{sign}0{}.{}0", digits(&mut random), digits(&mut random));
        let rows = session
            .query(
                "SELECT $1::numeric, $1::numeric::text, $2::text::numeric = $1",
                (Value::Decimal(number.clone()), number.as_str()),
            )
            .unwrap();
        let [Value::Decimal(ours), Value::Text(theirs), same] = &rows[0][..] else {
            panic!("{rows:?}");
        };
        assert_eq!((ours, same), (theirs, &Value::Bool(true)), "{number}");
    }
}
