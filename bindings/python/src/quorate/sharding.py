"""The sharding key of a table of Picodata."""

from __future__ import annotations

from ctypes import byref, c_size_t, c_uint64
from typing import TYPE_CHECKING

from quorate._errors import invoke
from quorate._interrupt import cancel_handle, invoke_interruptible
from quorate._library import library, milliseconds, text_at
from quorate._owner import ConnectionHandle, Owner, ShardingKeyHandle
from quorate._values import Parameters, encode
from quorate.connection import Connection
from quorate.rows import RowFactory, tuple_row

if TYPE_CHECKING:
    from quorate.pool import Pool


class ShardingKey(Owner):
    """The columns of a table by which its rows are spread over the instances: it tells the bucket of a row, and gives a
    connection to the instance that has it. `Pool.sharding_key` gives one.

        key = pool.sharding_key("orders")
        with key.connection((42,)) as connection:
            connection.execute("UPDATE orders SET paid = true WHERE id = ?", (42,))

    A statement that runs there needs no hop inside of the cluster; any other instance runs it as well. So a key that is
    older than the table, or a map of the buckets that is older than their last move, costs time and is never an error. A key
    describes the table as it was when the key was asked for; asking again costs no round trip as long as the schema is the
    same. Any thread may use it.

    The values of the key's columns are given by position, in the order of `columns`, or as a dict by their names. A value
    has to be of the column's type, except that an int may stand for a double or a decimal.
    """

    def __init__(self, pool: Pool, table: str, timeout: float | None = None) -> None:
        self._pool = pool
        text, handle, ask = table.encode(), ShardingKeyHandle(), library.quorate_pool_sharding_key
        within = milliseconds(timeout)
        invoke_interruptible(ask, pool._pointer(), text, len(text), within, cancel_handle(), byref(handle))
        self._handle = handle
        length = c_size_t()
        self.table: str = text_at(library.quorate_sharding_key_table(handle, byref(length)), length.value)
        """The name of the table."""
        self.tier: str = text_at(library.quorate_sharding_key_tier(handle, byref(length)), length.value)
        """The tier that the table's buckets are in."""
        self.columns: tuple[str, ...] = tuple(
            text_at(library.quorate_sharding_key_column_name(handle, index, byref(length)), length.value)
            for index in range(library.quorate_sharding_key_columns(handle))
        )
        """The names of the columns, in the order in which values are given by position."""

    def bucket(self, parameters: Parameters) -> int:
        """The bucket, from 1 to the number of buckets of the tier, of a row with these values in the columns of the key.
        Never blocks.

        ProgrammingError: a column was given no value, or two, or there is no such column. DataError: a value is of another
        type than its column, or a decimal that the server would round. Both name the column.
        """
        values, bucket = encode(parameters), c_uint64()
        invoke(library.quorate_sharding_key_bucket, self._handle, values, len(values), byref(bucket))
        return bucket.value

    def connection(
        self,
        parameters: Parameters,
        *,
        autocommit: bool = False,
        transaction_mode: str = "immediate",
        timeout: float | None = None,
        row_factory: RowFactory = tuple_row,
    ) -> Connection:
        """Takes a connection out of the pool, as `Pool.connection` does, to the master of the bucket of a row with these
        values in the columns of the key. Where it is not known which instance that is, or it cannot be reached, is not
        admitted by the pool's role and tier, or has no connection to spare, to any instance.

        Errors are those of `bucket` and of `Pool.connection`.
        """
        values = encode(parameters)

        def acquire(within: int) -> ConnectionHandle:
            handle, take = ConnectionHandle(), library.quorate_sharding_key_acquire
            invoke_interruptible(take, self._handle, values, len(values), within, cancel_handle(), byref(handle))
            return handle

        return Connection(
            self._pool,
            autocommit=autocommit,
            transaction_mode=transaction_mode,
            timeout=timeout,
            row_factory=row_factory,
            acquire=acquire,
        )

    acquire = connection

    def __repr__(self) -> str:
        return f"ShardingKey(table={self.table!r}, tier={self.tier!r}, columns={self.columns!r})"
