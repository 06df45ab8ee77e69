"""Administration of a dqlite cluster: its nodes, their roles, who leads, copies of its databases."""

from __future__ import annotations

import enum
import os
from ctypes import byref, c_int32, c_size_t, c_uint64, c_void_p, string_at
from typing import Any, NamedTuple

from quorate import _declarations as c
from quorate._callbacks import DialFunction, LogFunction
from quorate._closing import Closing
from quorate._config import configured
from quorate._errors import DataError, InterfaceError, ProgrammingError, invoke
from quorate._interrupt import cancel_handle, invoke_interruptible
from quorate._library import library, milliseconds, text_at
from quorate._owner import BufferHandle, ClusterHandle, DumpHandle, NodesHandle, Owner


class NodeRole(enum.IntEnum):
    """What a node does in its cluster."""

    VOTER = c.NODE_ROLE_VOTER
    """Replicates the data and takes part in elections: only a voter can be the leader."""
    STAND_BY = c.NODE_ROLE_STAND_BY
    """Replicates the data without a vote."""
    SPARE = c.NODE_ROLE_SPARE
    """Neither replicates nor votes."""

    def __str__(self) -> str:
        """The role in words, as the messages of errors have it."""
        return self.name.lower().replace("_", "-")


class NodeInfo(NamedTuple):
    """A node of a cluster, as its leader lists it."""

    id: int
    """The raft id."""
    address: str
    """`host:port`, or `@name` of an abstract Unix socket."""
    role: NodeRole


class NodeMetadata(NamedTuple):
    """What a node says of itself."""

    failure_domain: int
    """The number of the failure domain that the node is in: nodes of one domain may fail together."""
    weight: int
    """The weight of the node when roles are given; lower ones are preferred."""


class Cluster(Owner, Closing):
    """Administers a dqlite cluster. Any thread may use it, several at once.

        with Cluster("dqlite://10.0.0.1:9001,10.0.0.2:9001/app") as cluster:
            cluster.add(4, "10.0.0.4:9001")
            cluster.assign(4, NodeRole.VOTER)

    Options of the connection string may be given as keywords; `log` and `dial` are those of a Pool. Nothing is dialled yet.
    NotSupportedError: the connection string is Picodata's.

    Each call but `close` finds the leader, or dials the node that is named, and uses a connection of its own. It blocks for
    `timeout` seconds at most; None is the option `timeout`. A change that a node refused because it does not lead is repeated
    on the leader, one whose outcome is unknown is not. OperationalError of the kind `no_leader`: its `causes` have what each
    node answered. A child of this process needs a Cluster of its own: calls on this one raise InterfaceError there.
    """

    def __init__(
        self, url: str, *, log: LogFunction | None = None, dial: DialFunction | None = None, **options: object
    ) -> None:
        self._handle: ClusterHandle | None = None
        self._process = os.getpid()
        self.url = url
        cluster = ClusterHandle()
        with configured(url, options, log, dial) as config:
            invoke(library.quorate_cluster_new, config, byref(cluster))
        self._handle = cluster

    def leader(self, *, timeout: float | None = None) -> str:
        """The address of the leader."""
        buffer, length = BufferHandle(), c_size_t()
        self._call(library.quorate_cluster_leader, (), timeout, byref(buffer))
        return text_at(library.quorate_buffer_data(buffer, byref(length)), length.value)

    def nodes(self, *, timeout: float | None = None) -> list[NodeInfo]:
        """The nodes of the cluster, as the leader lists them."""
        nodes = NodesHandle()
        self._call(library.quorate_cluster_nodes, (), timeout, byref(nodes))
        return [_node(nodes, index) for index in range(library.quorate_nodes_len(nodes))]

    def add(self, id: int, address: str, *, timeout: float | None = None) -> None:  # noqa: A002
        """Adds a node, as a spare: it holds no data until it is given another role.

        DatabaseError: its id or its address is taken. OperationalError of the kind `busy`: another change is under way.
        """
        text = address.encode()
        self._call(library.quorate_cluster_add, (_unsigned("id", id), text, len(text)), timeout)

    def assign(self, id: int, role: NodeRole, *, timeout: float | None = None) -> None:  # noqa: A002
        """Gives a node a role. Making a node a voter waits until it has caught up.

        DatabaseError: there is no such node, or it has that role. OperationalError of the kind `busy`: another change is
        under way.
        """
        if role not in tuple(NodeRole):
            raise ProgrammingError(f"{role!r} is no NodeRole")
        self._call(library.quorate_cluster_assign, (_unsigned("id", id), role), timeout)

    def remove(self, id: int, *, timeout: float | None = None) -> None:  # noqa: A002
        """Removes a node. The node itself is not told; it should be stopped.

        DatabaseError: there is no such node. OperationalError of the kind `busy`: another change is under way.
        """
        self._call(library.quorate_cluster_remove, (_unsigned("id", id),), timeout)

    def transfer(self, id: int = 0, *, timeout: float | None = None) -> None:  # noqa: A002
        """Passes the leadership to the voter `id`, or to any voter if it is 0.

        DatabaseError: the node is no voter, or did not take over in time.
        """
        self._call(library.quorate_cluster_transfer, (_unsigned("id", id),), timeout)

    def describe(self, address: str, *, timeout: float | None = None) -> NodeMetadata:
        """What the node at `address` says of itself."""
        text, failure_domain, weight = address.encode(), c_uint64(), c_uint64()
        describe = library.quorate_cluster_describe
        self._call(describe, (text, len(text)), timeout, byref(failure_domain), byref(weight))
        return NodeMetadata(failure_domain.value, weight.value)

    def set_weight(self, address: str, weight: int, *, timeout: float | None = None) -> None:
        """Sets the weight of the node at `address`; lower ones are preferred when roles are given."""
        text, number = address.encode(), _unsigned("weight", weight)
        self._call(library.quorate_cluster_set_weight, (text, len(text), number), timeout)

    def dump(self, name: str, *, address: str | None = None, timeout: float | None = None) -> dict[str, bytes]:
        """The files of the database `name`, by their names: the database, and its write-ahead log with `-wal` behind the
        name. As the leader has them, or the node at `address`, whether it leads or not: one that lags behind has an older
        state.

        The whole is held in memory; a database larger than the option `max_message` is refused. Newer servers refuse a name
        that they do not know, older ones answer empty files.
        """
        dump, text = DumpHandle(), name.encode()
        if address is None:
            self._call(library.quorate_cluster_dump, (text, len(text)), timeout, byref(dump))
        else:
            place, dump_from = address.encode(), library.quorate_cluster_dump_from
            self._call(dump_from, (place, len(place), text, len(text)), timeout, byref(dump))
        return dict(_file(dump, index) for index in range(library.quorate_dump_len(dump)))

    def close(self) -> None:
        """Ends the use of the cluster; calls that run meanwhile go on. Closing again does nothing."""
        # A call has the handle as long as it runs, and the last who has it frees it.
        self._handle = None

    def _call(self, function: Any, arguments: tuple[Any, ...], timeout: float | None, *places: Any) -> None:
        if os.getpid() != self._process:
            raise _unusable("forked", "the cluster was opened before the process was forked; open a new one in the child")
        handle = self._handle
        if handle is None:
            raise _unusable("closed", "the cluster was closed")
        invoke_interruptible(function, handle, *arguments, milliseconds(timeout), cancel_handle(), *places)


def _unusable(kind: str, text: str) -> InterfaceError:
    error = InterfaceError(text)
    error.kind = kind
    return error


def _unsigned(name: str, value: int) -> int:
    # ctypes would cut it down to 64 bits.
    if not 0 <= value < 2**64:
        raise DataError(f"the {name} is {value}; it may be 0 to 2**64 - 1")
    return value


def _node(nodes: NodesHandle, index: int) -> NodeInfo:
    number, address, length, role = c_uint64(), c_void_p(), c_size_t(), c_int32()
    get = library.quorate_nodes_get
    invoke(get, nodes, index, byref(number), byref(address), byref(length), byref(role))
    return NodeInfo(number.value, text_at(address.value, length.value), NodeRole(role.value))


def _file(dump: DumpHandle, index: int) -> tuple[str, bytes]:
    name, length, data, size = c_void_p(), c_size_t(), c_void_p(), c_size_t()
    invoke(library.quorate_dump_get, dump, index, byref(name), byref(length), byref(data), byref(size))
    return text_at(name.value, length.value), string_at(data.value or 0, size.value)
