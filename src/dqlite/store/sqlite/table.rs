//! The table of an SQLite node store: its SQL, and what is made of its rows.

use std::path::PathBuf;

use rusqlite::types::{Type, ValueRef};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, TransactionBehavior, params};

use super::super::{NodeInfo, NodeRole, unknown_role, without_duplicates};
use crate::error::{Error, ErrorKind, Result};

#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) path: PathBuf,
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) column: String,
    pub(super) filter: Option<String>,
    pub(super) address_only: bool,
}

/// What a table looks like now; another program may alter it while the store is open.
#[derive(Debug, Clone, Copy)]
struct Shape {
    has_id_and_role: bool,
    has_rowid: bool,
}

impl Table {
    pub(super) fn create(&self, connection: &mut Connection) -> rusqlite::Result<()> {
        if self.has_rowid(connection)?.is_some() {
            return Ok(());
        }
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let column = quoted(&self.column);
        let id_and_role = match self.address_only {
            true => "",
            false => "id INTEGER, role INTEGER, ",
        };
        transaction.execute_batch(&format!(
            "CREATE TABLE IF NOT EXISTS {self} ({column} TEXT, {id_and_role}UNIQUE({column}))"
        ))?;
        transaction.commit()
    }

    pub(super) fn get(&self, connection: &mut Connection) -> Result<Vec<NodeInfo>> {
        // The shape and the rows have to be of the same moment.
        let transaction = connection
            .transaction()
            .map_err(|error| self.failed("read", error))?;
        let shape = self.shape(&transaction)?;
        self.rows(&transaction, shape)
    }

    pub(super) fn set(&self, connection: &mut Connection, mut nodes: Vec<NodeInfo>) -> Result<()> {
        let failed = |error| self.failed("write", error);
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed)?;
        let shape = self.shape(&transaction)?;
        if !shape.has_id_and_role {
            for node in &mut nodes {
                node.id = 0;
                node.role = NodeRole::Voter;
            }
        }
        if self
            .rows(&transaction, shape)
            .is_ok_and(|current| current == nodes)
        {
            return Ok(());
        }
        self.replace_rows(&transaction, shape, &nodes)
            .map_err(failed)?;
        self.require_rows(&transaction, shape, &nodes)?;
        transaction.commit().map_err(failed)
    }

    fn replace_rows(
        &self,
        connection: &Connection,
        shape: Shape,
        nodes: &[NodeInfo],
    ) -> rusqlite::Result<()> {
        connection.execute(&format!("DELETE FROM {self}{}", self.condition()), [])?;
        let column = quoted(&self.column);
        if shape.has_id_and_role {
            let mut insert = connection.prepare(&format!(
                "INSERT INTO {self} ({column}, id, role) VALUES (?1, ?2, ?3)"
            ))?;
            for node in nodes {
                let role = u64::from(node.role).cast_signed();
                insert.execute(params![node.address, node.id.cast_signed(), role])?;
            }
        } else {
            let mut insert =
                connection.prepare(&format!("INSERT INTO {self} ({column}) VALUES (?1)"))?;
            for node in nodes {
                insert.execute([&node.address])?;
            }
        }
        Ok(())
    }

    /// Fails unless the table, seen through the filter, holds `nodes` in any order.
    fn require_rows(
        &self,
        connection: &Connection,
        shape: Shape,
        nodes: &[NodeInfo],
    ) -> Result<()> {
        let found = self.rows(connection, shape)?;
        let message = match nodes.iter().find(|node| !found.contains(node)) {
            Some(node) => match &self.filter {
                Some(filter) => format!(
                    "the filter {filter:?} does not select the new node {:?}; widen the filter",
                    node.address
                ),
                None => format!("the table did not keep the new node {:?}", node.address),
            },
            None if found.len() > nodes.len() => "the table kept old nodes".into(),
            None => return Ok(()),
        };
        Err(self.error(format!("{message}; nothing was changed")))
    }

    fn rows(&self, connection: &Connection, shape: Shape) -> Result<Vec<NodeInfo>> {
        let failed = |error| self.failed("read", error);
        let sql = format!(
            "SELECT {}{} FROM {self}{}{}",
            quoted(&self.column),
            if shape.has_id_and_role {
                ", id, role"
            } else {
                ", NULL, NULL"
            },
            self.condition(),
            if shape.has_rowid {
                " ORDER BY _rowid_"
            } else {
                ""
            },
        );
        let mut statement = connection.prepare(&sql).map_err(failed)?;
        let mut rows = statement.query([]).map_err(failed)?;
        let mut nodes = Vec::new();
        while let Some(row) = rows.next().map_err(failed)? {
            let node = node_of_row(row)
                .map_err(|message| self.error(format!("row {}: {message}", nodes.len() + 1)))?;
            nodes.push(node);
        }
        Ok(without_duplicates(nodes))
    }

    fn shape(&self, connection: &Connection) -> Result<Shape> {
        let failed = |error| self.failed("read", error);
        let Some(has_rowid) = self.has_rowid(connection).map_err(failed)? else {
            return Err(self.error("there is no such table".into()));
        };
        let columns = self.columns(connection).map_err(failed)?;
        // An unknown name in double quotes would be a string to SQLite, and every row would hold it.
        if !columns
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case(&self.column))
        {
            let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
            return Err(self.error(format!(
                "there is no column {:?}; the table has {}",
                self.column,
                names.join(", ")
            )));
        }
        let is_integer = |wanted: &str| {
            !wanted.eq_ignore_ascii_case(&self.column)
                && columns.iter().any(|(name, declared)| {
                    name.eq_ignore_ascii_case(wanted)
                        && declared.to_ascii_uppercase().contains("INT")
                })
        };
        Ok(Shape {
            has_id_and_role: !self.address_only && is_integer("id") && is_integer("role"),
            has_rowid,
        })
    }

    /// Whether the table has rowids; nothing if there is no such table.
    fn has_rowid(&self, connection: &Connection) -> rusqlite::Result<Option<bool>> {
        connection
            .query_row(
                "SELECT type = 'table' AND NOT wr FROM pragma_table_list \
                 WHERE schema = ?1 COLLATE NOCASE AND name = ?2 COLLATE NOCASE",
                [&self.schema, &self.name],
                |row| row.get(0),
            )
            .optional()
    }

    /// Names and declared types.
    fn columns(&self, connection: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
        connection
            .prepare("SELECT name, type FROM pragma_table_xinfo(?1, ?2)")?
            .query_map([&self.name, &self.schema], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?
            .collect()
    }

    /// The line break ends a comment that the filter may end with.
    fn condition(&self) -> String {
        match &self.filter {
            Some(filter) => format!(" WHERE ({filter}\n)"),
            None => String::new(),
        }
    }

    fn error(&self, message: String) -> Error {
        let message = format!("{}, table {self}: {message}", self.path.display());
        Error::new(ErrorKind::Store, message)
    }

    pub(super) fn failed(&self, verb: &str, error: rusqlite::Error) -> Error {
        let fix = match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                "; another program holds its lock, try again or raise the busy timeout"
            }
            Some(ErrorCode::NotADatabase) => {
                "; name an SQLite database, or a YAML file by a name that ends in .yaml"
            }
            Some(ErrorCode::CannotOpen) => {
                "; the file or its directory is missing or not accessible"
            }
            _ => "",
        };
        let code = match &error {
            rusqlite::Error::SqlInputError { error, .. } => Some(error.extended_code),
            error => error.sqlite_error().map(|error| error.extended_code),
        };
        let error = self
            .error(format!("cannot {verb}: {error}{fix}"))
            .with_source(error);
        match code {
            Some(code) => error.with_code(code),
            None => error,
        }
    }
}

/// The quoted name, as SQL takes it.
impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", quoted(&self.schema), quoted(&self.name))
    }
}

fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

/// Reads address, id and role; the error says what is wrong with the row.
fn node_of_row(row: &Row<'_>) -> std::result::Result<NodeInfo, String> {
    let column = |index| row.get_ref(index).map_err(|error| error.to_string());
    let address = match column(0)? {
        ValueRef::Text(b"") => return Err("the address is empty".into()),
        ValueRef::Text(text) => std::str::from_utf8(text)
            .map_err(|error| format!("the address is not UTF-8: {error}"))?
            .to_owned(),
        value => return Err(wrong_type("address", "a text", value.data_type())),
    };
    let id = match column(1)? {
        ValueRef::Null => 0,
        ValueRef::Integer(id) => id.cast_unsigned(),
        value => return Err(wrong_type("id", "an integer", value.data_type())),
    };
    let role = match column(2)? {
        ValueRef::Null => NodeRole::Voter,
        ValueRef::Integer(number) => u64::try_from(number)
            .ok()
            .and_then(|number| NodeRole::try_from(number).ok())
            .ok_or_else(|| unknown_role(number))?,
        value => return Err(wrong_type("role", "an integer", value.data_type())),
    };
    Ok(NodeInfo { id, address, role })
}

fn wrong_type(column: &str, wanted: &str, found: Type) -> String {
    format!(
        "the {column} has to be {wanted}, and is {}",
        found.to_string().to_ascii_lowercase()
    )
}
