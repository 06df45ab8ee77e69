//! The rows that a session is reading, and the current one in cells.

use crate::error::{Outcome, Result};
use crate::net::wait::Call;
use crate::picodata::decode::read_row;
use crate::picodata::description::Described;
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

/// The answer to a statement that was sent.
pub(crate) struct Answer(Portal);

impl Answer {
    /// To a prepared statement.
    pub(crate) fn of_prepared() -> Self {
        Answer(Portal::default())
    }

    /// To a text.
    pub(crate) fn of_text() -> Self {
        Answer(Portal::to_text())
    }

    /// The columns of a text, once its first row or its end has come.
    pub(crate) fn take_columns(&mut self) -> Vec<Described> {
        self.0.take_columns()
    }

    /// Reads on up to the next row or the end, without touching the socket. A row stays the next one.
    pub(crate) fn step(&mut self, driver: &mut Driver) -> Result<Step, Failure> {
        Ok(match self.0.advance(driver.line_mut())? {
            Progress::Row(_) => Step::Row,
            Progress::End(count) => Step::End(count),
            Progress::Wait => Step::Wait,
        })
    }

    /// Waits until there is more than was received.
    pub(crate) fn wait(&mut self, driver: &mut Driver, call: &Call<'_>) -> Result<(), Failure> {
        if driver.is_broken() {
            return Err(Failure::broken(driver.ending()));
        }
        self.0.wait(driver.line_mut(), call)
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
        let line = driver.line_mut();
        if let Some(head) = line.head().map_err(Failure::broken)? {
            line.take(head);
        }
        Ok(())
    }

    /// Reads the answer to its end, whatever rows it has: the number of rows in the server's tag.
    pub(crate) fn finish(&mut self, driver: &mut Driver, call: &Call<'_>) -> Result<u64, Failure> {
        let mut has_waited = false;
        loop {
            match self.skip(driver, usize::MAX)? {
                Step::End(count) => return Ok(count),
                Step::Row => {}
                Step::Wait => {
                    // Rows may come without end, and so that none has to be waited for.
                    if std::mem::replace(&mut has_waited, true) {
                        call.check().map_err(Failure::waiting)?;
                    }
                    self.wait(driver, call)?;
                }
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
    /// What the spans of the cells lie in: the message itself, or a copy with what was written behind it.
    message: Option<Head>,
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
        self.written.shrink_to(KEEP_SIZE);
    }

    fn clear(&mut self) {
        self.cells.clear();
        self.message = None;
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
            None => &[],
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
        let Some(Answer(portal)) = &mut self.answer else {
            return Ok(Step::End(0));
        };
        match portal.advance(driver.line_mut())? {
            Progress::Row(head) => {
                driver.line_mut().take(head);
                self.message = Some(head);
                self.read(driver.line().body(head))
                    .map_err(Failure::broken)?;
                Ok(Step::Row)
            }
            Progress::End(count) => Ok(Step::End(count)),
            Progress::Wait => Ok(Step::Wait),
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
