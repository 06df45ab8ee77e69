"""The rows of one statement, fetched many at a time."""

from __future__ import annotations

from ctypes import byref, c_bool, c_int32, c_size_t, c_void_p
from typing import Any

from quorate import _declarations as c
from quorate._decode import Buffer
from quorate._errors import invoke, take
from quorate._interrupt import check_call
from quorate._library import library, text_at
from quorate._owner import RowsHandle

# The most rows, and the most values, that one foreign call fetches.
MAX_ROWS = 4096
MAX_VALUES = 1 << 15


class Reader:
    """Owns the library's handle on rows, and lets go of it when the last row was read."""

    def __init__(self, handle: RowsHandle, buffer: Buffer) -> None:
        self._handle: RowsHandle | None = handle
        self._buffer = buffer
        self.columns: int = library.quorate_rows_columns(handle)
        self._names: tuple[str, ...] | None = None
        self._is_empty = True
        # The numbers of the columns' types, where there is no value to tell them.
        self.declared: tuple[int, ...] | None = None
        self.done = False
        self.result = c.Result()
        if self.columns == 0:
            invoke(library.quorate_rows_result, handle, byref(self.result))
            self._names = ()
            # A statement without rows has been run; nothing is left to be told.
            self.done = True
            self.free()

    @property
    def names(self) -> tuple[str, ...]:
        """What the columns are called."""
        if self._names is None:
            length = c_size_t()
            self._names = tuple(
                text_at(library.quorate_rows_column_name(self._handle, index, byref(length)), length.value)
                for index in range(self.columns)
            )
        return self._names

    def fetch(self, rows: int) -> list[tuple[Any, ...]]:
        """Up to so many rows, and none only where there are no more."""
        if self.done:
            return []
        buffer = self._buffer
        rows = max(1, min(rows, MAX_ROWS, MAX_VALUES // self.columns))
        buffer.resize(rows * self.columns, 0)
        fetched, done, error = c_size_t(), c_bool(), c_void_p()
        while True:
            status = library.quorate_rows_fetch_values(
                self._handle, rows, byref(buffer.struct), byref(fetched), byref(done), byref(error)
            )
            if status == c.STATUS_BUFFER_TOO_SMALL:
                take(error, status)
                buffer.resize(0, 2 * buffer.struct.bytes_needed)
                continue
            if status:
                self.done = True
                self.free()
                check_call(status, error)
            break
        found = buffer.rows(fetched.value, self.columns)
        if found:
            self._is_empty = False
        if done.value:
            self.end()
        elif rows >= MAX_ROWS // 4 and len(found) < rows:
            # Texts filled their part before the rows did theirs.
            buffer.resize(0, min(2 * buffer.size, 1 << 22))
        return found

    def end(self) -> None:
        """Lets go of rows that were read to their end."""
        self.done = True
        self.names  # noqa: B018 (the names are in the handle)
        if self._is_empty:
            self.declared = self._declared()
        self.free()

    def _declared(self) -> tuple[int, ...]:
        kind = c_int32()
        found = []
        for column in range(self.columns):
            invoke(library.quorate_rows_column_type, self._handle, column, byref(kind))
            found.append(kind.value)
        return tuple(found)

    def close(self) -> None:
        """Ends the reading early, and raises what the server says about it."""
        if self._handle is None:
            return
        self.done = True
        error = c_void_p()
        status = library.quorate_rows_close(self._handle, byref(error))
        self.names  # noqa: B018
        self.free()
        check_call(status, error)

    def take_handle(self) -> RowsHandle:
        """Gives the handle away; the reader is at its end then."""
        handle = self._handle
        assert handle is not None
        self.names  # noqa: B018
        self._handle, self.done = None, True
        return handle

    def free(self) -> None:
        """Frees the handle."""
        handle, self._handle = self._handle, None
        if handle is not None:
            handle.free()
