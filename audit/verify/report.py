"""What a verification found."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

MAX_FINDINGS = 100  # one change of the order makes every later record differ; the first ones tell


class Attack(StrEnum):
    """What happened to a log, as far as can be told from what is left."""

    CIPHERTEXT_CHANGED = "ciphertext changed"
    ENVELOPE_CHANGED = "envelope changed"
    INDEX_CHANGED = "search index changed"
    ROW_MISSING = "row missing"
    ROW_INSERTED = "row inserted"
    ORDER_CHANGED = "order changed"
    REPLAYED = "record replayed"
    CONTENT_REMOVED = "content removed without a purge record"
    TREE_CHANGED = "tree changed"
    HISTORY_REWRITTEN = "history rewritten"
    TRUNCATED = "truncated below checkpoint"
    ROLLED_BACK = "rolled back before witnessed checkpoint"
    CHECKPOINT_FORGED = "checkpoint not signed by the key"
    UNREADABLE = "file cannot be read"
    PRUNED_UNSEEN = "records removed without a prune record"
    WITNESS_MISSING = "too few witnesses"
    MALFORMED = "not as the log writes it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong. ``seq`` is the first record concerned; ``through`` the last, where that is a range."""

    attack: Attack
    detail: str
    seq: int | None = None
    through: int | None = None
    event_id: str | None = None


@dataclass(slots=True)
class Report:
    """Result of one verification. Grows while it runs."""

    subject: str
    origin: str = ""
    vkey: str = ""
    vkey_was_given: bool = False
    records: int = 0
    checkpoints: int = 0
    witnessed: int = 0
    covered_size: int = 0  # size of the newest checkpoint that holds
    root: bytes = b""  # its root, where there is only one
    uncovered: int = 0  # records that no checkpoint covers yet
    complete: bool | None = None  # of evidence: every record that the log has, or some; None for anything else
    first_record: int = 0  # the log was pruned up to here; before it only hashes are left
    erased: int = 0  # records whose content was erased on request
    cosigned: dict[str, str] = field(default_factory=dict)  # witnesses that cosigned what was checked, and when
    purged_days: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    suppressed: int = 0  # findings beyond MAX_FINDINGS
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.findings

    @property
    def first_bad(self) -> Finding | None:
        """The finding with the smallest sequence number; one without a number only if there is no other."""
        numbered = [finding for finding in self.findings if finding.seq is not None]
        if numbered:
            return min(numbered, key=lambda finding: finding.seq if finding.seq is not None else 0)
        return self.findings[0] if self.findings else None

    def add(
        self,
        attack: Attack,
        detail: str,
        *,
        seq: int | None = None,
        through: int | None = None,
        event_id: str | None = None,
    ) -> None:
        if len(self.findings) >= MAX_FINDINGS:
            self.suppressed += 1
            return
        self.findings.append(Finding(attack=attack, detail=detail, seq=seq, through=through, event_id=event_id))

    def to_json(self) -> dict[str, object]:
        """For ``--json``."""
        first = self.first_bad
        return {
            "ok": self.ok,
            "subject": self.subject,
            "origin": self.origin,
            "vkey": self.vkey,
            "vkey_was_given": self.vkey_was_given,
            "records": self.records,
            "checkpoints": self.checkpoints,
            "witnessed": self.witnessed,
            "covered_size": self.covered_size,
            "uncovered": self.uncovered,
            "complete": self.complete,
            "first_record": self.first_record,
            "erased": self.erased,
            "cosigned": self.cosigned,
            "purged_days": self.purged_days,
            "first_bad_seq": first.seq if first else None,
            "first_bad_event_id": first.event_id if first else None,
            "findings": [
                {
                    "attack": finding.attack.value,
                    "detail": finding.detail,
                    "seq": finding.seq,
                    "through": finding.through,
                    "event_id": finding.event_id,
                }
                for finding in self.findings
            ],
            "suppressed_findings": self.suppressed,
            "notes": self.notes,
        }
