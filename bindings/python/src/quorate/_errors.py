"""The exceptions of PEP 249, and how they are made from the library's errors."""

from __future__ import annotations

import ctypes
import dataclasses
import enum
from ctypes import byref, c_int32, c_size_t, c_void_p
from typing import Any

from quorate import _declarations as c
from quorate._library import library, text_at


class Outcome(enum.IntEnum):
    """What became of the statement that failed."""

    NOT_SENT = c.OUTCOME_NOT_SENT
    """It never left this process whole: no server can have run it."""
    REJECTED = c.OUTCOME_REJECTED
    """A server answered that it did not apply it."""
    UNKNOWN = c.OUTCOME_UNKNOWN
    """It may or may not have been applied: running it again may apply it twice."""

    def __str__(self) -> str:
        """The outcome in words, as the messages of errors have it."""
        return self.name.lower().replace("_", " ")


class Warning(Exception):  # noqa: A001 (the name is PEP 249's)
    """Never raised; PEP 249 wants it."""


@dataclasses.dataclass(frozen=True)
class Diagnostic:
    """What the server says of its error, field by field, under psycopg's names; None where it does not say it.

    PostgreSQL has them all. Picodata sends the severity, the SQLSTATE and the message, of which `message_primary` is the
    innermost sentence and `message_detail` the whole; dqlite the message alone.
    """

    severity: str | None = None
    """`ERROR`, `FATAL` or `PANIC`, which is not translated."""
    sqlstate: str | None = None
    message_primary: str | None = None
    """The message, without what the text of the error puts before it."""
    message_detail: str | None = None
    """It may name values of rows."""
    message_hint: str | None = None
    statement_position: str | None = None
    """Where in the statement the error is: the number of a character, counted from 1, of the text that was executed."""
    internal_position: str | None = None
    """Where in `internal_query` the error is, counted alike."""
    internal_query: str | None = None
    """A statement that the server has run by itself, such as one of a function. It may hold values of rows."""
    context: str | None = None
    """What the server was doing, the innermost first, one a line."""
    schema_name: str | None = None
    table_name: str | None = None
    column_name: str | None = None
    datatype_name: str | None = None
    constraint_name: str | None = None
    """The constraint that refused the statement; a unique index is one too."""
    source_file: str | None = None
    source_line: str | None = None
    source_function: str | None = None

    @property
    def severity_nonlocalized(self) -> str | None:
        """The severity."""
        return self.severity


_FIELDS = {
    "severity": c.FIELD_SEVERITY,
    "statement_position": c.FIELD_POSITION,
    "internal_position": c.FIELD_INTERNAL_POSITION,
    "internal_query": c.FIELD_INTERNAL_QUERY,
    "context": c.FIELD_WHERE,
    "schema_name": c.FIELD_SCHEMA,
    "table_name": c.FIELD_TABLE,
    "column_name": c.FIELD_COLUMN,
    "datatype_name": c.FIELD_DATA_TYPE,
    "constraint_name": c.FIELD_CONSTRAINT,
    "source_file": c.FIELD_FILE,
    "source_line": c.FIELD_LINE,
    "source_function": c.FIELD_ROUTINE,
}


class Error(Exception):
    """The base of all errors of this package.

    Besides its text, an error that comes from the library has attributes; one that this package raises by itself has
    their defaults.
    """

    kind: str = "misuse"
    """What went wrong, in a word of the C interface's statuses: `busy`, `timeout`, `no_leader`, `constraint`, …"""
    outcome: Outcome = Outcome.NOT_SENT
    """What became of the statement."""
    is_retryable: bool = False
    """Whether the same call may be made again: nothing was applied, and the reason is one that passes."""
    code: int | None = None
    """The server's own number for the error (dqlite: SQLite's extended result code)."""
    sqlstate: str | None = None
    """The five characters of the SQLSTATE, where the server has sent one."""
    diag: Diagnostic = Diagnostic()
    """What the server says of the error, field by field: the constraint, the table, the place in the statement."""
    node: str | None = None
    """The address of the node that was asked."""
    causes: list[tuple[str, Error]]
    """What each node answered, where several were asked."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        self.causes = []


class InterfaceError(Error):
    """The connection or the pool was closed, or belongs to the parent of this process."""


class DatabaseError(Error):
    """An error of the database, and the base of those that follow."""


class DataError(DatabaseError):
    """A value does not fit its type."""


class OperationalError(DatabaseError):
    """Not the program's fault: no leader, a broken connection, a lock, a deadline that passed."""


class IntegrityError(DatabaseError):
    """A constraint of a table refused the statement."""


class InternalError(DatabaseError):
    """A defect of the library, or of the server."""


class ProgrammingError(DatabaseError):
    """The statement or the call is wrong: a missing table, a syntax error, a wrong number of parameters."""


class NotSupportedError(DatabaseError):
    """The server does not offer what was asked for."""


KINDS = {value: name.removeprefix("STATUS_").lower() for name, value in vars(c).items() if name.startswith("STATUS_")}

_BY_STATUS: dict[int, type[Error]] = {
    c.STATUS_CONFIG: ProgrammingError,
    c.STATUS_MISUSE: ProgrammingError,
    # Without a code of the server's.
    c.STATUS_DATABASE: DatabaseError,
    c.STATUS_CONVERSION: DataError,
    c.STATUS_NO_ROWS: DataError,
    c.STATUS_CLOSED: InterfaceError,
    c.STATUS_CONSTRAINT: IntegrityError,
    c.STATUS_UNSUPPORTED: NotSupportedError,
    c.STATUS_FORKED: InterfaceError,
    c.STATUS_INTERNAL: InternalError,
    c.STATUS_NULL_POINTER: InternalError,
    c.STATUS_BUFFER_TOO_SMALL: InternalError,
    c.STATUS_PROTOCOL: InternalError,
}
# The classes of SQLSTATE (PostgreSQL's manual, appendix A). Picodata has XX000 for nearly everything.
_BY_SQLSTATE: dict[str, type[Error]] = {
    "0A": NotSupportedError,
    "22": DataError,
    "23": IntegrityError,
    "42": ProgrammingError,
    "XX": DatabaseError,
}
# SQLite's primary result codes (sqlite3.h): error, internal, corrupt, too big, mismatch, range, not a database.
_BY_SQLITE_CODE: dict[int, type[Error]] = {
    1: ProgrammingError,
    2: InternalError,
    11: InternalError,
    18: DataError,
    20: DataError,
    25: ProgrammingError,
    26: InternalError,
}


def _class_of(status: int, code: int | None, sqlstate: str | None) -> type[Error]:
    if status == c.STATUS_DATABASE:
        if sqlstate is not None:
            return _BY_SQLSTATE.get(sqlstate[:2], OperationalError)
        if code is not None:
            return _BY_SQLITE_CODE.get(code & 0xFF, OperationalError)
    return _BY_STATUS.get(status, OperationalError)


def _read(error: int) -> Error:
    length = c_size_t()
    number = c_int32()
    status = library.quorate_error_status(error)
    code = number.value if library.quorate_error_code(error, byref(number)) else None

    def read(address: int | None) -> str | None:
        return text_at(address, length.value) if address else None

    sqlstate = read(library.quorate_error_sqlstate(error, byref(length)))
    text = library.quorate_error_text(error, byref(length))
    made = _class_of(status, code, sqlstate)(text_at(text, length.value))
    made.kind = KINDS.get(status, str(status))
    number_of_outcome = library.quorate_error_outcome(error)
    made.outcome = Outcome(number_of_outcome) if number_of_outcome in (0, 1) else Outcome.UNKNOWN
    made.is_retryable = library.quorate_error_is_retryable(error)
    made.code = code
    made.sqlstate = sqlstate
    fields: dict[str, str | None] = {}
    if sqlstate is not None:
        for name, field in _FIELDS.items():
            fields[name] = read(library.quorate_error_field(error, field, byref(length)))
    made.diag = Diagnostic(
        sqlstate=sqlstate,
        message_primary=read(library.quorate_error_message(error, byref(length))),
        message_detail=read(library.quorate_error_detail(error, byref(length))),
        message_hint=read(library.quorate_error_hint(error, byref(length))),
        **fields,
    )
    made.node = read(library.quorate_error_node(error, byref(length)))
    for index in range(library.quorate_error_causes(error)):
        place = text_at(library.quorate_error_cause_node(error, index, byref(length)), length.value)
        made.causes.append((place, _read(library.quorate_error_cause(error, index))))
    return made


def take(error: c_void_p, status: int) -> Error:
    """Makes an exception of the library's error, and frees that."""
    if not error:
        made = _BY_STATUS.get(status, OperationalError)(KINDS.get(status, f"status {status}"))
        made.kind = KINDS.get(status, str(status))
        return made
    try:
        return _read(error.value or 0)
    finally:
        library.quorate_error_free(error)


def check(status: int, error: c_void_p) -> None:
    """Raises what went wrong, unless nothing did."""
    if status:
        raise take(error, status)


def invoke(function: Any, *arguments: Any) -> None:
    """Calls a function of the library, of which the last argument is the place for an error, and raises that."""
    error = c_void_p()
    check(function(*arguments, byref(error)), error)


