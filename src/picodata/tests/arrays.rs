use serde_json::json;

use super::*;
use crate::backend::BatchStep;
use crate::batch::Batch;
use crate::error::{ErrorKind, Outcome};
use crate::value::ValueType;

fn json(text: &str) -> Value {
    Value::Json(text.to_owned())
}

fn open_as_picodata(cluster: &PostgresCluster) -> Testing {
    let mut options = options();
    options.server = Server::Picodata;
    open_with(cluster, options).unwrap()
}

/// Of each type: the array as SQL, what it comes as, and that this goes back as the same.
const ARRAYS: [(&str, &str, &str); 44] = [
    ("bool[]", "{t,f,NULL}", "[true,false,null]"),
    ("int2[]", "{-32768,7}", "[-32768,7]"),
    ("int4[]", "{1,NULL,-3}", "[1,null,-3]"),
    ("int4[]", "{}", "[]"),
    ("int4[]", "{{1,2},{3,NULL}}", "[[1,2],[3,null]]"),
    (
        "int4[]",
        "{{{1,2},{3,4},{5,6}},{{7,8},{9,10},{11,12}}}",
        "[[[1,2],[3,4],[5,6]],[[7,8],[9,10],[11,12]]]",
    ),
    ("int4[]", "{{{{{{1}}}}}}", "[[[[[[1]]]]]]"),
    (
        "int8[]",
        "{9223372036854775807,-9223372036854775808}",
        "[9223372036854775807,-9223372036854775808]",
    ),
    ("oid[]", "{4000000000}", "[4000000000]"),
    ("float4[]", "{1.5,-0.25}", "[1.5,-0.25]"),
    (
        "float8[]",
        "{0.1,1e300,-2e-7,3,NULL}",
        "[0.1,1e300,-2e-7,3.0,null]",
    ),
    (
        "float8[]",
        "{NaN,Infinity,-Infinity}",
        r#"["NaN","Infinity","-Infinity"]"#,
    ),
    (
        "numeric[]",
        "{12345678901234567890.12345678901234567890,-0.10,1e3,NULL}",
        "[12345678901234567890.12345678901234567890,-0.10,1000,null]",
    ),
    (
        "numeric[]",
        "{NaN,Infinity,-Infinity}",
        r#"["NaN","Infinity","-Infinity"]"#,
    ),
    ("text[]", r#"{a,"",NULL,"NULL"}"#, r#"["a","",null,"NULL"]"#),
    (
        "text[]",
        r#"{"say \"hi\"","back\\slash","a,b","{c}"," é "}"#,
        r#"["say \"hi\"","back\\slash","a,b","{c}"," é "]"#,
    ),
    (
        "text[]",
        "{\"a\nb\tc\rd\u{1}\u{7f}\"}",
        "[\"a\\nb\\tc\\rd\\u0001\u{7f}\"]",
    ),
    ("varchar[]", "{a,b}", r#"["a","b"]"#),
    ("varchar(3)[]", "{abc}", r#"["abc"]"#),
    ("bpchar[]", "{a}", r#"["a"]"#),
    ("name[]", "{pg_class}", r#"["pg_class"]"#),
    (
        "uuid[]",
        "{6ba7b810-9dad-11d1-80b4-00c04fd430c8}",
        r#"["6ba7b810-9dad-11d1-80b4-00c04fd430c8"]"#,
    ),
    (
        "date[]",
        "{2024-02-29,1899-12-31,infinity,-infinity}",
        r#"["2024-02-29","1899-12-31","infinity","-infinity"]"#,
    ),
    (
        "timestamp[]",
        r#"{"2024-02-29 12:00:00.123456",infinity}"#,
        r#"["2024-02-29T12:00:00.123456+00:00","infinity"]"#,
    ),
    (
        "timestamptz[]",
        r#"{"2024-02-29 12:00:00+02",-infinity,NULL}"#,
        r#"["2024-02-29T10:00:00+00:00","-infinity",null]"#,
    ),
    (
        "json[]",
        r#"{"{\"a\": [1]}","[1,  2]","\"x\"",NULL}"#,
        r#"[{"a": [1]},[1,  2],"x",null]"#,
    ),
    (
        "jsonb[]",
        r#"{"{\"a\":[1]}","1.50"}"#,
        r#"[{"a": [1]},1.50]"#,
    ),
    ("bytea[]", r#"{"\\x00ff","\\x"}"#, r#"["\\x00ff","\\x"]"#),
    // These go as text, as their elements do.
    ("time[]", "{23:59:59.5,NULL}", r#"["23:59:59.500000",null]"#),
    (
        "xml[]",
        r#"{<a/>,"<b c=\"d\"/>"}"#,
        r#"["<a/>","<b c=\"d\"/>"]"#,
    ),
    (
        "pg_temp.mood[]",
        r#"{ok,NULL,"so so","\"\\"}"#,
        r#"["ok",null,"so so","\"\\"]"#,
    ),
    ("pg_temp.mood[]", "{{ok},{sad}}", r#"[["ok"],["sad"]]"#),
    ("pg_temp.mood[]", "{}", "[]"),
    ("pg_temp.small[]", "{1,2}", "[1,2]"),
    ("pg_temp.smalls", "{1,2}", "[1,2]"),
    ("pg_temp.blurs", "{1,2}", "[1,2]"),
    ("regclass[]", "{1259}", "[1259]"),
    ("xid[]", "{1,2}", "[1,2]"),
    ("\"char\"[]", "{a}", r#"["a"]"#),
    ("int8[]", "[0:2]={1,2,3}", "[1,2,3]"),
    ("int4[]", "[-1:0][5:6]={{1,2},{3,4}}", "[[1,2],[3,4]]"),
    ("numeric[]", "{1e-20}", "[0.00000000000000000001]"),
    ("bool[]", "{{t},{f}}", "[[true],[false]]"),
    ("text[]", "{{a,b}}", r#"[["a","b"]]"#),
];

const OWN_TYPES: &str = r#"CREATE TYPE pg_temp.mood AS ENUM ('sad', 'ok', 'so so', '"\');
    CREATE DOMAIN pg_temp.small AS int2 CHECK (value < 10);
    CREATE DOMAIN pg_temp.smalls AS int2[] CHECK (cardinality(value) < 10);
    CREATE DOMAIN pg_temp.blurs AS pg_temp.small[];
    CREATE TYPE pg_temp.pair AS (a int, b int)"#;

#[test]
fn arrays_come_as_json_and_go_back() {
    let cluster = shared();
    let mut session = open(&cluster);
    session.exec(OWN_TYPES, ()).unwrap();
    for (kind, literal, text) in ARRAYS {
        let read = format!("SELECT $1::text::{kind}");
        let value = session
            .value(&read, [literal])
            .unwrap_or_else(|error| panic!("{kind} {literal}: {error}"));
        assert_eq!(value, json(text), "{kind} {literal}");
        let column = session.0.columns().value_type(0);
        assert_eq!(column, Some(ValueType::Json), "{kind}");
        // The bounds are not kept.
        let literal = literal
            .rsplit('=')
            .next()
            .filter(|_| literal.starts_with('['));
        let literal = literal.unwrap_or_else(|| {
            ARRAYS
                .iter()
                .find(|(_, _, other)| *other == text)
                .map_or("", |(_, literal, _)| literal)
        });
        let same = format!("SELECT $1::{kind}, $1::{kind}::text = $2::text::{kind}::text");
        for sent in [
            json(text),
            Value::Text(format!("\n {text}")),
            Value::Blob(text.as_bytes().to_vec()),
            Value::Text(literal.to_owned()),
        ] {
            let rows = session
                .query(&same, (sent.clone(), literal))
                .unwrap_or_else(|error| panic!("{kind} {sent:?}: {error}"));
            assert_eq!(rows, [[json(text), Value::Bool(true)]], "{kind} {sent:?}");
        }
        let null = session.value(&read, [Value::Null]).unwrap();
        assert_eq!(null, Value::Null, "{kind}");
    }
    session.check();
}

/// Picodata's decimal numbers go as text, both ways, and so do arrays of them.
#[test]
fn arrays_of_decimal_numbers_lose_no_digit_on_picodata() {
    let cluster = shared();
    let mut session = open_as_picodata(&cluster);
    for (sent, back) in [
        ("[]", "[]"),
        ("[null]", "[null]"),
        (
            "[12345678901234567890.123456789012345678, 1E+3,null, \"-0.50\"]",
            "[12345678901234567890.123456789012345678,1000,null,-0.50]",
        ),
        ("[[1, 2],[3,4]]", "[[1,2],[3,4]]"),
    ] {
        let rows = session
            .query(
                "SELECT $1::numeric[], $1::numeric[]::text, 1.5::numeric, 7",
                [json(sent)],
            )
            .unwrap();
        assert_eq!(rows[0][0], json(back), "{sent}");
        let literal = back.replace('[', "{").replace(']', "}");
        let literal = literal.replace("null", "NULL");
        assert_eq!(rows[0][1], Value::Text(literal.clone()));
        assert_eq!(rows[0][2..], [Value::Decimal("1.5".into()), Value::Int(7)]);
        let again = session.value("SELECT $1::numeric[]", [literal]).unwrap();
        assert_eq!(again, json(back));
    }
    let digits = "9".repeat(39);
    let error = session
        .query("SELECT $1::numeric[]", [json(&format!("[1, {digits}]"))])
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse);
    assert!(
        error
            .message()
            .starts_with("parameter 1: element [2]: the number has more digits"),
        "{error}"
    );
    let error = session
        .query("SELECT $1::float8[]", [json("[[0.5], [1e300]]")])
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(
        error
            .message()
            .starts_with("parameter 1: element [2][1]: picodata would take 1e300"),
        "{error}"
    );
    session.check();
}

#[test]
fn any_takes_an_array() {
    let cluster = shared();
    let mut session = open(&cluster);
    session
        .exec(
            "CREATE TEMP TABLE item (id int8, tags text[]); \
             INSERT INTO item SELECT n, ARRAY['n' || n, 'all'] FROM generate_series(1, 9) AS n",
            (),
        )
        .unwrap();
    let sql = "SELECT id FROM item WHERE id = ANY($1) ORDER BY id";
    let wanted = [[Value::Int(2)], [Value::Int(7)]];
    for ids in [json("[7, 2, 70]"), Value::Text("{2,7}".into())] {
        assert_eq!(session.query(sql, [ids]).unwrap(), wanted);
    }
    assert_eq!(session.query(sql, (json!([2, 7]),)).unwrap(), wanted);
    assert!(session.query(sql, [json("[]")]).unwrap().is_empty());
    assert!(session.query(sql, [Value::Null]).unwrap().is_empty());
    let sql = "SELECT id, tags FROM item WHERE tags @> $1 AND id <> ALL($2)";
    let rows = session.query(sql, (json!(["n3"]), json!([1])));
    assert_eq!(rows.unwrap(), [[Value::Int(3), json(r#"["n3","all"]"#)]]);
    // Each value has the format of its own kind.
    let sql = "SELECT $1::int4[], $2::int4, $3::int4[], $4::text";
    for (first, second) in [("{1}", "[2]"), ("[1]", "{2}"), ("{1}", "{2}")] {
        let rows = session.query(sql, (first, 5, second, "x")).unwrap();
        let expected = [
            json("[1]"),
            Value::Int(5),
            json("[2]"),
            Value::Text("x".into()),
        ];
        assert_eq!(rows, [expected], "{first} {second}");
    }
    let error = session.query("SELECT $1::int4[]", ["1,2"]).unwrap_err();
    assert_eq!(error.sqlstate(), Some("22P02"), "{error}");
    session.check();
}

#[test]
fn what_is_no_array_of_the_type_is_refused() {
    let cluster = shared();
    let mut session = open(&cluster);
    for (kind, sent, part) in [
        (
            "int4[]",
            json("{\"a\": 1}"),
            "takes int4[], and the JSON is no array",
        ),
        (
            "int4[]",
            json("null"),
            "takes int4[], and the JSON is no array",
        ),
        (
            "int4[]",
            Value::Int(1),
            "takes int4[], and a value of type int",
        ),
        (
            "int4[]",
            Value::Blob(vec![0xff]),
            "takes int4[], and a value of type blob",
        ),
        ("int4[]", json("[1, 2"), "the text is no JSON"),
        ("int4[]", json("[1] 2"), "the text is no JSON"),
        (
            "int4[]",
            json("[1, \"a\"]"),
            "element [2]: the text is no int4",
        ),
        (
            "int4[]",
            json("[1.5]"),
            "element [1]: the statement takes int4, and a value of type float",
        ),
        (
            "int4[]",
            json("[4294967296]"),
            "element [1]: 4294967296 is out of the range of int4",
        ),
        (
            "int8[]",
            json("[9223372036854775808]"),
            "element [1]: the number is out of the range of int8",
        ),
        (
            "int4[]",
            json("[{}]"),
            "element [1]: the statement takes int4, and a JSON object",
        ),
        (
            "int4[]",
            json("[[1, 2], [3, true]]"),
            "element [2][2]: the statement takes int4, and a value of type bool",
        ),
        (
            "int4[]",
            json("[[1, 2], [3]]"),
            "element [2]: it has 1 elements, and its neighbour 2",
        ),
        (
            "int4[]",
            json("[[1, 2], null]"),
            "element [2]: it is no array, and its neighbour one",
        ),
        (
            "int4[]",
            json("[1, [2]]"),
            "element [2]: it is an array, and its neighbour none",
        ),
        (
            "int4[]",
            json("[[], 1]"),
            "element [2]: it is no array, and its neighbour one",
        ),
        ("int4[]", json("[[[[[[[1]]]]]]]"), "at most 6 dimensions"),
        (
            "float8[]",
            json("[1e999]"),
            "element [1]: the number is out of the range of float8",
        ),
        (
            "float8[]",
            json("[9007199254740993]"),
            "element [1]: 9007199254740993 loses digits",
        ),
        (
            "bool[]",
            json("[\"t\"]"),
            "element [1]: the statement takes bool, and a value of type text",
        ),
        (
            "text[]",
            json("[\"a\", 1]"),
            "element [2]: the statement takes text, and a value of type int",
        ),
        (
            "text[]",
            json("[1.5]"),
            "element [1]: the statement takes text, and a value of type float",
        ),
        (
            "text[]",
            json("[\"a\\u0000\"]"),
            "element [1]: the text has a nul at byte 1",
        ),
        (
            "uuid[]",
            json("[\"x\"]"),
            "element [1]: the text is no uuid",
        ),
        (
            "date[]",
            json("[\"2024-02-30\"]"),
            "element [1]: the text is no date",
        ),
        (
            "bytea[]",
            json("[\"00\"]"),
            "element [1]: the text is no bytea",
        ),
        (
            "bytea[]",
            json(r#"["\\x0"]"#),
            "element [1]: the text is no bytea",
        ),
        (
            "numeric[]",
            json("[true]"),
            "element [1]: the statement takes numeric",
        ),
    ] {
        let sql = format!("SELECT $1::{kind}");
        let error = session.query(&sql, [sent.clone()]).unwrap_err();
        let message = error.message();
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::Misuse, Outcome::NotSent),
            "{message}"
        );
        assert!(
            message.starts_with("parameter 1: ") && message.contains(part),
            "{message}"
        );
    }
    // Numbers that some write without their fraction.
    let value = session.value(
        "SELECT $1::float8[]",
        [json("[9007199254740994, 100000000000000000000]")],
    );
    assert_eq!(value.unwrap(), json("[9007199254740994.0,1e20]"));
    session.check();
}

#[test]
fn an_array_of_what_is_not_read_is_told() {
    let cluster = shared();
    let mut session = open(&cluster);
    session.exec(OWN_TYPES, ()).unwrap();
    for (kind, literal) in [
        ("interval[]", "{1 day}"),
        ("pair[]", "{\"(1,2)\"}"),
        ("point[]", "{\"(1,2)\"}"),
    ] {
        let error = session
            .query(&format!("SELECT 1 AS a, '{literal}'::{kind} AS b"), ())
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(
            error.message().contains("column 1 (\"b\")") && error.message().contains(kind),
            "{error}"
        );
    }
    let text = session
        .value("SELECT $1::interval[]::text", [json("[\"1 day\", null]")])
        .unwrap();
    assert_eq!(text, Value::Text("{\"1 day\",NULL}".into()));
    session.check();
}

/// Years that a value of its own could not hold.
#[test]
fn far_years_are_text() {
    let cluster = shared();
    let mut session = open(&cluster);
    let value = session.value(
        "SELECT ARRAY['5874897-12-31', '4713-01-01 BC', '262143-12-31', '10000-01-01']::date[]",
        (),
    );
    let expected = r#"["+5874897-12-31","-4712-01-01","+262143-12-31","+10000-01-01"]"#;
    assert_eq!(value.unwrap(), json(expected));
    let value = session.value(
        "SELECT ARRAY['294276-12-31 23:59:59.999999', '262144-02-29']::timestamp[]",
        (),
    );
    let expected = r#"["+294276-12-31T23:59:59.999999+00:00","+262144-02-29T00:00:00+00:00"]"#;
    assert_eq!(value.unwrap(), json(expected));
}

/// A batch whose texts are not prepared looks the types up itself, and reads the same.
#[test]
fn arrays_are_read_amid_a_batch_of_texts() {
    let cluster = shared();
    let mut options = options();
    options.statement_cache = 0;
    let mut session = open_with(&cluster, options).unwrap();
    session.exec(OWN_TYPES, ()).unwrap();
    let mut batch = Batch::new();
    for (kind, literal, _) in ARRAYS {
        batch
            .queue(format!("SELECT $1::{kind}"), [literal])
            .unwrap();
    }
    batch
        .queue("SELECT '{\"(1,2)\"}'::pg_temp.pair[]", ())
        .unwrap();
    session.0.start_batch(batch.items(), &seconds(20)).unwrap();
    for (kind, literal, text) in ARRAYS {
        let step = session.0.next_step(&seconds(20)).unwrap();
        let step = step.unwrap_or_else(|error| panic!("{kind} {literal}: {error}"));
        assert!(matches!(step, BatchStep::Rows));
        assert_eq!(session.rows().unwrap(), [[json(text)]], "{kind} {literal}");
    }
    let step = session.0.next_step(&seconds(20)).unwrap();
    let error = step.err().unwrap();
    assert!(error.message().contains("of type pair[]"), "{error}");
    assert!(session.0.next_step(&seconds(20)).is_none());
    session.check();
}
