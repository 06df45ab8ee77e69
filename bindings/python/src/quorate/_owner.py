"""Who owns what the library gives."""

from __future__ import annotations

from ctypes import c_void_p
from typing import Any, NoReturn, SupportsIndex

from quorate._library import library


class Handle(c_void_p):
    """A handle of the library, freed by `free`, or when nobody has it any more.

    The call that fills it is given its place: a signal handler may raise as soon as that call has returned, before the
    next step of Python, and what the call gave is freed even then.
    """

    _free: Any

    def free(self) -> None:
        """Frees what the handle stands for. Doing it again does nothing."""
        address, self.value = self.value, None
        if address:
            self._free(address)

    def __del__(self) -> None:
        self.free()


class ConfigHandle(Handle):
    _free = library.quorate_config_free


class PoolHandle(Handle):
    _free = library.quorate_pool_free


class ConnectionHandle(Handle):
    _free = library.quorate_connection_free


class TransactionHandle(Handle):
    _free = library.quorate_transaction_free


class RowsHandle(Handle):
    _free = library.quorate_rows_free


class BatchHandle(Handle):
    _free = library.quorate_batch_free


class ResultsHandle(Handle):
    _free = library.quorate_results_free


class ShardingKeyHandle(Handle):
    _free = library.quorate_sharding_key_free


class ClusterHandle(Handle):
    _free = library.quorate_cluster_free


class NodesHandle(Handle):
    _free = library.quorate_nodes_free


class DumpHandle(Handle):
    _free = library.quorate_dump_free


class BufferHandle(Handle):
    _free = library.quorate_buffer_free


class CancelHandle(Handle):
    _free = library.quorate_cancel_free


class Owner:
    """Holds a handle, or something else that holds one: it is neither copied nor pickled."""

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} of quorate can be neither copied nor pickled: open another one")
