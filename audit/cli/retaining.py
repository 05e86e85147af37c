"""Commands about retention: what is due, held and gone; purging by hand; telling a waiting worker that the clock is
right; rehearsing a restore."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

from audit.cli.common import AsJson, Now, errors_as_exit_codes, moment, plain, print_json
from audit.cli.log_options import DatabaseUrlFile, LogFolder, LogOptions, identity_of, takes_log
from audit.cli.opened import with_log
from audit.drill import RestoreDrill
from audit.errors import StoreError
from audit.keys.destroyed import DestroyedDays, PurgeStep, Scope, ScopeState
from audit.keys.folder import KeyFolder
from audit.log import AuditLog
from audit.retention import ListedRetention, PurgeReceipt, RetentionRules
from audit.retention.clock import QUIET, ClockConfirmation
from audit.retention.receipts import read_receipts
from audit.store.disk import Disk
from audit.store.files.layout import Layout
from audit.store.moment import open_moment

RetentionDays = Annotated[int, typer.Option(help="Whole days that content stays readable.")]
Classes = Annotated[
    list[str] | None,
    typer.Option("--class", metavar="NAME=DAYS", help="A class that is kept otherwise; may be repeated."),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeLine:
    """What the command says of one class of one day."""

    day: date
    class_: str
    records: int
    readable: bool  # are there keys that may be used?
    sealed: int  # records whose sealed parts are still in the store
    due_at: datetime
    destroyed_at: datetime | None
    freed_at: datetime | None
    purge_event_id: str | None

    def state(self, now: datetime) -> str:
        """In words."""
        if self.destroyed_at is None:
            return "DUE: purge is overdue" if self.due_at <= now else f"readable until {self.due_at:%Y-%m-%d %H:%M}Z"
        if self.freed_at is None:
            return f"keys destroyed {self.destroyed_at:%Y-%m-%d %H:%M:%S}Z, space not freed yet"
        held = f", {self.sealed:,} held" if self.sealed else ""
        return f"gone since {self.destroyed_at:%Y-%m-%d %H:%M:%S}Z{held}"


@takes_log
def purge(
    store: LogFolder,
    given: LogOptions,
    retention_days: RetentionDays = 30,
    classes: Classes = None,
    clock_is_right: Annotated[
        bool, typer.Option("--clock-is-right", help="Purge although the log's newest record is more than a day old.")
    ] = False,
    now: Now = None,
    as_json: AsJson = False,
) -> None:
    """Destroy what is past retention: keys first, then space. The gateway does this by itself; safe to repeat.

    Example: python -m audit purge /var/lib/imprimatur/audit --kek audit.kek --signing-key audit-signing.pem
    """
    with errors_as_exit_codes():
        rules = _rules(retention_days, classes)
        is_vouched_for = clock_is_right or now is not None

        async def work(log: AuditLog) -> list[PurgeReceipt]:
            if not is_vouched_for:
                _require_plausible_clock(log.newest_record_at_start, moment(now))
            return await log.purge()

        receipts = with_log(
            store,
            given,
            now,
            work,
            retention_days=rules.default_days,
            retention_days_by_class=rules.days_by_class,
        )
    if as_json:
        print_json([plain(receipt) for receipt in receipts])
        return
    for receipt in receipts:
        what = str(Scope(receipt.day, receipt.class_))
        freed = "space freed" if receipt.space_freed else "space not freed yet: run it again"
        held = f", {receipt.held:,} held" if receipt.held else ""
        typer.echo(f"{what}: {receipt.keys_destroyed} key(s) destroyed, {receipt.records:,} records{held}, {freed}")
    typer.echo(f"{len({receipt.day for receipt in receipts})} day(s) purged")


def retention(
    store: LogFolder,
    retention_days: RetentionDays = 30,
    classes: Classes = None,
    everything: Annotated[bool, typer.Option("--all", help="List days that are gone for good, too.")] = False,
    confirm_clock: Annotated[
        bool,
        typer.Option(
            "--confirm-clock",
            help="Tell a running log that its clock is right although it leapt ahead: it purges within a second.",
        ),
    ] = False,
    database_url_file: DatabaseUrlFile = None,
    now: Now = None,
    as_json: AsJson = False,
) -> None:
    """What is due, done and held, and when the next purge comes. Needs no key and works beside a running gateway.

    Example: python -m audit retention /var/lib/imprimatur/audit --retention-days 30 --class abuse=90
    """
    at = moment(now)
    with errors_as_exit_codes():
        rules = _rules(retention_days, classes)
        url = LogOptions(database_url_file=database_url_file).database_url()
        identity_of(store, url)  # or a mistyped folder would be taken for a log without keys
        folder = KeyFolder(Layout(store).keys_folder)
        if confirm_clock:
            ClockConfirmation(folder.path).give(at, Disk())
        listed = DestroyedDays(folder.destroyed_list, Disk())
        states = {scope: listed.state(scope) for scope in listed.scopes()}
        lines = _lines(url or store, folder, listed, rules, everything=everything)
        figures = ListedRetention.of(folder.classes_by_day(), states, rules, at)
        receipts = list(read_receipts(folder.receipts))
    due = [line for line in lines if line.destroyed_at is None and line.due_at <= at]
    if as_json:
        print_json({"at": at, "scopes": lines, "due": due, "figures": figures, "receipts": receipts})
        return
    for line in lines:
        typer.echo(f"{line.day}  {line.class_:16} {line.records:>10,} records  {line.state(at)}")
    typer.echo(f"due {len(due)}, held records {figures.held_records:,}, receipts {len(receipts)} in {folder.receipts}")
    typer.echo(f"next purge {_when(figures.next_purge_at)}, last purge {_when(figures.last_purge_at)}")
    if confirm_clock:
        typer.echo(f"confirmed: it is {at:%Y-%m-%d %H:%M:%S}Z; a waiting purge goes on within a second")


def _require_plausible_clock(newest: datetime | None, now: datetime) -> None:
    """Keys do not come back: whoever purges by a clock far past the newest record has to say that it is right."""
    if newest is not None and now - newest > QUIET:
        raise StoreError(
            f"the clock says {now:%Y-%m-%d %H:%M}Z, but the newest record is of {newest:%Y-%m-%d %H:%M}Z; "
            "check the clock, then run it again with --clock-is-right"
        )


def _rules(default_days: int, classes: list[str] | None) -> RetentionRules:
    by_class: dict[str, int] = {}
    for text in classes or ():
        name, _, days = text.partition("=")
        if not name or not days.isascii() or not days.isdigit():
            raise ValueError(f"expected --class NAME=DAYS such as abuse=90, got {text}")
        by_class[name] = int(days)
    return RetentionRules(default_days, by_class)


def _lines(
    target: Path | str, folder: KeyFolder, listed: DestroyedDays, rules: RetentionRules, *, everything: bool
) -> list[ScopeLine]:
    lines = []
    keys = folder.classes_by_day()
    statement = (
        "select r.class_, count(*), count(s.seq) from {record} r left join {sealed} s on s.seq = r.seq"
        " group by r.class_ order by r.class_"
    )
    with open_moment(target) as found:
        views = {view.day: view for view in found.days}
        for day in sorted(views.keys() | keys.keys()):
            whole = listed.state(Scope(day))
            if whole.is_finished and not whole.held and day not in keys and not everything:
                continue  # reading all of its records would only tell that nothing is left
            found_rows = views[day].select(statement, ()) if day in views else ()
            figures = {name: (records, sealed) for name, records, sealed in found_rows}
            for class_ in sorted(figures.keys() | keys.get(day, set())):
                records, sealed = figures.get(class_, (0, 0))
                state = _state(listed, day, class_)
                line = ScopeLine(
                    day=day,
                    class_=class_,
                    records=records,
                    readable=class_ in keys.get(day, set()) and not listed.is_destroyed(day, class_),
                    sealed=sealed,
                    due_at=rules.due_at(day, class_),
                    destroyed_at=state.destroyed_at,
                    freed_at=state.freed_at,
                    purge_event_id=state.event_id or None,
                )
                lines.append(line)
    return lines


def _state(listed: DestroyedDays, day: date, class_: str) -> ScopeState:
    """What the list says of a class: its own line comes before that of its day."""
    own = listed.state(Scope(day, class_))
    return own if PurgeStep.DESTROYED in own.steps else listed.state(Scope(day))


def _when(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}Z" if at else "-"


def drill(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder for the drill; absent or empty.", show_default=False)
    ],
    as_json: AsJson = False,
) -> None:
    """Rehearse restoring from backups on a log of its own: wrong restores are refused, the right one verifies.

    Exit code 1 if a step came out otherwise. Delete the folder afterwards.

    Example: python -m audit drill /tmp/restore-drill
    """
    with errors_as_exit_codes():
        steps = asyncio.run(RestoreDrill(folder).run())
    if as_json:
        print_json(steps)
    else:
        for number, step in enumerate(steps, start=1):
            typer.echo(f"{number}. {step.done}")
            typer.echo(f"   {'as it must' if step.passed else f'WRONG, expected {step.expected}'}: {step.found}")
    if not all(step.passed for step in steps):
        raise typer.Exit(1)
