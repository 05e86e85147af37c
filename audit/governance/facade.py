"""Cases, holds, erasures and subject access of one open log, put together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

from audit.errors import ContentDestroyed
from audit.governance.acts import Acts, Record
from audit.governance.cases import Cases
from audit.governance.coverage import ErasureLists, FileErasureLists
from audit.governance.database import GovernanceDatabase
from audit.governance.database_lists import DatabaseErasureLists
from audit.governance.erased import ErasedEvents
from audit.governance.erasure import Erasures
from audit.governance.hold_keys import HoldKeys
from audit.governance.holds import Holds
from audit.governance.keys import GovernanceKeys
from audit.governance.ledger import Ledger, Register
from audit.governance.names import ERASED_NAME, LISTS_FOLDER, REGISTER_NAME
from audit.governance.officer import MfaRule
from audit.governance.records import RowOpener, StoreRecords
from audit.governance.scope import RecordFacts
from audit.governance.settling import Settling
from audit.governance.subject_access import SubjectAccess
from audit.governance.subject_requests import SubjectRequestKind, SubjectRequests
from audit.governance.wrapped import KeyWrapper
from audit.record import Subject
from audit.row import Row
from audit.store.disk import Disk
from audit.store.port import Store


class Governance:
    """Everything about who may look, what must stay and what must go. Costs nothing until it is used first: without a
    case, hold or request there is no database, no key and no list."""

    def __init__(
        self,
        *,
        store: Store,
        record: Record,
        clock: Callable[[], datetime],
        database: GovernanceDatabase,
        keys: GovernanceKeys,
        hold_keys: HoldKeys,
        register: Register,
        erased: ErasedEvents,
        lists: ErasureLists,
        mfa: MfaRule,
        settling: Settling,
    ) -> None:
        """Use ``open``."""
        self._store = store
        self._keys = keys
        self._hold_keys = hold_keys
        self._ledger = Ledger(database, keys, register)
        acts = Acts(record, clock, mfa)
        self.erased = erased
        self.lists = lists
        self.cases = Cases(self._ledger, acts)
        self.settling = settling
        self.holds = Holds(self._ledger, acts, hold_keys, erased, settling)
        self.opener = RowOpener(store.ring, self.holds, erased)
        self._records = StoreRecords(store, self.holds, self.opener)
        self.erasures = Erasures(
            SubjectRequests(self._ledger, acts, SubjectRequestKind.ERASURE),
            acts,
            records=self._records,
            holds=self.holds,
            ring=store.ring,
            erased=erased,
            lists=lists,
            settling=settling,
        )
        self.subject_access = SubjectAccess(
            SubjectRequests(self._ledger, acts, SubjectRequestKind.EXPORT), acts, self._records, self.opener
        )

    @classmethod
    def open(
        cls,
        store: Store,
        *,
        record: Record,
        clock: Callable[[], datetime],
        directory: Path,
        wrapper: KeyWrapper,
        disk: Disk | None = None,
        database_url: str | None = None,
        mfa: MfaRule | None = None,
    ) -> Governance:
        """Over an open store. ``directory`` is the log's: ``keys/`` there holds the keys and lists of this too.

        Without ``database_url`` the tables are in ``governance.sqlite`` there. Reads and writes nothing yet.
        """
        disk = disk or Disk()
        folder = directory / "keys"
        database = GovernanceDatabase(database_url) if database_url else GovernanceDatabase.beside(directory)
        lists = DatabaseErasureLists(database) if database_url else FileErasureLists(directory / LISTS_FOLDER, disk)
        return cls(
            store=store,
            record=record,
            clock=clock,
            database=database,
            keys=GovernanceKeys(folder, wrapper, disk),
            hold_keys=HoldKeys(folder, wrapper, disk),
            register=Register(folder / REGISTER_NAME, disk),
            erased=ErasedEvents(folder / ERASED_NAME, disk),
            lists=lists,
            mfa=mfa or MfaRule(),
            settling=Settling(folder),
        )

    def close(self) -> None:
        """Forget keys, close the database. Blocks briefly; safe to repeat."""
        self._hold_keys.wipe()
        self._ledger.close()

    def escrow(self, day: date, class_: str) -> frozenset[int]:
        """What retention calls before it destroys the keys of a day and class: keeps the keys of held records, and
        returns the records whose ciphertexts must stay. Once the keys are gone it answers from what it keeps.

        Called inside ``settling.alone()``, with the destruction: a hold placed in between would keep nothing.
        Whatever it raises must stop that purge. Safe to repeat. Blocks; call it from a thread without an event loop.
        """
        holds = [hold for hold in self.holds.keeping() if hold.scope.includes_day(day)]
        ring = self._store.ring
        live = [hold for hold in holds if class_ in ring.scopes(day, hold.tenant)]
        rows = asyncio.run(self._records.held_candidates(day, class_, live)) if live else []
        try:
            return self.holds.escrow_day(day, class_, rows, lambda tenant: ring.get(day, tenant, class_))
        except ContentDestroyed:  # an earlier purge was cut short after the keys: what it kept is kept
            return self.holds.held_seqs(day, class_)

    @staticmethod
    def facts(row: Row, subject: Subject | None) -> RecordFacts:
        """What a case's scope is compared with; ``row`` is the head of the event."""
        envelope = row.envelope()
        return RecordFacts(
            event_id=envelope.event_id,
            tenant=envelope.tenant,
            action=envelope.action,
            created_at=envelope.recorded_at,
            actor=subject.actor if subject else None,
        )
