"""Each picture of a request shows somebody else, where policy asks for it. From outside, on real parts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from demo.stack import Stack
from tests.support.patience import UNHURRIED
from tests.support.person import PersonAt

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def open_world(tmp_path_factory):
    """The whole house, with people drawn for everybody."""
    state = tmp_path_factory.mktemp("world")
    shutil.copytree(ROOT / "policies", state / "policies")
    path = state / "policies" / "gateway" / "config" / "diversity" / "data.yaml"
    data = yaml.safe_load(path.read_text("utf-8"))
    path.write_text(yaml.safe_dump(data | {"groups": ["*"]}), "utf-8")
    with Stack(state, say=lambda _: None, settings=UNHURRIED) as running:
        yield running


async def test_each_picture_of_a_request_has_people_of_its_own_and_says_so(open_world):
    async with PersonAt(open_world, "alice") as alice:
        answer = await alice.generate("a photo of a doctor", n=4)
        assert answer.status_code == 200, answer.text
        data = answer.json()["data"]
    texts = [item["revised_prompt"] for item in data]
    assert all(text.startswith("a photo of a doctor, ") for text in texts)
    assert len(set(texts)) > 1
    assert len({item["b64_json"] for item in data}) == 4


async def test_who_says_it_all_is_left_alone(open_world):
    async with PersonAt(open_world, "alice") as alice:
        answer = await alice.generate("a photo of a Nigerian woman", n=2)
        assert answer.status_code == 200, answer.text
    assert [item.get("revised_prompt") for item in answer.json()["data"]] == [None, None]


async def test_the_stream_names_what_each_picture_was_made_from(open_world):
    async with PersonAt(open_world, "alice") as alice:
        answer = await alice.generate("a photo of a teacher", n=3, stream=True)
        assert answer.status_code == 200, answer.text
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
    finished = [event for event in events if event["type"].endswith(".completed")]
    assert [event["index"] for event in finished] == [0, 1, 2]
    assert len({event["revised_prompt"] for event in finished}) > 1
