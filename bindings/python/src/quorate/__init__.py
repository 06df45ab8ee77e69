"""A blocking driver for dqlite and Picodata: DB-API 2.0 (PEP 249), a pool, Arrow, and dialects for SQLAlchemy.

    import quorate

    with quorate.connect("dqlite://10.0.0.1:9001,10.0.0.2:9001/app") as connection:
        connection.execute("INSERT INTO fruit VALUES (?, ?)", ("apple", 3))
        for name, number in connection.execute("SELECT name, n FROM fruit"):
            print(name, number)

Every error says what became of the statement (`outcome`). While a call waits for a server, other threads run, and
Ctrl-C interrupts it.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Final
from weakref import WeakValueDictionary

from quorate._errors import (
    DatabaseError,
    DataError,
    Diagnostic,
    Error,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    Outcome,
    ProgrammingError,
    Warning,  # noqa: A004
)
from quorate._callbacks import BalanceFunction, Candidate, DialFunction, Event, EventFunction, LogFunction
from quorate._library import library as _shared
from quorate._values import Json
from quorate.cluster import Cluster, NodeInfo, NodeMetadata, NodeRole
from quorate.connection import Connection
from quorate.cursor import Cursor
from quorate.pool import Pool
from quorate.results import Result, Rows
from quorate.rows import RowFactory, dict_row, named_row, tuple_row
from quorate.sharding import ShardingKey
from quorate.stats import EndpointStats, Stats
from quorate.types import (
    BINARY,
    DATETIME,
    NUMBER,
    ROWID,
    STRING,
    Binary,
    Date,
    DateFromTicks,
    Time,
    TimeFromTicks,
    Timestamp,
    TimestampFromTicks,
)

__all__ = [
    "BINARY",
    "BalanceFunction",
    "DATETIME",
    "NUMBER",
    "ROWID",
    "STRING",
    "Binary",
    "Candidate",
    "Cluster",
    "Connection",
    "Cursor",
    "DataError",
    "DatabaseError",
    "Date",
    "DateFromTicks",
    "Diagnostic",
    "DialFunction",
    "EndpointStats",
    "Error",
    "Event",
    "EventFunction",
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "Json",
    "LogFunction",
    "NodeInfo",
    "NodeMetadata",
    "NodeRole",
    "NotSupportedError",
    "OperationalError",
    "Outcome",
    "Pool",
    "ProgrammingError",
    "Result",
    "RowFactory",
    "Rows",
    "ShardingKey",
    "Stats",
    "Time",
    "TimeFromTicks",
    "Timestamp",
    "TimestampFromTicks",
    "Warning",
    "apilevel",
    "connect",
    "dict_row",
    "named_row",
    "paramstyle",
    "threadsafety",
    "tuple_row",
]

apilevel: Final = "2.0"
threadsafety: Final = 2
"""Threads may share the module, pools and connections: a connection may be handed from thread to thread. A thread that
comes while another is inside a call gets a ProgrammingError, and changes nothing."""
paramstyle: Final = "qmark"

_number = _shared.quorate_version()
__version__: Final = f"{_number // 1_000_000}.{_number // 1_000 % 1_000}.{_number % 1_000}"

# What `connect` opens connections with, as long as one of them is open.
_pools: WeakValueDictionary[tuple[object, ...], Pool] = WeakValueDictionary()
_pools_lock = threading.Lock()
# Pools whose user was refused, until so many seconds of the monotonic clock: while one is there, the server is not asked
# again with the same password. Picodata blocks a user after a few wrong ones.
_refused: dict[tuple[object, ...], tuple[float, Pool]] = {}
_REFUSED_FOR = 60.0


def connect(
    url: str,
    *,
    autocommit: bool = False,
    transaction_mode: str = "immediate",
    timeout: float | str | None = None,
    row_factory: RowFactory = tuple_row,
    **options: object,
) -> Connection:
    """Opens a connection: `dqlite://host:port,host:port/database?option=value` or `picodata://user:password@host/`.

    One address is enough, the others are learned. Options of the connection string may be given as keywords. `timeout` is
    the seconds that each call may take (30 unless set), or a duration as the option has it (`"5s"`). Connections with the
    same string and options share one pool, which is closed behind the last of them, and opens as many as are asked for
    unless `pool_max_conns` says otherwise.

    A password that the server has refused is not sent again for a minute: the error is given at once.
    """
    if isinstance(timeout, str):
        options["timeout"], timeout = timeout, None
    if "pool_max_conns" not in url:
        options.setdefault("pool_max_conns", 1000)
    key = (os.getpid(), url, *sorted((name, str(value)) for name, value in options.items()))
    with _pools_lock:
        now = time.monotonic()
        for old in [old for old, (until, _) in _refused.items() if until < now]:
            del _refused[old]
        pool = _pools.get(key)
        if pool is None:
            _pools[key] = pool = Pool(url, **options)  # type: ignore[arg-type]
    try:
        return Connection(
            pool,
            autocommit=autocommit,
            transaction_mode=transaction_mode,
            timeout=timeout,
            row_factory=row_factory,
        )
    except OperationalError as error:
        if error.kind == "authentication":
            with _pools_lock:
                _refused.setdefault(key, (time.monotonic() + _REFUSED_FOR, pool))
        raise
