"""Which of the subjects that were read are worth a finding, beside what the lexicons found in the same text."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

from gateway.screening.content.lexicon import Lexicon
from gateway.screening.content.tokens import Words
from gateway.screening.rules.ruleset import RuleSet
from gateway.screening.rules.schema import Scope
from gateway.screening.semantic.reader import Meant
from gateway.screening.semantic.weights import SCORES
from gateway.vocabulary import Effect

ALONE: Final = SCORES[2]
"""From this score a subject is reported though no word of its category stands there."""
SURE: Final = SCORES[3]
FEW_WORDS: Final = 5
"""A text of fewer says little: alone its subject is reported from `SURE` on, and then for a person to look at. What few
words say outright, the lexicons find."""
SEXUAL: Final = "sexual"
MINORS: Final = "minors"


@dataclass(frozen=True, slots=True)
class Report:
    """A subject that goes into a finding, and what is proposed."""

    meant: Meant
    effect: Effect


def reports(rules: RuleSet, read: Sequence[Meant], words: Words, said: Collection[str], field: Scope) -> list[Report]:
    """`said`: finding types of the lexicons. A category's file governs its head too: off is off, monitor proposes
    nothing, and a field outside its scope is not its business.

    There is no head for sexual pictures of children, and no text was written to train one: a text that the head for
    sexual subjects reports, with a word for a child in it, is one.
    """
    is_short = len(words.tokens) < FEW_WORDS
    alone = SURE if is_short else ALONE
    found = []
    for meant in read:
        stands_alone = f"content.{meant.category}" not in said
        if not stands_alone or meant.score >= alone:
            is_weak = stands_alone and is_short  # told by the score that this is worth: policy judges by the score
            found += _report(rules, replace(meant, score=ALONE) if is_weak else meant, field)
        if meant.category == SEXUAL and meant.score >= ALONE and _names_a_child(rules.lexicons[field], words):
            found += _report(rules, replace(meant, category=MINORS), field)
    return found


def _report(rules: RuleSet, meant: Meant, field: Scope) -> list[Report]:
    rule = rules.rules.get(f"content.{meant.category}")
    if rule is None or rule.mode == "off" or field not in rule.scope:
        return []
    if rule.mode == "monitor":
        return [Report(meant, Effect.ALLOW)]
    return [Report(meant, Effect.DENY if meant.score >= SURE else Effect.REVIEW)]


def _names_a_child(lexicons: Sequence[Lexicon], words: Words) -> bool:
    """Whether one of the words stands there that the lexicon for minors looks for beside others."""
    return any(pair.these.find(words) for x in lexicons if x.category == MINORS for pair in x.together)
