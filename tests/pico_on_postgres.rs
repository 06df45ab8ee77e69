//! The SQL that makes PostgreSQL servers look like a Picodata cluster, on a real PostgreSQL. One server with a
//! database for each instance is enough for that.

mod common;

use common::pico_on_postgres::{PicoOnPostgres, Servers};
use common::postgres::{Auth, PostgresCluster, PostgresOptions};

const USER: &str = "tester";

/// One server, whose databases stand for the instances.
struct Databases(PostgresCluster);

impl Databases {
    fn run(&self, instance: usize, user: &str, sql: &str) -> Result<String, String> {
        self.0.try_sql(&format!("instance_{instance}"), user, sql)
    }
}

impl Servers for Databases {
    fn execute(&self, instance: usize, sql: &str) {
        self.run(instance, "postgres", sql).unwrap();
    }
}

#[test]
fn postgres_servers_look_like_a_cluster() {
    let postgres = PostgresCluster::start(&PostgresOptions::new().user(USER, "", Auth::Trust));
    for instance in 0..3 {
        postgres.sql(&format!("CREATE DATABASE instance_{instance}"));
    }
    let addresses: Vec<String> = (0..3)
        .map(|index| format!("127.0.0.1:{}", 5000 + index))
        .collect();
    let mut cluster = PicoOnPostgres::create(Databases(postgres), &addresses, 2);
    let ask = |cluster: &PicoOnPostgres<Databases>, instance: usize, sql: &str| {
        cluster.servers.run(instance, USER, sql)
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
    let states = |cluster: &PicoOnPostgres<Databases>, instance: usize| {
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
