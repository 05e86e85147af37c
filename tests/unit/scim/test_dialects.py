"""What Entra ID and Okta send is understood: their bodies, one after the other, as they send them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.scim.dialects import MAX_OPERATIONS, MAX_PATH, translate
from tests.support.directory import Directory

VECTORS = Path(__file__).parents[2] / "vectors" / "scim"
DIALECTS = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(VECTORS.glob("*.json"))}


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_everything_that_a_directory_sends_is_understood(dialect, directory: Directory):
    kept: dict[str, str] = {}
    for vector in DIALECTS[dialect]["vectors"]:
        for place, step in enumerate(vector["steps"]):
            where = f"{dialect}: {vector['name']}[{place}]"
            said = await directory.send(step["method"], fill(step["path"], kept), fill(step.get("body"), kept))
            assert said.status == step["status"], (where, said)
            if "keep" in step:
                kept[step["keep"]] = said.json["id"]
            if "has" in step:
                assert holds(said.json, fill(step["has"], kept)), (where, said.json)
            for name in step.get("lacks", ()):
                assert name not in said.json, (where, said.json)


def test_there_are_vectors_of_both():
    assert len(DIALECTS["entra"]["vectors"]) >= 15
    assert len(DIALECTS["okta"]["vectors"]) >= 10


async def test_a_patch_with_very_many_operations_is_refused(directory: Directory):
    id = await directory.hire("alice")
    operations = [{"op": "replace", "path": "title", "value": str(n)} for n in range(MAX_OPERATIONS + 1)]
    said = await directory.patch(f"/Users/{id}", *operations)
    assert said.status == 413
    assert "500 operations" in said.json["detail"]


async def test_a_very_long_path_is_refused_before_it_is_parsed(directory: Directory):
    id = await directory.hire("alice")
    path = f'emails[value eq "{"x" * MAX_PATH}"].value'
    said = await directory.patch(f"/Users/{id}", {"op": "replace", "path": path, "value": "y"})
    assert (said.status, said.json["scimType"]) == (400, "invalidValue")


async def test_anothers_id_in_a_value_is_no_rename(directory: Directory):
    one, other = await directory.group("one"), await directory.group("other")
    said = await directory.patch(f"/Groups/{one}", {"op": "replace", "value": {"id": other, "displayName": "x"}})
    assert (said.status, said.json["scimType"]) == (400, "mutability")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b"[" * 100_000])
def test_what_is_no_object_is_left_to_the_validation(body):
    assert translate("PATCH", "/Users/1", body) == body


def fill(value: Any, kept: dict[str, str]) -> Any:
    """`{user}` and `{group}` become their ids."""
    if isinstance(value, str):
        for name, id in kept.items():
            value = value.replace("{" + name + "}", id)
        return value
    if isinstance(value, list):
        return [fill(item, kept) for item in value]
    if isinstance(value, dict):
        return {key: fill(item, kept) for key, item in value.items()}
    return value


def holds(found: Any, wanted: Any) -> bool:
    """Whether everything that is wanted is there; more may be."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(key in found and holds(found[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list):
        return isinstance(found, list) and len(found) == len(wanted) and all(map(holds, found, wanted))
    return bool(found == wanted)
