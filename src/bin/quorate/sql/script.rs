//! Statements from the command line or a stream, run without a user who watches.

use std::io::{self, Read};

use super::fault::Fault;
use super::input::Input;
use super::shell::{Flow, Shell, tell};
use crate::arguments::Stop;

/// How much is read at once. What is there is run before more is waited for.
const CHUNK: usize = 64 * 1024;

/// Runs the statements of each text.
pub(crate) fn run_texts(shell: Shell, texts: &[String], keep_going: bool) -> Result<(), Stop> {
    let mut script = Script::new(shell, keep_going);
    for (index, text) in texts.iter().enumerate() {
        let mut input = Input::new(script.shell.database());
        input.push(text);
        input.end();
        let place = (texts.len() > 1).then(|| format!("argument {}", index + 1));
        if script.run(&mut input, place.as_deref())? == Flow::End {
            break;
        }
    }
    script.finish()
}

/// Runs the statements of a stream, each as soon as its `;` has come.
pub(crate) fn run_stream(
    shell: Shell,
    mut stream: impl Read,
    keep_going: bool,
) -> Result<(), Stop> {
    let mut script = Script::new(shell, keep_going);
    let mut input = Input::new(script.shell.database());
    let mut bytes = Vec::new();
    loop {
        let filled = bytes.len();
        bytes.resize(filled + CHUNK, 0);
        let read = loop {
            match stream.read(&mut bytes[filled..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        let count = match read {
            Ok(count) => count,
            Err(error) => return script.fail(&format!("cannot read standard input: {error}")),
        };
        bytes.truncate(filled + count);
        let at_end = count == 0;
        let (text, is_bad) = match std::str::from_utf8(&bytes) {
            Ok(text) => (text, false),
            // A character may be cut in two.
            Err(error) => (
                std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
                error.error_len().is_some() || at_end,
            ),
        };
        input.push(text);
        let taken = text.len();
        bytes.drain(..taken);
        if at_end && !is_bad {
            input.end();
        }
        if script.run(&mut input, None)? == Flow::End {
            break;
        }
        if is_bad {
            return script.fail("standard input is not UTF-8 behind the last statement");
        }
        if at_end {
            break;
        }
    }
    script.finish()
}

struct Script {
    shell: Shell,
    keep_going: bool,
    has_failed: bool,
}

impl Script {
    fn new(shell: Shell, keep_going: bool) -> Script {
        Script {
            shell,
            keep_going,
            has_failed: false,
        }
    }

    /// Runs what is whole in `input`, which is called `place` in errors.
    fn run(&mut self, input: &mut Input, place: Option<&str>) -> Result<Flow, Stop> {
        while let Some((piece, line)) = input.next() {
            let place = place.map_or_else(String::new, |place| format!("{place}, "));
            let before = format!("quorate: {place}line {line}");
            match self.shell.run(&piece, &before) {
                Ok(Flow::Continue) => {}
                Ok(Flow::End) => return Ok(Flow::End),
                Err(fault) => {
                    self.has_failed = true;
                    if !self.keep_going || matches!(fault, Fault::Output(_)) {
                        self.shell.close();
                        return Err(Stop::Reported);
                    }
                }
            }
        }
        Ok(Flow::Continue)
    }

    fn fail(&mut self, text: &str) -> Result<(), Stop> {
        tell(&format!("quorate: {text}"));
        self.shell.close();
        Err(Stop::Reported)
    }

    fn finish(mut self) -> Result<(), Stop> {
        self.shell.close();
        match self.has_failed {
            true => Err(Stop::Reported),
            false => Ok(()),
        }
    }
}
