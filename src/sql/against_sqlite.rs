//! The scanner's answers compared with those of SQLite itself, on tricky statements and on random ones.

use std::ffi::{CStr, CString, c_int};
use std::ptr;

use rusqlite::{Connection, ffi};

use super::token::Tokens;
use super::{
    Dialect, Effect, Keyword, Statements, parameters, shape, statements, transaction_effect,
};

/// What SQLite makes of a text.
#[derive(Debug)]
struct Prepared {
    /// The bytes that belong to the first statement.
    tail: usize,
    /// `None` for a text without a statement.
    statement: Option<Described>,
}

#[derive(Debug)]
struct Described {
    names: Vec<Option<String>>,
    columns: c_int,
}

pub(crate) fn database() -> Connection {
    let database = Connection::open_in_memory().unwrap();
    database
        .execute_batch(
            "create table t(a, b, c); create table \"end\"(a, \"begin;\"); create view v as select 1 as a;",
        )
        .unwrap();
    database
}

/// Prepares the first statement of `sql`; `None` where SQLite refuses it.
#[allow(unsafe_code)]
fn prepare(database: &Connection, sql: &str) -> Option<Prepared> {
    let text = CString::new(sql).unwrap();
    let mut statement = ptr::null_mut();
    let mut tail = ptr::null();
    // SAFETY: the handle is the live one of `database`, `text` ends in a NUL and outlives the call, and both
    // results are written to variables of the types that SQLite's declaration asks for.
    let code = unsafe {
        ffi::sqlite3_prepare_v2(
            database.handle(),
            text.as_ptr(),
            -1,
            &mut statement,
            &mut tail,
        )
    };
    if code != ffi::SQLITE_OK {
        return None;
    }
    let tail = (tail as usize) - (text.as_ptr() as usize);
    if statement.is_null() {
        return Some(Prepared {
            tail,
            statement: None,
        });
    }
    // SAFETY: `statement` was just prepared, is finalized only after its last use here, and belongs to no one
    // else. A name is NULL or a text that lives as long as the statement; it is copied at once.
    let described = unsafe {
        let names = (1..=ffi::sqlite3_bind_parameter_count(statement))
            .map(|number| {
                let name = ffi::sqlite3_bind_parameter_name(statement, number);
                (!name.is_null()).then(|| CStr::from_ptr(name).to_str().unwrap().to_owned())
            })
            .collect();
        let columns = ffi::sqlite3_column_count(statement);
        ffi::sqlite3_finalize(statement);
        Described { names, columns }
    };
    Some(Prepared {
        tail,
        statement: Some(described),
    })
}

/// `sqlite3_complete()`: whether the text ends with the `;` of a statement.
#[allow(unsafe_code)]
fn complete(sql: &str) -> bool {
    let text = CString::new(sql).unwrap();
    // SAFETY: `text` ends in a NUL and outlives the call, which reads it and keeps nothing.
    unsafe { ffi::sqlite3_complete(text.as_ptr()) == 1 }
}

/// Compares every statement of `sql` up to the first that SQLite refuses; the number of those compared.
pub(crate) fn compare(database: &Connection, sql: &str) -> usize {
    let mut rest = sql;
    let mut split = statements(sql, Dialect::Sqlite);
    let mut compared = 0;
    while let Some(prepared) = prepare(database, rest) {
        let found = shape(rest, Dialect::Sqlite);
        assert_eq!(found.first_end, prepared.tail, "end of {rest:?} in {sql:?}");
        let Some(described) = prepared.statement else {
            assert_eq!(found.statements, Statements::Empty, "{rest:?} in {sql:?}");
            assert_eq!(split.next(), None, "{sql:?}");
            return compared + 1;
        };
        assert_ne!(found.statements, Statements::Empty, "{rest:?} in {sql:?}");
        if found.keyword != Keyword::Pragma {
            assert_eq!(found.is_query(), described.columns > 0, "query {rest:?}");
        }

        let statement = split
            .next()
            .unwrap_or_else(|| panic!("too few statements: {sql:?}"));
        let whole = rest.get(found.first_start..found.first_end).unwrap();
        assert!(whole.starts_with(statement), "{statement:?} in {whole:?}");
        let list = parameters(statement, Dialect::Sqlite).unwrap();
        let names: Vec<Option<&str>> = (1..=list.count()).map(|number| list.name(number)).collect();
        let expected: Vec<Option<&str>> = described.names.iter().map(Option::as_deref).collect();
        assert_eq!(names, expected, "parameters of {statement:?}");

        rest = rest.get(prepared.tail..).unwrap();
        compared += 1;
    }
    compared
}

const TRICKY: &[&str] = &[
    "",
    " ",
    ";",
    ";; ;-- x",
    "-- only a comment",
    "/* only a comment */",
    "/* never ends ; ",
    "select 1",
    "select 1;",
    "select 1; ",
    "select 1;;select 2",
    ";;select ?;select ?2",
    "select 1 /",
    "select 1 /*",
    "select 1 /*;",
    "select 1 /*/ ; */ + ?; select 2",
    "select 1 -- ; ?\n + ?; select 2",
    "select 1 -- ; ?\r + ?; select 2",
    "select ';', \"a;\" from t; select 2",
    "select 'it''s ; ?', ? ; select 2",
    "select `a`, [b], \"c\" from t where `a`=?;select 2",
    "select '\\', ?; select 2",
    "select 'never ends ; ?",
    "select x'00ff', ?; select 2",
    "select X'0', ?; select 2",
    "select ?,?,?",
    "select ?2,?,?1",
    "select ?0",
    "select ?1,?01,?001",
    "select ?32766",
    "select ?32767",
    "select ?32766, ?",
    "select ?00000000000000000000000000000009",
    "select ?99999999999999999999999999999999",
    "select :a,:b,:a,?,:c",
    "select :a,@a,$a,#a",
    "select :a,?1,?2,:b",
    "select #1",
    "select :1, :2, @3",
    "select $a::b, $a::b(c), $a(;), :a(x)(y)",
    "select $a(b c)",
    "select :::a, :a::",
    "select :имя, $имя; select 'я;'",
    "select a::text from t",
    "select 1?2",
    "select ?a",
    "select ?'a'",
    "select -?-?--?\n-?",
    "select a->?, a->>:b from t",
    "select 0x1f+?, 1e5, 1.5e-3, .5, 1_000, 1.+?; select 2",
    "select 1e+?",
    "select 12abc",
    "select 1 as [a;b];select 2",
    "select a[1;2]",
    "\u{feff}select ?; \u{feff}select 2",
    "select\u{feff}?",
    "\u{a0}select 1",
    "select \x0b1",
    "\x0bselect 1",
    "values(?),(:a)",
    "explain select ?",
    "explain query plan select ?;select 2",
    "insert into t values(?,?,:c) returning a; select 2",
    "insert into t(a) select 1 as \"returning\"",
    "insert into t(a) select a from t where b in (select ?) on conflict do nothing returning *",
    "replace into t(a) values(?)",
    "update t set a=:a where b=:b returning b as c",
    "delete from t where a=?",
    "with replace as (select ?) select * from replace",
    "with recursive r(n) as (select 1 union all select n+1 from r where n<?) insert into t(a) select n from r returning a",
    "with x as (select 1), y(a,b) as materialized (select (1),(?)) update t set a=1",
    "with recursive as (select 1) delete from t",
    "with x as (values(1)) values(?)",
    "create table x(a check(a>';'));select 2",
    "create trigger g after insert on t begin select case when new.a then 1 end; end; select ?",
    "create temp trigger g after insert on t begin select 1;;end; select ?",
    "create temp trigger g after insert on t begin select 1; end /* x */ ; select ?",
    "create temporary trigger if not exists main.g after insert on t begin delete from \"end\"; end; select ?",
    "create trigger g after insert on t begin update \"end\" set a=1; insert into \"end\"(a) values(';end;'); end",
    "explain create trigger g after insert on t begin select 1; end; select ?",
    "explain query plan create trigger g after insert on t begin select 1; end; select ?",
    "create trigger end after insert on t begin select 1; end; select ?",
    "create table trigger(end); select ?",
    "create view \"trigger\" as select 1; end; select ?",
    "begin; commit; end; rollback; savepoint a; release a; rollback to a",
    "begin immediate transaction; rollback transaction to savepoint a",
    "pragma user_version; select ?",
    "attach ? as :b",
    "select * from t limit ? offset :o",
    "select (((?))), ((:a))",
    "select (1;2)",
    "select count(*) filter (where a=?) over (partition by ?) from t",
];

#[test]
fn tricky_statements_are_read_as_sqlite_reads_them() {
    let database = database();
    let compared: usize = TRICKY.iter().map(|sql| compare(&database, sql)).sum();
    assert!(compared > 120, "{compared}");
}

#[test]
fn numbers_that_sqlite_refuses_are_refused() {
    let database = database();
    for sql in [
        "select ?0",
        "select ?32767",
        "select ?32766,?",
        "select ?32766,:a",
        "select ?99999999999999999999999999999999",
    ] {
        assert!(prepare(&database, sql).is_none(), "{sql:?}");
        assert!(parameters(sql, Dialect::Sqlite).is_err(), "{sql:?}");
    }
}

/// A random sequence of `pieces`.
fn soup(random: &mut fastrand::Rng, pieces: &[&str], longest: usize) -> String {
    (0..random.usize(..=longest))
        .map(|_| pieces[random.usize(..pieces.len())])
        .collect()
}

const GAPS: &[&str] = &[
    " ",
    "\n",
    "\t",
    "\r",
    "\x0c",
    " \x0b",
    "/**/",
    "/* ; ' ? */",
    "-- ; ' :a\n",
    "\u{feff}",
    "/*/*/",
];

const OPERANDS: &[&str] = &[
    "?",
    "?",
    "?1",
    "?7",
    "?03",
    ":a",
    ":b",
    "@a",
    "$a",
    "$a::b",
    "$a(x;y)",
    "#a",
    ":1",
    ":я",
    ":a::",
    "1",
    "1.5e3",
    ".5",
    "0x1F",
    "'?'",
    "';'",
    "''''",
    "'-- '",
    "'/*'",
    "x'00'",
    "\"?;\"",
    "`:a`",
    "[;?]",
    "null",
    "(?)",
    "(select :b)",
    "case when ? then 1 end",
    "cast(? as text)",
];

const OPERATORS: &[&str] = &[
    "+", "-", "||", "->", "<<", "<=", "==", "!=", "&", "/", "*", ",", " and ", " is ",
];

/// A random list of statements, most of which SQLite accepts.
fn script(random: &mut fastrand::Rng) -> String {
    let mut text = String::new();
    for _ in 0..random.usize(1..4) {
        let mut gap = || GAPS[random.usize(..GAPS.len())];
        text.push_str(gap());
        let heads = [
            "select ",
            "values ",
            "explain select ",
            "with e as (select ?) select ",
            "insert into t(a) select ",
            "delete from t returning ",
            "replace into t(b) select ",
            "with recursive e(a) as (select 1) update t set a=1 returning ",
            "create temp trigger g after insert on t begin select case when 1 then 2 end; select 3;end;select ",
        ];
        let head = heads[random.usize(..heads.len())];
        text.push_str(head);
        let values = head == "values ";
        if values {
            text.push('(');
        }
        let tables = ["?", "\"?;\"", "`:a`", "[;?]"];
        for place in 0..random.usize(1..6) {
            if place > 0 {
                let one_column = head.starts_with("insert") || head.starts_with("replace");
                let operator = OPERATORS[random.usize(..OPERATORS.len())];
                text.push_str(if one_column && operator == "," {
                    "+"
                } else {
                    operator
                });
            }
            if random.u8(..3) == 0 {
                text.push_str(GAPS[random.usize(..GAPS.len())]);
            }
            let operand = OPERANDS[random.usize(..OPERANDS.len())];
            // A quoted name would have to be a column, so most of them get one by an alias.
            if tables[1..].contains(&operand) {
                text.push_str(&format!("1 as {operand}, 2"));
            } else {
                text.push_str(operand);
            }
            if random.u8(..3) == 0 {
                text.push_str(GAPS[random.usize(..GAPS.len())]);
            }
        }
        if values {
            text.push(')');
        }
        text.push_str([";", ";", " ; ", ";;", ""][random.usize(..5)]);
    }
    text
}

#[test]
fn random_statements_are_read_as_sqlite_reads_them() {
    let database = database();
    let mut random = fastrand::Rng::with_seed(1);
    let compared: usize = (0..10_000)
        .map(|_| compare(&database, &script(&mut random)))
        .sum();
    assert!(compared > 10_000, "SQLite accepted only {compared}");
}

const SOUP: &[&str] = &[
    "select",
    "select 1",
    "select ?",
    " ",
    " ",
    " ",
    ";",
    ";",
    "'",
    "\"",
    "`",
    "[",
    "]",
    "--",
    "/*",
    "*/",
    "\n",
    "?",
    "?2",
    ":a",
    "@b",
    "$c",
    "(",
    ")",
    "::",
    ":",
    "#",
    "1",
    ".",
    "e",
    "x'",
    "a",
    "я",
    "\u{feff}",
    ",",
    "+",
    "-",
    "explain ",
    "create ",
    "temp ",
    "trigger ",
    "begin ",
    "end",
    "case ",
    "from t",
    "values",
    "returning",
    "\\",
    "!",
];

#[test]
fn random_tokens_are_read_as_sqlite_reads_them() {
    let database = database();
    let mut random = fastrand::Rng::with_seed(2);
    let compared: usize = (0..20_000)
        .map(|_| {
            let mut sql = soup(&mut random, SOUP, 12);
            if random.bool() {
                sql.insert_str(0, "select ");
            }
            compare(&database, &sql)
        })
        .sum();
    assert!(compared > 2_000, "SQLite accepted only {compared}");
}

/// Whether the scanner takes the text to end with the `;` of a statement, as `sqlite3_complete()` asks.
fn ends_complete(sql: &str) -> bool {
    let mut rest = sql;
    loop {
        let found = shape(rest, Dialect::Sqlite);
        match found.statements {
            Statements::Empty => return Tokens::new(sql, Dialect::Sqlite).next().is_some(),
            Statements::One | Statements::Many => {
                let statement = rest.get(found.first_start..found.first_end).unwrap();
                let split = statements(rest, Dialect::Sqlite).next().unwrap();
                if !statement.get(split.len()..).unwrap().ends_with(';') {
                    return false;
                }
                rest = rest.get(found.first_end..).unwrap();
            }
        }
    }
}

/// Without what complete.c takes for something else than the tokenizer: a byte order mark (a word there), a
/// comment or literal that never ends, a `:` or `#` before a word.
const COMPLETE: &[&str] = &[
    " ",
    " ",
    "\n",
    ";",
    ";",
    ";",
    "explain ",
    "query plan ",
    "create ",
    "CREATE ",
    "temp ",
    "temporary ",
    "trigger ",
    "Trigger ",
    "end",
    "end ",
    "END ",
    "a ",
    "'end;'",
    "\"trigger\"",
    "[;]",
    "`;`",
    "/* ; */",
    "-- ;\n",
    "1",
    "?",
    "(",
    ")",
    "ending ",
    "я ",
    "case ",
    "$end ",
];

#[test]
fn statements_end_where_sqlite3_complete_has_them_end() {
    let mut random = fastrand::Rng::with_seed(3);
    let mut complete_ones = 0;
    for _ in 0..20_000 {
        let mut sql = soup(&mut random, COMPLETE, 14);
        if random.bool() {
            sql.insert_str(0, "create trigger ");
        }
        let expected = complete(&sql);
        assert_eq!(ends_complete(&sql), expected, "{sql:?}");
        complete_ones += usize::from(expected);
    }
    assert!(complete_ones > 1_000, "{complete_ones}");
}

#[test]
fn a_transaction_is_open_where_its_text_says_so() {
    for (before, sql, open) in [
        ("", "begin", true),
        ("", "begin; insert into t values(1,2,3); commit", false),
        ("begin", "end transaction", false),
        ("begin", "rollback /* to a */", false),
        ("begin; savepoint a", "rollback transaction to a", true),
        ("begin; savepoint a", "release a", true),
        ("savepoint a", "release a", false),
        ("", "savepoint a", true),
        ("", "commit", false),
        (
            "begin",
            "commit; begin exclusive; savepoint a; release a",
            true,
        ),
        ("begin", "commit; savepoint b", true),
        ("", "savepoint a; rollback to a", true),
        ("", "savepoint a; savepoint b; release b", true),
        ("", "savepoint a; release a", false),
        ("begin", "savepoint a; release a", true),
        ("begin", "commit; savepoint a; release a", false),
        (
            "begin",
            "rollback; savepoint a; savepoint b; rollback to a",
            true,
        ),
        ("begin", "select 'commit;'", true),
    ] {
        let database = database();
        database.execute_batch(before).unwrap();
        let was_open = !database.is_autocommit();
        let succeeded = database.execute_batch(sql).is_ok();
        let is_open = !database.is_autocommit();
        assert_eq!(is_open, open, "{before:?} then {sql:?}");
        match transaction_effect(sql, Dialect::Sqlite) {
            Effect::None => assert_eq!(is_open, was_open, "{sql:?}"),
            Effect::Begin | Effect::Savepoint | Effect::RollbackTo => assert!(is_open, "{sql:?}"),
            Effect::End => assert!(!is_open || !succeeded, "{sql:?}"),
            Effect::Release => assert!(was_open || !is_open, "{sql:?}"),
        }
    }
}
