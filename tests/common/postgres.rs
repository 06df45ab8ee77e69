//! Real PostgreSQL servers as processes that can be stopped, killed, frozen and started again.

use std::fmt::Write as _;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustix::process::{Pid, Signal, kill_process};

use super::basic::{TempDir, loopback, wait_for};

/// How long a server may take to start or to end, on a loaded machine.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// The port of every cluster: each has a loopback address of its own.
pub const PORT: u16 = 5432;

/// How a user proves who it is (pg_hba.conf's words).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    Trust,
    /// In clear text.
    Password,
    Md5,
    Scram,
}

impl Auth {
    fn method(self) -> &'static str {
        match self {
            Auth::Trust => "trust",
            Auth::Password => "password",
            Auth::Md5 => "md5",
            Auth::Scram => "scram-sha-256",
        }
    }
}

/// What a cluster is started with.
#[derive(Debug, Clone, Default)]
pub struct PostgresOptions {
    users: Vec<(String, String, Auth)>,
    settings: Vec<(String, String)>,
    rules: Vec<String>,
    tls: bool,
    expired: bool,
    clients_of_ca: bool,
}

impl PostgresOptions {
    /// One superuser, `postgres`, who needs no password.
    pub fn new() -> Self {
        PostgresOptions::default()
    }

    /// Adds a user who may log in to every database and create tables in them.
    pub fn user(mut self, name: &str, password: &str, auth: Auth) -> Self {
        self.users.push((name.into(), password.into(), auth));
        self
    }

    /// Adds a line to postgresql.conf.
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// Adds a line to pg_hba.conf, before those of the users.
    pub fn rule(mut self, line: &str) -> Self {
        self.rules.push(line.into());
        self
    }

    /// Offers TLS, with a certificate for the address and for `localhost` from a CA of its own.
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// The same, with a certificate that is out of date.
    pub fn expired_tls(mut self) -> Self {
        self.expired = true;
        self.tls()
    }

    /// The same, and takes users with a certificate of that CA alone (see [`PostgresCluster::client_files`]).
    pub fn tls_for_clients_of_ca(mut self) -> Self {
        self.clients_of_ca = true;
        self.tls()
    }
}

/// A server with a data directory of its own. It is killed, and the directory removed, on drop.
pub struct PostgresCluster {
    directory: TempDir,
    programs: PathBuf,
    host: String,
    /// `None` while it is not running.
    server: Option<Child>,
}

impl PostgresCluster {
    /// Starts a cluster and waits until it takes connections.
    ///
    /// Panics where PostgreSQL is missing, with the name of its package in the message.
    pub fn start(options: &PostgresOptions) -> PostgresCluster {
        let mut cluster = PostgresCluster {
            directory: TempDir::new(),
            programs: programs(),
            host: loopback(),
            server: None,
        };
        cluster.initialize(options);
        cluster.resume_server();
        for (name, password, auth) in &options.users {
            let encryption = match auth {
                Auth::Md5 => "md5",
                _ => "scram-sha-256",
            };
            cluster.sql(&format!(
                "SET password_encryption = '{encryption}'; \
                 CREATE ROLE {name} LOGIN PASSWORD '{password}'; GRANT ALL ON SCHEMA public TO {name}"
            ));
        }
        cluster
    }

    fn initialize(&self, options: &PostgresOptions) {
        let home = self.directory.path();
        let data = self.data();
        fs::create_dir(&data).unwrap();
        fs::set_permissions(&data, Permissions::from_mode(0o700)).unwrap();
        give_away(&data);
        let mut command = self.command("initdb");
        command.args([
            "--no-sync",
            "--encoding=UTF8",
            "--locale=C",
            "--auth=trust",
            "--username=postgres",
        ]);
        let output = command.arg("-D").arg(&data).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "initdb failed: {errors}");

        let mut settings = format!(
            "listen_addresses = '{}'\nport = {PORT}\nunix_socket_directories = ''\nfsync = off\n\
             max_connections = 50\nshared_buffers = 16MB\ntimezone = 'UTC'\n",
            self.host
        );
        for (name, value) in &options.settings {
            writeln!(settings, "{name} = '{value}'").unwrap();
        }
        if options.tls {
            self.write_certificates(options.expired);
            settings.push_str("ssl = on\n");
            for (name, file) in [
                ("ssl_cert_file", "server.crt"),
                ("ssl_key_file", "server.key"),
                ("ssl_ca_file", "ca.crt"),
            ] {
                writeln!(settings, "{name} = '{}'", home.join(file).display()).unwrap();
            }
        }
        let path = data.join("postgresql.auto.conf");
        fs::write(&path, settings).unwrap();

        let mut rules = String::new();
        for line in &options.rules {
            writeln!(rules, "{line}").unwrap();
        }
        for (name, _, auth) in &options.users {
            let (kind, more) = match options.clients_of_ca {
                true => ("hostssl", " clientcert=verify-ca"),
                false => ("host", ""),
            };
            writeln!(rules, "{kind} all {name} all {}{more}", auth.method()).unwrap();
        }
        rules.push_str("host all postgres all trust\n");
        fs::write(data.join("pg_hba.conf"), rules).unwrap();
    }

    fn write_certificates(&self, expired: bool) {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        fs::write(self.ca_file(), params.self_signed(&key).unwrap().pem()).unwrap();
        let issuer = Issuer::new(params, key);
        let names = vec![self.host.clone(), "localhost".to_owned()];
        let key = KeyPair::generate().unwrap();
        let mut cert = CertificateParams::new(names).unwrap();
        if expired {
            cert.not_after = rcgen::date_time_ymd(2020, 2, 29);
        }
        let cert = cert.signed_by(&key, &issuer).unwrap();
        let home = self.directory.path();
        fs::write(home.join("server.crt"), cert.pem()).unwrap();
        let key_file = home.join("server.key");
        fs::write(&key_file, key.serialize_pem()).unwrap();
        fs::set_permissions(&key_file, Permissions::from_mode(0o600)).unwrap();
        give_away(&key_file);

        let key = KeyPair::generate().unwrap();
        let mut cert = CertificateParams::new(vec!["client".to_owned()]).unwrap();
        // Not the CA's own: OpenSSL would take it for one that has signed itself.
        cert.distinguished_name.push(DnType::CommonName, "client");
        let cert = cert.signed_by(&key, &issuer).unwrap();
        let [cert_file, key_file] = self.client_files();
        fs::write(cert_file, cert.pem()).unwrap();
        fs::write(&key_file, key.serialize_pem()).unwrap();
        fs::set_permissions(&key_file, Permissions::from_mode(0o600)).unwrap();
    }

    /// A certificate of the CA for a client, and its key, with TLS.
    pub fn client_files(&self) -> [PathBuf; 2] {
        ["client.crt", "client.key"].map(|name| self.directory.path().join(name))
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The certificate of the CA, with TLS.
    pub fn ca_file(&self) -> PathBuf {
        self.directory.path().join("ca.crt")
    }

    pub fn host(&self) -> &str {
        &self.host
    }

    /// The host and the port.
    pub fn address(&self) -> String {
        format!("{}:{PORT}", self.host)
    }

    /// What the server has written to its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    /// Runs statements as the superuser and gives what they answer, one row a line, columns between `|`.
    pub fn sql(&self, sql: &str) -> String {
        let answer = self.try_sql("postgres", "postgres", sql);
        answer.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The same in a database and as a user who needs no password; or what psql says of the error, with its SQLSTATE.
    pub fn try_sql(&self, database: &str, user: &str, sql: &str) -> Result<String, String> {
        let output = Command::new(self.programs.join("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"])
            .args(["-v", "VERBOSITY=verbose"])
            .args(["-h", &self.host, "-p", &PORT.to_string()])
            .args(["-U", user, "-d", database, "-c", sql])
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim_end().to_owned();
        match output.status.success() {
            true => Ok(text(output.stdout)),
            false => Err(text(output.stderr)),
        }
    }

    /// Starts the server again, with its data and at its address.
    pub fn resume_server(&mut self) {
        assert!(self.server.is_none(), "the server runs already");
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_file())
            .unwrap();
        let child = self
            .command("postgres")
            .arg("-D")
            .arg(self.data())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.server = Some(child);
        wait_for("a server that is ready", DEADLINE, || {
            let ended = self
                .server
                .as_mut()
                .and_then(|child| child.try_wait().unwrap());
            assert!(ended.is_none(), "the server ended: {}", self.log());
            // The eighth line says what the server is doing (src/include/utils/pidfile.h).
            let file = fs::read_to_string(self.data().join("postmaster.pid")).ok()?;
            (file.lines().nth(7)?.trim() == "ready").then_some(())
        });
    }

    /// Ends the server in an orderly way: sessions are told.
    pub fn stop(&mut self) {
        self.end(Signal::INT);
    }

    /// Ends the server at once, as a crash would.
    pub fn crash(&mut self) {
        self.end(Signal::QUIT);
    }

    /// Kills all processes of the server at once: nobody is told, and nothing is tidied up.
    pub fn kill(&mut self) {
        // It begins no further process while those that it has are looked for.
        self.signal_server(Signal::STOP);
        self.signal_all(Signal::KILL);
        let Some(mut child) = self.server.take() else {
            return;
        };
        child.wait().unwrap();
        // What the file says of the server that was killed would be taken for the word of the next one.
        let _ = fs::remove_file(self.data().join("postmaster.pid"));
    }

    fn end(&mut self, signal: Signal) {
        let Some(mut child) = self.server.take() else {
            return;
        };
        let _ = kill_process(Pid::from_child(&child), signal);
        let end = Instant::now() + DEADLINE;
        while child.try_wait().unwrap().is_none() {
            if Instant::now() > end {
                // It leaves its own processes behind, which end when they see it gone.
                let _ = child.kill();
                let _ = child.wait();
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Stops all processes of the server where they are; connections stay open and nobody answers.
    pub fn freeze(&self) {
        self.signal_all(Signal::STOP);
    }

    /// Lets frozen processes go on.
    pub fn thaw(&self) {
        self.signal_all(Signal::CONT);
    }

    fn signal_server(&self, signal: Signal) {
        if let Some(child) = &self.server {
            let _ = kill_process(Pid::from_child(child), signal);
        }
    }

    fn signal_all(&self, signal: Signal) {
        let Some(child) = &self.server else {
            return;
        };
        let server = child.id();
        let mut all = vec![server];
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Some(process) = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
            else {
                continue;
            };
            let status = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            // The name, in brackets, may hold blanks; the state and the parent follow it.
            let parent = status
                .rsplit(')')
                .next()
                .and_then(|rest| rest.split_whitespace().nth(1));
            if parent == Some(&server.to_string()) {
                all.push(process);
            }
        }
        for process in all {
            if let Some(pid) = Pid::from_raw(process as i32) {
                let _ = kill_process(pid, signal);
            }
        }
    }

    /// One of the server's programs. It refuses to run as root.
    fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        if !is_root() {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        command
            .args([
                "--reuid=postgres",
                "--regid=postgres",
                "--clear-groups",
                "--",
            ])
            .arg(program)
            .current_dir("/");
        command
    }
}

impl Drop for PostgresCluster {
    fn drop(&mut self) {
        self.thaw();
        self.crash();
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Gives a file to the user that the server runs as.
fn give_away(path: &Path) {
    if !is_root() {
        return;
    }
    let status = Command::new("chown")
        .arg("postgres:postgres")
        .arg(path)
        .status()
        .unwrap();
    assert!(status.success(), "chown {}", path.display());
}

/// Where the programs of the newest PostgreSQL are.
fn programs() -> PathBuf {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            let programs = entry.path().join("bin");
            programs
                .join("initdb")
                .exists()
                .then_some((version, programs))
        })
        .collect();
    found.sort();
    let newest = found.pop();
    newest
        .expect("PostgreSQL is not installed: install Debian's package postgresql")
        .1
}
