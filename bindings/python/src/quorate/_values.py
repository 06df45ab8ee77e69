"""Python's values as parameters of a statement."""

from __future__ import annotations

import datetime
import decimal
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Union

from quorate import _declarations as c
from quorate._errors import DataError, ProgrammingError

Parameters = Union[Sequence[Any], Mapping[str, Any], None]
"""By position, for `?`; or by name, for `:name`, where the database takes names (dqlite). None is no parameters."""

_EPOCH = datetime.datetime(1970, 1, 1)
_EPOCH_DAY = datetime.date(1970, 1, 1).toordinal()
_SECOND = datetime.timedelta(seconds=1)


class Json:
    """Marks a value to be sent as a JSON document; dicts and lists are without it."""

    def __init__(self, value: Any) -> None:
        self.value = value


def _put_none(slot: c.Value, value: None) -> None:
    slot.kind = c.TYPE_NULL


def _put_bool(slot: c.Value, value: bool) -> None:
    slot.kind = c.TYPE_BOOL
    slot.integer = value


def _put_int(slot: c.Value, value: int) -> None:
    if not -(2**63) <= value < 2**63:
        raise DataError(f"the integer {value} does not fit 64 bits")
    slot.kind = c.TYPE_INT64
    slot.integer = value


def _put_float(slot: c.Value, value: float) -> None:
    slot.kind = c.TYPE_DOUBLE
    slot.real = value


def _put_bytes(slot: c.Value, kind: int, value: bytes) -> None:
    slot.kind = kind
    # ctypes keeps the object alive as long as the slot.
    slot.pointer = value
    slot.length = len(value)


def _put_str(slot: c.Value, value: str) -> None:
    try:
        _put_bytes(slot, c.TYPE_TEXT, value.encode())
    except UnicodeEncodeError as error:
        raise DataError(f"the text cannot be sent as UTF-8: {error}") from None


def _put_blob(slot: c.Value, value: Any) -> None:
    _put_bytes(slot, c.TYPE_BLOB, bytes(value))


def _put_datetime(slot: c.Value, value: datetime.datetime) -> None:
    offset = value.utcoffset() or datetime.timedelta()
    since = value.replace(tzinfo=None) - offset - _EPOCH
    slot.kind = c.TYPE_TIMESTAMP
    slot.seconds = since // _SECOND
    slot.nanoseconds = since.microseconds * 1000
    slot.utc_offset = offset // _SECOND


def _put_date(slot: c.Value, value: datetime.date) -> None:
    slot.kind = c.TYPE_DATE
    slot.integer = value.toordinal() - _EPOCH_DAY


def _put_time(slot: c.Value, value: datetime.time) -> None:
    _put_str(slot, value.isoformat())


def _put_decimal(slot: c.Value, value: decimal.Decimal) -> None:
    _put_bytes(slot, c.TYPE_DECIMAL, format(value, "f").encode() if value.is_finite() else str(value).encode())


def _put_uuid(slot: c.Value, value: uuid.UUID) -> None:
    slot.kind = c.TYPE_UUID
    slot.uuid[:] = value.bytes


def _put_json(slot: c.Value, value: Any) -> None:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"the value cannot be sent as JSON: {error}") from error
    _put_bytes(slot, c.TYPE_JSON, text)


def _put_marked_json(slot: c.Value, value: Json) -> None:
    _put_json(slot, value.value)


_PUT: dict[type, Callable[[c.Value, Any], None]] = {
    type(None): _put_none,
    bool: _put_bool,
    int: _put_int,
    float: _put_float,
    str: _put_str,
    bytes: _put_blob,
    bytearray: _put_blob,
    memoryview: _put_blob,
    datetime.datetime: _put_datetime,
    datetime.date: _put_date,
    datetime.time: _put_time,
    decimal.Decimal: _put_decimal,
    uuid.UUID: _put_uuid,
    dict: _put_json,
    list: _put_json,
    Json: _put_marked_json,
}


def _find(value: Any) -> Callable[[c.Value, Any], None]:
    """The function for a value of a subclass, such as an enumeration of integers."""
    for kind in type(value).__mro__:
        if kind in _PUT:
            return _PUT[kind]
    raise ProgrammingError(f"a {type(value).__name__} cannot be sent as a parameter")


def encode(parameters: Parameters) -> Any:
    """The array for the library; its length is the number of parameters."""
    if parameters is None:
        parameters = ()
    if isinstance(parameters, Mapping):
        return _encode_named(parameters)
    if isinstance(parameters, (str, bytes)):
        raise ProgrammingError("the parameters are one text; put it into a tuple: (text,)")
    array = (c.Value * len(parameters))()
    for slot, value in zip(array, parameters):
        (_PUT.get(type(value)) or _find(value))(slot, value)
    return array


def _encode_named(parameters: Mapping[str, Any]) -> Any:
    array = (c.Value * len(parameters))()
    for slot, (name, value) in zip(array, parameters.items()):
        encoded = name.encode()
        slot.name = encoded
        slot.name_length = len(encoded)
        (_PUT.get(type(value)) or _find(value))(slot, value)
    return array
