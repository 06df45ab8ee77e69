//! The types that a server has defined itself, as a session learns them when a text answers columns of them.
//!
//! tokio-postgres looks up those of what it prepares. A text of a batch describes its columns only when the whole batch
//! is under way, so what is looked up then comes behind the rest of it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, ready};

use futures_core::Stream;
use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::types::Type;

use crate::error::{Error, ErrorKind};
use crate::net::wait::Call;
use crate::picodata::array::{self, Element};
use crate::picodata::decode::Form;
use crate::picodata::description::Described;
use crate::picodata::drive;
use crate::picodata::failure::{Cause, Failure};
use crate::picodata::session::PicodataSession;
use crate::picodata::statements::RowShape;

/// How often a domain may be one over another, or over an array: more than anybody has, and an end to a circle.
const MAX_DEPTH: usize = 16;

/// The types that a session has looked up, by their numbers.
pub(crate) type Types = HashMap<u32, Known>;

/// What is known of a type.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    name: String,
    /// `None` for one that is not read.
    form: Option<Form>,
}

impl Known {
    fn of(kind: &Type) -> Known {
        Known {
            name: array::Name(kind).to_string(),
            form: Form::of(kind),
        }
    }
}

/// A row of `pg_type`.
struct Row {
    name: String,
    kind: String,
    base: u32,
    element: u32,
}

impl PicodataSession {
    /// The shape of the rows of a text, whose description has been received. What is still to come of the batch is
    /// received, and kept in memory, if a type has to be looked up.
    ///
    /// # Errors
    ///
    /// [`Cause::Unsendable`], since nothing more has become of the statement than before: a column is of a type that is
    /// not read, or that cannot be looked up any more.
    pub(super) fn shape_of(
        &mut self,
        columns: Vec<Described>,
        call: &Call<'_>,
    ) -> Result<RowShape, Failure> {
        self.learn_types(&columns, call)?;
        let columns = columns.into_iter().map(|column| {
            let known = match Type::from_oid(column.oid) {
                Some(kind) => Known::of(&kind),
                None => self.types.get(&column.oid).cloned().unwrap_or(Known {
                    name: format!("{}, of which the server tells nothing now", column.oid),
                    form: None,
                }),
            };
            (column.name, known.name, known.form)
        });
        RowShape::new(columns).map_err(Failure::unsendable)
    }

    fn learn_types(&mut self, columns: &[Described], call: &Call<'_>) -> Result<(), Failure> {
        let is_new = |oid: &u32| Type::from_oid(*oid).is_none() && !self.types.contains_key(oid);
        let oids = columns.iter().map(|column| column.oid);
        let new: Vec<u32> = oids.filter(is_new).collect();
        if new.is_empty() {
            return Ok(());
        }
        let line = self.driver.line_mut();
        let aside = line.set_aside(call).map_err(Failure::waiting)?;
        let mut learned = Ok(());
        // In a transaction that has failed meanwhile, nothing is answered.
        if !aside.has_failed() {
            for oid in new {
                learned = learned.and_then(|()| self.learn_type(oid, call));
            }
        }
        self.driver.line_mut().put_back(aside);
        learned
    }

    fn learn_type(&mut self, oid: u32, call: &Call<'_>) -> Result<(), Failure> {
        if let Some(known) = self.look_up_type(oid, MAX_DEPTH, call)?
            && let Entry::Vacant(place) = self.types.entry(oid)
        {
            place.insert(known);
        }
        Ok(())
    }

    /// What is known of a type, for which up to `depth` types are looked up.
    fn look_up_type(
        &mut self,
        oid: u32,
        depth: usize,
        call: &Call<'_>,
    ) -> Result<Option<Known>, Failure> {
        if let Some(kind) = Type::from_oid(oid) {
            return Ok(Some(Known::of(&kind)));
        }
        if depth == 0 {
            return Ok(None);
        }
        let Some(row) = self.type_row(oid, call)? else {
            return Ok(None);
        };
        let mut known = Known {
            name: row.name,
            form: (row.kind == "e").then_some(Form::Text),
        };
        // Only a domain has a base, and an array elements.
        if row.base != 0 {
            let base = self.look_up_type(row.base, depth - 1, call)?;
            known.form = base.and_then(|base| base.form);
        } else if row.element != 0
            && let Some(element) = self.look_up_type(row.element, depth - 1, call)?
        {
            let form = element
                .form
                .and_then(|form| Element::new(row.element, form));
            known.form = form.map(Form::Array);
            known.name = array::with_brackets(element.name);
        }
        Ok(Some(known))
    }

    /// Reads a row of `pg_type`; `None` where there is none, or none that can be had.
    fn type_row(&mut self, oid: u32, call: &Call<'_>) -> Result<Option<Row>, Failure> {
        let sql = format!(
            "SELECT t.typname, t.typtype, t.typbasetype, t.typelem FROM pg_catalog.pg_type AS t WHERE t.oid = {oid}"
        );
        let client = Arc::clone(&self.client);
        let mut sending = pin!(client.simple_query_raw(&sql));
        let stream = self.driver.run(call, drive::poll(sending.as_mut()))?;
        let mut stream = pin!(stream);
        let mut found = None;
        let read = self.driver.run(call, |context| {
            loop {
                match ready!(stream.as_mut().poll_next(context)) {
                    Some(Ok(SimpleQueryMessage::Row(row))) => {
                        let text = |index| {
                            row.try_get(index)
                                .map(|text: Option<&str>| text.unwrap_or_default().to_owned())
                        };
                        found = Some(Row {
                            name: text(0)?,
                            kind: text(1)?,
                            base: text(2)?.parse().unwrap_or(0),
                            element: text(3)?.parse().unwrap_or(0),
                        });
                    }
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Poll::Ready(Err(error)),
                    None => return Poll::Ready(Ok(())),
                }
            }
        });
        match read {
            Ok(()) => Ok(found),
            // The statement itself has run; it is its column that cannot be read.
            Err(failure) if failure.cause == Cause::Answered => {
                self.driver.settle(call);
                Err(Failure::unsendable(
                    Error::new(
                        ErrorKind::Unsupported,
                        format!("the type {oid} of a column cannot be looked up"),
                    )
                    .with_source(failure.error),
                ))
            }
            Err(failure) => Err(failure),
        }
    }
}
