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
pub(crate) struct Answer {
    stream: Pin<Box<RowStream>>,
    /// A step that has come and was not asked for yet.
    ahead: Option<Result<Step, tokio_postgres::Error>>,
}

impl Answer {
    pub(crate) fn new(stream: RowStream) -> Self {
        Answer {
            stream: Box::pin(stream),
            ahead: None,
        }
    }

    /// Receives the next step, which stays the next one.
    pub(crate) fn poll_ahead(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<&mut Option<Result<Step, tokio_postgres::Error>>> {
        if self.ahead.is_none() {
            self.ahead = Some(ready!(self.poll_step(context)));
        }
        Poll::Ready(&mut self.ahead)
    }

    /// The next row. tokio-postgres has taken what has arrived of it off the wire and no more: the
    /// connection is polled only while this is pending, so a large answer waits in the socket.
    pub(crate) fn poll_step(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Step, tokio_postgres::Error>> {
        if let Some(ahead) = self.ahead.take() {
            return Poll::Ready(ahead);
        }
        Poll::Ready(match ready!(self.stream.as_mut().poll_next(context)) {
            Some(row) => row.map(Step::Row),
            None => Ok(Step::End(self.stream.rows_affected().unwrap_or(0))),
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
    pub(crate) fn begin(&mut self, shape: RowShape, mut answer: Answer, first: Row, reads: bool) {
        self.shape = shape;
        answer.ahead = Some(Ok(Step::Row(first)));
        self.answer = Some(answer);
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

    pub(crate) fn cells(&self) -> &[Cell] {
        &self.cells
    }

    pub(crate) fn data(&self) -> &[u8] {
        &self.data
    }

    /// Receives the next row, or the end of the rows, without going to it.
    pub(crate) fn poll_ahead(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), tokio_postgres::Error>> {
        match &mut self.answer {
            Some(answer) => answer.poll_ahead(context).map(|_| Ok(())),
            None => Poll::Ready(Ok(())),
        }
    }

    /// Skips the rows that have been received: true if none are left. An error that is met stays the next step.
    pub(crate) fn skip(&mut self, context: &mut Context<'_>) -> bool {
        while let Some(answer) = &mut self.answer {
            match answer.poll_ahead(context) {
                Poll::Ready(ahead) => match ahead {
                    Some(Ok(Step::Row(_))) => *ahead = None,
                    Some(Ok(Step::End(_))) | None => self.end(),
                    Some(Err(_)) => return false,
                },
                Poll::Pending => return false,
            }
        }
        true
    }

    /// Goes to the next row: true if there is one.
    ///
    /// A row that cannot be read is the error inside.
    pub(crate) fn poll_row(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Result<bool>, tokio_postgres::Error>> {
        let Some(answer) = &mut self.answer else {
            return Poll::Ready(Ok(Ok(false)));
        };
        let row = match ready!(answer.poll_step(context)) {
            Ok(Step::Row(row)) => row,
            Ok(Step::End(_)) => return Poll::Ready(Ok(Ok(false))),
            Err(error) => return Poll::Ready(Err(error)),
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
