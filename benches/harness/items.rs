//! The table that is read, `item (id, price, name)` with ids from 1, and what its rows hold.

use std::hint::black_box;

use quorate::Pool;

/// What a scan has seen.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Sums {
    pub(crate) rows: u64,
    pub(crate) ids: i64,
    pub(crate) prices: f64,
    pub(crate) letters: usize,
}

impl Sums {
    /// What a scan of a table with so many rows sees.
    pub(crate) fn of(rows: i64) -> Sums {
        Sums {
            rows: rows as u64,
            ids: rows * (rows + 1) / 2,
            prices: (rows * (rows + 1) / 2) as f64 / 4.0,
            letters: (1..=rows).map(letters).sum(),
        }
    }

    /// Reads all rows of a query with one parameter, and touches each value.
    pub(crate) fn read(pool: &Pool, sql: &str, id: i64) -> quorate::Result<Sums> {
        let mut sums = Sums::default();
        let mut rows = pool.query(sql, [id])?;
        while let Some(row) = rows.next()? {
            sums.rows += 1;
            sums.ids += row.get::<i64>(0)?;
            sums.prices += row.get::<f64>(1)?;
            sums.letters += row.get::<&str>(2)?.len();
        }
        Ok(sums)
    }
}

/// Ids all over a table with so many rows.
pub(crate) fn ids(rows: i64, count: usize) -> impl Iterator<Item = i64> {
    (0..count as i64).map(move |number| number * 7_919 % rows + 1)
}

/// The length of the name `item <id>`.
fn letters(id: i64) -> usize {
    6 + id.ilog10() as usize
}

/// Compares what was found with what the row `id` holds.
pub(crate) fn check(id: i64, found: i64, price: f64, name_letters: usize) {
    assert_eq!(id, found);
    assert_eq!(price, id as f64 / 4.0);
    assert_eq!(name_letters, letters(id));
    black_box((found, price, name_letters));
}
