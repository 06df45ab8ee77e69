//! The first word of a statement, as far as the driver cares which it is.

use super::Dialect;

/// What kind of statement a first word begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Keyword {
    Select,
    Insert,
    Update,
    Delete,
    /// SQLite's short form of INSERT OR REPLACE.
    Replace,
    Values,
    With,
    Explain,
    Pragma,
    /// BEGIN, and PostgreSQL's START (TRANSACTION).
    Begin,
    Commit,
    /// Both dialects' other word for COMMIT.
    End,
    /// ROLLBACK, and PostgreSQL's ABORT.
    Rollback,
    Savepoint,
    Release,
    /// CREATE, ALTER, DROP, and PostgreSQL's TRUNCATE.
    Ddl,
    /// PostgreSQL's block of code; Picodata's transaction on one bucket.
    Do,
    /// Any other word, or none.
    Other,
}

impl Keyword {
    /// The class of an unquoted word, in any case.
    pub(super) fn of(word: &str, dialect: Dialect) -> Self {
        let mut buffer = [0u8; 9];
        let Some(lower) = buffer.get_mut(..word.len()) else {
            return Keyword::Other;
        };
        lower.copy_from_slice(word.as_bytes());
        lower.make_ascii_lowercase();
        match &*lower {
            b"select" => Keyword::Select,
            b"insert" => Keyword::Insert,
            b"update" => Keyword::Update,
            b"delete" => Keyword::Delete,
            b"replace" if dialect == Dialect::Sqlite => Keyword::Replace,
            b"values" => Keyword::Values,
            b"with" => Keyword::With,
            b"explain" => Keyword::Explain,
            b"pragma" if dialect == Dialect::Sqlite => Keyword::Pragma,
            b"begin" => Keyword::Begin,
            b"start" if dialect == Dialect::Postgres => Keyword::Begin,
            b"commit" => Keyword::Commit,
            b"end" => Keyword::End,
            b"rollback" => Keyword::Rollback,
            b"abort" if dialect == Dialect::Postgres => Keyword::Rollback,
            b"savepoint" => Keyword::Savepoint,
            b"release" => Keyword::Release,
            b"create" | b"alter" | b"drop" => Keyword::Ddl,
            b"truncate" if dialect == Dialect::Postgres => Keyword::Ddl,
            b"do" if dialect == Dialect::Postgres => Keyword::Do,
            _ => Keyword::Other,
        }
    }

    /// Whether the word begins a statement that changes rows and may have RETURNING.
    pub(crate) fn is_dml(self) -> bool {
        matches!(
            self,
            Keyword::Insert | Keyword::Update | Keyword::Delete | Keyword::Replace
        )
    }

    /// Whether the word may stand behind the tables of a WITH.
    pub(super) fn may_follow_with(self) -> bool {
        self.is_dml() || matches!(self, Keyword::Select | Keyword::Values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_known_in_any_case_and_by_dialect() {
        for (word, sqlite, postgres) in [
            ("SELECT", Keyword::Select, Keyword::Select),
            ("sElEcT", Keyword::Select, Keyword::Select),
            ("replace", Keyword::Replace, Keyword::Other),
            ("PRAGMA", Keyword::Pragma, Keyword::Other),
            ("start", Keyword::Other, Keyword::Begin),
            ("abort", Keyword::Other, Keyword::Rollback),
            ("truncate", Keyword::Other, Keyword::Ddl),
            ("do", Keyword::Other, Keyword::Do),
            ("Savepoint", Keyword::Savepoint, Keyword::Savepoint),
            ("selects", Keyword::Other, Keyword::Other),
            ("savepoints", Keyword::Other, Keyword::Other),
            ("", Keyword::Other, Keyword::Other),
            ("ſelect", Keyword::Other, Keyword::Other),
        ] {
            assert_eq!(Keyword::of(word, Dialect::Sqlite), sqlite, "{word}");
            assert_eq!(Keyword::of(word, Dialect::Postgres), postgres, "{word}");
        }
    }
}
