//! Many statements in one round trip.

use std::collections::VecDeque;
use std::iter::repeat;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use tokio_postgres::Statement;
use tokio_postgres::types::Type;

use crate::backend::{BatchStep, Session};
use crate::batch::BatchItem;
use crate::error::{Error, Outcome, Result};
use crate::net::wait::Call;
use crate::params::Params;
use crate::picodata::answer::{Answer, Step};
use crate::picodata::encode::check_doubles;
use crate::picodata::failure::{Cause, Failure};
use crate::picodata::portal;
use crate::picodata::session::{PicodataSession, affected};
use crate::picodata::statements::{Kind, Prepared, in_order, rewritten, style_of};
use crate::sql::Placeholders;

type Request<T> = Pin<Box<dyn Future<Output = Result<T, tokio_postgres::Error>> + Send>>;

/// A statement of a batch that is under way.
pub(crate) struct BatchStatement {
    /// Which statement of the connection it is.
    number: u64,
    sql: String,
    /// How its parameters are written.
    style: Placeholders,
    kind: Kind,
    /// `None` for one that is run as a text.
    prepared: Option<Arc<Prepared>>,
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
        self.quiesce(call)?;
        let first = self.driver.executed() + 1;
        let (style, server) = (self.options.placeholders, self.options.server);
        let mut steps = VecDeque::with_capacity(kinds.len());
        for (number, (item, kind)) in (first..).zip(kinds) {
            let prepared = self.statements.get(&item.sql).cloned();
            steps.push_back(BatchStatement {
                number,
                sql: item.sql.clone(),
                style: prepared.as_ref().map_or(style, |known| known.style(style)),
                kind,
                prepared,
            });
        }
        self.driver.line_mut().queue_runs(|runs| {
            for (index, (item, step)) in items.iter().zip(&mut steps).enumerate() {
                let written = item.params.with_values(|params| match &step.prepared {
                    Some(prepared) => {
                        let values = prepared.bind(params)?;
                        portal::write(prepared, &values, runs).map_err(|failure| failure.error)
                    }
                    None => {
                        step.style = style_of(params, style);
                        let (text, names) = rewritten(&item.sql, params, style)?;
                        let values = in_order(params, names.as_ref())?;
                        check_doubles(server, repeat(&Type::UNKNOWN), &values)?;
                        portal::write_text(&text, &values, runs).map_err(|failure| failure.error)
                    }
                });
                written.map_err(|error| in_batch(error, index))?;
            }
            Ok(())
        })?;
        self.steps = steps;
        // What the socket does not take at once goes out while answers are received.
        self.driver.send_now();
        // Some statements may have been sent: then each says of itself what became of it.
        if self.driver.is_broken() && self.driver.outcome(first) == Outcome::NotSent {
            self.steps.clear();
            return Err(self.driver.ending().with_outcome(Outcome::NotSent));
        }
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
                    if let Ok(prepared) =
                        Prepared::new(statement, name, kind, self.options.server, names)
                    {
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

    /// Takes the answer to a statement of the batch.
    pub(super) fn take_step(
        &mut self,
        statement: BatchStatement,
        call: &Call<'_>,
    ) -> Result<BatchStep> {
        let BatchStatement { number, kind, .. } = statement;
        let mut answer = match &statement.prepared {
            Some(_) => Answer::of_prepared(),
            None => Answer::of_text(),
        };
        // Answers that had come before the connection broke are still there.
        let first = answer
            .wait_step(&mut self.driver, call)
            .map_err(|failure| self.step_failed(failure, &statement, call))?;
        self.completed(kind, number)?;
        let shape = match &statement.prepared {
            Some(prepared) => prepared.shape.clone(),
            None => self
                .shape_of(answer.take_columns(), call)
                .map_err(|failure| {
                    self.unreadable(failure, (&mut answer, first), &statement, call)
                })?,
        };
        let Step::End(count) = first else {
            self.begin_reading(shape, answer, first, kind.reads);
            return Ok(BatchStep::Rows);
        };
        let has_columns = !shape.columns.is_empty();
        self.reading.begin_empty(shape);
        if has_columns {
            return Ok(BatchStep::Rows);
        }
        Ok(BatchStep::Done(affected(kind, count)))
    }

    #[cold]
    fn step_failed(
        &mut self,
        failure: Failure,
        statement: &BatchStatement,
        call: &Call<'_>,
    ) -> Error {
        let BatchStatement {
            sql, style, kind, ..
        } = statement;
        match failure.cause {
            Cause::Unsendable => failure.error,
            Cause::Answered => {
                if self.steps.is_empty() {
                    self.driver.settle(call);
                }
                failure.of_statement(sql, *style, kind.reads)
            }
            Cause::Stale => {
                // Those behind it have been run: it is not for this batch to run it again.
                self.forget_stale(sql);
                failure.of_statement(sql, *style, kind.reads)
            }
            Cause::CallEnded | Cause::Broken => {
                let outcome = self.driver.outcome(statement.number);
                self.driver.set_broken();
                failure.error.with_outcome(outcome)
            }
        }
    }

    /// The error of a statement that has been run, and of whose rows nothing can be made. They are skipped.
    #[cold]
    fn unreadable(
        &mut self,
        failure: Failure,
        (answer, first): (&mut Answer, Step),
        statement: &BatchStatement,
        call: &Call<'_>,
    ) -> Error {
        let error = self.step_failed(failure, statement, call);
        if !self.driver.is_broken()
            && first == Step::Row
            && let Err(failure) = answer.finish(&mut self.driver, call)
        {
            self.step_failed(failure, statement, call);
        }
        error.with_outcome(Outcome::Unknown)
    }
}

fn in_batch(error: Error, index: usize) -> Error {
    error.context(format_args!("statement {} of the batch", index + 1))
}
