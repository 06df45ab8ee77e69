//! The parameters of a statement: how many, and under which names, as its server counts them.

use std::collections::HashMap;

use super::Dialect;
use super::position::{Position, excerpt};
use super::token::{Token, TokenKind, Tokens};
use crate::error::{Error, ErrorKind, Result};

/// The largest number of a parameter in SQLite: its default SQLITE_MAX_VARIABLE_NUMBER since 3.32
/// (<https://sqlite.org/limits.html>). A library built with a larger one (Debian's has 250000) is held to the
/// default here, so that a statement runs on every node or on none.
pub(super) const SQLITE_LARGEST: u32 = 32_766;

/// The largest number of a parameter in PostgreSQL: Bind counts them in 16 bits (manual, "Message Formats").
pub(super) const POSTGRES_LARGEST: u32 = 65_535;

/// The parameters of a statement. They are numbered from 1, as both servers number them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ParameterList {
    count: usize,
    /// The parameters that have a name, by number.
    named: Vec<Named>,
    /// Indexes into `named`, ordered by the name without its prefix.
    by_name: Vec<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    number: usize,
    /// With its prefix.
    name: Box<str>,
}

impl Named {
    fn bare(&self) -> &str {
        self.name.get(1..).unwrap_or_default()
    }

    /// Whether the name may be given without its prefix: `?5` may not.
    fn is_word(&self) -> bool {
        !self.name.starts_with('?')
    }
}

impl ParameterList {
    /// How many values the statement takes: the largest number, whether or not every smaller one occurs.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The name of parameter `number` with its prefix (`:a`, `@a`, `$a`, `?5`), as `sqlite3_bind_parameter_name()`
    /// gives it; `None` for a bare `?`, for PostgreSQL's `$n`, and for a number out of range.
    pub(crate) fn name(&self, number: usize) -> Option<&str> {
        let at = self
            .named
            .binary_search_by_key(&number, |named| named.number)
            .ok()?;
        self.named.get(at).map(|named| &*named.name)
    }

    /// The number of the parameter called `name`, given with its prefix or without.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] where no parameter has the name, or where it comes without a prefix and the
    /// statement has it with several.
    pub(crate) fn index_of(&self, name: &str) -> Result<usize> {
        if let Some(prefix) = name.chars().next()
            && let Some(bare) = name.get(prefix.len_utf8()..)
            && let Some(named) = self.called(bare).find(|named| *named.name == *name)
        {
            return Ok(named.number);
        }
        let mut called = self.called(name).filter(|named| named.is_word());
        let Some(found) = called.next() else {
            return Err(Error::new(ErrorKind::Misuse, self.unknown(name)));
        };
        match called.next() {
            None => Ok(found.number),
            Some(other) => Err(Error::new(
                ErrorKind::Misuse,
                format!(
                    "the parameter name `{}` is ambiguous: the statement has both `{}` and `{}`; \
                     give it with its prefix",
                    excerpt(name),
                    excerpt(&found.name),
                    excerpt(&other.name)
                ),
            )),
        }
    }

    /// The parameters whose name without its prefix is `bare`.
    fn called<'a>(&'a self, bare: &'a str) -> impl Iterator<Item = &'a Named> {
        let named = |&at: &u32| self.named.get(at as usize);
        let from = self
            .by_name
            .partition_point(|at| named(at).is_some_and(|named| named.bare() < bare));
        self.by_name
            .iter()
            .skip(from)
            .filter_map(named)
            .take_while(move |named| named.bare() == bare)
    }

    fn unknown(&self, name: &str) -> String {
        const SHOWN: usize = 8;
        let mut message = format!("the statement has no parameter named `{}`", excerpt(name));
        let names: Vec<String> = self
            .named
            .iter()
            .take(SHOWN)
            .map(|named| format!("`{}`", excerpt(&named.name)))
            .collect();
        if names.is_empty() {
            message.push_str(", and none with a name at all: give the values by position");
        } else {
            let more = if self.named.len() > SHOWN {
                ", …"
            } else {
                ""
            };
            message.push_str(&format!("; it has {}{more}", names.join(", ")));
        }
        message
    }
}

/// The parameters of `sql` in its server's own styles. Several statements are numbered as if they were one, while
/// each server numbers each of its own: give one at a time.
///
/// SQLite (<https://sqlite.org/lang_expr.html>, "Parameters"): `?` is one more than the largest number so far,
/// `?NNN` is NNN, and a name takes the next number where it first occurs. PostgreSQL: `$n` is n.
///
/// # Errors
///
/// [`ErrorKind::Misuse`] for a number that the server does not allow, 0 among them.
pub(crate) fn parameters(sql: &str, dialect: Dialect) -> Result<ParameterList> {
    let mut numbering = Numbering::new(dialect);
    for token in Tokens::new(sql, dialect).filter(|token| token.kind == TokenKind::Parameter) {
        numbering.native(token, sql)?;
    }
    Ok(numbering.finish())
}

/// Gives parameters their numbers, in the order of the text.
#[derive(Debug)]
pub(super) struct Numbering<'a> {
    dialect: Dialect,
    count: u32,
    /// The name of each number, up to the last one that has a name.
    names: Vec<Option<&'a str>>,
    numbers: HashMap<&'a str, u32>,
}

impl<'a> Numbering<'a> {
    pub(super) fn new(dialect: Dialect) -> Self {
        Numbering {
            dialect,
            count: 0,
            names: Vec::new(),
            numbers: HashMap::new(),
        }
    }

    /// Takes a parameter of the server's own style.
    pub(super) fn native(&mut self, token: Token, sql: &'a str) -> Result<()> {
        let text = token.text(sql);
        match (self.dialect, text.as_bytes()) {
            (Dialect::Sqlite, b"?") => self.next(token, sql).map(drop),
            (Dialect::Sqlite, [b'?', digits @ ..]) | (Dialect::Postgres, [_, digits @ ..]) => {
                let number = self.number(digits, token, sql)?;
                self.count = self.count.max(number);
                if self.dialect == Dialect::Sqlite {
                    self.set_name(number, text);
                }
                Ok(())
            }
            _ => self.named(token, sql).map(drop),
        }
    }

    /// Takes the parameter at `token`, which has no name, and answers its number.
    pub(super) fn next(&mut self, token: Token, sql: &str) -> Result<u32> {
        if self.count >= self.largest() {
            let limit = match self.dialect {
                Dialect::Sqlite => "SQLITE_MAX_VARIABLE_NUMBER",
                Dialect::Postgres => "the protocol counts them in 16 bits",
            };
            return Err(Error::new(
                ErrorKind::Misuse,
                format!(
                    "the parameter `{}` at {} is one too many: a statement has at most {} ({limit})",
                    excerpt(token.text(sql)),
                    Position::of(sql, token.start),
                    self.largest(),
                ),
            ));
        }
        self.count += 1;
        Ok(self.count)
    }

    /// Takes the parameter at `token`, whose text is its name, and answers its number.
    pub(super) fn named(&mut self, token: Token, sql: &'a str) -> Result<u32> {
        let name = token.text(sql);
        if let Some(&number) = self.numbers.get(name) {
            return Ok(number);
        }
        let number = self.next(token, sql)?;
        self.numbers.insert(name, number);
        self.set_name(number, name);
        Ok(number)
    }

    pub(super) fn finish(self) -> ParameterList {
        let named: Vec<Named> = (1..)
            .zip(self.names)
            .filter_map(|(number, name)| {
                name.map(|name| Named {
                    number,
                    name: name.into(),
                })
            })
            .collect();
        let mut by_name: Vec<u32> = (0..).take(named.len()).collect();
        by_name.sort_by_key(|&at| named.get(at as usize).map_or("", Named::bare));
        ParameterList {
            count: self.count as usize,
            named,
            by_name,
        }
    }

    /// The first name that a number is given stays (SQLite's expr.c, `sqlite3ExprAssignVarNumber`).
    fn set_name(&mut self, number: u32, name: &'a str) {
        let number = number as usize;
        if self.names.len() < number {
            self.names.resize(number, None);
        }
        if let Some(slot) = self.names.get_mut(number.saturating_sub(1)) {
            slot.get_or_insert(name);
        }
    }

    fn number(&self, digits: &[u8], token: Token, sql: &str) -> Result<u32> {
        let number = digits.iter().fold(0u32, |number, digit| {
            number
                .saturating_mul(10)
                .saturating_add(u32::from(digit.wrapping_sub(b'0')))
        });
        if (1..=self.largest()).contains(&number) {
            return Ok(number);
        }
        let (sigil, limit) = match self.dialect {
            Dialect::Sqlite => ('?', "SQLITE_MAX_VARIABLE_NUMBER"),
            Dialect::Postgres => ('$', "the protocol counts parameters in 16 bits"),
        };
        Err(Error::new(
            ErrorKind::Misuse,
            format!(
                "the parameter `{}` at {} is out of range: number it from {sigil}1 to {sigil}{} ({limit})",
                excerpt(token.text(sql)),
                Position::of(sql, token.start),
                self.largest(),
            ),
        ))
    }

    fn largest(&self) -> u32 {
        match self.dialect {
            Dialect::Sqlite => SQLITE_LARGEST,
            Dialect::Postgres => POSTGRES_LARGEST,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(sql: &str, dialect: Dialect) -> (usize, Vec<Option<String>>) {
        let list = parameters(sql, dialect).unwrap();
        let names = (1..=list.count())
            .map(|number| list.name(number).map(str::to_owned))
            .collect();
        (list.count(), names)
    }

    #[test]
    fn sqlite_numbers_and_names() {
        let cases: &[(&str, &[Option<&str>])] = &[
            ("select 1", &[]),
            ("select ?, ?", &[None, None]),
            ("select ?3, ?", &[None, None, Some("?3"), None]),
            ("select ?2, ?1, ?2", &[Some("?1"), Some("?2")]),
            (
                "select :a, @a, $a, :a, ?",
                &[Some(":a"), Some("@a"), Some("$a"), None],
            ),
            ("select :a, ?1", &[Some(":a")]),
            ("select ?, ?1", &[Some("?1")]),
            ("select ?01, ?1", &[Some("?01")]),
            ("select :A, :a", &[Some(":A"), Some(":a")]),
            ("select $a::b(c), :я", &[Some("$a::b(c)"), Some(":я")]),
            ("select ':a', \":b\", [:c], `:d`, /* :e */ 1 -- :f", &[]),
            (
                "select :a+?5+:b",
                &[Some(":a"), None, None, None, Some("?5"), Some(":b")],
            ),
        ];
        for (sql, names) in cases {
            let names: Vec<Option<String>> =
                names.iter().map(|name| name.map(str::to_owned)).collect();
            assert_eq!(list(sql, Dialect::Sqlite), (names.len(), names), "{sql:?}");
        }
    }

    #[test]
    fn postgresql_counts_to_the_largest_number() {
        for (sql, count) in [
            ("select 1", 0),
            ("select $1, $2, $1", 2),
            ("select $3", 3),
            ("select $02", 2),
            ("select '$1', \"$2\", $$ $3 $$, a$4 /* $5 */ -- $6", 0),
            ("select :a, ?, @b", 0),
        ] {
            assert_eq!(
                list(sql, Dialect::Postgres),
                (count, vec![None; count]),
                "{sql:?}"
            );
        }
    }

    #[test]
    fn numbers_out_of_range_are_named_with_their_place() {
        for (dialect, sql, expected) in [
            (
                Dialect::Sqlite,
                "select 'я',\n  ?0",
                "misuse: the parameter `?0` at line 2, column 3 is out of range: \
                 number it from ?1 to ?32766 (SQLITE_MAX_VARIABLE_NUMBER)",
            ),
            (
                Dialect::Sqlite,
                "?32767",
                "misuse: the parameter `?32767` at line 1, column 1 is out of range: \
                 number it from ?1 to ?32766 (SQLITE_MAX_VARIABLE_NUMBER)",
            ),
            (
                Dialect::Sqlite,
                "?32766, :a",
                "misuse: the parameter `:a` at line 1, column 9 is one too many: \
                 a statement has at most 32766 (SQLITE_MAX_VARIABLE_NUMBER)",
            ),
            (
                Dialect::Postgres,
                "$0",
                "misuse: the parameter `$0` at line 1, column 1 is out of range: \
                 number it from $1 to $65535 (the protocol counts parameters in 16 bits)",
            ),
            (
                Dialect::Postgres,
                "$65536",
                "misuse: the parameter `$65536` at line 1, column 1 is out of range: \
                 number it from $1 to $65535 (the protocol counts parameters in 16 bits)",
            ),
        ] {
            let error = parameters(sql, dialect).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Misuse);
            assert_eq!(error.to_string(), expected);
        }
        let huge = format!("?{}", "9".repeat(1_000_000));
        let error = parameters(&huge, Dialect::Sqlite).unwrap_err();
        assert!(error.to_string().len() < 250, "{error}");
        let padded = format!("?{}7", "0".repeat(1_000));
        assert_eq!(parameters(&padded, Dialect::Sqlite).unwrap().count(), 7);
    }

    #[test]
    fn names_are_found_with_and_without_their_prefix() {
        let list = parameters("select :b, @a, $a, :c, ?7, #d, :::e", Dialect::Sqlite).unwrap();
        for (name, number) in [
            (":b", 1),
            ("b", 1),
            ("@a", 2),
            ("$a", 3),
            (":c", 4),
            ("c", 4),
            ("?7", 7),
            ("#d", 8),
            ("d", 8),
            (":::e", 9),
            ("::e", 9),
        ] {
            assert_eq!(list.index_of(name).unwrap(), number, "{name}");
        }
        for (name, expected) in [
            (
                "a",
                "the parameter name `a` is ambiguous: the statement has both `@a` and `$a`; \
                 give it with its prefix",
            ),
            (
                "7",
                "the statement has no parameter named `7`; \
                 it has `:b`, `@a`, `$a`, `:c`, `?7`, `#d`, `:::e`",
            ),
            (
                "@b",
                "the statement has no parameter named `@b`; \
                 it has `:b`, `@a`, `$a`, `:c`, `?7`, `#d`, `:::e`",
            ),
        ] {
            let error = list.index_of(name).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Misuse);
            assert_eq!(error.message(), expected);
        }
        for name in ["", "я", ":"] {
            assert!(list.index_of(name).is_err(), "{name}");
        }
        let error = parameters("?", Dialect::Sqlite)
            .unwrap()
            .index_of("a")
            .unwrap_err();
        assert_eq!(
            error.message(),
            "the statement has no parameter named `a`, and none with a name at all: \
             give the values by position"
        );
    }

    #[test]
    fn as_many_names_as_sqlite_allows_are_numbered_in_linear_time() {
        let names: Vec<String> = (1..=SQLITE_LARGEST)
            .map(|number| format!(":n{number}"))
            .collect();
        let sql = format!("select {0}, {0}", names.join(","));
        let list = parameters(&sql, Dialect::Sqlite).unwrap();
        assert_eq!(list.count(), SQLITE_LARGEST as usize);
        for (number, name) in (1..).zip(&names) {
            assert_eq!(list.index_of(&name[1..]).unwrap(), number);
        }
    }
}
