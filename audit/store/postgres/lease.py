"""Leases: at most one process does a thing, and one that was away too long can be told from its successor.

A lease has an *epoch*, a fencing token (Kleppmann, "How to do distributed locking", 2016): it grows each time the lease
changes hands or was allowed to run out, so work done under an older epoch can be refused by whoever stores it. Time is
the database's alone; no two clocks are compared.
"""

from __future__ import annotations

from audit.store.postgres.connection import Connection, execute

INTEGRATOR = "integrator"

_TAKE = """
insert into audit.lease as held (name, holder, epoch, expires_at)
values (%(name)s, %(holder)s, 1, clock_timestamp() + make_interval(secs => %(seconds)s))
on conflict (name) do update set
    holder = excluded.holder,
    epoch = held.epoch + (held.holder <> excluded.holder or held.expires_at <= clock_timestamp())::integer,
    expires_at = excluded.expires_at
where held.holder = excluded.holder or held.expires_at <= clock_timestamp()
returning epoch
"""


class Lease:
    """A lease of this process. ``holder`` is a name that no other process has."""

    def __init__(self, name: str, holder: str, seconds: float) -> None:
        self._name = name
        self._holder = holder
        self._seconds = seconds

    def hold(self, connection: Connection) -> int | None:
        """Take or renew it; returns its epoch, or ``None`` while another process holds it. Raises ``psycopg.Error``."""
        parameters = {"name": self._name, "holder": self._holder, "seconds": self._seconds}
        found = connection.execute(_TAKE, parameters).fetchone()
        return None if found is None else int(found[0])

    def release(self, connection: Connection) -> None:
        """Let the next one in at once. Raises ``psycopg.Error``."""
        execute(
            connection,
            "update audit.lease set expires_at = '-infinity' where name = %s and holder = %s",
            [self._name, self._holder],
        )
