"""A TCP proxy on loopback that cuts a PostgreSQL connection around its next commit: before the server hears of it, or
after the server did it and before the client is told."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType

_COMMIT = b"commit\x00"  # a simple Query message ends in its text and a zero byte


class CuttingProxy:
    """Forwards to ``port``. ``cut`` is ``""``, ``"before"`` or ``"after"``; it falls back to ``""`` once it has cut."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.cut = ""
        self.cuts = 0
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        for one in (self._listener, *self._sockets):
            _close(one)
        for thread in self._threads:
            thread.join(timeout=5)

    def __enter__(self) -> CuttingProxy:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            self._sockets += [client, server]
            is_deaf = threading.Event()  # set: the client hears nothing any more
            for work in (self._to_server, self._to_client):
                thread = threading.Thread(target=work, args=(client, server, is_deaf), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _to_server(self, client: socket.socket, server: socket.socket, is_deaf: threading.Event) -> None:
        while data := _receive(client):
            how = self._how_to_cut(data)
            if how:
                self.cuts += 1
                if how == "before":
                    break
                is_deaf.set()
            try:
                server.sendall(data)
            except OSError:
                break
        _close(client)
        _close(server)

    def _how_to_cut(self, data: bytes) -> str:
        """``"before"``, ``"after"``, or ``""`` to let it pass."""
        if not (data.endswith(_COMMIT) and self.cut):
            return ""
        how, self.cut = self.cut, ""
        return how

    def _to_client(self, client: socket.socket, server: socket.socket, is_deaf: threading.Event) -> None:
        while data := _receive(server):
            if is_deaf.is_set():  # the commit is done, and this was its answer
                break
            try:
                client.sendall(data)
            except OSError:
                break
        _close(client)
        _close(server)


def _receive(one: socket.socket) -> bytes:
    try:
        return one.recv(1 << 16)
    except OSError:
        return b""


def _close(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
