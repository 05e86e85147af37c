"""What a prompt leaves open is drawn and said; what a person wrote is never contradicted."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.diversity.book import load
from gateway.diversity.drawing import Weights, drawn_for
from gateway.diversity.rewriter import MAX_CHARS, Rewriter

POLICIES = Path(__file__).parents[3] / "policies"


@pytest.fixture(scope="module")
def rewriter() -> Rewriter:
    return load(POLICIES)


def black_woman(what: str, weights: Weights) -> str:
    """The same lot for everybody."""
    return "woman" if what.startswith("gender") else "black"


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("A photo of a CEO", "A photo of a CEO, the person is a Black woman"),
        ("a nurse at work.", "a nurse at work, the person is a Black woman"),
        ("a portrait of a child", "a portrait of a child, the person is a Black girl"),
        ("a Japanese chef", "a Japanese chef, the person is a woman"),
        ("a Black doctor in a white coat", "a Black doctor in a white coat, the person is a woman"),
        ("an old man reading", "an old man reading, the person is a Black man"),
        ("a female pilot", "a female pilot, the person is a Black woman"),
        ("a doctor and her dog", "a doctor and her dog, the person is a Black woman"),
        ("people in a park", "people in a park, among the people are a Black woman and a Black woman"),
        ("a boy on a swing", "a boy on a swing, the person is a Black boy"),
        ("a black and white photo of a doctor", "a black and white photo of a doctor, the person is a Black woman"),
        ("a doctor in a white coat", "a doctor in a white coat, the person is a Black woman"),
        ("a doctor painted by Frida Kahlo", "a doctor painted by Frida Kahlo, the person is a Black woman"),
        ("Ein Arzt bei der Arbeit", "Ein Arzt bei der Arbeit, die Person ist eine Schwarze Frau"),
        ("Eine Ärztin bei der Arbeit", "Eine Ärztin bei der Arbeit, die Person ist eine Schwarze Frau"),
        ("Ein indischer Koch in der Küche", "Ein indischer Koch in der Küche, die Person ist eine Frau"),
        ("Ein Junge mit dem Fahrrad", "Ein Junge mit dem Fahrrad, die Person ist ein Schwarzer Junge"),
        ("un médecin dans un hôpital", "un médecin dans un hôpital, la personne est une femme noire"),
        ("une infirmière dans le jardin", "une infirmière dans le jardin, la personne est une femme noire"),
        ("un ingénieur japonais sur un pont", "un ingénieur japonais sur un pont, la personne est une femme"),
        ("un hombre en la calle", "un hombre en la calle, la persona es un hombre negro"),
        ("una persona en el bosque", "una persona en el bosque, la persona es una mujer negra"),
        ("un médico mexicano en el hospital", "un médico mexicano en el hospital, la persona es una mujer"),
    ],
)
def test_what_is_left_open_is_said_in_the_prompts_own_language(rewriter: Rewriter, prompt: str, expected: str) -> None:
    assert rewriter.rewrite(prompt, black_woman) == expected


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "a lighthouse at dusk",
        "a Nigerian woman at a desk",
        "a white man with a beard",
        "a Black female engineer",
        "a Korean boy and a Kenyan girl",
        "a doctor who is a Black woman",
        "a woman from Lagos",
        "Marie Curie as a teacher",
        "Doctor Watson at the fireplace",
        "a cat dressed as a chef",
        "a robot nurse",
        "a nurse shark on the sea floor",
        "an empty street without people",
        "a doctor's office",
        "a samurai woman",
        "eine indische Ärztin im Krankenhaus",
        "ein Roboter als Koch",
        "eine leere Straße ohne Menschen",
        "une femme noire dans la rue",
        "un chat habillé comme un chef",
        "una mujer indígena en el mercado",
        "un gato vestido de médico",
    ],
)
def test_what_is_said_or_is_about_nobody_stays_as_it_is(rewriter: Rewriter, prompt: str) -> None:
    assert rewriter.rewrite(prompt, black_woman) is None


def test_the_same_request_draws_the_same_again_and_each_picture_draws_for_itself(rewriter: Rewriter) -> None:
    texts = [rewriter.rewrite("a photo of a doctor", drawn_for("request", index)) for index in range(40)]
    assert texts == [rewriter.rewrite("a photo of a doctor", drawn_for("request", index)) for index in range(40)]
    assert len(set(texts)) > 5
    assert texts != [rewriter.rewrite("a photo of a doctor", drawn_for("other", index)) for index in range(40)]


def test_a_share_of_nothing_is_never_drawn(rewriter: Rewriter) -> None:
    drawn = {drawn_for(str(i))("gender.0", rewriter.world.genders) for i in range(2_000)}
    assert drawn == {"woman", "man"}


def test_what_was_written_stays_letter_for_letter(rewriter: Rewriter) -> None:
    prompt = "  A  doctor,\twith 3 ﬁles — née ¿?"
    rewritten = rewriter.rewrite(prompt, black_woman)
    assert rewritten is not None
    assert rewritten.startswith(prompt)


def test_a_prompt_that_would_grow_too_long_stays_as_it_is(rewriter: Rewriter) -> None:
    prompt = "a doctor " + "x" * (MAX_CHARS - 20)
    assert rewriter.rewrite(prompt, black_woman) is None
    assert rewriter.rewrite("a doctor " + "x" * 1_000, black_woman) is not None


def test_a_draw_outside_the_names_is_an_error(rewriter: Rewriter) -> None:
    with pytest.raises(ValueError, match="one of the names"):
        rewriter.rewrite("a doctor", lambda what, weights: "nobody")
