"""Values of rows, many at once, as Python's values."""

from __future__ import annotations

import datetime
import decimal
import json
import struct
import uuid
from collections.abc import Callable
from ctypes import addressof, c_char, cast, sizeof
from typing import Any, Union

from quorate import _declarations as c
from quorate._errors import DataError

_UTC_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_EPOCH_DAY = datetime.date(1970, 1, 1).toordinal()
# Words of eight bytes in a value, and the one that its data begins with.
_WORDS = sizeof(c.Value) // 8
_DATA = c.Value.data.offset // 8
# A sub-interpreter that imports ctypes has that forget the pointer types it has made, and make others from then on.
_POINTER: Any = next(kind for name, kind, *_ in c.ValueBuffer._fields_ if name == "values")


class Buffer:
    """Room for rows: their values, and the texts and bytes among them. One thread at a time uses it."""

    def __init__(self) -> None:
        self.values = 0
        self.size = 0
        self.resize(256, 1 << 14)

    def resize(self, values: int, size: int) -> None:
        """Makes room for at least so many values and bytes."""
        if values > self.values:
            self.values = values
            self._memory = (c.Value * values)()
            raw = memoryview(self._memory).cast("B")
            self._kinds = raw.cast("i")
            self._integers = raw.cast("q")
            self._reals = raw.cast("d")
            self._raw = raw
        if size > self.size:
            self.size = size
            self._bytes: Any = (c_char * size)()
        self.struct = c.ValueBuffer(
            values=cast(self._memory, _POINTER), bytes=addressof(self._bytes), bytes_capacity=self.size
        )

    def rows(self, rows: int, columns: int) -> list[tuple[Any, ...]]:
        """The values of so many rows that lie in the buffer."""
        if rows == 0:
            return []
        texts = _Texts(addressof(self._bytes), self._bytes[: self.struct.bytes_used])
        return list(zip(*[self._column(index, rows, columns, texts) for index in range(columns)]))

    def _column(self, index: int, rows: int, columns: int, texts: _Texts) -> list[Any]:
        end, step = rows * columns * _WORDS, columns * _WORDS
        kinds = self._kinds[2 * index * _WORDS : 2 * end : 2 * step].tolist()
        first = index * _WORDS + _DATA
        kind = kinds[0]
        if kinds.count(kind) == rows:
            if kind == c.TYPE_INT64:
                return self._integers[first:end:step].tolist()
            if kind == c.TYPE_DOUBLE:
                return self._reals[first:end:step].tolist()
            if kind == c.TYPE_NULL:
                return [None] * rows
        words = self._integers[first:end:step].tolist()
        more = self._integers[first + 1 : end : step].tolist()
        if kind == c.TYPE_TEXT and kinds.count(kind) == rows:
            return texts.strings(words, more)
        try:
            return [_VALUE[kind](word, other, texts) for kind, word, other in zip(kinds, words, more)]
        except (OverflowError, ValueError, decimal.InvalidOperation) as error:
            raise DataError(f"a value of column {index} is none of Python's: {error}") from error


class _Texts:
    """The bytes that texts lie in, and the address that they began at."""

    def __init__(self, address: int, data: bytes) -> None:
        self.address = address
        self.data = data
        # Cutting one text is twice as quick as decoding many; where all is ASCII, both have the same places.
        self.text: Union[str, None] = data.decode("ascii") if data.isascii() else None

    def blob(self, address: int, length: int) -> bytes:
        start = address - self.address
        return self.data[start : start + length]

    def string(self, address: int, length: int) -> str:
        start = address - self.address
        if self.text is not None:
            return self.text[start : start + length]
        return self.data[start : start + length].decode()

    def strings(self, addresses: list[int], lengths: list[int]) -> list[str]:
        base, text, data = self.address, self.text, self.data
        if text is not None:
            return [text[start - base : start - base + length] for start, length in zip(addresses, lengths)]
        return [data[start - base : start - base + length].decode() for start, length in zip(addresses, lengths)]


def _timestamp(seconds: int, packed: int, _: _Texts) -> datetime.datetime:
    nanoseconds, offset = packed & 0xFFFFFFFF, packed >> 32
    moment = _UTC_EPOCH + datetime.timedelta(seconds=seconds, microseconds=nanoseconds // 1000)
    return moment.astimezone(datetime.timezone(datetime.timedelta(seconds=offset))) if offset else moment


def _uuid(first: int, second: int, _: _Texts) -> uuid.UUID:
    return uuid.UUID(bytes=struct.pack("=qq", first, second))


def _real(word: int, _: int, __: _Texts) -> float:
    real: float = struct.unpack("=d", struct.pack("=q", word))[0]
    return real


# The types of Python for those of the library, where there is no value to tell them.
TYPES: dict[int, type] = {
    c.TYPE_BOOL: bool,
    c.TYPE_INT64: int,
    c.TYPE_DOUBLE: float,
    c.TYPE_TEXT: str,
    c.TYPE_BLOB: bytes,
    c.TYPE_TIMESTAMP: datetime.datetime,
    c.TYPE_DATE: datetime.date,
    c.TYPE_UUID: uuid.UUID,
    c.TYPE_DECIMAL: decimal.Decimal,
    c.TYPE_JSON: dict,
}

_VALUE: dict[int, Callable[[int, int, _Texts], Any]] = {
    c.TYPE_NULL: lambda word, more, texts: None,
    c.TYPE_BOOL: lambda word, more, texts: word != 0,
    c.TYPE_INT64: lambda word, more, texts: word,
    c.TYPE_DOUBLE: _real,
    c.TYPE_TEXT: lambda word, more, texts: texts.string(word, more),
    c.TYPE_BLOB: lambda word, more, texts: texts.blob(word, more),
    c.TYPE_TIMESTAMP: _timestamp,
    c.TYPE_DATE: lambda word, more, texts: datetime.date.fromordinal(word + _EPOCH_DAY),
    c.TYPE_UUID: _uuid,
    c.TYPE_DECIMAL: lambda word, more, texts: decimal.Decimal(texts.string(word, more)),
    c.TYPE_JSON: lambda word, more, texts: json.loads(texts.string(word, more)),
}
