//! Batches of a session: many requests in one write, and their answers in order.

use super::preparing::one_statement;
use super::{DB, DqliteSession, Step, exec_result};
use crate::backend::{BatchStep, ExecResult};
use crate::batch::BatchItem;
use crate::dqlite::channel::harmless;
use crate::dqlite::statements::{Kind, Prepared, bind};
use crate::dqlite::wire::PREPARE_SCHEMA_SINGLE;
use crate::dqlite::wire::request::Request;
use crate::dqlite::wire::response::Response;
use crate::error::{Error, ErrorKind, Outcome, Result};
use crate::net::stream::Answers;
use crate::net::wait::Call;
use crate::params::Params;

impl DqliteSession {
    /// Sends all statements of a batch at once; those that are not prepared yet are, in a round trip before.
    pub(super) fn begin_batch(&mut self, items: &[BatchItem], call: &Call<'_>) -> Result<()> {
        let mut kinds = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let kind = Kind::of(&item.sql)
                .and_then(|kind| one_statement(&item.sql, kind).map(|()| kind))
                .map_err(|error| in_batch(error, index))?;
            kinds.push((item, kind));
        }
        self.check_step()?;
        self.prepare_batch(&kinds, call)?;
        for (index, (item, kind)) in kinds.iter().enumerate() {
            self.check_support(*kind, item.params.len(), call)
                .map_err(|error| in_batch(error, index))?;
        }
        // Nothing has been asked for yet.
        self.check_step()?;
        let start = self.channel.queued();
        if let Err(error) = self.queue_batch(&kinds) {
            self.channel.unqueue(start);
            self.steps.clear();
            return Err(error);
        }
        let Some(first) = self.steps.front().map(|step| step.end) else {
            return Ok(());
        };
        self.channel.expect(Answers::Many);
        match self.channel.flush_some() {
            // Some statements may have been sent: each says of itself what became of it.
            Err(error) if self.channel.outcome(first) == Outcome::NotSent => {
                self.steps.clear();
                Err(error)
            }
            _ => Ok(()),
        }
    }

    /// Receives the answer to the next statement.
    pub(super) fn next_answer(&mut self, call: &Call<'_>) -> Option<Result<BatchStep>> {
        let step = self.steps.pop_front()?;
        let taken = self.take_step(&step, call);
        self.written = match taken {
            Ok(BatchStep::Done(result)) => {
                // The columns of the statement before it.
                self.reading.clear();
                result
            }
            _ => ExecResult::default(),
        };
        if self.steps.is_empty() && !self.reading.is_open() {
            self.channel.expect(Answers::One);
        }
        Some(taken)
    }

    /// Prepares what a batch uses and is not prepared yet, in one round trip.
    fn prepare_batch(&mut self, items: &[(&BatchItem, Kind)], call: &Call<'_>) -> Result<()> {
        let mut missing: Vec<(&str, Kind)> = Vec::new();
        for (item, kind) in items {
            let text = item.sql.as_str();
            if kind.preparable
                && self.statements.get(text).is_none()
                && !missing.iter().any(|(other, _)| *other == text)
            {
                missing.push((text, *kind));
            }
        }
        // More than fit would drive each other out before they are run.
        if missing.is_empty() || missing.len() > self.statements.size() {
            return Ok(());
        }
        // What is not kept any more, since the last batch, is not a part of this one.
        let dropped = self.statements.take_dropped(|_| false);
        for prepared in &dropped {
            self.channel.queue(&Request::Finalize {
                db: DB,
                stmt: prepared.id,
            })?;
        }
        self.finalizing += dropped.len();
        for (sql, _) in &missing {
            self.channel.queue(&Request::Prepare {
                db: u64::from(DB),
                sql,
                schema: self.prepare_schema,
            })?;
        }
        self.channel.expect(Answers::Many);
        for (sql, kind) in missing {
            self.receive(call).map_err(|error| {
                self.channel.set_broken();
                harmless(error).with_outcome(Outcome::NotSent)
            })?;
            if let Err(error) = self.take_prepared(sql, kind) {
                if self.channel.is_broken() || error.kind() == ErrorKind::NotLeader {
                    return Err(harmless(error));
                }
                if self.is_unknown_schema(&error) {
                    self.prepare_schema = PREPARE_SCHEMA_SINGLE;
                }
                // It is run as a text: an earlier statement of the batch may make it valid.
            }
        }
        Ok(())
    }

    fn queue_batch(&mut self, items: &[(&BatchItem, Kind)]) -> Result<()> {
        for (index, (item, kind)) in items.iter().enumerate() {
            let sql = item.sql.as_str();
            let prepared = self.statements.get(sql).copied();
            let parameters = prepared.map(|prepared| prepared.parameters);
            let queued = item.params.with_values(|params| {
                bind(sql, parameters, params, |params| {
                    let db = u64::from(DB);
                    let request = match (prepared, kind.rows) {
                        (Some(Prepared { id: stmt, .. }), true) => Request::Query {
                            db: DB,
                            stmt,
                            params,
                        },
                        (Some(Prepared { id: stmt, .. }), false) => Request::Exec {
                            db: DB,
                            stmt,
                            params,
                        },
                        (None, true) => Request::QuerySql { db, sql, params },
                        (None, false) => Request::ExecSql {
                            db,
                            sql: sql.get(..kind.end).unwrap_or(sql),
                            params,
                        },
                    };
                    self.channel.queue(&request)
                })
            });
            let end = queued.map_err(|error| in_batch(error, index))?;
            self.steps.push_back(Step {
                end,
                kind: *kind,
                statement: prepared.map(|prepared| prepared.id),
            });
        }
        Ok(())
    }

    fn take_step(&mut self, step: &Step, call: &Call<'_>) -> Result<BatchStep> {
        let answered = if self.steps.is_empty() && !self.channel.is_broken() {
            // The last answer: nothing follows that an acknowledgement could hold up.
            self.receive(call)
        } else {
            self.expect_steps();
            self.receive(call)
        };
        answered.map_err(|error| {
            self.channel.set_broken();
            error.with_outcome(self.channel.outcome(step.end))
        })?;
        if step.kind.rows {
            self.begin_rows(step.kind, step.statement)?;
            return Ok(BatchStep::Rows);
        }
        match self.channel.response()? {
            Response::Result {
                last_insert_id,
                rows_affected,
            } => {
                let result = exec_result(step.kind, last_insert_id, rows_affected);
                self.apply(step.kind.effect);
                Ok(BatchStep::Done(result))
            }
            _ => Err(self.statement_failure("RESULT", step.kind)),
        }
    }
}

fn in_batch(error: Error, index: usize) -> Error {
    error.context(format_args!("statement {} of the batch", index + 1))
}
