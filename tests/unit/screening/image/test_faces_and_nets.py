"""Nets and what is believed of them: only the file that was declared, and only a probability."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gateway.exchange import Stage
from gateway.screening.image import weights
from gateway.screening.image.chain import look
from gateway.screening.image.faces import Faces, faces
from gateway.screening.image.report import report
from gateway.screening.image.seen import Classifier, Look
from gateway.screening.image.weights import ModelUnusable, Net, shipped
from gateway.vocabulary import Code, Effect
from tests.support.drawn import as_picture, lettered

CARD_PAGE = Path(__file__).parents[4] / "docs/reference/picture-models.md"
ONE = Classifier(name="company", category="violence", path="/no/such/file", sha256="1" * 64)


def found(
    seen: Look, stage: Stage = "upload", classifiers: Sequence[Classifier] = (), required: Sequence[str] = ()
) -> list[tuple[str, Effect]]:
    findings = report(seen, stage=stage, field="image", is_blocked=False, classifiers=classifiers, required=required)
    return [(finding.type, finding.proposed) for finding in findings]


@pytest.mark.parametrize("name", sorted(weights.SHIPPED))
def test_every_shipped_net_is_the_one_of_its_model_card(name: str) -> None:
    assert hashlib.sha256((weights.FOLDER / name).read_bytes()).hexdigest() == weights.SHIPPED[name]
    assert weights.SHIPPED[name] in CARD_PAGE.read_text()
    assert isinstance(shipped(name), Net)


def test_another_file_than_the_declared_one_is_not_run(tmp_path: Path) -> None:
    changed = tmp_path / "onet.onnx"
    changed.write_bytes((weights.FOLDER / "onet.onnx").read_bytes() + b"\0")
    with pytest.raises(ModelUnusable, match="another file"):
        Net(changed, weights.SHIPPED["onet.onnx"])
    with pytest.raises(ModelUnusable, match="FileNotFoundError"):
        Net(tmp_path / "none.onnx", "0" * 64)


def test_letters_and_noise_are_no_faces() -> None:
    noise = np.random.default_rng(3).integers(0, 255, (256, 256, 3), dtype=np.uint8)
    assert faces(noise) == Faces() == faces(np.asarray(lettered("hello")))


def test_a_detector_that_fails_is_named_and_the_others_answer_none_the_less() -> None:
    seen = look(as_picture(lettered("hello 4711", letters=60)), (ONE,))
    assert seen.failed == ("company",)
    assert "4711" in seen.text


def test_a_picture_of_one_colour_shows_nothing() -> None:
    assert look(as_picture(Image.new("RGB", (64, 64), "teal")), (ONE,)) == Look()


def test_a_realistic_face_is_for_a_person_in_an_upload_and_noted_in_an_output() -> None:
    assert found(Look(realistic=0.9, doubtful=0.5)) == [(Code.PICTURE_FACE, Effect.REVIEW)]
    assert found(Look(realistic=0.9), "output") == [(Code.PICTURE_FACE, Effect.ALLOW)]
    assert found(Look(doubtful=0.5)) == [(Code.PICTURE_FACE_DOUBTFUL, Effect.ALLOW)]


@pytest.mark.parametrize(
    ("score", "effect"), [(0.2, Effect.ALLOW), (0.6, Effect.REVIEW), (0.85, Effect.DENY), (1.0, Effect.DENY)]
)
def test_nudity_is_reported_from_where_it_says_something(score: float, effect: Effect) -> None:
    assert found(Look(nudity=score)) == [(Code.PICTURE_NUDITY, effect)]
    assert found(Look(nudity=0.19)) == []


def test_a_classifier_proposes_by_its_own_thresholds_and_stands_for_its_category() -> None:
    required = ([ONE], ["violence", "weapons"])
    unchecked = (Code.PICTURE_UNCHECKED, Effect.REVIEW)
    assert found(Look(classes={"company": 0.49}), "upload", *required) == [unchecked]
    assert found(Look(classes={"company": 0.5}), "upload", *required) == [
        ("picture.violence", Effect.REVIEW),
        unchecked,
    ]
    assert found(Look(classes={"company": 0.9}), "upload", *required) == [("picture.violence", Effect.DENY), unchecked]


def _declared(**more: object) -> Classifier:
    """A net that is at hand, declared as a company would declare its own."""
    return Classifier(
        **{
            "name": "company",
            "category": "likeness",
            "path": str(weights.FOLDER / "onet.onnx"),
            "sha256": weights.SHIPPED["onet.onnx"],
            "side": 48,
            "softmax": False,
            **more,
        }  # type: ignore[arg-type]
    )


def test_a_declared_classifier_gives_a_score_for_its_output() -> None:
    picture = as_picture(lettered("hello", letters=60))
    both = [look(picture, (_declared(output=output),)) for output in (0, 1)]
    assert [seen.failed for seen in both] == [(), ()]
    assert sum(seen.classes["company"] for seen in both) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("wrong", [{"output": 2}, {"side": 64}, {"sha256": "0" * 64}])
def test_a_classifier_that_is_not_as_declared_gives_no_answer(wrong: dict[str, object]) -> None:
    assert look(as_picture(lettered("hello", letters=60)), (_declared(**wrong),)).failed == ("company",)
