//! The indexes of tables, and what `_pico_index` says of them.

use super::error::{PgError, json_text};
use super::lexer::{Token, syntax};
use super::sql::{closing, quote};
use super::tables::{Table, list};

#[derive(Debug, Clone)]
pub struct Index {
    pub name: String,
    pub table: String,
    pub columns: Vec<String>,
    pub unique: bool,
    pub if_not_exists: bool,
}

impl Index {
    /// `CREATE [UNIQUE] INDEX [IF NOT EXISTS] name ON table [USING type] (column, …)`; what comes behind the columns is
    /// passed over.
    pub fn parse(sql: &str, tokens: &[Token]) -> Result<Index, PgError> {
        let is = |at: usize, text: &str| tokens.get(at).is_some_and(|token| token.is(text));
        let fault = |at: usize, expected: &str| {
            let place = tokens.get(at).map_or(sql.len(), |token| token.at);
            syntax(sql, place, expected)
        };
        let name_at = |at: usize| {
            let name = tokens.get(at).and_then(Token::name).map(str::to_owned);
            name.ok_or_else(|| fault(at, "Identifier"))
        };
        let unique = is(1, "unique");
        let mut at = if unique { 3 } else { 2 };
        if !is(at - 1, "index") {
            return Err(fault(at - 1, "Index"));
        }
        let if_not_exists = is(at, "if");
        if if_not_exists {
            at += 3;
        }
        let name = name_at(at)?;
        if !is(at + 1, "on") {
            return Err(fault(at + 1, "On"));
        }
        let table = name_at(at + 2)?;
        at += if is(at + 3, "using") { 5 } else { 3 };
        if !is(at, "(") {
            return Err(fault(at, "Columns"));
        }
        let end = closing(sql, tokens, at)?;
        Ok(Index {
            name,
            table,
            columns: list(&tokens[at + 1..end]),
            unique,
            if_not_exists,
        })
    }

    /// The index of a table's primary key, which is called by the number of the table.
    pub fn primary(table: &Table) -> Index {
        Index {
            name: format!("{}_pkey", table.id),
            table: table.name.clone(),
            columns: table.key.clone(),
            unique: true,
            if_not_exists: false,
        }
    }

    /// The statement that makes the index in SQLite.
    pub fn definition(&self) -> String {
        let columns: Vec<_> = self.columns.iter().map(|name| quote(name)).collect();
        format!(
            "CREATE {}INDEX {} ON {} ({})",
            if self.unique { "UNIQUE " } else { "" },
            quote(&self.name),
            quote(&self.table),
            columns.join(", ")
        )
    }

    /// `_pico_index.opts`.
    pub fn options_json(&self) -> String {
        format!("[{{\"unique\":{}}}]", self.unique)
    }

    /// `_pico_index.parts`: of each column its name, its type, a collation, whether it may be NULL, and a path.
    pub fn parts_json(&self, table: &Table) -> String {
        let part = |name: &String| {
            let column = table.column(name);
            format!(
                "[{},\"{}\",null,{},null]",
                json_text(name),
                column.map_or("any", |column| column.kind.field_type()),
                column.is_some_and(|column| column.nullable),
            )
        };
        let parts: Vec<_> = self.columns.iter().map(part).collect();
        format!("[{}]", parts.join(","))
    }
}
