"""What a point query costs in Python, with and without the handle that lets Ctrl-C in.

    make python-bench

In turns, so that a loaded machine loads both; the CPU is this process's.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import quorate
from quorate._interrupt import Turn

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1] / "tests")]

from arrow import cpu  # noqa: E402
from clusters import Cluster  # noqa: E402

QUERIES = 2000

class Without(Turn):
    """Lets calls go without a handle."""

    def __enter__(self) -> None:
        super().__enter__()
        self.handle = None


def query(connection: quorate.Connection) -> float:
    """Microseconds of CPU for each of many queries."""
    before = cpu()
    for number in range(QUERIES):
        connection.execute("SELECT ?", (number,)).fetchone()
    return (cpu() - before) / QUERIES * 1e6


def through_a_thread(connection: quorate.Connection) -> float:
    """The other way to let Ctrl-C in: a helper thread calls, and this one waits on a lock for each query."""
    ready, done = threading.Semaphore(0), threading.Semaphore(0)

    def work() -> None:
        for number in range(QUERIES):
            ready.acquire()
            connection.execute("SELECT ?", (number,)).fetchone()
            done.release()

    worker = threading.Thread(target=work)
    worker.start()
    before = cpu()
    for _ in range(QUERIES):
        ready.release()
        done.acquire()
    taken = (cpu() - before) / QUERIES * 1e6
    worker.join()
    return taken


def main() -> int:
    cluster = Cluster("dqlite", 1)
    connection = quorate.connect(cluster.url)
    best = {"with the handle": float("inf"), "without": float("inf"), "on a helper thread": float("inf")}
    for _ in range(7):
        best["with the handle"] = min(best["with the handle"], query(connection))
        connection._turn, turn = Without(), connection._turn
        best["without"] = min(best["without"], query(connection))
        best["on a helper thread"] = min(best["on a helper thread"], through_a_thread(connection))
        connection._turn = turn
    print("a point query by Cursor.execute and fetchone, microseconds of CPU, best of seven:")
    for name, taken in best.items():
        print(f"  {name:20} {taken:6.1f}")
    connection.close()
    cluster.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
