//! Opens a pool over a Picodata cluster from the address of any one instance, and reads a row.

use quorate::{Config, LogLevel, Pool, Result, RoundRobin};

fn main() -> Result<()> {
    // Such as picodata://username:password@host:port
    let mut urls = std::env::args()
        .skip(1)
        .chain(std::env::var("PICODATA_CONNECTION_URL"));
    let mut config = Config::parse(
        &urls
            .next()
            .expect("give picodata://user:password@host:port"),
    )?;
    config.set_balance(RoundRobin::new());
    config.set_log(|level, message| {
        if level == LogLevel::Error {
            eprintln!("{message}");
        }
    });
    let pool = Pool::with_config(config)?;
    // CREATE TABLE items (id INTEGER NOT NULL, name TEXT NOT NULL, stock INTEGER, PRIMARY KEY (id))
    // USING memtx DISTRIBUTED BY (id);
    // INSERT INTO items VALUES (1, 'bricks', 1123), (2, 'panels', 998), (3, 'piles', 177);
    let (id, name, stock): (i64, String, Option<i64>) =
        pool.query_row("select * from items where id=$1", (2,))?;
    println!("{id} {name} {stock:?}");
    pool.close()
}
