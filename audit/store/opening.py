"""Which store the settings mean."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from audit.settings import AuditSettings
from audit.store.disk import Disk
from audit.store.files.store import FilesStore
from audit.store.port import Store


def open_store(
    settings: AuditSettings, clock: Callable[[], datetime], disk: Disk, *, read_snapshot: bool = False
) -> Store:
    """Open or create the store and start its threads. Blocks. Raises what the store raises."""
    store: Store
    if settings.database_url is None:
        store = FilesStore.open(settings, clock, disk, read_snapshot=read_snapshot)
    else:
        # Imported only where it is chosen: psycopg is an optional part of the installation.
        from audit.store.postgres.store import PostgresStore

        store = PostgresStore.open(settings, clock, disk, read_snapshot=read_snapshot)
    store.start()
    return store
