//! What a text does to the transaction of its connection.

use super::boundary::Boundary;
use super::split::first_token;
use super::token::{Token, TokenKind, Tokens};
use super::{Dialect, Keyword};

/// What a statement does to the transaction, where it succeeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Effect {
    /// Nothing.
    None,
    /// A transaction is open afterwards.
    Begin,
    /// None is open afterwards: COMMIT, END, or ROLLBACK of the whole.
    End,
    /// A savepoint is set. In SQLite that opens a transaction where none is.
    Savepoint,
    /// A savepoint is released. In SQLite that commits where it was the savepoint that opened the transaction.
    Release,
    /// The work since a savepoint is undone; the transaction stays open.
    RollbackTo,
}

/// The effects of the statements of one text, taken together.
///
/// Savepoints are counted, not matched by name: releasing an outer one ends the inner ones as well, and then the
/// total says that a transaction may be open where none is, never the other way round.
struct Total {
    /// The effect apart from the savepoints that the text sets.
    effect: Effect,
    /// The savepoints that the text has set and not released.
    savepoints: usize,
}

impl Total {
    fn add(&mut self, next: Effect) {
        match next {
            Effect::None => {}
            Effect::Savepoint => self.savepoints += 1,
            Effect::Release if self.savepoints > 0 => {
                self.savepoints -= 1;
                // Not nothing: where the text fails in the middle, the savepoint is still set.
                if self.effect == Effect::None {
                    self.effect = Effect::Release;
                }
            }
            Effect::RollbackTo if self.savepoints > 0 => {}
            // Of a savepoint within a transaction that the text has begun, or ends.
            Effect::Release | Effect::RollbackTo if self.effect != Effect::None => {}
            Effect::Release | Effect::RollbackTo => self.effect = next,
            Effect::Begin | Effect::End => {
                self.effect = next;
                self.savepoints = 0;
            }
        }
    }

    fn effect(&self) -> Effect {
        if self.savepoints > 0 && self.effect != Effect::Begin {
            return Effect::Savepoint;
        }
        self.effect
    }
}

/// What `sql`, of one statement or several, does to the transaction if every statement in it succeeds.
///
/// It goes by the text alone: a COMMIT that fails (busy) leaves the transaction open, and an error may have SQLite
/// roll back by itself (INSERT OR ROLLBACK, a full disk).
///
/// Sources: <https://sqlite.org/lang_transaction.html>, <https://sqlite.org/lang_savepoint.html>; PostgreSQL's manual,
/// "SQL Commands" (COMMIT AND CHAIN begins anew, COMMIT PREPARED leaves the session's transaction alone).
pub(crate) fn transaction_effect(sql: &str, dialect: Dialect) -> Effect {
    let mut tokens = Tokens::new(sql, dialect);
    let mut total = Total {
        effect: Effect::None,
        savepoints: 0,
    };
    while let Some(first) = first_token(&mut tokens) {
        let mut boundary = Boundary::new(dialect);
        boundary.is_end(first, sql);
        let mut words = Words::new(first, sql, dialect);
        for token in tokens.by_ref() {
            if boundary.is_end(token, sql) {
                break;
            }
            words.take(token, sql, dialect);
        }
        total.add(words.effect());
    }
    total.effect()
}

/// Whether `sql` rolls a whole transaction back, and does nothing else.
pub(crate) fn is_rollback(sql: &str, dialect: Dialect) -> bool {
    let mut tokens = Tokens::new(sql, dialect);
    let rolls_back = first_token(&mut tokens).is_some_and(|first| {
        first.kind == TokenKind::Word && Keyword::of(first.text(sql), dialect) == Keyword::Rollback
    });
    rolls_back
        && transaction_effect(sql, dialect) == Effect::End
        && super::shape(sql, dialect).statements == super::Statements::One
}

/// The words of one statement that decide its effect.
struct Words {
    keyword: Keyword,
    to: bool,
    no: bool,
    chain: bool,
    prepared: bool,
}

impl Words {
    fn new(first: Token, sql: &str, dialect: Dialect) -> Self {
        let keyword = match first.kind {
            TokenKind::Word => Keyword::of(first.text(sql), dialect),
            _ => Keyword::Other,
        };
        Words {
            keyword,
            to: false,
            no: false,
            chain: false,
            prepared: false,
        }
    }

    fn take(&mut self, token: Token, sql: &str, dialect: Dialect) {
        if !matches!(
            self.keyword,
            Keyword::Commit | Keyword::End | Keyword::Rollback
        ) {
            return;
        }
        self.to |= token.is_word(sql, "to");
        if dialect == Dialect::Postgres {
            self.no |= token.is_word(sql, "no");
            self.chain |= token.is_word(sql, "chain");
            self.prepared |= token.is_word(sql, "prepared");
        }
    }

    fn effect(&self) -> Effect {
        match self.keyword {
            Keyword::Begin => Effect::Begin,
            Keyword::Rollback if self.to => Effect::RollbackTo,
            Keyword::Commit | Keyword::End | Keyword::Rollback => {
                if self.prepared {
                    Effect::None
                } else if self.chain && !self.no {
                    Effect::Begin
                } else {
                    Effect::End
                }
            }
            Keyword::Savepoint => Effect::Savepoint,
            Keyword::Release => Effect::Release,
            _ => Effect::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollback_is_told_from_all_else() {
        for sql in ["ROLLBACK", "-- x\n rollback transaction ;"] {
            assert!(is_rollback(sql, Dialect::Sqlite), "{sql}");
        }
        for sql in [
            "",
            "COMMIT",
            "ROLLBACK TO a",
            "ROLLBACK; DELETE FROM t",
            "'rollback'",
        ] {
            assert!(!is_rollback(sql, Dialect::Sqlite), "{sql}");
        }
    }

    #[test]
    fn one_statement() {
        for (sql, effect) in [
            ("", Effect::None),
            ("-- begin", Effect::None),
            ("select 1", Effect::None),
            ("insert or rollback into t values (1)", Effect::None),
            ("'begin'", Effect::None),
            ("\"begin\"", Effect::None),
            ("explain begin", Effect::None),
            ("begin", Effect::Begin),
            ("/* x */ BEGIN immediate transaction;", Effect::Begin),
            ("commit", Effect::End),
            ("end transaction", Effect::End),
            ("rollback", Effect::End),
            ("rollback transaction;", Effect::End),
            ("ROLLBACK /* TO */ -- to\n", Effect::End),
            ("rollback to a", Effect::RollbackTo),
            (
                "rollback transaction to savepoint \"a\"",
                Effect::RollbackTo,
            ),
            ("savepoint a", Effect::Savepoint),
            ("release savepoint a", Effect::Release),
        ] {
            for dialect in [Dialect::Sqlite, Dialect::Postgres] {
                assert_eq!(transaction_effect(sql, dialect), effect, "{sql:?}");
            }
        }
        for (sql, effect) in [
            (
                "start transaction isolation level serializable",
                Effect::Begin,
            ),
            ("abort work", Effect::End),
            ("commit and chain", Effect::Begin),
            ("rollback and no chain", Effect::End),
            ("commit prepared 'a'", Effect::None),
        ] {
            assert_eq!(
                transaction_effect(sql, Dialect::Postgres),
                effect,
                "{sql:?}"
            );
        }
        assert_eq!(
            transaction_effect("commit transaction chain", Dialect::Sqlite),
            Effect::End
        );
    }

    #[test]
    fn several_statements() {
        for (sql, effect) in [
            ("select 1; select 2", Effect::None),
            ("begin; insert into t values ('commit;')", Effect::Begin),
            ("begin; select 1; commit; select 2", Effect::End),
            ("begin; savepoint a", Effect::Begin),
            ("begin; savepoint a; release a", Effect::Begin),
            ("begin; rollback to a", Effect::Begin),
            ("commit; begin", Effect::Begin),
            ("commit; savepoint a", Effect::Savepoint),
            ("savepoint a; select 1", Effect::Savepoint),
            ("savepoint a; release a", Effect::Release),
            ("savepoint a; commit", Effect::End),
            ("savepoint a; savepoint b; release b", Effect::Savepoint),
            ("savepoint a; rollback to a", Effect::Savepoint),
            ("commit; savepoint a; release a", Effect::End),
            ("release a; savepoint b", Effect::Savepoint),
        ] {
            for dialect in [Dialect::Sqlite, Dialect::Postgres] {
                assert_eq!(transaction_effect(sql, dialect), effect, "{sql:?}");
            }
        }
        let trigger = "create trigger t after insert on a begin select 1; end; select 2";
        assert_eq!(transaction_effect(trigger, Dialect::Sqlite), Effect::None);
    }
}
