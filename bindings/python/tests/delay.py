"""A proxy in front of a server that holds each of its answers back for a while."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time


class Delay:
    """Listens on a loopback port; what the server at `address` sends arrives `seconds` later."""

    def __init__(self, address: str, seconds: float) -> None:
        host, _, port = address.rpartition(":")
        self.target = (host, int(port))
        self.seconds = seconds
        self.server = socket.create_server(("127.0.0.1", 0), backlog=50)
        self.address = f"127.0.0.1:{self.server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.server.accept()
                upstream = socket.create_connection(self.target)
                for one in (client, upstream):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                late: queue.Queue[tuple[float, bytes]] = queue.Queue()
                threading.Thread(target=self._forward, args=(client, upstream), daemon=True).start()
                threading.Thread(target=self._receive, args=(upstream, late), daemon=True).start()
                threading.Thread(target=self._deliver, args=(late, client), daemon=True).start()

    @staticmethod
    def _forward(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def _receive(self, source: socket.socket, late: queue.Queue[tuple[float, bytes]]) -> None:
        data = b"x"
        while data:
            try:
                data = source.recv(1 << 16)
            except OSError:
                data = b""
            late.put((time.monotonic() + self.seconds, data))

    @staticmethod
    def _deliver(late: queue.Queue[tuple[float, bytes]], target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                due, data = late.get()
                time.sleep(max(0.0, due - time.monotonic()))
                if not data:
                    target.close()
                    return
                target.sendall(data)

    def close(self) -> None:
        self.server.close()
