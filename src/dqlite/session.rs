//! A session with the leader of a dqlite cluster: one database, one statement at a time.

mod batch;

use std::collections::VecDeque;

use crate::backend::{BatchStep, Description, ExecResult, NextRow, Session};
use crate::batch::BatchItem;
use crate::dqlite::channel::{Channel, harmless, violation};
use crate::dqlite::reading::{Reading, is_last_part};
use crate::dqlite::statements::{Kind, Prepared, bind};
use crate::dqlite::wire::params;
use crate::dqlite::wire::request::Request;
use crate::dqlite::wire::response::Response;
use crate::dqlite::wire::rows::RowStep;
use crate::dqlite::wire::{
    ERROR_PARSE, PARAMS_SCHEMA_U8, PREPARE_SCHEMA_OFFSET, PREPARE_SCHEMA_SINGLE, RESPONSE_EMPTY,
};
use crate::error::{Error, ErrorKind, Outcome, Result};
use crate::logging::Logger;
use crate::net::socket::Idle;
use crate::net::stream::Answers;
use crate::net::wait::Call;
use crate::params::ParamsRef;
use crate::row::{Cell, Columns};
use crate::sql::{Dialect, Effect};
use crate::statement_cache::StatementCache;

/// The id of a connection's one database (dqlite, `src/gateway.c`).
const DB: u32 = 0;

// SQLite's primary result codes (sqlite3.h, "Result Codes").
const SQLITE_ERROR: i32 = 1;
const SQLITE_ROW: i32 = 100;

/// How much of a result that nobody wants is read at most, in bytes: about what comes in the time in which a
/// new connection is made.
const DROP_LIMIT: usize = 1024 * 1024;

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
    reading: Reading,
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
        if !matches!(channel.response()?, Response::Welcome { .. }) {
            return Err(harmless(channel.unexpected("WELCOME")));
        }
        channel.receive(call).map_err(harmless)?;
        if !matches!(channel.response()?, Response::Db { id: DB }) {
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
            reading: Reading::default(),
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

    /// What is known of a text, and the statement that the server holds for it, if any.
    fn look_up(&mut self, sql: &str, call: &Call<'_>) -> Result<(Kind, Option<Prepared>)> {
        if let Some(prepared) = self.statements.get(sql).copied() {
            return Ok((prepared.kind, Some(prepared)));
        }
        let kind = Kind::of(sql)?;
        if kind.preparable && self.statements.size() > 0 {
            let prepared = self.prepare_text(sql, kind, call)?;
            return Ok((kind, Some(prepared)));
        }
        Ok((kind, None))
    }

    fn prepare_text(&mut self, sql: &str, kind: Kind, call: &Call<'_>) -> Result<Prepared> {
        one_statement(sql, kind)?;
        loop {
            let request = Request::Prepare {
                db: u64::from(DB),
                sql,
                schema: self.prepare_schema,
            };
            self.converse(&request, call).map_err(harmless)?;
            match self.take_prepared(sql, kind) {
                Err(error) if self.is_unknown_schema(&error) => {
                    self.prepare_schema = PREPARE_SCHEMA_SINGLE;
                }
                other => return other,
            }
        }
    }

    fn is_unknown_schema(&self, error: &Error) -> bool {
        self.prepare_schema != PREPARE_SCHEMA_SINGLE
            && error.code().is_some_and(|code| code as u64 == ERROR_PARSE)
    }

    /// Takes the answer to PREPARE.
    fn take_prepared(&mut self, sql: &str, kind: Kind) -> Result<Prepared> {
        let (id, parameters) = match self.channel.response()? {
            Response::Stmt { id, params, .. } => {
                self.since_1_15 = Some(false);
                (id, params)
            }
            Response::StmtWithOffset { id, params, .. } => {
                self.since_1_15 = Some(true);
                (id, params)
            }
            _ => return Err(harmless(self.channel.unexpected("STMT"))),
        };
        let prepared = Prepared {
            id,
            parameters: usize::try_from(parameters).unwrap_or(usize::MAX),
            kind,
        };
        self.statements.put(sql, prepared);
        Ok(prepared)
    }

    /// Whether the server is 1.15 or later; asks it where that is not known yet.
    fn is_since_1_15(&mut self, call: &Call<'_>) -> Result<bool> {
        if self.since_1_15.is_none() {
            // Nothing was prepared yet, or nothing could be.
            let probe = "SELECT 1";
            self.prepare_text(probe, Kind::of(probe)?, call)?;
        }
        Ok(self.since_1_15 == Some(true))
    }

    /// Fails where the server has not what a statement needs.
    fn check_support(&mut self, kind: Kind, parameters: usize, call: &Call<'_>) -> Result<()> {
        // 1.11 does not look at the schema of the parameters, and takes the low byte of their number for the
        // whole: of 256 it binds none, and runs the statement all the same.
        if params::schema(parameters) != PARAMS_SCHEMA_U8 && !self.is_since_1_15(call)? {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "this server takes at most 255 parameters, not {parameters}; dqlite 1.15 takes more"
                ),
            ));
        }
        if !kind.writes_and_answers || self.is_since_1_15(call)? {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Unsupported,
            "this server runs a writing statement with RETURNING on the leader alone and does not \
             replicate it; dqlite 1.15 does. Leave RETURNING out and use last_insert_id",
        ))
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
        error
            .with_outcome(Outcome::Unknown)
            .context("one of several statements failed, and those before it were applied")
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
                let result = exec_result(last_insert_id, rows_affected);
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
            Effect::Begin | Effect::Savepoint => self.in_transaction = true,
            Effect::End => self.in_transaction = false,
            // A savepoint that began a transaction ends it when it is released, but savepoints have names:
            // only the server knows. A rollback when the connection goes back settles it.
            Effect::None | Effect::Release | Effect::RollbackTo => {}
        }
    }

    /// Begins to read the rows whose first part has been received.
    fn begin_rows(&mut self, kind: Kind, statement: Option<u32>) -> Result<()> {
        match self.channel.response()? {
            Response::Rows(part) => self
                .reading
                .begin(&part, kind.writes_and_answers, statement)
                .map_err(violation),
            _ => Err(self.statement_failure("ROWS", kind)),
        }
    }

    /// Reads the rows that are left and counts them. An error leaves none under way.
    fn drain(&mut self, call: &Call<'_>) -> Result<u64> {
        let mut rows = 0;
        loop {
            let step = match self.next_row() {
                Ok(NextRow::Wait) => self.receive_rows(call).map(|()| NextRow::Wait),
                step => step,
            };
            match step {
                Ok(NextRow::Row) => rows += 1,
                Ok(NextRow::End) => return Ok(rows),
                Ok(NextRow::Wait) => {}
                Err(error) => {
                    if self.reading.is_open() {
                        self.channel.set_broken();
                    }
                    return Err(error);
                }
            }
        }
    }

    fn expect_steps(&mut self) {
        self.channel.expect(if self.steps.is_empty() {
            Answers::One
        } else {
            Answers::Many
        });
    }

    fn end_rows(&mut self) {
        self.reading.end();
        self.expect_steps();
    }

    /// Tells the server to stop sending rows, and reads what is under way, or gives the connection up where
    /// that is a lot.
    ///
    /// No release up to 1.18.6 reads the request before its last row is sent (dqlite, `gateway__handle` in
    /// `src/gateway.c`), so all rows come. A connection in a transaction is kept nevertheless.
    fn interrupt(&mut self, call: &Call<'_>) -> Result<()> {
        let stopped = self
            .channel
            .queue(&Request::Interrupt { db: u64::from(DB) })
            .and_then(|_| self.channel.flush(call));
        let mut answered = stopped;
        let mut dropped = 0;
        // The rest and the answer to the interrupt are writes of their own.
        self.channel.expect(Answers::Many);
        while answered.is_ok() {
            answered = self.channel.receive(call);
            if answered.is_ok() && self.channel.kind() == RESPONSE_EMPTY {
                break;
            }
            dropped += self.channel.body().len();
            if dropped > DROP_LIMIT && !self.in_transaction {
                self.channel.set_broken();
                return Ok(());
            }
        }
        if let Err(error) = answered {
            self.channel.set_broken();
            return Err(error.with_outcome(Outcome::Unknown));
        }
        if self.since_1_15 != Some(true)
            && let Some(statement) = self.reading.statement()
        {
            // 1.11 leaves an interrupted statement in the middle of its run, where it holds a read
            // transaction and takes no parameters.
            self.statements
                .remove_where(|prepared| prepared.id == statement);
        }
        Ok(())
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
        self.exec_kind(sql, (kind, prepared), params, call)?;
        self.reading.clear();
        Ok(())
    }

    fn columns(&self) -> &Columns {
        self.reading.columns()
    }

    fn rows_write(&self) -> bool {
        self.reading.writes()
    }

    fn next_row(&mut self) -> Result<NextRow> {
        match self.reading.step(self.channel.body()) {
            Ok(RowStep::Row) => Ok(NextRow::Row),
            Ok(RowStep::PartEnd) if self.reading.part_is_empty() => {
                // The server sends on through an interrupt: only closing the connection stops it.
                self.channel.set_broken();
                Err(no_room())
            }
            Ok(RowStep::PartEnd) => Ok(NextRow::Wait),
            Ok(RowStep::Done) => {
                if self.reading.is_open() {
                    self.end_rows();
                }
                Ok(NextRow::End)
            }
            Err(error) => {
                self.channel.set_broken();
                Err(violation(error))
            }
        }
    }

    fn receive_rows(&mut self, call: &Call<'_>) -> Result<()> {
        if self.steps.is_empty() {
            self.channel.expect(Answers::Parts);
        }
        self.channel.receive(call).map_err(|error| {
            if error.kind() != ErrorKind::Cancelled {
                self.channel.set_broken();
            }
            error.with_outcome(Outcome::Unknown)
        })?;
        let cursor = match self.channel.response()? {
            Response::Rows(part) => part.cursor(),
            _ => {
                self.end_rows();
                return Err(self.channel.unexpected("ROWS"));
            }
        };
        self.reading
            .next_part(cursor)
            .inspect_err(|_| self.channel.set_broken())
    }

    fn cells(&self) -> &[Cell] {
        self.reading.cells()
    }

    fn data(&self) -> &[u8] {
        self.channel.body()
    }

    fn try_close_rows(&mut self) -> bool {
        if self.reading.is_open() && is_last_part(self.channel.body()) {
            self.end_rows();
        }
        !self.reading.is_open()
    }

    fn close_rows(&mut self, call: &Call<'_>) -> Result<()> {
        if self.try_close_rows() {
            return Ok(());
        }
        // A statement that writes is done when its last row is there, and a request that is pipelined behind
        // this one would be answered before the interrupt.
        if self.reading.writes() || !self.steps.is_empty() {
            return self.drain(call).map(drop);
        }
        let closed = self.interrupt(call);
        self.end_rows();
        closed
    }

    fn start_batch(&mut self, items: &[BatchItem], call: &Call<'_>) -> Result<()> {
        self.begin_batch(items, call)
    }

    fn next_step(&mut self, call: &Call<'_>) -> Option<Result<BatchStep>> {
        self.next_answer(call)
    }

    fn ping(&mut self, call: &Call<'_>) -> Result<()> {
        self.converse(&Request::Leader, call).map_err(harmless)?;
        match self.channel.response()? {
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

fn exec_result(last_insert_id: u64, rows_affected: u64) -> ExecResult {
    ExecResult {
        // Row ids are signed, and sent as their two's complement.
        last_insert_id: last_insert_id as i64,
        rows_affected,
    }
}

/// Fails where a text that has to be one statement is several.
fn one_statement(sql: &str, kind: Kind) -> Result<()> {
    if !kind.several {
        return Ok(());
    }
    let end = crate::sql::shape(sql, Dialect::Sqlite).first_end;
    Err(Error::new(
        ErrorKind::Misuse,
        format!(
            "one statement is expected, but another one begins after byte {end}; \
             run several with exec, without parameters, or in a batch"
        ),
    ))
}

/// The error of a part of rows that has no row and is not the last one.
///
/// Each part begins with the names of the columns. Where they fill its 4 KiB the server steps to no row, and
/// sends such parts for ever (dqlite, `src/query.c`; seen in 1.11.1 and 1.18.6).
fn no_room() -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "the names of the columns fill a whole message, in which the server then has no room for a row; \
         select fewer columns, or give them shorter names",
    )
    .with_outcome(Outcome::Rejected)
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
