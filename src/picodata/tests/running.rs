use super::*;
use crate::error::{ErrorKind, Outcome};
use crate::net::socket::Idle;

#[test]
fn statements_say_what_they_did() {
    let cluster = shared();
    let mut session = open(&cluster);
    session
        .exec("CREATE TEMP TABLE t (id int PRIMARY KEY, name text)", ())
        .unwrap();
    let insert = "INSERT INTO t VALUES ($1, $2), ($3, $4)";
    let done = session.exec(insert, (1, "one", 2, None::<&str>)).unwrap();
    assert_eq!(done.rows_affected, 2);
    let done = session
        .exec("UPDATE t SET name = 'x' RETURNING id", ())
        .unwrap();
    assert_eq!(done.rows_affected, 2);
    assert_eq!(
        session.exec("SELECT id FROM t", ()).unwrap().rows_affected,
        0
    );
    let done = session
        .exec("DELETE FROM t; SELECT 1; INSERT INTO t VALUES (3, '')", ())
        .unwrap();
    assert_eq!(done.rows_affected, 1);

    // Rows of every size, none and many of them.
    assert!(
        session
            .query("SELECT id FROM t WHERE id = 9", ())
            .unwrap()
            .is_empty()
    );
    assert_eq!(session.0.columns().name(0), Some("id"));
    assert!(
        session
            .query("INSERT INTO t VALUES (4, '')", ())
            .unwrap()
            .is_empty()
    );
    assert!(session.0.columns().is_empty());
    let rows = session
        .query(
            "SELECT n, repeat('x', n) FROM generate_series(1, 3000) n",
            (),
        )
        .unwrap();
    assert_eq!(rows.len(), 3000);
    assert_eq!(
        rows[2999],
        [Value::Int(3000), Value::Text("x".repeat(3000))]
    );
    assert_eq!(
        session.value("SHOW server_encoding", ()).unwrap(),
        Value::Text("UTF8".to_owned())
    );
    session.0.ping(&seconds(20)).unwrap();
    assert_eq!(session.0.idle(), Idle::Ready);
}

#[test]
fn parameters_have_numbers_or_names() {
    let cluster = shared();
    let mut session = open(&cluster);
    let sql = "SELECT :a::int, :b::text, :a + 1";
    for _ in 0..2 {
        let named = [("b", Value::Text("x".into())), (":a", Value::Int(1))];
        assert_eq!(
            session.query(sql, named).unwrap(),
            [[Value::Int(1), Value::Text("x".into()), Value::Int(2)]]
        );
    }
    let error = session.query(sql, [("a", 1)]).unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Misuse, Outcome::NotSent)
    );
    let description = session
        .0
        .prepare("SELECT $2::int, $1", &seconds(20))
        .unwrap();
    assert_eq!(description.parameters, 2);
    for (params, part) in [(&[1][..], "takes 2"), (&[1, 2, 3], "takes 2")] {
        let error = session
            .query("SELECT $2::int, $1::int", params)
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse);
        assert!(error.message().contains(part), "{error}");
    }
    let error = session.query("SELECT 1; SELECT 2", ()).unwrap_err();
    assert!(error.message().contains("after byte 9"), "{error}");
    session.check();
}

#[test]
fn errors_say_what_became_of_the_statement() {
    let cluster = shared();
    let mut session = open(&cluster);
    session
        .exec(
            "CREATE TEMP TABLE t (id int PRIMARY KEY CHECK (id > 0))",
            (),
        )
        .unwrap();
    session.exec("INSERT INTO t VALUES (1)", ()).unwrap();
    use ErrorKind::{Busy, Constraint, Database};
    for (sql, kind, state) in [
        ("INSERT INTO t VALUES (1)", Constraint, "23505"),
        ("INSERT INTO t VALUES (-1)", Constraint, "23514"),
        ("SELECT * FROM missing", Database, "42P01"),
        ("SELEKT 1", Database, "42601"),
        ("SELECT 1 / (id - 1) FROM t", Database, "22012"),
        (
            "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40001'; END $$",
            Busy,
            "40001",
        ),
    ] {
        let error = session.exec(sql, ()).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert_eq!(error.sqlstate(), Some(state));
        assert_eq!(error.outcome(), Outcome::Rejected);
        session.check();
        if sql.starts_with("SELECT") {
            let error = session.query(sql, ()).unwrap_err();
            assert_eq!(error.sqlstate(), Some(state));
            session.check();
        }
    }
    // An error in the middle of the rows.
    session
        .query(
            "SELECT 1 / (100000 - n) FROM generate_series(1, 200000) n",
            (),
        )
        .unwrap_err();
    session.check();
    // Several in one text are one transaction.
    let error = session
        .exec("INSERT INTO t VALUES (7); INSERT INTO t VALUES (7)", ())
        .unwrap_err();
    assert_eq!(error.outcome(), Outcome::Rejected);
    let count = session.value("SELECT count(*) FROM t", ()).unwrap();
    assert_eq!(count, Value::Int(1));
    let error = session
        .exec("BEGIN; INSERT INTO t VALUES (7); COMMIT; SELECT 1 / 0", ())
        .unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown);
    assert!(!session.0.in_transaction());
    // The server waits for data that nobody has: the session cannot go on.
    let error = session.exec("COPY t FROM STDIN", ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(session.0.is_broken());
    let error = session.exec("SELECT 1", ()).unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Disconnected, Outcome::NotSent)
    );
}

#[test]
fn transactions_are_followed() {
    let cluster = shared();
    let mut session = open(&cluster);
    session
        .exec(
            "CREATE TEMP TABLE t (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED)",
            (),
        )
        .unwrap();
    for (sql, open) in [
        ("BEGIN", true),
        ("INSERT INTO t VALUES (1)", true),
        ("SAVEPOINT a", true),
        ("ROLLBACK TO a", true),
        ("COMMIT", false),
        ("BEGIN; INSERT INTO t VALUES (2)", true),
        ("ROLLBACK", false),
        ("START TRANSACTION", true),
        ("INSERT INTO t VALUES (1)", true),
    ] {
        session.exec(sql, ()).unwrap();
        assert_eq!(session.0.in_transaction(), open, "{sql}");
    }
    // The commit fails, and the transaction is over all the same.
    let error = session.exec("COMMIT", ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Constraint);
    assert!(!session.0.in_transaction());
    // A transaction that an error has spoiled is open still.
    session.exec("BEGIN", ()).unwrap();
    session.query("SELECT 1 / 0", ()).unwrap_err();
    assert!(session.0.in_transaction());
    assert_eq!(
        session.exec("SELECT 1", ()).unwrap_err().sqlstate(),
        Some("25P02")
    );
    session.exec("ROLLBACK", ()).unwrap();
    assert!(!session.0.in_transaction());
    session.check();
}

#[test]
fn picodata_is_refused_transactions() {
    let cluster = shared();
    let mut picodata = options();
    picodata.server = Server::Picodata;
    let mut session = open_with(&cluster, picodata.clone()).unwrap();
    for sql in ["BEGIN", "COMMIT", "ROLLBACK"] {
        let error = session.exec(sql, ()).unwrap_err();
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::Unsupported, Outcome::NotSent)
        );
    }
    let error = session.exec("SELECT 1; SELECT 2", ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse);
    session.check();
    picodata.allow_transactions = true;
    let mut session = open_with(&cluster, picodata).unwrap();
    session.exec("BEGIN", ()).unwrap();
    session.exec("COMMIT", ()).unwrap();
}

#[test]
fn a_statement_is_prepared_again_when_its_table_has_changed() {
    let cluster = shared();
    let mut session = open(&cluster);
    session.exec("CREATE TEMP TABLE t (a int)", ()).unwrap();
    session.exec("INSERT INTO t VALUES (1)", ()).unwrap();
    let sql = "SELECT * FROM t";
    assert_eq!(session.query(sql, ()).unwrap(), [[Value::Int(1)]]);
    session
        .exec("ALTER TABLE t ADD COLUMN b text DEFAULT 'x'", ())
        .unwrap();
    let both = [Value::Int(1), Value::Text("x".into())];
    assert_eq!(session.query(sql, ()).unwrap(), [&both[..]]);
    assert_eq!(session.0.columns().len(), 2);
    // Statements that the server has forgotten.
    session.exec("DEALLOCATE ALL", ()).unwrap();
    assert_eq!(session.query(sql, ()).unwrap(), [&both[..]]);
    // In a transaction nothing is repeated, and the next one begins anew.
    session.exec("BEGIN", ()).unwrap();
    session.exec("ALTER TABLE t ADD COLUMN c int", ()).unwrap();
    let error = session.query(sql, ()).unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Unsupported, Outcome::Rejected)
    );
    session.exec("ROLLBACK", ()).unwrap();
    assert_eq!(session.query(sql, ()).unwrap(), [&both[..]]);
}

#[test]
fn the_server_keeps_no_more_statements_than_the_cache() {
    let cluster = shared();
    let held = "SELECT count(*) FROM pg_prepared_statements";
    for (size, expected) in [(0, 1), (1, 1), (3, 3)] {
        let mut few = options();
        few.statement_cache = size;
        let mut session = open_with(&cluster, few).unwrap();
        for number in 0..10 {
            let sql = format!("SELECT {number} + $1::int");
            session.query(&sql, (1,)).unwrap();
        }
        session.query(held, ()).unwrap();
        // The statement that counts is prepared before it runs.
        assert_eq!(
            session.value(held, ()).unwrap(),
            Value::Int(expected),
            "{size}"
        );
    }
}

#[test]
fn rows_that_are_dropped_early_leave_the_session_in_step() {
    let cluster = shared();
    let mut session = open(&cluster);
    for (begin, sql) in [
        ("", "SELECT generate_series(1, 10)"),
        ("", "SELECT generate_series(1, 100000000)"),
        (
            "",
            "SELECT n, pg_sleep(0.001) FROM generate_series(1, 100000) n",
        ),
        ("BEGIN", "SELECT generate_series(1, 100000)"),
    ] {
        if !begin.is_empty() {
            session.exec(begin, ()).unwrap();
        }
        session
            .0
            .query(sql, ParamsRef::Positional(&[]), &seconds(20))
            .unwrap();
        assert!(session.advance(&seconds(20)).unwrap());
        assert_eq!(session.0.idle(), Idle::OutOfStep);
        session.0.close_rows(&seconds(20)).unwrap();
        session.check();
        assert_eq!(session.0.in_transaction(), !begin.is_empty(), "{sql}");
    }
    // Nobody closes them, and the next statement finds the session in step all the same.
    session.exec("COMMIT", ()).unwrap();
    let sql = "SELECT generate_series(1, 100000)";
    session
        .0
        .query(sql, ParamsRef::Positional(&[]), &seconds(20))
        .unwrap();
    session.check();
}

#[test]
fn a_large_answer_waits_in_the_socket() {
    let cluster = shared();
    let mut session = open(&cluster);
    let sql = "SELECT repeat('x', 1000) FROM generate_series(1, 200000)";
    session
        .0
        .query(sql, ParamsRef::Positional(&[]), &seconds(20))
        .unwrap();
    let before = resident();
    for _ in 0..1000 {
        assert!(session.advance(&seconds(20)).unwrap());
    }
    std::thread::sleep(Duration::from_millis(200));
    for _ in 0..1000 {
        assert!(session.advance(&seconds(20)).unwrap());
    }
    // 200 MB are on their way. Other tests of this process take memory too, so the bound is generous.
    let grown = resident().saturating_sub(before);
    assert!(grown < 100 << 20, "{grown} bytes");
    session.0.close_rows(&seconds(20)).unwrap();
    session.check();
}

/// The memory of this process, in bytes.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

#[test]
fn an_idle_session_takes_what_it_did_not_ask_for() {
    let cluster = shared();
    let mut session = open(&cluster);
    session.exec("LISTEN news", ()).unwrap();
    cluster.sql("NOTIFY news, 'x'");
    basic::wait_for("idle stays ready", Duration::from_secs(5), || {
        (session.0.idle() == Idle::Ready).then_some(())
    });
    session
        .exec("DO $$ BEGIN RAISE NOTICE 'hello'; END $$", ())
        .unwrap();
    session.check();
    let pid = session.value("SELECT pg_backend_pid()", ()).unwrap();
    let Value::Int(pid) = pid else { panic!() };
    cluster.sql(&format!("SELECT pg_terminate_backend({pid})"));
    basic::wait_for("idle sees the end", Duration::from_secs(5), || {
        (session.0.idle() == Idle::Closed).then_some(())
    });
    assert!(session.0.is_broken());
}

#[test]
fn an_error_amid_rows_comes_after_them() {
    let cluster = shared();
    let mut session = open(&cluster);
    for rows in [1i64, 100, 50_000] {
        let sql = "SELECT n, 1 / ($1 - n) FROM generate_series(1, 100000) AS n";
        let params = [crate::ValueRef::Int(rows + 1)];
        session
            .0
            .query(sql, ParamsRef::Positional(&params), &seconds(20))
            .unwrap();
        for number in 1..=rows {
            assert!(session.advance(&seconds(20)).unwrap());
            assert_eq!(session.row().get::<i64>(0).unwrap(), number);
        }
        let error = session.advance(&seconds(20)).unwrap_err();
        assert_eq!(error.sqlstate(), Some("22012"), "{error:?}");
        assert_eq!(error.outcome(), Outcome::Rejected);
        session.check();
    }
}

#[test]
fn a_row_larger_than_all_buffers() {
    let cluster = shared();
    let mut session = open(&cluster);
    let sql = "SELECT repeat('x', $1), 7, 1.5::numeric FROM generate_series(1, 2)";
    for len in [10, 60_000, 65_536, 200_000, 20_000_000] {
        let rows = session.query(sql, (len,)).unwrap();
        assert_eq!(rows.len(), 2);
        for row in rows {
            assert!(matches!(&row[0], Value::Text(text) if text.len() == len as usize));
            assert_eq!(row[1..], [Value::Int(7), Value::Decimal("1.5".into())]);
        }
    }
    session.check();
}
