//! The sharding key of a table, as a program asks for it.

use std::fmt;
use std::sync::Arc;

use crate::backend::{Aim, TableSharding};
use crate::cancel::CancelHandle;
use crate::connection::Connection;
use crate::deadline::Deadline;
use crate::error::Result;
use crate::params::Params;
use crate::pool::Pool;

/// The columns of a Picodata table by which its rows are spread over the instances: it tells the bucket of a row,
/// and gives a connection to the instance that has it.
///
/// [`Pool::sharding_key`] gives one. A statement that runs on the master of its bucket needs no hop inside of the
/// cluster; any other instance runs it as well, at the price of that hop. So a key that is older than the table, or
/// a map of the buckets that is older than their last move, costs time and is never an error. A key describes the
/// table as it was when the key was asked for; asking again costs no round trip as long as the schema is the same.
///
/// Cloning is cheap. Any thread may use it. It keeps the pool open.
///
/// ```no_run
/// # fn main() -> quorate::Result<()> {
/// let pool = quorate::Pool::open("picodata://app@10.0.0.1:4327/app")?;
/// let key = pool.sharding_key("orders")?;
/// let mut connection = key.connection((42,))?;
/// connection.exec("UPDATE orders SET paid = true WHERE id = $1", (42,))?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct ShardingKey {
    pool: Pool,
    key: Arc<dyn TableSharding>,
}

impl ShardingKey {
    pub(crate) fn new(pool: Pool, key: Arc<dyn TableSharding>) -> Self {
        ShardingKey { pool, key }
    }

    /// The name of the table.
    pub fn table(&self) -> &str {
        self.key.table()
    }

    /// The tier that the table's buckets are in.
    pub fn tier(&self) -> &str {
        self.key.tier()
    }

    /// The names of the columns, in the order in which values are given by position.
    pub fn columns(&self) -> &[String] {
        self.key.columns()
    }

    /// The bucket, from 1 to the number of buckets of the tier, of a row with these values in the columns of the key:
    /// by position, or by the names of the columns. Never blocks.
    ///
    /// A value has to be of the column's type, except that an integer may stand for a double or a decimal. The
    /// bucket is the one that the server computes for parameters as this library sends them.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`](crate::ErrorKind::Misuse): a column was given no value, or two, or there is no such
    /// column. [`ErrorKind::Conversion`](crate::ErrorKind::Conversion): a value is of another type than its column,
    /// or a decimal that the server would round. Both name the column.
    pub fn bucket(&self, params: impl Params) -> Result<u64> {
        params.with_values(|params| self.key.bucket(params))
    }

    /// Takes a connection out of the pool, to the master of the bucket of a row with these values in the columns of
    /// the key. Where the map of the buckets does not say which instance that is, where it cannot be reached, is
    /// not admitted by the pool's role and tier, or has no connection to spare, to any instance.
    ///
    /// Blocks as [`Pool::acquire`], within the configured timeout or the deadline of [`within`](ShardingKey::within).
    ///
    /// # Errors
    ///
    /// As [`bucket`](ShardingKey::bucket) and as [`Pool::acquire`].
    pub fn connection(&self, params: impl Params) -> Result<Connection> {
        params.with_values(|params| {
            let aim = Aim::Bucket {
                tier: self.key.tier(),
                bucket: self.key.bucket(params)?,
            };
            self.pool.acquire_for(aim)
        })
    }

    /// As [`connection`](ShardingKey::connection), within bounds that hold for the acquisition alone.
    pub(crate) fn connection_within(
        &self,
        params: impl Params,
        deadline: Option<Deadline>,
        cancel: Option<&CancelHandle>,
    ) -> Result<Connection> {
        let bounded = ShardingKey {
            pool: self.pool.bounded(deadline, cancel.cloned()),
            key: Arc::clone(&self.key),
        };
        let mut connection = bounded.connection(params)?;
        connection.release_bounds();
        Ok(connection)
    }

    /// The same key with a deadline for the connections that are taken out through the value that is returned, and
    /// for their calls; see [`Pool::within`].
    pub fn within(&self, deadline: impl Into<Deadline>) -> ShardingKey {
        ShardingKey {
            pool: self.pool.within(deadline),
            key: Arc::clone(&self.key),
        }
    }

    /// The same key with a handle that cancels the connections that are taken out through the value that is
    /// returned; see [`Pool::cancel_with`].
    pub fn cancel_with(&self, handle: &CancelHandle) -> ShardingKey {
        ShardingKey {
            pool: self.pool.cancel_with(handle),
            key: Arc::clone(&self.key),
        }
    }
}

impl fmt::Debug for ShardingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardingKey")
            .field("table", &self.table())
            .field("tier", &self.tier())
            .field("columns", &self.columns())
            .finish_non_exhaustive()
    }
}
