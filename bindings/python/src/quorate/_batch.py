"""Statements that are sent to the server at once."""

from __future__ import annotations

from ctypes import byref

from quorate._closing import Closing
from quorate._errors import invoke
from quorate._library import library
from quorate._owner import BatchHandle
from quorate._values import Parameters, encode


class Batch(Closing):
    """Owns the library's batch until it is closed."""

    def __init__(self) -> None:
        self.handle = BatchHandle()
        invoke(library.quorate_batch_new, byref(self.handle))

    def queue(self, text: bytes, parameters: Parameters) -> None:
        """Adds a statement."""
        values = encode(parameters)
        invoke(library.quorate_batch_queue, self.handle, text, len(text), values, len(values))

    def __len__(self) -> int:
        count: int = library.quorate_batch_len(self.handle)
        return count

    def clear(self) -> None:
        """Takes all statements out."""
        invoke(library.quorate_batch_clear, self.handle)

    def close(self) -> None:
        """Frees the batch."""
        self.handle.free()
