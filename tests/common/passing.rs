//! Tests that pass the leadership of a dqlite cluster on.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use quorate::Pool;
use quorate::dqlite::ClusterClient;

use super::cluster::Cluster;

/// How long a node may take to give the leadership away.
const PATIENCE: Duration = Duration::from_secs(3);

/// Runs a test that passes the leadership on, on a fresh cluster of three, and again, twice at most, where the server
/// has failed at that: libraft 0.15 may end a node, or pass it on no more (docs/dqlite.md). The test is given the
/// cluster, which has a table `t (n)`, a pool of it, and a client that moves its leadership.
pub fn passing_leadership(options: &str, test: impl Fn(&Cluster, &Pool, &ClusterClient)) {
    for attempt in 1.. {
        let cluster = Cluster::start(3);
        let url = format!("dqlite://{}/test", cluster.addresses().join(","));
        let pool = Pool::open(&format!("{url}?{options}")).unwrap();
        let client = ClusterClient::open(&url).unwrap();
        pool.exec("CREATE TABLE t (n INTEGER)", ()).unwrap();
        let run = AssertUnwindSafe(|| test(&cluster, &pool, &client));
        let Err(panic) = catch_unwind(run) else {
            return;
        };
        if attempt == 3 || !(cluster.is_old() && has_failed(&cluster, &client)) {
            resume_unwind(panic);
        }
        eprintln!("the server has failed; once more");
    }
}

/// Whether a node has ended by itself, or the leader does not give the leadership away.
fn has_failed(cluster: &Cluster, client: &ClusterClient) -> bool {
    cluster.has_lost_a_node() || {
        let next = (cluster.leader() + 1) % 3;
        let pass = |_| client.within(PATIENCE).transfer(cluster.id(next));
        (0..3).map(pass).all(|passed| passed.is_err()) || cluster.has_lost_a_node()
    }
}
