"""The pool: connections to all nodes of a cluster, for every thread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from ctypes import byref, c_void_p
from types import TracebackType
from typing import Any

from quorate import _declarations as c
from quorate._batch import Batch
from quorate._callbacks import (
    BalanceFunction,
    DialFunction,
    EventFunction,
    LogFunction,
    set_balance,
    set_event,
)
from quorate._closing import Closing
from quorate._config import configured
from quorate._decode import Buffer
from quorate._errors import Error, OperationalError, invoke
from quorate._interrupt import cancel_handle, check_call, invoke_interruptible
from quorate._library import library, milliseconds
from quorate._owner import ConnectionHandle, Owner, PoolHandle, ResultsHandle, RowsHandle
from quorate._rows import Reader
from quorate._values import Parameters, encode
from quorate.connection import Connection
from quorate.results import Result, Rows, answers_of
from quorate.rows import RowFactory, tuple_row
from quorate.sharding import ShardingKey
from quorate.stats import EndpointStats, Stats, read_endpoints, read_stats


class Pool(Owner, Closing):
    """Connections to a cluster. Any thread may use it, several at once.

        pool = Pool("dqlite://10.0.0.1:9001,10.0.0.2:9001/app", timeout="5s", pool_max_conns=20)

    Options of the connection string may be given as keywords instead; a number of seconds is a duration. Nothing is
    dialled yet: a cluster that cannot be reached shows in the first call.

    `on_event` is told an Event of a new leader and of instances that come, go and change. `log` is told a level of the
    module `logging` and a message. `dial` makes connections: it is given `host:port` and the seconds that it may take (None
    is no limit), and answers a connected `socket.socket`. `balance` is the option, or a function that is given the
    Candidates for a call (Picodata) and answers the index of one. They are called on the thread that has something to say
    or needs a connection, which may be the pool's own, and must not use the pool.

    `transactions` says whether the database has some: unless given, all have but those at `picodata://`. Give false for a
    Picodata at `postgres://`.

    Used as a context manager, it is closed: behind the last connection in use, or at once where an error leaves the block.

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
        self._handle: PoolHandle | None = None
        self.url = url
        scheme = url.split("://")[0].strip().lower()
        self.has_transactions = scheme != "picodata" if transactions is None else transactions
        """Whether the database has transactions."""
        if scheme != "dqlite":
            # dqlite takes `?` as it is.
            options.setdefault("placeholders", "question")
        if isinstance(balance, str):
            options["balance"] = balance
        pool = PoolHandle()
        with configured(url, options, log, dial) as config:
            if on_event is not None:
                set_event(config, on_event)
            if balance is not None and not isinstance(balance, str):
                set_balance(config, balance)
            invoke(library.quorate_pool_open_config, config, byref(pool))
        self._handle = pool

    def _pointer(self) -> PoolHandle | None:
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
            milliseconds(timeout),
            cancel_handle(),
            byref(result),
            byref(error),
        )
        check_call(status, error)
        return Result.of(result)

    def query(
        self,
        sql: str,
        parameters: Parameters = (),
        *,
        timeout: float | None = None,
        row_factory: RowFactory = tuple_row,
    ) -> Rows:
        """Runs a statement and gives its rows, which hold a connection until they were all read or closed."""
        values, text, rows, error = encode(parameters), sql.encode(), RowsHandle(), c_void_p()
        status = library.quorate_pool_query(
            self._handle,
            text,
            len(text),
            values,
            len(values),
            milliseconds(timeout),
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
        results = ResultsHandle()
        with Batch() as batch:
            for sql, parameters in statements:
                batch.queue(sql.encode(), parameters)
            send = library.quorate_pool_send_batch
            invoke_interruptible(send, self._handle, batch.handle, milliseconds(timeout), cancel_handle(), byref(results))
        try:
            return answers_of(results)
        finally:
            results.free()

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

    def _acquire(self, timeout: int) -> ConnectionHandle:
        handle = ConnectionHandle()
        invoke_interruptible(library.quorate_pool_acquire, self._handle, timeout, cancel_handle(), byref(handle))
        return handle

    @contextmanager
    def transaction(self, mode: str = "immediate", *, timeout: float | None = None) -> Iterator[Connection]:
        """Begins a transaction, commits it behind the block, and rolls back where an error leaves the block."""
        with self.connection(transaction_mode=mode, timeout=timeout) as connection:
            connection.begin()
            yield connection

    def ping(self, *, timeout: float | None = None) -> None:
        """Asks a server for an answer."""
        invoke_interruptible(library.quorate_pool_ping, self._handle, milliseconds(timeout), cancel_handle())

    def stats(self) -> Stats:
        """The pool's figures, by the names that the C interface has for them: `in_use`, `idle`, `wait_nanoseconds`, …"""
        return read_stats(self._handle)

    def endpoint_stats(self) -> list[EndpointStats]:
        """The figures of each node or instance that the pool has had connections to, in the order of the addresses."""
        return read_endpoints(self._handle)

    def sharding_key(self, table: str, *, timeout: float | None = None) -> ShardingKey:
        """The columns by which the rows of a table of Picodata are spread over the instances. `table` is the name as the
        table `_pico_table` has it.

        What is known of the table is given at once; otherwise it is read, over a connection of the pool.
        NotSupportedError: the table is global, or the database is dqlite or plain PostgreSQL, or the server is older than
        25.5.1 and the user may not read `_pico_tier` either. DatabaseError: there is no such table.
        """
        return ShardingKey(self, table, timeout)

    def reset(self) -> None:
        """Closes all idle connections at once and those in use when they come back. The pool stays open."""
        invoke(library.quorate_pool_reset, self._handle)

    def close(self, *, timeout: float | None = None) -> None:
        """Closes the pool, and waits until the connections in use have come back. Closing again does nothing."""
        invoke_interruptible(library.quorate_pool_close, self._handle, milliseconds(timeout))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
            return
        # The error's own traceback may hold connections, which would not come back before it was handled.
        with suppress(OperationalError):
            self.close(timeout=0)
