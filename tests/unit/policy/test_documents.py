"""What rule authors read about policy's two documents is what the code does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest

from gateway.policy.schemas import documents
from gateway.vocabulary import Code, Permission
from tests.support.policy import ALICE, CARD, EMAIL, SHIPPED, admin, image

PAGE = Path(__file__).parents[3] / "docs/reference/policy-input.md"


@pytest.mark.parametrize("name", ["input.json", "decision.json"])
def test_the_published_schemas_are_those_of_the_code(name: str) -> None:
    assert (SHIPPED / "schemas" / name).read_text() == documents()[name], (
        "run python -m gateway.policy.schemas policies/schemas"
    )


def test_questions_obey_the_published_schema() -> None:
    validator = jsonschema.Draft202012Validator(json.loads(documents()["input.json"]))
    validator.validate(image(ALICE, EMAIL, CARD))
    validator.validate(admin(ALICE, Permission.KEY_MANAGE))
    assert not validator.is_valid({**image(), "prompt": {"hmac": "", "chars": 1, "text": "a harbour"}})
    assert not validator.is_valid({k: v for k, v in image().items() if k != "findings"})


def test_every_field_of_the_question_and_the_answer_is_on_the_page() -> None:
    page = PAGE.read_text()
    for schema in documents().values():
        for definition in [*json.loads(schema)["$defs"].values(), json.loads(schema)]:
            for field in definition.get("properties", ()):
                assert f"`{field}`" in page, f"{field} is not documented"


def test_every_code_of_the_shipped_rules_and_of_the_door_is_on_the_page() -> None:
    codes = {code.value for code in Code if code.value.startswith("policy.")}
    for path in SHIPPED.rglob("*.rego"):
        if not path.name.endswith("_test.rego"):
            codes |= set(re.findall(r'lib\.reason\(\s*"([^"]+)"', path.read_text()))
    missing = sorted(code for code in codes if f"`{code}`" not in PAGE.read_text())
    assert missing == []
