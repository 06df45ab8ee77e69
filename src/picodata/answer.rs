//! The rows that a session is reading, and the current one in cells.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use tokio_postgres::{Row, RowStream};

use crate::error::{Outcome, Result};
use crate::net::wait::Call;
use crate::picodata::decode::{read_row, write_row};
use crate::picodata::drive::Driver;
use crate::picodata::failure::Failure;
use crate::picodata::line::Head;
use crate::picodata::portal::{Portal, Progress};
use crate::picodata::statements::RowShape;
use crate::row::{Cell, Columns};

/// How far an answer is, as far as it has been received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// There is a row, which was not read yet.
    Row,
    /// The answer has ended; the number of rows in the server's tag.
    End(u64),
    /// More has to be received first.
    Wait,
}

/// The answer to a statement that was bound.
pub(crate) enum Answer {
    /// To one that we have sent.
    Portal(Portal),
    /// To one that tokio-postgres has sent.
    Stream(RowStreamAnswer),
}

/// A stream of tokio-postgres, and what has come of it and was not asked for yet.
pub(crate) struct RowStreamAnswer {
    rows: Pin<Box<RowStream>>,
    ahead: Option<Ahead>,
}

/// A row; `None` is the end.
type Ahead = Result<Option<Row>, tokio_postgres::Error>;

impl RowStreamAnswer {
    /// tokio-postgres has taken what has arrived off the wire and no more: the connection is polled only while
    /// this is pending, so a large answer waits in the socket.
    fn poll_ahead(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.ahead.is_none() {
            self.ahead = Some(ready!(self.rows.as_mut().poll_next(context)).transpose());
        }
        Poll::Ready(())
    }
}

impl Answer {
    pub(crate) fn portal() -> Self {
        Answer::Portal(Portal::default())
    }

    pub(crate) fn stream(rows: RowStream) -> Self {
        Answer::Stream(RowStreamAnswer {
            rows: Box::pin(rows),
            ahead: None,
        })
    }

    /// The columns of an answer of tokio-postgres whose next step is a row.
    pub(crate) fn shape(&self) -> Result<RowShape> {
        match self {
            Answer::Stream(RowStreamAnswer {
                ahead: Some(Ok(Some(row))),
                ..
            }) => RowShape::of(row.columns()),
            _ => Ok(RowShape::default()),
        }
    }

    /// Reads on up to the next row or the end, without touching the socket. A row stays the next one.
    pub(crate) fn step(&mut self, driver: &mut Driver) -> Result<Step, Failure> {
        match self {
            Answer::Portal(portal) => match portal.advance(driver.line_mut())? {
                Progress::Row(_) => Ok(Step::Row),
                Progress::End(count) => Ok(Step::End(count)),
                Progress::Wait => Ok(Step::Wait),
            },
            Answer::Stream(stream) => {
                if driver
                    .peek(|context| stream.poll_ahead(context))
                    .is_pending()
                {
                    return Ok(Step::Wait);
                }
                match &stream.ahead {
                    Some(Ok(Some(_))) => Ok(Step::Row),
                    Some(Ok(None)) => Ok(Step::End(stream.rows.rows_affected().unwrap_or(0))),
                    _ => match stream.ahead.take() {
                        Some(Err(error)) => Err(driver.failed(error)),
                        _ => Ok(Step::Wait),
                    },
                }
            }
        }
    }

    /// Waits until there is more than was received.
    pub(crate) fn wait(&mut self, driver: &mut Driver, call: &Call<'_>) -> Result<(), Failure> {
        match self {
            Answer::Portal(_) if driver.is_broken() => Err(Failure::broken(driver.ending())),
            Answer::Portal(portal) => portal.wait(driver.line_mut(), call),
            Answer::Stream(stream) => {
                driver.run(call, |context| stream.poll_ahead(context).map(Ok))
            }
        }
    }

    /// Waits for a row or the end.
    pub(crate) fn wait_step(
        &mut self,
        driver: &mut Driver,
        call: &Call<'_>,
    ) -> Result<Step, Failure> {
        loop {
            match self.step(driver)? {
                Step::Wait => self.wait(driver, call)?,
                step => return Ok(step),
            }
        }
    }

    /// Skips the rows that have been received, `limit` at most: what comes then.
    pub(crate) fn skip(&mut self, driver: &mut Driver, limit: usize) -> Result<Step, Failure> {
        for _ in 0..limit {
            match self.step(driver)? {
                Step::Row => self.take_row(driver)?,
                step => return Ok(step),
            }
        }
        self.step(driver)
    }

    /// Takes the row that is the next one.
    fn take_row(&mut self, driver: &mut Driver) -> Result<(), Failure> {
        match self {
            Answer::Portal(_) => {
                let line = driver.line_mut();
                if let Some(head) = line.head().map_err(Failure::broken)? {
                    line.take(head);
                }
            }
            Answer::Stream(stream) => stream.ahead = None,
        }
        Ok(())
    }

    /// Reads the answer to its end, whatever rows it has: the number of rows in the server's tag.
    pub(crate) fn finish(&mut self, driver: &mut Driver, call: &Call<'_>) -> Result<u64, Failure> {
        loop {
            match self.skip(driver, usize::MAX)? {
                Step::End(count) => return Ok(count),
                Step::Row => {}
                Step::Wait => self.wait(driver, call)?,
            }
        }
    }
}

/// The state of reading rows.
#[derive(Default)]
pub(crate) struct Reading {
    /// `None` when all rows have been read.
    pub(crate) answer: Option<Answer>,
    /// An error that was met while rows were skipped, and is still to be told.
    failure: Option<Failure>,
    /// Whether the statement may be cut short without losing what it does.
    pub(crate) reads: bool,
    shape: RowShape,
    cells: Vec<Cell>,
    /// What the spans of the cells lie in: the message itself, a copy of it where it is tokio-postgres's, or a copy with
    /// what was written behind it.
    message: Option<Head>,
    copy: Vec<u8>,
    written: Vec<u8>,
}

/// A row whose values were larger than this, in bytes, gives the memory back with the end of its answer.
const KEEP_SIZE: usize = 256 * 1024;

impl Reading {
    pub(crate) fn begin(&mut self, shape: RowShape, answer: Answer, reads: bool) {
        self.shape = shape;
        self.answer = Some(answer);
        self.failure = None;
        self.reads = reads;
        self.clear();
    }

    /// Stands for an answer without rows.
    pub(crate) fn begin_empty(&mut self, shape: RowShape) {
        self.end();
        self.shape = shape;
    }

    pub(crate) fn end(&mut self) {
        self.answer = None;
        self.failure = None;
        self.clear();
        self.copy.shrink_to(KEEP_SIZE);
        self.written.shrink_to(KEEP_SIZE);
    }

    fn clear(&mut self) {
        self.cells.clear();
        self.message = None;
        self.copy.clear();
        self.written.clear();
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

    pub(crate) fn data<'a>(&'a self, driver: &'a Driver) -> &'a [u8] {
        match self.message {
            _ if !self.written.is_empty() => &self.written,
            Some(head) => driver.line().body(head),
            None => &self.copy,
        }
    }

    /// Skips the rows that have been received: true if none are left. An error that is met stays to be told.
    pub(crate) fn skip(&mut self, driver: &mut Driver) -> bool {
        self.clear();
        let Some(answer) = &mut self.answer else {
            return true;
        };
        match answer.skip(driver, usize::MAX) {
            Ok(Step::End(_)) => {
                self.end();
                true
            }
            Ok(_) => false,
            Err(failure) => {
                self.failure = Some(failure);
                false
            }
        }
    }

    /// Takes the answer, to be read to its end or to the error that was met already.
    pub(crate) fn take(&mut self) -> Option<Result<Answer, Failure>> {
        let answer = self.answer.take()?;
        let failure = self.failure.take();
        self.end();
        Some(failure.map_or(Ok(answer), Err))
    }

    /// Goes to the next row, if it has been received.
    #[inline]
    pub(crate) fn next(&mut self, driver: &mut Driver) -> Result<Step, Failure> {
        match &mut self.answer {
            None => Ok(Step::End(0)),
            Some(Answer::Portal(portal)) => match portal.advance(driver.line_mut())? {
                Progress::Row(head) => {
                    driver.line_mut().take(head);
                    self.message = Some(head);
                    self.read(driver.line().body(head))
                        .map_err(Failure::broken)?;
                    Ok(Step::Row)
                }
                Progress::End(count) => Ok(Step::End(count)),
                Progress::Wait => Ok(Step::Wait),
            },
            Some(answer) => {
                let step = answer.step(driver)?;
                if let Answer::Stream(stream) = answer
                    && let Some(Ok(Some(row))) = stream.ahead.take()
                {
                    let mut copy = std::mem::take(&mut self.copy);
                    copy.clear();
                    let read = write_row(&row, &mut copy).and_then(|()| self.read(&copy));
                    self.copy = copy;
                    read.map_err(Failure::broken)?;
                }
                Ok(step)
            }
        }
    }

    /// Makes the row in a message the current one.
    fn read(&mut self, body: &[u8]) -> Result<()> {
        self.cells.clear();
        self.written.clear();
        let forms = &self.shape.forms;
        read_row(forms, body, &mut self.cells, &mut self.written).map_err(|error| {
            // The cells before the fault are there.
            let index = self.cells.len();
            let name = self.shape.columns.name(index).unwrap_or("?");
            error
                .context(format_args!("column {index} ({name:?})"))
                .with_outcome(Outcome::Unknown)
        })
    }
}
