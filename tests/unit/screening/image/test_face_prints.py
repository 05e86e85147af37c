"""The same face before another ground has nearly the same print, and another face has not."""

from __future__ import annotations

import json
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gateway.prints.windows import NEARBY, WORDS, mirrored
from gateway.screening.image import pool
from gateway.screening.image.chain import look
from gateway.screening.image.face_boxes import SCORE, find
from gateway.screening.image.face_prints import MOST, SMALLEST, face_prints
from gateway.screening.image.faces import faces
from gateway.screening.image.watch import FACES_ALIKE
from tests.support.drawn import as_picture
from tests.support.faces import before, face
from tests.unit.provenance.pictures import Pixels, decoded, encoded, made

GROUNDS = [Image.fromarray(made(kind, 3, 384)) for kind in ("clouds", "texture", "shapes", "plain")]
PEOPLE = (0, 7, 8, 17, 31, 35, 52)


def shown(person: int, ground: int) -> Pixels:
    """A picture of `ground` with the face somewhere in it, in some size; every second one is mirrored."""
    side = (150, 210, 250, 180)[ground]
    whole = np.asarray(
        before(GROUNDS[ground], face(person), side, (20, 150, 90, 40)[ground], (190, 30, 60, 10)[ground])
    )
    whole = whole[:, ::-1] if ground % 2 else whole
    return decoded(encoded(np.ascontiguousarray(whole), "JPEG", quality=80))


def prints(pixels: Pixels) -> list[np.ndarray]:
    return [np.frombuffer(one, np.uint64).reshape(NEARBY, WORDS) for one in faces(pixels).prints]


def apart(kept: np.ndarray, asked: np.ndarray) -> int:
    laid = np.concatenate([asked, mirrored(asked)])
    return int(np.bitwise_count(laid ^ kept[0]).sum(1).min())


@pytest.fixture(scope="module")
def found() -> dict[int, list[np.ndarray]]:
    """The prints of each person's face, before each ground."""
    told = {person: [prints(shown(person, ground)) for ground in range(len(GROUNDS))] for person in PEOPLE}
    return {person: [one for some in all_of for one in some] for person, all_of in told.items()}


def test_a_face_before_other_grounds_is_mostly_the_same(found: dict[int, list[np.ndarray]]) -> None:
    assert all(len(some) >= 3 for some in found.values()), "each is found before three grounds at least"
    pairs = [apart(one, other) for some in found.values() for one, other in combinations(some, 2)]
    assert np.mean([distance <= FACES_ALIKE for distance in pairs]) >= 0.8, sorted(pairs)


def test_another_face_is_another_one_before_the_same_ground_too(found: dict[int, list[np.ndarray]]) -> None:
    """These are made from one template: photographed ones are further apart (`bench.pictures`)."""
    pairs = [
        apart(one, other)
        for person, stranger in combinations(PEOPLE, 2)
        for one in found[person]
        for other in found[stranger]
    ]
    assert np.mean([distance <= FACES_ALIKE for distance in pairs]) <= 0.01, sorted(pairs)[:9]
    assert np.median(pairs) > 1.4 * FACES_ALIKE


def test_the_eyes_are_where_they_were_drawn() -> None:
    whole = before(Image.new("RGB", (400, 300), "gray"), face(31), 240, 100, 30)
    box = find(np.asarray(whole))[0]
    left, right, _, _, _ = box[SCORE + 1 :].reshape(-1, 2)
    for eye, across in ((left, 0.35), (right, 0.65)):
        assert np.abs(eye - (100 + across * 240, 30 + 0.44 * 240)).max() < 0.05 * 240


def test_of_many_faces_the_largest_are_printed_and_none_that_is_too_small() -> None:
    ground = Image.new("RGB", (900, 300), "gray")
    for place, side in enumerate((180, 240, 120, 210)):
        ground = before(ground, face(31), side, (0, 180, 480, 640)[place], 20)
    pixels = np.asarray(ground)
    boxes = find(pixels)
    assert len(boxes) == 4
    assert len(face_prints(pixels, boxes)) == MOST
    smallest = int((boxes[:, 2] - boxes[:, 0]).argmin())
    largest = np.delete(boxes, smallest, axis=0)
    assert {*face_prints(pixels, boxes)} == {*face_prints(pixels, largest)}
    shrunk = boxes[:1].copy()
    shrunk[0, 2:4] = shrunk[0, 0:2] + SMALLEST - 1
    assert face_prints(pixels, shrunk) == ()


def test_where_no_face_is_found_again_there_is_no_print() -> None:
    pixels = shown(31, 3)
    elsewhere = find(pixels)[:1].copy()
    elsewhere[0, SCORE + 1 :] = np.array([[300, 300], [340, 300], [320, 320], [305, 340], [335, 340]]).ravel()
    assert face_prints(pixels, elsewhere) == ()


def test_a_look_carries_them_and_a_torn_one_is_no_answer() -> None:
    seen = look(as_picture(Image.fromarray(shown(31, 0))))
    (one,) = seen.faces
    told: dict[str, Any] = {
        **{name: getattr(seen, name) for name in seen.__slots__},
        "classes": {},
    }
    assert pool._look(json.loads(json.dumps(told))).faces == (one,)
    for wrong in ("AAAA", "?", one[:-8]):
        with pytest.raises(ValueError, match=r"."):
            pool._look(json.loads(json.dumps({**told, "faces": [wrong]})))
    assert one not in repr(seen)
