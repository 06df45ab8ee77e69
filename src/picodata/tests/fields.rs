//! The fields of a server's error, and the place in the text that it names.

use super::*;
use crate::batch::Batch;
use crate::error::{Error, ErrorField, ErrorKind};
use crate::sql::Placeholders;
use crate::value::ValueRef;

use ErrorField::{
    Column, Constraint, DataType, File, InternalPosition, InternalQuery, Line, Position, Routine,
    Schema, Severity, Table, Where,
};

/// The errors of a statement with one parameter in each way that it can be run.
fn each_way(session: &mut Testing, sql: &str, value: ValueRef<'static>) -> Vec<Error> {
    let values = [value];
    let params = ParamsRef::Positional(&values);
    let call = seconds(20);
    let mut errors = Vec::new();
    // Prepared for the first time, and then, unless that fails, run again.
    for _ in 0..2 {
        errors.push(session.0.exec(sql, params, &call).unwrap_err());
        errors.push(session.0.query(sql, params, &call).unwrap_err());
    }
    errors.push(in_batch(session, sql, params));
    errors
}

fn in_batch(session: &mut Testing, sql: &str, params: ParamsRef<'_>) -> Error {
    let mut batch = Batch::new();
    batch.queue(sql, params).unwrap();
    session.0.start_batch(batch.items(), &seconds(20)).unwrap();
    let step = session.0.next_step(&seconds(20)).unwrap();
    step.err().unwrap()
}

#[test]
fn a_broken_constraint_is_named() {
    let cluster = shared();
    let mut session = open(&cluster);
    for sql in [
        "CREATE SCHEMA shop",
        "CREATE DOMAIN shop.price AS int CONSTRAINT not_free CHECK (value > 0)",
        "CREATE TABLE shop.item (id int CONSTRAINT one_of_each PRIMARY KEY, name text NOT NULL, cost shop.price)",
        "INSERT INTO shop.item VALUES (1, 'brick', 7)",
    ] {
        session.exec(sql, ()).unwrap();
    }
    for (sql, value, expected) in [
        (
            "INSERT INTO shop.item VALUES ($1, 'panel', 8)",
            ValueRef::Int(1),
            [Some("one_of_each"), Some("item"), None, None],
        ),
        (
            "INSERT INTO shop.item VALUES (2, $1, 8)",
            ValueRef::Null,
            [None, Some("item"), Some("name"), None],
        ),
        (
            "INSERT INTO shop.item VALUES (2, 'panel', $1)",
            ValueRef::Int(-1),
            [Some("not_free"), None, None, Some("price")],
        ),
    ] {
        for error in each_way(&mut session, sql, value) {
            assert_eq!(error.kind(), ErrorKind::Constraint, "{error}");
            let found = [Constraint, Table, Column, DataType].map(|field| error.field(field));
            assert_eq!(found, expected, "{error:?}");
            assert_eq!(error.field(Schema), Some("shop"));
            assert_eq!(error.field(Severity), Some("ERROR"));
            assert_eq!(error.field(Position), None);
            assert!(error.field(File).unwrap().ends_with(".c"));
            assert!(error.field(Line).unwrap().parse::<u32>().is_ok());
            assert!(error.field(Routine).is_some());
            // A second caller is told the same.
            assert_eq!(error.copy().field(Constraint), expected[0]);
        }
    }
    session.exec("DROP SCHEMA shop CASCADE", ()).unwrap();
}

#[test]
fn what_a_function_does_is_told() {
    let cluster = shared();
    let mut session = open(&cluster);
    let body = "BEGIN PERFORM 1 + nothing.at_all; END";
    let create =
        format!("CREATE FUNCTION pg_temp.fails(int) RETURNS int LANGUAGE plpgsql AS $$ {body} $$");
    session.exec(&create, ()).unwrap();
    let errors = each_way(&mut session, "SELECT pg_temp.fails($1)", ValueRef::Int(1));
    let by_text = session.exec("DO $$ BEGIN PERFORM 1 + nothing.at_all; END $$", ());
    for error in errors.into_iter().chain([by_text.unwrap_err()]) {
        assert_eq!(error.sqlstate(), Some("42P01"), "{error}");
        assert_eq!(error.field(Position), None);
        let query = error.field(InternalQuery).unwrap();
        let place: usize = error.field(InternalPosition).unwrap().parse().unwrap();
        assert_eq!(query.get(place - 1..), Some("nothing.at_all"));
        assert!(error.field(Where).unwrap().contains("PL/pgSQL function"));
    }
}

#[test]
fn a_place_is_one_of_the_text_that_was_given() {
    let cluster = shared();
    let one = [ValueRef::Int(1)];
    let positional = ParamsRef::Positional(&one);
    let named = [("wide", ValueRef::Int(1))];
    let named = ParamsRef::Named(&named);
    for (style, params, before) in [
        (Placeholders::Native, positional, "SELECT 'я', $1::int, "),
        (Placeholders::Question, positional, "SELECT 'я', ?::int, "),
        (
            Placeholders::Question,
            positional,
            "SELECT 'я' , '{}'::jsonb ??| '{a}', ?::int,",
        ),
        (Placeholders::Named, named, "SELECT 'я', :wide::int, "),
        (Placeholders::Named, positional, "SELECT 'я', :wide::int, "),
        // By names although the option says nothing of them.
        (Placeholders::Native, named, "SELECT 'я', :wide::int, "),
    ] {
        let mut options = options();
        options.placeholders = style;
        let mut session = open_with(&cluster, options).unwrap();
        let check = |error: Error, text: &str, at: &str| {
            let place: usize = error.field(Position).unwrap().parse().unwrap();
            let rest: String = text.chars().skip(place - 1).collect();
            assert!(rest.starts_with(at), "{error}: {rest:?} of {text:?}");
        };
        // Found out when it is prepared, and in a batch when it is run.
        let text = format!("{before}missing");
        for _ in 0..2 {
            let error = session.0.query(&text, params, &seconds(20)).unwrap_err();
            check(error, &text, "missing");
            check(in_batch(&mut session, &text, params), &text, "missing");
        }
        // When a statement that is known is run.
        session.exec("CREATE TEMP TABLE gone (a int)", ()).unwrap();
        let text = format!("{before}a FROM gone");
        session.0.query(&text, params, &seconds(20)).unwrap();
        session.exec("DROP TABLE gone", ()).unwrap();
        let error = session.0.query(&text, params, &seconds(20)).unwrap_err();
        check(error, &text, "gone");
        // At the end of the text.
        let text = format!("{before}a FROM");
        let error = session.0.query(&text, params, &seconds(20)).unwrap_err();
        check(error, &text, "");
        let text = before.replace("SELECT", "SELEC");
        let error = session.0.query(&text, params, &seconds(20)).unwrap_err();
        check(error, &text, "SELEC");
        // A text without parameters goes as it is.
        let text = "CREATE TABLE \"я\" (a missing)";
        let error = session.exec(text, ()).unwrap_err();
        check(error, text, "missing");
        let text = "SELECT 'я'; SELECT missing";
        let error = session.exec(text, ()).unwrap_err();
        check(error, text, "missing");
    }
}

#[test]
fn a_placeholder_is_the_place_itself() {
    let cluster = shared();
    let mut options = options();
    options.placeholders = Placeholders::Question;
    let mut session = open_with(&cluster, options).unwrap();
    let values = [ValueRef::Int(1), ValueRef::Int(2)];
    let params = ParamsRef::Positional(&values);
    let text = "SELECT 'яя' WHERE ? ? = 1";
    let error = session.0.query(text, params, &seconds(20)).unwrap_err();
    assert_eq!(error.sqlstate(), Some("42601"), "{error}");
    assert_eq!(error.field(Position), Some("21"));
}
