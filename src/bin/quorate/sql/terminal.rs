//! The shell at a terminal: lines are edited, and remembered until the shell ends.

use quorate::{Database, Error, ErrorKind};
use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{Behavior, Config, Editor};

use super::input::Input;
use super::shell::{Flow, Shell, note};
use crate::arguments::Stop;

/// Reads and runs until Ctrl-D or `.exit`. An error ends nothing, so the exit status is 0.
pub(crate) fn run(mut shell: Shell) -> Result<(), Stop> {
    // The prompt goes to the terminal, where standard output may be a file.
    let config = Config::builder()
        .behavior(Behavior::PreferTerm)
        .auto_add_history(false)
        .build();
    let history = MemHistory::with_config(&config);
    let mut editor: Editor<(), MemHistory> =
        Editor::with_history(config, history).map_err(terminal)?;
    let installed = shell.interrupt.install();
    installed.map_err(|error| terminal(error.into()))?;
    note(&format!(
        "{}; .help lists the commands, Ctrl-D ends",
        shell.config
    ));
    let mut input = Input::new(shell.database());
    loop {
        match editor.readline(prompt(&shell, &input)) {
            Ok(line) => {
                input.push(&line);
                input.push("\n");
            }
            Err(ReadlineError::Interrupted) => {
                input.clear();
                continue;
            }
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(terminal(error)),
        }
        let entry = input.rest().to_owned();
        let (flow, is_whole) = run_pieces(&mut shell, &mut input)?;
        if is_whole && !entry.is_empty() {
            let _ = editor.add_history_entry(entry);
        }
        if flow == Flow::End {
            break;
        }
    }
    shell.close();
    Ok(())
}

/// Runs what is whole. Answers whether nothing is left.
fn run_pieces(shell: &mut Shell, input: &mut Input) -> Result<(Flow, bool), Stop> {
    while let Some((piece, _)) = input.next() {
        match shell.run(&piece, "error") {
            Ok(Flow::Continue) => {}
            Ok(Flow::End) => return Ok((Flow::End, true)),
            Err(fault) if fault.is_broken_pipe() => return Err(Stop::Reported),
            Err(_) => {
                // What follows on the same line was meant for after a success.
                input.clear();
            }
        }
    }
    Ok((Flow::Continue, input.rest().is_empty()))
}

/// The prompt: `>` waits for a statement, `*>` for one in a transaction, and without a name for the rest of one.
fn prompt(shell: &Shell, input: &Input) -> &'static str {
    let is_dqlite = shell.database() == Database::Dqlite;
    match (input.rest().is_empty(), shell.in_transaction()) {
        (true, false) if is_dqlite => "dqlite> ",
        (true, true) if is_dqlite => "dqlite*> ",
        (true, false) => "sql> ",
        (true, true) => "sql*> ",
        (false, _) => "   ...> ",
    }
}

fn terminal(error: ReadlineError) -> Stop {
    let text = format!("cannot read from the terminal: {error}");
    Stop::Failure(Error::new(ErrorKind::Internal, text).with_source(error))
}
