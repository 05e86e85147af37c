"""The how-to for more than one card says what the code and the chart know."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

from model_server import ray_app, ray_door
from model_server.observe import Metrics
from model_server.ray_app import RAY_ENVIRONMENT_PREFIX, RaySettings
from model_server.settings import ENVIRONMENT_PREFIX, Settings

ROOT = Path(__file__).parents[4]
PAGE = (ROOT / "docs/how-to/more-than-one-gpu.md").read_text("utf-8")


def _documents() -> Iterator[dict[str, Any]]:
    for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL):
        yield from yaml.safe_load_all(block)


def _of_kind(kind: str) -> dict[str, Any]:
    return next(document for document in _documents() if document.get("kind") == kind)


def test_every_setting_of_a_cluster_is_in_the_table_as_the_code_has_it() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ?(.*?) ?\| (.+) \|$", PAGE, re.MULTILINE)
    expected = [
        (name, "" if field.default is None else f"`{field.default}`", field.description)
        for name, field in RaySettings.model_fields.items()
    ]
    assert rows == expected


def test_every_variable_on_the_page_is_one_that_is_read() -> None:
    known = {f"{ENVIRONMENT_PREFIX}{name}".upper() for name in Settings.model_fields}
    known |= {f"{RAY_ENVIRONMENT_PREFIX}{name}".upper() for name in RaySettings.model_fields}
    named = set(re.findall(r"\bIMPRIMATUR_(?:MODEL|RAY)_[A-Z_]+\b", PAGE))
    assert named
    assert named <= known
    assert f"{ray_door.HOOK_VARIABLE}={ray_door.HOOK}" in PAGE


def test_the_charts_values_on_the_page_are_values_of_the_chart() -> None:
    schema = json.loads((ROOT / "helm/imprimatur/values.schema.json").read_text("utf-8"))
    values = next(document for document in _documents() if "modelServer" in document)["modelServer"]
    part = {**schema["properties"]["modelServer"], "$defs": schema.get("$defs", {})}
    part.pop("required", None)
    jsonschema.validate(values, part)
    assert set(values["config"]) <= set(Settings.model_fields)


def test_what_is_scaled_by_is_a_counter_that_the_server_has() -> None:
    scaled = _of_kind("ScaledObject")["spec"]
    (trigger,) = scaled["triggers"]
    (name,) = re.findall(r"imprimatur_\w+", trigger["metadata"]["query"])
    assert f"{name}{{class=" in Metrics().exposition().decode()
    assert scaled["scaleTargetRef"]["name"] == "imprimatur-model-server"


def test_rays_part_of_the_ray_service_is_as_ray_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = _of_kind("RayService")["spec"]
    deployed = ServeDeploySchema.model_validate(yaml.safe_load(spec["serveConfigV2"]))
    (application,) = deployed.applications
    module, _, name = application.import_path.partition(":")
    assert (module, getattr(ray_app, name)) == (ray_app.__name__, ray_app.app)
    groups = [spec["rayClusterConfig"]["headGroupSpec"], *spec["rayClusterConfig"]["workerGroupSpecs"]]
    for group in groups:  # proxies and replicas run on all of them
        (container,) = group["template"]["spec"]["containers"]
        for variable in container["env"]:
            if variable["name"].startswith(ENVIRONMENT_PREFIX):
                monkeypatch.setenv(variable["name"], variable["value"])
        assert {"name": ray_door.HOOK_VARIABLE, "value": ray_door.HOOK} in container["env"]
        assert Settings().device == "cuda"
