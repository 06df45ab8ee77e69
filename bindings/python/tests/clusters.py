"""Clusters for the tests, each run by bindings/testing/cluster.py."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

# The package under test is the one in the sources, with the library that cargo has built.
os.environ.setdefault("QUORATE_LIBRARY", str(ROOT / "target/debug/libquorate.so"))


class Cluster:
    """A running cluster: its connection string, and what can be done to its instances."""

    def __init__(self, kind: str, count: int) -> None:
        script = ROOT / "bindings/testing/cluster.py"
        self.kind = kind
        self.process = subprocess.Popen(
            [sys.executable, script, kind, str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        word, _, self.url = self._line().partition(" ")
        assert word == "ready", f"no cluster of {kind}"

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def tell(self, command: str) -> str:
        """Has a command carried out, and gives what it answers."""
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        word, _, answer = self._line().partition(" ")
        assert word == "ok", f"{command}: {answer}"
        return answer

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(60)


def wait_for(condition: Callable[[], object], seconds: float = 30) -> None:
    """Waits until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)
