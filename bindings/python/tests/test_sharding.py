"""Sharding keys and the figures of endpoints, on the stand-in for Picodata: three instances, each a replicaset."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
import quorate
from clusters import Cluster, wait_for

# What a real server says of these keys (tests/data/picodata-bucket-vectors.csv), and which third of the 3,000 buckets each
# instance has.
KNOWN = [(0, 84, 0), (42, 2426, 2), (127, 2362, 2)]


@pytest.fixture
def pool(standin: str) -> Iterator[quorate.Pool]:
    with quorate.Pool(standin) as pool:
        yield pool


@pytest.fixture
def key(pool: quorate.Pool, table: str) -> quorate.ShardingKey:
    pool.exec(f"CREATE TABLE {table} (id INTEGER NOT NULL, name TEXT, PRIMARY KEY (id))")
    return pool.sharding_key(table)


def test_a_key_tells_the_bucket_of_a_row(key: quorate.ShardingKey, table: str) -> None:
    assert (key.table, key.tier, key.columns) == (table, "default", ("id",))
    assert table in repr(key)
    for number, bucket, _ in KNOWN:
        assert key.bucket((number,)) == bucket
        assert key.bucket({"id": number}) == bucket


def test_a_connection_goes_to_the_master_of_the_bucket(
    key: quorate.ShardingKey, table: str, standin_cluster: Cluster
) -> None:
    for number, _, instance in KNOWN:
        with key.connection((number,), row_factory=quorate.dict_row) as connection:
            assert connection.node == standin_cluster.tell(f"address {instance}")
            connection.execute(f"INSERT INTO {table} VALUES (?, ?)", (number, "x"))
            assert connection.execute(f"SELECT name FROM {table} WHERE id = ?", (number,)).fetchone() == {"name": "x"}
        with key.acquire({"id": number}, timeout=5) as connection:
            assert connection.node == standin_cluster.tell(f"address {instance}")
            assert connection.timeout == 5


def test_a_key_keeps_its_pool(standin: str, table: str, standin_cluster: Cluster) -> None:
    pool = quorate.Pool(standin)
    pool.exec(f"CREATE TABLE {table} (id INTEGER NOT NULL, PRIMARY KEY (id))")
    key = pool.sharding_key(table, timeout=5)
    del pool
    with key.connection((42,)) as connection:
        assert connection.node == standin_cluster.tell("address 2")


def test_values_that_do_not_fit_name_their_column(key: quorate.ShardingKey) -> None:
    with pytest.raises(quorate.DataError, match='the column "id"'):
        key.bucket(("42",))
    with pytest.raises(quorate.DataError, match='the column "id"'):
        key.connection(("42",))
    with pytest.raises(quorate.ProgrammingError, match="1 column"):
        key.bucket(())
    with pytest.raises(quorate.ProgrammingError, match='no column "n"'):
        key.bucket({"id": 1, "n": 2})


def test_what_has_no_key_says_why(pool: quorate.Pool, table: str, dqlite: str) -> None:
    pool.exec(f"CREATE TABLE {table} (id INTEGER NOT NULL, PRIMARY KEY (id)) DISTRIBUTED GLOBALLY")
    with pytest.raises(quorate.NotSupportedError, match="global"):
        pool.sharding_key(table)
    with pytest.raises(quorate.DatabaseError, match="no table") as caught:
        pool.sharding_key("nowhere")
    # It does not pass, as an OperationalError might.
    assert type(caught.value) is quorate.DatabaseError
    with quorate.Pool(dqlite) as other, pytest.raises(quorate.NotSupportedError, match="dqlite"):
        other.sharding_key("t")


def test_endpoints_are_counted_one_by_one(pool: quorate.Pool, standin_cluster: Cluster) -> None:
    assert pool.endpoint_stats() == []
    pool.ping()
    with pool.connection() as connection:
        found = pool.endpoint_stats()
        assert [one.address for one in found] == sorted(standin_cluster.tell(f"address {index}") for index in range(3))
        assert [one.in_use for one in found] == [int(one.address == connection.node) for one in found]
        for one in found:
            assert one.connections == one.idle + one.in_use > 0
            assert (one.waiting, one.latency, one.left_out) == (0, None, False)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found[0].idle = 7  # type: ignore[misc]


def test_latency_is_told_where_the_choice_looks_at_it(standin: str) -> None:
    with quorate.Pool(standin, balance="lowest_latency") as pool:

        def latencies() -> list[float]:
            pool.query_row("SELECT 1")
            return [one.latency for one in pool.endpoint_stats() if one.latency is not None]

        wait_for(lambda: len(latencies()) == 3)
        assert all(0 < latency < 5 for latency in latencies())
