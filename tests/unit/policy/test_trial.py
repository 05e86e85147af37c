"""The trial of a bundle: what it sees, what it gives, what it refuses."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.policy.bundle import BundleRefused, read_bundle
from gateway.policy.trial import try_out
from tests.support.policy import UNHURRIED_SECONDS, change, copy_of_shipped

AUTHZ = "gateway/image/authz/authz.rego"


async def test_a_trial_sees_nothing_of_our_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rules of a hostile bundle run in the child; our secrets' paths and settings must not be there."""
    seen: dict[str, Any] = {}
    start = asyncio.create_subprocess_exec

    async def watch(*command: Any, **options: Any) -> Any:
        seen.update(options)
        return await start(*command, **options)

    monkeypatch.setenv("IMPRIMATUR_DATABASE_URL", "secret")
    monkeypatch.setattr("gateway.policy.trial.asyncio.create_subprocess_exec", watch)
    await try_out(read_bundle(copy_of_shipped(tmp_path)), decision_seconds=UNHURRIED_SECONDS)
    assert set(seen["env"]) == {"PYTHONPATH", "RUST_BACKTRACE"}


async def test_rules_that_decide_too_slowly_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleRefused, match=rf"{AUTHZ}:\d+:1: took .* more than 1e-06 s"):
        await try_out(read_bundle(copy_of_shipped(tmp_path)), decision_seconds=0.000_001)


async def test_the_revision_names_the_manifest_s_and_the_content(tmp_path: Path) -> None:
    bundle = read_bundle(copy_of_shipped(tmp_path))
    rules = await try_out(bundle, decision_seconds=UNHURRIED_SECONDS)
    assert rules.revision == f"2026.11.1+{bundle.digest[:12]}"
    assert not any(name.endswith("_test.rego") for name in rules.modules)
    assert json.loads(rules.data_json)["gateway"]["config"]["limits"]["retention_days"] == 30


async def test_json_data_is_as_good_as_yaml_and_as_strict(tmp_path: Path) -> None:
    folder = copy_of_shipped(tmp_path)
    change(folder, {"gateway/config/extra/data.json": '{"a": [1, null]}'})
    rules = await try_out(read_bundle(folder), decision_seconds=UNHURRIED_SECONDS)
    assert json.loads(rules.data_json)["gateway"]["config"]["extra"] == {"a": [1, None]}
    for broken in ('{"a": 1, "a": 2}', '{"a": NaN}', '{"a": ', "[1]"):
        change(folder, {"gateway/config/extra/data.json": broken})
        with pytest.raises(BundleRefused, match=r"^gateway/config/extra/data\.json:1:"):
            await try_out(read_bundle(folder), decision_seconds=UNHURRIED_SECONDS)


async def test_data_outside_the_roots_or_given_twice_is_refused(tmp_path: Path) -> None:
    folder = copy_of_shipped(tmp_path)
    change(folder, {"elsewhere/data.yaml": "a: 1\n"})
    with pytest.raises(BundleRefused, match=r"^elsewhere/data\.yaml:1:1: lies outside"):
        await try_out(read_bundle(folder), decision_seconds=UNHURRIED_SECONDS)
    change(folder, {"elsewhere/data.yaml": None})
    for text, says in (("limits: {retention_days: 5}", "holds retention_days as well"), ("limits: 5", "no mapping")):
        change(folder, {"gateway/config/data.yaml": text})
        with pytest.raises(BundleRefused, match=says):
            await try_out(read_bundle(folder), decision_seconds=UNHURRIED_SECONDS)


EDITS = {
    "only our networks": (
        "gateway/config/networks/data.yaml",
        'allowed_cidrs: ["10.0.0.0/8"]\nallowed_countries: ["*"]\n',
    ),
    "only our countries": (
        "gateway/config/networks/data.yaml",
        'allowed_cidrs: ["0.0.0.0/0"]\nallowed_countries: ["DE"]\n',
    ),
    "no hours at all": ("gateway/config/hours/data.yaml", 'timezone: "Europe/Berlin"\nwindows: []\n'),
    "no models": ("gateway/config/models/data.yaml", "{}\n"),
    "nobody may do anything": (
        "gateway/config/roles/data.yaml",
        "grants: {}\npermission_mfa_max_age_seconds: {}\napi_key_permissions: []\napi_key_max_age_seconds: 1\n",
    ),
}


@pytest.mark.parametrize("name", EDITS)
async def test_data_that_denies_more_comes_into_force(tmp_path: Path, name: str) -> None:
    """Rules that say no to the trial's own questions are good rules: a set of refusals must not upset the trial."""
    path, text = EDITS[name]
    folder = copy_of_shipped(tmp_path)
    change(folder, {path: text})
    await try_out(read_bundle(folder), decision_seconds=UNHURRIED_SECONDS)
