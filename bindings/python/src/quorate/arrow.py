"""Rows as Arrow: the stream that pyarrow, pandas, polars and others read without copying by cell.

The stream is made in the library, handed over in a capsule as the Arrow PyCapsule interface has it
(https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html), and read by whoever takes it.
"""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Mapping
from ctypes import CFUNCTYPE, PYFUNCTYPE, byref, c_char_p, c_void_p, py_object
from typing import Any

from quorate import _declarations as c
from quorate._errors import ProgrammingError
from quorate._interrupt import check_call
from quorate._library import library
from quorate._rows import Reader

_NAME = b"arrow_array_stream"
_Release = CFUNCTYPE(None, c_void_p)
_Destructor = PYFUNCTYPE(None, c_void_p)


class _Stream(ctypes.Structure):
    """`struct ArrowArrayStream` of https://arrow.apache.org/docs/format/CStreamInterface.html."""

    _fields_ = [
        ("get_schema", c_void_p),
        ("get_next", c_void_p),
        ("get_last_error", c_void_p),
        ("release", c_void_p),
        ("private_data", c_void_p),
    ]


_make_capsule = PYFUNCTYPE(py_object, c_void_p, c_char_p, c_void_p)(("PyCapsule_New", ctypes.pythonapi))
# The address of a capsule that is going, which must not be given another reference.
_pointer = PYFUNCTYPE(c_void_p, c_void_p, c_char_p)(("PyCapsule_GetPointer", ctypes.pythonapi))
# Streams that capsules point to, by their addresses.
_streams: dict[int, _Stream] = {}


def _destroy(capsule: int) -> None:
    stream = _streams.pop(_pointer(capsule, _NAME))
    # Whoever has taken the stream over has set its `release` to NULL.
    if stream.release:
        _Release(stream.release)(ctypes.addressof(stream))


_destructor = _Destructor(_destroy)

TYPES = {
    "bool": c.TYPE_BOOL,
    "int64": c.TYPE_INT64,
    "double": c.TYPE_DOUBLE,
    "text": c.TYPE_TEXT,
    "blob": c.TYPE_BLOB,
    "timestamp": c.TYPE_TIMESTAMP,
    "date": c.TYPE_DATE,
    "uuid": c.TYPE_UUID,
    "decimal": c.TYPE_DECIMAL,
    "json": c.TYPE_JSON,
}


class ArrowRows:
    """What a cursor and the rows of a pool offer of Arrow."""

    arrow_batch_rows: int = 1 << 16
    """The most rows in one record batch."""
    arrow_types: Mapping[str, str] = {}
    """What columns are read as, by their names: `int64`, `double`, `text`, `blob`, `bool`, `timestamp`, `date`, `uuid`,
    `decimal` or `json`. The type of any other column is chosen by the values of the first batch."""

    def _take_reader(self) -> Reader:
        raise NotImplementedError

    def _inside(self) -> Any:
        raise NotImplementedError

    def __arrow_c_stream__(self, requested_schema: object = None) -> Any:
        """Gives the rows of the last statement, of which none was fetched yet, as a capsule with an Arrow stream.

        The stream is read under the timeout of the statement, by one thread at a time. It ends with an error where the
        connection is used for something else meanwhile, or where a value does not fit the type that its column had
        in the first batch (see `arrow_types`). A requested schema is not looked at, as the interface allows.
        """
        reader = self._take_reader()
        types = (ctypes.c_int32 * reader.columns)()
        for name, kind in self.arrow_types.items():
            if name not in reader.names:
                raise ProgrammingError(f"arrow_types has {name!r}, and the rows have no such column")
            if kind not in TYPES:
                raise ProgrammingError(f"the type of {name!r} is {kind!r}; it may be {', '.join(TYPES)}")
            types[reader.names.index(name)] = TYPES[kind]
        stream, error = _Stream(), c_void_p()
        with self._inside():
            handle = reader.take_handle()
            try:
                status = library.quorate_rows_export_arrow(
                    handle, self.arrow_batch_rows, types, reader.columns, byref(stream), byref(error)
                )
            finally:
                # The stream has taken the rows over.
                handle.free()
        check_call(status, error)
        address = ctypes.addressof(stream)
        _streams[address] = stream
        return _make_capsule(address, _NAME, ctypes.cast(_destructor, c_void_p))

    def fetch_arrow_table(self) -> Any:
        """All rows of the last statement as a `pyarrow.Table`. Needs pyarrow 14 or later."""
        pyarrow = importlib.import_module("pyarrow")
        return pyarrow.RecordBatchReader.from_stream(self).read_all()
