//! The contenders that are the driver itself.

use quorate::{Batch, Connection, Pool};

use super::items::{Sums, check, ids};
use super::measure::Contender;

/// How many statements a batch has.
pub(crate) const BATCH: usize = 100;

/// Looking up a row of the table by its id.
#[derive(Clone, Copy)]
pub(crate) struct Point {
    pub(crate) sql: &'static str,
    /// The ids are 1 to this.
    pub(crate) rows: i64,
}

impl Point {
    /// Ids all over the table.
    pub(crate) fn ids(self, count: usize) -> impl Iterator<Item = i64> {
        ids(self.rows, count)
    }

    /// Through one connection, which has prepared the statement.
    pub(crate) fn prepared(self, connection: &mut Connection) -> Contender<'_> {
        let statement = connection.prepare(self.sql).unwrap();
        Contender::new("point SELECT: connection.query_row", move |count| {
            for id in self.ids(count) {
                let (found, price, name): (i64, f64, String) =
                    connection.query_row(&statement, [id]).unwrap();
                check(id, found, price, name.len());
            }
        })
    }

    /// Through a pool, whatever it is of.
    pub(crate) fn pooled<'a>(self, name: &'static str, pool: &'a Pool) -> Contender<'a> {
        Contender::new(name, move |count| {
            for id in self.ids(count) {
                let (found, price, name): (i64, f64, String) =
                    pool.query_row(self.sql, [id]).unwrap();
                check(id, found, price, name.len());
            }
        })
    }

    /// One by one, to be set beside a batch.
    pub(crate) fn one_by_one(self, connection: &mut Connection) -> Contender<'_> {
        Contender::new("100 point SELECTs, each: one by one", move |count| {
            for id in self.ids(count) {
                let row: (i64, f64, String) = connection.query_row(self.sql, [id]).unwrap();
                check(id, row.0, row.1, row.2.len());
            }
        })
    }

    /// In batches of [`BATCH`].
    pub(crate) fn batched(self, connection: &mut Connection) -> Contender<'_> {
        Contender::new("100 point SELECTs, each: in a batch", move |count| {
            for chunk in self.ids(count).collect::<Vec<_>>().chunks(BATCH) {
                let mut batch = Batch::new();
                for id in chunk {
                    batch.queue(self.sql, [*id]).unwrap();
                }
                let mut results = connection.send_batch(&batch).unwrap();
                for id in chunk {
                    let row: (i64, f64, String) = results.query_row().unwrap();
                    check(*id, row.0, row.1, row.2.len());
                }
            }
        })
    }
}

/// Scans of a table with so many rows, by a query with one parameter.
pub(crate) fn scan<'a>(pool: &'a Pool, sql: &'static str, rows: i64) -> Contender<'a> {
    let expected = Sums::of(rows);
    let name = "scan, per row of 3 columns: rows.next, row.get";
    Contender::new(name, move |count| {
        for _ in 0..count / rows as usize {
            assert_eq!(Sums::read(pool, sql, 0).unwrap(), expected);
        }
    })
}
