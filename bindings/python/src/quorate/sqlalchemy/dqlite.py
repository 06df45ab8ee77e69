"""The dialect for dqlite: SQLAlchemy's for SQLite, over this driver.

Its name is `sqlite`, so that what is written for SQLite (`sqlalchemy.dialects.sqlite.insert`, `sqlite_autoincrement`,
variants of types) holds for dqlite.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any, Optional

from sqlalchemy import types as sqltypes
from sqlalchemy.dialects.sqlite import base
from sqlalchemy.engine import Dialect, default

from quorate.sqlalchemy.common import OverQuorate

Processor = Optional[Callable[[Any], Any]]


class _DateTime(base.DATETIME):
    """The driver gives a datetime with an offset for a column that is declared so, and a text for an expression."""

    def result_processor(self, dialect: Dialect, coltype: object) -> Processor:
        from_text: Any = super().result_processor(dialect, coltype)

        def process(value: Any) -> Any:
            if isinstance(value, datetime.datetime):
                return value.replace(tzinfo=None)
            return from_text(value)

        return process


class _Date(base.DATE):
    """A column declared DATE comes as a datetime at midnight."""

    def result_processor(self, dialect: Dialect, coltype: object) -> Processor:
        from_text: Any = super().result_processor(dialect, coltype)

        def process(value: Any) -> Any:
            return value.date() if isinstance(value, datetime.datetime) else from_text(value)

        return process


class DqliteDialect(OverQuorate, base.SQLiteDialect):
    """dqlite through quorate."""

    driver = "dqlite"
    supports_statement_cache = True
    # Servers before 1.15 do not replicate what a RETURNING writes, and the driver refuses it there.
    insert_returning = False
    update_returning = False
    delete_returning = False
    use_insertmanyvalues = False
    colspecs = {
        **base.SQLiteDialect.colspecs,
        sqltypes.DateTime: _DateTime,
        sqltypes.TIMESTAMP: _DateTime,
        sqltypes.Date: _Date,
    }

    def __init__(
        self,
        json_serializer: Callable[[Any], str] | None = None,
        json_deserializer: Callable[[str], Any] | None = None,
        **kwargs: Any,
    ) -> None:
        # SQLite's own constructor asks the module for the version of a library that is not in this process.
        default.DefaultDialect.__init__(self, **kwargs)
        self._json_serializer = json_serializer
        self._json_deserializer = json_deserializer
        self.native_datetime = False

    def _get_server_version_info(self, connection: Any) -> tuple[int, ...]:
        version = connection.exec_driver_sql("SELECT sqlite_version()").scalar()
        return tuple(int(part) for part in version.split("."))

    def get_isolation_level_values(self, dbapi_connection: Any) -> Any:
        return ["SERIALIZABLE", "AUTOCOMMIT"]

    def get_default_isolation_level(self, dbapi_conn: Any) -> Any:
        return "SERIALIZABLE"

    def get_isolation_level(self, dbapi_connection: Any) -> Any:
        return "AUTOCOMMIT" if dbapi_connection.autocommit else "SERIALIZABLE"

    def set_isolation_level(self, dbapi_connection: Any, level: Any) -> None:
        dbapi_connection.autocommit = level == "AUTOCOMMIT"

    def detect_autocommit_setting(self, dbapi_conn: Any) -> bool:
        autocommit: bool = dbapi_conn.autocommit
        return autocommit

    def do_ping(self, dbapi_connection: Any) -> bool:
        dbapi_connection.ping()
        return True

    def is_disconnect(self, e: Any, connection: Any, cursor: Any) -> bool:
        # Outside of a transaction the connection finds a new leader by itself.
        kind: str = getattr(e, "kind", "")
        return kind in ("disconnected", "closed", "not_leader", "forked", "protocol")


dialect = DqliteDialect
