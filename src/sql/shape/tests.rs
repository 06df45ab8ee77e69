use super::*;

const BOTH: [Dialect; 2] = [Dialect::Sqlite, Dialect::Postgres];

#[test]
fn a_change_of_the_schema_is_told_by_its_first_word() {
    for (sql, is) in [
        ("CREATE TABLE t (a INT PRIMARY KEY)", true),
        ("  alter table t add b int", true),
        ("\n;drop table t", true),
        ("/* why */ CREATE INDEX i ON t (a)", true),
        ("truncate t", true),
        ("GRANT READ ON TABLE t TO u", true),
        ("revoke read on table t from u", true),
        ("DELETE FROM t", false),
        ("create", true),
        ("created", false),
        ("\"create\" t", false),
        ("SELECT 'create'", false),
        ("INSERT INTO t VALUES (1); CREATE TABLE u (a INT)", false),
        ("", false),
        (";", false),
    ] {
        assert_eq!(is_ddl(sql, Dialect::Postgres), is, "{sql}");
    }
}

#[test]
fn statements_are_counted_and_the_first_is_measured() {
    for (sql, statements, first_end) in [
        ("", Statements::Empty, 0),
        (" ;\n; -- a\n/* b */", Statements::Empty, 17),
        ("select 1", Statements::One, 8),
        ("select 1;", Statements::One, 9),
        ("select 1; -- ; x\n ;; /* y", Statements::One, 9),
        ("; ;select 1 ;", Statements::One, 13),
        ("select 1; select 2", Statements::Many, 9),
        ("select ';' /* ; */;b", Statements::Many, 19),
        ("select 'я';b", Statements::Many, 12),
        ("select 'a;b", Statements::One, 11),
        ("select 1 -- a", Statements::One, 13),
        ("select 1; 'x", Statements::Many, 9),
    ] {
        for dialect in BOTH {
            let shape = shape(sql, dialect);
            assert_eq!(
                (shape.statements, shape.first_end),
                (statements, first_end),
                "{sql:?}"
            );
        }
    }
    let start = |sql| shape(sql, Dialect::Postgres).first_start;
    assert_eq!(start("/* a */ ; select 1"), 10);
    assert_eq!(start("--"), 2);
}

#[test]
fn a_byte_order_mark_is_white_space_in_sqlite_alone() {
    let text = "\u{feff}select 1";
    assert_eq!(shape(text, Dialect::Sqlite).keyword, Keyword::Select);
    assert_eq!(
        shape("\u{feff}", Dialect::Sqlite).statements,
        Statements::Empty
    );
    assert_eq!(shape(text, Dialect::Postgres).keyword, Keyword::Other);
}

#[test]
fn a_trigger_is_one_statement() {
    let trigger = "create temp trigger t after insert on a begin \
                   select case when new.b then 1 else 2 end; delete from c; end;";
    let found = shape(trigger, Dialect::Sqlite);
    assert_eq!(found.statements, Statements::One);
    assert_eq!(found.first_end, trigger.len());
    assert_eq!(found.keyword, Keyword::Ddl);
    assert!(!found.is_query());
    let found = shape(&format!("{trigger} select 1"), Dialect::Sqlite);
    assert_eq!(found.statements, Statements::Many);
    assert_eq!(found.first_end, trigger.len());
}

#[test]
fn keyword_verb_and_returning() {
    use Keyword::*;
    for (sql, keyword, verb, returning, query) in [
        ("SELECT 1", Select, Select, false, true),
        ("/* insert */ select 1", Select, Select, false, true),
        ("(select 1) union select 2", Select, Select, false, true),
        ("values (1)", Values, Values, false, true),
        ("insert into t values (1)", Insert, Insert, false, false),
        (
            "insert into t values (1) returning *",
            Insert,
            Insert,
            true,
            true,
        ),
        (
            "insert into t select 1 as returning",
            Insert,
            Insert,
            false,
            false,
        ),
        (
            "insert into t select t.returning from t",
            Insert,
            Insert,
            false,
            false,
        ),
        (
            "insert into t select (select returning)",
            Insert,
            Insert,
            false,
            false,
        ),
        (
            "insert into \"returning\" values ('returning')",
            Insert,
            Insert,
            false,
            false,
        ),
        (
            "update t set a = 1 where b returning a",
            Update,
            Update,
            true,
            true,
        ),
        ("delete from t Returning a", Delete, Delete, true, true),
        (
            "with a as (select 1) select * from a",
            With,
            Select,
            false,
            true,
        ),
        (
            "with a(x, y) as (delete from t) insert into b select x from a",
            With,
            Insert,
            false,
            false,
        ),
        (
            "with recursive a as (select 1), b as (values (1)) update t set x = 1",
            With,
            Update,
            false,
            false,
        ),
        (
            "with a as not materialized (select 1) delete from t returning x",
            With,
            Delete,
            true,
            true,
        ),
        (
            "with recursive as (select 1) select 2",
            With,
            Select,
            false,
            true,
        ),
        ("with a as (select 1) values (1)", With, Values, false, true),
        (
            "with a as (insert into b values (1) returning x) select 1",
            With,
            Select,
            false,
            true,
        ),
        ("with a as (select 1", With, With, false, false),
        (
            "explain insert into t values (1)",
            Explain,
            Explain,
            false,
            true,
        ),
        ("begin", Begin, Begin, false, false),
        ("commit", Commit, Commit, false, false),
        ("end", End, End, false, false),
        ("rollback to a", Rollback, Rollback, false, false),
        ("savepoint a", Savepoint, Savepoint, false, false),
        ("release a", Release, Release, false, false),
        ("create table t(a)", Ddl, Ddl, false, false),
        ("create table t as select 1", Ddl, Ddl, false, false),
        ("alter table t add b", Ddl, Ddl, false, false),
        ("drop table t", Ddl, Ddl, false, false),
        ("vacuum", Other, Other, false, false),
        ("\"select\" 1", Other, Other, false, false),
        ("'select' select", Other, Other, false, false),
        ("", Other, Other, false, false),
    ] {
        for dialect in BOTH {
            let found = shape(sql, dialect);
            assert_eq!(
                (found.keyword, found.verb, found.returning, found.is_query()),
                (keyword, verb, returning, query),
                "{sql:?}"
            );
        }
    }
    for (dialect, sql, keyword, verb, query) in [
        (
            Dialect::Sqlite,
            "replace into t values (1) returning a",
            Replace,
            Replace,
            true,
        ),
        (
            Dialect::Sqlite,
            "with replace as (select 1) select 2",
            With,
            Select,
            true,
        ),
        (
            Dialect::Sqlite,
            "with a as (select 1), replace as (select 1) replace into t values (1)",
            With,
            Replace,
            false,
        ),
        (Dialect::Sqlite, "pragma user_version", Pragma, Pragma, true),
        (Dialect::Postgres, "start transaction", Begin, Begin, false),
        (
            Dialect::Postgres,
            "with a as (select 1) (select 2)",
            With,
            Select,
            true,
        ),
        (
            Dialect::Postgres,
            "with a as (select 1) ((insert",
            With,
            Insert,
            false,
        ),
        (
            Dialect::Postgres,
            "with a as (select (1)(select 1)) delete",
            With,
            Delete,
            false,
        ),
        (
            Dialect::Postgres,
            "with a as (select 1) search depth first by x set y select 2",
            With,
            Select,
            true,
        ),
        (Dialect::Postgres, "truncate t", Ddl, Ddl, false),
    ] {
        let found = shape(sql, dialect);
        assert_eq!(
            (found.keyword, found.verb, found.is_query()),
            (keyword, verb, query),
            "{sql:?}"
        );
    }
}

#[test]
fn styles_of_parameters() {
    use ParameterStyle::*;
    for (sql, sqlite, postgres) in [
        ("select 1", None, None),
        ("select '?', \":a\" -- ?\n", None, None),
        ("select ?, ?", Positional, None),
        ("select ?1, ?2", Numbered, None),
        ("select :a, @b", Named, None),
        ("select ?, :a", Mixed, None),
        ("select ?, ?1", Mixed, None),
        ("select $1, $2", Named, Numbered),
        ("select 1; select ?", None, None),
    ] {
        assert_eq!(shape(sql, Dialect::Sqlite).parameters, sqlite, "{sql:?}");
        assert_eq!(
            shape(sql, Dialect::Postgres).parameters,
            postgres,
            "{sql:?}"
        );
    }
}

#[test]
fn a_megabyte_is_read_to_its_first_end() {
    let text = format!("select '{}' ; select 1", "я;".repeat(400_000));
    for dialect in BOTH {
        let found = shape(&text, dialect);
        assert_eq!(found.statements, Statements::Many);
        assert_eq!(found.first_end, text.len() - " select 1".len());
    }
}
