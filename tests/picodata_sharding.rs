//! Calls that go to the master of their bucket, as the stand-in for Picodata plays it: by a key that the program asks
//! for, and by what the server tells of a statement.

mod common;

use std::time::Duration;

use chrono::DateTime;
use common::picodata::{ADMIN, Fault, PASSWORD, PicodataCluster, Release, USER};
use common::wait_for;
use quorate::{Batch, ErrorKind, Outcome, Pool, ShardingKey, Value};

const SOON: Duration = Duration::from_secs(10);
const TABLE: &str = "CREATE TABLE item (id INTEGER NOT NULL, name TEXT, PRIMARY KEY (id))";
const INSERT: &str = "INSERT INTO item (id, name) VALUES ($1, $2)";

fn open(cluster: &PicodataCluster, more: &str) -> Pool {
    Pool::open(&format!("{}?{more}", cluster.url(0))).unwrap()
}

fn v26(instances: usize) -> PicodataCluster {
    let builder = PicodataCluster::builder().release(Release::V26);
    builder.instances(instances).start()
}

/// How many statements with a text in them each instance has run.
fn runs(cluster: &PicodataCluster, text: &str) -> Vec<usize> {
    let indexes = 0..cluster.instances().len();
    indexes
        .map(|index| {
            let runs = cluster.counters(index).runs;
            let runs = runs.iter().filter(|(one, _)| one.contains(text));
            runs.map(|(_, count)| count).sum()
        })
        .collect()
}

/// Where a key's connection goes to, as the index of the instance.
fn goes_to(cluster: &PicodataCluster, key: &ShardingKey, id: i64) -> usize {
    let node = key.connection((id,)).unwrap().node().to_owned();
    let instances = cluster.instances();
    instances
        .iter()
        .position(|one| one.address == node)
        .unwrap()
}

/// Waits until the connections of a key go to the masters of their buckets.
fn wait_for_map(cluster: &PicodataCluster, key: &ShardingKey) {
    wait_for("the map of the buckets to be known", SOON, || {
        let is_right =
            |id| goes_to(cluster, key, id) == cluster.master_of("default", bucket(key, id));
        (0..12).all(is_right).then_some(())
    });
}

fn bucket(key: &ShardingKey, id: i64) -> u64 {
    key.bucket((id,)).unwrap()
}

fn value(kind: &str, text: &str) -> Value {
    match kind {
        "boolean" => Value::Bool(text == "true"),
        "integer" => Value::Int(text.parse().unwrap()),
        "text" => Value::Text(text.to_owned()),
        "double" => Value::Float(text.parse().unwrap()),
        "decimal" => Value::Decimal(text.to_owned()),
        "uuid" => Value::Uuid(text.parse().unwrap()),
        "datetime" => Value::Timestamp(DateTime::parse_from_rfc3339(text).unwrap()),
        other => panic!("{other}"),
    }
}

#[test]
fn every_vector_gives_its_bucket() {
    let cluster = PicodataCluster::start(3);
    let pool = open(&cluster, "");
    for kind in [
        "boolean", "integer", "text", "double", "decimal", "uuid", "datetime",
    ] {
        let sql = format!("CREATE TABLE by_{kind} (k {kind} NOT NULL, PRIMARY KEY (k))");
        pool.exec(sql, ()).unwrap();
    }
    let sql =
        "CREATE TABLE by_integer_text (a INTEGER NOT NULL, b TEXT NOT NULL, PRIMARY KEY (a, b))";
    pool.exec(sql, ()).unwrap();
    let mut seen = 0;
    for line in include_str!("data/picodata-bucket-vectors.csv")
        .lines()
        .skip(1)
    {
        let (kinds, rest) = match line.strip_prefix('"') {
            Some(quoted) => quoted.split_once("\",").unwrap(),
            None => line.split_once(',').unwrap(),
        };
        let (text, bucket) = rest.rsplit_once(',').unwrap();
        let kinds: Vec<_> = kinds.split(',').collect();
        let parts = text.splitn(kinds.len(), '|');
        let values: Vec<_> = kinds.iter().zip(parts).map(|(k, t)| value(k, t)).collect();
        let key = pool
            .sharding_key(format!("by_{}", kinds.join("_")))
            .unwrap();
        assert_eq!(
            key.bucket(values).unwrap(),
            bucket.parse::<u64>().unwrap(),
            "{line}"
        );
        seen += 1;
    }
    assert_eq!(seen, 140);
    // Each table was read once.
    let readings = runs(&cluster, "FROM _pico_table WHERE name")
        .iter()
        .sum::<usize>();
    assert_eq!(readings, 8);
    pool.close().unwrap();
}

#[test]
fn a_key_is_described_and_names_the_column_that_is_wrong() {
    let cluster = PicodataCluster::start(2);
    let pool = open(&cluster, "");
    pool.exec(
        "CREATE TABLE part (id INTEGER NOT NULL, code TEXT NOT NULL, n INTEGER, PRIMARY KEY (id)) \
         DISTRIBUTED BY (id, code)",
        (),
    )
    .unwrap();
    let key = pool.sharding_key("part").unwrap();
    assert_eq!((key.table(), key.tier()), ("part", "default"));
    assert_eq!(key.columns(), ["id", "code"]);
    let expected = key.bucket((7, "a")).unwrap();
    assert!((1..=3000).contains(&expected));
    let named: [(&str, &dyn quorate::ToValue); 2] = [("code", &"a"), (":id", &7)];
    assert_eq!(key.bucket(named).unwrap(), expected);
    let error = key.bucket((7, 8)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conversion);
    assert!(error.message().contains("the column \"code\""), "{error}");
    let error = key.connection((7,)).unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Misuse, Outcome::NotSent)
    );
    assert!(error.message().contains("(id, code)"), "{error}");
    let error = key.bucket([("id", 1), ("n", 1)]).unwrap_err();
    assert!(error.message().contains("no column \"n\""), "{error}");
    fn is_shared<T: Clone + Send + Sync>(_: &T) {}
    is_shared(&key);
}

#[test]
fn what_has_no_key_says_why() {
    let cluster = PicodataCluster::start(2);
    let pool = open(&cluster, "");
    pool.exec(
        "CREATE TABLE everywhere (id INT PRIMARY KEY) DISTRIBUTED GLOBALLY",
        (),
    )
    .unwrap();
    let error = pool.sharding_key("everywhere").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("global"), "{error}");
    for name in ["nowhere", "it's", ""] {
        let error = pool.sharding_key(name).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Database, "{error}");
        assert!(error.message().contains("no table"), "{error}");
    }
    let error = pool.sharding_key("a\0b").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse, "{error}");
    cluster.inject(
        0,
        "_pico_table",
        Fault::Refuse("XX000", "AccessDenied: no".into()),
        9,
    );
    cluster.inject(
        1,
        "_pico_table",
        Fault::Refuse("XX000", "AccessDenied: no".into()),
        9,
    );
    let error = pool.sharding_key("everywhere").unwrap_err();
    assert!(error.message().contains("AccessDenied"), "{error}");
    pool.close().unwrap();
    let error = pool.sharding_key("everywhere").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);

    let pool = Pool::open("dqlite://127.0.0.1:1/app").unwrap();
    let error = pool.sharding_key("t").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("dqlite"), "{error}");
}

#[test]
fn without_a_map_the_number_of_buckets_comes_from_the_tiers() {
    let cluster = PicodataCluster::start(2);
    let old = Fault::Refuse("XX000", "SQL function _pico_bucket not found".into());
    for index in 0..2 {
        cluster.inject(index, "_pico_bucket", old.clone(), usize::MAX);
    }
    let pool = open(&cluster, "");
    pool.exec(TABLE, ()).unwrap();
    // An ordinary user may not read the tiers.
    let error = pool.sharding_key("item").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    for part in ["_pico_bucket not found", "_pico_tier", "25.5.1"] {
        assert!(error.message().contains(part), "{error}");
    }
    let url = format!("picodata://{ADMIN}:{PASSWORD}@{}/any", cluster.address(0));
    let key = Pool::open(&url).unwrap().sharding_key("item").unwrap();
    assert!((1..=3000).contains(&bucket(&key, 1)));
    // Where a bucket lies is not known: any instance does.
    let mut nodes: Vec<_> = (0..4).map(|_| goes_to(&cluster, &key, 1)).collect();
    nodes.sort_unstable();
    assert_eq!(nodes, [0, 0, 1, 1]);
}

/// Has the map of the buckets read anew.
fn read_map_again(cluster: &PicodataCluster, key: &ShardingKey) {
    let readings = || runs(cluster, "_pico_bucket").iter().sum::<usize>();
    let before = readings();
    wait_for("two readings of the map", SOON, || {
        goes_to(cluster, key, 1);
        (readings() >= before + 2).then_some(())
    });
}

#[test]
fn a_map_without_its_end_does_not_change_what_a_row_hashes_to() {
    for user in [USER, ADMIN] {
        let cluster = PicodataCluster::start(3);
        let url = format!("picodata://{user}:{PASSWORD}@{}/any", cluster.address(0));
        let pool = Pool::open(&format!("{url}?topology_interval=100ms")).unwrap();
        for table in ["item", "other", "third"] {
            pool.exec(TABLE.replace("item", table), ()).unwrap();
        }
        let key = pool.sharding_key("item").unwrap();
        wait_for_map(&cluster, &key);
        let buckets: Vec<_> = (0..200).map(|id| bucket(&key, id)).collect();
        assert!(buckets.iter().any(|bucket| *bucket > 2000));
        let same = |table: &str| {
            let key = pool.sharding_key(table).unwrap();
            let now: Vec<_> = (0..200).map(|id| bucket(&key, id)).collect();
            assert_eq!(now, buckets, "{user}, {table}");
        };
        // The end is missing, then there is no map at all.
        cluster.move_buckets("default", &[(1, 1000, 1), (1001, 2000, 0)]);
        read_map_again(&cluster, &key);
        same("other");
        let refused = Fault::Refuse("XX000", "_pico_bucket: bucket 1 is not found".into());
        (0..3).for_each(|index| {
            cluster.inject(index, "_pico_bucket", refused.clone(), usize::MAX);
        });
        read_map_again(&cluster, &key);
        same("third");
        // What the last map has told still holds; what it has not lies anywhere.
        for id in 0..30 {
            let node = goes_to(&cluster, &key, id);
            match bucket(&key, id) {
                1..=1000 => assert_eq!(node, 1),
                1001..=2000 => assert_eq!(node, 0),
                _ => {}
            }
        }
        pool.close().unwrap();
    }
}

#[test]
fn a_map_that_was_cut_when_it_was_first_read_is_put_right() {
    let cluster = PicodataCluster::start(3);
    let pool = open(&cluster, "topology_interval=100ms");
    pool.exec(TABLE, ()).unwrap();
    let whole = [(1, 1000, 0), (1001, 2000, 1), (2001, 3000, 2)];
    cluster.move_buckets("default", &whole[..2]);
    let key = pool.sharding_key("item").unwrap();
    assert!((0..200).all(|id| bucket(&key, id) <= 2000));
    cluster.move_buckets("default", &whole);
    wait_for("the whole map to be read", SOON, || {
        let key = pool.sharding_key("item").unwrap();
        key.connection((1,)).unwrap();
        (0..200).any(|id| bucket(&key, id) > 2000).then_some(())
    });
}

#[test]
fn a_connection_goes_to_the_master_of_its_bucket() {
    let cluster = PicodataCluster::builder()
        .instances(4)
        .replication_factor(2)
        .start();
    let pool = open(&cluster, "");
    pool.exec(TABLE, ()).unwrap();
    let key = pool.sharding_key("item").unwrap();
    let check = |ids: std::ops::Range<i64>| {
        ids.map(|id| {
            let master = cluster.master_of("default", bucket(&key, id));
            assert_eq!(goes_to(&cluster, &key, id), master, "{id}");
            master
        })
        .collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(check(0..50), [0, 2].into());
    // Another member becomes the master.
    cluster.change_master(0, 1);
    wait_for("the new master to be known", SOON, || {
        let first = (0..).find(|id| bucket(&key, *id) < 1500).unwrap();
        (goes_to(&cluster, &key, first) == 1).then_some(())
    });
    assert_eq!(check(0..50), [1, 2].into());
    // All buckets move to the other replicaset.
    cluster.move_buckets("default", &[(1, 3000, 1)]);
    wait_for_map(&cluster, &key);
    assert_eq!(check(0..50), [2].into());
    pool.close().unwrap();
}

#[test]
fn filters_hold_and_a_master_without_a_connection_to_spare_is_not_waited_for() {
    let cluster = PicodataCluster::builder()
        .instances(4)
        .replication_factor(2)
        .start();
    let pool = open(&cluster, "role=replica");
    pool.exec(TABLE, ()).unwrap();
    let key = pool.sharding_key("item").unwrap();
    for id in 0..20 {
        assert!([1, 3].contains(&goes_to(&cluster, &key, id)));
    }
    let pool = open(&cluster, "pool_max_conns=1");
    let key = pool.sharding_key("item").unwrap();
    let held = key.connection((1,)).unwrap();
    let other = key.connection((1,)).unwrap();
    assert_ne!(held.node(), other.node());
    drop(held);
    let master = cluster.master_of("default", bucket(&key, 1));
    assert_eq!(goes_to(&cluster, &key, 1), master);
}

#[test]
fn a_map_that_is_out_of_date_costs_a_hop_and_no_error() {
    let cluster = PicodataCluster::start(3);
    let pool = open(&cluster, "topology_interval=1h");
    pool.exec(TABLE, ()).unwrap();
    let key = pool.sharding_key("item").unwrap();
    let old: Vec<_> = (0..20).map(|id| goes_to(&cluster, &key, id)).collect();
    cluster.move_buckets("default", &[(1, 3000, 0)]);
    for (id, old) in (0..20).zip(&old) {
        assert_eq!(goes_to(&cluster, &key, id), *old);
        let mut connection = key.connection((id,)).unwrap();
        connection.exec(INSERT, (id, "x")).unwrap();
    }
    // A map with a gap: whoever is asked does it.
    cluster.move_buckets("default", &[(5, 3000, 0)]);
    let pool = open(&cluster, "");
    let error = pool.sharding_key("item").unwrap_err();
    assert!(error.message().contains("whole map"), "{error}");
    for id in 0..20 {
        let mut connection = key.connection((id,)).unwrap();
        connection
            .exec("DELETE FROM item WHERE id = $1", (id,))
            .unwrap();
    }
}

#[test]
fn a_master_that_is_gone_is_replaced_by_any_instance() {
    let cluster = PicodataCluster::start(3);
    let pool = open(&cluster, "topology_interval=1h");
    pool.exec(TABLE, ()).unwrap();
    let key = pool.sharding_key("item").unwrap();
    let id = (0..)
        .find(|id| cluster.master_of("default", bucket(&key, *id)) == 2)
        .unwrap();
    assert_eq!(goes_to(&cluster, &key, id), 2);
    cluster.kill(2);
    for _ in 0..10 {
        let mut connection = key.connection((id,)).unwrap();
        connection.exec("SELECT 1", ()).unwrap();
        assert_ne!(connection.node(), cluster.address(2));
    }
    cluster.restart(2);
    wait_for("the master to be used again", SOON, || {
        (goes_to(&cluster, &key, id) == 2).then_some(())
    });
}

#[test]
fn the_key_of_a_table_follows_the_schema() {
    let cluster = PicodataCluster::start(2);
    let pool = open(&cluster, "topology_interval=50ms");
    pool.exec(TABLE, ()).unwrap();
    assert_eq!(pool.sharding_key("item").unwrap().columns(), ["id"]);
    pool.exec("DROP TABLE item", ()).unwrap();
    pool.exec(format!("{TABLE} DISTRIBUTED BY (name)"), ())
        .unwrap();
    wait_for("the new key to be read", SOON, || {
        (pool.sharding_key("item").unwrap().columns() == ["name"]).then_some(())
    });
}

#[test]
fn many_threads_that_ask_for_a_key_have_it_read_once() {
    let cluster = PicodataCluster::start(3);
    let pool = open(&cluster, "topology_interval=1h");
    pool.exec(TABLE, ()).unwrap();
    cluster.delay(Duration::from_millis(20));
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| pool.sharding_key("item").unwrap());
        }
    });
    let readings = runs(&cluster, "FROM _pico_table WHERE name")
        .iter()
        .sum::<usize>();
    assert_eq!(readings, 1);
}

/// Inserts rows, and gives how many of them did not run on the master of their bucket.
fn misses(cluster: &PicodataCluster, pool: &Pool, sql: &str, ids: std::ops::Range<i64>) -> usize {
    let key = pool.sharding_key("item").unwrap();
    ids.filter(|id| {
        let before = runs(cluster, sql);
        pool.exec(sql, (*id, "x")).unwrap();
        let after = runs(cluster, sql);
        let master = cluster.master_of("default", bucket(&key, *id));
        after[master] != before[master] + 1
    })
    .count()
}

#[test]
fn statements_whose_key_the_server_tells_go_to_their_bucket() {
    for scheme in ["picodata", "postgres"] {
        let cluster = v26(3);
        let url = format!("{scheme}://{USER}:{PASSWORD}@{}/any", cluster.address(0));
        let pool = Pool::open(&url).unwrap();
        pool.exec(TABLE, ()).unwrap();
        // Until a session has learned the key, and a reading the map.
        let mut next = 0..;
        wait_for("the key and the map to be known", SOON, || {
            let from = next.next().unwrap() * 6;
            (misses(&cluster, &pool, INSERT, from..from + 6) == 0).then_some(())
        });
        assert_eq!(
            misses(&cluster, &pool, INSERT, 10_000..10_050),
            0,
            "{scheme}"
        );
        // The same text by query; and one of which the server tells no key.
        let before = runs(&cluster, INSERT);
        let id = 20_000;
        let master = cluster.master_of("default", bucket(&pool.sharding_key("item").unwrap(), id));
        drop(pool.query(INSERT, (id, "x")).unwrap());
        assert_eq!(runs(&cluster, INSERT)[master], before[master] + 1);
        let select = "SELECT name FROM item WHERE id = $1";
        for _ in 0..30 {
            pool.query_row::<(String,)>(select, (id,)).unwrap();
        }
        assert_eq!(runs(&cluster, select), [10; 3]);
        pool.close().unwrap();
    }
}

#[test]
fn a_user_who_may_not_read_the_replicasets_has_its_statements_sent_there_as_well() {
    let cluster = v26(3);
    let refused =
        "box error: AccessDenied: Read access to space '_pico_replicaset' is denied for user 'app'";
    for index in 0..3 {
        let refused = Fault::Refuse("XX000", refused.into());
        cluster.inject(index, "_pico_replicaset", refused, usize::MAX);
    }
    let pool = open(&cluster, "");
    pool.exec(TABLE, ()).unwrap();
    let mut next = 0..;
    wait_for("the key and the map to be known", SOON, || {
        let from = next.next().unwrap() * 6;
        (misses(&cluster, &pool, INSERT, from..from + 6) == 0).then_some(())
    });
    assert_eq!(misses(&cluster, &pool, INSERT, 10_000..10_050), 0);
}

#[test]
fn a_batch_goes_to_the_master_that_all_its_statements_are_for() {
    let cluster = v26(3);
    let pool = open(&cluster, "");
    pool.exec(TABLE, ()).unwrap();
    let key = pool.sharding_key("item").unwrap();
    let mut next = 0..;
    wait_for("the key and the map to be known", SOON, || {
        let from = next.next().unwrap() * 6;
        (misses(&cluster, &pool, INSERT, from..from + 6) == 0).then_some(())
    });
    let master = |id: &i64| cluster.master_of("default", bucket(&key, *id));
    let send = |ids: &[i64], more: &[&str]| {
        let before = runs(&cluster, INSERT);
        let mut batch = Batch::new();
        for id in ids {
            batch.queue(INSERT, (*id, "x")).unwrap();
        }
        for sql in more {
            batch.queue(*sql, ()).unwrap();
        }
        pool.send_batch(&batch).unwrap().close().unwrap();
        let after = runs(&cluster, INSERT);
        let counts = after
            .iter()
            .zip(&before)
            .map(|(after, before)| after - before);
        counts.collect::<Vec<_>>()
    };
    for first in (10_000..).step_by(100).take(12) {
        let wanted = master(&first);
        let ids: Vec<_> = (first..)
            .filter(|id| master(id) == wanted)
            .take(5)
            .collect();
        assert_eq!(send(&ids, &[])[wanted], 5);
    }
    // Those that differ, or of which one is not known, are spread.
    let mut ids = 20_000..;
    for more in [&[][..], &["SELECT 1"]] {
        let mut nodes = vec![0; 3];
        for _ in 0..9 {
            let wanted = if more.is_empty() {
                [0, 1, 2]
            } else {
                [0, 0, 0]
            };
            let of = |wanted: usize, ids: &mut std::ops::RangeFrom<i64>| {
                ids.find(|id| master(id) == wanted).unwrap()
            };
            let chosen: Vec<_> = wanted.iter().map(|one| of(*one, &mut ids)).collect();
            let counts = send(&chosen, more);
            nodes[counts.iter().position(|count| *count == 3).unwrap()] += 1;
        }
        assert_eq!(nodes, [3; 3], "{more:?}");
    }
}

#[test]
fn names_are_as_good_as_numbers() {
    let cluster = v26(3);
    let pool = open(&cluster, "placeholders=named");
    pool.exec(TABLE, ()).unwrap();
    let key = pool.sharding_key("item").unwrap();
    let sql = "INSERT INTO item (name, id) VALUES (:name, :id)";
    let insert = |id: i64| {
        let named: [(&str, &dyn quorate::ToValue); 2] = [("id", &id), ("name", &"x")];
        let before = runs(&cluster, "INSERT INTO item");
        pool.exec(sql, named).unwrap();
        let master = cluster.master_of("default", bucket(&key, id));
        runs(&cluster, "INSERT INTO item")[master] > before[master]
    };
    let mut next = 0..;
    wait_for("the key to be known", SOON, || {
        (0..6).all(|_| insert(next.next().unwrap())).then_some(())
    });
    assert!((1000..1030).all(insert));
}

#[test]
fn without_the_option_or_the_server_calls_are_spread() {
    for (cluster, option) in [(v26(3), "sharding=off"), (PicodataCluster::start(3), "")] {
        let pool = open(&cluster, option);
        pool.exec(TABLE, ()).unwrap();
        pool.sharding_key("item").unwrap();
        let before = runs(&cluster, INSERT);
        for id in 0..30 {
            pool.exec(INSERT, (id, "x")).unwrap();
        }
        let after = runs(&cluster, INSERT);
        let added: Vec<_> = before.iter().zip(after).map(|(b, a)| a - b).collect();
        assert_eq!(added, [10; 3], "{option}");
    }
}

#[test]
fn a_statement_that_is_out_of_date_is_prepared_again_and_its_key_learned_anew() {
    let cluster = v26(3);
    let pool = open(&cluster, "");
    pool.exec(TABLE, ()).unwrap();
    let sql = "INSERT INTO item VALUES ($1, $2)";
    let mut next = 0..;
    wait_for("the key to be known", SOON, || {
        let from = next.next().unwrap() * 6;
        (misses(&cluster, &pool, sql, from..from + 6) == 0).then_some(())
    });
    pool.exec("DROP TABLE item", ()).unwrap();
    pool.exec(format!("{TABLE} DISTRIBUTED BY (name)"), ())
        .unwrap();
    for id in 0..12 {
        pool.exec(sql, (id, "x")).unwrap();
    }
    wait_for("the new key to be known", SOON, || {
        let key = pool.sharding_key("item").unwrap();
        (key.columns() == ["name"]).then_some(())
    });
    let key = pool.sharding_key("item").unwrap();
    for id in 100..120 {
        let name = format!("name {id}");
        let before = runs(&cluster, sql);
        pool.exec(sql, (id, &name)).unwrap();
        let master = cluster.master_of("default", key.bucket((&name,)).unwrap());
        assert_eq!(runs(&cluster, sql)[master], before[master] + 1);
    }
}

#[test]
fn automatic_sharding_survives_moves_and_a_master_that_is_gone() {
    let cluster = v26(3);
    let pool = open(&cluster, "topology_interval=100ms");
    pool.exec(TABLE, ()).unwrap();
    let mut next = 0..;
    let mut settled = |what: &str| {
        wait_for(what, SOON, || {
            let from = next.next().unwrap() * 6;
            (misses(&cluster, &pool, INSERT, from..from + 6) == 0).then_some(())
        });
    };
    settled("the key to be known");
    cluster.move_buckets("default", &[(1, 3000, 2)]);
    settled("the new map to be known");
    cluster.kill(2);
    wait_for("its connections to close", SOON, || {
        (cluster.counters(2).connections_open == 0).then_some(())
    });
    for id in 10_000..10_030 {
        pool.exec(INSERT, (id, "x")).unwrap();
    }
    cluster.restart(2);
    settled("the master to be used again");
}

#[test]
fn a_change_of_the_schema_goes_to_the_raft_leader() {
    let cluster = PicodataCluster::start(3);
    cluster.change_leader(1);
    let pool = open(&cluster, "topology_interval=100ms");
    for number in 0..9 {
        pool.exec(format!("CREATE TABLE t{number} (a INT PRIMARY KEY)"), ())
            .unwrap();
    }
    assert_eq!(runs(&cluster, "CREATE TABLE"), [0, 9, 0]);
    pool.exec("drop table t0", ()).unwrap();
    assert_eq!(runs(&cluster, "drop table"), [0, 1, 0]);
    // It is gone, and its successor is not known yet.
    cluster.kill(1);
    wait_for("its connections to close", SOON, || {
        (cluster.counters(1).connections_open == 0).then_some(())
    });
    pool.exec("DROP TABLE t1", ()).unwrap();
    assert_eq!(runs(&cluster, "DROP TABLE")[1], 0);
    cluster.change_leader(2);
    wait_for("the new leader to be known", SOON, || {
        let before = runs(&cluster, "DROP TABLE");
        // Not by chance.
        for _ in 0..10 {
            pool.exec("DROP TABLE IF EXISTS t2", ()).unwrap();
        }
        (runs(&cluster, "DROP TABLE")[2] == before[2] + 10).then_some(())
    });
    let before = runs(&cluster, "ALTER");
    for number in 3..9 {
        pool.exec(format!("ALTER TABLE t{number} ADD COLUMN b INT"), ())
            .unwrap();
    }
    assert_eq!(runs(&cluster, "ALTER")[2], before[2] + 6);
}
