//! The statements of a session: what is known of a text before it is run, and those that are prepared.

use crate::error::{Error, ErrorKind, Result};
use crate::params::{ParamsRef, by_position, check_count};
use crate::sql::{self, Dialect, Effect, Keyword, Statements};
use crate::statement_cache::Cached;
use crate::value::ValueRef;

/// What a text is, as far as the driver has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    /// Several statements, of which the server runs one after the other.
    pub(crate) several: bool,
    /// It answers rows.
    pub(crate) rows: bool,
    /// Whether it answers rows is only known when it was run.
    pub(crate) pragma: bool,
    /// It inserts, changes or deletes rows. After anything else the server answers the counts of the statement before.
    pub(crate) counts: bool,
    /// It may change the database and answers rows.
    pub(crate) writes_and_answers: bool,
    /// A statement that is worth preparing: one that is likely to be run again.
    pub(crate) preparable: bool,
    /// What it does to the transaction when it succeeds.
    pub(crate) effect: Effect,
    /// The byte where the last statement ends. 1.11 takes what is left, be it a comment, for one more
    /// statement, and answers with its counts, which are 0.
    pub(crate) end: usize,
}

impl Kind {
    /// Looks at a text.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`]: there is no statement in it, or a NUL.
    pub(crate) fn of(text: &str) -> Result<Kind> {
        if let Some(at) = text.find('\0') {
            return Err(Error::new(
                ErrorKind::Misuse,
                format!(
                    "the statement has a NUL at byte {at}, where the server would stop reading; \
                     give the value as a parameter of type blob"
                ),
            ));
        }
        let shape = sql::shape(text, Dialect::Sqlite);
        let verb = shape.verb;
        let deletes = verb == Keyword::Pragma && deletes_database(text);
        let sets_pragma = verb == Keyword::Pragma && text.contains('=');
        let rows = shape.is_query() && !sets_pragma && !deletes;
        match shape.statements {
            Statements::Empty => Err(Error::new(ErrorKind::Misuse, "the statement is empty")),
            statements => Ok(Kind {
                several: statements == Statements::Many,
                rows,
                pragma: verb == Keyword::Pragma && !deletes,
                counts: verb.is_dml() || statements == Statements::Many,
                writes_and_answers: rows && verb.is_dml(),
                preparable: statements == Statements::One
                    && !matches!(
                        verb,
                        Keyword::Ddl | Keyword::Pragma | Keyword::Explain | Keyword::Other
                    ),
                effect: sql::transaction_effect(text, Dialect::Sqlite),
                end: match statements {
                    Statements::Many => sql::statements_end(text, Dialect::Sqlite),
                    _ => shape.first_end,
                },
            }),
        }
    }
}

/// Whether a PRAGMA is the one that empties the database (dqlite 1.18.3 and later), which takes no argument. It
/// has a column without a name, which ends the server when it is sent as a query.
fn deletes_database(text: &str) -> bool {
    const NAME: &[u8] = b"delete_database";
    !text.contains(['(', '='])
        && text
            .as_bytes()
            .windows(NAME.len())
            .any(|part| part.eq_ignore_ascii_case(NAME))
}

/// A statement that the server holds for this session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Prepared {
    pub(crate) id: u32,
    pub(crate) parameters: usize,
    pub(crate) kind: Kind,
}

impl Cached for Prepared {
    fn is_preparable(&self) -> bool {
        self.kind.preparable
    }
}

/// Brings parameters into the order of the statement, and checks their number.
///
/// `parameters` is the number that the server has counted; without it the text is counted here. Neither
/// version of the server checks: missing ones are NULL or keep their last value, surplus ones may be
/// ignored.
///
/// # Errors
///
/// [`ErrorKind::Misuse`] says how many there are and how many were given, or which name is unknown.
pub(crate) fn bind<R>(
    text: &str,
    parameters: Option<usize>,
    params: ParamsRef<'_>,
    run: impl FnOnce(&[ValueRef<'_>]) -> Result<R>,
) -> Result<R> {
    match params {
        ParamsRef::Positional(values) => {
            let wanted = match parameters {
                Some(wanted) => wanted,
                None => sql::parameters(text, Dialect::Sqlite)?.count(),
            };
            check_count(wanted, values.len())?;
            run(values)
        }
        ParamsRef::Named(named) => {
            let list = sql::parameters(text, Dialect::Sqlite)?;
            let values = by_position(named, &list)?;
            run(&values)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_by_their_text() {
        let kind = |text| Kind::of(text).unwrap();
        assert!(kind("SELECT 1").rows && kind("SELECT 1").preparable);
        assert!(!kind("INSERT INTO t VALUES (1)").rows);
        assert!(kind("INSERT INTO t VALUES (1) RETURNING id").writes_and_answers);
        assert!(!kind("PRAGMA user_version = 2").rows);
        assert!(kind("PRAGMA user_version").rows && !kind("PRAGMA user_version").preparable);
        let deletes = kind("PRAGMA main.Delete_Database");
        assert!(!deletes.rows && !deletes.pragma);
        assert!(kind("PRAGMA table_info(delete_database)").rows);
        assert!(!kind("CREATE TABLE t (a)").preparable);
        assert!(kind("SELECT 1; SELECT 2").several);
        assert_eq!(kind("BEGIN IMMEDIATE").effect, Effect::Begin);
        for empty in ["", " ; -- nothing\n;"] {
            assert_eq!(Kind::of(empty).unwrap_err().kind(), ErrorKind::Misuse);
        }
        assert!(
            Kind::of("SELECT 'a\0b'")
                .unwrap_err()
                .message()
                .contains("byte 9")
        );
    }

    #[test]
    fn the_number_of_parameters_is_checked() {
        let one = [ValueRef::Int(1)];
        let run = |text, count, params| bind(text, count, params, |values| Ok(values.len()));
        assert_eq!(
            run("SELECT ?", None, ParamsRef::Positional(&one)).unwrap(),
            1
        );
        for (text, count) in [
            ("SELECT ?, ?", None),
            ("SELECT 1", None),
            ("SELECT ?", Some(0)),
        ] {
            let error = run(text, count, ParamsRef::Positional(&one)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Misuse);
        }
    }

    #[test]
    fn names_are_brought_into_order() {
        let named = [("b", ValueRef::Int(2)), (":a", ValueRef::Int(1))];
        bind(
            "SELECT :a, @b, :a",
            Some(2),
            ParamsRef::Named(&named),
            |values| {
                assert_eq!(values, [ValueRef::Int(1), ValueRef::Int(2)]);
                Ok(())
            },
        )
        .unwrap();
        let twice = [(":a", ValueRef::Null), ("a", ValueRef::Null)];
        let cases = [
            ("SELECT :a", &named[..], "b"),
            ("SELECT :a, :c", &named[1..], "(:c) was not given"),
            ("SELECT :a", &twice[..], "twice"),
        ];
        for (text, named, part) in cases {
            let error = bind(text, None, ParamsRef::Named(named), |_| Ok(())).unwrap_err();
            assert!(error.message().contains(part), "{error}");
        }
    }
}
