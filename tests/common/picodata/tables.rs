//! The tables: what the statements that make and change them say, and Picodata's own.

use super::error::{PgError, json_text};
use super::lexer::{Token, syntax};
use super::sql::{closing, quote, split_commas, type_at};
use super::types::Type;

#[derive(Debug, Clone)]
pub struct Column {
    pub name: String,
    pub kind: Type,
    pub nullable: bool,
}

#[derive(Debug, Clone)]
pub struct Table {
    /// `_pico_table.id`, which stays whatever becomes of the table.
    pub id: u64,
    pub name: String,
    pub columns: Vec<Column>,
    pub key: Vec<String>,
    /// The columns of the distribution key; empty for a global table.
    pub distributed_by: Vec<String>,
    pub tier: String,
    /// Counts up with every change, so that a statement knows that it is stale.
    pub version: u64,
}

impl Table {
    /// `CREATE TABLE name (…) [USING engine] [DISTRIBUTED BY (…) [IN TIER tier] | DISTRIBUTED GLOBALLY]
    /// [WAIT APPLIED …]`; the tokens begin with the name.
    pub fn parse(sql: &str, tokens: &[Token]) -> Result<Table, PgError> {
        let fault = |at: usize, expected: &str| {
            syntax(
                sql,
                tokens.get(at).map_or(sql.len(), |token| token.at),
                expected,
            )
        };
        let name = tokens
            .first()
            .and_then(Token::name)
            .ok_or_else(|| fault(0, "Table"))?;
        if !tokens.get(1).is_some_and(|token| token.is("(")) {
            return Err(fault(1, "Columns"));
        }
        let end = closing(sql, tokens, 1)?;
        let mut table = Table {
            id: 0,
            name: name.to_owned(),
            columns: Vec::new(),
            key: Vec::new(),
            distributed_by: Vec::new(),
            tier: "default".to_owned(),
            version: 0,
        };
        for part in split_commas(&tokens[2..end]) {
            match part {
                [primary, key, open, names @ .., close]
                    if primary.is("primary") && key.is("key") && open.is("(") && close.is(")") =>
                {
                    table.key = list(names);
                }
                _ => {
                    let (column, primary) = column(sql, part)?;
                    if primary {
                        table.key.push(column.name.clone());
                    }
                    table.columns.push(column);
                }
            }
        }
        for column in &mut table.columns {
            column.nullable &= !table.key.contains(&column.name);
        }
        if table.key.is_empty() {
            return Err(PgError::sql(
                "invalid primary key: Primary key must be declared.",
            ));
        }
        table.distributed_by = table.key.clone();
        let mut at = end + 1;
        while let Some(token) = tokens.get(at) {
            match &*token.text {
                "using" => at += 2,
                "wait" => at += 3,
                "distributed" if tokens.get(at + 1).is_some_and(|next| next.is("globally")) => {
                    table.distributed_by.clear();
                    at += 2;
                }
                "distributed" if tokens.get(at + 2).is_some_and(|next| next.is("(")) => {
                    let end = closing(sql, tokens, at + 2)?;
                    table.distributed_by = list(&tokens[at + 3..end]);
                    at = end + 1;
                }
                "in" | "on" => {
                    let tier = tokens.get(at + 2).and_then(Token::name);
                    table.tier = tier.ok_or_else(|| fault(at + 2, "Tier"))?.to_owned();
                    at += 3;
                }
                _ => return Err(fault(at, "EOI")),
            }
        }
        for name in table.key.iter().chain(&table.distributed_by) {
            if table.column(name).is_none() {
                return Err(PgError::sql(format!("column with name {name:?} not found")));
            }
        }
        Ok(table)
    }

    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The statement that makes the table in SQLite.
    pub fn definition(&self) -> String {
        let mut parts: Vec<_> = self.columns.iter().map(declaration).collect();
        let keyed = if self.key.is_empty() {
            ""
        } else {
            let names: Vec<_> = self.key.iter().map(|name| quote(name)).collect();
            parts.push(format!("PRIMARY KEY ({})", names.join(", ")));
            " WITHOUT ROWID"
        };
        format!(
            "CREATE TABLE {} ({}){keyed}",
            quote(&self.name),
            parts.join(", ")
        )
    }

    /// `_pico_table.distribution`.
    pub fn distribution_json(&self) -> String {
        if self.distributed_by.is_empty() {
            return "{\"Global\":null}".to_owned();
        }
        let names: Vec<_> = self
            .distributed_by
            .iter()
            .map(|name| json_text(name))
            .collect();
        format!(
            "{{\"ShardedImplicitly\":[[{}],\"murmur3\",{}]}}",
            names.join(","),
            json_text(&self.tier)
        )
    }

    /// `_pico_table.format`. A sharded table has a column for the bucket, which a query does not show.
    pub fn format_json(&self) -> String {
        let field = |name: &str, kind: &str, nullable: bool| {
            format!(
                "{{\"name\":{},\"field_type\":\"{kind}\",\"is_nullable\":{nullable}}}",
                json_text(name)
            )
        };
        let mut fields: Vec<_> = self
            .columns
            .iter()
            .map(|column| field(&column.name, column.kind.field_type(), column.nullable))
            .collect();
        // It stands behind the last column of the key.
        let last = self
            .columns
            .iter()
            .rposition(|column| self.key.contains(&column.name));
        if let Some(last) = last.filter(|_| !self.distributed_by.is_empty()) {
            fields.insert(last + 1, field("bucket_id", "unsigned", false));
        }
        format!("[{}]", fields.join(","))
    }
}

/// A column as SQLite is told of it.
pub fn declaration(column: &Column) -> String {
    format!(
        "{} {}{}",
        quote(&column.name),
        column.kind.declaration(),
        if column.nullable { "" } else { " NOT NULL" }
    )
}

/// `name type [NOT NULL | NULL] [PRIMARY KEY]`; and whether it is the primary key.
pub fn column(sql: &str, tokens: &[Token]) -> Result<(Column, bool), PgError> {
    let end = tokens.last().map_or(sql.len(), |token| token.at);
    let name = tokens
        .first()
        .and_then(Token::name)
        .ok_or_else(|| syntax(sql, end, "Column"))?;
    let (kind, next) = type_at(sql, tokens, 1)?;
    let rest: Vec<_> = tokens[next..].iter().map(|token| &*token.text).collect();
    let rest = rest.join(" ");
    let known = [
        "",
        "null",
        "not null",
        "primary key",
        "not null primary key",
        "primary key not null",
    ];
    if !known.contains(&&*rest) {
        return Err(syntax(
            sql,
            tokens[next].at,
            "ColumnDefIsNull or PrimaryKeyMark",
        ));
    }
    let column = Column {
        name: name.to_owned(),
        kind,
        nullable: !rest.contains("not null"),
    };
    Ok((column, rest.contains("primary")))
}

/// The names among the tokens.
pub fn list(tokens: &[Token]) -> Vec<String> {
    tokens
        .iter()
        .filter_map(Token::name)
        .map(str::to_owned)
        .collect()
}

/// Picodata's own tables. They are global, and ordinary users may not write them.
pub fn system() -> Vec<Table> {
    use Type::{Boolean, Double, Integer, Json, Text};
    let describe = |name: &str, key: &[&str], columns: &[(&str, Type)]| Table {
        id: 0,
        name: name.to_owned(),
        columns: columns
            .iter()
            .map(|(name, kind)| Column {
                name: (*name).to_owned(),
                kind: *kind,
                nullable: !key.contains(name),
            })
            .collect(),
        key: key.iter().map(ToString::to_string).collect(),
        distributed_by: Vec::new(),
        tier: String::new(),
        version: 0,
    };
    let tables = vec![
        describe(
            "_pico_instance",
            &["name"],
            &[
                ("name", Text),
                ("uuid", Text),
                ("raft_id", Integer),
                ("replicaset_name", Text),
                ("replicaset_uuid", Text),
                ("current_state", Json),
                ("target_state", Json),
                ("failure_domain", Json),
                ("tier", Text),
                ("picodata_version", Text),
            ],
        ),
        describe(
            "_pico_peer_address",
            &["raft_id", "connection_type"],
            &[
                ("raft_id", Integer),
                ("address", Text),
                ("connection_type", Text),
            ],
        ),
        describe(
            "_pico_replicaset",
            &["name"],
            &[
                ("name", Text),
                ("uuid", Text),
                ("current_master_name", Text),
                ("target_master_name", Text),
                ("tier", Text),
                ("weight", Double),
                ("weight_origin", Text),
                ("state", Text),
                ("current_config_version", Integer),
                ("target_config_version", Integer),
                ("promotion_vclock", Json),
            ],
        ),
        describe(
            "_pico_tier",
            &["name"],
            &[
                ("name", Text),
                ("replication_factor", Integer),
                ("can_vote", Boolean),
                ("current_vshard_config_version", Integer),
                ("target_vshard_config_version", Integer),
                ("vshard_bootstrapped", Boolean),
                ("bucket_count", Integer),
            ],
        ),
        describe(
            "_pico_table",
            &["id"],
            &[
                ("id", Integer),
                ("name", Text),
                ("distribution", Json),
                ("format", Json),
                ("schema_version", Integer),
                ("operable", Boolean),
                ("engine", Text),
                ("owner", Integer),
                ("description", Text),
            ],
        ),
        describe(
            "_pico_index",
            &["table_id", "id"],
            &[
                ("table_id", Integer),
                ("id", Integer),
                ("name", Text),
                ("type", Text),
                ("opts", Json),
                ("parts", Json),
                ("operable", Boolean),
                ("schema_version", Integer),
            ],
        ),
    ];
    // Ids below 1024 are Picodata's own.
    let numbered = tables.into_iter().zip(512..);
    numbered.map(|(table, id)| Table { id, ..table }).collect()
}
