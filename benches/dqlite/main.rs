//! What the driver costs beside a hand-written loop over a socket, against one real dqlite node.
//!
//! `cargo bench --bench dqlite` takes about a minute; `-- --quick` a few seconds. Words select parts of it:
//! `-- point scan batch insert`. The table shows the median of what each contender took, the median of the
//! ratios between contenders that ran side by side, and the range in which that one lies with 95 %.
//!
//! This is no test: a goal that is missed is printed and the exit status is 0.

#[path = "../common/arguments.rs"]
mod arguments;
mod client;
#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../common/items.rs"]
mod items;
#[path = "../common/measure.rs"]
mod measure;

use quorate::{Batch, Pool};

use arguments::Arguments;
use client::Client;
use common::cluster::Cluster;
use items::{Sums, check};
use measure::{Contender, Goal, Measure, Table, interleave};

const ROWS: i64 = 300_000;
const POINT: &str = "SELECT id, price, name FROM item WHERE id = ?";
const SCAN: &str = "SELECT id, price, name FROM item WHERE id > ?";
const INSERT: &str = "INSERT INTO entry (value) VALUES (?)";

struct Bench {
    cluster: Cluster,
    pool: Pool,
    arguments: Arguments,
}

fn main() {
    let bench = Bench::start(Arguments::read());
    type Part = (&'static str, fn(&Bench, &mut Table));
    let all: [Part; 4] = [
        ("point", Bench::point),
        ("scan", Bench::scan),
        ("batch", Bench::batch),
        ("insert", Bench::insert),
    ];
    let mut table = Table::new();
    for (name, part) in all {
        if bench.arguments.wants(name) {
            part(&bench, &mut table);
        }
    }
    print!("{table}");
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
        let mut prepared = client.prepare_query(POINT);
        let mut connection = self.pool.acquire().unwrap();
        let statement = connection.prepare(POINT).unwrap();
        let mut contenders = [
            Contender::new("point SELECT: raw loop", |count| {
                for id in ids(count) {
                    let (found, price, letters) = client.point(&mut prepared, id);
                    check(id, found, price, letters);
                }
            }),
            Contender::new("point SELECT: connection.query_row", |count| {
                for id in ids(count) {
                    let (found, price, name): (i64, f64, String) =
                        connection.query_row(&statement, [id]).unwrap();
                    check(id, found, price, name.len());
                }
            }),
            Contender::new("point SELECT: pool.query_row", |count| {
                for id in ids(count) {
                    let (found, price, name): (i64, f64, String) =
                        self.pool.query_row(POINT, [id]).unwrap();
                    check(id, found, price, name.len());
                }
            }),
        ];
        interleave(
            &mut contenders,
            self.arguments.rounds(),
            self.arguments.operations(3_000),
        );
        let [raw, connection, pool] = &contenders;
        table.base(raw);
        for driver in [connection, pool] {
            table.beside(raw, driver, Measure::Cpu, Goal::AtMost(1.25));
        }
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
            Contender::new("scan, per row of 3 columns: rows.next, row.get", |count| {
                for _ in 0..count / ROWS as usize {
                    assert_eq!(Sums::read(&self.pool, SCAN, 0).unwrap(), expected);
                }
            }),
        ];
        // One scan for each turn.
        interleave(&mut contenders, self.arguments.rounds(), 3 * ROWS as usize);
        let [raw, driver] = &contenders;
        table.base(raw);
        table.beside(raw, driver, Measure::Cpu, Goal::AtMost(3.0));
    }

    fn batch(&self, table: &mut Table) {
        const SIZE: usize = 100;
        let mut connection = self.pool.acquire().unwrap();
        let mut other = self.pool.acquire().unwrap();
        let mut contenders = [
            Contender::new("100 point SELECTs, each: one by one", |count| {
                for id in ids(count) {
                    let row: (i64, f64, String) = connection.query_row(POINT, [id]).unwrap();
                    check(id, row.0, row.1, row.2.len());
                }
            }),
            Contender::new("100 point SELECTs, each: in a batch", |count| {
                for chunk in ids(count).collect::<Vec<_>>().chunks(SIZE) {
                    let mut batch = Batch::new();
                    for id in chunk {
                        batch.queue(POINT, [*id]).unwrap();
                    }
                    let mut results = other.send_batch(&batch).unwrap();
                    for id in chunk {
                        let row: (i64, f64, String) = results.query_row().unwrap();
                        check(*id, row.0, row.1, row.2.len());
                    }
                }
            }),
        ];
        interleave(
            &mut contenders,
            self.arguments.rounds(),
            self.arguments.operations(3_000),
        );
        let [single, batch] = &contenders;
        table.base(single);
        table.beside(single, batch, Measure::Rate, Goal::AtLeast(3.0));
    }

    fn insert(&self, table: &mut Table) {
        let mut client = self.client();
        let mut prepared = client.prepare_exec(INSERT);
        let mut contenders = [
            Contender::new("INSERT: raw loop", |count| {
                for id in ids(count) {
                    assert_eq!(client.exec(&mut prepared, id), 1);
                }
            }),
            Contender::new("INSERT: pool.exec", |count| {
                for id in ids(count) {
                    assert_eq!(self.pool.exec(INSERT, [id]).unwrap().rows_affected, 1);
                }
            }),
        ];
        interleave(
            &mut contenders,
            self.arguments.rounds(),
            self.arguments.operations(1_000),
        );
        let [raw, driver] = &contenders;
        table.base(raw);
        table.beside(raw, driver, Measure::Cpu, Goal::None);
    }
}

/// Ids all over the table.
fn ids(count: usize) -> impl Iterator<Item = i64> {
    items::ids(ROWS, count)
}
