"""What can be for some people only, and who decides that there is room for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import keeping
from gateway.diversity import vocabulary as diversity
from gateway.errors import InvalidRequest
from gateway.lifecycle.follower import Follower
from gateway.lifecycle.rollouts import Stage, not_by_person, read_stage
from gateway.policy.embedded import EmbeddedEngine
from gateway.screening.image import required
from gateway.screening.rules.ruleset import FOLDERS
from gateway.settings import PolicySettings, Settings
from gateway.wiring_policy import make_staged
from tests.unit.replay.conftest import NOW


@pytest.mark.parametrize(
    "path",
    [
        *(f"{folder}/some.yaml" for folder in FOLDERS),
        f"{diversity.WORDS}/en.yaml",
        str(diversity.SHARES),
        str(keeping.FILE),
        str(required.FILE),
    ],
)
def test_what_others_than_the_engine_read_is_for_everybody(path: str) -> None:
    assert not_by_person({}, {path: b"x"}) == [path]
    assert not_by_person({path: b"x"}, {}) == [path]
    assert not_by_person({path: b"x"}, {path: b"x"}) == []


def test_rules_and_limits_can_be_for_some() -> None:
    paths = ("gateway/config/limits/data.yaml", "gateway/image/authz/authz.rego", "dlp_notes/a.md")
    assert not_by_person({}, dict.fromkeys(paths, b"x")) == []


def test_a_stage_reads_as_it_was_written() -> None:
    stage = read_stage({"groups": ["a", "b", "a"], "percent": 5, "steps": [25, 100]})
    assert stage == Stage(groups=("a", "b"), percent=5.0, steps=(25.0, 100.0))
    assert read_stage(stage.as_json()) == stage
    assert (stage.may_finish, read_stage({"percent": 5, "steps": [99.99]}).may_finish) == (True, False)
    assert stage.in_words() == "the groups a, b, and 5 % of all others"
    assert read_stage({"percent": 0.5}).in_words() == "0.5 % of all people and programs"
    for wrong in (float("nan"), float("inf"), -1, 100.5):
        with pytest.raises(InvalidRequest, match="share"):
            read_stage({"percent": wrong})


async def test_only_managed_rules_of_the_own_engine_leave_room_for_a_candidate(tmp_path: Path) -> None:
    """A folder has one set of rules, and so has an OPA server."""
    engine = EmbeddedEngine(tmp_path, clock=lambda: NOW)
    settings = Settings.model_construct(policy=PolicySettings.model_construct(engine="embedded"))
    follower = object.__new__(Follower)
    assert make_staged(settings, engine, follower) is not None
    assert make_staged(settings, engine, None) is None
    settings = Settings.model_construct(policy=PolicySettings.model_construct(engine="opa"))
    assert make_staged(settings, engine, follower) is None
