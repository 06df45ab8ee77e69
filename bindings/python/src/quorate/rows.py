"""What a row is made as: row factories."""

from __future__ import annotations

import re
from collections import namedtuple
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

RowMaker = Callable[[tuple[Any, ...]], Any]
RowFactory = Callable[[Sequence[str]], RowMaker]
"""Is given the names of the columns, and gives the function that makes a row of its values."""


def tuple_row(columns: Sequence[str]) -> RowMaker:
    """Rows as tuples, the default."""
    return tuple


def dict_row(columns: Sequence[str]) -> RowMaker:
    """Rows as dicts from the column's name to its value; of several columns with one name the last counts."""
    names = tuple(columns)
    return lambda values: dict(zip(names, values))


@lru_cache(maxsize=128)
def _named(columns: tuple[str, ...]) -> Any:
    # What is no name in Python becomes `_` and what is allowed of it; repeated and empty ones, `_0`, `_1`, …
    row: Any = namedtuple("Row", [re.sub(r"\W", "_", name) for name in columns], rename=True)  # type: ignore[misc]
    return row._make


def named_row(columns: Sequence[str]) -> RowMaker:
    """Rows as named tuples. A column whose name Python does not take is called `_` and its position."""
    maker: RowMaker = _named(tuple(columns))
    return maker
