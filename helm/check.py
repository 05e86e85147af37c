"""Checks the chart without a cluster: lint, render, Kubernetes' schemas, and our own rules, for every case of `ci/`.

    python -m helm.check [CHART]

Prints one line a case and every complaint; exits 1 when there is one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import jsonschema
import kubernetes_validate
import yaml
from helm_python import HelmError

from helm import schema
from helm.charts import CHART, Document, cases, lint, render
from helm.rules import RULES

KUBERNETES: Final = ("1.31", "1.34", "1.37")
"""The oldest the chart supports, a middle one, and the newest whose schemas we have."""

CUSTOM: Final = Path(__file__).parent / "custom_resources"
"""JSON schemas, written from the operators' API documents, of kinds that Kubernetes itself doesn't know."""


def schema_errors(document: Document, version: str) -> Iterator[str]:
    """What the strict schema of that Kubernetes version, or of the custom resource, says against a document."""
    where = f"{document['kind']} {document['metadata']['name']}"
    custom = CUSTOM / f"{document['kind']}.json"
    try:
        if custom.exists():
            jsonschema.validate(document, json.loads(custom.read_text("utf-8")))
        else:
            kubernetes_validate.validate(dict(document), version, strict=True)
    except jsonschema.ValidationError as error:
        yield f"Kubernetes {version}: {where}: {error.json_path}: {error.message[:200]}"
    except kubernetes_validate.SchemaNotFoundError as error:
        yield f"Kubernetes {version}: {where}: {error.message}"


def complaints(case: str, values: dict[str, Any], *, chart: Path = CHART) -> Iterator[str]:
    """Everything that is wrong with one case; one that can't be rendered at all says why and nothing more."""
    for error in lint(values, chart=chart):
        yield f"lint: {error}"
    try:
        rendered = render(values, case=case, chart=chart)
    except (HelmError, yaml.YAMLError) as error:
        yield f"render: {error}"
        return
    broken = [e for version in KUBERNETES for document in rendered.documents for e in schema_errors(document, version)]
    yield from broken
    if broken:
        return  # the rules read fields that the schemas promise
    for rule in RULES:
        for complaint in rule(rendered):
            yield f"{rule.__name__}: {complaint}"


def main(chart: Path = CHART) -> int:
    bad = 0
    if (chart / schema.NAME).read_text("utf-8") != schema.text():
        bad += 1
        print("values.schema.json is out of date: run python -m helm.schema")
    found_cases = cases(chart)
    for case, values in found_cases.items():
        found = list(complaints(case, values, chart=chart))
        bad += len(found)
        print(f"{'ok ' if not found else 'BAD'} {case}")
        for complaint in found:
            print(f"    {complaint}")
    print(f"chart: {len(found_cases)} cases, Kubernetes {', '.join(KUBERNETES)}, {len(RULES)} rules, {bad} complaints")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main(*map(Path, sys.argv[1:2])))
