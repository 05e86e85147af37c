"""Lists of erasures in the database, where a log has no directory of its own for its records."""

from __future__ import annotations

from sqlalchemy import insert, select

from audit.governance.database import GovernanceDatabase
from audit.governance.tables import ERASURE_LIST


class DatabaseErasureLists:
    """See ``coverage.ErasureLists``. Blocks."""

    def __init__(self, database: GovernanceDatabase) -> None:
        self._database = database

    def get(self, event_id: str) -> bytes | None:
        with self._database.transaction() as connection:
            found = connection.execute(select(ERASURE_LIST.c.seqs).where(ERASURE_LIST.c.event_id == event_id)).scalar()
        return None if found is None else bytes(found)

    def put(self, event_id: str, canonical: bytes) -> None:
        with self._database.transaction() as connection:
            connection.execute(insert(ERASURE_LIST).values(event_id=event_id, seqs=canonical))

    def event_ids(self) -> list[str]:
        with self._database.transaction() as connection:
            return list(connection.execute(select(ERASURE_LIST.c.event_id).order_by(ERASURE_LIST.c.event_id)).scalars())
