//! The rows that a session is reading, and the current one in cells.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use tokio_postgres::{Row, RowStream};

use crate::error::{Error, ErrorKind, Outcome, Result};
use crate::picodata::decode::Raw;
use crate::picodata::statements::RowShape;
use crate::row::{Cell, Columns};

/// A row, or the end of the answer with the number of rows in the server's tag.
pub(crate) enum Step {
    Row(Row),
    End(u64),
}

/// The answer to a statement that was bound.
pub(crate) struct Answer(Pin<Box<RowStream>>);

impl Answer {
    pub(crate) fn new(stream: RowStream) -> Self {
        Answer(Box::pin(stream))
    }

    /// The next row. tokio-postgres has taken what has arrived of it off the wire and no more: the
    /// connection is polled only while this is pending, so a large answer waits in the socket.
    pub(crate) fn poll_step(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Step, tokio_postgres::Error>> {
        Poll::Ready(match ready!(self.0.as_mut().poll_next(context)) {
            Some(row) => row.map(Step::Row),
            None => Ok(Step::End(self.0.rows_affected().unwrap_or(0))),
        })
    }

    /// Reads the answer to its end, whatever rows it has.
    pub(crate) fn poll_end(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<u64, tokio_postgres::Error>> {
        loop {
            match ready!(self.poll_step(context)) {
                Ok(Step::Row(_)) => {}
                Ok(Step::End(count)) => return Poll::Ready(Ok(count)),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

/// The state of reading rows.
#[derive(Default)]
pub(crate) struct Reading {
    /// `None` when all rows have been read.
    pub(crate) answer: Option<Answer>,
    /// A row that has come and was not asked for yet.
    pub(crate) ahead: Option<Row>,
    /// Whether the statement may be cut short without losing what it does.
    pub(crate) reads: bool,
    shape: RowShape,
    cells: Vec<Cell>,
    /// What the spans of the cells lie in.
    data: Vec<u8>,
}

/// A row whose values were larger than this, in bytes, gives the memory back with the end of its answer.
const KEEP_SIZE: usize = 256 * 1024;

impl Reading {
    pub(crate) fn begin(&mut self, shape: RowShape, answer: Answer, first: Row, reads: bool) {
        self.shape = shape;
        self.answer = Some(answer);
        self.ahead = Some(first);
        self.reads = reads;
        self.cells.clear();
    }

    /// Stands for an answer without rows.
    pub(crate) fn begin_empty(&mut self, shape: RowShape) {
        self.end();
        self.shape = shape;
    }

    pub(crate) fn end(&mut self) {
        self.answer = None;
        self.ahead = None;
        self.cells.clear();
        self.data.clear();
        self.data.shrink_to(KEEP_SIZE);
    }

    pub(crate) fn is_open(&self) -> bool {
        self.answer.is_some()
    }

    pub(crate) fn columns(&self) -> &Columns {
        &self.shape.columns
    }

    pub(crate) fn row(&self) -> (&[Cell], &[u8]) {
        (&self.cells, &self.data)
    }

    /// Goes to the next row: true if there is one.
    ///
    /// A row that cannot be read is the error inside.
    pub(crate) fn poll_row(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Result<bool>, tokio_postgres::Error>> {
        let row = match (self.ahead.take(), &mut self.answer) {
            (Some(row), _) => row,
            (None, Some(answer)) => match ready!(answer.poll_step(context)) {
                Ok(Step::Row(row)) => row,
                Ok(Step::End(_)) => return Poll::Ready(Ok(Ok(false))),
                Err(error) => return Poll::Ready(Err(error)),
            },
            (None, None) => return Poll::Ready(Ok(Ok(false))),
        };
        Poll::Ready(Ok(self.take(&row).map(|()| true)))
    }

    /// Makes `row` the current one.
    fn take(&mut self, row: &Row) -> Result<()> {
        self.cells.clear();
        self.data.clear();
        for (index, form) in self.shape.forms.iter().enumerate() {
            let read = match row.try_get::<_, Raw<'_>>(index) {
                Ok(Raw(Some(bytes))) => form.read(bytes, &mut self.data),
                Ok(Raw(None)) => Ok(Cell::Null),
                Err(error) => {
                    Err(Error::new(ErrorKind::Protocol, error.to_string()).with_source(error))
                }
            };
            match read {
                Ok(cell) => self.cells.push(cell),
                Err(error) => {
                    let name = self.shape.columns.name(index).unwrap_or("?");
                    return Err(error
                        .context(format_args!("column {index} ({name:?})"))
                        .with_outcome(Outcome::Unknown));
                }
            }
        }
        Ok(())
    }
}
