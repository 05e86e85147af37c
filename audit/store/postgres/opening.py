"""Opening the log of a database: what must agree before this process may write a single record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from audit.errors import KeyRefused, StoreDamaged, StoreError
from audit.keys.ring import KeyRing
from audit.keys.services.port import KeyService
from audit.note import NoteRefused, NoteSigner, VerifierKey
from audit.settings import AuditSettings
from audit.store.credentials import check_new, open_keys, open_signer
from audit.store.disk import Disk
from audit.store.port import Identity
from audit.store.postgres.connection import Connection, check_durability, database_url, execute, plain_url
from audit.store.postgres.tables import CREATION_LOCK, lock_statement

STORE_FORMAT = 1
REVISION = "0002"  # of audit/migrations: the oldest schema that this code can work with


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A log that may be gone on with, as far as identity and keys go."""

    identity: Identity
    signer: NoteSigner
    ring: KeyRing


def checkpoint_path(directory: Path) -> Path:
    return directory / "checkpoint"


def keys_folder(directory: Path) -> Path:
    return directory / "keys"


def open_identity(settings: AuditSettings, connection: Connection, disk: Disk, clock: Callable[[], datetime]) -> Opened:
    """Check schema, identity and keys, making them for a new log. Of several processes that try at the same time, one
    makes the log and the others find it. Raises ``KeyRefused``, ``StoreDamaged``, ``StoreRolledBack``, ``StoreError``.
    """
    check_durability(connection)
    folder = keys_folder(settings.directory)
    for path in (settings.directory, folder):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if settings.witness_path is not None:
        settings.witness_path.parent.mkdir(parents=True, exist_ok=True)
    _ensure_schema(settings, connection)
    with connection.transaction():
        execute(connection, lock_statement(CREATION_LOCK))
        identity = read_identity(connection)
        is_new = identity is None
        kek = open_keys(settings, disk, is_new=is_new)
        signer = open_signer(settings, disk, is_new=is_new)
        if identity is None:
            identity = _create(settings, connection, signer, clock)
    if identity.verifier_key != signer.verifier_key:  # the key's name is the origin
        raise KeyRefused("the audit database belongs to another origin or signing key than the settings name")
    return Opened(identity=identity, signer=signer, ring=_ring(folder, kek, disk))


def _ring(folder: Path, kek: KeyService, disk: Disk) -> KeyRing:
    return KeyRing(folder, kek, disk)


def read_revision(connection: Connection) -> str | None:
    """The schema's revision; ``None`` if the database has none."""
    known = connection.execute("select to_regclass('audit.schema_version') is not null").fetchone()
    if known is None or not known[0]:
        return None
    found = connection.execute("select max(version_num) from audit.schema_version").fetchone()
    return str(found[0]) if found is not None and found[0] else None


def check_revision(connection: Connection) -> None:
    """Raises ``StoreError`` if the schema is missing or too old. A newer one will do: revisions only add."""
    revision = read_revision(connection)
    if revision is None:
        raise StoreError(
            "the audit database has no tables yet: run `python -m audit migrate URL`, or let a first start with "
            "create_keys make them"
        )
    if revision < REVISION:
        raise StoreError(
            f"the audit database is at schema revision {revision}, this version needs {REVISION}: "
            "run `python -m audit migrate URL` (versions that run now go on working)"
        )


def _ensure_schema(settings: AuditSettings, connection: Connection) -> None:
    if settings.create_keys and read_revision(connection) is None:
        # Only here, because SQLAlchemy and Alembic are not needed otherwise. It waits its turn by a lock of its own.
        from audit.migrations.migrate import upgrade

        upgrade(database_url(settings))
    check_revision(connection)


def read_identity(connection: Connection) -> Identity | None:
    """What the database says it is; ``None`` if no log was made in it. Raises ``StoreDamaged``."""
    found = execute(connection, "select format, origin, vkey, created_at from audit.identity").fetchone()
    if found is None:
        return None
    if found[0] != STORE_FORMAT:
        raise StoreDamaged(f"audit database: expected store format {STORE_FORMAT}, got {found[0]}")
    try:
        key = VerifierKey.parse(found[2])
    except (ValueError, NoteRefused):
        raise StoreDamaged("the audit database names a malformed public key") from None
    return Identity(origin=found[1], verifier_key=key, created_at=found[3])


def _create(
    settings: AuditSettings, connection: Connection, signer: NoteSigner, clock: Callable[[], datetime]
) -> Identity:
    taken = execute(connection, "select 1 from audit.day where end_seq > 0 limit 1").fetchone()
    if taken is not None:
        raise StoreDamaged("the audit database holds records but no identity")
    check_new(settings, signer.verifier_key)
    identity = Identity(origin=settings.origin, verifier_key=signer.verifier_key, created_at=clock())
    connection.execute(
        "insert into audit.identity (format, origin, vkey, created_at) values (%s, %s, %s, %s)",
        [STORE_FORMAT, identity.origin, str(identity.verifier_key), identity.created_at],
    )
    return identity


def is_database_url(target: str) -> bool:
    """Does this name a database rather than a directory?"""
    return plain_url(target).startswith("postgresql://")
