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
mod measure;

use std::hint::black_box;

use quorate::{Batch, Pool};

use client::{Client, Sums};
use common::cluster::Cluster;
use measure::{Contender, Goal, Measure, Table, interleave};

const ROWS: i64 = 300_000;
const POINT: &str = "SELECT id, price, name FROM item WHERE id = ?";
const SCAN: &str = "SELECT id, price, name FROM item WHERE id > ?";
const INSERT: &str = "INSERT INTO entry (value) VALUES (?)";

struct Bench {
    cluster: Cluster,
    pool: Pool,
    rounds: usize,
    quick: bool,
}

fn main() {
    let mut quick = false;
    let mut parts = Vec::new();
    for argument in std::env::args().skip(1) {
        match &*argument {
            "--quick" => quick = true,
            // What cargo itself adds.
            "--bench" => {}
            _ => parts.push(argument),
        }
    }
    let bench = Bench::start(quick);
    type Part = (&'static str, fn(&Bench, &mut Table));
    let all: [Part; 4] = [
        ("point", Bench::point),
        ("scan", Bench::scan),
        ("batch", Bench::batch),
        ("insert", Bench::insert),
    ];
    let mut table = Table::new();
    for (name, part) in all {
        if parts.is_empty() || parts.iter().any(|wanted| wanted == name) {
            part(&bench, &mut table);
        }
    }
    print!("{table}");
}

impl Bench {
    fn start(quick: bool) -> Bench {
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
            rounds: if quick { 3 } else { 15 },
            quick,
        }
    }

    fn client(&self) -> Client {
        Client::open(self.cluster.address(0), "bench")
    }

    fn operations(&self, full: usize) -> usize {
        if self.quick { full / 5 } else { full }
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
        interleave(&mut contenders, self.rounds, self.operations(3_000));
        let [raw, connection, pool] = &contenders;
        table.base(raw);
        for driver in [connection, pool] {
            table.beside(raw, driver, Measure::Cpu, Goal::AtMost(1.25));
        }
    }

    fn scan(&self, table: &mut Table) {
        let mut client = self.client();
        let mut prepared = client.prepare_query(SCAN);
        let expected = Sums {
            rows: ROWS as u64,
            ids: ROWS * (ROWS + 1) / 2,
            prices: (ROWS * (ROWS + 1) / 2) as f64 / 4.0,
            letters: (1..=ROWS).map(|id| name(id).len()).sum(),
        };
        let mut contenders = [
            Contender::new("scan, per row of 3 columns: raw loop", |count| {
                for _ in 0..count / ROWS as usize {
                    assert_eq!(client.scan(&mut prepared, 0), expected);
                }
            }),
            Contender::new("scan, per row of 3 columns: rows.next, row.get", |count| {
                for _ in 0..count / ROWS as usize {
                    let sums = scan(&self.pool).unwrap();
                    assert_eq!(sums, expected);
                }
            }),
        ];
        // One scan for each turn.
        interleave(&mut contenders, self.rounds, 3 * ROWS as usize);
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
        interleave(&mut contenders, self.rounds, self.operations(3_000));
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
        interleave(&mut contenders, self.rounds, self.operations(1_000));
        let [raw, driver] = &contenders;
        table.base(raw);
        table.beside(raw, driver, Measure::Cpu, Goal::None);
    }
}

fn scan(pool: &Pool) -> quorate::Result<Sums> {
    let mut sums = Sums::default();
    let mut rows = pool.query(SCAN, [0])?;
    while let Some(row) = rows.next()? {
        sums.rows += 1;
        sums.ids += row.get::<i64>(0)?;
        sums.prices += row.get::<f64>(1)?;
        sums.letters += row.get::<&str>(2)?.len();
    }
    Ok(sums)
}

/// Ids all over the table.
fn ids(count: usize) -> impl Iterator<Item = i64> {
    (0..count as i64).map(|number| number * 7_919 % ROWS + 1)
}

fn name(id: i64) -> String {
    format!("item {id}")
}

fn check(id: i64, found: i64, price: f64, letters: usize) {
    assert_eq!(id, found);
    assert_eq!(price, id as f64 / 4.0);
    assert_eq!(letters, 6 + id.ilog10() as usize);
    black_box((found, price, letters));
}
