"""The pool, and what it does when instances die."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import pytest
import quorate
from clusters import Cluster, wait_for


def test_a_pool_runs_statements(url: str, table: str) -> None:
    with quorate.Pool(url) as pool:
        pool.exec(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, name TEXT)")
        assert pool.exec(f"INSERT INTO {table} VALUES (?, ?)", (1, "a")).rows_affected == 1
        with pool.connection() as connection:
            connection.executemany(f"INSERT INTO {table} VALUES (?, ?)", [(n, str(n)) for n in range(2, 600)])
        assert pool.query_row(f"SELECT name FROM {table} WHERE id = ?", (2,)) == ("2",)
        assert pool.query_row(f"SELECT name FROM {table} WHERE id = ?", (0,)) is None
        with pool.query(f"SELECT id, name FROM {table} ORDER BY id", row_factory=quorate.dict_row) as rows:
            assert rows.columns == ("id", "name")
            assert next(rows) == {"id": 1, "name": "a"}
            assert len(rows.fetchall()) == 598
        pool.ping()
        pool.reset()
        assert pool.stats()["idle"] == 0
        assert pool.query_row("SELECT 1", timeout=5) == (1,)
        assert pool.stats()["in_use"] == 0
    with pytest.raises(quorate.InterfaceError):
        pool.exec("SELECT 1")


def test_the_figures_of_a_pool(url: str) -> None:
    with quorate.Pool(url.replace("?topology=off", "")) as pool:
        assert set(pool.stats()) == set(quorate.Stats.__annotations__)
        pool.ping()
        wait_for(lambda: pool.stats()["refreshes"] > 0)
        age = pool.stats()["topology_age_milliseconds"]
        assert age is not None and age < 60_000


@pytest.mark.parametrize("dead", ["dqlite://127.0.0.1:1/test", "picodata://app@127.0.0.1:1/app"])
def test_a_topology_that_was_never_read_has_no_age(dead: str) -> None:
    with quorate.Pool(dead) as pool:
        assert pool.stats()["topology_age_milliseconds"] is None


def test_a_batch_answers_for_each_statement(url: str, table: str) -> None:
    with quorate.Pool(url) as pool:
        pool.exec(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY)")
        insert = f"INSERT INTO {table} VALUES (?)"
        first, select, repeated, last = pool.send_batch(
            [(insert, (1,)), (f"SELECT id FROM {table}", ()), (insert, (1,)), (insert, (2,))]
        )
        assert isinstance(first, quorate.Result) and first.rows_affected == 1
        assert select == [(1,)]
        assert isinstance(repeated, quorate.IntegrityError)
        assert isinstance(last, (quorate.Result, quorate.Error))


def test_a_transaction_block(dqlite: str) -> None:
    with quorate.Pool(dqlite) as pool:
        pool.exec("CREATE TABLE t (a)")
        with pool.transaction() as transaction:
            transaction.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(ZeroDivisionError), pool.transaction("deferred") as transaction:
            transaction.execute("INSERT INTO t VALUES (2)")
            raise ZeroDivisionError
        assert pool.query("SELECT a FROM t").fetchall() == [(1,)]


def test_all_connections_in_use(dqlite: str) -> None:
    with quorate.Pool(dqlite, pool_max_conns=1) as pool, pool.connection():
        with pytest.raises(quorate.OperationalError) as caught:
            pool.exec("SELECT 1", timeout=0.1)
        assert caught.value.kind == "pool_timeout"
        assert caught.value.is_retryable


def test_a_leader_that_dies_is_replaced_and_every_write_is_accounted_for() -> None:
    cluster = Cluster("dqlite", 3)
    events: list[quorate.Event] = []
    messages: list[str] = []
    pool = quorate.Pool(
        cluster.url, on_event=events.append, log=lambda level, text: messages.append(text)
    )
    pool.exec("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    written: set[int] = set()
    unknown: set[int] = set()
    stop = threading.Event()

    def write(start: int) -> None:
        number = start
        while not stop.is_set():
            try:
                pool.exec("INSERT INTO t VALUES (?)", (number,), timeout=10)
                written.add(number)
            except quorate.Error as error:
                assert error.outcome == quorate.Outcome.UNKNOWN or error.is_retryable, error
                if error.outcome == quorate.Outcome.UNKNOWN:
                    unknown.add(number)
            number += 4

    writers = [threading.Thread(target=write, args=(start,)) for start in range(4)]
    for writer in writers:
        writer.start()
    wait_for(lambda: len(written) > 50)
    leader = cluster.tell("leader")
    cluster.tell(f"kill {leader}")
    before = len(written)
    wait_for(lambda: len(written) > before + 50)
    stop.set()
    for writer in writers:
        writer.join(30)
    found = {number for (number,) in pool.query("SELECT id FROM t")}
    assert written <= found
    assert found <= written | unknown
    new = cluster.tell(f"address {cluster.tell('leader')}")
    assert ("leader", new) in [(event.kind, event.address) for event in events]
    assert any(new in message for message in messages)
    assert pool.stats()["leader_changes"] >= 1
    pool.close()
    cluster.end()


def test_an_instance_that_dies_is_left_out() -> None:
    cluster = Cluster("picodata", 3)
    events: list[quorate.Event] = []
    with quorate.Pool(cluster.url, on_event=events.append) as pool:
        port = "SELECT inet_server_port()"
        wait_for(lambda: len({pool.query_row(port) for _ in range(6)}) == 3)
        cluster.tell("kill 1")
        answers, failures = set(), []
        for _ in range(30):
            try:
                answers.add(pool.query_row(port, timeout=10))
            except quorate.OperationalError as error:
                failures.append(error)
        assert answers == {(5432,), (5434,)}
        kinds = ("instance_went", "instance_state")
        wait_for(lambda: any(one.kind in kinds and one.name == "default_2_1" for one in events))
        # The last message of the dying server may be the first that a call reads.
        assert len(failures) <= 1 and all(error.outcome == quorate.Outcome.UNKNOWN for error in failures)
    cluster.end()


def test_a_function_chooses_the_instance(picodata_cluster: Cluster) -> None:
    seen: list[quorate.Candidate] = []

    def last(candidates: Sequence[quorate.Candidate]) -> int:
        seen.extend(candidates)
        return max(range(len(candidates)), key=lambda index: candidates[index].address)

    with quorate.Pool(picodata_cluster.url, balance=last) as pool:
        wait_for(lambda: pool.query_row("SELECT inet_server_port()") == (5434,))
        assert {pool.query_row("SELECT inet_server_port()") for _ in range(9)} == {(5434,)}
    assert {one.name for one in seen} == {"default_1_1", "default_2_1", "default_3_1"}
    assert any(one.latency is not None and one.latency > 0 for one in seen)


def test_an_error_leaves_the_block_of_a_pool_at_once_though_a_connection_is_in_use(url: str) -> None:
    start = time.monotonic()
    with pytest.raises(KeyError), quorate.Pool(url, timeout=20) as pool:
        connection = pool.connection(autocommit=True)
        connection.execute("SELECT 1")
        raise KeyError
    assert time.monotonic() - start < 10
    with pytest.raises(quorate.InterfaceError):
        connection.execute("SELECT 1")
