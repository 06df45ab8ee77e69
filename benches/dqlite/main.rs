//! What the driver costs beside a hand-written loop over a socket, against one real dqlite node.
//!
//! `cargo bench --bench dqlite` takes about a minute; `-- --quick` a few seconds. Words select parts of it:
//! `-- point scan batch insert`. The table shows the median of what each contender took, the median of the
//! ratios between contenders that ran side by side, and the range in which that one lies with 95 %.
//!
//! This is no test: a goal that is missed is printed and the exit status is 0.

mod client;
#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../harness/mod.rs"]
mod harness;

use quorate::Pool;

use client::Client;
use common::cluster::Cluster;
use harness::Arguments;
use harness::driver::{self, Point};
use harness::items::{Sums, check, ids};
use harness::measure::{Contender, Goal, Measure, Table};

const ROWS: i64 = 300_000;
const POINT: Point = Point {
    sql: "SELECT id, price, name FROM item WHERE id = ?",
    rows: ROWS,
};
const SCAN: &str = "SELECT id, price, name FROM item WHERE id > ?";
const INSERT: &str = "INSERT INTO entry (value) VALUES (?)";

struct Bench {
    cluster: Cluster,
    pool: Pool,
    arguments: Arguments,
}

fn main() {
    let bench = Bench::start(Arguments::read());
    bench.arguments.run(
        &bench,
        &[
            ("point", Bench::point),
            ("scan", Bench::scan),
            ("batch", Bench::batch),
            ("insert", Bench::insert),
        ],
    );
}

impl Bench {
    fn start(arguments: Arguments) -> Bench {
        let cluster = Cluster::start(1);
        cluster.leader();
        let pool = Pool::open(&format!("dqlite://{}/bench", cluster.address(0))).unwrap();
        pool.exec(
            "CREATE TABLE item (id INTEGER PRIMARY KEY, price FLOAT, name TEXT)",
            (),
        )
        .unwrap();
        pool.exec("CREATE TABLE entry (value INTEGER)", ()).unwrap();
        let part = 20_000;
        for begin in (0..ROWS).step_by(part as usize) {
            pool.exec(
                "INSERT INTO item
                 WITH RECURSIVE number(n) AS
                     (SELECT ?1 UNION ALL SELECT n + 1 FROM number WHERE n < ?2)
                 SELECT n, n / 4.0, 'item ' || n FROM number",
                (begin + 1, (begin + part).min(ROWS)),
            )
            .unwrap();
        }
        Bench {
            cluster,
            pool,
            arguments,
        }
    }

    fn client(&self) -> Client {
        Client::open(self.cluster.address(0), "bench")
    }

    fn point(&self, table: &mut Table) {
        let mut client = self.client();
        let mut prepared = client.prepare_query(POINT.sql);
        let mut connection = self.pool.acquire().unwrap();
        let mut contenders = [
            Contender::new("point SELECT: raw loop", |count| {
                for id in POINT.ids(count) {
                    let (found, price, letters) = client.point(&mut prepared, id);
                    check(id, found, price, letters);
                }
            }),
            POINT.prepared(&mut connection),
            POINT.pooled("point SELECT: pool.query_row", &self.pool),
        ];
        self.arguments.interleave(&mut contenders, 3_000);
        let [raw, connection, pool] = &contenders;
        table.base(raw);
        for driver in [connection, pool] {
            table.beside(raw, driver, Measure::Cpu, Goal::AtMost(1.25));
        }
        table.base(connection);
        table.beside(connection, pool, Measure::Time, Goal::None);
    }

    fn scan(&self, table: &mut Table) {
        let mut client = self.client();
        let mut prepared = client.prepare_query(SCAN);
        let expected = Sums::of(ROWS);
        let mut contenders = [
            Contender::new("scan, per row of 3 columns: raw loop", |count| {
                for _ in 0..count / ROWS as usize {
                    assert_eq!(client.scan(&mut prepared, 0), expected);
                }
            }),
            driver::scan(&self.pool, SCAN, ROWS),
        ];
        self.arguments.interleave_scans(&mut contenders, ROWS);
        let [raw, driver] = &contenders;
        table.base(raw);
        table.beside(raw, driver, Measure::Cpu, Goal::AtMost(3.0));
    }

    fn batch(&self, table: &mut Table) {
        let mut connection = self.pool.acquire().unwrap();
        let mut other = self.pool.acquire().unwrap();
        let mut client = self.client();
        let mut prepared = client.prepare_query(POINT.sql);
        let mut contenders = [
            POINT.one_by_one(&mut connection),
            POINT.batched(&mut other),
            // What the node gives at most to one who asks so.
            Contender::new("100 point SELECTs, each: raw loop, pipelined", |count| {
                for chunk in POINT.ids(count).collect::<Vec<_>>().chunks(driver::BATCH) {
                    client.points(&mut prepared, chunk, |id, (found, price, letters)| {
                        check(id, found, price, letters);
                    });
                }
            }),
        ];
        self.arguments.interleave(&mut contenders, 3_000);
        let [single, batch, raw] = &contenders;
        table.base(single);
        table.beside(single, batch, Measure::Rate, Goal::AtLeast(3.0));
        table.beside(single, raw, Measure::Rate, Goal::None);
    }

    fn insert(&self, table: &mut Table) {
        let mut client = self.client();
        let mut prepared = client.prepare_exec(INSERT);
        let mut contenders = [
            Contender::new("INSERT: raw loop", |count| {
                for id in ids(ROWS, count) {
                    assert_eq!(client.exec(&mut prepared, id), 1);
                }
            }),
            Contender::new("INSERT: pool.exec", |count| {
                for id in ids(ROWS, count) {
                    assert_eq!(self.pool.exec(INSERT, [id]).unwrap().rows_affected, 1);
                }
            }),
        ];
        self.arguments.interleave(&mut contenders, 1_000);
        let [raw, driver] = &contenders;
        table.base(raw);
        table.beside(raw, driver, Measure::Cpu, Goal::None);
    }
}
