//! `quorate sql`: statements from the command line, a file or a terminal, run one after the other.

mod administration;
mod commands;
mod fault;
mod input;
mod interrupt;
mod output;
mod script;
mod shell;
mod terminal;

use std::ffi::OsString;
use std::io::{self, IsTerminal};

use lexopt::prelude::*;
use quorate::Config;

use crate::arguments::{Stop, unexpected, value};
use output::Format;
use shell::Shell;

const HELP: &str = "\
Usage: quorate sql [options] URL [STATEMENT…]

Runs the statements that are given as arguments; without any, those of standard input. Where that is a terminal,
the shell is interactive: Ctrl-C cancels the statement that runs, Ctrl-D ends the shell. A text may hold several
statements, with ; between them. What begins with a dot is a command of the shell: .help lists them.

URL is dqlite://host:port,host:port/database, picodata://user@host:port/database or
postgres://user@host:port/database; options stand behind a question mark. For the last two, a password can be left to
PGPASSWORD or ~/.pgpass, since other users of the machine see the arguments of a program.

Options:
  --format FORMAT  table: for reading; long texts are cut, control characters shown as \\n or \\x1b
                   csv: as RFC 4180 has it; NULL is an empty field, an empty text is \"\"
                   json: an object a line; blobs are texts of hexadecimal digits
                   list: the values of a row with | between them
                   without it, table if standard output is a terminal, and csv if not
  --no-header      leave the names of the columns out (table, csv, list)
  --timeout TIME   how long a statement may take: 500ms, 5s, 1h30m; 0 is without end (30s)
  --keep-going     go on after an error

In all formats but json a blob is written as x'0aff', as is a text that is not UTF-8. NULL is NULL in table and list.

Results go to standard output, everything else to standard error. The first error ends the run. The exit status is 0
if there was no error, 1 if there was one, and 2 if the arguments are wrong. A transaction that a text begins and
does not commit is rolled back at the end.
";

const OPTIONS: &[&str] = &[
    "--format",
    "--no-header",
    "--timeout",
    "--keep-going",
    "--help",
];

/// What the command line says.
pub(crate) struct Options {
    config: Config,
    format: Option<Format>,
    header: bool,
    keep_going: bool,
    texts: Vec<String>,
}

pub(crate) fn run(words: Vec<OsString>) -> Result<(), Stop> {
    let Options {
        config,
        format,
        header,
        keep_going,
        texts,
    } = Options::parse(words)?;
    let format = format.unwrap_or(match io::stdout().is_terminal() {
        true => Format::Table,
        false => Format::Csv,
    });
    let shell = Shell::open(config, format, header)?;
    if !texts.is_empty() {
        return script::run_texts(shell, &texts, keep_going);
    }
    if io::stdin().is_terminal() {
        return terminal::run(shell);
    }
    script::run_stream(shell, io::stdin().lock(), keep_going)
}

impl Options {
    fn parse(words: Vec<OsString>) -> Result<Options, Stop> {
        let mut parser = lexopt::Parser::from_args(words);
        let (mut format, mut timeout) = (None, None::<String>);
        let (mut header, mut keep_going) = (true, false);
        let mut texts = Vec::new();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("format") => format = Some(value(&mut parser, "--format")?),
                Long("timeout") => timeout = Some(value(&mut parser, "--timeout")?),
                Long("no-header") => header = false,
                Long("keep-going") => keep_going = true,
                Long("help") | Short('h') => return Err(Stop::Text(HELP.into())),
                // Not shown: the first one may have a password in it.
                Value(text) => texts.push(
                    text.into_string()
                        .map_err(|_| Stop::Usage("an argument is not UTF-8".into()))?,
                ),
                other => return Err(unexpected(&other, OPTIONS)),
            }
        }
        if texts.is_empty() {
            return Err(Stop::Usage(
                "the connection string is missing; see --help".into(),
            ));
        }
        let mut config =
            Config::parse(&texts.remove(0)).map_err(|error| Stop::Usage(error.to_string()))?;
        if let Some(timeout) = timeout {
            config.set("timeout", &timeout).map_err(|error| {
                Stop::Usage(format!("bad value {timeout:?} for --timeout: {error}"))
            })?;
        }
        Ok(Options {
            config,
            format,
            header,
            keep_going,
            texts,
        })
    }
}
