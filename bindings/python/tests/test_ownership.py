"""Who owns what the library gives: one object, which frees it whatever happens."""

from __future__ import annotations

import copy
import gc
import pickle
import subprocess
import sys
import textwrap
from collections.abc import Callable

import pytest
import quorate
from quorate._library import milliseconds

COPIES: list[Callable[[object], object]] = [copy.copy, copy.deepcopy, pickle.dumps]


@pytest.mark.parametrize("make", COPIES)
def test_what_holds_a_handle_is_neither_copied_nor_pickled(url: str, make: Callable[[object], object]) -> None:
    with quorate.Pool(url) as pool, quorate.connect(url) as connection, pool.query("SELECT 1") as rows:
        for owner in (pool, connection, connection.cursor(), rows):
            with pytest.raises(TypeError, match="neither copied nor pickled"):
                make(owner)
        gc.collect()
        # A copy would have freed what these use.
        assert connection.execute("SELECT 1").fetchall() == [(1,)]
        assert rows.fetchall() == [(1,)]


CALLS: list[Callable[[quorate.Pool], object]] = [
    lambda pool: pool.query("SELECT 1 UNION ALL SELECT 2"),
    lambda pool: pool.connection(),
    lambda pool: pool.send_batch([("SELECT 1", ())]),
]


@pytest.mark.parametrize("call", CALLS)
def test_what_a_call_gave_is_freed_where_a_signal_handler_raises_behind_it(
    url: str, call: Callable[[quorate.Pool], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(status: int, error: object) -> None:
        # As a handler of Ctrl-C does it between two steps of Python.
        raise KeyboardInterrupt

    with quorate.Pool(url) as pool:
        pool.exec("SELECT 1")
        monkeypatch.setattr("quorate.pool.check_call", interrupt)
        monkeypatch.setattr("quorate._interrupt.check_call", interrupt)
        try:
            call(pool)
            pytest.fail("nothing was raised")
        except KeyboardInterrupt:
            pass
        monkeypatch.undo()
        gc.collect()
        assert pool.stats()["in_use"] == 0
        assert pool.query_row("SELECT 1") == (1,)


def test_a_connection_that_nobody_has_goes_back_at_once(url: str) -> None:
    with quorate.Pool(url) as pool:
        gc.disable()
        try:
            connection = pool.connection(autocommit=True)
            connection.execute("SELECT 1 UNION ALL SELECT 2").fetchone()
            assert pool.stats()["in_use"] == 1
            del connection
            assert pool.stats()["in_use"] == 0
        finally:
            gc.enable()


def test_rows_of_a_cursor_that_nobody_has_are_not_read(dqlite: str) -> None:
    endless = "WITH RECURSIVE n (a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM n) SELECT a FROM n"
    with quorate.connect(dqlite, autocommit=True, timeout=20) as connection:
        assert connection.execute(endless).fetchone() == (1,)
        assert connection.execute("SELECT 7").fetchall() == [(7,)]


def test_a_transaction_outlives_rows_of_a_cursor_that_nobody_has(url: str, table: str) -> None:
    with quorate.connect(url) as connection:
        connection.execute(f"CREATE TABLE {table} (a INTEGER, b TEXT)")
        connection.executemany(f"INSERT INTO {table} VALUES (?, ?)", [(number, "x" * 1000) for number in range(3000)])
        assert connection.execute(f"SELECT * FROM {table} ORDER BY a").fetchone() == (0, "x" * 1000)
        assert connection.in_transaction
        connection.commit()
        assert connection.execute(f"SELECT count(*) FROM {table}").fetchall() == [(3000,)]


def test_a_sub_interpreter_is_refused_and_leaves_the_main_one_alone(dqlite: str) -> None:
    pytest.importorskip("_xxsubinterpreters")
    program = """
        import sys, quorate
        import _xxsubinterpreters as interpreters
        other = interpreters.create()
        interpreters.run_string(other, '''
        try:
            import quorate
        except ImportError as error:
            print(error, flush=True)
        ''')
        interpreters.destroy(other)
        with quorate.connect(sys.argv[1]) as connection:
            print(connection.execute("SELECT 7").fetchall())
    """
    text = textwrap.dedent(program)
    done = subprocess.run([sys.executable, "-c", text, dqlite], capture_output=True, text=True, timeout=60)
    refused, answered = done.stdout.splitlines() or ["", done.stderr]
    assert "sub-interpreter" in refused
    assert answered == "[(7,)]"


@pytest.mark.parametrize("timeout", [-0.001, -5, float("nan")])
def test_a_timeout_below_zero_is_refused(url: str, timeout: float) -> None:
    # The library has a number below zero for the configured timeout.
    with quorate.Pool(url) as pool, pytest.raises(ValueError, match="the timeout is"):
        pool.exec("SELECT 1", timeout=timeout)


def test_timeouts_are_rounded_up_and_may_be_without_limit(url: str) -> None:
    assert milliseconds(0.0001) == 1
    assert milliseconds(0) == 0
    with quorate.Pool(url) as pool:
        for timeout in (float("inf"), 1e30, 3):
            pool.exec("SELECT 1", timeout=timeout)
