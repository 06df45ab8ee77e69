"""Nodes of dqlite as processes, each run by the program `quorate`."""

import os
import select
import socket
import struct
import subprocess
from pathlib import Path

from processes import DEADLINE, Processes, wait_for

# The latency that the nodes are told: a follower stands for election after 15 times as many milliseconds.
LATENCY_MS = 30
ROOT = Path(__file__).resolve().parents[2]


class DqliteNodes(Processes):
    first_port = 9001

    def start(self):
        # One after the other: each joins those before it.
        for index in range(self.count):
            self.restart(index)

    def url(self):
        return f"dqlite://{','.join(self.addresses())}/test"

    def restart(self, index):
        if self.processes[index] is not None:
            raise RuntimeError(f"node {index} runs already")
        program = os.environ.get("QUORATE_PROGRAM", ROOT / "target/debug/quorate")
        command = [program, "node", "--die-with-parent", "--id", str(index + 1)]
        command += ["--address", self.address(index), "--dir", self.directory / str(index)]
        command += ["--network-latency", str(LATENCY_MS)]
        if index > 0:
            command += ["--join", ",".join(self.addresses()[:index])]
        with open(self.directory / f"{index}.log", "ab") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
        self.processes[index] = process
        readable, _, _ = select.select([process.stdout], [], [], DEADLINE)
        line = process.stdout.readline() if readable else b""
        if not line.startswith(b"ready "):
            raise RuntimeError(f"node {index} did not start: {(self.directory / f'{index}.log').read_text()}")

    def leader(self):
        """The index of the leader, as a node names it that is the leader itself."""

        def ask():
            for index, process in enumerate(self.processes):
                if process is not None and self.named_leader(index) == self.address(index):
                    return index
            return None

        return wait_for("a leader", ask)

    def named_leader(self, index):
        """Whom the node `index` names: the request LEADER (src/protocol.h of dqlite: type 0, one word)."""
        try:
            with socket.create_connection((self.host, self.port(index)), 1.0) as connection:
                connection.sendall(struct.pack("<QIBBHQ", 1, 1, 0, 0, 0, 0))
                with connection.makefile("rb") as answers:
                    words, kind, _, _ = struct.unpack("<IBBH", answers.read(8))
                    body = answers.read(8 * words)
        except (OSError, struct.error):
            return None
        # Type 1 is an id of eight bytes, then the address up to a NUL.
        return body[8:].split(b"\0")[0].decode() if kind == 1 else None
