"""The attacks, as data: a name, what is done to each store, what verification must call it, the first bad record.

``Guard`` says how far an attack gets: what is nearest finds it. An attack on rows comes in three strengths :
as it is; with every hash and the tree recomputed; with the checkpoints that contradict it dropped as well.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit import AuditError
from audit.note import NoteSigner
from audit.record import Phase
from audit.row import Row
from audit.verify import Attack
from audit.vocabulary import LogEvent
from tests.dba.hands import checkpoint_before, rebuild_tree, recompute_all, renumbered, with_hashes, with_leaf
from tests.dba.victim import CHECKPOINTS, DAYS, ORIGIN, RECORDS, Victim, requests

Deed = Callable[[Victim], None]


class Guard(StrEnum):
    """What finds an attack, nearest first."""

    LEAF = "leaf"  # a record does not fit its leaf, its search entries, or the records around it
    CHECKPOINT = "checkpoint"  # the tree does not fit what was signed
    WITNESS = "witness"  # only what somebody else remembers contradicts the store
    OPENING = "opening"  # not covered by any checkpoint yet: the log, which has the day's keys, refuses to go on


@dataclass(frozen=True, kw_only=True)
class Case:
    """One attack."""

    name: str
    deed: Deed
    found_as: Attack | None  # None: by the log at its opening, which names the record
    first_bad: int | None  # None: it is about no single record
    guard: Guard
    through: int | None = None
    stores: tuple[str, ...] = ("SQLite", "PostgreSQL")
    is_replay: bool = False  # recomputing hides it from no one who counts heads and outcomes


def sql(files: str, database: str = "", *, day: str = DAYS[0]) -> Deed:
    """Statements for each store, several of them with ``;;`` between."""

    def deed(victim: Victim) -> None:
        statement = files if victim.store == "SQLite" else database
        assert victim.execute(statement, day) != 0, "the attack changed nothing"

    return deed


def tree_sql(files: str, database: str) -> Deed:
    def deed(victim: Victim) -> None:
        statement = files if victim.store == "SQLite" else database
        assert victim.execute_on_tree(statement) != 0, "the attack changed nothing"

    return deed


def on_rows(change: Callable[[list[Row]], list[Row]]) -> Deed:
    """Read all records, put others in their place."""

    def deed(victim: Victim) -> None:
        before = victim.rows()
        after = change(before[:])
        assert after != before, "the attack changed nothing"
        victim.put(after)

    return deed


def one(seq: int, **fields: object) -> Deed:
    """Set fields of one record."""
    return on_rows(lambda rows: [row._replace(**fields) if row.seq == seq else row for row in rows])


# -- deeds on rows


def _flip_a_bit(rows: list[Row]) -> list[Row]:
    content = bytearray(rows[17].content or b"")
    content[20] ^= 1
    rows[17] = rows[17]._replace(content=bytes(content))
    return rows


def _delete(rows: list[Row]) -> list[Row]:
    return rows[:17] + rows[18:]


def _delete_and_move_up(rows: list[Row]) -> list[Row]:
    return renumbered(rows[:16] + rows[18:])


def _insert(rows: list[Row]) -> list[Row]:
    extra = rows[4]._replace(event_id=uuid.UUID(int=7).bytes, seq=-1, head_seq=-1)
    return renumbered([*rows[:16], extra, *rows[16:]])


def _swap(rows: list[Row]) -> list[Row]:
    """Two whole requests, so that outcomes still follow their intents."""
    return renumbered([*rows[:12], *rows[14:16], *rows[12:14], *rows[16:]])


def _swap_two(rows: list[Row]) -> list[Row]:
    rows[12], rows[14] = rows[14]._replace(seq=12, head_seq=12), rows[12]._replace(seq=14, head_seq=14)
    return rows


def _renumber(rows: list[Row]) -> list[Row]:
    """Move a request to the end of its day, and all later ones up."""
    return renumbered([*rows[:16], *rows[18:40], *rows[16:18], *rows[40:]])


def _swap_ciphertexts(rows: list[Row]) -> list[Row]:
    rows[12], rows[14] = rows[12]._replace(content=rows[14].content), rows[14]._replace(content=rows[12].content)
    return rows


def _swap_ciphertexts_and_digests(rows: list[Row]) -> list[Row]:
    first, second = rows[12], rows[14]
    rows[12] = first._replace(content=second.content, content_digest=second.content_digest)
    rows[14] = second._replace(content=first.content, content_digest=first.content_digest)
    return rows


def _swap_tenants(rows: list[Row]) -> list[Row]:
    """Records 18 and 19 are of the tenant "other", 20 and 21 of "default"."""
    assert (rows[18].tenant, rows[20].tenant) == ("other", "default")
    for seq in (18, 19):
        rows[seq] = rows[seq]._replace(tenant="default")
    for seq in (20, 21):
        rows[seq] = rows[seq]._replace(tenant="other")
    return rows


def _truncate(rows: list[Row]) -> list[Row]:
    return rows[:34]


def _replay_an_intent(rows: list[Row]) -> list[Row]:
    copy = rows[4]._replace(seq=RECORDS, head_seq=RECORDS, counter=99)
    return [*rows, with_leaf(copy)]


def _replay_an_intent_in_the_middle(rows: list[Row]) -> list[Row]:
    """In the place of another request, so that numbers stay dense."""
    rows[24] = rows[4]._replace(seq=24, head_seq=24, counter=rows[24].counter)
    return rows


def _replay_an_outcome(rows: list[Row]) -> list[Row]:
    """Request 4 gets a second outcome: 25, which was that of 24."""
    rows[25] = rows[5]._replace(seq=25, counter=rows[25].counter)
    return rows


def _strip(*seqs: int) -> Callable[[list[Row]], list[Row]]:
    """Take out what a purge takes out."""

    def change(rows: list[Row]) -> list[Row]:
        nothing = dict.fromkeys(("index_salt", "terms", "authenticator", "subject", "content"))
        return [row._replace(**nothing) if row.seq in seqs else row for row in rows]

    return change


_FIRST_DAY = tuple(range(40))


def _purge_without_record(victim: Victim) -> None:
    on_rows(_strip(*_FIRST_DAY))(victim)
    victim.mark_purged(DAYS[0])


def _purge_with_forged_record(victim: Victim) -> None:
    """A record of the second day becomes the purge record that the first one lacks."""
    _purge_without_record(victim)
    rows = victim.rows()
    fields = {"phase": Phase.PURGE.value, "action": LogEvent.PURGE.value, "about": DAYS[0]}
    rows[44] = rows[44]._replace(**fields)
    rows[45] = rows[45]._replace(**fields, head_seq=45, event_id=uuid.UUID(int=9).bytes)
    victim.put(rows)


def _forge_an_announcement(victim: Victim) -> None:
    """The purge record is put behind the newest checkpoint, where no signature speaks against it."""
    _purge_without_record(victim)
    rows = victim.rows()
    forged = rows[44]._replace(
        seq=RECORDS,
        head_seq=RECORDS,
        event_id=uuid.UUID(int=9).bytes,
        phase=Phase.PURGE.value,
        action=LogEvent.PURGE.value,
        about=DAYS[0],
        counter=rows[45].counter + 1,
    )
    victim.put([*rows, with_hashes(forged)])


def _erase_more_than_was_asked(rows: list[Row]) -> list[Row]:
    return _strip(8, 9)(rows)


def _move_to_another_day(rows: list[Row]) -> list[Row]:
    return [row._replace(day=DAYS[1]) if row.seq in (16, 17) else row for row in rows]


# -- deeds on the whole


def _restore_backup(victim: Victim) -> None:
    restore = victim.backup()
    victim.use(requests(3, "evidence"))
    restore()


def _restore_and_go_on(victim: Victim) -> None:
    """Another history of the same length and more, signed by the log itself, which was started without its witness."""
    _restore_backup(victim)
    victim.use(requests(9, "mallory"), witness_path=None)


def _second_history(victim: Victim) -> None:
    """Back to record 30, checkpoints and all, and on from there without the witness: signed, consistent, another."""
    kept = victim.rows()[:30]
    victim.put(kept)
    rebuild_tree(victim, kept, keep_checkpoints=30)
    victim.use(requests(12, "mallory"), witness_path=None)


def _roll_back_checkpoint(victim: Victim) -> None:
    """Records and tree as they were at the checkpoint before."""
    kept = victim.rows()[:40]
    victim.put(kept)
    rebuild_tree(victim, kept, keep_checkpoints=40)


def _add_before_signed(victim: Victim) -> None:
    rows = victim.rows()
    extra = rows[44]._replace(
        seq=RECORDS,
        head_seq=RECORDS,
        event_id=uuid.UUID(int=8).bytes,
        phase=Phase.ADMIN.value,
        counter=rows[45].counter + 1,
    )
    victim.put([*rows, with_hashes(extra)])


def _add_and_say_it_was_purged(victim: Victim) -> None:
    """Without sealed parts there is nothing that an authenticator could be missing from."""
    _add_before_signed(victim)
    victim.put(_strip(RECORDS)(victim.rows()))


def _sign_all_anew(victim: Victim) -> None:
    """Change history and sign it with a key of one's own, which the store then names as the log's."""
    rows = [with_hashes(row._replace(effect="allow")) if row.seq == 23 else row for row in victim.rows()]
    victim.put(rows)
    root = rebuild_tree(victim, rows)
    signer = NoteSigner(ORIGIN, Ed25519PrivateKey.generate())
    victim.put_identity(signer.verifier_key)
    victim.sign_anew(signer, len(rows), root)


def _swallow_by_trigger(victim: Victim) -> None:
    """The database says that it stored the record, and did not."""
    if victim.store == "SQLite":
        victim.execute(
            "create trigger swallow before insert on record when new.effect = 'deny' begin select raise(ignore); end",
            DAYS[1],
        )
    else:
        victim.execute(
            "create function audit.swallow() returns trigger language plpgsql as"
            " $$ begin if new.effect = 'deny' then return null; end if; return new; end $$;;"
            " create trigger swallow before insert on audit.record_{day} for each row execute function audit.swallow()",
            DAYS[1],
        )
    with suppress(AuditError):
        victim.use(requests(2, "mallory", "deny"))


def _edit_by_trigger(victim: Victim) -> None:
    """The database stores another record than the one that it was given."""
    if victim.store == "SQLite":
        victim.execute(
            "create trigger edit after insert on record when new.effect = 'deny'"
            " begin update record set effect = 'allow' where seq = new.seq; end",
            DAYS[1],
        )
    else:
        victim.execute(
            "create function audit.edit() returns trigger language plpgsql as"
            " $$ begin if new.effect = 'deny' then new.effect := 'allow'; end if; return new; end $$;;"
            " create trigger edit before insert on audit.record_{day} for each row execute function audit.edit()",
            DAYS[1],
        )
    with suppress(AuditError):
        victim.use(requests(2, "mallory", "deny"))


_A = Attack
_ON_ROWS = [
    Case(name="bit flip", deed=on_rows(_flip_a_bit), found_as=_A.CIPHERTEXT_CHANGED, first_bad=17, guard=Guard.LEAF),
    Case(name="deleted row", deed=on_rows(_delete), found_as=_A.ROW_MISSING, first_bad=17, guard=Guard.LEAF),
    Case(name="deleted, later ones moved up", deed=on_rows(_delete_and_move_up), found_as=_A.ROW_MISSING,
         first_bad=16, guard=Guard.LEAF),
    Case(name="swapped requests", deed=on_rows(_swap), found_as=_A.ROW_MISSING, first_bad=12, guard=Guard.LEAF),
    Case(name="inserted row", deed=on_rows(_insert), found_as=_A.ROW_INSERTED, first_bad=16, guard=Guard.LEAF),
    Case(name="renumbered", deed=on_rows(_renumber), found_as=_A.ROW_MISSING, first_bad=16, guard=Guard.LEAF),
    Case(name="truncated", deed=on_rows(_truncate), found_as=_A.TRUNCATED, first_bad=34, guard=Guard.CHECKPOINT),
    Case(name="swapped ciphertexts", deed=on_rows(_swap_ciphertexts), found_as=_A.CIPHERTEXT_CHANGED, first_bad=12,
         guard=Guard.LEAF),
    Case(name="swapped ciphertexts and digests", deed=on_rows(_swap_ciphertexts_and_digests),
         found_as=_A.ENVELOPE_CHANGED, first_bad=12, guard=Guard.LEAF),
    Case(name="swapped tenant", deed=on_rows(_swap_tenants), found_as=_A.ENVELOPE_CHANGED, first_bad=18,
         guard=Guard.LEAF),
    Case(name="changed effect", deed=one(3, effect="allow"), found_as=_A.ENVELOPE_CHANGED, first_bad=3,
         guard=Guard.LEAF),
    Case(name="changed reason", deed=one(3, reasons=""), found_as=_A.ENVELOPE_CHANGED, first_bad=3, guard=Guard.LEAF),
    Case(name="changed time", deed=one(8, recorded_at=1), found_as=_A.ENVELOPE_CHANGED, first_bad=8, guard=Guard.LEAF),
    Case(name="changed credits", deed=one(9, credits=0 - 5), found_as=_A.ENVELOPE_CHANGED, first_bad=9,
         guard=Guard.LEAF),
    Case(name="changed tokens (hidden from searches)", deed=one(9, terms=bytes(16)), found_as=_A.INDEX_CHANGED,
         first_bad=9, guard=Guard.LEAF),
    Case(name="replayed intent", deed=on_rows(_replay_an_intent_in_the_middle), found_as=_A.ORDER_CHANGED,
         first_bad=24, guard=Guard.LEAF, is_replay=True),
    Case(name="replayed outcome", deed=on_rows(_replay_an_outcome), found_as=_A.ORDER_CHANGED, first_bad=25,
         guard=Guard.LEAF, is_replay=True),
    Case(name="moved to another day", deed=on_rows(_move_to_another_day), found_as=_A.ENVELOPE_CHANGED, first_bad=16,
         guard=Guard.LEAF),
]  # fmt: skip
_OTHERS = [
    Case(name="swapped rows", deed=on_rows(_swap_two), found_as=_A.ORDER_CHANGED, first_bad=12, guard=Guard.LEAF),
    Case(name="ciphertext emptied", guard=Guard.LEAF, found_as=_A.CIPHERTEXT_CHANGED, first_bad=17,
         deed=sql("update sealed set content = zeroblob(0) where seq = 17",
                  "update audit.sealed_{day}_standard set content = '' where seq = 17")),
    Case(name="sealed row deleted", guard=Guard.LEAF, found_as=_A.CIPHERTEXT_CHANGED, first_bad=17,
         deed=sql("delete from sealed where seq = 17"), stores=("SQLite",)),
    Case(name="sealed row deleted", guard=Guard.LEAF, found_as=_A.CONTENT_REMOVED, first_bad=17, through=17,
         deed=sql("", "delete from audit.sealed_{day}_standard where seq = 17"), stores=("PostgreSQL",)),
    Case(name="changed digest", guard=Guard.LEAF, found_as=_A.CIPHERTEXT_CHANGED, first_bad=9,
         deed=one(9, content_digest=bytes(32))),
    Case(name="hidden from searches by reason", guard=Guard.LEAF, found_as=_A.INDEX_CHANGED, first_bad=11,
         deed=sql("delete from reason where head_seq = 10", "delete from audit.reason_{day} where head_seq = 10")),
    Case(name="hidden from searches by person", guard=Guard.LEAF, found_as=_A.INDEX_CHANGED, first_bad=8,
         deed=sql("delete from term where head_seq = 8"), stores=("SQLite",)),
    Case(name="false entry in the search table", guard=Guard.LEAF, found_as=_A.INDEX_CHANGED, first_bad=None,
         deed=sql("insert into reason values ('dlp.card', 4)",
                  "insert into audit.reason_{day} values ('dlp.card', 4)")),
    Case(name="number given twice", guard=Guard.LEAF, found_as=_A.REPLAYED, first_bad=RECORDS,
         deed=on_rows(_replay_an_intent)),
    Case(name="erased without a record", guard=Guard.LEAF, found_as=_A.CONTENT_REMOVED, first_bad=8, through=9,
         deed=on_rows(_erase_more_than_was_asked)),
    Case(name="purged without a record", guard=Guard.LEAF, found_as=_A.CONTENT_REMOVED, first_bad=0, through=39,
         deed=_purge_without_record),
    Case(name="said to be purged, and is not", guard=Guard.LEAF, found_as=_A.CONTENT_REMOVED, first_bad=0,
         deed=lambda victim: victim.mark_purged(DAYS[0])),
    Case(name="purged with a forged record", guard=Guard.LEAF, found_as=_A.CONTENT_REMOVED, first_bad=0, through=39,
         deed=_purge_with_forged_record),
    Case(name="purged with a forged record, not yet signed", guard=Guard.LEAF, found_as=_A.CONTENT_REMOVED,
         first_bad=0, through=39, deed=_forge_an_announcement),
    Case(name="added before it is signed", guard=Guard.OPENING, found_as=None, first_bad=RECORDS,
         deed=_add_before_signed),
    Case(name="added before it is signed, sealed parts gone", guard=Guard.LEAF, found_as=_A.CONTENT_REMOVED,
         first_bad=RECORDS, deed=_add_and_say_it_was_purged),
    Case(name="swallowed by a trigger", guard=Guard.LEAF, found_as=_A.ROW_MISSING, first_bad=RECORDS + 1,
         deed=_swallow_by_trigger),
    Case(name="changed by a trigger", guard=Guard.LEAF, found_as=_A.ENVELOPE_CHANGED, first_bad=RECORDS + 1,
         deed=_edit_by_trigger),
    Case(name="leaf changed in its tile", guard=Guard.LEAF, found_as=_A.HISTORY_REWRITTEN, first_bad=0,
         through=9,
         deed=tree_sql("update tile set hashes = cast(substr(hashes, 1, 160) || zeroblob(32) || substr(hashes, 193)"
                       " as blob) where level = 0",
                       "update audit.tile set hashes = overlay(hashes placing sha256('x') from 161 for 32)"
                       " where level = 0")),
    Case(name="tile cut short", guard=Guard.CHECKPOINT, found_as=_A.TREE_CHANGED, first_bad=0,
         deed=tree_sql("update tile set hashes = substr(hashes, 1, 64) where level = 0",
                       "update audit.tile set hashes = substr(hashes, 1, 64) where level = 0")),
    Case(name="tiles removed", guard=Guard.CHECKPOINT, found_as=_A.TREE_CHANGED, first_bad=0,
         deed=tree_sql("delete from tile", "delete from audit.tile")),
    Case(name="checkpoint's root changed", guard=Guard.CHECKPOINT, found_as=_A.CHECKPOINT_FORGED, first_bad=None,
         deed=tree_sql("update checkpoint set root = zeroblob(32) where size = 30",
                       "update audit.checkpoint set root = sha256('x') where size = 30")),
    # Nothing is lost: every record is there and signed.
    Case(name="tree said to be smaller", guard=Guard.OPENING, found_as=None, first_bad=None,
         deed=tree_sql("update meta set value = 45 where key = 'size'", "update audit.tree set size = 45")),
    Case(name="sequence set back", guard=Guard.OPENING, found_as=None, first_bad=None, stores=("PostgreSQL",),
         deed=tree_sql("", "update audit.seqcoord set next = 40")),
    Case(name="sequence set forward", guard=Guard.OPENING, found_as=None, first_bad=RECORDS, stores=("PostgreSQL",),
         deed=tree_sql("", "update audit.seqcoord set next = 50")),
    Case(name="rolled back with its checkpoint", guard=Guard.WITNESS, found_as=_A.ROLLED_BACK, first_bad=40,
         deed=_roll_back_checkpoint),
    Case(name="restored backup", guard=Guard.WITNESS, found_as=_A.ROLLED_BACK, first_bad=RECORDS,
         deed=_restore_backup),
    Case(name="restored backup, gone on with", guard=Guard.WITNESS, found_as=_A.ROLLED_BACK, first_bad=RECORDS,
         deed=_restore_and_go_on),
    Case(name="second history, signed by the log", guard=Guard.WITNESS, found_as=_A.ROLLED_BACK, first_bad=30,
         deed=_second_history),
    Case(name="signed anew with another key", guard=Guard.CHECKPOINT, found_as=_A.CHECKPOINT_FORGED, first_bad=None,
         deed=_sign_all_anew),
]  # fmt: skip


def recomputed(case: Case) -> Case:
    """The same by somebody who then recomputes every hash and the whole tree: the checkpoints contradict it."""

    def deed(victim: Victim) -> None:
        case.deed(victim)
        recompute_all(victim)

    changed = case.first_bad
    assert changed is not None
    before = checkpoint_before(changed)
    if case.found_as is Attack.TRUNCATED:
        return replace(case, name=f"{case.name}, recomputed", deed=deed, guard=Guard.CHECKPOINT)
    return replace(
        case,
        name=f"{case.name}, recomputed",
        deed=deed,
        found_as=Attack.HISTORY_REWRITTEN,
        first_bad=before,
        through=_checkpoint_after(before) - 1,  # between the checkpoints around it: nothing finer is signed
        guard=Guard.LEAF if case.is_replay else Guard.CHECKPOINT,
    )


def without_checkpoints(case: Case) -> Case:
    """The same by somebody who also drops the checkpoints that contradict it: only the witness remembers."""
    changed = case.first_bad
    assert changed is not None
    before = checkpoint_before(changed)

    def deed(victim: Victim) -> None:
        case.deed(victim)
        rebuild_tree(victim, recompute_all(victim), keep_checkpoints=before)

    made = replace(case, name=f"{case.name}, recomputed, checkpoints dropped", deed=deed)
    if case.is_replay:
        return replace(made, found_as=Attack.REPLAYED)
    if case.found_as is Attack.TRUNCATED:
        return replace(made, found_as=Attack.ROLLED_BACK, guard=Guard.WITNESS)
    return replace(
        made,
        found_as=Attack.ROLLED_BACK,
        first_bad=before,
        through=_checkpoint_after(before) - 1,
        guard=Guard.WITNESS,
    )


def _checkpoint_after(size: int) -> int:
    return min(other for other in CHECKPOINTS if other > size)


CASES = [
    *_ON_ROWS,
    *_OTHERS,
    *(recomputed(case) for case in _ON_ROWS),
    *(without_checkpoints(case) for case in _ON_ROWS),
]
