//! The shell: one connection on which statements run one after the other.

use std::io::{self, Write};
use std::time::Duration;

use quorate::{Config, Connection, Database, Deadline, Outcome, Pool, Row, ValueRef};

use super::commands;
use super::fault::Fault;
use super::input::Piece;
use super::interrupt::Interrupt;
use super::output::text::escape;
use super::output::{Format, Output};
use crate::arguments::Stop;

/// How long the roll-back of a transaction that is left open may keep the end of the shell waiting.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Whether there is more to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    Continue,
    End,
}

pub(crate) struct Shell {
    pub(super) config: Config,
    pub(super) pool: Pool,
    pub(super) output: Output,
    pub(super) interrupt: Interrupt,
    /// Taken out of the pool by the first statement, and kept.
    connection: Option<Connection>,
    /// The node that the connection went to when it last went to any.
    node: String,
    /// What the user is to be told behind the error of the statement, if there is one.
    notes: Vec<String>,
}

impl Shell {
    /// Opens a shell; nothing is dialled yet.
    pub(crate) fn open(config: Config, format: Format, header: bool) -> Result<Shell, Stop> {
        Ok(Shell {
            pool: Pool::with_config(config.clone())
                .map_err(|error| Stop::Usage(error.to_string()))?,
            config,
            output: Output::new(format, header),
            interrupt: Interrupt::default(),
            connection: None,
            node: String::new(),
            notes: Vec::new(),
        })
    }

    pub(crate) fn database(&self) -> Database {
        self.config.database()
    }

    /// Whether a transaction is open, or was lost and not ended yet.
    pub(crate) fn in_transaction(&self) -> bool {
        self.connection
            .as_ref()
            .is_some_and(Connection::in_transaction)
    }

    /// Runs a statement or a command and writes its result, or its error with `before` before it.
    pub(crate) fn run(&mut self, piece: &Piece, before: &str) -> Result<Flow, Fault> {
        let result = match piece {
            Piece::Command(line) => commands::run(self, line),
            Piece::Statement(sql) => self.statement(sql).map(|()| Flow::Continue),
        };
        if let Err(fault) = &result
            && !fault.is_broken_pipe()
        {
            tell(&format!("{before}: {fault}"));
        }
        self.notes.drain(..).for_each(|text| note(&text));
        result
    }

    /// Runs one statement and writes its result.
    pub(super) fn statement(&mut self, sql: &str) -> Result<(), Fault> {
        self.connect()?;
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        let was_lost = is_lost(connection);
        let (output, interrupt) = (&mut self.output, &self.interrupt);
        let handle = connection.cancel_handle();
        let result = interrupt.during(handle, || execute(connection, sql, output, interrupt));
        self.tell_of_changes(sql, was_lost, result.is_ok());
        result
    }

    /// Takes a connection out of the pool, if there is none yet.
    pub(super) fn connect(&mut self) -> Result<(), Fault> {
        if self.connection.is_some() {
            return Ok(());
        }
        // What is dialled here is found idle in the pool below: a connection that is taken out with a handle of its
        // own would end with the first cancellation.
        let handle = quorate::CancelHandle::new();
        let dialling = self.pool.cancel_with(&handle).within(self.deadline());
        let dialled = self.interrupt.during(handle, || dialling.acquire());
        drop(dialled?);
        let mut connection = self.pool.within(self.deadline()).acquire()?;
        connection.set_deadline(None);
        connection.set_timeout(self.timeout());
        self.node = connection.node().to_owned();
        self.connection = Some(connection);
        Ok(())
    }

    /// Tells the user that the connection goes elsewhere, or that it took the open transaction with it.
    fn tell_of_changes(&mut self, sql: &str, was_lost: bool, is_ok: bool) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        if is_lost(connection) {
            if !was_lost {
                self.notes.push(
                    "the open transaction is lost with its connection; ROLLBACK ends it, and nothing else runs before"
                        .into(),
                );
            }
            // Whoever ends it with COMMIT has seen the error.
            if !is_ok && ends_transaction(sql) && connection.exec("ROLLBACK", ()).is_ok() {
                let text = "the lost transaction has ended with this error";
                self.notes.push(text.into());
            }
        }
        let node = connection.node();
        if node.is_empty() || node == self.node {
            return;
        }
        let text = format!("connected to {node} now, no longer to {}", self.node);
        self.notes.push(text);
        self.node = node.to_owned();
    }

    /// How long a call may take; `None` is without end.
    pub(super) fn timeout(&self) -> Option<Duration> {
        let text = self.config.get("timeout").ok().flatten()?;
        Some(duration(&text)).filter(|timeout| !timeout.is_zero())
    }

    /// The moment by which a call that begins now ends.
    pub(super) fn deadline(&self) -> Deadline {
        self.timeout().map_or(Deadline::NONE, Deadline::after)
    }

    /// Sets how long a call may take.
    pub(super) fn set_timeout(&mut self, text: &str) -> Result<(), Fault> {
        self.config.set("timeout", text)?;
        let timeout = self.timeout();
        if let Some(connection) = &mut self.connection {
            connection.set_timeout(timeout);
        }
        Ok(())
    }

    /// Ends the shell: an open transaction is rolled back.
    pub(crate) fn close(&mut self) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        connection.set_timeout(Some(CLOSE_TIMEOUT));
        if !connection.in_transaction() || is_lost(&connection) {
            return;
        }
        // The release of a savepoint may have ended it: the server knows, and refuses the roll-back.
        match connection.exec("ROLLBACK", ()) {
            Err(error) if error.outcome() == Outcome::Rejected => {}
            _ => note("the open transaction is rolled back"),
        }
    }
}

/// Runs one statement on `connection` and writes its rows as they come.
fn execute(
    connection: &mut Connection,
    sql: &str,
    output: &mut Output,
    interrupt: &Interrupt,
) -> Result<(), Fault> {
    if is_about_transaction(sql) {
        connection.exec(sql, ())?;
        output.done("ok")?;
        return Ok(());
    }
    let mut rows = connection.query(sql, ())?;
    let columns = rows.columns().clone();
    if columns.is_empty() {
        while rows.next()?.is_some() {}
        let result = rows.result();
        output.done(&done(sql, result.rows_affected))?;
        return Ok(());
    }
    let names: Vec<_> = columns.names().collect();
    let mut results = output.begin(&names)?;
    let end = loop {
        if interrupt.was_pressed() {
            let text = "cancelled; the rest of the rows is not read";
            break Err(Fault::Command(text.into()));
        }
        match rows.next() {
            Ok(None) => break Ok(()),
            Ok(Some(row)) => {
                let values = values(&row);
                if let Err(fault) = values.and_then(|values| Ok(results.row(&values)?)) {
                    break Err(fault);
                }
            }
            Err(error) => break Err(error.into()),
        }
    };
    match end {
        Ok(()) => results.end()?,
        Err(fault @ Fault::Output(_)) => return Err(fault),
        Err(fault) => {
            results.break_off()?;
            return Err(fault);
        }
    }
    Ok(())
}

/// The values of a row; a text that is not UTF-8 as its bytes.
fn values<'r>(row: &Row<'r>) -> Result<Vec<ValueRef<'r>>, Fault> {
    let value = |index| {
        row.value(index)
            .or_else(|error| match row.type_name(index) {
                Ok("TEXT") => row.get::<&[u8]>(index).map(ValueRef::Blob),
                _ => Err(error),
            })
    };
    Ok((0..row.len()).map(value).collect::<quorate::Result<_>>()?)
}

/// What to say of a statement without rows. A number of rows that a statement of another kind answers is that of
/// an earlier one.
fn done(sql: &str, rows: u64) -> String {
    const WRITES: [&str; 5] = ["insert", "update", "delete", "replace", "with"];
    if !WRITES.iter().any(|verb| begins_with(sql, verb)) {
        return "ok".into();
    }
    match rows {
        1 => "ok, 1 row".into(),
        rows => format!("ok, {rows} rows"),
    }
}

/// Whether the transaction that was open is gone, and not ended yet.
fn is_lost(connection: &Connection) -> bool {
    connection.in_transaction() && connection.node().is_empty()
}

/// Whether a statement begins or ends a transaction or savepoint: those have no rows, and a roll-back of what was lost
/// is answered by `exec` alone.
fn is_about_transaction(sql: &str) -> bool {
    const WORDS: [&str; 5] = ["begin", "start", "savepoint", "release", "rollback"];
    ends_transaction(sql) || WORDS.iter().any(|word| begins_with(sql, word))
}

fn ends_transaction(sql: &str) -> bool {
    begins_with(sql, "commit") || begins_with(sql, "end")
}

/// Whether the first word of a statement is `word`, in any case.
fn begins_with(sql: &str, word: &str) -> bool {
    let end = sql.find(|c: char| !(c.is_alphanumeric() || c == '_'));
    sql[..end.unwrap_or(sql.len())].eq_ignore_ascii_case(word)
}

/// Reads a duration as [`Config::get`] writes it: a whole number and a unit.
fn duration(text: &str) -> Duration {
    let digits = text.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
    let number = number.parse().unwrap_or(0);
    match unit {
        "ns" => Duration::from_nanos(number),
        "us" => Duration::from_micros(number),
        "ms" => Duration::from_millis(number),
        _ => Duration::from_secs(number),
    }
}

/// Tells the user something that is no result.
pub(super) fn note(text: &str) {
    tell(&format!("note: {}", escape(text)));
}

/// Writes a line to standard error, if anybody reads it.
pub(super) fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_a_configuration_writes_them() {
        let mut config = Config::parse("dqlite://127.0.0.1:1/app").unwrap();
        for (text, expected) in [
            ("1h30m", Duration::from_secs(5400)),
            ("1.5s", Duration::from_millis(1500)),
            ("250us", Duration::from_micros(250)),
            ("3ns", Duration::from_nanos(3)),
            ("0", Duration::ZERO),
        ] {
            config.set("timeout", text).unwrap();
            let written = config.get("timeout").unwrap().unwrap_or_default();
            assert_eq!(duration(&written), expected, "{text} {written:?}");
        }
    }

    #[test]
    fn the_first_word_tells_what_a_statement_is_about() {
        assert!(is_about_transaction("Begin"));
        assert!(is_about_transaction("ROLLBACK TO x"));
        assert!(is_about_transaction("end"));
        assert!(!is_about_transaction("beginning"));
        assert!(!is_about_transaction("(select 1)"));
        assert_eq!(done("insert into t values (1)", 1), "ok, 1 row");
        assert_eq!(done("create table t (a)", 7), "ok");
    }
}
