//! The program `quorate sql` as a process, with a pipe or a terminal before it.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::basic::wait_for;

/// How long the program may take for anything that a test asks of it, on a loaded machine.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// The program with the environment of nobody.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    for name in ["PGPASSWORD", "PGUSER", "PGHOST", "PGSERVICE", "PGDATABASE"] {
        command.env_remove(name);
    }
    command.arg("sql");
    command
}

/// What the program makes of arguments, with nothing on its standard input.
pub fn run(arguments: &[&str]) -> Ended {
    let command = &mut program();
    let output = command.args(arguments).stdin(Stdio::null()).output();
    Ended::new(&output.unwrap())
}

/// What the program makes of a text on its standard input.
pub fn pipe(arguments: &[&str], input: &str) -> Ended {
    let mut shell = Shell::start(arguments);
    shell.say(input);
    shell.end()
}

/// The end of a run.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub out: String,
    pub err: String,
}

impl Ended {
    fn new(output: &Output) -> Ended {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ended {
            status: output.status,
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }

    /// The output of a run without a fault.
    #[track_caller]
    pub fn good(self) -> String {
        assert_eq!(self.status.code(), Some(0), "{self:?}");
        assert_eq!(self.err, "", "{self:?}");
        self.out
    }
}

/// A program that runs. It is killed on drop.
pub struct Shell {
    child: Child,
    stdin: Option<ChildStdin>,
    out: Transcript,
    err: Transcript,
}

/// What has been written so far.
struct Transcript {
    text: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Shell {
    /// Starts the program with a pipe before it.
    pub fn start(arguments: &[&str]) -> Shell {
        let mut command = program();
        command.args(arguments);
        Shell::spawn(command)
    }

    /// Starts the program with a terminal before it; all that it writes is in [`out`](Shell::out).
    pub fn at_terminal(arguments: &[&str]) -> Shell {
        let words: Vec<_> = arguments.iter().map(|word| format!("'{word}'")).collect();
        // Signals are for the program alone, not for a shell that waits for it.
        let line = format!(
            "exec {} sql {}",
            env!("CARGO_BIN_EXE_quorate"),
            words.join(" ")
        );
        let mut command = Command::new("script");
        command
            .args(["-q", "-e", "-f", "-c", &line, "/dev/null"])
            .env("SHELL", "/bin/sh")
            .env("TERM", "xterm");
        Shell::spawn(command)
    }

    fn spawn(mut command: Command) -> Shell {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Shell {
            stdin: child.stdin.take(),
            out: Transcript::read(child.stdout.take().unwrap()),
            err: Transcript::read(child.stderr.take().unwrap()),
            child,
        }
    }

    /// Writes to the program.
    pub fn say(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    /// Waits until the program has written `part`, and forgets all up to it.
    #[track_caller]
    pub fn expect(&mut self, part: &str) {
        self.out.expect(part, &self.err);
    }

    /// The same with standard error.
    #[track_caller]
    pub fn expect_error(&mut self, part: &str) {
        self.err.expect(part, &self.out);
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends the input and waits for the program.
    pub fn end(mut self) -> Ended {
        self.stdin = None;
        self.wait()
    }

    /// Waits until the program has ended by itself.
    pub fn wait(mut self) -> Ended {
        let child = &mut self.child;
        let status = wait_for("the program ends", DEADLINE, || child.try_wait().unwrap());
        Ended {
            status,
            out: self.out.finish(),
            err: self.err.finish(),
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Transcript {
    fn read(mut from: impl Read + Send + 'static) -> Transcript {
        let text = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&text);
        let reader = thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = from.read(&mut bytes) {
                shared.lock().unwrap().extend_from_slice(&bytes[..count]);
            }
        });
        Transcript {
            text,
            reader: Some(reader),
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().unwrap()).into_owned()
    }

    #[track_caller]
    fn expect(&self, part: &str, other: &Transcript) {
        let end = std::time::Instant::now() + DEADLINE;
        loop {
            {
                let mut text = self.text.lock().unwrap();
                let mut places = text.windows(part.len());
                if let Some(start) = places.position(|place| place == part.as_bytes()) {
                    text.drain(..start + part.len());
                    return;
                }
            }
            assert!(
                std::time::Instant::now() < end,
                "no {part:?} in {:?}; {:?}",
                self.text(),
                other.text()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn finish(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        self.text()
    }
}
