//! The Rust half of `ffi-tests/bench.sh`: what `ffi-tests/bench.c` does, without the C ABI.

use std::time::Instant;

use quorate::{Pool, Result};

fn main() -> Result<()> {
    let url = std::env::var("QUORATE_TEST_URL").expect("QUORATE_TEST_URL names the cluster");
    let words: Vec<String> = std::env::args().collect();
    let pool = Pool::open(&url)?;
    let start = Instant::now();
    match words.get(1).map(String::as_str) {
        Some("point") => point(&pool, words[2].parse().expect("a number of queries"))?,
        Some("row") => row(&pool, words[2].parse().expect("a number of queries"))?,
        Some("pool") => pool_row(&pool, words[2].parse().expect("a number of queries"))?,
        _ => scan(&pool)?,
    }
    println!("{}", start.elapsed().as_nanos());
    Ok(())
}

fn point(pool: &Pool, count: i64) -> Result<()> {
    let mut connection = pool.acquire()?;
    for i in 0..count {
        let mut rows = connection.query("SELECT name FROM bench WHERE id = ?", (i % 100 + 1,))?;
        let row = rows.next()?.expect("there is a row");
        assert!(row.get::<&str>(0)?.len() > 4);
        assert!(rows.next()?.is_none());
    }
    Ok(())
}

fn row(pool: &Pool, count: i64) -> Result<()> {
    let mut connection = pool.acquire()?;
    for i in 0..count {
        let sql = "SELECT name FROM bench WHERE id = ?";
        let (name,) = connection.query_row::<(String,)>(sql, (i % 100 + 1,))?;
        assert!(name.len() > 4);
    }
    Ok(())
}

fn pool_row(pool: &Pool, count: i64) -> Result<()> {
    for i in 0..count {
        let sql = "SELECT name FROM bench WHERE id = ?";
        let (name,) = pool.query_row::<(String,)>(sql, (i % 100 + 1,))?;
        assert!(name.len() > 4);
    }
    Ok(())
}

fn scan(pool: &Pool) -> Result<()> {
    let (mut seen, mut sum, mut length) = (0, 0, 0);
    let mut ids = Vec::with_capacity(8192);
    let mut names = String::with_capacity(8192 * 32);
    let mut scores = Vec::with_capacity(8192);
    let mut rows = pool.query("SELECT id, name, score FROM bench_scan", ())?;
    while let Some(row) = rows.next()? {
        ids.push(row.get::<i64>(0)?);
        names.push_str(row.get::<&str>(1)?);
        scores.push(row.get::<f64>(2)?);
        if ids.len() == 8192 {
            (seen, sum, length) = (
                seen + ids.len(),
                sum + ids.iter().sum::<i64>(),
                length + names.len(),
            );
            ids.clear();
            names.clear();
            scores.clear();
        }
    }
    (seen, sum, length) = (
        seen + ids.len(),
        sum + ids.iter().sum::<i64>(),
        length + names.len(),
    );
    assert!(seen == 1_000_000 && sum == 500_000_500_000 && length > seen);
    Ok(())
}
