"""Ctrl-C during a call, with real signals; and other threads meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import quorate



# What a shell runs in the background has Ctrl-C ignored, and Python then leaves it so.
HANDLED = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"


@pytest.fixture(autouse=True)
def handled() -> Iterator[None]:
    """Has Python handle Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def run(program: str, url: str) -> subprocess.Popen[str]:
    text = HANDLED + textwrap.dedent(program)
    return subprocess.Popen([sys.executable, "-c", text, url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def interrupt_when_waiting(process: subprocess.Popen[str], number: int = signal.SIGINT) -> float:
    """Sends the signal when the program sleeps in its call, and gives the time."""
    assert process.stdout is not None
    assert process.stdout.readline() == "running\n"
    deadline = time.monotonic() + 20
    quiet = 0
    while quiet < 5:
        assert time.monotonic() < deadline, "the program never waits"
        with open(f"/proc/{process.pid}/stat") as status:
            quiet = quiet + 1 if status.read().rsplit(")", 1)[1].split()[0] == "S" else 0
        time.sleep(0.01)
    process.send_signal(number)
    return time.monotonic()


@pytest.fixture
def silent(dqlite_cluster: object) -> str:
    """A server that takes connections and never answers."""
    import socket

    server = socket.create_server(("127.0.0.1", 0), backlog=50)
    _kept.append(server)
    return f"dqlite://127.0.0.1:{server.getsockname()[1]}/x"


_kept: list[object] = []

QUERY = """
    import sys, quorate
    connection = quorate.connect(sys.argv[1], timeout=60)
    print("running", flush=True)
    try:
        connection.execute(%r).fetchall()
    except KeyboardInterrupt as error:
        print("interrupted", type(error.__cause__).__name__, error.__cause__.kind)
    print(connection.execute("SELECT 1").fetchall())
"""


def test_ctrl_c_interrupts_a_running_query(picodata: str) -> None:
    process = run(QUERY % "SELECT pg_sleep(60)", picodata)
    sent = interrupt_when_waiting(process)
    output, errors = process.communicate(timeout=30)
    assert time.monotonic() - sent < 5
    assert output == "interrupted OperationalError cancelled\n[(1,)]\n", errors


def test_ctrl_c_interrupts_the_search_for_a_server(silent: str) -> None:
    program = """
        import sys, quorate
        print("running", flush=True)
        try:
            quorate.Pool(sys.argv[1]).exec("SELECT 1", timeout=60)
        except KeyboardInterrupt:
            print("interrupted")
    """
    process = run(program, silent)
    sent = interrupt_when_waiting(process)
    output, errors = process.communicate(timeout=30)
    assert time.monotonic() - sent < 5
    assert output == "interrupted\n", errors


def test_ctrl_c_interrupts_the_administration_of_a_cluster(silent: str) -> None:
    program = """
        import sys, quorate
        print("running", flush=True)
        with quorate.Cluster(sys.argv[1]) as cluster:
            try:
                cluster.nodes(timeout=60)
            except KeyboardInterrupt:
                print("interrupted")
    """
    process = run(program, silent)
    sent = interrupt_when_waiting(process)
    output, errors = process.communicate(timeout=30)
    assert time.monotonic() - sent < 5
    assert output == "interrupted\n", errors


def test_a_handler_that_raises_nothing_lets_the_query_go_on(picodata: str) -> None:
    program = """
        import signal, sys, quorate
        seen = []
        signal.signal(signal.SIGUSR1, lambda *_: seen.append(1))
        connection = quorate.connect(sys.argv[1])
        print("running", flush=True)
        print(connection.execute("SELECT 7 FROM pg_sleep(2)").fetchall(), seen)
    """
    process = run(program, picodata)
    interrupt_when_waiting(process, signal.SIGUSR1)
    output, errors = process.communicate(timeout=30)
    assert output == "[(7,)] [1]\n", errors


def test_a_signal_from_just_before_the_wait_is_seen_within_a_second(picodata: str) -> None:
    # A thread raises Python's own flag, without a signal that could interrupt the wait.
    with quorate.connect(picodata, timeout=60) as connection:
        start = time.monotonic()
        timer = threading.Timer(0.5, lambda: __import__("_thread").interrupt_main())
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            connection.execute("SELECT pg_sleep(60)")
        assert time.monotonic() - start < 5
        assert connection.execute("SELECT 1").fetchall() == [(1,)]


def cancelled(connection: quorate.Connection, call: Callable[[], object]) -> quorate.OperationalError:
    """The error of a call that is cancelled while it waits."""
    timer = threading.Timer(0.3, connection.cancel)
    timer.start()
    start = time.monotonic()
    with pytest.raises(quorate.OperationalError) as caught:
        call()
    assert time.monotonic() - start < 5
    timer.join()
    assert caught.value.kind == "cancelled"
    return caught.value


def test_another_thread_cancels_a_call(picodata: str) -> None:
    with quorate.connect(picodata, autocommit=True, timeout=60) as connection, quorate.connect(picodata) as other:
        rows = other.execute("SELECT generate_series(1, 100000)")
        assert rows.fetchone() == (1,)
        for _ in range(2):
            error = cancelled(connection, lambda: connection.execute("SELECT pg_sleep(60)"))
            assert error.outcome == quorate.Outcome.REJECTED
            assert connection.execute("SELECT 1").fetchall() == [(1,)]
            # No call runs now, and the next one is not cancelled.
            connection.cancel()
            assert connection.execute("SELECT 1").fetchall() == [(1,)]
        # Another connection's rows, which the same thread reads, are not cancelled.
        assert len(rows.fetchall()) == 99_999
    with pytest.raises(quorate.InterfaceError):
        connection.cancel()


def test_a_call_of_another_thread_is_cancelled(picodata: str) -> None:
    caught: list[quorate.Error] = []

    def wait() -> None:
        try:
            connection.execute("SELECT pg_sleep(60)")
        except quorate.Error as error:
            caught.append(error)

    with quorate.connect(picodata, autocommit=True, timeout=60) as connection:
        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.3)
        connection.cancel()
        thread.join(5)
        assert [error.kind for error in caught] == ["cancelled"]
        assert connection.execute("SELECT 1").fetchall() == [(1,)]


def test_the_reading_of_rows_is_cancelled(dqlite: str) -> None:
    endless = "WITH RECURSIVE n (a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM n) SELECT a FROM n"
    with quorate.connect(dqlite, timeout=60) as connection:
        cursor = connection.execute(endless)
        cancelled(connection, cursor.fetchall)
        assert connection.execute("SELECT 1").fetchall() == [(1,)]
        # They are under the handle of the thread that has asked.
        found: list[quorate.Cursor] = []
        asking = threading.Thread(target=lambda: found.append(connection.execute(endless)))
        asking.start()
        asking.join()
        cancelled(connection, found[0].fetchall)
        assert connection.execute("SELECT 1").fetchall() == [(1,)]


def test_sending_many_statements_is_cancelled(dqlite: str) -> None:
    def endless() -> Iterator[tuple[int]]:
        while True:
            yield (1,)

    with quorate.connect(dqlite, timeout=60) as connection:
        connection.execute("CREATE TABLE t (a)")
        cancelled(connection, lambda: connection.executemany("INSERT INTO t VALUES (?)", endless()))
        connection.rollback()
        assert connection.execute("SELECT count(*) FROM t").fetchall() == [(0,)]


def test_ctrl_c_that_comes_with_the_answer_is_not_lost(dqlite: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with quorate.connect(dqlite) as connection:
        monkeypatch.setattr("quorate._interrupt._raised", [KeyboardInterrupt()])
        with pytest.raises(KeyboardInterrupt):
            connection.execute("SELECT 1")
        assert connection.execute("SELECT 1").fetchall() == [(1,)]


def test_a_signal_handler_may_cancel(picodata: str) -> None:
    program = """
        import signal, sys, quorate
        connection = quorate.connect(sys.argv[1])
        signal.signal(signal.SIGUSR1, lambda *_: connection.cancel())
        print("running", flush=True)
        try:
            connection.execute("SELECT pg_sleep(60)")
        except quorate.OperationalError as error:
            print(error.kind)
        print(connection.execute("SELECT 7").fetchall())
    """
    process = run(program, picodata)
    sent = interrupt_when_waiting(process, signal.SIGUSR1)
    output, errors = process.communicate(timeout=30)
    assert time.monotonic() - sent < 5
    assert output == "cancelled\n[(7,)]\n", errors


def test_a_busy_thread_runs_on_while_another_waits(picodata: str) -> None:
    counted = 0
    with quorate.connect(picodata) as connection:
        waiting = threading.Thread(target=connection.execute, args=("SELECT pg_sleep(1)",))
        waiting.start()
        end = time.monotonic() + 1
        slowest = 0.0
        while time.monotonic() < end:
            before = time.monotonic()
            sum(range(1000))
            slowest = max(slowest, time.monotonic() - before)
            counted += 1
        waiting.join()
    assert counted > 1000
    assert slowest < 0.9, "the busy thread stood still"


def test_a_child_gets_an_error_and_can_open_its_own(dqlite: str) -> None:
    pool = quorate.Pool(dqlite)
    connection = pool.connection(autocommit=True)
    connection.execute("CREATE TABLE t (a)")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        said = []
        query = "SELECT 1"
        for call in (lambda: connection.execute(query), lambda: pool.exec(query), pool.connection, pool.endpoint_stats):
            try:
                call()
                said.append("no error")
            except quorate.InterfaceError as error:
                said.append(error.kind)
        try:
            with quorate.connect(dqlite) as own:
                own.execute("INSERT INTO t VALUES (?)", (42,))
            said.append("own")
        except BaseException as error:
            said.append(repr(error))
        os.write(writer, " ".join(said).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as told:
        assert told.read() == "forked forked forked forked own"
    assert os.waitpid(child, 0)[1] == 0
    assert connection.execute("SELECT a FROM t").fetchall() == [(42,)]
    connection.close()
    pool.close()
