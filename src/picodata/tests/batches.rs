use super::*;
use crate::backend::BatchStep;
use crate::batch::Batch;
use crate::error::{ErrorKind, Outcome};
use crate::net::socket::Idle;

/// What each statement of a batch answers: its rows, or its count in a row of its own.
fn run(session: &mut Testing, batch: &Batch) -> Vec<Result<Vec<Vec<Value>>>> {
    session.0.start_batch(batch.items(), &seconds(20)).unwrap();
    let mut all = Vec::new();
    while let Some(step) = session.0.next_step(&seconds(20)) {
        all.push(match step {
            Ok(BatchStep::Done(result)) => Ok(vec![vec![Value::Int(result.rows_affected as i64)]]),
            Ok(BatchStep::Rows) => session.rows(),
            Err(error) => Err(error),
        });
    }
    all
}

#[test]
fn each_statement_has_its_own_answer() {
    let cluster = shared();
    let mut session = open(&cluster);
    let mut batch = Batch::new();
    batch
        .queue("CREATE TEMP TABLE b (id int PRIMARY KEY, t text)", ())
        .unwrap();
    for id in 1..=3 {
        batch
            .queue("INSERT INTO b VALUES ($1, $2)", (id, "x"))
            .unwrap();
    }
    batch
        .queue("INSERT INTO b VALUES ($1, $2)", (2, "twice"))
        .unwrap();
    batch
        .queue(
            "SELECT id, t FROM b WHERE id > :least ORDER BY id",
            [("least", 1)],
        )
        .unwrap();
    batch.queue("SELECT id FROM b WHERE id > 10", ()).unwrap();
    batch.queue("SHOW server_encoding", ()).unwrap();
    batch.queue("DELETE FROM b", ()).unwrap();
    let expected = |session: &mut Testing| {
        let mut all = run(session, &batch);
        let error = all.remove(4).unwrap_err();
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::Constraint, Outcome::Rejected)
        );
        all.into_iter().map(Result::unwrap).collect::<Vec<_>>()
    };
    let one = || vec![vec![Value::Int(1)]];
    let text = |text: &str| Value::Text(text.into());
    let all = expected(&mut session);
    assert_eq!(all[1..4], [one(), one(), one()]);
    assert_eq!(
        all[4],
        [[Value::Int(2), text("x")], [Value::Int(3), text("x")]]
    );
    assert_eq!(all[6], [[text("UTF8")]]);
    assert_eq!(all[7], [[Value::Int(3)]]);
    assert_eq!(session.0.idle(), Idle::Ready);
    // Inside a transaction, where an error spoils what is behind it.
    session.exec("DROP TABLE b", ()).unwrap();
    session.exec("BEGIN", ()).unwrap();
    let all = run(&mut session, &batch);
    assert!(all[..4].iter().all(Result::is_ok), "{all:?}");
    assert_eq!(all[4].as_ref().unwrap_err().kind(), ErrorKind::Constraint);
    assert!(all[5..].iter().all(Result::is_err));
    assert!(session.0.in_transaction());
    session.exec("ROLLBACK", ()).unwrap();
    session.check();
}

#[test]
fn a_batch_may_hold_a_transaction() {
    let cluster = shared();
    let mut session = open(&cluster);
    session.exec("CREATE TEMP TABLE b (id int)", ()).unwrap();
    let mut batch = Batch::new();
    for sql in [
        "BEGIN",
        "INSERT INTO b VALUES (1)",
        "ROLLBACK",
        "SELECT count(*) FROM b",
    ] {
        batch.queue(sql, ()).unwrap();
    }
    let all = run(&mut session, &batch);
    assert_eq!(all[3].as_ref().unwrap(), &[[Value::Int(0)]]);
    assert!(!session.0.in_transaction());
}

#[test]
fn nothing_is_sent_of_a_batch_with_a_fault() {
    let cluster = shared();
    let mut session = open(&cluster);
    session.exec("CREATE TEMP TABLE b (id int)", ()).unwrap();
    for (sql, value) in [
        ("INSERT INTO b VALUES ($1)", Value::Int(1 << 40)),
        ("", Value::Null),
        ("SELECT 1; SELECT $1", Value::Null),
        ("SELECT 1", Value::Null),
    ] {
        let mut batch = Batch::new();
        batch.queue("INSERT INTO b VALUES ($1)", (1,)).unwrap();
        batch.queue(sql, [value]).unwrap();
        let error = session
            .0
            .start_batch(batch.items(), &seconds(20))
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::Misuse, Outcome::NotSent)
        );
        assert!(
            error.message().starts_with("statement 2 of the batch: "),
            "{error}"
        );
        assert!(session.0.next_step(&seconds(20)).is_none());
        assert_eq!(
            session.value("SELECT count(*) FROM b", ()).unwrap(),
            Value::Int(0)
        );
    }
}

#[test]
fn a_batch_larger_than_all_buffers() {
    let cluster = shared();
    let mut session = open(&cluster);
    let mut batch = Batch::new();
    let text = "x".repeat(100_000);
    for _ in 0..200 {
        batch.queue("SELECT $1::text, 7", (text.as_str(),)).unwrap();
    }
    let all = run(&mut session, &batch);
    assert_eq!(all.len(), 200);
    for answer in all {
        assert_eq!(
            answer.unwrap(),
            [[Value::Text(text.clone()), Value::Int(7)]]
        );
    }
    session.check();
}

#[test]
fn rows_of_a_batch_may_be_skipped() {
    let cluster = shared();
    let mut session = open(&cluster);
    let mut batch = Batch::new();
    batch.queue("SELECT generate_series(1, 50000)", ()).unwrap();
    batch.queue("SELECT 2", ()).unwrap();
    session.0.start_batch(batch.items(), &seconds(20)).unwrap();
    assert!(matches!(
        session.0.next_step(&seconds(20)),
        Some(Ok(BatchStep::Rows))
    ));
    assert!(session.advance(&seconds(20)).unwrap());
    session.0.close_rows(&seconds(20)).unwrap();
    assert!(matches!(
        session.0.next_step(&seconds(20)),
        Some(Ok(BatchStep::Rows))
    ));
    assert_eq!(session.rows().unwrap(), [[Value::Int(2)]]);
    session.check();
}

#[test]
fn a_batch_of_prepared_statements_with_rows_and_an_error_amid_them() {
    let cluster = shared();
    let mut session = open(&cluster);
    let sql = "SELECT n, 1 / ($1 - n) FROM generate_series(1, 3) AS n";
    for round in 0..3 {
        let mut batch = Batch::new();
        for divisor in [9, 3, 9] {
            batch.queue(sql, (divisor,)).unwrap();
        }
        let answers = run(&mut session, &batch);
        let rows: Vec<_> = answers
            .iter()
            .map(|answer| answer.as_ref().map(Vec::len).ok())
            .collect();
        assert_eq!(rows, [Some(3), None, Some(3)], "round {round}");
        let error = answers[1].as_ref().unwrap_err();
        assert_eq!(error.sqlstate(), Some("22012"));
        session.check();
    }
}

/// Makes types of its own for one session: an enum, a domain over it, one over that, and a composite.
fn own_types(session: &mut Testing) {
    let sql = "CREATE TYPE pg_temp.mood AS ENUM ('sad', 'glad'); \
               CREATE DOMAIN pg_temp.temper AS pg_temp.mood NOT NULL; \
               CREATE DOMAIN pg_temp.humour AS pg_temp.temper; \
               CREATE DOMAIN pg_temp.age AS int CHECK (VALUE >= 0); \
               CREATE TYPE pg_temp.pair AS (a int, b text); \
               CREATE TEMP TABLE own (id int, m pg_temp.mood, h pg_temp.humour, y pg_temp.age); \
               INSERT INTO own VALUES (1, 'glad', 'sad', 30), (2, NULL, 'glad', 7)";
    session.exec(sql, ()).unwrap();
}

const OWN: &str = "SELECT m, h, y FROM own WHERE id >= $1 ORDER BY id";

fn own_rows() -> Vec<Vec<Value>> {
    let text = |text: &str| Value::Text(text.into());
    vec![
        vec![text("glad"), text("sad"), Value::Int(30)],
        vec![Value::Null, text("glad"), Value::Int(7)],
    ]
}

#[test]
fn columns_of_the_servers_own_types_are_read_by_a_query() {
    let cluster = shared();
    for in_transaction in [false, true] {
        let mut session = open(&cluster);
        own_types(&mut session);
        if in_transaction {
            session.exec("BEGIN", ()).unwrap();
        }
        for _ in 0..2 {
            assert_eq!(session.query(OWN, (1,)).unwrap(), own_rows());
            let all = session.query("SELECT m, h, y FROM own ORDER BY id", ());
            assert_eq!(all.unwrap(), own_rows());
        }
        let error = session.query("SELECT '(1,x)'::pg_temp.pair", ());
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        session.check();
    }
}

/// None of these is prepared before the batch: in a transaction nothing is, and outside of one the table comes with the
/// batch.
#[test]
fn columns_of_the_servers_own_types_are_read_amid_a_batch() {
    let cluster = shared();
    for in_transaction in [false, true] {
        let mut session = open(&cluster);
        own_types(&mut session);
        let table = if in_transaction {
            session.exec("BEGIN", ()).unwrap();
            "SELECT 1"
        } else {
            "ALTER TABLE own RENAME TO old; CREATE TEMP TABLE own AS SELECT * FROM old"
        };
        for round in 0..2 {
            let mut batch = Batch::new();
            for sql in table.split(';') {
                batch.queue(sql, ()).unwrap();
            }
            batch.queue(OWN, (1,)).unwrap();
            // More than is received at once while the type is not known.
            for _ in 0..3 {
                batch
                    .queue("SELECT repeat('x', 1000) FROM generate_series(1, 2000)", ())
                    .unwrap();
            }
            batch
                .queue("SELECT m, h, y FROM own ORDER BY id", ())
                .unwrap();
            batch
                .queue("SELECT '(1,x)'::pg_temp.pair, m FROM own", ())
                .unwrap();
            batch.queue("SELECT m FROM own WHERE id = 9", ()).unwrap();
            batch.queue("SELECT 4", ()).unwrap();
            let answers = run(&mut session, &batch);
            let skipped = table.split(';').count();
            let answers = &answers[skipped..];
            assert_eq!(answers[0].as_ref().unwrap(), &own_rows(), "round {round}");
            for answer in &answers[1..4] {
                assert_eq!(answer.as_ref().unwrap().len(), 2000);
            }
            assert_eq!(answers[4].as_ref().unwrap(), &own_rows());
            let error = answers[5].as_ref().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            assert!(
                error.message().contains("pair, which is not read"),
                "{error}"
            );
            assert!(answers[6].as_ref().unwrap().is_empty());
            assert_eq!(answers[7].as_ref().unwrap(), &[[Value::Int(4)]]);
            if !in_transaction {
                session.exec("DROP TABLE own", ()).unwrap();
                session.exec("ALTER TABLE old RENAME TO own", ()).unwrap();
            }
        }
        assert_eq!(session.0.in_transaction(), in_transaction);
        session.check();
    }
}

#[test]
fn a_type_that_cannot_be_looked_up_any_more_costs_its_statement_alone() {
    let cluster = shared();
    let mut session = open(&cluster);
    own_types(&mut session);
    session.exec("BEGIN", ()).unwrap();
    let mut batch = Batch::new();
    for sql in ["SELECT m FROM own", "SELECT 1 / 0", "SELECT 3"] {
        batch.queue(sql, ()).unwrap();
    }
    let answers = run(&mut session, &batch);
    let error = answers[0].as_ref().unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Unsupported, Outcome::Unknown),
        "{error}"
    );
    assert_eq!(answers[1].as_ref().unwrap_err().sqlstate(), Some("22012"));
    assert_eq!(answers[2].as_ref().unwrap_err().sqlstate(), Some("25P02"));
    session.exec("ROLLBACK", ()).unwrap();
    // It is no longer there.
    let mut batch = Batch::new();
    for sql in [
        "CREATE TYPE pg_temp.short AS ENUM ('a')",
        "SELECT 'a'::pg_temp.short",
        "DROP TYPE pg_temp.short",
    ] {
        batch.queue(sql, ()).unwrap();
    }
    let answers = run(&mut session, &batch);
    let error = answers[1].as_ref().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(answers[0].is_ok() && answers[2].is_ok());
    session.check();
}
