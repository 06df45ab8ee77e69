//! A node store in a table of an SQLite database.

mod table;

use std::path::Path;
use std::sync::{Condvar, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, params};

use super::{NodeInfo, NodeStore, checked};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::lock::Mutex;
use table::Table;

const DEFAULT_BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// SQLite counts the milliseconds of its busy timeout in an `int`.
const MAX_BUSY_TIMEOUT: Duration = Duration::from_millis(i32::MAX as u64);

/// Keeps the nodes in a table of an SQLite database that go-dqlite reads and writes too.
///
/// [`open`](SqliteNodeStore::open) uses the table `servers`, and [`builder`](SqliteNodeStore::builder) any
/// table, column and filter of an existing database.
///
/// **Ids and roles**: go-dqlite's table holds addresses alone; each node of it is reported with the id 0 and
/// as a [`Voter`](super::NodeRole::Voter), so that a lookup asks it. Where the table also has columns `id` and
/// `role`, both declared as an integer type, they are read and written. The table that
/// [`open`](SqliteNodeStore::open) creates has them, and go-dqlite can use that table: it reads the addresses,
/// in the order of the index, and leaves NULL in the two others, which is the id 0 and a voter. An id
/// above 2⁶³-1 is stored as the negative number of the same 64 bits.
///
/// **Order**: that of the rowids. A table whose `id` is its primary key has the order of the ids, a view or a
/// table without rowids the order that SQLite chooses.
///
/// **Writing** deletes the rows and inserts the new ones, in one immediate transaction; other columns get
/// their defaults. With a filter only the rows that it selects are deleted (go-dqlite deletes all), and a
/// list is refused if the filter would not select it afterwards.
///
/// **Blocking**: a call waits for another thread's call, and for another program's lock, each for the busy
/// timeout at most. One connection is open as long as the store lives.
pub struct SqliteNodeStore {
    /// None while a thread uses it.
    connection: Mutex<Option<Connection>>,
    given_back: Condvar,
    table: Table,
    busy_timeout: Duration,
}

/// Says which table of which database a [`SqliteNodeStore`] uses.
#[derive(Debug, Clone)]
pub struct SqliteNodeStoreBuilder {
    table: Table,
    create: bool,
    busy_timeout: Duration,
}

impl SqliteNodeStore {
    /// Opens the store in the table `servers` of the database at `path`, and creates both if they are missing.
    ///
    /// A `path` that begins with `file:` is read as SQLite's URI.
    ///
    /// # Errors
    ///
    /// Those of [`SqliteNodeStoreBuilder::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::builder(path).create(true).open()
    }

    /// Begins to describe a store in the database at `path`. Unless they are set, the schema is `main`, the
    /// table `servers` and the column `address`, and nothing is created.
    pub fn builder(path: impl AsRef<Path>) -> SqliteNodeStoreBuilder {
        SqliteNodeStoreBuilder {
            table: Table {
                path: path.as_ref().to_owned(),
                schema: "main".into(),
                name: "servers".into(),
                column: "address".into(),
                filter: None,
                address_only: false,
            },
            create: false,
            busy_timeout: DEFAULT_BUSY_TIMEOUT,
        }
    }

    fn with_connection<T>(
        &self,
        deadline: Deadline,
        call: impl FnOnce(&mut Connection) -> Result<T>,
    ) -> Result<T> {
        let left = deadline.remaining().unwrap_or(self.busy_timeout);
        let left = self.busy_timeout.min(left);
        let end = Deadline::after(left);
        let idle = self.connection.lock();
        let (mut idle, _) = self
            .given_back
            .wait_timeout_while(idle, left, |idle| idle.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        let Some(connection) = idle.take() else {
            let message = format!(
                "{}: other threads have used the store for {left:?}; try again, or raise the busy timeout",
                self.table.path.display(),
            );
            return Err(Error::new(ErrorKind::Store, message));
        };
        drop(idle);
        let mut turn = Turn {
            store: self,
            connection: Some(connection),
        };
        let Some(connection) = &mut turn.connection else {
            return Err(Error::new(ErrorKind::Internal, "a connection is missing"));
        };
        // SQLite sleeps in steps that it does not cut short, of up to 100 ms for a long timeout.
        connection
            .busy_timeout(end.remaining().unwrap_or_default())
            .map_err(|error| self.table.failed("open", error))?;
        call(connection)
    }
}

/// The use of a store by one thread. Its drop gives the connection back, also where the thread panics.
struct Turn<'s> {
    store: &'s SqliteNodeStore,
    connection: Option<Connection>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.store.connection.lock() = self.connection.take();
        self.store.given_back.notify_one();
    }
}

impl std::fmt::Debug for SqliteNodeStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteNodeStore")
            .field("table", &self.table)
            .field("busy_timeout", &self.busy_timeout)
            .finish_non_exhaustive()
    }
}

impl NodeStore for SqliteNodeStore {
    fn get(&self) -> Result<Vec<NodeInfo>> {
        self.get_within(Deadline::NONE)
    }

    fn set(&self, nodes: &[NodeInfo]) -> Result<()> {
        self.set_within(nodes, Deadline::NONE)
    }

    fn get_within(&self, deadline: Deadline) -> Result<Vec<NodeInfo>> {
        self.with_connection(deadline, |connection| self.table.get(connection))
    }

    fn set_within(&self, nodes: &[NodeInfo], deadline: Deadline) -> Result<()> {
        let nodes = checked(nodes)?;
        self.with_connection(deadline, |connection| self.table.set(connection, nodes))
    }
}

impl SqliteNodeStoreBuilder {
    /// The schema that holds the table; `main` unless set. The database is attached under any other name, so
    /// that a filter may use it.
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.table.schema = schema.into();
        self
    }

    /// The table; `servers` unless set. Any name will do, it is quoted.
    pub fn table(mut self, table: impl Into<String>) -> Self {
        self.table.name = table.into();
        self
    }

    /// The column that holds the addresses; `address` unless set. Any name will do, it is quoted.
    pub fn column(mut self, column: impl Into<String>) -> Self {
        self.table.column = column.into();
        self
    }

    /// An SQL expression, without `WHERE`, that selects the rows of this cluster; all unless set.
    ///
    /// It is run as it is: never make it from what is not trusted.
    pub fn filter(mut self, expression: impl Into<String>) -> Self {
        self.table.filter = Some(expression.into());
        self
    }

    /// Whether to leave columns `id` and `role` alone, where they mean something else; false unless set.
    pub fn address_only(mut self, address_only: bool) -> Self {
        self.table.address_only = address_only;
        self
    }

    /// Whether to create the file and the table if they are missing; false unless set.
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// How long a call waits for another thread or for another program's lock; 5 s unless set, and 24 days at
    /// most. With zero it does not wait.
    pub fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout.min(MAX_BUSY_TIMEOUT);
        self
    }

    /// Opens the store and reads its list once, so that a wrong name fails here. Blocks as
    /// [`NodeStore::get`] does.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`] if the file is missing or is no SQLite database, if the table or the column is
    /// missing, if the filter is no SQL expression, or if the list cannot be read. The message has the path,
    /// [`code`](Error::code) is SQLite's extended code, and the source is rusqlite's error.
    pub fn open(self) -> Result<SqliteNodeStore> {
        let mut connection = self
            .connect()
            .map_err(|error| self.table.failed("open", error))?;
        if self.create {
            self.table
                .create(&mut connection)
                .map_err(|error| self.table.failed("create", error))?;
        }
        self.table.get(&mut connection)?;
        Ok(SqliteNodeStore {
            connection: Mutex::new(Some(connection)),
            given_back: Condvar::new(),
            table: self.table,
            busy_timeout: self.busy_timeout,
        })
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_URI;
        if self.create {
            flags |= OpenFlags::SQLITE_OPEN_CREATE;
        }
        let path = &self.table.path;
        if self.table.schema.eq_ignore_ascii_case("main") {
            let connection = Connection::open_with_flags(path, flags)?;
            connection.busy_timeout(self.busy_timeout)?;
            return Ok(connection);
        }
        let connection = Connection::open_in_memory_with_flags(flags)?;
        connection.busy_timeout(self.busy_timeout)?;
        let path = path
            .to_str()
            .ok_or_else(|| rusqlite::Error::InvalidPath(path.clone()))?;
        connection.execute("ATTACH ?1 AS ?2", params![path, self.table.schema])?;
        Ok(connection)
    }
}

#[cfg(test)]
mod tests;
