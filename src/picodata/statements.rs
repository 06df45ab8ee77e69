//! What is known of a text before it is run, and what the server said when it prepared it.

use std::borrow::Cow;
use std::fmt::Display;
use std::sync::Arc;

use tokio_postgres::types::Type;
use tokio_postgres::{Column, Statement};

use crate::error::{Error, ErrorKind, Result};
use crate::params::{ParamsRef, by_position, check_count};
use crate::picodata::array;
use crate::picodata::decode::Form;
use crate::picodata::encode::{BINARY, TEXT, check_doubles, is_decimal_text};
use crate::picodata::message::Template;
use crate::picodata::options::Server;
use crate::row::Columns;
use crate::sql::{
    self, Dialect, Effect, Keyword, ParameterList, Placeholders, Rewritten, Statements,
};
use crate::statement_cache::Cached;
use crate::value::ValueRef;

/// What a text is, as far as the driver has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    /// Several statements.
    pub(crate) several: bool,
    /// It begins with SELECT or VALUES: it changes no rows, and nothing is lost where it is cut short.
    pub(crate) reads: bool,
    /// A statement that is worth preparing: one that is likely to be run again.
    pub(crate) preparable: bool,
    /// What it does to the transaction when it succeeds.
    pub(crate) effect: Effect,
    /// It begins with ROLLBACK or ABORT.
    pub(crate) rolls_back: bool,
}

impl Kind {
    /// Looks at a text for a server of the kind `server`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`]: there is no statement in it, or a NUL. [`ErrorKind::Unsupported`]: it begins or
    /// ends a transaction on Picodata, unless `allow_transactions`.
    pub(crate) fn of(text: &str, server: Server, allow_transactions: bool) -> Result<Kind> {
        if let Some(at) = text.find('\0') {
            return Err(Error::new(
                ErrorKind::Misuse,
                format!("the statement has a NUL at byte {at}; give the value as a parameter"),
            ));
        }
        let shape = sql::shape(text, Dialect::Postgres);
        let kind = match shape.statements {
            Statements::Empty => {
                return Err(Error::new(ErrorKind::Misuse, "the statement is empty"));
            }
            statements => Kind {
                several: statements == Statements::Many,
                reads: matches!(shape.keyword, Keyword::Select | Keyword::Values),
                preparable: statements == Statements::One
                    && (shape.verb.is_dml()
                        || matches!(shape.verb, Keyword::Select | Keyword::Values)
                        || shape.verb == Keyword::Do && server == Server::Picodata),
                effect: sql::transaction_effect(text, Dialect::Postgres),
                rolls_back: shape.keyword == Keyword::Rollback,
            },
        };
        if server == Server::Picodata && kind.effect != Effect::None && !allow_transactions {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "picodata has no transactions: it answers begin, commit and rollback and does nothing, so \
                 that what seems to be rolled back stays; each statement is committed by itself",
            ));
        }
        Ok(kind)
    }

    /// Fails where a text that has to be one statement is several.
    pub(crate) fn one(self, text: &str) -> Result<Kind> {
        if !self.several {
            return Ok(self);
        }
        let end = sql::shape(text, Dialect::Postgres).first_end;
        Err(Error::new(
            ErrorKind::Misuse,
            format!(
                "one statement is expected, but another one begins after byte {end}; \
                 run several in a batch"
            ),
        ))
    }
}

/// A statement that the server holds for this session. It is dropped there when its last copy is dropped here.
pub(crate) struct Prepared {
    pub(crate) statement: Statement,
    /// What runs it, under the name that the server knows it as, which tokio-postgres keeps to itself.
    pub(crate) template: Template,
    pub(crate) shape: RowShape,
    pub(crate) kind: Kind,
    /// The server that has prepared it.
    pub(crate) server: Server,
    /// The names of the parameters, where the text has them.
    names: Option<ParameterList>,
}

impl Cached for Arc<Prepared> {
    fn is_preparable(&self) -> bool {
        self.kind.preparable
    }
}

/// The columns of an answer, and how each is read.
#[derive(Debug, Clone, Default)]
pub(crate) struct RowShape {
    pub(crate) columns: Columns,
    pub(crate) forms: Arc<[Form]>,
}

impl RowShape {
    /// The shape of columns, each with its name, that of its type, and how values of the type are read.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] names a column of a type that is not read.
    pub(crate) fn new<T: Display>(
        columns: impl IntoIterator<Item = (String, T, Option<Form>)>,
    ) -> Result<Self> {
        let mut named = Vec::new();
        let mut forms = Vec::new();
        for (index, (name, kind, form)) in columns.into_iter().enumerate() {
            let form = form.ok_or_else(|| {
                Error::new(
                    ErrorKind::Unsupported,
                    format!(
                        "column {index} ({name:?}) is of type {kind}, which is not read; cast it to text"
                    ),
                )
            })?;
            named.push((name, Some(form.value_type())));
            forms.push(form);
        }
        Ok(RowShape {
            columns: Columns::new(named),
            forms: forms.into(),
        })
    }
}

impl Prepared {
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`]: a column is of a type that is not read.
    pub(crate) fn new(
        statement: Statement,
        name: Option<String>,
        kind: Kind,
        server: Server,
        names: Option<ParameterList>,
    ) -> Result<Self> {
        let name = name.ok_or_else(|| {
            Error::new(
                ErrorKind::Internal,
                "the statement was prepared under no name",
            )
        })?;
        let is_text = |kind: &Type| is_decimal_text(kind, server);
        let columns = statement.columns();
        let shape = RowShape::new(columns.iter().map(|column| {
            let kind = column.type_();
            let form = match is_text(kind) {
                true => Some(Form::of_decimal_text(kind)),
                false => Form::of(kind),
            };
            (column.name().to_owned(), array::Name(kind), form)
        }))?;
        let formats: Vec<i16> = if columns.iter().any(|column| is_text(column.type_())) {
            let format = |column: &Column| {
                if is_text(column.type_()) {
                    TEXT
                } else {
                    BINARY
                }
            };
            columns.iter().map(format).collect()
        } else {
            vec![BINARY]
        };
        Ok(Prepared {
            shape,
            server,
            template: Template::new(&name, server, statement.params().iter(), &formats)?,
            statement,
            kind,
            names,
        })
    }

    /// How the parameters in its text are written, where the option says `option`.
    pub(crate) fn style(&self, option: Placeholders) -> Placeholders {
        match self.names {
            None => Placeholders::Native,
            Some(_) => named_at_least(option),
        }
    }

    /// Brings parameters into the order of the statement, and checks their number and that the server takes them for
    /// what they are.
    pub(crate) fn bind<'p>(&self, params: ParamsRef<'p>) -> Result<Cow<'p, [ValueRef<'p>]>> {
        let values = in_order(params, self.names.as_ref())?;
        let types = self.statement.params();
        check_count(types.len(), values.len())?;
        check_doubles(self.server, types.iter(), &values)?;
        Ok(values)
    }
}

/// Brings parameters into the order of a text whose parameters are called `names`.
pub(crate) fn in_order<'p>(
    params: ParamsRef<'p>,
    names: Option<&ParameterList>,
) -> Result<Cow<'p, [ValueRef<'p>]>> {
    match (params, names) {
        (ParamsRef::Positional(values), _) => Ok(Cow::Borrowed(values)),
        (ParamsRef::Named(named), Some(names)) => by_position(named, names).map(Cow::Owned),
        (ParamsRef::Named(named), None) => {
            by_position(named, &ParameterList::default()).map(Cow::Owned)
        }
    }
}

/// How the parameters of a text are written that go with `params`, where the option says `option`.
pub(crate) fn style_of(params: ParamsRef<'_>, option: Placeholders) -> Placeholders {
    match params {
        ParamsRef::Positional(_) => option,
        ParamsRef::Named(_) => named_at_least(option),
    }
}

/// The server's own parameters have no names.
fn named_at_least(option: Placeholders) -> Placeholders {
    match option {
        Placeholders::Native => Placeholders::Named,
        style => style,
    }
}

/// The text that the server takes, which knows parameters by number alone, and the names that it had.
pub(crate) fn rewritten<'a>(
    text: &'a str,
    params: ParamsRef<'_>,
    style: Placeholders,
) -> Result<(Cow<'a, str>, Option<ParameterList>)> {
    let style = style_of(params, style);
    if style == Placeholders::Native {
        return Ok((Cow::Borrowed(text), None));
    }
    let Rewritten { sql, parameters } = sql::rewrite(text, style, Dialect::Postgres)?;
    Ok((sql, Some(parameters)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_by_their_text() {
        let kind = |text| Kind::of(text, Server::Postgres, false).unwrap();
        assert!(kind("SELECT 1").reads && kind("SELECT 1").preparable);
        assert!(!kind("INSERT INTO t VALUES (1)").reads);
        assert!(kind("INSERT INTO t VALUES (1)").preparable);
        assert!(!kind("WITH x AS (DELETE FROM t RETURNING a) SELECT a FROM x").reads);
        assert!(!kind("CREATE TABLE t (a int)").preparable);
        assert!(!kind("SHOW server_version").preparable);
        // On Picodata it takes parameters.
        let block = "DO $$ BEGIN UPDATE t SET a = $1 WHERE b = $2; END $$";
        assert!(!kind(block).preparable && !kind(block).reads);
        assert!(Kind::of(block, Server::Picodata, false).unwrap().preparable);
        assert!(kind("SELECT 1; SELECT 2").several);
        assert_eq!(kind("BEGIN").effect, Effect::Begin);
        assert!(kind("rollback to a; COMMIT").rolls_back && kind("ABORT").rolls_back);
        assert!(!kind("COMMIT; ROLLBACK").rolls_back);
        for text in ["", " ; -- nothing\n;", "SELECT 'a\0b'"] {
            let error = Kind::of(text, Server::Postgres, false).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Misuse, "{text:?}");
        }
    }

    #[test]
    fn picodata_is_given_no_transaction() {
        for text in [
            "BEGIN",
            "commit",
            "ROLLBACK;",
            "START TRANSACTION",
            "SAVEPOINT a",
        ] {
            let error = Kind::of(text, Server::Picodata, false).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{text}");
            assert!(Kind::of(text, Server::Picodata, true).is_ok());
            assert!(Kind::of(text, Server::Postgres, false).is_ok());
        }
        assert!(Kind::of("SELECT 'begin'", Server::Picodata, false).is_ok());
    }

    #[test]
    fn names_become_numbers() {
        let named = [("b", ValueRef::Int(2)), (":a", ValueRef::Int(1))];
        let params = ParamsRef::Named(&named);
        let (text, names) = rewritten("SELECT :a, :b, :a", params, Placeholders::Native).unwrap();
        assert_eq!(text, "SELECT $1, $2, $1");
        let values = in_order(params, names.as_ref()).unwrap();
        assert_eq!(*values, [ValueRef::Int(1), ValueRef::Int(2)]);
        assert!(in_order(params, None).is_err());
        let one = ParamsRef::Positional(&[ValueRef::Null]);
        for (style, text, wanted) in [
            (Placeholders::Native, "SELECT $1", "SELECT $1"),
            (Placeholders::Question, "SELECT ?", "SELECT $1"),
            (Placeholders::Named, "SELECT :a", "SELECT $1"),
        ] {
            assert_eq!(rewritten(text, one, style).unwrap().0, wanted);
        }
    }
}
