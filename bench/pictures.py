"""What the picture detectors see and what they cost: `python -m bench.pictures`.

CPU time of each stage on one thread; pictures in which nothing is wrong and that would be stopped none the less; text
that is read back, turned and small; faces found. Harmless pictures: those of the documentation, made ones, two
photographs of scikit-learn, and, where scikit-image is importable (it is no part of the project: put it on PYTHONPATH),
its sample pictures and its hundred tiny faces and hundred tiny non-faces (25 pixels, grey, enlarged). That is a small
and an easy set: it finds a detector that broke, and says little about photographs from a telephone. Writes
`bench/results/pictures.json`.
"""

from __future__ import annotations

import importlib
import importlib.util
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench.support import results
from bench.support.results import Figure
from gateway.provenance.fingerprint import turned
from gateway.screening.image.chain import look
from gateway.screening.image.faces import faces
from gateway.screening.image.nudity import nudity
from gateway.screening.image.reading import read
from gateway.screening.image.report import NUDITY_REVIEW
from gateway.screening.image.weights import Pixels
from tests.support.drawn import as_picture, lettered
from tests.unit.provenance.pictures import KINDS, made

ROOT = Path(__file__).parents[1]
SHOW_FACES = frozenset({"astronaut.png", "camera.png"})
STAGES: dict[str, Callable[[Pixels], Any]] = {"fingerprint": turned, "text": read, "faces": faces, "nudity": nudity}
MOST_MADE = 40
NUMBER = "4111111111111111"


def samples() -> Iterator[tuple[str, Image.Image]]:
    """Pictures with nothing wrong in them, by name."""
    for path in sorted((ROOT / "docs").rglob("*.png")):
        yield path.name, Image.open(path).convert("RGB")
    for kind in KINDS:
        for seed in range(MOST_MADE // len(KINDS) + 1):
            yield f"made-{kind}-{seed}", Image.fromarray(made(kind, 9_000 + seed))
    for package, folder in (("sklearn", "datasets/images"), ("skimage", "data")):
        found = importlib.util.find_spec(package)
        if found is None or found.origin is None:
            print(f"without the pictures of {package}: it is not importable")
            continue
        for path in sorted((Path(found.origin).parent / folder).iterdir()):
            if path.suffix in {".png", ".jpg"}:
                yield path.name, Image.open(path).convert("RGB")


def harmless(pictures: Sequence[tuple[str, Image.Image]]) -> list[Figure]:
    """The share of pictures that would be stopped: a face taken for a real one, or nudity from the threshold on."""
    stopped = []
    for name, image in pictures:
        pixels = np.asarray(image)
        found = faces(pixels)
        if (found.realistic and name not in SHOW_FACES) or nudity(pixels) >= NUDITY_REVIEW:
            stopped.append(name)
    print(f"{len(pictures)} harmless pictures, {len(stopped)} stopped: {', '.join(stopped) or 'none'}")
    return [
        Figure(figure="pictures: harmless ones stopped", unit="ratio", value=len(stopped) / len(pictures), target=0.01)
    ]


def tiny_faces() -> list[Figure]:
    """Recall on scikit-image's faces, which are 25 pixels wide and grey."""
    found = importlib.util.find_spec("skimage")
    if found is None or found.origin is None:
        return []
    data = np.load(Path(found.origin).parent / "data/lfw_subset.npy")
    seen = []
    for grey in data:
        small = Image.fromarray((grey * 255).astype(np.uint8)).convert("RGB")
        ground = Image.new("RGB", (320, 320), "gray")
        ground.paste(small.resize((200, 200), Image.Resampling.BICUBIC), (60, 60))
        seen.append(faces(np.asarray(ground)))
    real = [one.realistic > 0 for one in seen]
    some = [one.realistic > 0 or one.doubtful > 0 for one in seen]
    print(f"tiny faces: {sum(real[:100])} of 100 realistic, {sum(some[:100])} at least doubtful;")
    print(f"tiny non-faces: {sum(real[100:])} of 100 realistic, {sum(some[100:])} at least doubtful")
    return [
        Figure(
            figure="faces: tiny ones not taken for realistic",
            unit="ratio",
            value=1 - sum(real[:100]) / 100,
            target=0.05,
        ),
        Figure(
            figure="faces: tiny non-faces taken for realistic", unit="ratio", value=sum(real[100:]) / 100, target=0.01
        ),
    ]


def written() -> list[Figure]:
    """The share of pictures from which a card number does not come back."""
    missed, tried = [], 0
    for letters, side in ((9, 128), (12, 256), (16, 512), (28, 512), (60, 1024)):
        for angle in (0, 7, 20, 45, 90, 180):
            tried += 1
            said = read(np.asarray(lettered("4111 1111 1111 1111", side=side, letters=letters, turned=angle)))
            if NUMBER not in said.replace(" ", ""):
                missed.append(f"{letters}px/{angle}°")
    print(f"text: {tried - len(missed)} of {tried} numbers read; missed {', '.join(missed) or 'none'}")
    return [Figure(figure="text: drawn card numbers missed", unit="ratio", value=len(missed) / tried, target=0.1)]


def costs(photograph: Image.Image) -> list[Figure]:
    """CPU milliseconds a stage and of the whole chain, by size."""
    figures = []
    for side, target in ((128, 150.0), (512, 400.0), (1024, 800.0)):
        image = photograph.resize((side, side), Image.Resampling.LANCZOS)
        pixels = np.asarray(image)
        row = {name: _ms(partial(stage, pixels)) for name, stage in STAGES.items()}
        picture = as_picture(image)
        whole = _ms(partial(look, picture))
        print(f"{side:>5} px: {', '.join(f'{name} {ms:.0f}' for name, ms in row.items())}; whole {whole:.0f} ms of CPU")
        figures.append(Figure(figure=f"pictures: CPU of a {side} px picture", unit="ms", value=whole, target=target))
    return figures


def _ms(run: Callable[[], object]) -> float:
    run()
    spent = []
    for _ in range(5):
        begun = time.process_time()
        run()
        spent.append((time.process_time() - begun) * 1e3)
    return statistics.median(spent)


def main() -> None:
    pictures = list(samples())
    print(f"pictures on {results.machine()}")
    photograph = next((image for name, image in pictures if name == "china.jpg"), pictures[-1][1])
    figures = [*costs(photograph), *harmless(pictures), *written(), *tiny_faces()]
    print(f"written to {results.write('pictures', figures)}")


if __name__ == "__main__":
    main()
