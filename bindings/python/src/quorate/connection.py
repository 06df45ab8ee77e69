"""The connection of PEP 249."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from contextlib import suppress
from ctypes import byref, c_bool, c_size_t, c_void_p
from types import TracebackType
from typing import TYPE_CHECKING, Any

import quorate._errors as errors
from quorate import _declarations as c
from quorate._decode import Buffer
from quorate._batch import Batch
from quorate._errors import InterfaceError, NotSupportedError, ProgrammingError, invoke
from quorate._interrupt import Turn, check_call, invoke_interruptible
from quorate._library import library, milliseconds, text_at
from quorate._owner import ConnectionHandle, Owner, ResultsHandle, RowsHandle, TransactionHandle
from quorate._rows import MAX_ROWS, Reader
from quorate._statements import may_end_transaction, wants_transaction
from quorate._values import Parameters
from quorate.cursor import Cursor
from quorate.rows import RowFactory, tuple_row

if TYPE_CHECKING:
    from quorate.pool import Pool

MODES = {
    "deferred": c.TRANSACTION_MODE_DEFERRED,
    "immediate": c.TRANSACTION_MODE_IMMEDIATE,
    "exclusive": c.TRANSACTION_MODE_EXCLUSIVE,
}


class Connection(Owner):
    """A connection out of a pool, until it is closed.

    One thread at a time may use it, with its cursors; a second one that comes while a call runs gets a
    ProgrammingError. It may be handed from thread to thread.

    Where the database has transactions (dqlite, PostgreSQL) and `autocommit` is false, the first statement that writes
    begins one, which holds until `commit` or `rollback`; reads before it and DDL run outside. Picodata has none: there
    `autocommit` is true, `commit` does nothing, and `rollback` raises NotSupportedError.

    Used as a context manager, it commits, or rolls back where an error leaves the block, and is closed.
    """

    # PEP 249 wants the exceptions on the connection as well.
    Warning = errors.Warning
    Error = errors.Error
    InterfaceError = errors.InterfaceError
    DatabaseError = errors.DatabaseError
    DataError = errors.DataError
    OperationalError = errors.OperationalError
    IntegrityError = errors.IntegrityError
    InternalError = errors.InternalError
    ProgrammingError = errors.ProgrammingError
    NotSupportedError = errors.NotSupportedError

    def __init__(
        self,
        pool: Pool,
        *,
        autocommit: bool = False,
        transaction_mode: str = "immediate",
        timeout: float | None = None,
        row_factory: RowFactory = tuple_row,
        acquire: Callable[[int], ConnectionHandle] | None = None,
    ) -> None:
        # `acquire` takes the library's connection out, within so many milliseconds; unless given, the pool does.
        self._handle: ConnectionHandle | None = None
        self._transaction: TransactionHandle | None = None
        if transaction_mode not in MODES:
            raise ProgrammingError(f"transaction_mode is {transaction_mode!r}; it may be {', '.join(MODES)}")
        self.pool = pool
        self.row_factory = row_factory
        self.transaction_mode = transaction_mode
        self.timeout = timeout
        """Seconds that a call may take; None is the pool's timeout."""
        self._autocommit = autocommit or not pool.has_transactions
        self._buffer = Buffer()
        self._turn = Turn()
        # Rows that are being read, and whose they are. The cursor is not kept alive, as it would keep the connection.
        self._open: tuple[Reader, weakref.ref[Cursor]] | None = None
        self._handle = (acquire or pool._acquire)(self._timeout())

    @property
    def autocommit(self) -> bool:
        """Whether each statement is a transaction of its own. Setting it commits one that is open."""
        return self._autocommit

    @autocommit.setter
    def autocommit(self, value: bool) -> None:
        self._check()
        if not value and not self.pool.has_transactions:
            raise NotSupportedError("Picodata has no transactions: autocommit is always on")
        if value:
            self.commit()
        self._autocommit = value

    @property
    def closed(self) -> bool:
        """Whether the connection was closed."""
        return self._handle is None

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, or was lost and waits to be rolled back."""
        self._check()
        open_ = c_bool()
        invoke(library.quorate_connection_in_transaction, self._handle, byref(open_))
        return open_.value

    @property
    def node(self) -> str:
        """The address of the node that the connection goes to; empty after a failure."""
        self._check()
        buffer, length = c_void_p(), c_size_t()
        invoke(library.quorate_connection_node, self._handle, byref(buffer))
        address = text_at(library.quorate_buffer_data(buffer, byref(length)), length.value)
        library.quorate_buffer_free(buffer)
        return address

    def cursor(self, row_factory: RowFactory | None = None) -> Cursor:
        """A new cursor; its rows are made by `row_factory`, or as the connection's."""
        self._check()
        return Cursor(self, row_factory)

    def execute(self, operation: str, parameters: Parameters = ()) -> Cursor:
        """Runs one statement on a new cursor, and gives that."""
        return self.cursor().execute(operation, parameters)

    def executemany(self, operation: str, seq_of_parameters: Iterable[Parameters]) -> Cursor:
        """Runs one statement with each of the parameters on a new cursor, and gives that."""
        return self.cursor().executemany(operation, seq_of_parameters)

    def begin(self, mode: str | None = None) -> None:
        """Begins a transaction now: `deferred`, `immediate` or `exclusive` (SQLite, "BEGIN TRANSACTION").

        With `immediate`, a connection that meets another's write waits for it, for `busy_timeout` at most.
        """
        self._check()
        if not self.pool.has_transactions:
            raise NotSupportedError("Picodata has no transactions")
        number = MODES[mode or self.transaction_mode]
        self._free_transaction()
        handle = TransactionHandle()
        with self._inside():
            self._settle()
            begin = library.quorate_connection_begin
            invoke_interruptible(begin, self._handle, number, self._timeout(), self._turn.handle, byref(handle))
        self._transaction = handle

    def commit(self) -> None:
        """Commits. Does nothing where no transaction is open.

        An error whose outcome is UNKNOWN says that everything may have been applied, or nothing.
        """
        self._end("COMMIT", library.quorate_transaction_commit)

    def rollback(self) -> None:
        """Rolls back. Does nothing where no transaction is open; NotSupportedError on Picodata, which has none."""
        self._check()
        if not self.pool.has_transactions:
            raise NotSupportedError("Picodata has no transactions: what was written stays")
        self._end("ROLLBACK", library.quorate_transaction_rollback)

    def _end(self, word: str, end: Any) -> None:
        self._check()
        if not self.in_transaction:
            self._free_transaction()
            return
        with self._inside():
            self._settle()
            try:
                if self._transaction is not None:
                    invoke_interruptible(end, self._transaction, self._timeout(), self._turn.handle)
                else:
                    # One that was begun by a statement's text.
                    self._run(word).free()
            finally:
                self._free_transaction()

    def ping(self) -> None:
        """Asks the server for an answer."""
        self._check()
        with self._inside():
            self._settle()
            invoke_interruptible(library.quorate_connection_ping, self._handle, self._timeout(), self._turn.handle)

    def cancel(self) -> None:
        """Ends the call that runs on the connection in another thread, or, from a signal handler, in this one: it raises
        OperationalError of the kind `cancelled`, whose outcome says what became of the statement. Does nothing while no call
        runs. Never blocks, and any thread may call it.
        """
        self._check()
        self._turn.cancel()

    def close(self) -> None:
        """Gives the connection back to its pool; a transaction that is open is rolled back.

        InterfaceError where it was closed before, as PEP 249 has it of every operation.
        """
        handle = self._check()
        self._handle = None
        self._open = None
        error = c_void_p()
        status = library.quorate_connection_close(handle, byref(error))
        self._free_transaction()
        handle.free()
        check_call(status, error)

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.closed:
            return
        if kind is None:
            try:
                self.commit()
            finally:
                self.close()
            return
        # The error goes on, and not one of the rollback: what was not committed ends with the connection.
        with suppress(errors.Error):
            try:
                if self.pool.has_transactions:
                    self.rollback()
            finally:
                self.close()

    def _check(self) -> ConnectionHandle:
        if self._handle is None:
            raise InterfaceError("the connection was closed")
        return self._handle

    def _timeout(self) -> int:
        return milliseconds(self.timeout)

    def _inside(self) -> Turn:
        """Keeps a second thread out."""
        return self._turn

    def _settle(self) -> None:
        """Lets a cursor with rows that nobody has read keep them, before the connection does something else. Those of a cursor
        that is gone are dropped."""
        opened, self._open = self._open, None
        if opened is None:
            return
        reader, reference = opened
        cursor = reference()
        if cursor is not None:
            cursor._keep_rest()
        elif not self.in_transaction:
            reader.close()
        # The library gives a connection up where much is left to be read, and the transaction would be lost.
        while not reader.done:
            reader.fetch(MAX_ROWS)

    def _reading(self, reader: Reader, cursor: Cursor) -> None:
        self._open = reader, weakref.ref(cursor)

    def _prepare(self, operation: str) -> None:
        """Begins a transaction where a statement wants one."""
        if self._autocommit or not wants_transaction(operation):
            return
        if not self.in_transaction:
            self.begin()

    def _after(self, operation: str) -> None:
        """A text may have ended the transaction."""
        if self._transaction is not None and may_end_transaction(operation) and not self.in_transaction:
            self._free_transaction()

    def _query(self, operation: str, values: Any) -> Reader:
        with self._inside():
            self._settle()
            return self._run(operation, values)

    def _run(self, operation: str, values: Any = ()) -> Reader:
        handle, error = RowsHandle(), c_void_p()
        text = operation.encode()
        status = library.quorate_connection_query(
            self._handle,
            text,
            len(text),
            values or None,
            len(values),
            self._timeout(),
            self._turn.handle,
            byref(handle),
            byref(error),
        )
        if status:
            check_call(status, error)
        return Reader(handle, self._buffer)

    def _send(self, batch: Batch, result: c.Result) -> int:
        """Sends a batch; gives how many rows it affected, and the last statement's counts in `result`."""
        results = ResultsHandle()
        affected = 0
        with self._inside():
            self._settle()
            send = library.quorate_connection_send_batch
            invoke_interruptible(send, self._handle, batch.handle, self._timeout(), self._turn.handle, byref(results))
            try:
                for _ in range(len(batch)):
                    # Those behind one that fails are read past, and have outcomes of their own.
                    invoke_interruptible(library.quorate_results_exec, results, byref(result))
                    affected += result.rows_affected
            finally:
                results.free()
        return affected

    def _free_transaction(self) -> None:
        transaction, self._transaction = self._transaction, None
        if transaction is not None:
            transaction.free()
