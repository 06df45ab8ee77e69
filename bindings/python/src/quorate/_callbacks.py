"""Functions of the caller that the library calls, and how long they are kept."""

from __future__ import annotations

import errno
import itertools
import logging
import socket
import sys
from collections.abc import Callable
from ctypes import byref, c_void_p
from typing import Any, Optional, Union

from quorate import _declarations as c
from quorate._errors import check
from quorate._library import library, text_at

EventFunction = Callable[[str, Union[str, int]], object]
LogFunction = Callable[[int, str], object]
DialFunction = Callable[[str, Optional[float]], socket.socket]

_LEVELS = {
    c.LOG_LEVEL_ERROR: logging.ERROR,
    c.LOG_LEVEL_WARN: logging.WARNING,
    c.LOG_LEVEL_INFO: logging.INFO,
    c.LOG_LEVEL_DEBUG: logging.DEBUG,
}
# What the library may still call, by the number that it is given as user data.
_kept: dict[int, Any] = {}
_numbers = itertools.count(1)


def _forget(number: int) -> None:
    _kept.pop(number, None)


_destroy = c.DestroyFn(_forget)


def _guarded(function: Callable[..., object], *arguments: object) -> None:
    """Calls a function that must not let an error out: it is reported as Python reports those of finalizers."""
    try:
        function(*arguments)
    except Exception as error:  # noqa: BLE001
        _report(error, function)


def _report(error: BaseException, function: object) -> None:
    sys.unraisablehook(_Unraisable(error, function))  # type: ignore[arg-type]


class _Unraisable:
    def __init__(self, error: BaseException, function: object) -> None:
        self.exc_type = type(error)
        self.exc_value = error
        self.exc_traceback = error.__traceback__
        self.err_msg = "Exception ignored in a function that was given to quorate"
        self.object = function


def _give(config: c_void_p, setter: Any, function: Any) -> None:
    number = next(_numbers)
    _kept[number] = function
    error = c_void_p()
    check(setter(config, function, number, _destroy, byref(error)), error)


def set_log(config: c_void_p, log: LogFunction) -> None:
    """Tells a configuration whom to tell what the library does."""

    def call(_: int, level: int, message: int, length: int) -> None:
        _guarded(log, _LEVELS.get(level, logging.DEBUG), text_at(message, length))

    _give(config, library.quorate_config_set_log, c.LogFn(call))


def set_event(config: c_void_p, event: EventFunction) -> None:
    """Tells a configuration whom to tell of changes of the cluster."""

    def call(_: int, kind: int, text: int, length: int, number: int) -> None:
        if kind == c.EVENT_LEADER:
            _guarded(event, "leader", text_at(text, length))
        elif kind == c.EVENT_NODES:
            _guarded(event, "nodes", number)

    _give(config, library.quorate_config_set_event, c.EventFn(call))


def set_dial(config: c_void_p, dial: DialFunction) -> None:
    """Tells a configuration who makes its connections."""

    def call(_: int, address: int, length: int, timeout: int) -> int:
        try:
            seconds = None if timeout == c.TIMEOUT_NONE else timeout / 1000
            return dial(text_at(address, length), seconds).detach()
        except OSError as error:
            return -(error.errno or errno.ETIMEDOUT)
        except Exception as error:  # noqa: BLE001
            _report(error, dial)
            return -errno.ECONNABORTED

    _give(config, library.quorate_config_set_dial, c.DialFn(call))
