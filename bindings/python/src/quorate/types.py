"""The type objects and constructors of PEP 249."""

from __future__ import annotations

import datetime
import decimal
import uuid

Date = datetime.date
Time = datetime.time
Timestamp = datetime.datetime
Binary = bytes


def DateFromTicks(ticks: float) -> datetime.date:  # noqa: N802 (PEP 249's name)
    """The local day of so many seconds since 1970."""
    return datetime.date.fromtimestamp(ticks)


def TimeFromTicks(ticks: float) -> datetime.time:  # noqa: N802
    """The local time of day of so many seconds since 1970."""
    return datetime.datetime.fromtimestamp(ticks).time()


def TimestampFromTicks(ticks: float) -> datetime.datetime:  # noqa: N802
    """The local time of so many seconds since 1970."""
    return datetime.datetime.fromtimestamp(ticks).astimezone()


class TypeObject:
    """Equal to the types of Python that values of a column may have."""

    def __init__(self, name: str, *types: type) -> None:
        self.name = name
        self.types = frozenset(types)

    def __eq__(self, other: object) -> bool:
        return other in self.types if isinstance(other, type) else self is other

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return self.name


STRING = TypeObject("STRING", str, uuid.UUID, dict, list)
BINARY = TypeObject("BINARY", bytes)
NUMBER = TypeObject("NUMBER", bool, int, float, decimal.Decimal)
DATETIME = TypeObject("DATETIME", datetime.datetime, datetime.date)
ROWID = TypeObject("ROWID", int)
