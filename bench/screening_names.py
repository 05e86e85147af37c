"""Names beside a cue: for `bench.screening`.

Prompts made from a seed: somebody of the company's in four languages, and painters, characters and celebrities as
prompts for art name them, with customers and patients standing about in half of them. The rule was written looking at
seeds below 1,000, which have the same frames: a figure on them says that it works, not how other people write.
"""

from __future__ import annotations

import statistics
from collections import Counter
from random import Random

from bench import screening_corpus as corpus
from bench.support.results import Figure
from bench.support.screening_cpu import cpu_ms
from gateway.screening.entities.model import shared_model, trouble
from gateway.screening.entities.scan import Wanted
from gateway.screening.facade import Screening
from gateway.screening.text.normalise import normalise
from gateway.screening.text.scan import Budget

TYPE = "dlp.person-name-in-context"
PER_LANGUAGE = 300
ART = 3_000
RUNS = 400
GOALS_MS = 25.0


def _of(names: str) -> list[str]:
    return names.split(", ")


FIRST = {
    "en": _of(
        "Emma, Oliver, Grace, Harry, Priya, Kwame, Mei, Tom, Rachel, Deborah, Sean, Aisha, Luke, Hannah, Marcus, Chloe"
    ),
    "de": _of("Anna, Lukas, Sabine, Jürgen, Petra, Emre, Katrin, Stefan, Ursula, Mehmet, Heike, Florian, Birgit, Uwe"),
    "fr": _of("Claire, Antoine, Élodie, Mathieu, Nadia, Luc, Chantal, Karim, Sylvie, Benoît, Aurélie, Thierry"),
    "es": _of("Carmen, Alejandro, Lucía, Javier, Pilar, Diego, Inés, Pablo, Marisol, Andrés, Rocío, Sergio"),
}
LAST = {
    "en": _of(
        "Whitfield, Baker, O'Connor, Sharma, Mensah, Chen, Greenfield, Turner, Hughes, Patel, Lawson, Osei, Doyle"
    ),
    "de": _of("Berger, Schneider, Hofmann, Yılmaz, Krause, Winkler, Özdemir, Vogel, Lindner, Brandt, Pfeiffer, Seidel"),
    "fr": _of("Moreau, Lefèvre, Dubois, Benali, Rousseau, Girard, Fontaine, Mercier, Chevalier, Garnier"),
    "es": _of("García, Ruiz, Herrera, Ortega, Castillo, Navarro, Molina, Serrano, Delgado, Vargas"),
}
FRAMES = {
    "en": (
        "a birthday card for our customer {}",
        "our client {} shaking hands in front of a new house",
        "poster: employee of the month {}, accounting",
        "patient {} smiling in a hospital bed, watercolour",
        "{}, our customer, on a stage with balloons",
        "an ID card of {}, born on 3 May 1980",
        "the account holder {} at a desk, flat vector",
        "a cake for my colleague {} who retires",
        "a signed page, contract with {}, photo",
        "a caricature of my boss {} as a superhero",
        "thank-you card to the tenant {} with flowers",
    ),
    "de": (
        "ein Bild unserer Kundin {} vor ihrem Haus",
        "Mitarbeiter des Monats: {}, Buchhaltung",
        "eine Karte für unseren Kunden {} zum Geburtstag",
        "die Patientin {} im Garten, Aquarell",
        "Kollege {} geht in Rente, Torte mit Kerzen",
        "ein Ausweis, {}, geboren am 3. Mai 1980",
        "Vertrag mit {}, Händedruck, Foto",
    ),
    "fr": (
        "notre cliente {} devant sa maison, photo",
        "une carte pour notre client {}",
        "la patiente {} dans un jardin, aquarelle",
        "mon collègue {} part à la retraite, gâteau",
        "une carte d'identité, {}, née le 3 mai 1980",
        "contrat avec {}, poignée de main",
    ),
    "es": (
        "nuestro cliente {} en su oficina, foto",
        "una tarjeta para nuestra clienta, la paciente {}",
        "el empleado {} en un escenario con globos",
        "mi compañera {} se jubila, tarta",
        "un carné, {}, nacido el 3 de mayo de 1980",
        "contrato con {}, apretón de manos",
    ),
}
FAMOUS = _of(
    "Greg Rutkowski, Alphonse Mucha, Edward Hopper, Vincent van Gogh, Claude Monet, Zdzisław Beksiński, Hayao "
    "Miyazaki, Annie Leibovitz, Norman Rockwell, Frida Kahlo, Gustav Klimt, Artgerm, Ross Tran, Ilya Kuvshinov, "
    "Simon Stålenhag, Ada Lovelace, Nikola Tesla, Marie Curie, Isaac Newton, Albert Einstein, Cleopatra, Napoleon "
    "Bonaparte, Harry Potter, Homer Simpson, Sherlock Holmes, Lara Croft, Darth Vader, Bugs Bunny, Tony Stark, "
    "Geralt of Rivia, Audrey Hepburn, Charlie Chaplin, Marilyn Monroe, David Bowie, Freddie Mercury, Bruce Lee"
)
ALONE = (
    "a castle on a cliff, by {}, trending on artstation",
    "portrait of {}, oil on canvas",
    "{} riding a dragon over a city at night",
    "a fox in the snow in the style of {}",
    "concept art, {} and {}, 8k, highly detailed",
    "{} playing chess with a robot, film still",
    "a village, {} style, soft light",
    "bust of {} in white marble",
    "a character sheet of {}, front and side view",
    "{}, octane render, volumetric light, by {} and {}",
)
AMONG_PEOPLE = (
    "a happy customer in a bakery, by {}",
    "a crowded waiting room with patients, {} and {}",
    "employees in an open office, painted by {}",
    "{} as a customer in a coffee shop",
    "an old client of a bank counting coins, in the style of {}",
    "a doctor and a patient, {}, dramatic light",
    "portrait of {} for the lobby of our client centre",
    "a shop keeper and a customer, illustration by {} and {}",
    "an employee dressed as {} at a party",
    "a tenant looking out of the window, {} style",
    "customer journey map, flat vector, by {}",
    "two colleagues talking about {} in a gallery",
)


def in_context(language: str, seed: int) -> tuple[str, int, int]:
    """A prompt with somebody's name, and where the name stands."""
    rng = Random(f"name {language} {seed}")
    name = f"{rng.choice(FIRST[language])} {rng.choice(LAST[language])}"
    head, tail = rng.choice(FRAMES[language]).split("{}")
    return head + name + tail, len(head), len(head) + len(name)


def art(seed: int) -> str:
    """A prompt for art that names somebody whom everybody knows."""
    rng = Random(f"art {seed}")
    frame = rng.choice(AMONG_PEOPLE if rng.random() < 0.5 else ALONE)
    while "{}" in frame:
        frame = frame.replace("{}", rng.choice(FAMOUS), 1)
    return frame


async def names(screening: Screening) -> list[Figure]:
    """What the shipped rule finds and what it would stop, and its CPU time. Nothing where the model isn't there."""
    wrong = trouble()
    if wrong:
        print(f"names: {wrong}")
        return []
    figures = []
    first = corpus.HELD_OUT_FROM
    for language in FRAMES:
        found = 0
        for seed in range(first, first + PER_LANGUAGE):
            text, start, end = in_context(language, seed)
            found += any(
                f.type == TYPE and f.start < end and start < f.end for f in await screening.screen_prompt(text)
            )
        print(f"names beside a cue, {language}: {found} of {PER_LANGUAGE} found")
        if language == "en":
            share = 1 - found / PER_LANGUAGE
            figures.append(
                Figure(
                    figure="text: share of names beside a cue missed, English", unit="ratio", value=share, target=0.1
                )
            )
    stopped: Counter[str] = Counter()
    model = shared_model()
    for seed in range(first, first + ART):
        text = art(seed)
        stopped["any name"] += any(named.label == "PERSON" for named in model.read([text])[0])
        hit = any(f.type == TYPE for f in await screening.screen_prompt(text))
        stopped["ours"] += hit
        if hit and stopped["ours"] <= 5:
            print(f"  stopped: {text}")
    benign = 0
    for seed in range(first, first + ART):
        benign += any(f.type == TYPE for f in await screening.screen_prompt(corpus.benign(seed)))
    print(f"prompts for art with famous names that the rule would stop: {stopped['ours']} of {ART}; that name a PERSON "
          f"by the same model: {stopped['any name']}. Harmless prompts: {benign} of {ART}")  # fmt: skip
    figures += [
        Figure(
            figure="text: share of prompts for art with famous names stopped",
            unit="ratio", value=stopped["ours"] / ART, target=0.001, beside={"any PERSON": stopped["any name"] / ART},
        ),
        Figure(
            figure="text: share of harmless prompts stopped by names",
            unit="ratio", value=benign / ART, target=0.001,
        ),
    ]  # fmt: skip
    for chars in (400, 4_000):
        texts = [dense(chars, seed) for seed in range(2 * RUNS)]
        await cpu_ms(screening, texts[RUNS:])
        times = await cpu_ms(screening, texts[:RUNS])
        p50, p99 = statistics.median(times), times[int(len(times) * 0.99)]
        share = statistics.mean(_share_read(screening, text) for text in texts[:50])
        print(f"{chars} characters with a name beside a cue each 400: CPU p50 {p50:.1f} ms, p99 {p99:.1f} ms; "
              f"{share:.0%} of them read for names")  # fmt: skip
        figures.append(Figure(figure=figure_at(chars), unit="ms", value=p99, target=GOALS_MS))
    return figures


def figure_at(chars: int) -> str:
    return f"text: CPU p99 at {chars} characters with names beside cues"


def dense(chars: int, seed: int) -> str:
    """Harmless text with somebody's name in it every 400 characters."""
    parts: list[str] = []
    for place in range(chars // 400):
        usual = ". ".join(corpus.benign(seed * 500 + place * 20 + i) for i in range(12))
        text, _, _ = in_context("en", seed * 10 + place)
        parts.append(f"{text}. {usual}"[:399])
    return " ".join(parts)


def _share_read(screening: Screening, text: str) -> float:
    wanted: Wanted = screening.rules.names["prompt"].wanted(normalise(text).text, Budget())
    return sum(end - start for start, end in wanted.stretches) / len(text)
