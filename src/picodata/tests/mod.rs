//! Sessions with real PostgreSQL servers, and the members of a pool.

mod arrays;
mod batches;
mod connecting;
mod deadlines;
mod encryption;
mod fields;
mod manners;
mod members;
mod membership;
mod running;
mod values;

#[allow(
    dead_code,
    unreachable_pub,
    reason = "integration tests use the rest of it"
)]
#[path = "../../../tests/common/basic.rs"]
mod basic;
#[allow(
    dead_code,
    unreachable_pub,
    reason = "integration tests use the rest of it"
)]
#[path = "../../../tests/common/postgres.rs"]
mod postgres;

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use crate::backend::{ExecResult, NextRow, Session};
use crate::deadline::Deadline;
use crate::error::Result;
use crate::net::wait::Call;
use crate::params::{Params, ParamsRef};
use crate::picodata::connect::connect;
use crate::picodata::options::{ConnectOptions, Server};
use crate::picodata::session::PicodataSession;
use crate::row::Row;
use crate::value::Value;
use postgres::{Auth, PostgresCluster, PostgresOptions};

/// The password of every user but `postgres`.
const PASSWORD: &str = "correct horse";

/// A cluster for all tests that leave it as it is; it goes with the last of them.
fn shared() -> Arc<PostgresCluster> {
    static SHARED: Mutex<Weak<PostgresCluster>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(cluster) = shared.upgrade() {
        return cluster;
    }
    let options = PostgresOptions::new()
        .user("by_md5", PASSWORD, Auth::Md5)
        .user("by_scram", PASSWORD, Auth::Scram)
        .user("in_clear", PASSWORD, Auth::Password)
        .setting("log_connections", "on")
        .tls();
    let cluster = Arc::new(PostgresCluster::start(&options));
    *shared = Arc::downgrade(&cluster);
    cluster
}

fn options() -> ConnectOptions {
    let mut options = ConnectOptions::new(Server::Postgres, "postgres");
    options.connect_timeout = Duration::from_secs(20);
    options
}

fn seconds(seconds: u64) -> Call<'static> {
    Call::until(Deadline::after(Duration::from_secs(seconds)))
}

fn open_with(cluster: &PostgresCluster, options: ConnectOptions) -> Result<Testing> {
    connect(&cluster.address(), &Arc::new(options), &seconds(20)).map(Testing)
}

fn open(cluster: &PostgresCluster) -> Testing {
    open_with(cluster, options()).unwrap()
}

/// A session with the calls that most tests want.
struct Testing(PicodataSession);

impl Testing {
    fn exec(&mut self, sql: &str, params: impl Params) -> Result<ExecResult> {
        params.with_values(|params| self.0.exec(sql, params, &seconds(20)))
    }

    fn query(&mut self, sql: &str, params: impl Params) -> Result<Vec<Vec<Value>>> {
        params.with_values(|params: ParamsRef<'_>| self.0.query(sql, params, &seconds(20)))?;
        self.rows()
    }

    /// Goes to the next row, and waits for it if need be.
    fn advance(&mut self, call: &Call<'_>) -> Result<bool> {
        loop {
            match self.0.next_row()? {
                NextRow::Row => return Ok(true),
                NextRow::End => return Ok(false),
                NextRow::Wait => self.0.receive_rows(call)?,
            }
        }
    }

    /// The rows that are left.
    fn rows(&mut self) -> Result<Vec<Vec<Value>>> {
        let mut rows = Vec::new();
        while self.advance(&seconds(20))? {
            let row = self.row();
            let values = (0..row.len()).map(|index| row.get::<Value>(index));
            rows.push(values.collect::<Result<_>>()?);
        }
        Ok(rows)
    }

    fn row(&self) -> Row<'_> {
        Row::new(self.0.columns(), self.0.cells(), self.0.data())
    }

    /// The one value of a query.
    fn value(&mut self, sql: &str, params: impl Params) -> Result<Value> {
        Ok(self.query(sql, params)?.remove(0).remove(0))
    }

    /// The session is in step: it answers what it is asked.
    fn check(&mut self) {
        assert!(!self.0.is_broken());
        assert_eq!(
            self.value("SELECT 40 + $1::int", (2,)).unwrap(),
            Value::Int(42)
        );
    }
}
