//! What the two databases implement: how an endpoint is chosen, and what goes over its socket.

use std::sync::Arc;
use std::time::Duration;

use crate::batch::BatchItem;
use crate::error::{Error, Result};
use crate::net::flight::Flight;
use crate::net::socket::Idle;
use crate::net::wait::Call;
use crate::params::ParamsRef;
use crate::row::{Cell, Columns};
use crate::topology::Instance;

/// One database: its topology and its way of choosing an endpoint.
///
/// A pool holds one backend for its whole life and calls it from any thread.
pub(crate) trait Backend: Send + Sync + 'static {
    /// Chooses the endpoint for the next call; `None` if only such are left as are to be avoided. May block until
    /// `call` ends: dqlite looks up its leader, Picodata reads the topology if it never was.
    fn route(&self, target: &Target<'_>, call: &Call<'_>) -> Result<Option<Route>>;

    /// Opens a session on `endpoint`. Blocks until `call` ends at the latest, and no longer than `patience` for the
    /// endpoint itself.
    fn connect(
        &self,
        endpoint: &str,
        patience: Option<Duration>,
        call: &Call<'_>,
    ) -> Result<Box<dyn Session>>;

    /// Learns that a call on `endpoint` failed. Never blocks. True if the topology should be read again.
    fn report(&self, endpoint: &str, error: &Error) -> bool;

    /// Reads the topology again. Called on the worker thread; blocks until `call` ends at the latest.
    fn refresh(&self, call: &Call<'_>) -> Result<Refreshed>;

    /// Whether it wants to know how long answers take; asked before each call.
    fn measures(&self) -> bool {
        false
    }

    /// Learns how long `endpoint` took to answer a call. Never blocks.
    fn answered(&self, _endpoint: &str, _time: Duration) {}

    /// The endpoints that calls are spread over; none where all go to one. May block until `call` ends.
    fn endpoints(&self, _call: &Call<'_>) -> Result<Vec<Arc<str>>> {
        Ok(Vec::new())
    }

    /// Whether calls are kept from any endpoint. Never blocks.
    fn leaves_out(&self) -> bool {
        false
    }

    /// Takes the turn to try one of the endpoints that are left out, if it is time to. Never blocks.
    fn probe(&self) -> Option<Arc<str>> {
        None
    }

    /// Whether a call that may not go to `avoid` can go to another endpoint than `endpoint`. Never blocks.
    fn has_others(&self, _endpoint: &str, _avoid: &[Arc<str>]) -> bool {
        false
    }

    /// Closes the connections of its own, and forgets what it would answer without asking a server. Never blocks.
    fn reset(&self) {}

    /// Which rows lie where, if the database tells.
    fn sharding(&self) -> Option<&dyn ShardingSource> {
        None
    }

    /// The endpoints that are known at this moment. Never blocks.
    fn known_endpoints(&self) -> Vec<Arc<str>> {
        Vec::new()
    }

    /// What is thought of an endpoint. Never blocks.
    fn standing(&self, _endpoint: &str) -> Standing {
        Standing::default()
    }

    /// How many instances the last reading has found, and how many of them calls may go to. Never blocks.
    fn instances(&self) -> (usize, usize) {
        (0, 0)
    }

    /// All instances that the last reading has found. Never blocks.
    fn known_instances(&self) -> Vec<Arc<Instance>> {
        Vec::new()
    }

    /// The number of times that the preferred endpoint (dqlite: the leader) became another one.
    fn leader_changes(&self) -> u64;
}

/// What a database tells of where the rows of its tables lie.
pub(crate) trait ShardingSource: Send + Sync {
    /// Lets one thread at a time read.
    fn reading(&self) -> &Flight;

    /// The sharding of a table, if it was read already. Never blocks.
    fn known(&self, table: &str) -> Option<Arc<dyn TableSharding>>;

    /// Reads the sharding of a table. Blocks until `call` ends at the latest.
    fn read_table(
        &self,
        table: &str,
        session: &mut dyn Session,
        call: &Call<'_>,
    ) -> Result<Arc<dyn TableSharding>>;
}

/// How the rows of one table are spread over the buckets of its tier. It never changes; a new reading makes a new
/// one. No method blocks.
pub(crate) trait TableSharding: Send + Sync {
    fn table(&self) -> &str;

    fn tier(&self) -> &str;

    /// The columns that the bucket is computed from.
    fn columns(&self) -> &[String];

    /// The bucket, from 1 to the number of buckets, of a row with these values in the columns. An error names the
    /// column.
    fn bucket(&self, params: ParamsRef<'_>) -> Result<u64>;
}

/// What the choice of an endpoint depends on besides the topology.
pub(crate) struct Target<'a> {
    /// The endpoints that have failed in this call.
    pub(crate) avoid: &'a [Arc<str>],
    /// How many connections of the pool to an endpoint are in use.
    pub(crate) load: &'a dyn Fn(&str) -> u32,
    pub(crate) aim: Aim<'a>,
    /// Has the topology read soon. Never blocks.
    pub(crate) refresh: &'a dyn Fn(),
}

/// What a connection is taken out for.
///
/// It is looked at by a database whose instances differ in how near they are to a row, and costs nothing
/// elsewhere.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Aim<'a> {
    /// Nothing is known of it.
    Any,
    /// This statement with these parameters, as the caller wrote them.
    Statement(&'a str, ParamsRef<'a>),
    /// These statements.
    Batch(&'a [BatchItem]),
    /// The rows of a bucket.
    Bucket { tier: &'a str, bucket: u64 },
}

/// What a backend thinks of an endpoint.
#[derive(Default)]
pub(crate) struct Standing {
    /// Whether calls are kept from it for now.
    pub(crate) is_left_out: bool,
    /// How long an answer takes, where that is measured.
    pub(crate) latency: Option<Duration>,
}

/// What reading the topology has changed.
#[derive(Default)]
pub(crate) struct Refreshed {
    /// The endpoints that may still be used: the pools of all others are drained. `None` leaves all.
    pub(crate) keep: Option<Vec<Arc<str>>>,
}

/// The endpoint that a call goes to.
pub(crate) struct Route {
    pub(crate) endpoint: Arc<str>,
    /// A session that finding the endpoint has opened on the way.
    pub(crate) session: Option<Box<dyn Session>>,
    /// Whether it is the only one that serves: the pools of all others are drained, and where it fails, it is
    /// looked for again after a pause instead of going on to another.
    pub(crate) exclusive: bool,
}

/// What `exec` answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ExecResult {
    /// The row id of the last row that this connection inserted into a table with row ids (dqlite); 0
    /// where there is none.
    pub last_insert_id: i64,
    /// How many rows the statement inserted, changed or deleted.
    pub rows_affected: u64,
}

/// What the server says of a statement before it is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Description {
    pub(crate) parameters: usize,
}

/// The answer to one statement of a batch.
pub(crate) enum BatchStep {
    /// The statement ran and answers no rows.
    Done(ExecResult),
    /// The statement answers rows; they are read before the next step is asked for.
    Rows,
}

/// What the next row of a result is, as far as it has been received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NextRow {
    /// A row, which is now the current one.
    Row,
    /// There are no more rows.
    End,
    /// More has to be received first.
    Wait,
}

/// A conversation with one server over one socket.
///
/// One thread at a time uses a session. Every method that takes a [`Call`] blocks until the call ends at
/// the latest; no other method blocks. An error says what became of the statement. A session that is out
/// of step with its server after an error says so in [`is_broken`](Session::is_broken), and fails every
/// later call.
///
/// Rows are read to their end or closed before anything else is asked of the session.
pub(crate) trait Session: Send {
    /// Whether the session can no longer be used.
    fn is_broken(&self) -> bool;

    /// Looks at an idle session without waiting.
    fn idle(&mut self) -> Idle;

    /// Whether a transaction is open on the server.
    fn in_transaction(&self) -> bool;

    /// How often a transaction has ended, or a statement has run outside of one, as far as the session knows: where
    /// the number is another one than before, something may have been applied since.
    fn endings(&self) -> u64;

    /// Prepares a statement, or finds it prepared.
    fn prepare(&mut self, sql: &str, call: &Call<'_>) -> Result<Description>;

    /// Runs statements whose rows, if any, nobody wants.
    fn exec(&mut self, sql: &str, params: ParamsRef<'_>, call: &Call<'_>) -> Result<ExecResult>;

    /// Runs one statement and keeps its rows to be read.
    fn query(&mut self, sql: &str, params: ParamsRef<'_>, call: &Call<'_>) -> Result<()>;

    /// The columns of the rows that are being read.
    fn columns(&self) -> &Columns;

    /// What the last statement that was queried, or stepped to in a batch, has done if it answers no rows.
    fn written(&self) -> ExecResult;

    /// Whether the statement that answers the rows may have changed the database as well.
    fn rows_write(&self) -> bool {
        false
    }

    /// Goes to the next row if it has been received. Never blocks and never touches the socket.
    fn next_row(&mut self) -> Result<NextRow>;

    /// Receives more rows, after [`next_row`](Session::next_row) has said that it waits for them.
    fn receive_rows(&mut self, call: &Call<'_>) -> Result<()>;

    /// The current row.
    // In two methods, so that both answers travel in registers: this is called for every row.
    fn cells(&self) -> &[Cell];

    /// The bytes that the spans of the current row lie in.
    fn data(&self) -> &[u8];

    /// Ends the reading of rows if the server has sent them all; false if it has not. Never blocks and never
    /// touches the socket.
    fn try_close_rows(&mut self) -> bool;

    /// Ends the reading of rows, whether all were read or not. An error may leave the session broken, and
    /// never out of step.
    fn close_rows(&mut self, call: &Call<'_>) -> Result<()>;

    /// Sends all statements of a batch at once. Nothing is sent if it fails for a fault in a statement.
    fn start_batch(&mut self, items: &[BatchItem], call: &Call<'_>) -> Result<()>;

    /// The answer to the next statement of the batch; `None` after the last one.
    ///
    /// An error is that statement's own, and the next step is the next statement's, unless the session is
    /// broken.
    fn next_step(&mut self, call: &Call<'_>) -> Option<Result<BatchStep>>;

    /// Asks the server whether it answers.
    fn ping(&mut self, call: &Call<'_>) -> Result<()>;

    /// Closes the connection. One whose server has to be heard out before is left to a thread that does so. Never
    /// blocks.
    fn part(self: Box<Self>) {}
}
