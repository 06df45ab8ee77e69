"""Ctrl-C during a call.

Python runs its signal handlers on the main thread, between two steps of its own; a foreign call is one long step. So
calls of the main thread carry a cancel handle that asks, when a signal has interrupted the wait for the server and
every half a second, whether to go on. Asking runs the handlers, and what they raise ends the call. A call that is
answered at once never asks.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Generator
from ctypes import byref, c_void_p
from typing import Any

from quorate import _declarations as c
from quorate._errors import invoke, take
from quorate._library import library

_raised: list[BaseException] = []


def _asking() -> Generator[bool, object, None]:
    """Answers true, each time it is asked, if a signal handler raises something.

    A generator, because handlers run where Python code is entered: a function would raise before its `try` is
    reached, and a generator is entered again within it.
    """
    answer = False
    while True:
        try:
            while True:
                yield answer
                answer = False
        except GeneratorExit:
            return
        except BaseException as error:  # a handler may raise anything
            _raised.append(error)
            answer = True


_asker = _asking()
next(_asker)
# Both live as long as the process: a handle may be used until its end.
_ask = c.InterruptFn(_asker.send)
_no_destroy = c.DestroyFn()


class _Main:
    """The handle that calls of the main thread carry, made anew after it was fired."""

    def __init__(self) -> None:
        self.thread = threading.main_thread().ident
        self.handle = c_void_p()
        self.renew()

    def renew(self) -> None:
        old, self.handle = self.handle, c_void_p()
        invoke(library.quorate_cancel_new_interrupt, _ask, None, _no_destroy, byref(self.handle))
        library.quorate_cancel_free(old)


_main = _Main()


def _after_fork() -> None:
    global _main
    # The thread that forked is the main one now.
    _main = _Main()


os.register_at_fork(after_in_child=_after_fork)


def cancel_handle() -> c_void_p | None:
    """What a call of this thread is to carry."""
    return _main.handle if threading.get_ident() == _main.thread else None


def check_call(status: int, error: c_void_p) -> None:
    """Raises what a signal handler has raised during a call, or else what went wrong, unless nothing did."""
    if not status:
        return
    failure = take(error, status)
    if status == c.STATUS_CANCELLED and _raised and threading.get_ident() == _main.thread:
        raised = _raised.pop()
        _raised.clear()
        _main.renew()
        raise raised from failure
    raise failure


def invoke_interruptible(function: Any, *arguments: Any) -> None:
    """As `invoke`, of a function that blocks: what a signal handler has raised meanwhile goes before its error."""
    error = c_void_p()
    check_call(function(*arguments, byref(error)), error)
