"""Threads: what they gain, and what they may share."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
import quorate
from clusters import ROOT, Cluster, wait_for


@pytest.fixture
def slow() -> Iterator[str]:
    """A server of one node that takes 5 ms to answer. The proxy is a process of its own: its threads would take this
    interpreter's time."""
    cluster = Cluster("dqlite", 1)
    address = cluster.tell("address 0")
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); from delay import Delay;"
        "proxy = Delay(sys.argv[2], 0.005); print(proxy.address, flush=True); sys.stdin.read()"
    )
    here = ROOT / "bindings/python/tests"
    proxy = subprocess.Popen(
        [sys.executable, "-c", program, str(here), address], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert proxy.stdin is not None and proxy.stdout is not None
    place = proxy.stdout.readline().strip()
    # The node names itself as the leader by its own address, so the proxy stands in its place by dialling alone.
    yield f"{cluster.url} {place}"
    proxy.stdin.close()
    proxy.wait(10)
    cluster.end()


def rate(pool: quorate.Pool, threads: int, seconds: float = 1.0) -> float:
    """How many SELECTs a second so many threads run."""
    counts = [0] * threads
    end = time.monotonic() + seconds

    def work(index: int) -> None:
        with pool.connection(autocommit=True) as connection:
            while time.monotonic() < end:
                connection.execute("SELECT ?", (index,)).fetchone()
                counts[index] += 1

    workers = [threading.Thread(target=work, args=(index,)) for index in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(counts) / seconds


def test_ten_threads_are_at_least_three_times_as_fast_as_one(slow: str) -> None:
    url, place = slow.split()
    with quorate.Pool(url, dial=to(place)) as pool:
        rate(pool, 10, 0.2)
        one, ten = rate(pool, 1), rate(pool, 10)
    print(f"one thread: {one:.0f} SELECTs a second, ten: {ten:.0f} ({ten / one:.1f} times)")
    assert one < 200, "the server answers sooner than in 5 ms"
    assert ten >= 3 * one


def test_a_busy_thread_goes_on_while_ten_wait(slow: str) -> None:
    url, place = slow.split()
    stop = threading.Event()
    counted = [0]

    def count() -> None:
        while not stop.is_set():
            counted[0] += 1

    with quorate.Pool(url, dial=to(place)) as pool:
        busy = threading.Thread(target=count)
        busy.start()
        time.sleep(0.5)
        alone = counted[0]
        counted[0] = 0
        rate(pool, 10, 0.5)
        stop.set()
        busy.join()
    print(f"the busy thread: {alone} steps alone, {counted[0]} beside ten that wait")
    assert counted[0] > alone / 10


def to(place: str) -> quorate.DialFunction:
    """Dials another place than the one asked for."""
    import socket

    host, _, port = place.rpartition(":")

    def dial(address: str, timeout: float | None) -> socket.socket:
        return socket.create_connection((host, int(port)), timeout)

    return dial


def test_two_threads_at_once_on_one_connection_get_a_clear_error(picodata: str) -> None:
    with quorate.connect(picodata) as connection:
        waiting = threading.Thread(target=connection.execute, args=("SELECT pg_sleep(1)",))
        waiting.start()
        wait_for(connection._turn.busy.locked)
        with pytest.raises(quorate.ProgrammingError, match="two threads at once"):
            connection.execute("SELECT 1")
        waiting.join()
        assert connection.execute("SELECT 1").fetchall() == [(1,)]


def test_a_connection_may_be_handed_on(dqlite: str) -> None:
    with quorate.connect(dqlite) as connection:
        connection.execute("CREATE TABLE t (a)")
        other = threading.Thread(target=connection.execute, args=("INSERT INTO t VALUES (1)",))
        other.start()
        other.join()
        connection.commit()
        assert connection.execute("SELECT a FROM t").fetchall() == [(1,)]
