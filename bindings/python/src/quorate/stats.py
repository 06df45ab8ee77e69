"""Figures of a pool, and of each node or instance that it has connections to."""

from __future__ import annotations

from ctypes import byref, c_uint64, c_void_p
from dataclasses import dataclass
from typing import Any, TypedDict, cast

from quorate import _declarations as c
from quorate._errors import invoke
from quorate._library import library, seconds_of, text_of

_STATS = {name.removeprefix("STAT_").lower(): value for name, value in vars(c).items() if name.startswith("STAT_")}
# What the library says where there is no figure.
_NONE = 2**64 - 1


class Stats(TypedDict):
    """The figures of a pool, by the names that the C interface has for them."""

    max_conns: int
    """The most connections there may be to one node."""
    connections: int
    """Open connections, in use and idle."""
    idle: int
    """Open connections that nobody uses."""
    in_use: int
    """Connections in use."""
    waiting: int
    """Callers that wait for a connection at this moment."""
    acquires: int
    """How often a connection was taken out."""
    waits: int
    """How often a caller had to wait because all connections were in use."""
    wait_nanoseconds: int
    """How long callers have waited, all in all."""
    connects: int
    """Connections that were opened."""
    connect_failures: int
    """Attempts to open a connection that failed."""
    failures: int
    """Calls that failed because a connection broke, ran past its deadline, or met a node that does not lead."""
    leader_changes: int
    """How often another node became the leader."""
    refreshes: int
    """How often the topology was read."""
    refresh_failures: int
    """How often the topology could not be read; the last good one was kept."""
    topology_age_milliseconds: int | None
    """How long ago the topology was read last; None if it never was."""
    topology_failing: int
    """1 if the topology could not be read the last time, so that an older one is in use; else 0."""
    instances: int
    """With Picodata: how many instances the cluster has, those that are offline included."""
    usable_instances: int
    """With Picodata: how many instances calls may go to at this moment."""


@dataclass(frozen=True)
class EndpointStats:
    """How a pool does with one node or instance, at the moment of the reading."""

    address: str
    """`host:port`."""
    connections: int
    """Open connections, in use and idle."""
    idle: int
    """Open connections that nobody uses."""
    in_use: int
    """Connections in use."""
    waiting: int
    """Callers that wait for a connection."""
    latency: float | None
    """A moving average of the seconds that it takes to answer; None where it is not measured, which takes a choice of
    instances that looks at it."""
    left_out: bool
    """Whether calls are kept from it for now, because several have failed there."""


def read_stats(pool: c_void_p | None) -> Stats:
    """The figures of a pool, by their names."""
    value, figures = c_uint64(), {}
    for name, number in _STATS.items():
        invoke(library.quorate_pool_stat, pool, number, byref(value))
        figures[name] = None if value.value == _NONE else value.value
    return cast(Stats, figures)


def read_endpoints(pool: c_void_p | None) -> list[EndpointStats]:
    """The figures of each endpoint of a pool."""
    endpoints = c_void_p()
    invoke(library.quorate_pool_endpoints, pool, byref(endpoints))
    try:
        count = library.quorate_endpoints_len(endpoints)
        return [_endpoint(library.quorate_endpoints_get(endpoints, index).contents) for index in range(count)]
    finally:
        library.quorate_endpoints_free(endpoints)


def _endpoint(one: Any) -> EndpointStats:
    return EndpointStats(
        address=text_of(one.address),
        connections=one.connections,
        idle=one.idle,
        in_use=one.in_use,
        waiting=one.waiting,
        latency=seconds_of(one.latency_us),
        left_out=one.left_out,
    )
