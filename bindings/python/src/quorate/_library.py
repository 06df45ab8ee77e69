"""Finds the shared library, loads it, and tells ctypes of its functions.

ctypes lets go of the interpreter's lock for the time of every call made through `library`.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any

from quorate._declarations import FUNCTIONS, VERSION_MAJOR, VERSION_MINOR

NAME = "libquorate.so"


def _path() -> str:
    named = os.environ.get("QUORATE_LIBRARY")
    if named:
        return named
    beside = Path(__file__).with_name(NAME)
    # Where the package came without it, the system's own is looked for.
    return str(beside) if beside.exists() else NAME


def _load(path: str) -> Any:
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
