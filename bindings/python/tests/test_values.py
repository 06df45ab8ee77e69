"""Values there and back."""

from __future__ import annotations

import datetime
import enum
import math
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
import quorate

UTC = datetime.timezone.utc
EAST = datetime.timezone(datetime.timedelta(hours=5, minutes=30))


class Colour(enum.IntEnum):
    RED = 7


# What is sent, and what each database gives back for it from a column of the type beside it.
DQLITE: list[tuple[Any, str, Any]] = [
    (None, "TEXT", None),
    (True, "BOOLEAN", True),
    (2**63 - 1, "INTEGER", 2**63 - 1),
    (-(2**63), "INTEGER", -(2**63)),
    (Colour.RED, "INTEGER", 7),
    (1.5, "REAL", 1.5),
    (math.inf, "REAL", math.inf),
    ("héllo \U0001f600", "TEXT", "héllo \U0001f600"),
    ("", "TEXT", ""),
    (b"\x00\xff", "BLOB", b"\x00\xff"),
    (bytearray(b"ab"), "BLOB", b"ab"),
    (memoryview(b""), "BLOB", b""),
    (
        datetime.datetime(2024, 2, 29, 23, 59, 59, 123456, UTC),
        "DATETIME",
        datetime.datetime(2024, 2, 29, 23, 59, 59, 123456, UTC),
    ),
    (datetime.datetime(1900, 1, 1, 5, 30, tzinfo=EAST), "DATETIME", datetime.datetime(1900, 1, 1, tzinfo=UTC)),
    (datetime.datetime(2024, 1, 1), "DATETIME", datetime.datetime(2024, 1, 1, tzinfo=UTC)),
    (datetime.date(2024, 2, 29), "DATE", datetime.datetime(2024, 2, 29, tzinfo=UTC)),
    (datetime.time(1, 2, 3), "TEXT", "01:02:03"),
    (Decimal("1.50"), "TEXT", "1.50"),
    (UUID(int=5), "TEXT", str(UUID(int=5))),
    ({"a": [1, None]}, "TEXT", '{"a":[1,null]}'),
    (quorate.Json("x"), "TEXT", '"x"'),
]
PICODATA: list[tuple[Any, str, Any]] = [
    (None, "TEXT", None),
    (True, "BOOLEAN", True),
    (2**63 - 1, "BIGINT", 2**63 - 1),
    (1.5, "DOUBLE PRECISION", 1.5),
    ("héllo", "TEXT", "héllo"),
    (
        datetime.datetime(2024, 2, 29, 23, 59, 59, 123456, UTC),
        "TIMESTAMPTZ",
        datetime.datetime(2024, 2, 29, 23, 59, 59, 123456, UTC),
    ),
    (Decimal("-123456789012345678901234567890.12"), "NUMERIC", Decimal("-123456789012345678901234567890.12")),
    (UUID(int=2**127 + 5), "UUID", UUID(int=2**127 + 5)),
    ({"a": [1, None]}, "JSON", {"a": [1, None]}),
    ([1, 2], "JSON", [1, 2]),
]


@pytest.mark.parametrize("sent, kind, expected", DQLITE, ids=repr)
def test_a_value_comes_back_from_dqlite(dqlite: str, sent: Any, kind: str, expected: Any) -> None:
    check(dqlite, "value_test", sent, kind, expected)


@pytest.mark.parametrize("sent, kind, expected", PICODATA, ids=repr)
def test_a_value_comes_back_from_picodata(picodata: str, table: str, sent: Any, kind: str, expected: Any) -> None:
    check(picodata, table, sent, kind, expected)


def check(url: str, table: str, sent: Any, kind: str, expected: Any) -> None:
    with quorate.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, v {kind})")
        connection.execute(f"INSERT INTO {table} VALUES (?, ?)", (1, sent))
        # Alone, and in a column of mixed types.
        connection.execute(f"INSERT INTO {table} VALUES (?, ?)", (2, None))
        alone = connection.execute(f"SELECT v FROM {table} WHERE id = 1").fetchone()
        both = connection.execute(f"SELECT v FROM {table} ORDER BY id").fetchall()
    assert alone == (expected,)
    assert type(alone[0]) is type(expected)
    # dqlite sends NULL in a BOOLEAN column as false.
    assert both == [(expected,), (False if kind == "BOOLEAN" and url.startswith("dqlite") else None,)]


@pytest.mark.parametrize(
    "value, kind",
    [
        (2**63, quorate.DataError),
        ("a\0b", quorate.ProgrammingError),
        ("\ud800", quorate.DataError),
        (object(), quorate.ProgrammingError),
    ],
    ids=repr,
)
def test_a_value_that_cannot_be_sent_is_refused(dqlite: str, value: Any, kind: type[Exception]) -> None:
    with quorate.connect(dqlite) as connection, pytest.raises(kind):
        connection.execute("SELECT ?", (value,))


def test_parameters_have_names_on_dqlite(dqlite: str) -> None:
    with quorate.connect(dqlite) as connection:
        assert connection.execute("SELECT :a, :b, :a", {"b": 2, "a": 1}).fetchall() == [(1, 2, 1)]


def test_one_text_is_not_taken_for_parameters(dqlite: str) -> None:
    with quorate.connect(dqlite) as connection, pytest.raises(quorate.ProgrammingError, match="tuple"):
        connection.execute("SELECT ?", "a")


def test_question_marks_work_on_both(url: str) -> None:
    with quorate.connect(url) as connection:
        assert connection.execute("SELECT '?', ? || ?", ("a", "b")).fetchall() == [("?", "ab")]


def test_large_values_and_many_columns(dqlite: str) -> None:
    blob, text = bytes(range(256)) * 20_000, "é" * 3_000_000
    with quorate.connect(dqlite) as connection:
        assert connection.execute("SELECT ?, ?, 1", (blob, text)).fetchall() == [(blob, text, 1)]
        wide = ", ".join(f"{number} AS c{number}" for number in range(32))
        assert connection.execute(f"SELECT {wide}").fetchall() == [tuple(range(32))]


@pytest.mark.parametrize("value", [{"a": datetime.date(2024, 1, 2)}, [float("nan")], {"a": {1}}])
def test_what_is_no_json_is_refused_before_it_is_sent(url: str, value: object) -> None:
    with quorate.connect(url) as connection, pytest.raises(quorate.DataError, match="JSON"):
        connection.execute("SELECT ?", (value,))


def test_none_stands_for_no_parameters(url: str, table: str) -> None:
    with quorate.connect(url) as connection:
        assert connection.execute("SELECT 1", None).fetchall() == [(1,)]
        assert connection.cursor().execute("SELECT 1", None).fetchall() == [(1,)]
        connection.execute(f"CREATE TABLE {table} (a INTEGER)", None)
        assert connection.executemany(f"INSERT INTO {table} VALUES (1)", [None, ()]).rowcount == 2
    with quorate.Pool(url) as pool:
        assert pool.exec(f"UPDATE {table} SET a = 2", None).rows_affected == 2
        assert pool.query(f"SELECT a FROM {table}", None).fetchall() == [(2,), (2,)]
        assert pool.query_row("SELECT 1", None) == (1,)
        assert pool.send_batch([("SELECT 1", None)]) == [[(1,)]]
