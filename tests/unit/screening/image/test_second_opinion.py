"""Two nets on nudity: what they come to together, and what becomes of the second one's file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from gateway.screening.image import nudity as module
from gateway.screening.image.nudity import ALONE_AT_MOST, BARE, BODY_SIDE, nudity, of_parts, of_the_whole, together
from gateway.screening.image.report import NUDITY_DENY, NUDITY_REVIEW
from gateway.screening.image.weights import Floats, ModelUnusable, Net, body_parts_net

PICTURE = np.random.default_rng(3).integers(0, 255, (90, 200, 3), dtype=np.uint8)


class StandIn:
    """Answers as NudeNet does, with these scores of its classes for one box of many."""

    def __init__(self, scores: dict[int, float]) -> None:
        self.scores, self.seen = scores, np.empty(0, np.float32)

    def run(self, values: Floats) -> list[Floats]:
        self.seen = values
        said = np.zeros((1, 4 + 18, 2_100), np.float32)
        said[0, :4] = 900.0  # boxes are pixels, and no scores
        for place, score in self.scores.items():
            said[0, 4 + place, 77] = score
        return [said]


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    body_parts_net.cache_clear()
    yield
    body_parts_net.cache_clear()


@pytest.mark.parametrize(
    ("one", "other", "score"),
    [(0.0, 0.0, 0.0), (0.95, 0.9, 0.9), (0.99, 0.1, ALONE_AT_MOST), (0.0, 1.0, ALONE_AT_MOST), (0.5, 0.2, 0.5)],
)
def test_both_refuse_and_one_alone_asks_a_person(one: float, other: float, score: float) -> None:
    assert together(one, other) == together(other, one) == score
    assert NUDITY_REVIEW <= ALONE_AT_MOST < NUDITY_DENY


def test_bare_parts_count_and_nothing_else_of_what_it_sees() -> None:
    covered = {place: 0.9 for place in range(18) if place not in BARE}
    assert of_parts(cast(Net, StandIn(covered)), PICTURE) == 0
    for place in BARE:
        assert of_parts(cast(Net, StandIn({**covered, place: 0.7})), PICTURE) == pytest.approx(0.7)


def test_it_is_shown_the_whole_picture_in_a_square() -> None:
    net = StandIn({})
    of_parts(cast(Net, net), PICTURE)
    assert net.seen.shape == (1, 3, BODY_SIDE, BODY_SIDE)
    assert net.seen[0, :, :144].mean() > 0.4
    assert net.seen[0, :, 144:].max() == 0


def test_both_are_asked_where_both_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "body_parts_net", lambda: StandIn({BARE[0]: 1.0}))
    assert nudity(PICTURE) == pytest.approx(together(of_the_whole(PICTURE), 1.0))
    monkeypatch.setattr(module, "body_parts_net", lambda: None)
    assert nudity(PICTURE) == of_the_whole(PICTURE)


def test_a_package_with_another_file_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nudenet").mkdir()
    (tmp_path / "nudenet/__init__.py").write_text("raise SystemExit('its code must not run')")
    (tmp_path / "nudenet/320n.onnx").write_bytes(b"another net")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "nudenet", raising=False)
    with pytest.raises(ModelUnusable, match=r"320n.onnx: another file"):
        nudity(PICTURE)
