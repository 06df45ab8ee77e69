"""Opens a pool over the instances of a Picodata cluster, writes, and reads rows with names.

    python3 examples/python/quickstart_picodata.py picodata://user:password@127.0.0.1:4327

Picodata has no transactions: each statement is one of its own.
"""

import sys

import quorate

with quorate.Pool(sys.argv[1], timeout="10s") as pool:
    pool.exec("CREATE TABLE fruit (id INTEGER NOT NULL, name TEXT, PRIMARY KEY (id))")
    for number, name in [(1, "apple"), (2, "pear")]:
        pool.exec("INSERT INTO fruit (id, name) VALUES (?, ?)", (number, name))

    with pool.query("SELECT id, name FROM fruit", row_factory=quorate.named_row) as rows:
        for row in sorted(rows):
            print(row.id, row.name)

    pool.exec("DROP TABLE fruit")
