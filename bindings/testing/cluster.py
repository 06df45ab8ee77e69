"""Starts a cluster for the tests of a binding, and ends it when standard input closes.

    python3 bindings/testing/cluster.py dqlite [COUNT]      nodes of dqlite, run by `quorate node`
    python3 bindings/testing/cluster.py picodata [COUNT]    PostgreSQL servers that look like one Picodata cluster
    python3 bindings/testing/cluster.py standin [COUNT]     what has Picodata's manners (examples/standin.rs)

COUNT is 3 unless given. The first line of standard output is `ready` and the connection string. Then each line of
standard input is a command, and is answered by one line, `ok …` or `error …`:

    leader          the index of the instance that leads
    kill INDEX      SIGKILL (dqlite), or an immediate stop
    freeze INDEX    SIGSTOP: connections stay open, and nobody answers
    thaw INDEX      SIGCONT
    restart INDEX   starts an instance that was killed, with its data and at its address
    address INDEX   host:port

The program `quorate` is QUORATE_PROGRAM, or target/debug/quorate; `standin` is target/debug/examples/standin. All that is
started listens on a loopback address that belongs to this process, and ends with it, also when it is killed. Needs nothing
but Python's standard library.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from dqlite_nodes import DqliteNodes  # noqa: E402
from picodata_servers import PicodataServers  # noqa: E402

KINDS = {"dqlite": DqliteNodes, "picodata": PicodataServers}
STANDIN = Path(__file__).resolve().parents[2] / "target/debug/examples/standin"


def loopback():
    """An address of this process's own; the Rust tests use 127.1 to 127.250."""
    process = os.getpid()
    return f"127.{251 + (process >> 16) % 4}.{process >> 8 & 0xFF}.{1 + process % 0xFE}"


def answer(cluster, line):
    """Carries out one command and gives the text of its answer."""
    word, *rest = line.split()
    if word == "leader":
        return cluster.leader()
    if word not in ("kill", "freeze", "thaw", "restart", "address"):
        raise ValueError(f"unknown command {word!r}")
    return getattr(cluster, word)(int(rest[0]))


def main():
    if len(sys.argv) not in (2, 3) or sys.argv[1] not in (*KINDS, "standin"):
        print(__doc__, file=sys.stderr)
        return 2
    count = int(sys.argv[2]) if len(sys.argv) == 3 else 3
    if sys.argv[1] == "standin":
        # The program speaks as this one does.
        os.execv(STANDIN, [STANDIN, str(count)])
    directory = Path(tempfile.mkdtemp(prefix="quorate-binding-"))
    # PostgreSQL runs as another user where this one is root.
    directory.chmod(0o755)
    cluster = KINDS[sys.argv[1]](directory, loopback(), count)
    try:
        cluster.start()
        print("ready", cluster.url(), flush=True)
        for line in sys.stdin:
            try:
                said = answer(cluster, line)
                print("ok", "" if said is None else said, flush=True)
            except Exception as error:  # every failure belongs to the caller
                print("error", " ".join(str(error).split()) or repr(error), flush=True)
    finally:
        cluster.end()
        shutil.rmtree(directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
