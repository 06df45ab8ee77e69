"""A table of a million rows into pandas: through Arrow from dqlite, and with sqlite3 from a file with the same rows.

    make python-bench

Each way is timed five times in turn, and the best is printed: the wall-clock time of a shared machine only ever adds.
The CPU is this process's; the server has its own.
"""

from __future__ import annotations

import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas
import quorate

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from clusters import Cluster  # noqa: E402

ROWS = 1_000_000
CREATE = "CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT NOT NULL, price REAL NOT NULL)"
# Written by the server itself, so that filling the table does not take longer than reading it.
FILL = (
    "WITH RECURSIVE n(i) AS (SELECT ? UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
    "INSERT INTO item SELECT i, 'item number ' || i, i / 4.0 FROM n"
)
QUERY = "SELECT id, name, price FROM item"
CHUNK = 20_000


def fill(execute: Callable[[str, tuple[int, int]], Any]) -> None:
    for start in range(0, ROWS, CHUNK):
        execute(FILL, (start, start + CHUNK - 1))


def cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> int:
    cluster = Cluster("dqlite", 1)
    with tempfile.TemporaryDirectory() as directory:
        try:
            return compare(cluster.url, str(Path(directory) / "item.db"))
        finally:
            cluster.end()


def compare(url: str, path: str) -> int:
    connection = quorate.connect(url, autocommit=True, timeout=120)
    connection.execute(CREATE)
    fill(connection.execute)
    file = sqlite3.connect(path)
    file.execute(CREATE)
    fill(file.execute)
    file.commit()

    def through_arrow() -> pandas.DataFrame:
        return pandas.DataFrame.from_arrow(connection.execute(QUERY))

    def fetchall() -> list[Any]:
        return connection.execute(QUERY).fetchall()

    def sqlite_fetchall() -> list[Any]:
        return file.execute(QUERY).fetchall()

    def sqlite_frame() -> pandas.DataFrame:
        return pandas.read_sql_query(QUERY, file)

    ways: dict[str, Callable[[], Any]] = {
        "quorate, Arrow, pandas": through_arrow,
        "quorate, fetchall": fetchall,
        "sqlite3 (file), fetchall": sqlite_fetchall,
        "sqlite3 (file), pandas": sqlite_frame,
    }
    best = {name: (float("inf"), float("inf")) for name in ways}
    for _ in range(5):
        for name, way in ways.items():
            start, before = time.perf_counter(), cpu()
            found = way()
            taken = time.perf_counter() - start, cpu() - before
            assert len(found) == ROWS
            del found
            best[name] = min(best[name][0], taken[0]), min(best[name][1], taken[1])
    print(f"{ROWS:,} rows of three columns, best of five: seconds, seconds of CPU of this process")
    for name, (seconds, used) in best.items():
        print(f"  {name:26} {seconds:6.2f} {used:6.2f}")
    ratio = best["sqlite3 (file), fetchall"][0] / best["quorate, Arrow, pandas"][0]
    print(f"  Arrow into pandas is {ratio:.1f} times as fast as the fetchall of sqlite3")
    connection.close()
    return 0 if ratio > 1 else 1


if __name__ == "__main__":
    sys.exit(main())
