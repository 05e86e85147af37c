"""``python -m audit search``: find requests and events. It writes a record of its own, so it needs keys; of a log in
files, also the store for itself, or a snapshot."""

from __future__ import annotations

from typing import Annotated

import typer

from audit.cli.common import AsJson, Now, clock, errors_as_exit_codes, moment, print_json
from audit.cli.log_options import LogFolder, LogOptions, takes_log
from audit.cli.opened import with_log
from audit.query import DEFAULT_LIMIT, Condition, Field, Page, Query, RequestRow, read_query
from audit.record import Subject

Reader = Annotated[str, typer.Option("--reader", help="Who is reading; goes on record.", show_default=False)]
Tenant = Annotated[str, typer.Option(help="Tenant to look at.")]


@takes_log
def search(
    store: LogFolder,
    given: LogOptions,
    reader: Reader,
    text: Annotated[
        str, typer.Argument(metavar="[QUERY]", help="Such as 'actor:alice effect:deny created:7d'.", show_default=False)
    ] = "",
    actor: Annotated[str | None, typer.Option(help="Stable id of who acted, exactly.", show_default=False)] = None,
    action: Annotated[str | None, typer.Option(help="Such as image:generate.", show_default=False)] = None,
    effect: Annotated[str | None, typer.Option(help="allow, mask, review, deny, ...", show_default=False)] = None,
    reason: Annotated[str | None, typer.Option(help="A code, or a family such as dlp.", show_default=False)] = None,
    model: Annotated[str | None, typer.Option(help="Model name, exactly.", show_default=False)] = None,
    created_from: Annotated[str | None, typer.Option("--from", help="From this moment on.", show_default=False)] = None,
    created_to: Annotated[str | None, typer.Option("--to", help="Before this moment.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(help="Rows in a page.")] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, typer.Option(help="Continue a search.", show_default=False)] = None,
    facets: Annotated[bool, typer.Option("--facets", help="Count what is found, and by which values.")] = False,
    tenant: Tenant = "default",
    now: Now = None,
    as_json: AsJson = False,
) -> None:
    """Find requests and events. QUERY and the options must all hold. The search is on record before it runs.

    Example: python -m audit search /srv/copy "effect:deny reason:dlp.* created:7d" --kek audit.kek --reader dana
    """
    with errors_as_exit_codes():
        asked_for = {
            Field.ACTOR: actor,
            Field.ACTION: action,
            Field.EFFECT: effect,
            Field.REASON: reason,
            Field.MODEL: model,
        }
        asked = read_query(text, now=clock(now)())
        query = Query(
            tenant=tenant,
            conditions=(
                *asked.conditions,
                *(Condition(field, (value,)) for field, value in asked_for.items() if value is not None),
                *_created(asked.created),
            ),
            created_from=moment(created_from) if created_from else None,
            created_to=moment(created_to) if created_to else None,
            limit=limit,
            cursor=cursor,
            with_facets=facets,
        )

        page = with_log(store, given, now, lambda log: log.search(query, searched_by=Subject(actor=reader)))
    if as_json:
        print_json(page)
        return
    for row in page.rows:
        typer.echo(_line(row))
    if page.count is not None:
        _print_counts(page)
    if page.next_cursor:
        # As it was understood: a relative time means another moment by the next page, and the cursor is bound to this.
        typer.echo(f"as understood: {query.text}")
        typer.echo(f"more: --cursor {page.next_cursor}")


def _created(text: str) -> tuple[Condition, ...]:
    return (Condition(Field.CREATED, (text,)),) if text else ()


def _line(row: RequestRow) -> str:
    who = row.subject.display or row.subject.actor if row.subject else "(destroyed)"
    effect, reasons = row.effect or "(open)", " ".join(row.reasons)
    return f"{row.opened_at:%Y-%m-%dT%H:%M:%SZ}  {row.event_id}  {row.action}  {effect}  {who}  {reasons}"


def _print_counts(page: Page) -> None:
    assert page.count is not None  # noqa: S101  # the caller looked
    at_least = "" if page.count.is_exact else "at least "
    typer.echo(f"\n{at_least}{page.count.number:,} found")
    for name, values in page.facets.items():
        if values:
            typer.echo(f"  {name:8} " + "  ".join(f"{value.value} {value.number:,}" for value in values))
