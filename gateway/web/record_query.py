"""The auditor's search: one text in the log's query language, and filters beside it that compose such a text.

Both work without scripts, and together: what stands in the filters is asked as well as what stands in the text. A page
that was found shows the whole question as one text, and the filters as far as they can say it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime
from typing import Final
from urllib.parse import urlencode

from audit import Query, QueryInvalid
from audit.query import MAX_QUERY_LENGTH, Condition, Field, Term, read_terms

PAGE_ROWS: Final = 50
LONGEST_FIELD: Final = 512
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_DAYS: Final = re.compile(r"(\d{4}-\d{2}-\d{2})?(\.\.)?(\d{4}-\d{2}-\d{2})?")
PICTURES: Final = "image:"
"""All that is done with pictures, as a prefix of the actions."""
EXAMPLES: Final = (
    ("effect:deny created:7d", "Refused in the last seven days"),
    ("reason:dlp.* -effect:allow", "Screening found something, and it did not just pass"),
    ("created:2026-11-01..2026-11-22", "From the 1st to the 22nd of November, both included"),
    ("action:policy:*,auth:key:*", "Changes to the rules or to API keys"),
    ("phase:access", "Who looked at the records"),
)
"""Questions that teach the language, and what they ask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What stands in the filters of a page, and the rest of its question, which goes along unseen."""

    who: str = ""
    action: str = ""
    effect: str = ""
    reason: str = ""
    since: str = ""
    until: str = ""
    rest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchForm:
    """The fields as typed, so that a search that can't be read is shown again as it was. Dates are whole UTC days,
    `until` included; a request id typed where a person is expected finds that request."""

    q: str = ""
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
        values = {f.name: query.get(f.name, "").strip() for f in fields(cls)}
        # The language says by itself that a text is too long; a filter just ends.
        cut = {name: value[: MAX_QUERY_LENGTH + 1 if name == "q" else LONGEST_FIELD] for name, value in values.items()}
        if not query:
            cut["action"] = PICTURES
        return cls(**cut)

    def address(self, **changes: str) -> str:
        """The address of this search with some fields changed; always from its first page."""
        changed = replace(self, **{"cursor": "", **changes})
        values = {f.name: getattr(changed, f.name) for f in fields(changed)}
        return "/audit?" + urlencode({k: v for k, v in values.items() if v or (k == "action" and not changed.q)})

    def terms(self, now: datetime) -> tuple[Term, ...]:
        """The whole question, term by term: the text as it was typed, then the filters. Raises QueryInvalid."""
        composed = tuple(Term(condition.text, condition) for condition in self._conditions())
        return (*read_terms(self.q, now), *composed)

    def text(self, now: datetime) -> str:
        """The whole question as one text; what was typed, if it can't be read."""
        try:
            return _text(self.terms(now))
        except QueryInvalid:
            return self.q

    def query(self, now: datetime | None = None, *, with_facets: bool = False) -> Query:
        """What the log is asked; relative times are counted from `now`. Raises QueryInvalid with a sentence for the
        person who typed it."""
        return Query(
            conditions=(term.condition for term in self.terms(now or datetime.now(UTC))),
            limit=PAGE_ROWS,
            cursor=self.cursor or None,
            with_facets=with_facets,
        )

    def narrowed(self, now: datetime, field: str, value: str, without: Collection[str] = ()) -> str:
        """The address of this question about one value of a field, whatever it asked of that field before; what it
        asked of the fields `without` is dropped too."""
        condition = Condition(Field(field), (value,))
        dropped = {Field(field), *map(Field, without)}
        kept = [term for term in self.terms(now) if term.condition.negated or term.condition.field not in dropped]
        return text_address(_text([*kept, Term(condition.text, condition)]))

    def filters(self, now: datetime, actions: Collection[str]) -> Filters:
        """What the filters can say of the question. `actions` are those that can be chosen. A question that can't be
        read stays as it was typed."""
        try:
            terms = self.terms(now)
        except QueryInvalid:
            names = [f.name for f in fields(Filters) if f.name != "rest"]
            return Filters(
                **{name: getattr(self, name) for name in names}, rest=self.q if self._is_text_read(now) else ""
            )
        found: dict[str, str] = {}
        rest = []
        for term in terms:
            said = _as_filter(term.condition, actions)
            if not said or said.keys() & found.keys():
                rest.append(term)
            found = {**said, **found}
        return Filters(**found, rest=_text(rest))

    def _is_text_read(self, now: datetime) -> bool:
        try:
            read_terms(self.q, now)
        except QueryInvalid:
            return False  # it would be in the way of every filter, unseen
        return True

    def _conditions(self) -> Iterable[Condition]:
        """What the filters ask. Raises QueryInvalid."""
        who = Field.ID if _UUID.fullmatch(self.who) else Field.ACTOR
        # People write families as they read them: "dlp", "dlp.*" and "dlp." are the same question.
        reason = self.reason.lower().removesuffix("*")
        if reason and "." not in reason:
            reason += "."
        given = (
            (who, self.who),
            (Field.ID, self.event_id),
            (Field.ACTION, self.action),
            (Field.EFFECT, self.effect),
            (Field.REASON, reason),
            (Field.MODEL, self.model),
        )
        for field, value in given:
            if value:
                yield Condition(field, (value,))
        since, until = _day(self.since, "From"), _day(self.until, "To")
        if since and until and until < since:
            raise QueryInvalid("“To” lies before “From”")
        if since or until:
            yield Condition(Field.CREATED, (f"{since or ''}..{until or ''}",))


def text_address(text: str) -> str:
    """The address of a question that is one text. Without any it asks for everything."""
    return SearchForm(q=text).address()


def _text(terms: Iterable[Term]) -> str:
    return " ".join(term.source for term in terms)


def _as_filter(condition: Condition, actions: Collection[str]) -> dict[str, str]:
    """A condition as values of filters; empty if no filter can say it."""
    if condition.negated or len(condition.values) != 1:
        return {}
    (value,) = condition.values
    match condition.field:
        case Field.ACTOR | Field.ID:
            return {"who": value}
        case Field.EFFECT:
            return {"effect": value}
        case Field.REASON if "." in value:  # a bare word typed there means a family
            return {"reason": value}
        case Field.ACTION if value.removesuffix("*") in actions:
            return {"action": value.removesuffix("*")}
        case Field.CREATED:
            days = _DAYS.fullmatch(value)
            if days:
                since, until = days[1] or "", days[3] or ("" if days[2] else days[1] or "")
                return {name: day for name, day in (("since", since), ("until", until)) if day}
    return {}


def _day(text: str, name: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise QueryInvalid(f"“{name}” must be a day like 2026-11-22") from None
