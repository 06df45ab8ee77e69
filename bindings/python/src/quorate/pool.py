"""The pool: connections to all nodes of a cluster, for every thread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from ctypes import byref, c_uint64, c_void_p
from types import TracebackType
from typing import Any, NamedTuple

from quorate import _declarations as c
from quorate._callbacks import (
    BalanceFunction,
    DialFunction,
    EventFunction,
    LogFunction,
    set_balance,
    set_dial,
    set_event,
    set_log,
)
from quorate._decode import Buffer
from quorate._errors import Error, check
from quorate._interrupt import cancel_handle, check_call
from quorate._library import library
from quorate._values import Parameters, encode
from quorate.arrow import ArrowRows
from quorate.connection import Connection
from quorate._rows import MAX_ROWS, Reader
from quorate.rows import RowFactory, tuple_row

_STATS = {name.removeprefix("STAT_").lower(): value for name, value in vars(c).items() if name.startswith("STAT_")}


class Result(NamedTuple):
    """What a statement without rows has done."""

    rows_affected: int
    """How many rows it inserted, changed or deleted."""
    last_insert_id: int
    """The row id of the last row that its connection inserted (dqlite); 0 where there is none."""


class Pool:
    """Connections to a cluster. Any thread may use it, several at once.

        pool = Pool("dqlite://10.0.0.1:9001,10.0.0.2:9001/app", timeout="5s", pool_max_conns=20)

    Options of the connection string may be given as keywords instead; a number of seconds is a duration. Nothing is
    dialled yet: a cluster that cannot be reached shows in the first call.

    `on_event` is told an Event of a new leader and of instances that come, go and change. `log` is told a level of the module `logging` and a message. `dial` makes connections: it is given `host:port` and the seconds
    that it may take (None is no limit), and answers a connected `socket.socket`. `balance` is the option, or a function
    that is given the Candidates for a call (Picodata) and answers the index of one. They are called on the thread that has
    something to say or needs a connection, which may be the pool's own, and must not use the pool.

    `transactions` says whether the database has some: unless given, all have but those at `picodata://`. Give false for a
    Picodata at `postgres://`.

    Every call that blocks takes `timeout` in seconds; None is the option `timeout`. A child of this process needs a pool
    of its own: calls on this one raise InterfaceError there.
    """

    def __init__(
        self,
        url: str,
        *,
        on_event: EventFunction | None = None,
        log: LogFunction | None = None,
        dial: DialFunction | None = None,
        balance: BalanceFunction | str | None = None,
        transactions: bool | None = None,
        **options: object,
    ) -> None:
        self._handle: c_void_p | None = None
        self.url = url
        scheme = url.split("://")[0].strip().lower()
        self.has_transactions = scheme != "picodata" if transactions is None else transactions
        """Whether the database has transactions."""
        if scheme != "dqlite":
            # dqlite takes `?` as it is.
            options.setdefault("placeholders", "question")
        config, pool, error = c_void_p(), c_void_p(), c_void_p()
        text = url.encode()
        check(library.quorate_config_new(text, len(text), byref(config), byref(error)), error)
        try:
            for name, value in options.items():
                set_option(config, name, value)
            if on_event is not None:
                set_event(config, on_event)
            if log is not None:
                set_log(config, log)
            if dial is not None:
                set_dial(config, dial)
            if isinstance(balance, str):
                set_option(config, "balance", balance)
            elif balance is not None:
                set_balance(config, balance)
            check(library.quorate_pool_open_config(config, byref(pool), byref(error)), error)
        finally:
            library.quorate_config_free(config)
        self._handle = pool

    def _pointer(self) -> c_void_p | None:
        return self._handle

    def exec(self, sql: str, parameters: Parameters = (), *, timeout: float | None = None) -> Result:
        """Runs a statement on a connection of the pool, and gives what it has done; rows are dropped.

        A statement that cannot have been applied is repeated until the timeout, one whose outcome is unknown is not.
        """
        values, text, result, error = encode(parameters), sql.encode(), c.Result(), c_void_p()
        status = library.quorate_pool_exec(
            self._handle,
            text,
            len(text),
            values,
            len(values),
            _milliseconds(timeout),
            cancel_handle(),
            byref(result),
            byref(error),
        )
        check_call(status, error)
        return Result(result.rows_affected, result.last_insert_id)

    def query(
        self,
        sql: str,
        parameters: Parameters = (),
        *,
        timeout: float | None = None,
        row_factory: RowFactory = tuple_row,
    ) -> Rows:
        """Runs a statement and gives its rows, which hold a connection until they were all read or closed."""
        values, text, rows, error = encode(parameters), sql.encode(), c_void_p(), c_void_p()
        status = library.quorate_pool_query(
            self._handle,
            text,
            len(text),
            values,
            len(values),
            _milliseconds(timeout),
            cancel_handle(),
            byref(rows),
            byref(error),
        )
        check_call(status, error)
        return Rows(Reader(rows, Buffer()), row_factory)

    def query_row(
        self,
        sql: str,
        parameters: Parameters = (),
        *,
        timeout: float | None = None,
        row_factory: RowFactory = tuple_row,
    ) -> Any:
        """Runs a statement and gives its first row, or None where it has none."""
        with self.query(sql, parameters, timeout=timeout, row_factory=row_factory) as rows:
            return next(rows, None)

    def send_batch(
        self, statements: Iterable[tuple[str, Parameters]], *, timeout: float | None = None
    ) -> list[Result | list[tuple[Any, ...]] | Error]:
        """Sends several statements in one round trip, and gives of each, in order, what it answers: its rows, or a
        Result where it has none, or its error.

        It is no transaction: a statement that fails does not stop those behind it.
        """
        batch, results, error = c_void_p(), c_void_p(), c_void_p()
        check(library.quorate_batch_new(byref(batch), byref(error)), error)
        try:
            for sql, parameters in statements:
                values, text = encode(parameters), sql.encode()
                check(library.quorate_batch_queue(batch, text, len(text), values, len(values), byref(error)), error)
            status = library.quorate_pool_send_batch(
                self._handle, batch, _milliseconds(timeout), cancel_handle(), byref(results), byref(error)
            )
            check_call(status, error)
        finally:
            library.quorate_batch_free(batch)
        try:
            return _answers(results)
        finally:
            library.quorate_results_free(results)

    def connection(
        self,
        *,
        autocommit: bool = False,
        transaction_mode: str = "immediate",
        timeout: float | None = None,
        row_factory: RowFactory = tuple_row,
    ) -> Connection:
        """Takes a connection out of the pool, until it is closed; used as a context manager it also commits.

        OperationalError of the kind `pool_timeout`: all stay in use.
        """
        return Connection(
            self,
            autocommit=autocommit,
            transaction_mode=transaction_mode,
            timeout=timeout,
            row_factory=row_factory,
        )

    acquire = connection

    @contextmanager
    def transaction(self, mode: str = "immediate", *, timeout: float | None = None) -> Iterator[Connection]:
        """Begins a transaction, commits it behind the block, and rolls back where an error leaves the block."""
        with self.connection(transaction_mode=mode, timeout=timeout) as connection:
            connection.begin()
            yield connection

    def ping(self, *, timeout: float | None = None) -> None:
        """Asks a server for an answer."""
        error = c_void_p()
        check_call(
            library.quorate_pool_ping(self._handle, _milliseconds(timeout), cancel_handle(), byref(error)), error
        )

    def stats(self) -> dict[str, int]:
        """The pool's figures, by the names that the C interface has for them: `in_use`, `idle`, `wait_nanoseconds`, …"""
        value, error, figures = c_uint64(), c_void_p(), {}
        for name, number in _STATS.items():
            check(library.quorate_pool_stat(self._handle, number, byref(value), byref(error)), error)
            figures[name] = value.value
        return figures

    def reset(self) -> None:
        """Closes all idle connections at once and those in use when they come back. The pool stays open."""
        error = c_void_p()
        check(library.quorate_pool_reset(self._handle, byref(error)), error)

    def close(self, *, timeout: float | None = None) -> None:
        """Closes the pool, and waits until the connections in use have come back. Closing again does nothing."""
        error = c_void_p()
        check_call(library.quorate_pool_close(self._handle, _milliseconds(timeout), byref(error)), error)

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            library.quorate_pool_free(handle)


class Rows(ArrowRows):
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
        return Result(self._reader.result.rows_affected, self._reader.result.last_insert_id)

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

    def __enter__(self) -> Rows:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _answers(results: c_void_p) -> list[Result | list[tuple[Any, ...]] | Error]:
    answers: list[Result | list[tuple[Any, ...]] | Error] = []
    buffer = Buffer()
    while library.quorate_results_left(results):
        rows, error = c_void_p(), c_void_p()
        try:
            check_call(library.quorate_results_query(results, byref(rows), byref(error)), error)
            reader = Reader(rows, buffer)
            found: list[tuple[Any, ...]] = []
            while not reader.done:
                found += reader.fetch(MAX_ROWS)
            done = Result(reader.result.rows_affected, reader.result.last_insert_id)
            answers.append(found if reader.columns else done)
        except Error as failure:
            answers.append(failure)
    return answers


def _milliseconds(timeout: float | None) -> int:
    return c.TIMEOUT_DEFAULT if timeout is None else int(timeout * 1000)


def set_option(config: c_void_p, name: str, value: object) -> None:
    """Sets an option of a configuration; truth values and numbers as the library writes them."""
    if isinstance(value, bool):
        value = "true" if value else "false"
    elif isinstance(value, float):
        value = f"{round(value * 1000)}ms"
    error = c_void_p()
    option, text = name.encode(), str(value).encode()
    check(library.quorate_config_set(config, option, len(option), text, len(text), byref(error)), error)


