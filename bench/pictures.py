"""What the picture detectors see and what they cost: `python -m bench.pictures`.

CPU time of each stage on one thread; pictures in which nothing is wrong and that would be stopped none the less; text
that is read back, turned and small; faces found, and found again before another ground; changed copies of listed
pictures; the memorisation watch's search.
Harmless pictures: those of the documentation, made ones, two photographs of scikit-learn, and, where scikit-image is
importable (it is no part of the project: put it on PYTHONPATH), its sample pictures and its hundred tiny faces and
hundred tiny non-faces (25 pixels, grey, enlarged). That is a small and an easy set: it finds a detector that broke, and
says little about photographs from a telephone. Writes `bench/results/pictures.json`.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import os
import random
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from bench.support import results
from bench.support.results import Figure
from gateway.prints.block_list import Blocked, BlockList
from gateway.prints.fingerprint import ALIKE, LEAST_QUALITY, fingerprint, turned
from gateway.prints.window_list import WindowList
from gateway.prints.window_list import written as lines_of
from gateway.prints.windows import NEARBY, Prints, asked, listed, mirrored
from gateway.screening.image.chain import look
from gateway.screening.image.faces import Faces, faces
from gateway.screening.image.nearness import Nearness, Seen
from gateway.screening.image.nudity import nudity, of_parts, of_the_whole, together
from gateway.screening.image.reading import read
from gateway.screening.image.report import NUDITY_DENY, NUDITY_REVIEW
from gateway.screening.image.watch import FACES_ALIKE
from gateway.screening.image.weights import Pixels, body_parts_net
from tests.support.drawn import as_picture, lettered
from tests.support.faces import before, face
from tests.unit.provenance.pictures import KINDS, made

ROOT = Path(__file__).parents[1]
SHOW_FACES = frozenset({"astronaut.png", "camera.png"})
STAGES: dict[str, Callable[[Pixels], Any]] = {
    "fingerprint": turned,
    "windows": asked,
    "text": read,
    "faces": faces,
    "nudity": nudity,
}
MOST_MADE = 40
SEED = 5
A_THOUSAND, A_MILLION = 1_000, 1_000_000
MOST_ICONS, SIDE = 200, 256
AT_A_TIME = 3
FACES_EACH, MOST_FACES_DRAWN = 4, 60
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


def second_opinion(pictures: Sequence[tuple[str, Image.Image]]) -> list[Figure]:
    """Open_nsfw and NudeNet over the harmless pictures, each alone and both together, where NudeNet is importable."""
    net = body_parts_net()
    if net is None:
        print("without NudeNet: it is not importable")
        return []
    scores = [(of_the_whole(np.asarray(image)), of_parts(net, np.asarray(image))) for _, image in pictures]
    columns = {
        "open_nsfw": [one for one, _ in scores],
        "NudeNet": [other for _, other in scores],
        "both": [together(one, other) for one, other in scores],
    }
    for kind, found in columns.items():
        counts = ", ".join(
            f"{sum(score >= edge for score in found)} from {edge}" for edge in (NUDITY_REVIEW, NUDITY_DENY)
        )
        print(f"nudity, {kind}: of {len(found)} harmless pictures {counts}; the highest {max(found):.2f}")
    spent = statistics.median(_ms(partial(of_parts, net, np.asarray(image))) for _, image in pictures[:9])
    print(f"NudeNet: {spent:.0f} ms of CPU a picture")
    return [
        Figure(
            figure="nudity, both nets: harmless pictures stopped",
            unit="ratio",
            value=sum(score >= NUDITY_REVIEW for score in columns["both"]) / len(scores),
            target=0.01,
        ),
        Figure(figure="NudeNet: CPU of a picture", unit="ms", value=spent, target=100.0),
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


def faces_again(pictures: Sequence[tuple[str, Image.Image]]) -> list[Figure]:
    """The memorisation watch's prints of faces: how far apart the same face before several grounds is, and how far
    different ones are. Scikit-image's tiny faces where it is importable, and drawn ones, which have a template in
    common and are the harder for it. Every second picture is mirrored; sizes, places, light and JPEG quality differ."""
    found = importlib.util.find_spec("skimage")
    sets = {"drawn": [face(seed) for seed in range(MOST_FACES_DRAWN)]}
    if found is not None and found.origin is not None:
        data = np.load(Path(found.origin).parent / "data/lfw_subset.npy")[:100]
        sets["tiny"] = [Image.fromarray((grey * 255).astype(np.uint8)) for grey in data]
    grounds = [_square(image) for name, image in pictures if name not in SHOW_FACES]
    grounds = [ground for ground in grounds if faces(np.asarray(ground)) == Faces()]
    figures = []
    for kind, people in sets.items():
        rng = np.random.default_rng(SEED)
        scenes = [[_scene(one, grounds, rng, turn) for turn in range(FACES_EACH)] for one in people]
        prints = [[one for scene in some for one in faces(np.asarray(scene)).prints] for some in scenes]
        same, different = _apart([[np.frombuffer(one, np.uint64).reshape(-1, 4) for one in some] for some in prints])
        shares = (5, 50, 80, 90)
        print(f"{kind} faces, {len(people)} before {FACES_EACH} grounds each, bits between two pictures:")
        for name, bits, parts in (("same", same, shares), ("different", different, (0, 0.01, 0.1, 1, 50))):
            told = ", ".join(f"{np.percentile(bits, part):.0f} at {part} %" for part in parts)
            within = ", ".join(f"{np.mean(bits <= most):.2%} within {most}" for most in (31, 42, FACES_ALIKE, 54, 70))
            print(f"{name:>16}: {len(bits)} pairs; {told}; {within}")
        figures += [
            Figure(
                figure=f"memorisation watch, {kind} faces: the same one before another ground missed",
                unit="ratio",
                value=float(np.mean(same > FACES_ALIKE)),
                target=0.2,
            ),
            Figure(
                figure=f"memorisation watch, {kind} faces: pairs of different ones taken for one",
                unit="ratio",
                value=float(np.mean(different <= FACES_ALIKE)),
                target=0.0001,
                beside={"the nearest two, bits": int(different.min())},
            ),
        ]
    return figures


def _scene(portrait: Image.Image, grounds: Sequence[Image.Image], rng: np.random.Generator, turn: int) -> Image.Image:
    """A face in some size, place and light before some ground, saved as JPEG."""
    ground = grounds[int(rng.integers(len(grounds)))].resize((384, 384))
    side = int(rng.integers(130, 260))
    gain, lift = rng.uniform(0.85, 1.15), rng.uniform(-12, 12)
    lit = portrait.point([round(np.clip(value * gain + lift, 0, 255)) for value in range(256)])
    scene = before(ground, lit, side, int(rng.integers(384 - side)), int(rng.integers(384 - side)))
    return _saved(int(rng.integers(70, 95)), _mirrored(scene) if turn % 2 else scene)


def _apart(prints: Sequence[Sequence[Prints]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Bits between each face's own print and what is asked of all others: of the same one's pictures; of others'."""
    own = np.stack([one[0] for some in prints for one in some])
    whose = np.array([person for person, some in enumerate(prints) for _ in some])
    rows = []
    for asked_of in (one for some in prints for one in some):
        laid = np.concatenate([asked_of, mirrored(asked_of)])
        rows.append(np.bitwise_count(laid[:, None] ^ own[None]).sum(2).min(0))
    bits, is_same = np.stack(rows).astype(np.int64), whose[:, None] == whose[None]
    return bits[is_same & ~np.eye(len(bits), dtype=bool)], bits[~is_same]


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


def blocked(pictures: Sequence[tuple[str, Image.Image]]) -> list[Figure]:
    """Half of the pictures are listed, with windows of them and without; how many of their changed copies are found,
    and how many changed copies of the other half are taken for one of them."""
    rng = np.random.default_rng(SEED)
    telling = [(name, _smaller(image)) for name, image in pictures]
    telling = [(name, image) for name, image in telling if fingerprint(np.asarray(image)).quality >= LEAST_QUALITY]
    telling = list({str(fingerprint(np.asarray(image))): (name, image) for name, image in telling}.values())
    order = [telling[place] for place in rng.permutation(len(telling))]
    known, others = order[: len(order) // 2], order[len(order) // 2 :]
    whole = BlockList(Blocked(fingerprint(np.asarray(image)), name) for name, image in known)
    parts = {name: listed(np.asarray(image)) for name, image in known}
    windows = WindowList.read("".join(lines_of(prints, name) for name, prints in parts.items()))
    print(f"block lists: {len(known)} listed, {len(windows) / len(known):.0f} windows each, {len(others)} others")

    def both(image: Image.Image) -> tuple[str | None, str | None]:
        """What is found by the whole picture alone, and by that or its windows."""
        pixels = np.asarray(image)
        one, two = whole.match(turned(pixels)), windows.match(asked(pixels))
        first = None if one is None else one.blocked.label
        return first, first or (None if two is None else two[0])

    figures = []
    for attack, change in _attacks(rng).items():
        marks = [(name, both(change(image))) for name, image in [*known, *known]]
        strange = [both(change(image)) for _, image in others]
        row = []
        for kind, place in (("whole", 0), ("with windows", 1)):
            found = sum(said[place] == name for name, said in marks)
            wrong = sum(said[place] is not None for said in strange)
            wrong += sum(said[place] not in (None, name) for name, said in marks)
            row.append(f"{kind} {found / len(marks):.0%} found, {wrong} taken for others")
        print(f"{attack:>16}: {'; '.join(row)}")
        figures.append(
            Figure(
                figure=f"block list with windows, {attack}: missed",
                unit="ratio",
                value=1 - found / len(marks),
                target=0.1,
            )
        )
        figures.append(
            Figure(figure=f"block list with windows, {attack}: others found", unit="pictures", value=wrong, target=0)
        )
    return [*figures, *side_by_side(known, others, rng), *alike(order), *long_lists(order)]


def side_by_side(
    known: Sequence[tuple[str, Image.Image]], others: Sequence[tuple[str, Image.Image]], rng: np.random.Generator
) -> list[Figure]:
    """Long pictures, AT_A_TIME squares side by side: listed ones when they were cut, and single listed ones that stand
    between others. Each is mirrored and saved again."""
    squares = [(name, _square(image)) for name, image in known]
    strange = [_square(image) for _, image in others]
    singles = _list_of(squares)
    strips = [(f"strip {n}", _beside(image for _, image in some)) for n, some in enumerate(_in_groups(squares))]
    listed_strips = _list_of(strips)
    asked_of: dict[str, list[tuple[WindowList, str | None, Image.Image]]] = {}
    for name, strip in strips:
        for kind, down, along in (("10% cut", 0.1, 0.1), ("20% cut", 0.2, 0.2), ("half cut off", 0, 0.5)):
            asked_of.setdefault(f"strip, {kind}", []).append((listed_strips, name, _cut(rng, strip, down, along)))
    for place, (name, image) in enumerate(squares):
        beside = [strange[(place + n) % len(strange)] for n in range(AT_A_TIME - 1)]
        between = _beside([*beside[: AT_A_TIME // 2], image, *beside[AT_A_TIME // 2 :]])
        asked_of.setdefault("between others", []).append((singles, name, between))
    for group in _in_groups(strange):
        asked_of.setdefault("strange strip", []).extend(
            (list_, None, _beside(group)) for list_ in (singles, listed_strips)
        )
    figures = []
    for kind, questions in asked_of.items():
        told = [
            (list_.match(asked(np.asarray(_saved(60, _mirrored(image))))), name) for list_, name, image in questions
        ]
        found = sum(said is not None and said[0] == name for said, name in told)
        wrong = sum(said is not None and said[0] != name for said, name in told)
        print(f"{kind:>16}, mirrored, JPEG 60: {found} of {len(told)} found, {wrong} taken for others")
        title = f"block list, long pictures, {kind}"
        if kind != "strange strip":
            figures.append(Figure(figure=f"{title}: missed", unit="ratio", value=1 - found / len(told), target=0.1))
        figures.append(Figure(figure=f"{title}: others found", unit="pictures", value=wrong, target=0))
    return figures


def _list_of(pictures: Sequence[tuple[str, Image.Image]]) -> WindowList:
    return WindowList.read("".join(lines_of(listed(np.asarray(image)), name) for name, image in pictures))


def _in_groups(some: Sequence[Any]) -> list[Sequence[Any]]:
    """Of AT_A_TIME; what is left over is left out."""
    return [some[begin : begin + AT_A_TIME] for begin in range(0, len(some) - AT_A_TIME + 1, AT_A_TIME)]


def _square(image: Image.Image) -> Image.Image:
    return ImageOps.fit(image, (SIDE, SIDE))


def _beside(images: Iterable[Image.Image]) -> Image.Image:
    return Image.fromarray(np.concatenate([np.asarray(image) for image in images], 1))


def alike(pictures: Sequence[tuple[str, Image.Image]]) -> list[Figure]:
    """Each picture against a list of all others; and pictures that are alike by nature, icons on white."""
    wrong = {"pictures": _confused(pictures)}
    drawn = list(icons())
    if drawn:
        wrong["icons"] = _confused(drawn)
    for kind, (whole, windows, count) in wrong.items():
        print(f"{count} {kind}, each against all others: {whole} taken for another whole, {windows} by windows")
    whole, windows, _ = wrong["pictures"]
    return [
        Figure(
            figure="block list with windows, each picture against all others: found",
            unit="pictures",
            value=windows,
            target=0,
            beside={"whole pictures": whole},
        )
    ]


def _confused(pictures: Sequence[tuple[str, Image.Image]]) -> tuple[int, int, int]:
    """How many are found on a list of the others: by the whole picture, by windows; of how many."""
    marks = [turned(np.asarray(image)) for _, image in pictures]
    parts = [(listed(np.asarray(image)), asked(np.asarray(image))) for _, image in pictures]
    whole = windows = 0
    for place, laid in enumerate(marks):
        rest = [other for other in range(len(pictures)) if other != place]
        tellable = [other for other in rest if marks[other][0].quality >= LEAST_QUALITY]
        whole += BlockList(Blocked(marks[other][0], "x") for other in tellable).match(laid) is not None
        lines = [parts[other][0] for other in rest]
        windows += WindowList(np.concatenate(lines), ("x",) * sum(map(len, lines))).match(parts[place][1]) is not None
    return whole, windows, len(pictures)


def icons() -> Iterator[tuple[str, Image.Image]]:
    """Those of mkdocs-material, black on white, where it and resvg are importable."""
    material, resvg = importlib.util.find_spec("material"), importlib.util.find_spec("resvg_py")
    if material is None or material.origin is None or resvg is None:
        return
    drawings = sorted((Path(material.origin).parent / "templates/.icons/simple").glob("*.svg"))
    draw = importlib.import_module("resvg_py").svg_to_bytes
    for path in random.Random(SEED).sample(drawings, MOST_ICONS):
        drawn = bytes(draw(svg_string=path.read_text("utf-8"), width=SIDE, height=SIDE))
        ground = Image.new("RGBA", (SIDE, SIDE), "white")
        ground.alpha_composite(Image.open(io.BytesIO(drawn)).convert("RGBA").resize((SIDE, SIDE)))
        yield path.stem, ground.convert("RGB")


def long_lists(pictures: Sequence[tuple[str, Image.Image]]) -> list[Figure]:
    """The time to look up a picture's windows among those of a thousand listed ones: these, with a quarter of their
    bits changed."""
    rng = np.random.default_rng(SEED)
    some = np.concatenate([listed(np.asarray(image)) for _, image in pictures])
    prints = some[rng.integers(0, len(some), 27 * A_THOUSAND)]
    one, other = (rng.integers(0, 1 << 64, prints.shape, np.uint64) for _ in range(2))
    prints = prints ^ (one & other)
    known = WindowList(prints, ("x",) * len(prints))
    questions = [asked(np.asarray(image)) for _, image in pictures[:9]]
    spent = statistics.median(_ms(partial(known.match, question)) for question in questions)
    print(f"a thousand listed pictures, {len(prints)} windows: {spent:.0f} ms of CPU a picture in question")
    return [Figure(figure="block list of a thousand pictures: CPU of a look-up", unit="ms", value=spent, target=150.0)]


def _attacks(rng: np.random.Generator) -> dict[str, Callable[[Image.Image], Image.Image]]:
    def cut(share: float, image: Image.Image) -> Image.Image:
        return _cut(rng, image, share, share)

    def smaller(image: Image.Image) -> Image.Image:
        return image.resize((round(image.width * 0.7), round(image.height * 0.7)))

    return {
        "JPEG 50": partial(_saved, 50),
        "half the size": lambda image: image.resize((image.width // 2, image.height // 2)),
        "mirrored": _mirrored,
        **{f"{share:.0%} cut": partial(cut, share) for share in (0.05, 0.1, 0.15, 0.2, 0.25)},
        "10% cut, JPEG 60": lambda image: _saved(60, cut(0.1, image)),
        "20% cut, JPEG 60": lambda image: _saved(60, cut(0.2, image)),
        "20% cut, mirrored, 0.7 of the size, JPEG 60": lambda image: _saved(60, smaller(_mirrored(cut(0.2, image)))),
    }


def _cut(rng: np.random.Generator, image: Image.Image, down: float, along: float) -> Image.Image:
    """So much of height and width is cut away, anywhere."""
    (left, top), (width, height) = rng.random(2) * (along, down), image.size
    right, bottom = left + 1 - along, top + 1 - down
    return image.crop((round(width * left), round(height * top), round(width * right), round(height * bottom)))


def _saved(quality: int, image: Image.Image) -> Image.Image:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return Image.open(out).convert("RGB")


def _mirrored(image: Image.Image) -> Image.Image:
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def _smaller(image: Image.Image) -> Image.Image:
    small = image.copy()
    small.thumbnail((256, 256))
    return small


def compared() -> list[Figure]:
    """The memorisation watch's search: one picture and its mirror image against a million others'."""
    near = Nearness()
    prints, actors = os.urandom(32 * A_MILLION), os.urandom(8 * A_MILLION)
    near.add(Seen(n, prints[32 * n : 32 * n + 32], actors[8 * n : 8 * n + 8], 0) for n in range(A_MILLION))
    asked = [prints[:32], prints[32:64]]
    spent = []
    for _ in range(9):
        begun = time.perf_counter()
        found = near.near(asked, most=ALIKE, actor=bytes(8), since=0)
        spent.append((time.perf_counter() - begun) * 1e3)
    took = statistics.median(spent)
    print(f"memorisation watch: {took:.0f} ms among a million fingerprints ({len(found)} found of the 2 there)")
    laid = [prints[32 * n : 32 * n + 32] for n in range(2 * NEARBY)]
    begun = time.perf_counter()
    found = near.near(laid, most=FACES_ALIKE, actor=bytes(8), since=0)
    face_took = (time.perf_counter() - begun) * 1e3
    print(f"memorisation watch: {face_took:.0f} ms for a face among a million ({len(found)} found of {len(laid)})")
    return [
        Figure(figure="memorisation watch: search of a million", unit="ms", value=took, target=50.0),
        Figure(figure="memorisation watch: a face among a million", unit="ms", value=face_took, target=500.0),
    ]


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
    figures = [
        *costs(photograph),
        *harmless(pictures),
        *written(),
        *second_opinion(pictures),
        *tiny_faces(),
        *faces_again(pictures),
        *blocked(pictures),
        *compared(),
    ]
    print(f"written to {results.write('pictures', figures)}")


if __name__ == "__main__":
    main()
