"""Counts beside a page of records, each a link that asks for that value only, leaves it out, or takes it back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from audit.query import Condition, FacetValue, Field, Term
from gateway.web.record_query import text_address
from gateway.web.words import action_words, effect_word

_TITLES: Final[Mapping[Field, str]] = {
    Field.EFFECT: "Effect",
    Field.ACTION: "Did",
    Field.REASON: "Why",
    Field.MODEL: "Model",
    Field.PHASE: "Kind of record",
    Field.DAY: "Day (UTC)",
}
_WORDS: Final[Mapping[Field, Callable[[str], str]]] = {Field.EFFECT: effect_word, Field.ACTION: action_words}


@dataclass(frozen=True, slots=True, kw_only=True)
class FacetLink:
    """One value, with the address of the question that a click asks."""

    words: str
    number: int
    is_chosen: bool
    address: str
    """Adds the value to the question, or takes it out if it is chosen."""
    without: str
    """Asks for everything else; empty if the value is chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facet:
    """One field and its values, the most frequent first."""

    title: str
    values: tuple[FacetLink, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One term of the question, and the address of the question without it."""

    text: str
    without: str


def facets(counted: Mapping[str, Sequence[FacetValue]], terms: Sequence[Term]) -> tuple[Facet, ...]:
    """What can be chosen. A field of which everything found has the same value tells nothing, and is left out unless
    that value was chosen."""
    found = []
    for name, values in counted.items():
        field = Field(name)
        links = tuple(_link(field, value, terms) for value in values)
        if len(links) > 1 or any(link.is_chosen for link in links):
            found.append(Facet(title=_TITLES[field], values=links))
    return tuple(found)


def asked(terms: Sequence[Term]) -> tuple[Asked, ...]:
    """The terms of a question, each of which can be taken out."""
    return tuple(
        Asked(text=term.source, without=_address([*terms[:place], *terms[place + 1 :]]))
        for place, term in enumerate(terms)
    )


def _link(field: Field, value: FacetValue, terms: Sequence[Term]) -> FacetLink:
    only = Condition(field, (value.value,))
    (spelled,) = only.values
    words = _WORDS.get(field, str)(value.value)
    chosen = [term for term in terms if _asks_for(term.condition, field) and spelled in term.condition.values]
    if chosen:
        left = [fewer for term in terms for fewer in (_less(term, spelled) if term in chosen else [term])]
        return FacetLink(words=words, number=value.number, is_chosen=True, address=_address(left), without="")
    without = Condition(field, (value.value,), negated=True)
    return FacetLink(
        words=words,
        number=value.number,
        is_chosen=False,
        address=_address([*terms, _term(only)]),
        without=_address([*terms, _term(without)]),
    )


def _asks_for(condition: Condition, field: Field) -> bool:
    return condition.field is field and not condition.negated


def _less(term: Term, value: str) -> list[Term]:
    """The term without one of its values; nothing, if it was the only one."""
    values = tuple(other for other in term.condition.values if other != value)
    return [_term(Condition(term.condition.field, values))] if values else []


def _term(condition: Condition) -> Term:
    return Term(condition.text, condition)


def _address(terms: Sequence[Term]) -> str:
    return text_address(" ".join(term.source for term in terms))
