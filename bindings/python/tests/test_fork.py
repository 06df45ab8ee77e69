"""Children of a process that has pools open, and open their own."""

from __future__ import annotations

import os

import quorate


def test_children_of_a_process_with_a_pool_open_their_own(dqlite: str) -> None:
    failed = []
    for number in range(60):
        # A pool that is new has just had threads of its own, and one that is open has some that wait.
        with quorate.Pool(dqlite) as pool:
            pool.exec("SELECT 1")
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    with quorate.connect(dqlite, timeout=20) as own:
                        own.execute("SELECT 1").fetchall()
                    status = 0
                finally:
                    os._exit(status)
            status = os.waitpid(child, 0)[1]
            if status:
                failed.append((number, status))
    assert failed == []
