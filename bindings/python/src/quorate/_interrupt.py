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
from types import TracebackType
from typing import Any

from quorate import _declarations as c
from quorate._errors import ProgrammingError, invoke, take
from quorate._library import library
from quorate._owner import CancelHandle

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


def _asking_handle() -> CancelHandle:
    handle = CancelHandle()
    invoke(library.quorate_cancel_new_interrupt, _ask, None, _no_destroy, byref(handle))
    return handle


class _Main:
    """The handle that calls of the main thread carry, made anew after it was fired."""

    def __init__(self) -> None:
        self.thread = threading.main_thread().ident
        self.renew()

    def renew(self) -> None:
        self.handle = _asking_handle()


_main = _Main()


def _after_fork() -> None:
    global _main
    # The thread that forked is the main one now.
    _main = _Main()


os.register_at_fork(after_in_child=_after_fork)


def cancel_handle() -> c_void_p | None:
    """What a call of this thread is to carry."""
    return _main.handle if threading.get_ident() == _main.thread else None


class Turn:
    """Lets one thread at a time into a connection, and any thread end the call that it makes there. May be entered again by the
    thread that is inside."""

    def __init__(self) -> None:
        self.busy = threading.Lock()
        """Held by the thread inside."""
        self._owner: int | None = None
        self._depth = 0
        # A signal handler may come while its thread has the lock, and cancel.
        self._lock = threading.RLock()
        # That of the main thread asks, and that of all others does not.
        self._handles: dict[bool, CancelHandle] = {}
        self._fired = False
        self.handle: CancelHandle | None = None
        """What a call of the thread inside is to carry."""

    def __enter__(self) -> None:
        thread = threading.get_ident()
        if self._owner == thread:
            self._depth += 1
            return
        if not self.busy.acquire(blocking=False):
            raise ProgrammingError(
                "the connection is used from two threads at once; give each thread a connection of its own (Pool.connection)"
            )
        try:
            main = thread == _main.thread
            self.handle = self._handles.get(main)
            if self.handle is None:
                self.handle = self._handles[main] = _asking_handle() if main else _plain_handle()
        except BaseException:
            self.busy.release()
            raise
        self._owner, self._depth = thread, 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._depth -= 1
        if self._depth:
            return
        late = kind is None and _raised and self._owner == _main.thread
        with self._lock:
            self._owner = None
            if self._fired or late or kind is not None:
                # A handle that was fired stays so. Ctrl-C may have fired it as well.
                self._fired = False
                self._handles.clear()
        self.busy.release()
        if late:
            # The answer was there when the handler raised.
            raised = _raised.pop()
            _raised.clear()
            raise raised

    def cancel(self) -> None:
        """Ends the call of the thread inside. Does nothing while none is."""
        with self._lock:
            if self._owner is not None:
                self._fired = True
                # Rows are under the handle that their query carried, whoever fetches them.
                for handle in list(self._handles.values()):
                    invoke(library.quorate_cancel_fire, handle)


def _plain_handle() -> CancelHandle:
    handle = CancelHandle()
    invoke(library.quorate_cancel_new, byref(handle))
    return handle


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
