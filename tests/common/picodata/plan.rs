//! What the server makes of a statement before it runs.

use super::engine::Engine;
use super::error::PgError;
use super::grammar;
use super::indexes::Index;
use super::infer::{Scope, items};
use super::lexer::{Kind, Token, syntax, tokens};
use super::notices::{distribution_key, insert_parts};
use super::sql::{closing, quote, split_commas, take_conflict, take_options, translate};
use super::tables::{Table, column, declaration};
use super::types::Type;

#[derive(Debug, Clone)]
pub enum Action {
    /// Nothing but whitespace.
    Empty,
    /// Answers its tag and does nothing.
    Tag(&'static str),
    Query(String),
    /// INSERT, UPDATE or DELETE: the tag, and the statement for SQLite.
    Change(&'static str, String),
    Create {
        table: Box<Table>,
        if_not_exists: bool,
    },
    Drop {
        name: String,
        if_exists: bool,
    },
    /// Changes the table in SQLite, then in the description.
    Alter {
        name: String,
        sql: String,
        change: Change,
    },
    CreateIndex(Index),
    DropIndex {
        name: String,
        if_exists: bool,
    },
    /// Other statements about the schema: the tag, and the statement for SQLite.
    Schema(&'static str, String),
    CreateUser {
        name: String,
        password: String,
        method: String,
    },
    Deallocate(Option<String>),
}

#[derive(Debug, Clone)]
pub enum Change {
    Add(super::tables::Column),
    Drop(String),
    Rename(String),
}

#[derive(Debug, Clone)]
pub struct Plan {
    pub query: String,
    pub action: Action,
    pub columns: Vec<(String, Type)>,
    /// The types of the parameters, and what the client is told about them.
    pub params: Vec<(Type, u32)>,
    /// The tables it names, with the versions they had.
    pub tables: Vec<(String, u64)>,
    pub row_max: Option<u64>,
    pub key: Vec<(usize, u32)>,
    /// That of its first table, if that is sharded.
    pub tier: Option<String>,
}

impl Plan {
    pub fn is_ddl(&self) -> bool {
        matches!(
            self.action,
            Action::Create { .. }
                | Action::Drop { .. }
                | Action::Alter { .. }
                | Action::CreateIndex(..)
                | Action::DropIndex { .. }
                | Action::Schema(..)
                | Action::CreateUser { .. }
        )
    }
}

/// Understands a statement. `oids` are the types that the client declared for its parameters.
pub fn plan(engine: &Engine, sql: &str, oids: &[u32]) -> Result<Plan, PgError> {
    let declared = oids
        .iter()
        .map(|oid| Type::of_parameter(*oid))
        .collect::<Result<Vec<_>, _>>()?;
    let mut words = tokens(sql)?;
    while words.last().is_some_and(|token| token.is(";")) {
        words.pop();
    }
    if let Some(token) = words.iter().find(|token| token.is(";")) {
        return Err(syntax(sql, token.at, "EOI"));
    }
    let mut plan = Plan {
        query: sql.to_owned(),
        action: Action::Empty,
        columns: Vec::new(),
        params: Vec::new(),
        tables: Vec::new(),
        row_max: None,
        key: Vec::new(),
        tier: None,
    };
    if words.is_empty() {
        return Ok(plan);
    }
    if let Some(token) = words.iter().find(|token| token.is("returning")) {
        return Err(syntax(sql, token.at, "EOI"));
    }
    grammar::check(sql, &words)?;
    for (name, value) in take_options(sql, &mut words)? {
        if name == "sql_motion_row_max" {
            plan.row_max = value.parse().ok();
        }
    }
    let tables: Vec<&Table> = words
        .iter()
        .filter_map(Token::name)
        .filter_map(|name| engine.table(name))
        .collect();
    let mut scope = Scope {
        columns: tables
            .iter()
            .flat_map(|table| &table.columns)
            .map(|column| (&*column.name, column.kind))
            .collect(),
        params: declared,
    };
    insert_types(engine, &words, &mut scope);
    scope.find_parameters(&words);
    plan.tables = tables
        .iter()
        .map(|table| (table.name.clone(), table.version))
        .collect();
    let sharded = tables
        .first()
        .filter(|table| !table.distributed_by.is_empty());
    plan.tier = sharded.map(|table| table.tier.clone());
    plan.action = action(engine, sql, &mut words)?;
    if let Action::Query(text) = &plan.action {
        plan.columns = columns(engine, &words, &scope, text)?;
        grammar::check_order(&words, &scope, &plan.columns)?;
    } else if let Action::Change(_, text) = &plan.action {
        engine.check(text)?;
    }
    for (index, found) in scope.params.iter().enumerate() {
        let kind = found.unwrap_or(Type::Text);
        let oid = oids
            .get(index)
            .copied()
            .filter(|oid| !matches!(oid, 0 | 705));
        plan.params.push((kind, oid.unwrap_or(kind.oid())));
    }
    if matches!(plan.action, Action::Change("INSERT 0", _)) {
        let kinds: Vec<_> = plan.params.iter().map(|(kind, _)| *kind).collect();
        plan.key = distribution_key(&words, tables.first().copied(), &kinds);
    }
    Ok(plan)
}

/// A parameter that is a column's new value has the column's type.
fn insert_types(engine: &Engine, words: &[Token], scope: &mut Scope<'_>) {
    let Some(table) = words
        .get(2)
        .filter(|_| words[0].is("insert"))
        .and_then(|token| engine.table(token.name()?))
    else {
        return;
    };
    let mut note = |columns: &[String], row: &[&[Token]]| {
        for (name, value) in columns.iter().zip(row) {
            if let (
                [
                    Token {
                        kind: Kind::Param(number),
                        ..
                    },
                ],
                Some(column),
            ) = (value, table.column(name))
            {
                if scope.params.len() < *number {
                    scope.params.resize(*number, None);
                }
                scope.params[number - 1].get_or_insert(column.kind);
            }
        }
    };
    if let Some((columns, row)) = insert_parts(words, table) {
        note(&columns, &row);
        return;
    }
    // Several rows.
    let Some(values) = words.iter().position(|token| token.is("values")) else {
        return;
    };
    let columns: Vec<String> = match words.get(3) {
        Some(open) if open.is("(") => words[4..values]
            .iter()
            .filter_map(Token::name)
            .map(str::to_owned)
            .collect(),
        _ => table
            .columns
            .iter()
            .map(|column| column.name.clone())
            .collect(),
    };
    let mut at = values + 1;
    while words.get(at).is_some_and(|token| token.is("(")) {
        let Ok(end) = closing("", words, at) else {
            return;
        };
        note(&columns, &split_commas(&words[at + 1..end]));
        // A comma, if there is another row.
        at = end + 2;
    }
}

fn action(engine: &Engine, sql: &str, words: &mut Vec<Token>) -> Result<Action, PgError> {
    let first = words[0].text.clone();
    let second = words
        .get(1)
        .map(|token| token.text.clone())
        .unwrap_or_default();
    let fault = |at: usize, expected: &str, words: &[Token]| {
        syntax(
            sql,
            words.get(at).map_or(sql.len(), |token| token.at),
            expected,
        )
    };
    let name_at = |at: usize, words: &[Token]| {
        let name = words.get(at).and_then(Token::name).map(str::to_owned);
        name.ok_or_else(|| fault(at, "Table", words))
    };
    Ok(match (&*first, &*second) {
        ("begin", "") => Action::Tag("BEGIN"),
        ("commit", "") => Action::Tag("COMMIT"),
        ("rollback", "") => Action::Tag("ROLLBACK"),
        ("set", _) if words.len() > 2 => Action::Tag("SET"),
        ("grant", _) => Action::Tag("GRANT"),
        ("revoke", _) => Action::Tag("REVOKE"),
        ("deallocate", "all") => Action::Deallocate(None),
        ("deallocate", _) => Action::Deallocate(Some(name_at(1, words)?)),
        ("select" | "with" | "values" | "(", _) => Action::Query(translate(sql, words)?),
        ("explain", _) => Action::Query("SELECT 'projection' AS \"EXPLAIN\"".to_owned()),
        ("insert", "into") => {
            let conflict = take_conflict(words);
            let text = translate(sql, words)?;
            let text = match conflict.as_deref() {
                None | Some("fail") => text,
                Some("replace") => text.replacen("insert into", "insert or replace into", 1),
                Some("nothing") => text.replacen("insert into", "insert or ignore into", 1),
                Some(_) => return Err(fault(words.len(), "ConflictStrategy", words)),
            };
            Action::Change("INSERT 0", text)
        }
        ("update", _) => Action::Change("UPDATE", translate(sql, words)?),
        ("delete", "from") => Action::Change("DELETE", translate(sql, words)?),
        ("create", "table") => {
            let if_not_exists = words.get(2).is_some_and(|token| token.is("if"));
            let start = if if_not_exists { 5 } else { 2 };
            let table = Table::parse(sql, words.get(start..).unwrap_or_default())?;
            Action::Create {
                table: Box::new(table),
                if_not_exists,
            }
        }
        ("drop", "table") => {
            let if_exists = words.get(2).is_some_and(|token| token.is("if"));
            let name = name_at(if if_exists { 4 } else { 2 }, words)?;
            Action::Drop { name, if_exists }
        }
        ("truncate", "table") => {
            let name = name_at(2, words)?;
            engine
                .table(&name)
                .ok_or_else(|| PgError::no_table(&name))?;
            Action::Schema("TRUNCATE TABLE", format!("DELETE FROM {}", quote(&name)))
        }
        ("alter", "table") => alter(engine, sql, words)?,
        ("create", "index" | "unique") => Action::CreateIndex(Index::parse(sql, words)?),
        ("drop", "index") => {
            let if_exists = words.get(2).is_some_and(|token| token.is("if"));
            let name = name_at(if if_exists { 4 } else { 2 }, words)?;
            Action::DropIndex { name, if_exists }
        }
        ("create", "user") => {
            let text_at = words.iter().find(|token| token.kind == Kind::Text);
            let method = words.iter().position(|token| token.is("using"));
            let method = method.and_then(|using| words.get(using + 1));
            Action::CreateUser {
                name: name_at(2, words)?,
                password: text_at.map(|token| token.text.clone()).unwrap_or_default(),
                method: method.map_or("md5".to_owned(), |token| token.text.clone()),
            }
        }
        _ => return Err(fault(0, "Query", words)),
    })
}

fn alter(engine: &Engine, sql: &str, words: &[Token]) -> Result<Action, PgError> {
    let fault = |at: usize| {
        syntax(
            sql,
            words.get(at).map_or(sql.len(), |token| token.at),
            "AlterTableAction",
        )
    };
    let name = words
        .get(2)
        .and_then(Token::name)
        .ok_or_else(|| fault(2))?
        .to_owned();
    engine
        .table(&name)
        .ok_or_else(|| PgError::no_table(&name))?;
    let (change, text) = match &words[3..] {
        [add, word, definition @ ..] if add.is("add") && word.is("column") => {
            let end = definition.iter().position(|token| token.is("wait"));
            let (mut column, _) = column(sql, &definition[..end.unwrap_or(definition.len())])?;
            column.nullable = true;
            let text = format!("ADD COLUMN {}", declaration(&column));
            (Change::Add(column), text)
        }
        [drop, word, column] if drop.is("drop") && word.is("column") => (
            Change::Drop(column.text.clone()),
            format!("DROP COLUMN {}", quote(&column.text)),
        ),
        [rename, to, new] if rename.is("rename") && to.is("to") => (
            Change::Rename(new.text.clone()),
            format!("RENAME TO {}", quote(&new.text)),
        ),
        _ => return Err(fault(3)),
    };
    let sql = format!("ALTER TABLE {} {text}", quote(&name));
    Ok(Action::Alter { name, sql, change })
}

/// The names and types of a query's columns. SQLite says how many there are, and knows the types of those
/// that are columns of tables; the rest is read from the text.
fn columns(
    engine: &Engine,
    words: &[Token],
    scope: &Scope<'_>,
    text: &str,
) -> Result<Vec<(String, Type)>, PgError> {
    let real = engine.columns(text)?;
    let items = items(words);
    let stars = items.iter().filter(|item| item.star).count();
    let each = (real.len() + stars).saturating_sub(items.len());
    if items.is_empty() || stars > 1 || (stars == 0 && each > 0) {
        let named = |(name, found): (String, Option<Type>)| (name, found.unwrap_or(Type::Text));
        return Ok(real.into_iter().map(named).collect());
    }
    let mut columns = Vec::new();
    let mut unnamed = 0;
    for item in items {
        for _ in 0..if item.star { each } else { 1 } {
            let Some((name, declared)) = real.get(columns.len()) else {
                break;
            };
            let name = if item.star {
                name.clone()
            } else {
                item.name.clone().unwrap_or_else(|| {
                    unnamed += 1;
                    format!("col_{unnamed}")
                })
            };
            let found = declared.unwrap_or_else(|| scope.expression(item.expression));
            columns.push((name, found));
        }
    }
    Ok(columns)
}
