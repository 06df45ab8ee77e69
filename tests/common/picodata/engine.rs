//! The data of the cluster: one SQLite database in memory, which all instances share.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use rusqlite::config::DbConfig;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, ToSql, params_from_iter};

use super::error::PgError;
use super::indexes::Index;
use super::plan::{Action, Change, Plan};
use super::tables::{Table, system};
use super::types::Type;

pub struct Engine {
    db: Connection,
    tables: BTreeMap<String, Table>,
    schema_version: u64,
    facts: Arc<Mutex<Facts>>,
}

/// What the `pico_…` functions answer.
#[derive(Default)]
pub struct Facts {
    /// The uuid of the instance that is asked.
    pub me: String,
    pub leader_id: u64,
    pub leader_uuid: Option<String>,
    /// By uuid: the names of the instance, its replicaset and its tier.
    pub instances: HashMap<String, [String; 3]>,
    /// By tier: what `_pico_bucket` answers.
    pub buckets: HashMap<String, String>,
}

pub enum Outcome {
    Rows(Vec<Vec<Value>>),
    Affected(usize),
    Done,
}

/// Why a statement failed.
pub enum Failure {
    /// A duplicate key in this table.
    Duplicate(String),
    Other(PgError),
}

impl From<PgError> for Failure {
    fn from(error: PgError) -> Failure {
        Failure::Other(error)
    }
}

impl Engine {
    pub fn new() -> Engine {
        let db = Connection::open_in_memory().unwrap();
        for strings_in_double_quotes in [
            DbConfig::SQLITE_DBCONFIG_DQS_DML,
            DbConfig::SQLITE_DBCONFIG_DQS_DDL,
        ] {
            db.set_db_config(strings_in_double_quotes, false).unwrap();
        }
        db.execute_batch("PRAGMA case_sensitive_like = ON").unwrap();
        let mut engine = Engine {
            db,
            tables: BTreeMap::new(),
            schema_version: 0,
            facts: Arc::default(),
        };
        engine.define_functions().unwrap();
        for table in system() {
            engine.db.execute_batch(&table.definition()).unwrap();
            engine.tables.insert(table.name.clone(), table);
        }
        for table in engine.tables.values() {
            engine.describe(table);
            engine.describe_index(table, &Index::primary(table));
        }
        let indexes = "CREATE UNIQUE INDEX i1 ON _pico_instance (uuid);
            CREATE UNIQUE INDEX i2 ON _pico_instance (raft_id);
            CREATE UNIQUE INDEX i3 ON _pico_table (name);
            CREATE UNIQUE INDEX i4 ON _pico_index (name);";
        engine.db.execute_batch(indexes).unwrap();
        engine.db.set_prepared_statement_cache_capacity(64);
        engine
    }

    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.get(name)
    }

    pub fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap()
    }

    /// Runs a statement of the stand-in's own.
    pub fn write(&self, sql: &str, params: &[&dyn ToSql]) {
        self.db
            .prepare_cached(sql)
            .unwrap()
            .execute(params)
            .unwrap();
    }

    /// Finds out whether SQLite understands a statement.
    pub fn check(&self, sql: &str) -> Result<(), PgError> {
        self.db
            .prepare_cached(sql)
            .map(drop)
            .map_err(|error| refusal(&error))
    }

    /// The columns of a query, with the types of those that are columns of tables.
    pub fn columns(&self, sql: &str) -> Result<Vec<(String, Option<Type>)>, PgError> {
        let statement = self
            .db
            .prepare_cached(sql)
            .map_err(|error| refusal(&error))?;
        let columns = statement.columns().into_iter().map(|column| {
            (
                column.name().to_owned(),
                column.decl_type().and_then(Type::declared),
            )
        });
        Ok(columns.collect())
    }

    pub fn run(&mut self, plan: &Plan, params: &[Value]) -> Result<Outcome, Failure> {
        match &plan.action {
            Action::Query(sql) => self.query(sql, params).map(Outcome::Rows),
            Action::Change(_, sql) => {
                let mut statement = self
                    .db
                    .prepare_cached(sql)
                    .map_err(|error| failure(&error))?;
                let affected = statement.execute(params_from_iter(params));
                affected
                    .map(Outcome::Affected)
                    .map_err(|error| failure(&error))
            }
            Action::Create {
                table,
                if_not_exists,
            } => {
                if self.tables.contains_key(&table.name) {
                    return if *if_not_exists {
                        Ok(Outcome::Done)
                    } else {
                        Err(PgError::sql(format!("table {} already exists", table.name)).into())
                    };
                }
                self.schema(&table.definition())?;
                self.schema_version += 1;
                let mut table = (**table).clone();
                table.id = 1024 + self.schema_version;
                table.version = self.schema_version;
                self.describe(&table);
                self.describe_index(&table, &Index::primary(&table));
                self.tables.insert(table.name.clone(), table);
                Ok(Outcome::Done)
            }
            Action::Drop { name, if_exists } => {
                if self.tables.get(name).is_none_or(|table| table.version == 0) {
                    return if *if_exists {
                        Ok(Outcome::Done)
                    } else {
                        Err(PgError::no_table(name).into())
                    };
                }
                self.schema(&format!("DROP TABLE {}", super::sql::quote(name)))?;
                self.schema_version += 1;
                if let Some(table) = self.tables.remove(name) {
                    self.write("DELETE FROM _pico_table WHERE id = ?1", &[&table.id]);
                    self.write("DELETE FROM _pico_index WHERE table_id = ?1", &[&table.id]);
                }
                Ok(Outcome::Done)
            }
            Action::Alter { name, sql, change } => {
                self.schema(sql)?;
                self.schema_version += 1;
                let Some(mut table) = self.tables.remove(name) else {
                    return Err(PgError::no_table(name).into());
                };
                table.version = self.schema_version;
                match change {
                    Change::Add(column) => table.columns.push(column.clone()),
                    Change::Drop(column) => table.columns.retain(|one| one.name != *column),
                    Change::Rename(new) => table.name.clone_from(new),
                }
                self.write("DELETE FROM _pico_table WHERE id = ?1", &[&table.id]);
                self.describe(&table);
                self.tables.insert(table.name.clone(), table);
                Ok(Outcome::Done)
            }
            Action::CreateIndex(index) => self.create_index(index),
            Action::DropIndex { name, if_exists } => self.drop_index(name, *if_exists),
            Action::Schema(_, sql) => self.schema(sql).map(|()| Outcome::Done),
            _ => Ok(Outcome::Done),
        }
    }

    fn query(&self, sql: &str, params: &[Value]) -> Result<Vec<Vec<Value>>, Failure> {
        let mut statement = self
            .db
            .prepare_cached(sql)
            .map_err(|error| failure(&error))?;
        let count = statement.column_count();
        let rows = statement.query_map(params_from_iter(params), |row| {
            (0..count).map(|column| row.get(column)).collect()
        });
        rows.and_then(Iterator::collect)
            .map_err(|error| failure(&error))
    }

    fn schema(&self, sql: &str) -> Result<(), Failure> {
        self.db.execute_batch(sql).map_err(|error| failure(&error))
    }

    fn describe(&self, table: &Table) {
        self.write(
            "INSERT INTO _pico_table VALUES (?1, ?2, ?3, ?4, ?5, 1, 'memtx', 1, '')",
            &[
                &table.id,
                &table.name,
                &table.distribution_json(),
                &table.format_json(),
                &table.version,
            ],
        );
    }

    fn describe_index(&self, table: &Table, index: &Index) {
        // The primary key is the index 0, and the numbers go on from there.
        self.write(
            "INSERT INTO _pico_index VALUES (?1, (SELECT count(*) FROM _pico_index WHERE table_id = ?1), ?2, 'tree', ?3, ?4, \
             1, ?5)",
            &[
                &table.id,
                &index.name,
                &index.options_json(),
                &index.parts_json(table),
                &self.schema_version,
            ],
        );
    }

    fn has_index(&self, name: &str) -> bool {
        let sql = "SELECT 1 FROM _pico_index WHERE name = ?1";
        self.db.prepare_cached(sql).unwrap().exists([name]).unwrap()
    }

    fn create_index(&mut self, index: &Index) -> Result<Outcome, Failure> {
        let Some(table) = self.tables.get(&index.table) else {
            return Err(PgError::no_table(&index.table).into());
        };
        if self.has_index(&index.name) {
            return if index.if_not_exists {
                Ok(Outcome::Done)
            } else {
                Err(PgError::sql(format!("index {} already exists", index.name)).into())
            };
        }
        let table = table.clone();
        if index.unique && !index.columns.starts_with(&table.distributed_by) {
            let text = "unique index for the sharded table must include all sharding key columns as a prefix";
            return Err(PgError::new("XX000", text).into());
        }
        self.schema(&index.definition())?;
        self.schema_version += 1;
        self.describe_index(&table, index);
        Ok(Outcome::Done)
    }

    fn drop_index(&mut self, name: &str, if_exists: bool) -> Result<Outcome, Failure> {
        if !self.has_index(name) {
            return if if_exists {
                Ok(Outcome::Done)
            } else {
                Err(PgError::sql(format!("index {name} does not exist")).into())
            };
        }
        self.schema(&format!("DROP INDEX {}", super::sql::quote(name)))?;
        self.schema_version += 1;
        self.write("DELETE FROM _pico_index WHERE name = ?1", &[&name]);
        Ok(Outcome::Done)
    }

    fn define_functions(&self) -> rusqlite::Result<()> {
        type Answer = Result<Value, String>;
        let define = |name: &str, arguments: i32, answer: fn(&Facts, &str) -> Answer| {
            let facts = Arc::clone(&self.facts);
            self.db.create_scalar_function(
                name,
                arguments,
                FunctionFlags::SQLITE_UTF8,
                move |call| {
                    let argument: Option<String> = if arguments == 0 { None } else { call.get(0)? };
                    let facts = facts.lock().unwrap();
                    answer(&facts, argument.as_deref().unwrap_or_default())
                        .map_err(|text| rusqlite::Error::UserFunctionError(text.into()))
                },
            )
        };
        fn name(facts: &Facts, uuid: &str, which: usize) -> Answer {
            let names = facts.instances.get(uuid);
            Ok(names.map_or(Value::Null, |names| Value::Text(names[which].clone())))
        }
        define("pico_raft_leader_id", 0, |facts, _| {
            Ok(Value::Integer(facts.leader_id.cast_signed()))
        })?;
        define("pico_raft_leader_uuid", 0, |facts, _| {
            let uuid = facts.leader_uuid.clone().map(Value::Text);
            uuid.ok_or_else(|| "instance with raft_id 0 not found".to_owned())
        })?;
        define("pico_instance_uuid", 0, |facts, _| {
            Ok(Value::Text(facts.me.clone()))
        })?;
        define("pico_instance_name", 1, |facts, uuid| name(facts, uuid, 0))?;
        define("pico_replicaset_name", 1, |facts, uuid| {
            name(facts, uuid, 1)
        })?;
        define("pico_tier_name", 1, |facts, uuid| name(facts, uuid, 2))?;
        define("version", 0, |_, _| Ok(Value::Text("25.5.7-0".to_owned())))?;
        define("_pico_bucket", 1, |facts, tier| {
            let ranges = facts.buckets.get(tier).cloned().map(Value::Text);
            ranges.ok_or_else(|| format!("_pico_bucket: tier '{tier}' doesn't exist"))
        })
    }
}

fn failure(error: &rusqlite::Error) -> Failure {
    if let rusqlite::Error::SqliteFailure(code, Some(text)) = error
        && code.code == ErrorCode::ConstraintViolation
        && let Some(column) = text.strip_prefix("UNIQUE constraint failed: ")
    {
        return Failure::Duplicate(column.split('.').next().unwrap_or_default().to_owned());
    }
    Failure::Other(refusal(error))
}

fn refusal(error: &rusqlite::Error) -> PgError {
    let text = match error {
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        rusqlite::Error::SqliteFailure(_, Some(text)) => text.clone(),
        other => other.to_string(),
    };
    let unqualified = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    if let Some(name) = text.strip_prefix("no such table: ") {
        PgError::no_table(&unqualified(name))
    } else if let Some(name) = text.strip_prefix("unknown database ") {
        PgError::no_table(name)
    } else if let Some(name) = text.strip_prefix("no such column: ") {
        PgError::sql(format!(
            "column with name {:?} not found",
            unqualified(name)
        ))
    } else if let Some(name) = text.strip_prefix("no such function: ") {
        PgError::sql(format!("SQL function {name} not found"))
    } else if text.contains("syntax error") || text.contains("incomplete input") {
        PgError::sql(format!("rule parsing error: {text}"))
    } else {
        PgError::sql(text)
    }
}
