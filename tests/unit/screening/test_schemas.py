"""The JSON Schemas beside the rules are the ones the loader means, and the shipped rules obey them."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from gateway.screening.rules.json_schema import FILES, json_schema, write

POLICIES = Path(__file__).resolve().parents[3] / "policies"
RULES = sorted((POLICIES / "dlp").glob("*.yaml")) + sorted((POLICIES / "content").glob("*.yaml"))


@pytest.mark.parametrize("name", FILES)
def test_the_shipped_schema_is_up_to_date(name: str, tmp_path: Path) -> None:
    write(tmp_path)
    assert (POLICIES / "schemas" / name).read_text("utf-8") == (tmp_path / name).read_text("utf-8")


@pytest.mark.parametrize("path", RULES, ids=[p.stem for p in RULES])
def test_each_shipped_rule_obeys_its_schema(path: Path) -> None:
    schema = json_schema(FILES["dlp-rule.json" if path.parent.name == "dlp" else "content-lexicon.json"])
    # Through JSON, because YAML makes keys and dates that JSON has not.
    jsonschema.validate(json.loads(json.dumps(yaml.safe_load(path.read_text("utf-8")))), schema)
