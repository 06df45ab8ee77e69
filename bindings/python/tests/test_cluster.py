"""Administration of a dqlite cluster of three nodes, and of a fourth that comes and goes."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import clusters
import pytest
import quorate
from clusters import wait_for
from quorate import NodeRole
from quorate._owner import DumpHandle, Handle, NodesHandle


@pytest.fixture(scope="module")
def servers() -> Iterator[clusters.Cluster]:
    servers = clusters.Cluster("dqlite", 3)
    yield servers
    servers.end()


@pytest.fixture
def cluster(servers: clusters.Cluster) -> Iterator[quorate.Cluster]:
    with quorate.Cluster(servers.url, timeout=20.0) as cluster:
        yield cluster


@pytest.fixture
def addresses(servers: clusters.Cluster) -> list[str]:
    return [servers.tell(f"address {index}") for index in range(3)]


@pytest.fixture
def fourth(addresses: list[str], tmp_path: Path) -> Iterator[str]:
    """The address of a node with the id 4 that belongs to no cluster yet."""
    address = f"{addresses[0].rpartition(':')[0]}:9004"
    program = os.environ.get("QUORATE_PROGRAM", clusters.ROOT / "target/debug/quorate")
    command: list[str | Path] = [program, "node", "--die-with-parent", "--id", "4", "--address", address]
    command += ["--dir", tmp_path, "--failure-domain", "7"]
    node = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    assert node.stdout is not None
    assert node.stdout.readline().startswith("ready ")
    yield address
    node.kill()
    node.wait(30)
    node.stdout.close()


@pytest.fixture
def dead() -> Iterator[list[str]]:
    """Addresses of nodes that do not run."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        addresses = [f"127.0.0.1:{server.getsockname()[1]}" for server in (one, two)]
    yield addresses


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a node that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_the_leader_and_the_nodes(cluster: quorate.Cluster, servers: clusters.Cluster, addresses: list[str]) -> None:
    assert cluster.leader() == addresses[int(servers.tell("leader"))]
    nodes = cluster.nodes(timeout=20)
    assert sorted(nodes) == [(id, address, NodeRole.VOTER) for id, address in enumerate(addresses, 1)]
    assert (nodes[0].id, nodes[0].address, nodes[0].role) == nodes[0]
    assert isinstance(nodes[0].role, NodeRole)
    assert [str(role) for role in NodeRole] == ["voter", "stand-by", "spare"]


def test_a_node_comes_takes_each_role_and_goes(cluster: quorate.Cluster, fourth: str) -> None:
    cluster.add(4, fourth)
    try:
        assert cluster.nodes()[-1] == (4, fourth, NodeRole.SPARE)
        for role in (NodeRole.STAND_BY, NodeRole.VOTER, NodeRole.STAND_BY, NodeRole.SPARE, NodeRole.VOTER):
            cluster.assign(4, role)
            assert {node.id: node.role for node in cluster.nodes()}[4] == role
        assert cluster.describe(fourth) == (7, 0)
    finally:
        cluster.remove(4)
    assert [node.id for node in cluster.nodes()] == [1, 2, 3]


def test_the_leadership_is_passed_on(cluster: quorate.Cluster) -> None:
    leader = cluster.leader()
    other = next(node for node in cluster.nodes() if node.address != leader)
    cluster.transfer(other.id)
    wait_for(lambda: cluster.leader() == other.address)
    cluster.transfer()
    wait_for(lambda: cluster.leader() != other.address)


def test_a_node_is_described_and_weighed(cluster: quorate.Cluster, addresses: list[str]) -> None:
    before = cluster.describe(addresses[1])
    assert before.failure_domain == 0
    cluster.set_weight(addresses[1], before.weight + 5)
    assert cluster.describe(addresses[1]) == quorate.NodeMetadata(0, before.weight + 5)
    cluster.set_weight(addresses[1], 2**64 - 1, timeout=20)
    assert cluster.describe(addresses[1], timeout=20).weight == 2**64 - 1
    cluster.set_weight(addresses[1], before.weight)


def rows(files: dict[str, bytes], directory: Path) -> list[tuple[object, ...]]:
    for name, data in files.items():
        (directory / name).write_bytes(data)
    database = sqlite3.connect(directory / "copied")
    try:
        return database.execute("SELECT a, b FROM t ORDER BY a").fetchall()
    except sqlite3.OperationalError:
        # The node has not heard of the table yet.
        return []
    finally:
        database.close()


def test_a_database_is_copied(
    cluster: quorate.Cluster, servers: clusters.Cluster, addresses: list[str], tmp_path: Path
) -> None:
    written = [(number, os.urandom(100 * number)) for number in range(50)]
    with quorate.connect(servers.url.replace("/test", "/copied")) as connection:
        connection.execute("CREATE TABLE t (a INTEGER, b BLOB)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", written)
    files = cluster.dump("copied")
    assert sorted(files) == ["copied", "copied-wal"]
    assert all(type(data) is bytes for data in files.values())
    assert rows(files, tmp_path) == written
    for index, address in enumerate(addresses):
        place = tmp_path / str(index)
        place.mkdir()

        def arrived(address: str = address, place: Path = place) -> bool:
            return rows(cluster.dump("copied", address=address, timeout=20), place) == written

        wait_for(arrived)


def test_a_refused_change_says_which(cluster: quorate.Cluster, addresses: list[str]) -> None:
    refused: list[tuple[str, Callable[[], object]]] = [
        ("cannot add node 1", lambda: cluster.add(1, addresses[0])),
        ("cannot make node 9 a spare", lambda: cluster.assign(9, NodeRole.SPARE)),
        ("cannot remove node 9", lambda: cluster.remove(9)),
        ("cannot make node 9 the leader", lambda: cluster.transfer(9)),
    ]
    for text, call in refused:
        with pytest.raises(quorate.DatabaseError, match=text) as caught:
            call()
        assert caught.value.outcome == quorate.Outcome.REJECTED
        assert caught.value.node == cluster.leader()


def test_numbers_and_roles_that_there_are_not(cluster: quorate.Cluster) -> None:
    for number in (-1, 2**64):
        for call in (cluster.remove, cluster.transfer, lambda id: cluster.add(id, "127.0.0.1:9009")):
            with pytest.raises(quorate.DataError, match="the id is"):
                call(number)
        with pytest.raises(quorate.DataError, match="the weight is"):
            cluster.set_weight("127.0.0.1:9009", number)
    for role in (3, -1, "voter"):
        with pytest.raises(quorate.ProgrammingError, match="is no NodeRole"):
            cluster.assign(1, role)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="the timeout is"):
        cluster.leader(timeout=-1)
    assert len(cluster.nodes()) == 3


def test_picodata_is_not_administered() -> None:
    with pytest.raises(quorate.NotSupportedError):
        quorate.Cluster("picodata://app@127.0.0.1:4327/app")
    with pytest.raises(quorate.ProgrammingError):
        quorate.Cluster("dqlite://127.0.0.1:9001/test", no_such_option=1)


def calls(cluster: quorate.Cluster, address: str) -> list[Callable[[], object]]:
    """Every call that blocks, with a timeout of 0.2 s."""
    return [
        lambda: cluster.leader(timeout=0.2),
        lambda: cluster.nodes(timeout=0.2),
        lambda: cluster.add(9, address, timeout=0.2),
        lambda: cluster.assign(9, NodeRole.VOTER, timeout=0.2),
        lambda: cluster.remove(9, timeout=0.2),
        lambda: cluster.transfer(9, timeout=0.2),
        lambda: cluster.describe(address, timeout=0.2),
        lambda: cluster.set_weight(address, 1, timeout=0.2),
        lambda: cluster.dump("test", timeout=0.2),
        lambda: cluster.dump("test", address=address, timeout=0.2),
    ]


def test_a_timeout_that_passes(silent: str) -> None:
    with quorate.Cluster(f"dqlite://{silent}/test", timeout=60.0) as cluster:
        for call in calls(cluster, silent):
            start = time.monotonic()
            with pytest.raises(quorate.OperationalError) as caught:
                call()
            assert 0.1 < time.monotonic() - start < 5
            assert caught.value.kind in ("timeout", "no_leader")
    with quorate.Cluster(f"dqlite://{silent}/test", timeout=0.1) as cluster, pytest.raises(quorate.OperationalError):
        cluster.leader()


def test_a_dead_cluster_names_every_node(dead: list[str]) -> None:
    with quorate.Cluster(f"dqlite://{','.join(dead)}/test") as cluster:
        with pytest.raises(quorate.OperationalError) as caught:
            cluster.nodes(timeout=0.5)
        assert caught.value.kind == "no_leader"
        causes = dict(caught.value.causes)
        assert sorted(causes) == sorted(dead)
        assert {cause.kind for cause in causes.values()} == {"connect"}
        assert all(address in str(caught.value) for address in dead)
        with pytest.raises(quorate.OperationalError) as caught:
            cluster.describe(dead[1])
        assert (caught.value.kind, caught.value.node) == ("connect", dead[1])
        assert caught.value.outcome == quorate.Outcome.NOT_SENT


def test_use_after_close(silent: str) -> None:
    with quorate.Cluster(f"dqlite://{silent}/test") as cluster:
        pass
    cluster.close()
    for call in calls(cluster, silent):
        with pytest.raises(quorate.InterfaceError, match="the cluster was closed") as caught:
            call()
        assert caught.value.kind == "closed"


def test_a_call_that_runs_outlives_the_close(silent: str) -> None:
    cluster = quorate.Cluster(f"dqlite://{silent}/test")
    ended: list[quorate.Error] = []

    def ask() -> None:
        try:
            cluster.leader(timeout=1)
        except quorate.Error as error:
            ended.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    time.sleep(0.3)
    cluster.close()
    gc.collect()
    assert not ended
    thread.join(30)
    assert [type(error) for error in ended] == [quorate.OperationalError]


def test_threads_share_a_cluster(cluster: quorate.Cluster, addresses: list[str]) -> None:
    leader = cluster.leader()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(10):
                assert cluster.leader() == leader
                assert len(cluster.nodes()) == 3
                assert cluster.describe(addresses[0]).failure_domain == 0
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []


def test_a_child_gets_an_error_and_can_open_its_own(cluster: quorate.Cluster, servers: clusters.Cluster) -> None:
    leader = cluster.leader()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            for call in calls(cluster, leader):
                with pytest.raises(quorate.InterfaceError) as caught:
                    call()
                assert caught.value.kind == "forked"
            cluster.close()
            with quorate.Cluster(servers.url, timeout=20.0) as own:
                assert own.leader() == leader
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert cluster.leader() == leader


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_cluster_is_neither_copied_nor_pickled(cluster: quorate.Cluster, make: Callable[[object], object]) -> None:
    with pytest.raises(TypeError, match="neither copied nor pickled"):
        make(cluster)


def test_what_a_call_gave_is_freed_where_a_signal_handler_raises_behind_it(
    cluster: quorate.Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    freed: list[type] = []

    def interrupt(status: int, error: object) -> None:
        raise KeyboardInterrupt

    def free(handle: Handle, address: int) -> None:
        freed.append(type(handle))
        release[type(handle)](address)

    calls: dict[type[Handle], Callable[[], object]] = {
        NodesHandle: cluster.nodes,
        DumpHandle: lambda: cluster.dump("test"),
    }
    release = {handle: handle._free for handle in calls}
    for handle, call in calls.items():
        with monkeypatch.context() as patched:
            patched.setattr("quorate._interrupt.check_call", interrupt)
            patched.setattr(handle, "_free", free)
            try:
                call()
                pytest.fail("nothing was raised")
            except KeyboardInterrupt:
                pass
            gc.collect()
    assert freed == [NodesHandle, DumpHandle]


def test_options_and_functions_are_taken(servers: clusters.Cluster, addresses: list[str]) -> None:
    dialled: list[str] = []
    messages: list[str] = []

    def dial(address: str, timeout: float | None) -> socket.socket:
        dialled.append(address)
        host, _, port = address.rpartition(":")
        return socket.create_connection((host, int(port)), timeout)

    with quorate.Cluster(servers.url, dial=dial, log=lambda level, text: messages.append(text), timeout="20s") as cluster:
        assert cluster.leader() in addresses
    assert set(dialled) <= set(addresses) and dialled
