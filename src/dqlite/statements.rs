//! The statements of a session: what is known of a text before it is run, and those that are prepared.

use std::num::NonZeroUsize;

use lru::LruCache;

use crate::error::{Error, ErrorKind, Result};
use crate::params::ParamsRef;
use crate::sql::{self, Dialect, Effect, Keyword, Statements};
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
        let sets_pragma = verb == Keyword::Pragma && text.contains('=');
        let rows = shape.is_query() && !sets_pragma;
        match shape.statements {
            Statements::Empty => Err(Error::new(ErrorKind::Misuse, "the statement is empty")),
            statements => Ok(Kind {
                several: statements == Statements::Many,
                rows,
                pragma: verb == Keyword::Pragma,
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

/// A statement that the server holds for this session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Prepared {
    pub(crate) id: u32,
    pub(crate) parameters: usize,
    pub(crate) kind: Kind,
}

/// The prepared statements of a session, the least recently used being dropped when there are too many.
pub(crate) struct StatementCache {
    entries: Option<LruCache<Box<str>, Prepared>>,
    /// Statements that the server still holds and nobody wants.
    dropped: Vec<u32>,
}

impl StatementCache {
    /// A cache of `size` statements; 0 keeps none.
    pub(crate) fn new(size: usize) -> Self {
        StatementCache {
            entries: NonZeroUsize::new(size).map(LruCache::new),
            dropped: Vec::new(),
        }
    }

    /// How many statements fit.
    pub(crate) fn size(&self) -> usize {
        self.entries
            .as_ref()
            .map_or(0, |entries| entries.cap().get())
    }

    pub(crate) fn get(&mut self, text: &str) -> Option<Prepared> {
        self.entries.as_mut()?.get(text).copied()
    }

    /// Keeps a statement, or marks it to be dropped if the cache keeps none or not this one.
    pub(crate) fn put(&mut self, text: &str, statement: Prepared) {
        let Some(entries) = self.entries.as_mut().filter(|_| statement.kind.preparable) else {
            self.dropped.push(statement.id);
            return;
        };
        if let Some((_, old)) = entries.push(text.into(), statement) {
            self.dropped.push(old.id);
        }
    }

    /// Drops a statement that the server holds.
    pub(crate) fn remove(&mut self, id: u32) {
        let Some(entries) = &mut self.entries else {
            return;
        };
        let text = entries
            .iter()
            .find(|(_, statement)| statement.id == id)
            .map(|(text, _)| text.clone());
        if let Some(text) = text {
            entries.pop(&text);
            self.dropped.push(id);
        }
    }

    /// Marks statements again that could not be dropped.
    pub(crate) fn drop_again(&mut self, statements: Vec<u32>) {
        self.dropped.extend(statements);
    }

    /// The statements to be dropped on the server, which are then no longer known here; `used` waits for its
    /// run.
    pub(crate) fn take_dropped(&mut self, used: Option<u32>) -> Vec<u32> {
        let kept = |id: &mut u32| Some(*id) != used;
        self.dropped.extract_if(.., kept).collect()
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
            if wanted != values.len() {
                return Err(Error::new(
                    ErrorKind::Misuse,
                    format!(
                        "the statement takes {wanted} parameters, but {} were given",
                        values.len()
                    ),
                ));
            }
            run(values)
        }
        ParamsRef::Named(named) => {
            let list = sql::parameters(text, Dialect::Sqlite)?;
            let mut values = vec![None; list.count()];
            for (name, value) in named {
                let number = list.index_of(name)?;
                if let Some(place) = values.get_mut(number - 1)
                    && place.replace(*value).is_some()
                {
                    return Err(Error::new(
                        ErrorKind::Misuse,
                        format!("the parameter {name} was given twice"),
                    ));
                }
            }
            let values = values
                .into_iter()
                .enumerate()
                .map(|(index, value)| {
                    value.ok_or_else(|| {
                        let name = list.name(index + 1).unwrap_or("without a name");
                        Error::new(
                            ErrorKind::Misuse,
                            format!("the parameter {} ({name}) was not given", index + 1),
                        )
                    })
                })
                .collect::<Result<Vec<_>>>()?;
            run(&values)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(id: u32) -> Prepared {
        Prepared {
            id,
            parameters: 0,
            kind: Kind::of("SELECT 1").unwrap(),
        }
    }

    #[test]
    fn the_least_recently_used_statement_is_dropped() {
        let mut cache = StatementCache::new(2);
        cache.put("a", prepared(1));
        cache.put("b", prepared(2));
        assert!(cache.get("a").is_some());
        cache.put("c", prepared(3));
        assert!(cache.get("b").is_none());
        assert_eq!(cache.take_dropped(None), [2]);
        assert!(cache.take_dropped(None).is_empty());
        cache.remove(1);
        assert_eq!(cache.take_dropped(None), [1]);
    }

    #[test]
    fn a_cache_of_none_drops_what_it_is_given() {
        let mut cache = StatementCache::new(0);
        cache.put("a", prepared(7));
        assert!(cache.get("a").is_none());
        assert!(cache.take_dropped(Some(7)).is_empty(), "it is about to run");
        assert_eq!(cache.take_dropped(None), [7]);
    }

    #[test]
    fn kinds_are_told_by_their_text() {
        let kind = |text| Kind::of(text).unwrap();
        assert!(kind("SELECT 1").rows && kind("SELECT 1").preparable);
        assert!(!kind("INSERT INTO t VALUES (1)").rows);
        assert!(kind("INSERT INTO t VALUES (1) RETURNING id").writes_and_answers);
        assert!(!kind("PRAGMA user_version = 2").rows);
        assert!(kind("PRAGMA user_version").rows && !kind("PRAGMA user_version").preparable);
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
