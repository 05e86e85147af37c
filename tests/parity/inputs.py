"""Questions to rules, as many as anybody wants, drawn from the schema of what rules may see.

`policies/schemas/input.json` says which fields there are, so a field that is added is drawn from the day on which it
is. A number says which question it is: `question(7)` is the same on every machine.
"""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Mapping
from typing import Any, Final

import yaml

from gateway.vocabulary import Permission, Role
from tests.support.policy import SHIPPED
from tests.support.policy_questions import made_up

KINDS: Final = ("likely", "schema", "hostile", "broken")

HOSTILE_TEXT: Final = (
    *("", " ", "\n", "\u0000", "\u2028", "é", "e\u0301", "🎨", "ﬁ", "İ", "ß", "\u202eabc", "\ufeff", "A" * 5_000),
    *('"', "\\", "'; drop table", "{{x}}", "%s%d%v", "${x}", "../..", "*", "true", "null", "0", "-1", "1e999", "[]"),
    *("data.gateway", "input", "allow", "deny", "admin", "employee ", "EMPLOYEE", "image:generate\u0000", "active\n"),
)
HOSTILE_NUMBERS: Final = (0, -1, 1, 2, 2**31 - 1, 2**31, -(2**31), 2**53 - 1, 2**53, -(2**53))
WRONG: Final = (None, True, False, 0, 7, -1.5, "", "text", [], {}, [None], [[]], {"a": {}}, ["employee"], {"0": "x"})


def _mostly(good: tuple[str, ...], odd: tuple[str, ...]) -> tuple[str, ...]:
    """Odd ones now and then: most of them end every other rule's work."""
    return good * 12 + odd


_POOLS: Final[Mapping[str, tuple[Any, ...]]] = {
    "version": (1, 1, 1, 1, 0, 2),
    "time": _mostly(
        ("2026-11-20T10:00:00Z", "2026-11-21T03:00:00Z", "2026-11-22T23:59:59.999999Z", "2026-11-20T10:00:00+02:00"),
        ("2024-02-29T12:00:00Z", "1969-12-31T23:59:59Z", "2026-11-20", "2026-02-30T10:00:00Z", "10:00", "never"),
    ),
    "ip": _mostly(
        ("10.1.2.3", "192.0.2.1", "127.0.0.1", "255.255.255.255", "2001:db8::1", "::1", "::ffff:10.1.2.3"),
        ("0.0.0.0", "fe80::1%eth0", "10.1.2", "10.1.2.3/8", "010.1.2.3", "300.1.1.1", "::g", "nowhere"),
    ),
    "country": ("", "DE", "US", "KP", "de"),
    "department": ("Design", "", "Legal"),
    "groups": ("design", "press", "legal", "everyone"),
    "scopes": (*(p.value for p in Permission), "image:*"),
    "amr": ("pwd", "otp", "hwk", "mfa"),
    "acr": ("", "0", "phr", "urn:example:gold"),
    "mfa_age_seconds": (None, 0, 60, 299, 300, 301, 899, 900, 901, 43_199, 43_200, 43_201, -1),
    "size": ("auto", "256x256", "512x512", "1024x1024", "300x300", "512X512"),
    "n": (0, 1, 2, 4, 5, 10, 11),
    "cost_credits": (0, 1, 4, 10, -1),
    "count": (0, 1, 2, 16, 17),
    "pixels": (0, 5_000, 1_000_000, 40_000_000, 200_000_000),
    "user_day": (0, 3, 499, 500, 501),
    "user_month": (0, 30, 4_999, 5_000, 5_001),
    "in_flight": (0, 1, 15, 16, 17),
    "refused_last_hour": (0, 1, 9, 10, 11),
    "score": (0.0, 0.05, 0.3, 0.5, 0.85, 1.0, 1.5, -0.1),
    "field": ("prompt", "image", "mask", "uploads", "sketch.1", "sketch"),
    "replacement": ("someone@example.com", "x", ""),
    "message": ("There is something in your prompt.", ""),
    "quality": ("auto", "high", "low"),
}
"""What a field may hold beside what its schema says: the values at which shipped rules turn."""


def question(number: int) -> tuple[str, dict[str, Any]]:
    """(kind, document) of one question. Three in ten are likely, the rest from the schema in rising strangeness."""
    dice = random.Random(number)
    kind = dice.choices(KINDS, (3, 3, 2, 2))[0]
    if kind == "likely":
        document, is_spoilt = made_up(dice)
        return ("broken" if is_spoilt else kind), document
    name = "AdminInput" if dice.random() < 0.2 else "ImageInput"
    document: dict[str, Any] = _value({"$ref": f"#/$defs/{name}"}, name, dice, strange=0.15 if kind == "hostile" else 0)
    if kind == "broken":
        for _ in range(dice.choice((1, 1, 2, 3))):
            _break(document, dice)
    return kind, document


def is_admin(document: Mapping[str, Any]) -> bool:
    """Whether a question is one for the other entry point."""
    return "resource" not in document


@functools.cache
def _schema() -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((SHIPPED / "schemas/input.json").read_text())
    return schema


@functools.cache
def _pool(field: str) -> tuple[Any, ...]:
    """What the rules know for a field."""
    if field == "action":
        return tuple(p.value for p in Permission)
    if field == "roles":
        return tuple(r.value for r in Role)
    if field == "model":
        models = yaml.safe_load((SHIPPED / "gateway/config/models/data.yaml").read_text())
        return (*models, "dall-e-3")
    if field == "type":
        kinds = [f"{f}.{p.stem}" for f in ("dlp", "content") for p in sorted((SHIPPED / f).glob("*.yaml"))]
        return (*kinds, "screening.unavailable", "screening.late", "mystery.box", "dlp", "dlp.", "content.")
    return _POOLS.get(field, ())


def _value(schema: Mapping[str, Any], field: str, dice: random.Random, *, strange: float) -> Any:
    if reference := schema.get("$ref"):
        return _value(_schema()["$defs"][reference.rpartition("/")[2]], field, dice, strange=strange)
    if options := schema.get("anyOf"):
        return _value(dice.choice(options), field, dice, strange=strange)
    if options := schema.get("enum"):
        return dice.choice(options)
    if "const" in schema:
        return schema["const"]
    kind = schema.get("type")
    if kind == "object":
        return {key: _value(member, key, dice, strange=strange) for key, member in schema["properties"].items()}
    if kind == "array":
        length = dice.choice((0, 0, 1, 1, 2, 3, 6))
        found = [_value(schema["items"], field, dice, strange=strange) for _ in range(length)]
        if field == "findings":
            for place, finding in enumerate(found):
                finding["id"] = f"f{place}" if dice.random() < 0.97 else "f0"
        return found
    return _plain(kind, field, dice, strange)


def _plain(kind: object, field: str, dice: random.Random, strange: float) -> Any:
    pool = [value for value in _pool(field) if kind != "null" and _is(kind, value)]
    if kind == "null":
        return None
    if kind == "boolean":
        return dice.random() < 0.5
    if kind == "string":
        return dice.choice(HOSTILE_TEXT) if dice.random() < strange else dice.choice(pool or ("x", "y", ""))
    if dice.random() < strange:
        return dice.choice(HOSTILE_NUMBERS)
    return dice.choice(pool or (0, 1, 7))


def _is(kind: object, value: object) -> bool:
    wanted = {"string": (str,), "integer": (int,), "number": (int, float)}.get(str(kind), ())
    return isinstance(value, wanted)


def _break(document: dict[str, Any], dice: random.Random) -> None:
    """One part gone, of another type, or one too many; anywhere in the document."""
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        members = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, member in members:
            places.append((node, key))
            walk(member)

    walk(document)
    if not places:
        return
    node, key = dice.choice(places)
    roll = dice.random()
    if roll < 0.3:
        del node[key]
    elif roll < 0.4 and isinstance(node, dict):
        node["x" * dice.choice((1, 300))] = dice.choice(WRONG)
    else:
        node[key] = dice.choice(WRONG)
