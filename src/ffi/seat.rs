//! A connection that several handles share: the connection itself, its rows, its batch, its transaction.
//!
//! Rust's borrows let one of them use the connection at a time. Here the same is seen to at run time: every
//! call takes the seat's lock without waiting, so a second thread gets an answer instead of a turn, and every
//! handle has a token, so rows whose connection has moved on get an answer instead of another's row.

use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::call::Bounds;
use super::status::{Answer, Failure};
use crate::batch::Progress;
use crate::connection::Connection;
use crate::error::{Error, ErrorKind};
use crate::lock::{Mutex, MutexGuard};
use crate::pool::Pool;
use crate::row::Row;

/// Names what a handle stands for on its seat; 0 stands for nothing.
pub(super) type Token = u64;

pub(super) struct Seat {
    state: Mutex<State>,
    /// What was freed while another thread was inside; that thread cleans up when it leaves.
    abandoned: Mutex<Vec<Token>>,
    has_abandoned: AtomicBool,
    // After the state: the connection goes back before the pool may close.
    pool: Pool,
}

pub(super) struct State {
    /// `None` once it was closed.
    connection: Option<Connection>,
    last_token: Token,
    rows: Token,
    cursor: Cursor,
    batch: Option<(Token, Progress)>,
    transaction: Token,
    savepoints: u32,
}

/// Where the rows that are being read have come to.
#[derive(Default)]
pub(super) struct Cursor {
    pub(super) place: Place,
    /// What ended the rows after those that were delivered; answered by the next call.
    pub(super) failure: Option<Error>,
    /// The number of rows that were reached.
    pub(super) row: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Place {
    /// Before the first row, or after one that was taken in bulk.
    #[default]
    Between,
    /// On a row that the caller was given.
    Row,
    /// On a row that the caller was not given yet, because it did not fit.
    Kept,
    End,
}

/// The calling thread is the one that uses the connection.
pub(super) struct Inside<'a> {
    seat: &'a Arc<Seat>,
    /// `None` while the lock is let go of in the drop.
    state: Option<MutexGuard<'a, State>>,
}

impl Seat {
    pub(super) fn new(pool: &Pool, connection: Connection) -> Arc<Self> {
        Arc::new(Seat {
            state: Mutex::new(State {
                connection: Some(connection),
                last_token: 0,
                rows: 0,
                cursor: Cursor::default(),
                batch: None,
                transaction: 0,
                savepoints: 0,
            }),
            abandoned: Mutex::default(),
            has_abandoned: AtomicBool::new(false),
            pool: pool.clone(),
        })
    }

    /// Takes the connection into use, or says that another thread does.
    #[inline]
    pub(super) fn enter(self: &Arc<Self>) -> Answer<Inside<'_>> {
        match self.state.try_lock() {
            Some(state) => Ok(Inside {
                seat: self,
                state: Some(state),
            }),
            None => Err(self.refused()),
        }
    }

    #[cold]
    fn refused(&self) -> Failure {
        // A fork may have left the lock with a thread that does not exist here.
        match self.pool.check_process() {
            Err(forked) => forked.into(),
            Ok(()) => Failure::misuse(
                "the connection is used from two threads at once; \
                 one thread at a time may use it, its rows and its transaction",
            ),
        }
    }

    /// Whether something was freed that nobody has cleaned up behind. Asked after the lock is free: who frees while it
    /// is not leaves a note before trying it.
    #[inline(always)]
    fn is_to_clean_up(&self) -> bool {
        self.has_abandoned.load(Ordering::SeqCst)
    }

    /// Fails in a child of the process that opened the pool.
    pub(super) fn check_process(&self) -> Answer<()> {
        Ok(self.pool.check_process()?)
    }

    /// Cleans up behind a handle that was freed.
    pub(super) fn abandon(self: &Arc<Self>, token: Token) {
        if self.pool.check_process().is_err() {
            return;
        }
        if let Some(state) = self.state.try_lock() {
            let mut inside = Inside {
                seat: self,
                state: Some(state),
            };
            inside.abandon(token);
            return;
        }
        self.abandoned.lock().push(token);
        self.has_abandoned.store(true, Ordering::SeqCst);
        // Whoever is inside instead does it when leaving.
        drop(self.enter());
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.state = None;
        if self.seat.is_to_clean_up() {
            self.clean_up();
        }
    }
}

impl std::ops::Deref for Inside<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        self.state
            .as_ref()
            .expect("BUG: the guard is there until the drop")
    }
}

impl std::ops::DerefMut for Inside<'_> {
    fn deref_mut(&mut self) -> &mut State {
        self.state
            .as_mut()
            .expect("BUG: the guard is there until the drop")
    }
}

impl<'a> Inside<'a> {
    pub(super) fn seat(&self) -> &'a Arc<Seat> {
        self.seat
    }

    /// Does what a drop does, within the code of a function that is called for every query.
    #[inline(always)]
    pub(super) fn leave(self) {
        let mut inside = ManuallyDrop::new(self);
        let (seat, state) = (inside.seat, inside.state.take());
        drop(state);
        if seat.is_to_clean_up() {
            Inside { seat, state: None }.clean_up();
        }
    }

    /// Does for handles that were freed meanwhile what they could not do, until no note is left.
    #[cold]
    fn clean_up(&mut self) {
        while self.seat.has_abandoned.load(Ordering::SeqCst) {
            match self.seat.state.try_lock() {
                Some(state) => self.state = Some(state),
                None => return,
            }
            self.seat.has_abandoned.store(false, Ordering::SeqCst);
            let tokens = std::mem::take(&mut *self.seat.abandoned.lock());
            for token in tokens {
                self.abandon(token);
            }
            self.state = None;
        }
    }
}

#[cold]
fn closed() -> Failure {
    Error::new(ErrorKind::Closed, "the connection was closed").into()
}

impl State {
    fn next_token(&mut self) -> Token {
        self.last_token += 1;
        self.last_token
    }

    /// The connection, for a call that is not one on the network.
    pub(super) fn connection(&mut self) -> Answer<&mut Connection> {
        self.connection.as_mut().ok_or_else(closed)
    }

    /// The connection, for a call within `bounds`. What was being read on it ends.
    #[inline(always)]
    pub(super) fn begin(&mut self, bounds: &Bounds<'_>) -> Answer<&mut Connection> {
        self.settle();
        let connection = self.connection()?;
        connection.set_bounds(bounds.deadline, bounds.cancel);
        Ok(connection)
    }

    /// Ends what is being read.
    #[inline(always)]
    fn settle(&mut self) {
        if self.rows != 0 || self.batch.is_some() {
            self.end_reading();
        }
    }

    fn end_reading(&mut self) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        let rows = std::mem::take(&mut self.rows);
        if let Some((_, mut progress)) = self.batch.take() {
            progress.abandon(connection);
        } else if rows != 0 && self.cursor.place != Place::End {
            connection.clean_up(|session, call| session.close_rows(call));
        }
    }

    /// Gives the connection back, and with it all that hangs on it.
    pub(super) fn close(&mut self) {
        self.settle();
        self.rows = 0;
        self.transaction = 0;
        if let Some(mut connection) = self.connection.take() {
            connection.set_bounds(None, None);
        }
    }

    fn abandon(&mut self, token: Token) {
        if token == self.transaction {
            self.settle();
            self.transaction = 0;
            if let Some(connection) = &mut self.connection {
                // The bounds of the last call are no business of this one.
                connection.set_bounds(None, None);
                connection.roll_back();
            }
        } else if self
            .batch
            .as_ref()
            .is_some_and(|(batch, _)| *batch == token)
        {
            self.settle();
        } else if token == self.rows {
            if self.batch.is_some() {
                // The next result reads past them.
                self.rows = 0;
            } else {
                self.settle();
            }
        }
    }

    /// Rows are there to be read.
    pub(super) fn start_rows(&mut self) -> Token {
        self.rows = self.next_token();
        self.cursor = Cursor::default();
        self.rows
    }

    /// Fails unless the rows `token` are still what is being read.
    #[inline]
    pub(super) fn check_rows(&self, token: Token) -> Answer<()> {
        if self.rows == token {
            return Ok(());
        }
        Err(self.stale("the rows have ended: their connection was used for something else since"))
    }

    #[cold]
    fn stale(&self, message: &str) -> Failure {
        if self.connection.is_none() {
            return closed();
        }
        Failure::misuse(message)
    }

    pub(super) fn cursor(&mut self) -> &mut Cursor {
        &mut self.cursor
    }

    /// Goes to the next row.
    pub(super) fn next_row(&mut self) -> Answer<bool> {
        if let Some(failure) = self.cursor.failure.take() {
            return Err(failure.into());
        }
        match self.cursor.place {
            Place::End => return Ok(false),
            Place::Kept => {
                self.cursor.place = Place::Row;
                return Ok(true);
            }
            Place::Between | Place::Row => {}
        }
        let connection = self.connection.as_mut().ok_or_else(closed)?;
        let advanced = match &mut self.batch {
            Some((_, progress)) => progress.advance(connection),
            None => connection.advance(),
        };
        if let Ok(true) = advanced {
            self.cursor.place = Place::Row;
            self.cursor.row += 1;
            return Ok(true);
        }
        self.cursor.place = Place::End;
        advanced.map_err(Failure::from)
    }

    /// Gives rows to `take`, one after the other, until it keeps or refuses one or there are no more.
    ///
    /// A failure of the server is kept for the next call where rows were taken before it.
    pub(super) fn take_rows(&mut self, mut take: impl FnMut(&Row<'_>, u64) -> Taken) -> Answer<()> {
        if let Some(failure) = self.cursor.failure.take() {
            return Err(failure.into());
        }
        let connection = self.connection.as_mut().ok_or_else(closed)?;
        let cursor = &mut self.cursor;
        if cursor.place == Place::End {
            return Ok(());
        }
        let mut taken = 0_u64;
        if cursor.place == Place::Kept {
            match take(&connection.row(), cursor.row) {
                Taken::Yes => {
                    cursor.place = Place::Between;
                    taken = 1;
                }
                Taken::YesAndEnough => {
                    cursor.place = Place::Between;
                    return Ok(());
                }
                Taken::No => return Ok(()),
            }
        }
        let mut place = Place::Between;
        let mut step = |row: &Row<'_>| {
            cursor.row += 1;
            match take(row, cursor.row) {
                Taken::Yes => {
                    taken += 1;
                    true
                }
                Taken::YesAndEnough => {
                    taken += 1;
                    false
                }
                Taken::No => {
                    place = Place::Kept;
                    false
                }
            }
        };
        let read = match &mut self.batch {
            Some((_, progress)) => progress.advance_while(connection, &mut step),
            None => connection.advance_while(&mut step),
        };
        cursor.place = match read {
            Ok(true) => place,
            _ => Place::End,
        };
        match read {
            Err(error) if taken > 0 => {
                cursor.failure = Some(error);
                Ok(())
            }
            read => read.map(|_| ()).map_err(Failure::from),
        }
    }

    /// The row that the caller was given last.
    #[inline]
    pub(super) fn row(&self) -> Answer<Row<'_>> {
        match (&self.connection, self.cursor.place) {
            (Some(connection), Place::Row) => Ok(connection.row()),
            _ => Err(Failure::misuse(
                "there is no current row: it was not asked for, or the last one has passed",
            )),
        }
    }

    /// Ends the rows `token`, and says what the server says about it.
    pub(super) fn close_rows(&mut self) -> Answer<()> {
        let failure = self.cursor.failure.take();
        let ended = self.cursor.place == Place::End || failure.is_some();
        self.cursor.place = Place::End;
        if let Some(failure) = failure {
            return Err(failure.into());
        }
        let connection = self.connection.as_mut().ok_or_else(closed)?;
        if ended {
            return Ok(());
        }
        match &mut self.batch {
            Some((_, progress)) => progress.end_rows(connection)?,
            None => connection.close_rows()?,
        }
        Ok(())
    }

    /// The results of a batch of `len` statements are there to be read.
    pub(super) fn start_batch(&mut self, len: usize) -> Token {
        let token = self.next_token();
        self.batch = Some((token, Progress::new(len)));
        token
    }

    /// The results of the batch `token`, and the connection they are read from. Rows of an earlier result
    /// end.
    pub(super) fn batch(&mut self, token: Token) -> Answer<(&mut Progress, &mut Connection)> {
        if self.batch.as_ref().is_none_or(|(batch, _)| *batch != token) {
            return Err(self.stale(
                "the results have ended: their connection was used for something else since",
            ));
        }
        self.rows = 0;
        match (&mut self.batch, &mut self.connection) {
            (Some((_, progress)), Some(connection)) => Ok((progress, connection)),
            _ => Err(closed()),
        }
    }

    /// How many results of the batch `token` are left to be asked for.
    pub(super) fn results_left(&self, token: Token) -> usize {
        match &self.batch {
            Some((batch, progress)) if *batch == token => progress.left(),
            _ => 0,
        }
    }

    /// A transaction has begun.
    pub(super) fn start_transaction(&mut self) -> Token {
        self.transaction = self.next_token();
        self.savepoints = 0;
        self.transaction
    }

    /// Fails unless the transaction `token` is the one of the connection.
    pub(super) fn check_transaction(&self, token: Token) -> Answer<()> {
        if self.transaction == token {
            return Ok(());
        }
        Err(self.stale("the transaction has ended: it was committed or rolled back"))
    }

    pub(super) fn end_transaction(&mut self) {
        self.transaction = 0;
    }

    /// The number of savepoints that are set.
    pub(super) fn savepoints(&mut self) -> &mut u32 {
        &mut self.savepoints
    }
}

/// What became of a row that was offered in bulk.
pub(super) enum Taken {
    Yes,
    /// It was taken, and no further one is wanted.
    YesAndEnough,
    /// It was not taken: it is offered again next time.
    No,
}
