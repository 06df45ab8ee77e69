"""Opens a connection, writes in a transaction, reads rows, and asks an error what became of the write.

    python3 examples/python/quickstart_dqlite.py dqlite://127.0.0.1:9001/app
"""

import sys

import quorate

with quorate.connect(sys.argv[1]) as connection:
    connection.execute("CREATE TABLE IF NOT EXISTS fruit (name PRIMARY KEY, n)")

    connection.execute("DELETE FROM fruit")
    connection.executemany("INSERT INTO fruit VALUES (?, ?)", [("apple", 3), ("pear", 5)])
    connection.commit()

    for name, number in connection.execute("SELECT name, n FROM fruit WHERE n > ?", (2,)):
        print(name, number)

    try:
        connection.execute("INSERT INTO fruit VALUES (?, ?)", ("apple", 1))
    except quorate.Error as error:
        if error.outcome is quorate.Outcome.UNKNOWN:
            print("perhaps written, look first:", error)
        else:
            print("not written:", error.kind)
        connection.rollback()
