//! What the driver costs beside libpq, against the same PostgreSQL server.
//!
//! `cargo bench --bench postgres` takes about four minutes; `-- --quick` one. Words select parts of it:
//! `-- point pool scan batch`. The table shows the median of what each contender took, the median of the ratios
//! between contenders that ran side by side, and the range in which that one lies with 95 %.
//!
//! This is no test: a goal that is missed is printed and the exit status is 0.

#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../harness/mod.rs"]
mod harness;
mod libpq;

use quorate::Pool;

use common::pico_on_postgres::{PicoOnPostgres, Servers};
use common::postgres::{PORT, PostgresCluster, PostgresOptions};
use harness::Arguments;
use harness::driver::{self, BATCH, Point};
use harness::items::{Sums, check};
use harness::measure::{Contender, Goal, Measure, Table};
use libpq::Client;

/// The rows that are scanned.
const ROWS: i64 = 1_000_000;
/// Those that are looked up one by one, on whichever server.
const POINT_ROWS: i64 = 100_000;
const POINT: Point = Point {
    sql: "SELECT id, price, name FROM item WHERE id = $1",
    rows: POINT_ROWS,
};
const SCAN: &str = "SELECT id, price, name FROM item WHERE id > $1";

struct Bench {
    server: PostgresCluster,
    arguments: Arguments,
}

fn main() {
    let bench = Bench {
        server: PostgresCluster::start(&PostgresOptions::new()),
        arguments: Arguments::read(),
    };
    create_table(&bench.server, ROWS);
    bench.arguments.run(
        &bench,
        &[
            ("point", Bench::point),
            ("pool", Bench::pool),
            ("scan", Bench::scan),
            ("batch", Bench::batch),
        ],
    );
}

impl Bench {
    fn client(&self) -> Client {
        Client::open(self.server.host(), PORT)
    }

    /// A pool of this one server.
    fn open(&self) -> Pool {
        open(&self.server.address(), "?topology=off")
    }

    fn point(&self, table: &mut Table) {
        let mut client = self.client();
        let prepared = client.prepare("point", POINT.sql);
        let pool = self.open();
        let mut connection = pool.acquire().unwrap();
        let mut contenders = [
            Contender::new("point SELECT: PQexecPrepared", |count| {
                for id in POINT.ids(count) {
                    let (found, price, letters) = client.point(&prepared, id);
                    check(id, found, price, letters);
                }
            }),
            POINT.prepared(&mut connection),
            POINT.pooled("point SELECT: pool.query_row", &pool),
        ];
        self.arguments.interleave(&mut contenders, 3_000);
        let [libpq, connection, pool] = &contenders;
        table.base(libpq);
        for driver in [connection, pool] {
            table.beside(libpq, driver, Measure::Cpu, Goal::AtMost(1.2));
        }
    }

    /// What a pool of three instances adds to a query, beside connections to the same three in turn.
    fn pool(&self, table: &mut Table) {
        let others = [(); 2].map(|()| PostgresCluster::start(&PostgresOptions::new()));
        for other in &others {
            create_table(other, POINT_ROWS);
        }
        let all = [&self.server, &others[0], &others[1]];
        let addresses = all.map(PostgresCluster::address);
        PicoOnPostgres::create(Instances(all), &addresses, 1);
        let pool = open(&addresses[0], "");
        let pools = addresses.map(|address| open(&address, "?topology=off"));
        let mut connections = pools.each_ref().map(|pool| pool.acquire().unwrap());
        let mut contenders = [
            Contender::new("point SELECT: three connections in turn", |count| {
                for (turn, id) in POINT.ids(count).enumerate() {
                    let connection = &mut connections[turn % 3];
                    let (found, price, name): (i64, f64, String) =
                        connection.query_row(POINT.sql, [id]).unwrap();
                    check(id, found, price, name.len());
                }
            }),
            POINT.pooled("point SELECT: pool of three instances", &pool),
        ];
        self.arguments.interleave(&mut contenders, 3_000);
        let [by_hand, pooled] = &contenders;
        table.base(by_hand);
        table.beside(by_hand, pooled, Measure::Time, Goal::AtMost(1.02));
        table.beside(by_hand, pooled, Measure::Cpu, Goal::AtMost(1.02));
        assert_eq!(pool.stats().connections, 3, "a connection to each instance");
    }

    fn scan(&self, table: &mut Table) {
        let mut client = self.client();
        let prepared = client.prepare("scan", SCAN);
        let pool = self.open();
        let expected = Sums::of(ROWS);
        let mut contenders = [
            Contender::new("scan, per row of 3 columns: single-row mode", |count| {
                for _ in 0..count / ROWS as usize {
                    assert_eq!(client.scan(&prepared, 0), expected);
                }
            }),
            driver::scan(&pool, SCAN, ROWS),
        ];
        self.arguments.interleave_scans(&mut contenders, ROWS);
        let [libpq, driver] = &contenders;
        table.base(libpq);
        table.beside(libpq, driver, Measure::Cpu, Goal::AtMost(1.2));
    }

    fn batch(&self, table: &mut Table) {
        let mut client = self.client();
        let prepared = client.prepare("point", POINT.sql);
        client.enter_pipeline();
        let pool = self.open();
        let mut connection = pool.acquire().unwrap();
        let mut other = pool.acquire().unwrap();
        let mut contenders = [
            POINT.one_by_one(&mut other),
            Contender::new("100 point SELECTs, each: pipeline, one Sync", |count| {
                for chunk in POINT.ids(count).collect::<Vec<_>>().chunks(BATCH) {
                    client.pipeline(&prepared, chunk, |id, (found, price, letters)| {
                        check(id, found, price, letters);
                    });
                }
            }),
            POINT.batched(&mut connection),
        ];
        self.arguments.interleave(&mut contenders, 3_000);
        let [single, libpq, driver] = &contenders;
        table.base(libpq);
        table.beside(libpq, driver, Measure::Cpu, Goal::None);
        table.base(single);
        table.beside(single, driver, Measure::Rate, Goal::AtLeast(3.0));
    }
}

/// The servers of the pool of three.
struct Instances<'a>([&'a PostgresCluster; 3]);

impl Servers for Instances<'_> {
    fn execute(&self, instance: usize, sql: &str) {
        self.0[instance].sql(sql);
    }
}

fn open(address: &str, options: &str) -> Pool {
    Pool::open(&format!("postgres://postgres@{address}/postgres{options}")).unwrap()
}

fn create_table(server: &PostgresCluster, rows: i64) {
    server.sql(&format!(
        "CREATE TABLE item (id bigint PRIMARY KEY, price double precision, name text);
         INSERT INTO item SELECT n, n / 4.0, 'item ' || n FROM generate_series(1, {rows}) AS n"
    ));
    server.sql("VACUUM ANALYZE item");
}
