"""Pictures that come out the same for different people, and partial pictures in which something was found."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from demo.idp.people import STAFF, Employee
from demo.stack import Stack
from tests.support.person import PersonAt

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A company with two people who make pictures, and rules that allow what is found in each."""
    staff = (*STAFF, Employee("hugo", "Hugo Brandt", "Design", ("staff",)))
    made = Stack(tmp_path_factory.mktemp("studio"), say=lambda _: None, staff=staff)
    # Each output has a finding then, and policy allows it.
    change(made, "pictures", "  output: []\n", '  output: ["violence"]\n')
    change(made, "findings", "\ntypes: {}\n", '\ntypes: {"picture.unchecked": "allow"}\n')
    with made:
        yield made


def change(stack: Stack, config: str, before: str, after: str) -> None:
    path = stack.policies / f"gateway/config/{config}/data.yaml"
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))


async def test_the_same_picture_for_another_person_and_another_prompt_goes_to_review(studio):
    # The model reads the beginning of a prompt only, the watch all of it.
    tails = [" ".join(f"{syllable}{n}" for n in range(150)) for syllable in ("ba", "ko", "mi")]
    prompts = ["an apple on a blue background " * 8 + tail for tail in tails]
    async with PersonAt(studio, "alice") as alice:
        for prompt in prompts[:2]:  # one's own
            answer = await alice.generate(prompt, seed=11)
            assert answer.status_code == 200, answer.text
    async with PersonAt(studio, "hugo") as hugo:
        before = await hugo.credits()
        held = await hugo.generate(prompts[2], seed=11)
        assert held.status_code == 403, held.text[:500]
        assert "memorisation.near-duplicate" in held.text
        assert await hugo.credits() == before
        other = await hugo.generate(prompts[2], seed=12)
        assert other.status_code == 200, other.text[:500]


async def test_a_partial_picture_is_shown_where_policy_allows_what_was_found_and_not_otherwise(studio):
    async with PersonAt(studio, "alice") as alice:
        shown = await alice.generate("a tulip", stream=True, partial_images=2)
        assert "image_generation.partial_image" in shown.text
        assert "image_generation.completed" in shown.text
        change(studio, "findings", '"picture.unchecked": "allow"', '"picture.unchecked": "review"')
        try:
            async with asyncio.timeout(30):
                while (await alice.generate("a tulip")).status_code == 200:
                    await asyncio.sleep(0.5)
            held = await alice.generate("a tulip", stream=True, partial_images=2)
            assert "picture.unchecked" in held.text
            assert "image_generation.partial_image" not in held.text
        finally:
            change(studio, "findings", '"picture.unchecked": "review"', '"picture.unchecked": "allow"')
