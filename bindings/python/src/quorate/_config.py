"""Configurations: a connection string, options beside it, and functions of the program's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ctypes import byref, c_void_p

from quorate._callbacks import DialFunction, LogFunction, set_dial, set_log
from quorate._errors import invoke
from quorate._library import library
from quorate._owner import ConfigHandle


@contextmanager
def configured(
    url: str, options: Mapping[str, object], log: LogFunction | None, dial: DialFunction | None
) -> Iterator[ConfigHandle]:
    """A configuration, as long as something is opened with it."""
    config, text = ConfigHandle(), url.encode()
    invoke(library.quorate_config_new, text, len(text), byref(config))
    try:
        for name, value in options.items():
            set_option(config, name, value)
        if log is not None:
            set_log(config, log)
        if dial is not None:
            set_dial(config, dial)
        yield config
    finally:
        config.free()


def set_option(config: c_void_p, name: str, value: object) -> None:
    """Sets an option of a configuration; truth values and numbers as the library writes them."""
    if isinstance(value, bool):
        value = "true" if value else "false"
    elif isinstance(value, float):
        value = f"{round(value * 1000)}ms"
    option, text = name.encode(), str(value).encode()
    invoke(library.quorate_config_set, config, option, len(option), text, len(text))
