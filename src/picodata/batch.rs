//! Many statements in one round trip.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio_postgres::types::Type;
use tokio_postgres::{RowStream, Statement};

use crate::backend::{BatchStep, Session};
use crate::batch::BatchItem;
use crate::error::{Error, Outcome, Result};
use crate::net::wait::Call;
use crate::params::Params;
use crate::picodata::answer::{Answer, Step};
use crate::picodata::encode::{Param, numbered};
use crate::picodata::failure::Cause;
use crate::picodata::portal;
use crate::picodata::session::{PicodataSession, affected};
use crate::picodata::statements::{Kind, Prepared, in_order, rewritten};
use crate::value::{Value, ValueRef};

type Request<T> = Pin<Box<dyn Future<Output = Result<T, tokio_postgres::Error>> + Send>>;

/// A statement of a batch that is under way.
pub(crate) struct BatchStatement {
    /// Which statement of the connection it is.
    number: u64,
    sql: String,
    kind: Kind,
    /// `None` for one that is run as a text.
    prepared: Option<Arc<Prepared>>,
    /// `None` for one that was sent without tokio-postgres.
    request: Option<Queued>,
}

/// A request of tokio-postgres.
struct Queued {
    request: Request<RowStream>,
    /// What the request came to when it was queued: it could not be.
    early: Option<Result<RowStream, tokio_postgres::Error>>,
}

impl Queued {
    /// Queues the messages of the statement.
    fn queue(&mut self, context: &mut Context<'_>) {
        if let Poll::Ready(done) = self.request.as_mut().poll(context) {
            self.early = Some(done);
        }
    }

    fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<RowStream, tokio_postgres::Error>> {
        match self.early.take() {
            Some(done) => Poll::Ready(done),
            None => self.request.as_mut().poll(context),
        }
    }
}

impl PicodataSession {
    /// Prepares what is not prepared yet in one round trip, then sends all statements, each with a Sync of
    /// its own, so that an error is that of its statement alone.
    pub(super) fn send_batch(&mut self, items: &[BatchItem], call: &Call<'_>) -> Result<()> {
        let mut kinds = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let kind = self.kind_of(&item.sql).and_then(|kind| kind.one(&item.sql));
            kinds.push((item, kind.map_err(|error| in_batch(error, index))?));
        }
        self.prepare_batch(&kinds, call)?;
        let cached = kinds
            .iter()
            .map(|(item, _)| self.statements.get(&item.sql).cloned());
        let prepared: Option<Vec<Arc<Prepared>>> = cached.collect();
        let first = self.driver.executed() + 1;
        match prepared {
            Some(prepared) => self.send_prepared(kinds, prepared, first, call)?,
            None => self.send_texts(kinds, first)?,
        }
        // Some statements may have been sent: then each says of itself what became of it.
        if self.driver.is_broken() && self.driver.outcome(first) == Outcome::NotSent {
            self.steps.clear();
            return Err(self.driver.ending().with_outcome(Outcome::NotSent));
        }
        Ok(())
    }

    /// Sends a batch whose statements are all prepared. What the socket does not take at once goes out while answers
    /// are received.
    fn send_prepared(
        &mut self,
        items: Vec<(&BatchItem, Kind)>,
        prepared: Vec<Arc<Prepared>>,
        first: u64,
        call: &Call<'_>,
    ) -> Result<()> {
        self.quiesce(call)?;
        self.driver.line_mut().queue_runs(|runs| {
            for (index, ((item, _), prepared)) in items.iter().zip(&prepared).enumerate() {
                let written = item.params.with_values(|params| {
                    let values = prepared.bind(params)?;
                    portal::write(prepared, &values, runs).map_err(|failure| failure.error)
                });
                written.map_err(|error| in_batch(error, index))?;
            }
            Ok(())
        })?;
        for (number, ((item, kind), prepared)) in (first..).zip(items.into_iter().zip(prepared)) {
            self.steps.push_back(BatchStatement {
                number,
                sql: item.sql.clone(),
                kind,
                prepared: Some(prepared),
                request: None,
            });
        }
        self.driver.send_now();
        Ok(())
    }

    /// Sends a batch in which there are texts that were not prepared, by tokio-postgres, which asks for the columns of
    /// each and looks up their types.
    fn send_texts(&mut self, items: Vec<(&BatchItem, Kind)>, first: u64) -> Result<()> {
        for (index, (item, kind)) in items.into_iter().enumerate() {
            match self.batch_statement(item, kind, first + index as u64) {
                Ok(statement) => self.steps.push_back(statement),
                Err(error) => {
                    self.steps.clear();
                    return Err(in_batch(error, index));
                }
            }
        }
        // The first poll of a request queues its messages; the rest of the turn sends them.
        let steps = &mut self.steps;
        let mut queued = false;
        let _ = self.driver.turn(|context| {
            if !std::mem::replace(&mut queued, true) {
                let requests = steps.iter_mut().filter_map(|step| step.request.as_mut());
                requests.for_each(|request| request.queue(context));
            }
            Poll::<Result<(), _>>::Pending
        });
        Ok(())
    }

    /// Prepares the texts of a batch that are worth it. What fails here is run as a text: a statement before
    /// it in the batch may make it valid.
    fn prepare_batch(&mut self, items: &[(&BatchItem, Kind)], call: &Call<'_>) -> Result<()> {
        // In a transaction, an error now would spoil what was done before the batch.
        if self.in_transaction() {
            return Ok(());
        }
        let mut missing: Vec<(&BatchItem, Kind)> = Vec::new();
        for (item, kind) in items {
            if kind.preparable
                && self.statements.get(&item.sql).is_none()
                && !missing.iter().any(|(other, _)| other.sql == item.sql)
            {
                missing.push((item, *kind));
            }
        }
        // More than fit would drive each other out before they are run.
        if missing.len() > self.statements.size() {
            return Ok(());
        }
        self.statements.make_room(missing.len());
        self.statements.take_dropped(|_| false);
        let mut preparing = Vec::with_capacity(missing.len());
        for (item, kind) in missing {
            let style = self.options.placeholders;
            let (text, names) = item.params.with_values(|params| {
                rewritten(&item.sql, params, style)
                    .map(|(text, names)| (Arc::<str>::from(&*text), names))
            })?;
            let (client, sent) = (Arc::clone(&self.client), Arc::clone(&text));
            let request: Request<Statement> = Box::pin(async move { client.prepare(&sent).await });
            preparing.push((item, kind, (text, names), request));
        }
        // All are polled before the connection is, so that they go out together, in this order.
        self.driver.line_mut().take_names();
        let mut answers: Vec<Option<Result<Statement, tokio_postgres::Error>>> = Vec::new();
        answers.resize_with(preparing.len(), || None);
        let run = self.driver.run(call, |context| {
            let mut pending = false;
            for ((.., request), answer) in preparing.iter_mut().zip(&mut answers) {
                if answer.is_none() {
                    match request.as_mut().poll(context) {
                        Poll::Ready(done) => *answer = Some(done),
                        Poll::Pending => pending = true,
                    }
                }
            }
            if pending {
                Poll::Pending
            } else {
                Poll::Ready(Ok(()))
            }
        });
        run.map_err(|failure| {
            self.driver.set_broken();
            failure.error.with_outcome(Outcome::NotSent)
        })?;
        let mut given_names = self.driver.line_mut().take_names().into_iter();
        let mut told = self.driver.take_descriptions();
        for ((item, kind, (text, names), _), answer) in preparing.into_iter().zip(answers) {
            let name = given_names.next();
            match answer {
                Some(Ok(statement)) => {
                    if let Some(keys) = &self.options.statement_keys {
                        keys.learn(&item.sql, &text, names.as_ref(), &mut told);
                    }
                    // Columns that are not read are told when it is run.
                    if let Ok(prepared) = Prepared::new(statement, name, kind, names) {
                        self.statements.put(&item.sql, Arc::new(prepared));
                    }
                }
                Some(Err(error)) => {
                    let failure = self.driver.failed(error);
                    if failure.cause == Cause::Broken {
                        return Err(failure.error.with_outcome(Outcome::NotSent));
                    }
                }
                None => {}
            }
        }
        self.statements.take_dropped(|_| false);
        Ok(())
    }

    /// Makes the request of one statement, and tries whether its parameters can be sent.
    fn batch_statement(
        &mut self,
        item: &BatchItem,
        kind: Kind,
        number: u64,
    ) -> Result<BatchStatement> {
        let prepared = self.statements.get(&item.sql).cloned();
        let client = Arc::clone(&self.client);
        let request: Request<RowStream> = item.params.with_values(|params| {
            let mut scratch = BytesMut::new();
            match &prepared {
                Some(prepared) => {
                    let values = prepared.bind(params)?;
                    let statement = prepared.statement.clone();
                    for (param, kind) in numbered(&values).zip(statement.params()) {
                        param.encode(kind, &mut scratch)?;
                    }
                    let values = owned(&values);
                    Ok(Box::pin(async move {
                        let values: Vec<_> = values.iter().map(Value::as_ref).collect();
                        client.query_raw(&statement, numbered(&values)).await
                    }) as Request<RowStream>)
                }
                None => {
                    let (text, names) = rewritten(&item.sql, params, self.options.placeholders)?;
                    let values = owned(&in_order(params, names.as_ref())?);
                    let text = text.into_owned();
                    Ok(Box::pin(async move {
                        let values: Vec<_> = values.iter().map(Value::as_ref).collect();
                        let typed: Vec<(Param<'_>, Type)> = numbered(&values)
                            .map(|param| (param, Type::UNKNOWN))
                            .collect();
                        client.query_typed_raw(&text, typed).await
                    }) as Request<RowStream>)
                }
            }
        })?;
        Ok(BatchStatement {
            number,
            sql: item.sql.clone(),
            kind,
            prepared,
            request: Some(Queued {
                request,
                early: None,
            }),
        })
    }

    /// Takes the answer to a statement of the batch.
    pub(super) fn take_step(
        &mut self,
        mut statement: BatchStatement,
        call: &Call<'_>,
    ) -> Result<BatchStep> {
        let number = statement.number;
        // Answers that had come before the connection broke are still there.
        let answer = match &mut statement.request {
            Some(request) => {
                let stream = self.driver.run(call, |context| request.poll(context));
                stream.map(Answer::stream)
            }
            None => Ok(Answer::portal()),
        };
        let answered = answer.and_then(|mut answer| {
            let first = answer.wait_step(&mut self.driver, call)?;
            Ok((answer, first))
        });
        let (answer, first) = answered.map_err(|failure| match failure.cause {
            Cause::Unsendable => failure.error,
            Cause::Answered => {
                if self.steps.is_empty() {
                    self.driver.settle(call);
                }
                failure.error
            }
            Cause::Stale(_) => {
                // Those behind it have been run: it is not for this batch to run it again.
                self.forget_stale(&statement.sql);
                failure.error
            }
            Cause::CallEnded | Cause::Broken => {
                let outcome = self.driver.outcome(number);
                self.driver.set_broken();
                failure.error.with_outcome(outcome)
            }
        })?;
        self.completed(statement.kind, number)?;
        let reads = statement.kind.reads;
        let Step::End(count) = first else {
            let shape = match statement.prepared {
                Some(prepared) => Ok(prepared.shape.clone()),
                None => answer.shape(),
            };
            // Its rows are skipped with the rest of the batch; it has been run.
            let shape = shape.map_err(|error| error.with_outcome(Outcome::Unknown))?;
            self.begin_reading(shape, answer, first, reads);
            return Ok(BatchStep::Rows);
        };
        let shape = statement.prepared.map(|prepared| prepared.shape.clone());
        let shape = shape.unwrap_or_default();
        let has_columns = !shape.columns.is_empty();
        self.reading.begin_empty(shape);
        if has_columns {
            return Ok(BatchStep::Rows);
        }
        Ok(BatchStep::Done(affected(statement.kind, count)))
    }
}

fn owned(values: &[ValueRef<'_>]) -> Vec<Value> {
    values.iter().map(ValueRef::to_owned).collect()
}

fn in_batch(error: Error, index: usize) -> Error {
    error.context(format_args!("statement {} of the batch", index + 1))
}
