"""Rules may ask that a prompt says of people what it leaves open, with a yes only."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.policy.answer import AnswerInvalid, read
from gateway.policy.engine import Evaluation

REASON = {"code": "role.missing", "message": "No.", "severity": "high", "rule": "r", "control": "c", "finding": ""}


def answered(effect: str, rewrite: str) -> Any:
    reasons = [] if effect == "allow" else [REASON]
    result = {"effect": effect, "reasons": reasons, "obligations": {"rewrite": rewrite}}
    return read(Evaluation(result=result, engine="e", revision="r"), {"findings": []})


def test_it_is_handed_on_with_a_yes() -> None:
    assert answered("allow", "diversity").obligations.rewrite == "diversity"


@pytest.mark.parametrize(("effect", "rewrite"), [("deny", "diversity"), ("allow", "anything else")])
def test_it_is_refused_otherwise(effect: str, rewrite: str) -> None:
    with pytest.raises(AnswerInvalid, match="obligations"):
        answered(effect, rewrite)
