//! Opens a pool, writes in a transaction, reads rows, and asks an error what became of the write.

use quorate::{Outcome, Pool, Result, TransactionMode};

fn main() -> Result<()> {
    let mut urls = std::env::args().skip(1).chain(std::env::var("QUORATE_URL"));
    let url = urls.next().expect("give dqlite://host:port/database");
    let pool = Pool::open(&url)?;
    pool.exec("CREATE TABLE IF NOT EXISTS fruit (name PRIMARY KEY, n)", ())?;

    pool.transaction(TransactionMode::Immediate, |transaction| {
        transaction.exec("DELETE FROM fruit", ())?;
        transaction.exec("INSERT INTO fruit VALUES (?, ?)", ("apple", 3))?;
        transaction.exec("INSERT INTO fruit VALUES (?, ?)", ("pear", 5))
    })?;

    let rows = pool.query("SELECT name, n FROM fruit WHERE n > ?", [2])?;
    for row in rows.typed::<(String, i64)>() {
        println!("{:?}", row?);
    }

    if let Err(error) = pool.exec("INSERT INTO fruit VALUES (?, ?)", ("apple", 1)) {
        match error.outcome() {
            Outcome::NotSent | Outcome::Rejected => println!("not written: {error}"),
            Outcome::Unknown => println!("perhaps written, look first: {error}"),
        }
    }
    pool.close()
}
