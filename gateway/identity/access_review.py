"""Who has what, since when, through what and last used; and what nobody seems to need or answer for any more.

For the review that a company owes its auditors (ISO/IEC 27001:2022, A.5.18; NIST SP 800-53 r5, AC-2(j)): read by those
who may, as a page, as JSON, or as a table for a spreadsheet.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import select

from gateway.identity.api_keys import ApiKeys, KeyInfo
from gateway.identity.authenticate import answering
from gateway.identity.roles import RoleMap
from gateway.identity.roster import Entry, Roster
from gateway.identity.service_accounts import ServiceAccount, ServiceAccounts
from gateway.identity.tables import proposals
from gateway.settings import IdentitySettings
from gateway.storage.database import Database
from gateway.vocabulary import Role

UNUSED_DAYS: Final = 90
DECISIONS: Final = 1000
"""So many of the newest decisions are listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One line of the review: one thing that somebody has or did. Times are ISO 8601, empty = never or none."""

    kind: str
    """`role`, `conflict`, `key`, `service`, `service-key`, `decision`."""
    who: str
    name: str
    department: str = ""
    status: str = ""
    what: str
    through: str = ""
    since: str = ""
    last_used: str = ""
    expires: str = ""
    answers: str = ""
    """Who answers for it, where that is somebody else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """Something to look at. `kind` is for machines, `says` for people."""

    kind: str
    who: str
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """The whole, as of one moment."""

    at: datetime
    version: int
    """Of the role mapping."""
    holdings: tuple[Holding, ...]
    remarks: tuple[Remark, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "object": "organization.access_review",
            "at": self.at.isoformat(),
            "mapping_version": self.version,
            "holdings": [asdict(holding) for holding in self.holdings],
            "remarks": [asdict(remark) for remark in self.remarks],
        }

    def as_csv(self) -> str:
        """RFC 4180, remarks after the holdings. No cell begins a formula: a name or group is somebody else's text, and
        spreadsheets run what looks like one (OWASP, CSV Injection)."""
        columns = list(Holding.__slots__)
        out = io.StringIO()
        writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
        writer.writerow(columns)
        for holding in self.holdings:
            writer.writerow([harmless(str(getattr(holding, column))) for column in columns])
        for remark in self.remarks:
            cells = {"kind": "remark", "who": remark.who, "what": remark.kind, "through": remark.says}
            writer.writerow([harmless(cells.get(column, "")) for column in columns])
        return out.getvalue()


class AccessReview:
    """Collects it."""

    def __init__(
        self,
        *,
        database: Database,
        settings: IdentitySettings,
        roles: RoleMap,
        roster: Roster,
        accounts: ServiceAccounts,
        keys: ApiKeys,
        clock: Callable[[], datetime],
        version: Callable[[], int],
    ) -> None:
        self._database = database
        self._settings = settings
        self._roles = roles
        self._roster = roster
        self._accounts = accounts
        self._keys = keys
        self._clock = clock
        self._version = version

    @answering()
    async def collect(self, *, unused_days: int = UNUSED_DAYS) -> Review:
        """All of it, now. Who was not seen, and what was not used, for `unused_days` is remarked on."""
        now = self._clock()
        async with self._database.reading() as tx:
            everybody = await self._roster.everybody(tx)
            decided = (
                select(proposals)
                .where(proposals.c.decided_by.is_not(None), proposals.c.status.in_(("approved", "rejected")))
                .order_by(proposals.c.decided_at.desc())
                .limit(DECISIONS)
            )
            decisions = (await tx.execute(decided)).all()
        services = [(account, await self._live_keys(account, now)) for account in await self._accounts.list()]
        names = {entry.person.id: entry.person.display_name for entry in everybody}
        holdings = [holding for entry in everybody for holding in _of_person(entry)]
        for account, keys in services:
            holdings += self._of_service(account, keys, now)
        holdings += [
            Holding(
                kind="decision",
                who=row.decided_by,
                name=names.get(row.decided_by, ""),
                what=f"{row.status} {row.kind}",
                through=row.id,
                since=_iso(row.decided_at),
                answers=row.proposed_by,
            )
            for row in decisions
        ]
        since = now - timedelta(days=unused_days)
        remarks = [*self._about_people(everybody, since, unused_days), *self._about_groups(everybody)]
        for account, keys in services:
            remarks += self._about_service(account, keys, now, since, unused_days)
        return Review(at=now, version=self._version(), holdings=tuple(holdings), remarks=tuple(remarks))

    async def _live_keys(self, account: ServiceAccount, now: datetime) -> Sequence[KeyInfo]:
        return [key for key in await self._keys.of(account.id) if key.revoked_at is None and key.expires_at > now]

    def _of_service(self, account: ServiceAccount, keys: Sequence[KeyInfo], now: datetime) -> Iterator[Holding]:
        fault = account.fault(now, self._settings.groups_max_age_days)
        answers = f"{account.owner.display_name} ({account.owner.id})"
        used = [key.used_at for key in keys if key.used_at is not None]
        yield Holding(
            kind="service",
            who=account.id,
            name=account.name,
            status=fault or "active",
            what=" ".join(sorted(account.terms.scopes)) or "nothing",
            through=f"proposed by {account.created_by}, approved by {account.approved_by}",
            since=_iso(account.created_at),
            last_used=_iso(max(used, default=None)),
            answers=answers,
        )
        for key in keys:
            yield _of_key("service-key", account.id, account.name, key, answers=answers)

    def _about_people(self, everybody: Sequence[Entry], since: datetime, days: int) -> Iterator[Remark]:
        for entry in everybody:
            person = entry.person
            if entry.conflicts:
                yield Remark(
                    kind="roles-conflict",
                    who=person.id,
                    says=f"Their groups name {' and '.join(sorted(entry.conflicts))}: they have neither.",
                )
            if entry.roles and entry.status == "active" and entry.last_seen < since:
                yield Remark(
                    kind="not-seen", who=person.id, says=f"No sign-in for {days} days, and still in groups with roles."
                )
            for key in entry.keys:
                if entry.status != "active":
                    says = f"The key {key.id} ({key.name}) rests: its owner is {entry.status}."
                    yield Remark(kind="key-without-owner", who=person.id, says=says)
                elif (key.used_at or key.created_at) < since:
                    says = f"The key {key.id} ({key.name}) was not used for {days} days."
                    yield Remark(kind="key-unused", who=person.id, says=says)

    def _about_groups(self, everybody: Sequence[Entry]) -> Iterator[Remark]:
        held = {group for entry in everybody if entry.status == "active" for group in entry.person.groups}
        for group, roles in sorted(self._roles.in_force.items()):
            if group not in held:
                says = f"Gives {', '.join(sorted(roles))}, and nobody whom we know is in it."
                yield Remark(kind="group-without-people", who=group, says=says)
        admins = [entry for entry in everybody if Role.ADMIN in entry.roles and entry.status == "active"]
        if len(admins) < 2:
            says = f"{len(admins)} active people have the role: what takes two can't be done."
            yield Remark(kind="too-few-admins", who=Role.ADMIN.value, says=says)

    def _about_service(
        self, account: ServiceAccount, keys: Sequence[KeyInfo], now: datetime, since: datetime, days: int
    ) -> Iterator[Remark]:
        fault = account.fault(now, self._settings.groups_max_age_days)
        if fault in ("service-orphaned", "owner-not-seen"):
            cause = "is not active" if fault == "service-orphaned" else "has not signed in for long"
            says = f"Nobody answers for it: its owner {account.owner.id} {cause}."
            yield Remark(kind="service-without-owner", who=account.id, says=says)
        for key in keys:
            if (key.used_at or key.created_at) < since:
                says = f"The key {key.id} ({key.name}) was not used for {days} days."
                yield Remark(kind="key-unused", who=account.id, says=says)


def harmless(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula: text in one line, with `'` before what could begin one."""
    line = "".join(character if character.isprintable() else " " for character in cell)
    return f"'{line}" if line.lstrip()[:1] in _FORMULAS else line


_FORMULAS: Final = frozenset("=+-@|%＝＋－＠")


def _of_person(entry: Entry) -> Iterator[Holding]:
    person = entry.person
    for role, groups in entry.through.items():
        yield Holding(
            kind="conflict" if role in entry.conflicts else "role",
            who=person.id,
            name=person.display_name,
            department=person.department,
            status=entry.status,
            what=role.value,
            through=", ".join(groups),
            since=_iso(entry.first_seen),
            last_used=_iso(max(entry.last_seen, entry.last_used or entry.last_seen)),
        )
    for key in entry.keys:
        yield _of_key("key", person.id, person.display_name, key, department=person.department, status=entry.status)


def _of_key(kind: str, who: str, name: str, key: KeyInfo, **more: str) -> Holding:
    return Holding(
        kind=kind,
        who=who,
        name=name,
        what=" ".join(sorted(key.scopes)) or "nothing",
        through=f"{key.id} {key.name}",
        since=_iso(key.created_at),
        last_used=_iso(key.used_at),
        expires=_iso(key.expires_at),
        **more,
    )


def _iso(at: datetime | None) -> str:
    return "" if at is None else at.isoformat(timespec="seconds")
