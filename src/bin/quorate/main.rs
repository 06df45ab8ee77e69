//! The program `quorate`: one subcommand per module.

mod arguments;
mod demo;
mod node;
mod sql;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use arguments::Stop;

const HELP: &str = "\
Usage: quorate <command> [options]

Commands:
  demo    kill the leader of a cluster under load, and account for every write
  node    run a dqlite node until SIGTERM or SIGINT
  sql     run SQL statements, from the command line, a file or a terminal

quorate <command> --help describes a command; --version names the program's version.
";

const COMMANDS: &[&str] = &["demo", "node", "sql"];

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    match run(words.next(), words.collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Stop::Text(text)) => {
            // A reader that has gone away has seen enough.
            let _ = io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(Stop::Usage(message)) => {
            eprintln!("quorate: {message}");
            ExitCode::from(2)
        }
        Err(Stop::Failure(error)) => {
            eprintln!("quorate: {error}");
            ExitCode::FAILURE
        }
        Err(Stop::Reported) => ExitCode::FAILURE,
    }
}

fn run(command: Option<OsString>, rest: Vec<OsString>) -> Result<(), Stop> {
    let command = command.unwrap_or_default();
    match command.to_str() {
        Some("demo") => demo::run(rest),
        Some("node") => node::run(rest),
        Some("sql") => sql::run(rest),
        Some("") => Err(Stop::Usage("no command given; see --help".into())),
        Some("help" | "--help" | "-h") => Err(Stop::Text(HELP.into())),
        Some("--version" | "-V") => Err(Stop::Text(format!(
            "quorate {}\n",
            env!("CARGO_PKG_VERSION")
        ))),
        _ => Err(Stop::Usage(format!(
            "unknown command {command:?}{}",
            arguments::suggestion(&command.to_string_lossy(), COMMANDS)
        ))),
    }
}
