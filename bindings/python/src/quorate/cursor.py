"""The cursor of PEP 249."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from quorate import _declarations as c
from quorate._batch import Batch
from quorate._closing import Closing
from quorate._decode import TYPES
from quorate._errors import InterfaceError, ProgrammingError
from quorate._owner import Owner
from quorate._rows import MAX_ROWS, Reader
from quorate._statements import writes
from quorate._values import Parameters, encode
from quorate.arrow import ArrowRows
from quorate.rows import RowFactory, RowMaker

if TYPE_CHECKING:
    from quorate.connection import Connection

# How many rows the first foreign call fetches; each further one of an iteration fetches four times as many.
FIRST_ROWS = 64
# How many statements of executemany go to the server at once.
BATCH = 256

Description = tuple[str, Any, None, None, None, None, None]


class Cursor(Owner, ArrowRows, Closing):
    """Runs statements on its connection, and holds the rows of the last one. One thread at a time uses it.

    Rows are fetched as they are asked for. Where another statement is run on the connection before all were, the rest is
    first read into memory.
    """

    arraysize: int = 1

    def __init__(self, connection: Connection, row_factory: RowFactory | None = None) -> None:
        self.connection = connection
        self.row_factory = row_factory or connection.row_factory
        self.rowcount: int = -1
        self.lastrowid: int | None = None
        self._closed = False
        self._reader: Reader | None = None
        self._rows: list[tuple[Any, ...]] = []
        self._next = 0
        self._step = FIRST_ROWS
        self._make: RowMaker | None = None
        self._description: tuple[Description, ...] | None = None

    @property
    def description(self) -> tuple[Description, ...] | None:
        """Of each column its name, the Python type of its first value that is not NULL, and five None; None where the
        last statement answers no rows.

        dqlite declares no types, each value has its own: the first rows are fetched to look at them, and the type is
        `str` where there is no value. Where PostgreSQL or Picodata answers no rows at all, it is the type that they
        declare. Read it behind `fetch_arrow_table`, not before.
        """
        reader = self._reader
        if self._description is None and reader is not None and reader.columns:
            if not self._rows:
                self._fetch_more(self._step)
            types = [next((type(one) for one in column if one is not None), str) for column in zip(*self._rows)]
            types = types or [TYPES.get(number, str) for number in reader.declared or (0,) * reader.columns]
            self._description = tuple(
                (name, kind, None, None, None, None, None) for name, kind in zip(reader.names, types)
            )
        return self._description

    def execute(self, operation: str, parameters: Parameters = ()) -> Cursor:
        """Runs one statement; `?` stands for a parameter. Gives the cursor itself.

        Blocks until the server has answered, no longer than the connection's timeout. Outside of autocommit a
        statement that writes begins a transaction first.
        """
        self._check()
        self._forget()
        connection = self.connection
        with connection._inside():
            connection._prepare(operation)
            self._reader = reader = connection._query(operation, encode(parameters))
        if reader.columns:
            connection._reading(reader, self)
        else:
            # SQLite leaves the count of the statement before in place where one cannot write rows.
            self.rowcount = reader.result.rows_affected if writes(operation) else -1
            self.lastrowid = reader.result.last_insert_id or None
            connection._after(operation)
        return self

    def executemany(self, operation: str, seq_of_parameters: Iterable[Parameters]) -> Cursor:
        """Runs one statement with each of the parameters, some hundred at a time in one round trip.

        In autocommit each is its own: where one fails, those of the same round trip are applied nevertheless, and the
        first error is raised. Rows that they answer are dropped.
        """
        self._check()
        self._forget()
        connection = self.connection
        total = 0
        text = operation.encode()
        result = c.Result()
        iterator = iter(seq_of_parameters)
        with connection._inside(), Batch() as batch:
            connection._prepare(operation)
            while True:
                for parameters in islice(iterator, BATCH):
                    batch.queue(text, parameters)
                if not len(batch):
                    break
                total += connection._send(batch, result)
                batch.clear()
        self.rowcount = total
        self.lastrowid = result.last_insert_id or None
        return self

    def _fetch_more(self, rows: int) -> bool:
        """Fetches into the empty buffer; false where there are no more rows."""
        reader = self._reader
        if reader is None or not reader.columns:
            raise ProgrammingError("the last statement answers no rows, or none was run")
        if reader.done:
            return False
        with self.connection._inside():
            found = reader.fetch(rows)
        self._next, self._rows = 0, found
        return bool(found)

    def _maker(self) -> RowMaker:
        if self._make is None:
            assert self._reader is not None
            self._make = self.row_factory(self._reader.names)
        return self._make

    def fetchone(self) -> Any:
        """The next row, or None where there are no more."""
        if self._next >= len(self._rows):
            self._check()
            if not self._fetch_more(self._step):
                return None
            self._step = min(4 * self._step, MAX_ROWS)
        row = self._rows[self._next]
        self._next += 1
        maker = self._make or self._maker()
        return row if maker is tuple else maker(row)

    def fetchmany(self, size: int | None = None) -> list[Any]:
        """The next `size` rows (`arraysize` unless given), fewer where there are no more."""
        self._check()
        return self._fetch(self.arraysize if size is None else size)

    def fetchall(self) -> list[Any]:
        """All rows that are left."""
        self._check()
        return self._fetch(None)

    def _fetch(self, wanted: int | None) -> list[Any]:
        rows: list[tuple[Any, ...]] = []
        if self._reader is None or not self._reader.columns:
            self._fetch_more(0)
        with self.connection._inside():
            while wanted is None or len(rows) < wanted:
                if self._next >= len(self._rows) and not self._fetch_more(MAX_ROWS if wanted is None else wanted - len(rows)):
                    break
                end = len(self._rows) if wanted is None else self._next + wanted - len(rows)
                rows += self._rows[self._next : end]
                self._next = min(end, len(self._rows))
        maker = self._maker()
        return rows if maker is tuple else list(map(maker, rows))

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        row = self.fetchone()
        if row is None:
            raise StopIteration
        return row

    def _keep_rest(self) -> None:
        """Reads all that is left into memory, before the connection does something else."""
        reader = self._reader
        if reader is None or reader.done:
            return
        rest = self._rows[self._next :]
        while not reader.done:
            rest += reader.fetch(MAX_ROWS)
        self._next, self._rows = 0, rest

    def _take_reader(self) -> Reader:
        self._check()
        reader = self._reader
        if reader is None or not reader.columns:
            raise ProgrammingError("the last statement answers no rows, or none was run")
        if reader.done or self._rows:
            raise ProgrammingError("the rows were fetched already; run the statement again to read them as Arrow")
        return reader

    def _inside(self) -> Any:
        return self.connection._inside()

    def _forget(self) -> None:
        self._drop()
        self._step, self._make, self._description = FIRST_ROWS, None, None
        self.rowcount, self.lastrowid = -1, None

    def _drop(self) -> None:
        reader, self._reader = self._reader, None
        self._rows, self._next = [], 0
        if reader is not None and not reader.done:
            with self.connection._inside():
                reader.close()

    def _check(self) -> None:
        if self._closed:
            raise InterfaceError("the cursor was closed")
        self.connection._check()

    def close(self) -> None:
        """Drops rows that are left. The cursor cannot be used any more; its `rowcount` and `lastrowid` stay."""
        if not self._closed:
            self._closed = True
            if not self.connection.closed:
                self._drop()

    def setinputsizes(self, sizes: Any) -> None:
        """Does nothing, as PEP 249 allows."""

    def setoutputsize(self, size: int, column: int | None = None) -> None:
        """Does nothing, as PEP 249 allows."""
