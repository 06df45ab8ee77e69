"""What statements that were run on a pool answer: rows, or what they have done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import byref
from typing import Any, NamedTuple

from quorate import _declarations as c
from quorate._closing import Closing
from quorate._decode import Buffer
from quorate._errors import Error
from quorate._interrupt import invoke_interruptible
from quorate._library import library
from quorate._owner import Owner, ResultsHandle, RowsHandle
from quorate._rows import MAX_ROWS, Reader
from quorate.arrow import ArrowRows
from quorate.rows import RowFactory


class Result(NamedTuple):
    """What a statement without rows has done."""

    rows_affected: int
    """How many rows it inserted, changed or deleted."""
    last_insert_id: int
    """The row id of the last row that its connection inserted (dqlite); 0 where there is none."""

    @classmethod
    def of(cls, native: c.Result) -> Result:
        """What the library says of it."""
        return cls(native.rows_affected, native.last_insert_id)


class Rows(Owner, ArrowRows, Closing):
    """The rows of a query on a pool. One thread at a time uses them."""

    def __init__(self, reader: Reader, row_factory: RowFactory) -> None:
        self._reader = reader
        self._rows: list[tuple[Any, ...]] = []
        self._next = 0
        self._make = row_factory(reader.names)

    @property
    def columns(self) -> tuple[str, ...]:
        """What the columns are called."""
        return self._reader.names

    @property
    def result(self) -> Result:
        """What the statement has done, where it answers no rows."""
        return Result.of(self._reader.result)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self._next >= len(self._rows):
            self._next, self._rows = 0, self._reader.fetch(MAX_ROWS)
            if not self._rows:
                raise StopIteration
        row = self._rows[self._next]
        self._next += 1
        return self._make(row)

    def fetchall(self) -> list[Any]:
        """All rows that are left."""
        return list(self)

    def _take_reader(self) -> Reader:
        return self._reader

    @contextmanager
    def _inside(self) -> Iterator[None]:
        yield

    def close(self) -> None:
        """Ends the reading, and gives the connection back."""
        self._reader.close()


def answers_of(results: ResultsHandle) -> list[Result | list[tuple[Any, ...]] | Error]:
    """What each statement of a batch has answered, in order."""
    answers: list[Result | list[tuple[Any, ...]] | Error] = []
    buffer = Buffer()
    while library.quorate_results_left(results):
        rows = RowsHandle()
        try:
            invoke_interruptible(library.quorate_results_query, results, byref(rows))
            reader = Reader(rows, buffer)
            found: list[tuple[Any, ...]] = []
            while not reader.done:
                found += reader.fetch(MAX_ROWS)
            answers.append(found if reader.columns else Result.of(reader.result))
        except Error as failure:
            answers.append(failure)
    return answers
