"""Rows as Arrow, read by pyarrow, pandas and polars."""

from __future__ import annotations

import datetime
import decimal
import gc
import sys
import uuid

import polars
import pyarrow
import pytest
import quorate
from quorate import arrow


@pytest.fixture
def filled(dqlite: str) -> str:
    with quorate.connect(dqlite) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, price REAL, made DATETIME)")
        rows = [(n, f"é{n}" if n % 7 else None, n / 4, "2024-01-02 03:04:05") for n in range(10_000)]
        connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", rows)
    return dqlite


def test_pyarrow_reads_a_table(filled: str) -> None:
    with quorate.connect(filled) as connection:
        table = connection.execute("SELECT * FROM t ORDER BY id").fetch_arrow_table()
    assert [str(kind) for kind in table.schema.types] == ["int64", "large_string", "double", "timestamp[us, tz=UTC]"]
    assert table.num_rows == 10_000
    assert table.column("name").null_count == 1429
    assert table.slice(9_999).to_pylist()[0]["name"] == "é9999"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="pandas 3, which reads Arrow streams, begins with Python 3.11")
def test_pandas_takes_a_cursor(filled: str) -> None:
    import pandas

    with quorate.connect(filled) as connection:
        frame = pandas.DataFrame.from_arrow(connection.execute("SELECT id, price FROM t"))
        assert (len(frame), frame["price"].sum()) == (10_000, sum(range(10_000)) / 4)


def test_polars_takes_a_cursor(filled: str) -> None:
    with quorate.connect(filled) as connection:
        polar = polars.DataFrame(connection.execute("SELECT id, name FROM t"))
        assert (polar.height, polar["id"].sum(), polar["name"].null_count()) == (10_000, 49_995_000, 1429)


def test_a_pool_gives_a_stream_in_batches(filled: str) -> None:
    with quorate.Pool(filled) as pool:
        rows = pool.query("SELECT id FROM t")
        rows.arrow_batch_rows = 3000
        # The connection goes back when the stream is released.
        with pyarrow.RecordBatchReader.from_stream(rows) as reader:
            assert [batch.num_rows for batch in reader] == [3000, 3000, 3000, 1000]


def test_types_can_be_declared(filled: str) -> None:
    with quorate.connect(filled) as connection:
        cursor = connection.execute("SELECT id, '1.50' AS d FROM t LIMIT 1")
        cursor.arrow_types = {"id": "double", "d": "decimal"}
        assert cursor.fetch_arrow_table().to_pylist() == [{"id": 0.0, "d": "1.50"}]
        cursor.execute("SELECT 1 AS a")
        with pytest.raises(quorate.ProgrammingError, match="no such column"):
            cursor.fetch_arrow_table()


EVERY_TYPE = """SELECT true AS a, 1 AS b, 1::double precision AS c, 'x'::text AS d, ''::bytea AS e, now() AS f,
    current_date AS g, gen_random_uuid() AS h, 1.5 AS i, '{}'::json AS j"""


def test_without_values_the_types_are_the_servers(picodata: str) -> None:
    expected = ["bool", "int64", "double", "large_string", "large_binary", "timestamp[us, tz=UTC]", "date32[day]"]
    expected += ["fixed_size_binary[16]", "large_string", "large_string"]
    with quorate.connect(picodata) as connection:
        for rows in (f"{EVERY_TYPE} WHERE false", f"SELECT t.* FROM (SELECT 1) AS one LEFT JOIN ({EVERY_TYPE}) AS t ON false"):
            table = connection.execute(rows).fetch_arrow_table()
            assert [str(kind) for kind in table.schema.types] == expected
        cursor = connection.execute(f"{EVERY_TYPE} WHERE false")
        assert cursor.description is not None
        kinds = [bool, int, float, str, bytes, datetime.datetime, datetime.date, uuid.UUID, decimal.Decimal, dict]
        assert [column[1] for column in cursor.description] == kinds


def test_rows_are_given_once(filled: str) -> None:
    with quorate.connect(filled) as connection:
        cursor = connection.execute("SELECT id FROM t")
        cursor.fetchone()
        with pytest.raises(quorate.ProgrammingError, match="fetched already"):
            cursor.fetch_arrow_table()
        cursor.execute("SELECT id FROM t")
        cursor.fetch_arrow_table()
        assert cursor.fetchall() == []
        cursor.execute("INSERT INTO t (name) VALUES ('x')")
        with pytest.raises(quorate.ProgrammingError, match="no rows"):
            cursor.fetch_arrow_table()
        connection.rollback()


def test_a_capsule_that_nobody_reads_is_released(filled: str) -> None:
    with quorate.connect(filled) as connection:
        capsule = connection.execute("SELECT id FROM t").__arrow_c_stream__()
        assert len(arrow._streams) == 1
        del capsule
        gc.collect()
        assert len(arrow._streams) == 0
        assert connection.execute("SELECT 1").fetchall() == [(1,)]


def test_an_error_in_the_midst_of_a_stream_is_raised(dqlite: str) -> None:
    with quorate.connect(dqlite, autocommit=True) as connection:
        connection.execute("CREATE TABLE t (a)")
        connection.executemany("INSERT INTO t VALUES (?)", [(n,) for n in range(100)] + [("text",)])
        cursor = connection.execute("SELECT a FROM t")
        cursor.arrow_batch_rows = 50
        with pytest.raises(Exception, match="row 101"):
            cursor.fetch_arrow_table()
