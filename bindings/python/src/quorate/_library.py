"""Finds the shared library, loads it, and tells ctypes of its functions; and how texts and times are to it.

ctypes lets go of the interpreter's lock for the time of every call made through `library`.
"""

from __future__ import annotations

import ctypes
import math
import os
from pathlib import Path
from typing import Any

from quorate._declarations import FUNCTIONS, TIMEOUT_DEFAULT, TIMEOUT_NONE, VERSION_MAJOR, VERSION_MINOR, Bytes

NAME = "libquorate.so"


def _path() -> str:
    named = os.environ.get("QUORATE_LIBRARY")
    if named:
        return named
    beside = Path(__file__).with_name(NAME)
    # Where the package came without it, the system's own is looked for.
    return str(beside) if beside.exists() else NAME


def _load(path: str) -> Any:
    interpreter = ctypes.pythonapi.PyInterpreterState_Get
    interpreter.restype = ctypes.c_void_p
    number = ctypes.pythonapi.PyInterpreterState_GetID
    number.argtypes, number.restype = [ctypes.c_void_p], ctypes.c_int64
    if number(interpreter()) != 0:
        # Of the types and callbacks of ctypes, which all interpreters share, the second one would take the first's away.
        raise ImportError("quorate cannot be imported in a sub-interpreter; import it in the main one, or use processes")
    try:
        library = ctypes.CDLL(path)
    except OSError as error:
        raise ImportError(f"the library of quorate cannot be loaded: {error}") from error
    for name, (answer, arguments) in FUNCTIONS.items():
        try:
            function = getattr(library, name)
        except AttributeError:
            raise ImportError(f"{path} has no {name}: it is older than this package") from None
        function.restype = answer
        function.argtypes = arguments
    version = library.quorate_version()
    if version // 1_000_000 != VERSION_MAJOR or (VERSION_MAJOR == 0 and version // 1_000 != VERSION_MINOR):
        raise ImportError(f"{path} is version {version}, of another interface than this package")
    return library


library = _load(_path())


def text_at(address: int | None, length: int) -> str:
    """The text of `length` bytes at an address; bytes that are not UTF-8 are replaced."""
    return ctypes.string_at(address, length).decode("utf-8", "replace") if address else ""


def text_of(text: Bytes) -> str:
    """The text that a member of a structure points to."""
    # No NUL is behind it, so it must not be read as ctypes reads a char pointer.
    return text_at(ctypes.c_void_p.from_buffer(text).value, text.length)


def seconds_of(microseconds: int) -> float | None:
    """A latency as the library gives it; None where it was not measured."""
    return None if microseconds < 0 else microseconds / 1_000_000


def milliseconds(timeout: float | None) -> int:
    """A timeout in seconds as the library takes it, rounded up; None is the configured one, and infinity none."""
    if timeout is None:
        return TIMEOUT_DEFAULT
    # Of the numbers below zero one means the configured timeout.
    if not timeout >= 0:
        raise ValueError(f"the timeout is {timeout} seconds; it may be 0 and more, or None for the configured one")
    # What is longer than the library can count is without limit.
    return min(math.ceil(timeout * 1000), TIMEOUT_NONE) if timeout < TIMEOUT_NONE / 1000 else TIMEOUT_NONE
