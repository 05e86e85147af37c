"""Connections to the database, each set up for what it does, and refused if a commit would not be durable."""

from __future__ import annotations

import select
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg.types.numeric import Int8BinaryDumper

from audit.errors import AuditUnavailable, StoreError
from audit.settings import AuditSettings
from audit.store.postgres.terms import register_terms

# A plan of 17 days takes about a megabyte of the server's memory.
_KEPT_PLANS = 64

Connection = psycopg.Connection[tuple[Any, ...]]
Parameters = Sequence[object] | Mapping[str, object]

OLDEST_SERVER = 140_000  # what is tested is 16

# What a broken network or server does to us at most, beyond the timeouts of the settings.
_CONNECT_SECONDS = 5
_KEEPALIVE_IDLE_SECONDS, _KEEPALIVE_INTERVAL_SECONDS, _KEEPALIVES = 10, 5, 3
_TCP_USER_TIMEOUT_MS = 20_000


def database_url(settings: AuditSettings) -> str:
    """The URL for libpq. SQLAlchemy's spelling (``postgresql+psycopg://``) is understood."""
    url = settings.database_url
    return "" if url is None else plain_url(url.get_secret_value())  # never None: ``audit.store.opening`` looked


def plain_url(url: str) -> str:
    scheme, colon, rest = url.partition("://")
    return f"postgresql{colon}{rest}" if scheme.split("+")[0] in ("postgresql", "postgres") else url


def connect(url: str, what_for: str, **limits: float) -> Connection:
    """An autocommit connection. ``limits`` are timeouts in seconds, by their names in PostgreSQL.

    ``search_path`` names no schema that others may write to: an operator or function put there would be called
    instead of the built-in one (CVE-2018-1058). Raises ``psycopg.OperationalError``.
    """
    connection = psycopg.connect(
        url,
        autocommit=True,
        application_name=f"imprimatur-audit {what_for}",
        connect_timeout=_CONNECT_SECONDS,
        keepalives_idle=_KEEPALIVE_IDLE_SECONDS,
        keepalives_interval=_KEEPALIVE_INTERVAL_SECONDS,
        keepalives_count=_KEEPALIVES,
        tcp_user_timeout=_TCP_USER_TIMEOUT_MS,
    )
    try:
        times = [f"; set {name} = {int(seconds * 1000)}" for name, seconds in limits.items()]  # in milliseconds
        # Compiling (JIT) takes longer than any of our statements runs, and is begun on a wrong estimate at times. The
        # order of joins is written as it is meant; looking for a better one would take longer than the joins.
        fixed = (
            "set search_path = pg_catalog, pg_temp; set timezone = 'UTC'; set jit = off;"
            " set join_collapse_limit = 1; set from_collapse_limit = 1"
        )
        script(connection, fixed + "".join(times))
        register_terms(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def plan_once(connection: Connection) -> None:
    """For a connection that searches: each text is planned when it first comes, and its plan is kept.

    Planning a question costs several times what answering it does. A plan that is kept knows neither the values nor how
    a day grows, so nothing is left to an estimate: every statement is written for an index and for joins that look up
    one row after the other, and what fits both few and many records is written in two ways (``token_walk``).
    """
    # All whole numbers alike: with types by size, one text would have a plan for small and one for large numbers.
    connection.adapters.register_dumper(int, Int8BinaryDumper)
    script(
        connection,
        "set plan_cache_mode = force_generic_plan; set max_parallel_workers_per_gather = 0; set enable_seqscan = off;"
        " set enable_hashjoin = off; set enable_mergejoin = off; set enable_sort = off; set enable_material = off;"
        # To read all of a small table is cheap only until it has grown: each row that is looked at has its price.
        " set cpu_tuple_cost = 1; set cpu_index_tuple_cost = 1",
    )
    connection.prepared_max = _KEPT_PLANS
    connection.prepare_threshold = 0  # from now on


def check_durability(connection: Connection) -> None:
    """Raises ``StoreError`` if a commit on this connection could be lost, or cannot be made."""
    ((fsync, synchronous_commit, version, is_standby),) = connection.execute(
        "select current_setting('fsync'), current_setting('synchronous_commit'),"
        " current_setting('server_version_num')::integer, pg_is_in_recovery()"
    ).fetchall()
    if version < OLDEST_SERVER:
        raise StoreError(f"the audit log needs PostgreSQL {OLDEST_SERVER // 10_000} or newer, got {version // 10_000}")
    if is_standby:
        raise StoreError("the audit database is a standby, which cannot be written: name the primary in database_url")
    if fsync != "on":
        raise StoreError(
            "the audit database runs with fsync=off: acknowledged records would be lost in a power cut; "
            "set fsync=on in postgresql.conf"
        )
    if synchronous_commit == "off":
        raise StoreError(
            "the audit database runs with synchronous_commit=off: acknowledged records would be lost in a crash; "
            "set it to on for the server, the database and the role of the audit log"
        )


def has_news(connection: Connection) -> bool:
    """The server said something that nobody asked for: nearly always that it ends this connection."""
    waiting = select.poll()
    waiting.register(connection.fileno(), select.POLLIN)
    return bool(waiting.poll(0))


def execute(connection: Connection, statement: str, parameters: Parameters = ()) -> psycopg.Cursor[tuple[Any, ...]]:
    """Run one statement; results come in binary. For statements whose table names were put together by ``tables``."""
    return connection.execute(statement.encode(), parameters, binary=True)


def ask(connection: Connection, question: str, parameters: Sequence[object]) -> psycopg.Cursor[tuple[Any, ...]]:
    """The same for a question with ``?`` marks. They are numbered here: the driver takes a text apart at each call if
    it is as long as one over thirty days."""
    first, *others = question.split("?")
    numbered = first + "".join(f"${number}{part}" for number, part in enumerate(others, start=1))
    return psycopg.RawCursor(connection).execute(numbered.encode(), parameters, binary=True)


def script(connection: Connection, statements: str) -> psycopg.Cursor[tuple[Any, ...]]:
    """Run several statements in one round trip, without parameters; returns the last one's result, in text."""
    cursor = connection.execute(statements.encode(), prepare=False)
    while cursor.nextset():
        pass
    return cursor


def scalar(connection: Connection, statement: str, parameters: Parameters = ()) -> Any:
    """The one value of a statement that always gives a row."""
    ((value,),) = execute(connection, statement, parameters).fetchall()
    return value


def roll_back(connection: Connection) -> None:
    """End whatever is open; a connection that cannot do that is closed."""
    try:
        connection.rollback()
        if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            connection.execute("rollback")
    except psycopg.Error:
        connection.close()


def unavailable(error: psycopg.Error, what: str) -> AuditUnavailable:
    """What a caller hears: the server's own message may quote values, its code (SQLSTATE) does not."""
    return AuditUnavailable(f"{what}: the audit database answered {describe(error)}")


def describe(error: Exception) -> str:
    """Name and SQLSTATE of an error, without its message."""
    code = getattr(error, "sqlstate", None)
    return f"{type(error).__name__} ({code})" if code else type(error).__name__
