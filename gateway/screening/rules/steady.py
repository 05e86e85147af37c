"""Findings of one set of rules, also while the rules are exchanged.

Managed rules exchange detectors and the engine in one step of the event loop (`lifecycle.follower`). Whoever asks
policy in the step in which `steady` returns therefore asks the rules that these detectors belong to.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from gateway.screening.rules.ruleset import RuleSet

T = TypeVar("T")

LOOKS: Final = 2
"""Rules change a few times a day, and a look takes a second at most: a second one is enough."""
log = logging.getLogger(__name__)


async def steady(rules: Callable[[], RuleSet], look: Callable[[], Awaitable[T]]) -> T | None:
    """What `look` finds, once more when `rules` changed meanwhile; None when they changed again: no answer then."""
    for _ in range(LOOKS):
        before = rules()
        found = await look()
        if rules() is before:
            return found
        log.info("screening.rules-changed-meanwhile")
    return None
