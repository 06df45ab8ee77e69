//! A session with the leader of a dqlite cluster: one database, one statement at a time.

mod batch;
mod preparing;
mod rows;

use std::collections::VecDeque;

use crate::backend::{BatchStep, Description, ExecResult, NextRow, Session};
use crate::batch::BatchItem;
use crate::dqlite::channel::{Channel, harmless};
use crate::dqlite::parting;
use crate::dqlite::reading::Reading;
use crate::dqlite::statements::{Kind, Prepared, bind};
use crate::dqlite::wire::request::Request;
use crate::dqlite::wire::response::Response;
use crate::dqlite::wire::{PREPARE_SCHEMA_OFFSET, RESPONSE_EMPTY};
use crate::error::{Error, ErrorKind, Outcome, Result};
use crate::logging::Logger;
use crate::net::socket::Idle;
use crate::net::stream::Answers;
use crate::net::wait::Call;
use crate::params::ParamsRef;
use crate::row::{Cell, Columns};
use crate::sql::{Dialect, Effect};
use crate::statement_cache::StatementCache;

use preparing::one_statement;

/// The id of a connection's one database (dqlite, `src/gateway.c`).
const DB: u32 = 0;

// SQLite's primary result codes (sqlite3.h, "Result Codes").
const SQLITE_ERROR: i32 = 1;
const SQLITE_ROW: i32 = 100;

pub(crate) struct DqliteSession {
    channel: Channel,
    address: String,
    logger: Logger,
    statements: StatementCache<Prepared>,
    prepare_schema: u8,
    /// Whether the server is 1.15 or later: these replicate what a QUERY writes, and take more than 255
    /// parameters. Known after the first PREPARE that succeeds: they answer its schema 1.
    since_1_15: Option<bool>,
    in_transaction: bool,
    /// How many transactions have ended by statements.
    endings: u64,
    reading: Reading,
    /// What the last statement without rows has done that was queried or stepped to.
    written: ExecResult,
    steps: VecDeque<Step>,
    /// Answers to FINALIZE that come before the one that is waited for.
    finalizing: usize,
}

/// A statement of a batch that is under way.
struct Step {
    /// The position of the end of its request.
    end: u64,
    kind: Kind,
    statement: Option<u32>,
}

impl DqliteSession {
    /// Opens the database `name` on a channel whose node has said that it is the leader.
    pub(crate) fn open(
        mut channel: Channel,
        address: &str,
        name: &str,
        statement_cache: usize,
        call: &Call<'_>,
    ) -> Result<Self> {
        let client = Request::Client {
            id: u64::from(std::process::id()),
        };
        let open = Request::Open {
            name,
            flags: 0,
            vfs: "volatile",
        };
        channel.queue(&client)?;
        channel.queue(&open)?;
        channel
            .flush(call)
            .and_then(|()| channel.receive(call))
            .map_err(harmless)?;
        if !matches!(
            channel.response().map_err(harmless)?,
            Response::Welcome { .. }
        ) {
            return Err(harmless(channel.unexpected("WELCOME")));
        }
        channel.receive(call).map_err(harmless)?;
        if !matches!(
            channel.response().map_err(harmless)?,
            Response::Db { id: DB }
        ) {
            let error = harmless(channel.unexpected("DB"));
            return Err(error.context(format_args!("opening the database {name:?}")));
        }
        Ok(DqliteSession {
            channel,
            address: address.to_owned(),
            logger: Logger::default(),
            statements: StatementCache::new(statement_cache),
            prepare_schema: PREPARE_SCHEMA_OFFSET,
            since_1_15: None,
            in_transaction: false,
            endings: 0,
            reading: Reading::default(),
            written: ExecResult::default(),
            steps: VecDeque::new(),
            finalizing: 0,
        })
    }

    pub(crate) fn with_logger(mut self, logger: Logger) -> Self {
        self.logger = logger;
        self
    }

    /// Sends one request, together with the FINALIZE of statements that nobody wants any more, and receives
    /// its answer.
    fn converse(&mut self, request: &Request<'_>, call: &Call<'_>) -> Result<()> {
        self.check_step()?;
        let used = match request {
            Request::Exec { stmt, .. } | Request::Query { stmt, .. } => Some(*stmt),
            _ => None,
        };
        let dropped = self
            .statements
            .take_dropped(|prepared| Some(prepared.id) == used);
        let start = self.channel.queued();
        for prepared in &dropped {
            self.channel.queue(&Request::Finalize {
                db: DB,
                stmt: prepared.id,
            })?;
        }
        let end = match self.channel.queue(request) {
            Ok(end) => end,
            Err(error) => {
                self.channel.unqueue(start);
                self.statements.drop_again(dropped);
                return Err(error);
            }
        };
        self.finalizing += dropped.len();
        // Of several answers the second would wait for the acknowledgement of the first.
        self.channel.expect(if self.finalizing > 0 {
            Answers::Many
        } else {
            Answers::One
        });
        let answered = self.channel.flush(call).and_then(|()| self.receive(call));
        self.channel.expect(Answers::One);
        answered.map_err(|error| {
            self.channel.set_broken();
            let outcome = self.channel.outcome(end);
            error.with_outcome(outcome)
        })
    }

    /// Fails, and breaks the session, where something of an earlier answer has not been read: it would be
    /// taken for the next one.
    fn check_step(&mut self) -> Result<()> {
        if !self.reading.is_open() && self.steps.is_empty() && !self.channel.has_unread() {
            return Ok(());
        }
        self.channel.set_broken();
        Err(Error::new(
            ErrorKind::Disconnected,
            "the connection is given up: not all of an earlier answer was read, or more came than was asked for",
        ))
    }

    /// Receives the answer to a request, past those to FINALIZE.
    fn receive(&mut self, call: &Call<'_>) -> Result<()> {
        while self.finalizing > 0 {
            self.channel.receive(call)?;
            self.finalizing -= 1;
            if self.channel.kind() != RESPONSE_EMPTY {
                // A statement that the server no longer knows needs no dropping.
                let error = self.channel.unexpected("EMPTY");
                self.logger.debug(format_args!(
                    "{}: dropping a statement: {error}",
                    self.address
                ));
            }
        }
        self.channel.receive(call)
    }

    /// The error of an answer that is no success, for a statement of `kind`.
    fn statement_failure(&mut self, wanted: &str, kind: Kind) -> Error {
        let error = self.channel.unexpected(wanted);
        if !kind.several {
            return error;
        }
        if kind.effect != Effect::None {
            // Nobody can tell whether the transaction was begun or ended.
            self.channel.set_broken();
        }
        let yields_rows = error.code() == Some(SQLITE_ROW);
        error
            .with_outcome(Outcome::Unknown)
            .context(match yields_rows {
                true => {
                    "one of several statements answers rows, which is for one by itself or in a batch, and those \
                     before it were applied"
                }
                false => "one of several statements failed, and those before it were applied",
            })
    }

    fn exec_kind(
        &mut self,
        sql: &str,
        (kind, prepared): (Kind, Option<Prepared>),
        params: ParamsRef<'_>,
        call: &Call<'_>,
    ) -> Result<ExecResult> {
        if kind.several && !params.is_empty() {
            return Err(Error::new(
                ErrorKind::Misuse,
                "several statements cannot share parameters; run them one by one, or in a batch",
            ));
        }
        if kind.several {
            none_returning(sql)?;
        }
        let parameters = prepared.map(|prepared| prepared.parameters);
        let parameters = if kind.several { Some(0) } else { parameters };
        self.check_support(kind, params.len(), call)?;
        bind(sql, parameters, params, |params| {
            let request = match prepared {
                Some(Prepared { id: stmt, .. }) => Request::Exec {
                    db: DB,
                    stmt,
                    params,
                },
                None => Request::ExecSql {
                    db: u64::from(DB),
                    sql: sql.get(..kind.end).unwrap_or(sql),
                    params,
                },
            };
            self.converse(&request, call)
        })?;
        match self.channel.response()? {
            Response::Result {
                last_insert_id,
                rows_affected,
            } => {
                let result = exec_result(kind, last_insert_id, rows_affected);
                self.apply(kind.effect);
                Ok(result)
            }
            _ => Err(self.statement_failure("RESULT", kind)),
        }
    }

    fn query_kind(
        &mut self,
        sql: &str,
        (kind, prepared): (Kind, Option<Prepared>),
        params: ParamsRef<'_>,
        call: &Call<'_>,
    ) -> Result<()> {
        self.written = ExecResult::default();
        self.check_support(kind, params.len(), call)?;
        let parameters = prepared.map(|prepared| prepared.parameters);
        bind(sql, parameters, params, |params| {
            let request = match prepared {
                Some(Prepared { id: stmt, .. }) => Request::Query {
                    db: DB,
                    stmt,
                    params,
                },
                None => Request::QuerySql {
                    db: u64::from(DB),
                    sql,
                    params,
                },
            };
            self.converse(&request, call)
        })?;
        self.begin_rows(kind, prepared.map(|prepared| prepared.id))
    }

    fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::Begin => {
                // Within a transaction, only a text that has ended it before can begin one.
                self.endings += u64::from(self.in_transaction);
                self.in_transaction = true;
            }
            Effect::Savepoint => self.in_transaction = true,
            Effect::End => {
                self.in_transaction = false;
                self.endings += 1;
            }
            // A savepoint that began a transaction ends it when it is released, but savepoints have names:
            // only the server knows. A rollback when the connection goes back settles it.
            Effect::None | Effect::Release | Effect::RollbackTo => {}
        }
    }
}

impl Session for DqliteSession {
    fn is_broken(&self) -> bool {
        self.channel.is_broken()
    }

    fn idle(&mut self) -> Idle {
        if self.reading.is_open() || !self.steps.is_empty() {
            return Idle::OutOfStep;
        }
        self.channel.idle()
    }

    fn in_transaction(&self) -> bool {
        self.in_transaction
    }

    fn endings(&self) -> u64 {
        self.endings
    }

    fn prepare(&mut self, sql: &str, call: &Call<'_>) -> Result<Description> {
        let prepared = match self.statements.get(sql).copied() {
            Some(prepared) => prepared,
            None => {
                let kind = Kind::of(sql)?;
                self.prepare_text(sql, kind, call)?
            }
        };
        Ok(Description {
            parameters: prepared.parameters,
        })
    }

    fn exec(&mut self, sql: &str, params: ParamsRef<'_>, call: &Call<'_>) -> Result<ExecResult> {
        let (kind, prepared) = self.look_up(sql, call)?;
        if !kind.rows || kind.several || kind.pragma {
            match self.exec_kind(sql, (kind, prepared), params, call) {
                Err(error) if kind.pragma && !kind.several && answers_otherwise(&error) => {}
                done => return done,
            }
        }
        self.query_kind(sql, (kind, prepared), params, call)?;
        let rows = self.drain(call)?;
        Ok(ExecResult {
            rows_affected: if kind.writes_and_answers { rows } else { 0 },
            ..ExecResult::default()
        })
    }

    fn query(&mut self, sql: &str, params: ParamsRef<'_>, call: &Call<'_>) -> Result<()> {
        let (kind, prepared) = self.look_up(sql, call)?;
        one_statement(sql, kind)?;
        if kind.rows || kind.pragma {
            match self.query_kind(sql, (kind, prepared), params, call) {
                Err(error) if kind.pragma && answers_otherwise(&error) => {}
                done => return done,
            }
        }
        self.written = self.exec_kind(sql, (kind, prepared), params, call)?;
        self.reading.clear();
        Ok(())
    }

    fn columns(&self) -> &Columns {
        self.reading.columns()
    }

    fn written(&self) -> ExecResult {
        self.written
    }

    fn rows_write(&self) -> bool {
        self.reading.writes()
    }

    fn next_row(&mut self) -> Result<NextRow> {
        self.step_row()
    }

    fn receive_rows(&mut self, call: &Call<'_>) -> Result<()> {
        self.receive_part(call)
    }

    fn cells(&self) -> &[Cell] {
        self.reading.cells()
    }

    fn data(&self) -> &[u8] {
        self.channel.body()
    }

    fn try_close_rows(&mut self) -> bool {
        self.try_end_rows()
    }

    fn close_rows(&mut self, call: &Call<'_>) -> Result<()> {
        self.abandon_rows(call)
    }

    fn part(self: Box<Self>) {
        let holds_lock = self.in_transaction || self.reading.writes();
        if holds_lock && self.since_1_15 != Some(false) && self.channel.is_owed() {
            parting::hear_out(self.channel);
        }
    }

    fn start_batch(&mut self, items: &[BatchItem], call: &Call<'_>) -> Result<()> {
        self.begin_batch(items, call)
    }

    fn next_step(&mut self, call: &Call<'_>) -> Option<Result<BatchStep>> {
        self.next_answer(call)
    }

    fn ping(&mut self, call: &Call<'_>) -> Result<()> {
        self.converse(&Request::Leader, call).map_err(harmless)?;
        match self.channel.response().map_err(harmless)? {
            Response::Node { address, .. } | Response::NodeLegacy { address }
                if address == self.address =>
            {
                Ok(())
            }
            Response::Node { .. } | Response::NodeLegacy { .. } => Err(Error::new(
                ErrorKind::NotLeader,
                "the node is no longer the leader",
            )),
            _ => Err(harmless(self.channel.unexpected("NODE"))),
        }
    }
}

fn exec_result(kind: Kind, last_insert_id: u64, rows_affected: u64) -> ExecResult {
    ExecResult {
        // Row ids are signed, and sent as their two's complement.
        last_insert_id: last_insert_id as i64,
        rows_affected: if kind.counts { rows_affected } else { 0 },
    }
}

/// Whether a PRAGMA may have failed because it was sent as a query and answers no rows, or the other way
/// round. Which pragmas answer rows depends on their argument and on the release of SQLite, and only 1.15 and
/// later take those that don't as a query. A pragma that is run twice does no harm.
fn answers_otherwise(error: &Error) -> bool {
    matches!(error.primary_code(), Some(SQLITE_ERROR | SQLITE_ROW))
}

/// Fails where one of several statements writes and answers rows.
///
/// The server runs several by EXEC alone, and one that yields a row there is left in the middle of its run,
/// with the write lock: the connection then hangs and every other write finds the database locked (1.18.6),
/// or the next write ends the server (1.11.1).
fn none_returning(sql: &str) -> Result<()> {
    let returning = crate::sql::statements(sql, Dialect::Sqlite)
        .position(|one| crate::sql::shape(one, Dialect::Sqlite).returning);
    match returning {
        None => Ok(()),
        Some(index) => Err(Error::new(
            ErrorKind::Misuse,
            format!(
                "statement {} of several has RETURNING; run it by itself, or in a batch",
                index + 1
            ),
        )),
    }
}
