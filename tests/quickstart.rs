//! The README's example, run as a program against real nodes, and the README's copy of it.

mod common;

use std::path::Path;
use std::process::{Command, Output};

use common::cluster::Cluster;

/// The example as `cargo test` builds it, beside the program; `cargo test --test quickstart` alone does not.
fn quickstart() -> Command {
    let target = Path::new(env!("CARGO_BIN_EXE_quorate")).parent().unwrap();
    let program = target.join("examples").join("quickstart");
    assert!(
        program.exists(),
        "{} is missing; run cargo build --examples",
        program.display()
    );
    let mut command = Command::new(program);
    command.env_remove("QUORATE_URL");
    command
}

fn assert_works(output: &Output) {
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{out}{err}");
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines[..2], [r#"("apple", 3)"#, r#"("pear", 5)"#]);
    assert_eq!(lines.len(), 3);
    assert!(lines[2].starts_with("not written: "), "{out}");
    assert!(lines[2].contains("constraint failed"), "{out}");
}

#[test]
fn the_quickstart_runs_with_an_argument_and_with_the_environment() {
    let cluster = Cluster::start(3);
    let url = format!("dqlite://{}/quickstart", cluster.addresses().join(","));
    assert_works(&quickstart().arg(&url).output().unwrap());
    // It may be run again.
    assert_works(&quickstart().env("QUORATE_URL", &url).output().unwrap());
}

#[test]
fn the_readme_shows_the_example_as_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let example = std::fs::read_to_string(root.join("examples/quickstart.rs")).unwrap();
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    assert!(readme.contains(&example));
    assert!(example.lines().count() <= 30);
}
