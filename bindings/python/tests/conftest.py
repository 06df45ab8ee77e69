"""The servers that the tests share: one cluster of each database for the whole run."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from clusters import Cluster

_names = itertools.count()


@pytest.fixture(scope="session")
def dqlite_cluster() -> Iterator[Cluster]:
    cluster = Cluster("dqlite", 3)
    yield cluster
    cluster.end()


@pytest.fixture(scope="session")
def picodata_cluster() -> Iterator[Cluster]:
    cluster = Cluster("picodata", 3)
    yield cluster
    cluster.end()


@pytest.fixture(scope="session")
def standin_cluster() -> Iterator[Cluster]:
    cluster = Cluster("standin", 3)
    yield cluster
    cluster.end()


@pytest.fixture
def dqlite(dqlite_cluster: Cluster) -> str:
    """The connection string of a database that is still empty."""
    return dqlite_cluster.url.replace("/test", f"/test{next(_names)}")


@pytest.fixture
def picodata(picodata_cluster: Cluster) -> str:
    """The connection string of one instance: the rows of each are its own here, so calls must not be spread. It has
    transactions, as Picodata has not: tests of that say so to the driver."""
    host = picodata_cluster.tell("address 0")
    return f"postgres://postgres@{host}/postgres?topology=off"


@pytest.fixture
def standin(standin_cluster: Cluster) -> str:
    """The connection string of a cluster with the manners of Picodata, whose rows are the same wherever one asks."""
    return standin_cluster.url


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> Iterator[sa.Engine]:
    """An engine for the same cluster; or for the Picodata that QUORATE_TEST_PICODATA names."""
    # picodata://user:password@host,host,host/database
    url: str = os.environ.get("QUORATE_TEST_PICODATA") or request.getfixturevalue("standin")
    credentials, _, rest = url.removeprefix("picodata://").partition("@")
    first, *more = rest.partition("/")[0].split(",")
    hosts = "&".join(f"host={host}" for host in more)
    engine = sa.create_engine(f"quorate+picodata://{credentials}@{first}/any?{hosts}&timeout=10s")
    yield engine
    engine.dispose()


@pytest.fixture(params=["dqlite", "picodata"])
def url(request: pytest.FixtureRequest) -> str:
    """The connection string of each database in turn."""
    found: str = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def table() -> str:
    """The name of a table that no other test has."""
    return f"item{next(_names)}"
