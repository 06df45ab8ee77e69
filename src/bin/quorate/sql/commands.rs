//! The commands of the shell, which begin with a dot.

use std::fmt::Write;
use std::time::Duration;

use quorate::{Database, ValueRef};

use super::administration;
use super::fault::Fault;
use super::output::Format;
use super::shell::{Flow, Shell};
use crate::arguments::suggestion;

/// A command: its name, its arguments, what it does, and the function that does it.
struct Command {
    name: &'static str,
    arguments: &'static str,
    help: &'static str,
    run: fn(&mut Shell, &[&str]) -> Result<Flow, Fault>,
}

macro_rules! command {
    ($name:literal $arguments:literal $help:literal $run:expr) => {
        Command {
            name: $name,
            arguments: $arguments,
            help: $help,
            run: $run,
        }
    };
}

/// An argument in brackets may be left out. A NODE is an id or an address.
const COMMANDS: &[Command] = &[
    command!("add" "ID ADDRESS" "add a node to the cluster, as a spare (dqlite)" administration::add),
    command!("assign" "NODE ROLE" "make a node a voter, a stand-by or a spare (dqlite)" administration::assign),
    command!("cluster" "" "the nodes, or Picodata's instances" administration::cluster),
    command!("describe" "NODE" "the failure domain and the weight of a node (dqlite)" administration::describe),
    command!("dump" "FILE [NODE]" "copy the database to FILE and FILE-wal, from the leader or a node (dqlite)" administration::dump),
    command!("exit" "" "end the shell" exit),
    command!("format" "[FORMAT]" "how results are written: table, csv, json, list" format),
    command!("header" "on|off" "whether the names of the columns are written" header),
    command!("help" "" "this list" help),
    command!("leader" "" "the address of the leader" administration::leader),
    command!("remove" "NODE" "remove a node from the cluster (dqlite)" administration::remove),
    command!("stats" "" "what the pool of connections has counted" stats),
    command!("tables" "" "the tables of the database" tables),
    command!("timeout" "[TIME]" "how long a statement may take: 500ms, 5s; 0 is without end" timeout),
    command!("transfer" "[NODE]" "pass the leadership to a voter, or to any (dqlite)" administration::transfer),
    command!("weight" "NODE NUMBER" "set the weight of a node (dqlite)" administration::weight),
];

/// Other names that users may know.
const ALIASES: [(&str, &str); 3] = [("headers", "header"), ("mode", "format"), ("quit", "exit")];

/// Runs a command, given without its dot.
pub(super) fn run(shell: &mut Shell, line: &str) -> Result<Flow, Fault> {
    let mut words = line.split_whitespace();
    let given = words.next().unwrap_or_default().to_ascii_lowercase();
    let alias = ALIASES.iter().find(|(alias, _)| *alias == given);
    let name = alias.map_or(given.as_str(), |(_, name)| name);
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        let names: Vec<_> = COMMANDS.iter().map(|command| command.name).collect();
        let near = suggestion(&given, &names).replace("mean ", "mean .");
        let near = if near.is_empty() {
            "; see .help"
        } else {
            &near
        };
        return Err(Fault::Command(format!("unknown command .{given}{near}")));
    };
    let words: Vec<_> = words.collect();
    let most = command.arguments.split_whitespace();
    let least = most.clone().filter(|word| !word.starts_with('['));
    if words.len() < least.count() || words.len() > most.count() {
        let usage = format!("usage: .{} {}", command.name, command.arguments);
        return Err(Fault::Command(usage.trim_end().to_owned()));
    }
    (command.run)(shell, &words)
}

fn help(shell: &mut Shell, _: &[&str]) -> Result<Flow, Fault> {
    let mut text = String::new();
    for command in COMMANDS {
        let usage = format!(".{} {}", command.name, command.arguments);
        // Writing to a string does not fail.
        let _ = writeln!(text, "{usage:<20} {}", command.help);
    }
    text.push_str(
        "\nNODE is an id or an address. Everything else is SQL, and ends with a semicolon.\n",
    );
    shell.output.text(&text)?;
    Ok(Flow::Continue)
}

fn exit(_: &mut Shell, _: &[&str]) -> Result<Flow, Fault> {
    Ok(Flow::End)
}

fn format(shell: &mut Shell, words: &[&str]) -> Result<Flow, Fault> {
    match words.first() {
        Some(word) => {
            let parsed: Result<Format, String> = word.parse();
            shell.output.format = parsed
                .map_err(|error| Fault::Command(format!("unknown format {word:?}: {error}")))?;
        }
        None => {
            let text = format!("{}\n", shell.output.format);
            shell.output.text(&text)?;
        }
    }
    Ok(Flow::Continue)
}

fn header(shell: &mut Shell, words: &[&str]) -> Result<Flow, Fault> {
    shell.output.header = match words.first() {
        Some(&"on") => true,
        Some(&"off") => false,
        _ => return Err(Fault::Command("usage: .header on|off".into())),
    };
    Ok(Flow::Continue)
}

fn timeout(shell: &mut Shell, words: &[&str]) -> Result<Flow, Fault> {
    match words.first() {
        Some(text) => shell.set_timeout(text)?,
        None => {
            let text = shell.timeout().map_or("none".into(), seconds);
            shell.output.text(&format!("{text}\n"))?;
        }
    }
    Ok(Flow::Continue)
}

fn seconds(time: Duration) -> String {
    format!("{time:?}")
}

fn tables(shell: &mut Shell, _: &[&str]) -> Result<Flow, Fault> {
    const DQLITE: &str = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') \
         AND name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY name";
    const POSTGRES: &str = "SELECT table_schema AS schema, table_name AS name FROM information_schema.tables \
         WHERE table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2";
    if shell.database() == Database::Dqlite {
        shell.statement(DQLITE)?;
        return Ok(Flow::Continue);
    }
    shell.connect()?;
    if shell.pool.instances().is_empty() {
        shell.statement(POSTGRES)?;
        return Ok(Flow::Continue);
    }
    let rows = shell
        .pool
        .within(shell.deadline())
        .query("SELECT name FROM _pico_table", ())?;
    let mut names = rows
        .typed::<(String,)>()
        .map(|row| row.map(|(name,)| name))
        .filter(|name| !matches!(name, Ok(name) if name.starts_with("_pico_")))
        .collect::<quorate::Result<Vec<_>>>()?;
    names.sort();
    let rows: Vec<_> = names
        .iter()
        .map(|name| vec![ValueRef::Text(name)])
        .collect();
    shell.output.write(&["name"], &rows)?;
    Ok(Flow::Continue)
}

fn stats(shell: &mut Shell, _: &[&str]) -> Result<Flow, Fault> {
    let stats = shell.pool.stats();
    let number = |number: u64| number.to_string();
    let age = stats.topology_age.map_or("never".into(), seconds);
    let mut rows = vec![
        ("connections", number(stats.connections.into())),
        ("idle", number(stats.idle.into())),
        ("in_use", number(stats.in_use.into())),
        ("acquires", number(stats.acquires)),
        ("waits", number(stats.waits)),
        ("wait_time", seconds(stats.wait_time)),
        ("connects", number(stats.connects)),
        ("connect_failures", number(stats.connect_failures)),
        ("failures", number(stats.failures)),
        ("leader_changes", number(stats.leader_changes)),
        ("refreshes", number(stats.refreshes)),
        ("refresh_failures", number(stats.refresh_failures)),
        ("topology_age", age),
        ("topology_failing", stats.topology_failing.to_string()),
    ];
    if shell.database() == Database::Picodata {
        rows.push(("instances", number(stats.instances.into())));
        rows.push(("usable_instances", number(stats.usable_instances.into())));
    }
    let rows: Vec<_> = rows
        .iter()
        .map(|(name, value)| vec![ValueRef::Text(name), ValueRef::Text(value)])
        .collect();
    shell.output.write(&["name", "value"], &rows)?;
    Ok(Flow::Continue)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_sorted_and_aliases_lead_to_them() {
        assert!(COMMANDS.is_sorted_by_key(|command| command.name));
        for (_, name) in ALIASES {
            assert!(COMMANDS.iter().any(|command| command.name == name));
        }
    }
}
