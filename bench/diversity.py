"""Diversity rewriting's figures: `python -m bench.diversity`.

How often a fixed set of prompts is rewritten where it should be and where it must not be, in four languages; what is
drawn for "CEO", "nurse" and the like beside what is configured; and CPU time. Writes `bench/results/diversity.json`.
The prompts are our own, so these are figures of what we thought of, not of what people write.
"""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from bench.support import results
from bench.support.results import Figure
from gateway.diversity.book import load
from gateway.diversity.drawing import Weights, drawn_for
from gateway.diversity.rewriter import Rewriter

ROOT: Final = Path(__file__).resolve().parents[1]
DRAWS: Final = 4_000
PROBES: Final = ("a photo of a CEO", "a nurse", "a portrait of an engineer", "a cleaner in an office", "a firefighter")

OPEN: Final[Mapping[str, Sequence[str]]] = {
    "en": (
        "a CEO in a glass office",
        "portrait of a nurse, soft light",
        "an engineer fixing a turbine",
        "a doctor talking to a patient",
        "a teacher in front of a blackboard",
        "someone drinking coffee by a window",
        "a person walking a dog on the beach",
        "an astronaut floating above the earth",
        "a firefighter leaving a burning house",
        "a judge in a courtroom, oil painting",
        "a street musician in the rain",
        "a happy child with a kite",
        "kids building a sandcastle",
        "a crowd at a concert",
        "a young entrepreneur at a whiteboard",
        "a farmer in a wheat field at dawn",
        "a black and white photograph of a pianist",
        "a doctor in a white coat",
        "students in a library",
        "a barista pouring latte art, 35mm film",
        "a cyclist racing downhill",
        "a scientist with a microscope, isometric illustration",
        "an elderly woman knitting",
        "a bearded man with a hat",
        "a woman presenting to a board",
        "a girl reading under a tree",
        "a Japanese chef slicing fish",
        "an Indian engineer at a laptop",
        "two colleagues shaking hands",
        "a plumber under a sink",
        "a tired office worker at night",
        "a boxer training in a gym",
        "a photographer in a field of brown grass",
        "a lawyer with a red tie, in the style of Edward Hopper",
        "A GARDENER WITH ROSES",
        "A Portrait Of A Soldier",
        "a team of experts around a table",
        "a customer at the counter",
    ),
    "de": (
        "Ein Arzt in der Klinik",
        "ein Ingenieur an einer Maschine",
        "eine Person am Fenster",
        "ein Lehrer vor der Tafel",
        "ein Koch in der Küche",
        "Foto von einem Polizist auf der Straße",
        "Kinder auf einem Spielplatz",
        "eine Anwältin im Büro",
        "ein alter Mann auf einer Bank",
        "ein Astronaut auf dem Mond",
        "Menschen in einem Park",
        "ein japanischer Koch am Herd",
        "eine Führungskraft am Schreibtisch",
    ),
    "fr": (
        "un médecin dans un hôpital",
        "une personne sur la plage",
        "un ingénieur devant une machine",
        "une avocate au bureau",
        "un enfant avec un ballon",
        "portrait d'un chef dans sa cuisine",
        "des étudiants dans une bibliothèque",
        "un pompier dans la rue",
        "une femme qui lit un livre",
        "un musicien japonais sur scène",
        "une foule dans le métro",
    ),
    "es": (
        "un médico en el hospital",
        "una persona en la playa",
        "un ingeniero con un plano",
        "una abogada en su oficina",
        "un bombero en la calle",
        "retrato de un cocinero en la cocina",
        "unos estudiantes en la biblioteca",
        "un hombre con sombrero",
        "una niña con una cometa",
        "un músico mexicano en la plaza",
        "gente en el mercado",
    ),
}
SAID: Final[Mapping[str, Sequence[str]]] = {
    "en": (
        "a Nigerian woman at a market stall",
        "a white man in a suit",
        "a Black female surgeon",
        "an Asian boy with a balloon",
        "a Korean grandmother cooking",
        "a red-haired girl on a swing",
        "a man from Senegal playing a drum",
        "a Latina businesswoman",
        "Marie Curie in her laboratory as a scientist",
        "Doctor Watson by the fire",
        "a portrait of Nelson Mandela, the president",
        "a samurai warrior woman",
        "an engineer who is a Black woman",
        "a blonde woman at the beach",
        "a dark-skinned man smiling",
        "a robot nurse",
        "a cat dressed as a chef",
        "a penguin as a pilot",
        "a lighthouse at dusk",
        "a bowl of fruit on a table",
        "a nurse shark in the reef",
        "a doctor's office without people",
        "a chef's knife on a board",
        "the driver's seat of a car",
        "a scale model of a ship",
        "a Lego firefighter",
        "a statue of a soldier",
        "a teddy bear doctor",
        "a 3d model of a house",
        "an empty street, no people",
        "a flat icon of a shopping cart",
        "Baker Street in fog",
        "a worker bee on a flower",
        "a Chinese girl and an Indian boy",
        "a white woman and a Black man dancing",
        "an alien teacher",
        "a baby elephant bathing",
        "a vacuum cleaner in a corner",
        "a children's book cover with a fox",
        "a queen bee",
    ),
    "de": (
        "eine indische Ärztin im Krankenhaus",
        "ein schwarzer Mann mit Hut",
        "ein Leuchtturm am Abend",
        "ein Roboter als Koch",
        "eine Katze als Arzt verkleidet",
        "eine Frau aus Ghana am Markt",
        "ein blonder Junge mit dem Ball",
        "eine Straße ohne Menschen",
        "ein türkischer Großvater",
        "eine Schale mit Obst",
    ),
    "fr": (
        "une femme noire dans la rue",
        "un homme japonais au marché",
        "un phare au coucher du soleil",
        "un chat déguisé en médecin",
        "un robot infirmier",
        "une rue sans personne",
        "une fille rousse sur une balançoire",
        "une femme originaire de Dakar",
        "le pilote automatique d'un avion",
        "une corbeille de fruits sur la table",
    ),
    "es": (
        "una mujer negra en la calle",
        "un hombre japonés en el mercado",
        "un faro al atardecer",
        "un gato vestido de médico",
        "un robot enfermero",
        "una calle sin gente",
        "una niña pelirroja en el columpio",
        "una mujer indígena en la plaza",
        "un cajero automático en la pared",
        "una cesta de fruta en la mesa",
    ),
}


def applied(rewriter: Rewriter) -> list[Figure]:
    """How often it is applied where it should be, and where it must not be."""
    figures = []
    for name, prompts, wanted in (("left open", OPEN, True), ("said, or about nobody", SAID, False)):
        wrong = 0
        for language, texts in prompts.items():
            missed = [t for t in texts if (rewriter.rewrite(t, drawn_for(t)) is not None) is not wanted]
            wrong += len(missed)
            print(
                f"{name:<24}{language:<4}{len(texts) - len(missed):>4} of {len(texts):>3} right   {'; '.join(missed)}"
            )
        share = wrong / sum(map(len, prompts.values()))
        told = "left as they are" if wanted else "rewritten"
        figures.append(
            Figure(
                figure=f"our prompts with people {name}: {told}",
                unit="ratio",
                value=share,
                target=0.1 if wanted else 0.02,
            )
        )
    return figures


def drawn(rewriter: Rewriter) -> list[Figure]:
    """The largest distance of a drawn share from its configured one, over all probes."""
    furthest: dict[str, float] = {}
    for probe in PROBES:
        seen: dict[str, Counter[str]] = {"gender": Counter(), "origin": Counter()}
        for number in range(DRAWS):
            draw = drawn_for(f"{probe}|{number}")

            def noted(what: str, weights: Weights) -> str:
                name = draw(what, weights)  # noqa: B023  # called within this turn only
                seen[what.partition(".")[0]][name] += 1  # noqa: B023
                return name

            rewriter.rewrite(probe, noted)
        for what, weights in (("gender", rewriter.world.genders), ("origin", rewriter.world.origins)):
            total = sum(weights.values())
            away = max(abs(seen[what][name] / DRAWS - weight / total) for name, weight in weights.items())
            furthest[what] = max(furthest.get(what, 0.0), away)
            shares = ", ".join(f"{name} {seen[what][name] / DRAWS:.1%}" for name in weights)
            print(f"{probe:<28}{what}: {shares}")
    return [
        Figure(
            figure=f"furthest share of a {what} from the configured one, {DRAWS} draws",
            unit="ratio",
            value=away,
            target=0.03,
        )
        for what, away in furthest.items()
    ]


def speed(rewriter: Rewriter) -> list[Figure]:
    figures = []
    for chars in (400, 4_000):
        text = ("a doctor in a quiet town looks at a map of the sea and thinks, " * 100)[:chars]
        times = []
        for number in range(200):
            draw = drawn_for(str(number))
            begin = time.process_time_ns()
            rewriter.rewrite(text, draw)
            times.append((time.process_time_ns() - begin) / 1e6)
        median = statistics.median(times)
        figures.append(Figure(figure=f"CPU median at {chars} characters", unit="ms", value=median))
    return figures


def main() -> None:
    rewriter = load(ROOT / "policies")
    figures = [*applied(rewriter), *drawn(rewriter), *speed(rewriter)]
    for figure in figures:
        print(f"{figure.figure:<70}{figure.value:>9.4f} {figure.unit}  {figure.verdict}")
    print(f"machine: {results.machine()}")
    results.write("diversity", figures)


if __name__ == "__main__":
    main()
