//! The SQL that makes PostgreSQL servers look like a Picodata cluster, on a real PostgreSQL. One server with a
//! database for each instance is enough for that.

mod common;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, getuid, kill_process};

use common::pico_on_postgres::{PicoOnPostgres, Servers};
use common::{TempDir, wait_for};

/// A PostgreSQL server of its own, on a Unix socket. It ends on drop.
struct Postgres {
    directory: TempDir,
    child: Child,
}

impl Postgres {
    /// `None` where PostgreSQL is not installed.
    fn start() -> Option<Postgres> {
        let bin = newest_bin()?;
        let directory = TempDir::new();
        let owned = directory.path().join("owned");
        fs::create_dir(&owned).unwrap();
        fs::set_permissions(&owned, Permissions::from_mode(0o755)).unwrap();
        // PostgreSQL refuses to be run by root.
        let user = getuid().is_root().then(|| (id("-u"), id("-g")));
        if let Some((uid, gid)) = user {
            chown(&owned, Some(uid), Some(gid)).unwrap();
        }
        let command = |program: &str| {
            let mut command = Command::new(bin.join(program));
            command
                .current_dir(&owned)
                .stdin(Stdio::null())
                .stdout(Stdio::null());
            if let Some((uid, gid)) = user {
                command.uid(uid).gid(gid);
            }
            command
        };
        let mut initdb = command("initdb");
        initdb.args([
            "-D",
            "data",
            "-A",
            "trust",
            "-U",
            "postgres",
            "--no-sync",
            "-E",
            "UTF8",
        ]);
        assert!(initdb.args(["--locale", "C"]).status().unwrap().success());
        let mut server = command("postgres");
        server
            .args(["-D", "data", "-F", "-c", "listen_addresses=", "-k"])
            .arg(&owned);
        let child = server.stderr(Stdio::null()).spawn().unwrap();
        let postgres = Postgres { directory, child };
        wait_for("PostgreSQL answers", Duration::from_secs(30), || {
            postgres.run("postgres", "postgres", "SELECT 1").ok()
        });
        Some(postgres)
    }

    /// The rows, one to a line; or what psql says of the error.
    fn run(&self, database: &str, user: &str, sql: &str) -> Result<String, String> {
        let output = Command::new("psql")
            .args([
                "-X",
                "-q",
                "-A",
                "-t",
                "-v",
                "ON_ERROR_STOP=1",
                "-v",
                "VERBOSITY=verbose",
            ])
            .args(["-d", database, "-U", user, "-c", sql])
            .arg("-h")
            .arg(self.directory.path().join("owned"))
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim_end().to_owned();
        if output.status.success() {
            Ok(text(output.stdout))
        } else {
            Err(text(output.stderr))
        }
    }
}

impl Servers for Postgres {
    fn execute(&self, instance: usize, sql: &str) {
        self.run(&format!("instance_{instance}"), "postgres", sql)
            .unwrap();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // The fast way to stop: connections are closed.
        let pid = Pid::from_child(&self.child);
        let _ = kill_process(pid, Signal::INT);
        let _ = self.child.wait();
    }
}

fn newest_bin() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let number = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions
        .filter_map(|version| Some(version.ok()?.path()))
        .max_by_key(|path| number(path))?;
    Some(newest.join("bin"))
}

fn id(which: &str) -> u32 {
    let output = Command::new("id")
        .args([which, "postgres"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap()
}

#[test]
fn postgres_servers_look_like_a_cluster() {
    let Some(postgres) = Postgres::start() else {
        assert!(
            std::env::var_os("CI").is_none(),
            "PostgreSQL is not installed"
        );
        eprintln!("SKIPPED: PostgreSQL is not installed (Debian's package is postgresql)");
        return;
    };
    for instance in 0..3 {
        let create = format!("CREATE DATABASE instance_{instance}");
        postgres.run("postgres", "postgres", &create).unwrap();
    }
    postgres
        .run("postgres", "postgres", "CREATE ROLE tester LOGIN")
        .unwrap();
    let addresses: Vec<String> = (0..3)
        .map(|index| format!("127.0.0.1:{}", 5000 + index))
        .collect();
    let mut cluster = PicoOnPostgres::create(postgres, &addresses, 2);
    let ask = |cluster: &PicoOnPostgres<Postgres>, instance: usize, sql: &str| {
        cluster
            .servers
            .run(&format!("instance_{instance}"), "tester", sql)
    };
    let discovery = "SELECT ppa.address, pi.current_state FROM _pico_peer_address AS ppa \
                     JOIN _pico_instance AS pi ON ppa.raft_id = pi.raft_id \
                     WHERE connection_type = 'pgproto' ORDER BY 1";
    let all = "127.0.0.1:5000|[\"Online\",1]\n127.0.0.1:5001|[\"Online\",1]\n127.0.0.1:5002|[\"Online\",1]";
    for instance in 0..3 {
        assert_eq!(ask(&cluster, instance, discovery).unwrap(), all);
        let me = "SELECT pico_instance_name(pico_instance_uuid()), pico_raft_leader_id(), \
                  pico_replicaset_name(pico_instance_uuid()), pico_tier_name(pico_raft_leader_uuid())";
        let expected = [
            "default_1_1|1|default_1|default",
            "default_1_2|1|default_1|default",
            "default_2_1|1|default_2|default",
        ];
        assert_eq!(ask(&cluster, instance, me).unwrap(), expected[instance]);
    }

    // The types that a client sees.
    let types = "SELECT pg_typeof(raft_id)::oid::int, pg_typeof(name)::oid::int, pg_typeof(current_state)::oid::int, \
                 pg_typeof(failure_domain)::oid::int FROM _pico_instance LIMIT 1";
    assert_eq!(
        ask(&cluster, 0, &types.replace("oid::int", "text")).unwrap(),
        "bigint|text|json|json"
    );
    assert_eq!(
        ask(
            &cluster,
            0,
            "SELECT pg_typeof(weight) FROM _pico_replicaset LIMIT 1"
        )
        .unwrap(),
        "double precision"
    );
    let buckets = ask(
        &cluster,
        0,
        "SELECT _pico_bucket('default')->1->>'bucket_id_start'",
    )
    .unwrap();
    assert_eq!(buckets, "1501");
    let unknown = ask(&cluster, 0, "SELECT _pico_bucket('x')").unwrap_err();
    assert!(
        unknown.contains("XX000") && unknown.contains("tier 'x' doesn't exist"),
        "{unknown}"
    );
    let refused = ask(&cluster, 0, "SELECT * FROM _pico_tier").unwrap_err();
    assert!(refused.contains("42501"), "{refused}");

    cluster.offline(1);
    cluster.expel(2);
    let states = |cluster: &PicoOnPostgres<Postgres>, instance: usize| {
        ask(
            cluster,
            instance,
            "SELECT current_state FROM _pico_instance ORDER BY name",
        )
        .unwrap()
    };
    assert_eq!(
        states(&cluster, 1),
        "[\"Online\",1]\n[\"Offline\",1]\n[\"Expelled\",1]"
    );
    // A server that is down is told later.
    cluster.set_reachable(2, false);
    cluster.online(1);
    cluster.rejoin(2);
    assert_eq!(
        states(&cluster, 2),
        "[\"Online\",1]\n[\"Offline\",1]\n[\"Expelled\",1]"
    );
    cluster.set_reachable(2, true);
    assert_eq!(
        states(&cluster, 2),
        "[\"Online\",1]\n[\"Online\",2]\n[\"Online\",1]"
    );
    let same =
        "SELECT count(*), max(raft_id) FROM _pico_peer_address WHERE address = '127.0.0.1:5002'";
    assert_eq!(ask(&cluster, 0, same).unwrap(), "2|4");
    assert_eq!(ask(&cluster, 0, discovery).unwrap().lines().count(), 3);

    cluster.change_master(1);
    let master = "SELECT current_master_name FROM _pico_replicaset WHERE name = 'default_1'";
    assert_eq!(ask(&cluster, 0, master).unwrap(), "default_1_2");
    cluster.change_leader(Some(2));
    assert_eq!(
        ask(&cluster, 0, "SELECT pico_raft_leader_id()").unwrap(),
        "4"
    );
    cluster.change_leader(None);
    assert_eq!(
        ask(&cluster, 0, "SELECT pico_raft_leader_id()").unwrap(),
        "0"
    );
    assert!(
        ask(&cluster, 0, "SELECT pico_raft_leader_uuid()")
            .unwrap_err()
            .contains("XX000")
    );
}
