"""Functions of the caller that the library calls, and how long they are kept."""

from __future__ import annotations

import errno
import itertools
import logging
import socket
import sys
from collections.abc import Callable, Sequence
from ctypes import c_void_p
from typing import Any, NamedTuple, Optional

from quorate import _declarations as c
from quorate._errors import invoke
from quorate._library import library, seconds_of, text_at, text_of



class Event(NamedTuple):
    """What a pool has noticed about its cluster. Texts that do not belong to the kind are empty."""

    kind: str
    """`leader`, `nodes` (dqlite); `instance_came`, `instance_went`, `instance_moved`, `instance_state`, `instance_role`
    (Picodata)."""
    nodes: int
    """How many nodes there are now."""
    address: str
    name: str
    uuid: str
    replicaset: str
    tier: str
    state: str
    """`Online`, `Offline`, `Expelled`."""
    before: str
    """The address or the state until now."""
    is_master: bool
    is_leader: bool


class Candidate(NamedTuple):
    """An instance that a call may go to, and how it does at the moment."""

    address: str
    name: str
    uuid: str
    replicaset: str
    tier: str
    latency: float | None
    """A moving average of the seconds that it takes to answer; None if it was never asked."""
    in_use: int
    """How many connections of this pool to it are in use."""
    max_conns: int
    is_master: bool
    is_leader: bool


EventFunction = Callable[[Event], object]
BalanceFunction = Callable[[Sequence[Candidate]], int]
LogFunction = Callable[[int, str], object]
DialFunction = Callable[[str, Optional[float]], socket.socket]

_LEVELS = {
    c.LOG_LEVEL_ERROR: logging.ERROR,
    c.LOG_LEVEL_WARN: logging.WARNING,
    c.LOG_LEVEL_INFO: logging.INFO,
    c.LOG_LEVEL_DEBUG: logging.DEBUG,
}
_KINDS = {
    value: name.removeprefix("EVENT_KIND_").lower() for name, value in vars(c).items() if name.startswith("EVENT_KIND_")
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
    invoke(setter, config, function, number, _destroy)


def set_log(config: c_void_p, log: LogFunction) -> None:
    """Tells a configuration whom to tell what the library does."""

    def call(_: int, level: int, message: int, length: int) -> None:
        _guarded(log, _LEVELS.get(level, logging.DEBUG), text_at(message, length))

    _give(config, library.quorate_config_set_log, c.LogFn(call))


def set_event(config: c_void_p, event: EventFunction) -> None:
    """Tells a configuration whom to tell of changes of the cluster."""

    def call(_: int, told: Any) -> None:
        one = told.contents
        texts = {name: text_of(getattr(one, name)) for name in ("address", "name", "uuid", "replicaset", "tier", "state", "before")}
        kind = _KINDS.get(one.kind, str(one.kind))
        _guarded(event, Event(kind, one.count, is_master=one.is_master, is_leader=one.is_leader, **texts))

    _give(config, library.quorate_config_set_event, c.EventFn(call))


def set_balance(config: c_void_p, balance: BalanceFunction) -> None:
    """Tells a configuration who chooses among the instances."""

    def call(_: int, candidates: Any, length: int) -> int:
        try:
            return balance([_candidate(candidates[index]) for index in range(length)])
        except Exception as error:  # noqa: BLE001
            _report(error, balance)
            return 0

    _give(config, library.quorate_config_set_balance, c.BalanceFn(call))


def _candidate(one: Any) -> Candidate:
    texts = {name: text_of(getattr(one, name)) for name in ("address", "name", "uuid", "replicaset", "tier")}
    return Candidate(
        latency=seconds_of(one.latency_us),
        in_use=one.in_use,
        max_conns=one.max_conns,
        is_master=one.is_master,
        is_leader=one.is_leader,
        **texts,
    )



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
