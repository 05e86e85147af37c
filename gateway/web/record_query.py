"""The auditor's search form: what stands in its fields, and the query that it means."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from urllib.parse import urlencode

from audit import Query, QueryInvalid

PAGE_ROWS: Final = 50
LONGEST_FIELD: Final = 512
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
PICTURES: Final = "image:"
"""All that is done with pictures, as a prefix of the actions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchForm:
    """The fields as typed, so that a search that can't be read is shown again as it was. Dates are whole UTC days,
    `until` included; a request id typed where a person is expected finds that request."""

    who: str = ""
    event_id: str = ""
    action: str = ""
    effect: str = ""
    reason: str = ""
    model: str = ""
    since: str = ""
    until: str = ""
    cursor: str = ""

    @classmethod
    def read(cls, query: Mapping[str, str]) -> SearchForm:
        """From a query string. Nothing asked means: pictures, newest first, which is what an auditor comes for."""
        values = {f.name: query.get(f.name, "").strip()[:LONGEST_FIELD] for f in fields(cls)}
        if not query:
            values["action"] = PICTURES
        return cls(**values)

    def address(self, **changes: str) -> str:
        """The address of this search with some fields changed; always from its first page."""
        changed = replace(self, **{"cursor": "", **changes})
        values = {f.name: getattr(changed, f.name) for f in fields(changed)}
        return "/audit?" + urlencode({k: v for k, v in values.items() if v or k == "action"})

    def query(self) -> Query:
        """What the log is asked. Raises QueryInvalid with a sentence for the person who typed it."""
        reason = self.reason.lower()
        # People write families as they read them: "dlp", "dlp.*" and "dlp." are the same question.
        reason = reason.removesuffix("*")
        if reason and "." not in reason:
            reason += "."
        is_request = _UUID.fullmatch(self.who) is not None
        since, until = _day(self.since, "From"), _day(self.until, "To")
        if since and until and until < since:
            raise QueryInvalid("“To” lies before “From”")
        return Query(
            actor=self.who if self.who and not is_request else None,
            event_id=self.event_id or (self.who.lower() if is_request else None),
            action=self.action or None,
            effect=self.effect or None,
            reason=reason or None,
            model=self.model or None,
            created_from=_midnight(since),
            created_to=_midnight(until + timedelta(days=1) if until else None),
            limit=PAGE_ROWS,
            cursor=self.cursor or None,
        )


def _day(text: str, name: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise QueryInvalid(f"“{name}” must be a day like 2026-11-22") from None


def _midnight(day: date | None) -> datetime | None:
    return None if day is None else datetime.combine(day, time(), UTC)
