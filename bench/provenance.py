"""What is left of our marks after what happens to pictures: `python -m bench.provenance`.

A table of attacks by {Content Credentials, watermark, fingerprint}, beside `invisible-watermark`'s dwtDct where that is
importable (it is no part of the project: put it on PYTHONPATH); times and sizes; and how often a picture without a mark
gets as far as a try at a handle. Pictures: those of the documentation, two photographs that scikit-learn ships, and
made ones of seeds that nothing was tuned on. `--quick` takes fewer. Writes `bench/results/provenance.json`.
"""

from __future__ import annotations

import argparse
import importlib
import os
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench.support import results
from bench.support.results import Figure
from gateway.prints.fingerprint import fingerprint
from gateway.provenance.certificates import CHAIN_NAME, KEY_NAME, ROOT_NAME, load, make_demonstration_set, read_anchors
from gateway.provenance.credentials import Signer, State, Statement, Verifier
from gateway.provenance.watermark import Watermark, find
from gateway.provenance.watermark import read as reading
from tests.unit.provenance.pictures import ATTACKS, KINDS, Pixels, drawn_by_the_model, encoded, made, psnr

SECRET = b"a secret of the benchmark, 32 bytes or more"
HELD_OUT_FROM = 7_000
TARGETED = {
    "JPEG 75": 1.0,
    "WebP 80": 1.0,
    "resized to 256": 1.0,
    "resized to 1024": 1.0,
    "cut 10 %, all around": 1.0,
    "cut 10 %, one side": 1.0,
    "cut 10 %, a corner": 1.0,
    "cut 10 % around, resized back": 1.0,
}
"""What 48 bits must come back after, and the share of pictures."""
_PEER_BITS = 48


def photographs() -> list[Pixels]:
    """The two that scikit-learn has in its wheel, as squares; none where it isn't installed, which is said."""
    try:
        datasets = importlib.import_module("sklearn.datasets")
    except ImportError:
        print("without photographs: scikit-learn is not installed")
        return []
    whole = [Image.fromarray(pixels) for pixels in datasets.load_sample_images().images]
    return [np.asarray(i.crop((0, 0, 426, 426)).resize((512, 512), Image.Resampling.LANCZOS)) for i in whole]


def gathered(per_kind: int, size: int = 512) -> list[tuple[str, Pixels]]:
    """Pictures with the name of their kind."""
    kinds = [kind for kind in KINDS if kind not in ("plain", "noise")]
    pictures = [(kind, made(kind, HELD_OUT_FROM + n, size)) for kind in kinds for n in range(per_kind)]
    if size == 512:
        pictures += [("model", pixels) for pixels in drawn_by_the_model()]
        pictures += [("photograph", pixels) for pixels in photographs()]
    return pictures


def peer() -> tuple[Callable[[Pixels, int], Pixels], Callable[[Pixels], int | None]] | None:
    """Marking and reading with dwtDct, or None when it isn't here."""
    try:
        module = importlib.import_module("imwatermark")
    except ImportError:
        return None

    def mark(pixels: Pixels, handle: int) -> Pixels:
        encoder = module.WatermarkEncoder()
        encoder.set_watermark("bits", [handle >> place & 1 for place in range(_PEER_BITS)])
        marked: Pixels = encoder.encode(np.ascontiguousarray(pixels[..., ::-1]), "dwtDct")[..., ::-1]
        return marked

    def read(pixels: Pixels) -> int | None:
        try:
            bits = module.WatermarkDecoder("bits", _PEER_BITS).decode(np.ascontiguousarray(pixels[..., ::-1]), "dwtDct")
        except Exception:  # it raises for pictures below 256 x 256
            return None
        return sum(int(bool(bit)) << place for place, bit in enumerate(bits))

    return mark, read


def attacks(pictures: list[tuple[str, Pixels]], signer: Signer, verifier: Verifier) -> list[Figure]:
    """The table, and the figures in it that have a target."""
    mark, statement = Watermark(SECRET), Statement(record_id="01a20320-a200-7213", model="m", policy_revision="r")
    random = np.random.default_rng(HELD_OUT_FROM)
    other = peer()
    own: dict[str, list[bool]] = defaultdict(list)
    theirs: dict[str, list[bool]] = defaultdict(list)
    states: dict[str, Counter[str]] = defaultdict(Counter)
    distances: dict[str, list[int]] = defaultdict(list)
    lost: dict[str, Counter[str]] = defaultdict(Counter)
    noise: list[float] = []
    for kind, pixels in pictures:
        handle = int(random.integers(1 << 48))
        marked = mark.mark(pixels, handle)
        noise.append(psnr(pixels, marked))
        signed = signer.sign(encoded(marked, "PNG"), "image/png", statement)
        peers = None if other is None else other[0](pixels, handle)
        print_of = fingerprint(marked)
        for name, attack in ATTACKS.items():
            changed = attack(marked)
            found = find([mark], changed)
            ours = found is not None and found.handle == handle
            own[name].append(ours)
            if not ours:
                lost[name][kind] += 1
            if peers is not None and other is not None:
                theirs[name].append(other[1](attack(peers)) == handle)
            distances[name].append(print_of.distance(fingerprint(changed)))
            file = signed if name == "as it left" else encoded(changed, "PNG")
            states[name][verifier.read(file, "image/png").state] += 1
        flipped = bytearray(signed)
        flipped[signed.rindex(b"IDAT") + 100] ^= 1
        states["one byte flipped"][verifier.read(bytes(flipped), "image/png").state] += 1

    print(f"{len(pictures)} pictures of 512 x 512. PSNR of the watermark: least {min(noise):.1f} dB")
    header = "" if other is None else "dwtDct"
    print(f"\n{'after':<36}{'credentials':<14}{'48 bits back':>13}{header:>9}{'fingerprint, bits away':>26}   lost on")
    figures = []
    for name in ATTACKS:
        share = statistics.mean(own[name])
        beside = {"invisible-watermark dwtDct": statistics.mean(theirs[name])} if theirs[name] else {}
        middle, worst = statistics.median(distances[name]), max(distances[name])
        where = ", ".join(f"{count} {kind}" for kind, count in lost[name].items())
        peers_share = f"{next(iter(beside.values())):.0%}" if beside else ""
        away = f"median {middle:.0f}, worst {worst}"
        print(f"{name:<36}{'/'.join(states[name]):<14}{share:>13.0%}{peers_share:>9}{away:>26}   {where}")
        figures.append(
            Figure(
                figure=f"watermark: 48 bits back after {name}",
                unit="ratio",
                value=share,
                target=TARGETED.get(name),
                more_is_better=True,
                beside=beside,
            )
        )
    seen = states["one byte flipped"]
    print(f"{'one byte flipped':<36}{'/'.join(seen)}")
    figures += [
        Figure(figure="watermark: PSNR, least", unit="dB", value=min(noise), target=40, more_is_better=True),
        Figure(
            figure="C2PA: trusted as it left",
            unit="ratio",
            value=states["as it left"][State.TRUSTED] / len(pictures),
            target=1,
            more_is_better=True,
        ),
        Figure(
            figure="C2PA: one flipped byte of the picture found",
            unit="ratio",
            value=seen[State.INVALID] / len(pictures),
            target=1,
            more_is_better=True,
        ),
    ]
    return figures


def small(per_kind: int) -> list[Figure]:
    """What is left in pictures of 128 x 128."""
    mark = Watermark(SECRET)
    pictures = gathered(per_kind, 128)
    kept: dict[str, list[bool]] = defaultdict(list)
    for _, pixels in pictures:
        marked = mark.mark(pixels, 1)
        for name in ("as it left", "JPEG 90", "JPEG 75", "WebP 80", "resized to 256", "cut 10 %, a corner", "mirrored"):
            found = find([mark], ATTACKS[name](marked))
            kept[name].append(found is not None and found.handle == 1)
    print(f"\n{len(pictures)} pictures of 128 x 128, 48 bits back after:")
    print("  " + ", ".join(f"{name} {statistics.mean(back):.0%}" for name, back in kept.items()))
    return [
        Figure(figure=f"watermark, 128 x 128: 48 bits back after {name}", unit="ratio", value=statistics.mean(back))
        for name, back in kept.items()
    ]


def unmarked(count: int) -> list[Figure]:
    """Pictures without a mark: how many tries at a handle chance gets for each, and how many it won."""
    mark, tries, won = Watermark(SECRET), 0, 0
    real = reading._read

    def counted(*arguments: Any) -> Any:
        nonlocal tries
        tries += 1
        return real(*arguments)

    reading._read = counted
    try:
        for n in range(count):
            won += find([mark], made(KINDS[n % len(KINDS)], 50_000 + n, 96)) is not None
    finally:
        reading._read = real
    rate = tries / count / (1 << 24)
    print(
        f"\n{count} pictures without a mark: {won} read as marked, {tries} tries at a handle; each succeeds by chance"
    )
    print(f"once in 2^24, so {rate:.1e} a picture")
    return [
        Figure(figure="watermark: unmarked pictures read as marked", unit="pictures", value=won, target=0),
        Figure(figure="watermark: false positives a picture, by tries", unit="ratio", value=rate, target=1e-6),
    ]


def _milliseconds(call: Callable[[], object], times: int) -> float:
    taken = []
    for _ in range(times):
        begun = time.process_time()
        call()
        taken.append((time.process_time() - begun) * 1e3)
    return statistics.median(taken)


def costs(signer: Signer, verifier: Verifier, times: int) -> list[Figure]:
    """Milliseconds of one core (CPU time of all threads), and bytes."""
    mark, statement = Watermark(SECRET), Statement(record_id="01a20320-a200-7213", model="m", policy_revision="r")
    pixels = made("texture", HELD_OUT_FROM)
    marked = mark.mark(pixels, 5)
    plain = encoded(marked, "PNG")
    signed = signer.sign(plain, "image/png", statement)
    cut = ATTACKS["cut 10 % around, JPEG 75"](marked)
    measured = {
        "watermark: marking": (lambda: mark.mark(pixels, 5), 100.0),
        "watermark: reading, as it left": (lambda: find([mark], marked), 100.0),
        "watermark: reading, cut and saved": (lambda: find([mark], cut), 100.0),
        "watermark: reading, none there": (lambda: find([mark], pixels), None),
        "fingerprint": (lambda: fingerprint(pixels), None),
        "C2PA: signing": (lambda: signer.sign(plain, "image/png", statement), 10.0),
        "C2PA: reading": (lambda: verifier.read(signed, "image/png"), 10.0),
    }
    print("\nmilliseconds of one core, 512 x 512:")
    figures = []
    for name, (call, target) in measured.items():
        value = _milliseconds(call, times)
        print(f"  {name:<36}{value:>8.1f}")
        figures.append(Figure(figure=name, unit="ms", value=value, target=target))
    added = len(signed) - len(plain)
    print(f"  {'C2PA: bytes added':<36}{added:>8}")
    return [*figures, Figure(figure="C2PA: bytes added", unit="bytes", value=added)]


def main() -> None:
    """Everything, then the file."""
    if os.environ.get("OPENBLAS_NUM_THREADS") != "1":
        # numpy reads it when it is loaded. Threads that wait for each other burn CPU time which is no work.
        os.environ["OPENBLAS_NUM_THREADS"] = "1"
        os.execv(sys.executable, [sys.executable, "-m", "bench.provenance", *sys.argv[1:]])
    asked = argparse.ArgumentParser()
    asked.add_argument("--quick", action="store_true", help="fewer pictures")
    quick = asked.parse_args().quick
    print(f"Provenance on {results.machine()}")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "set"
        make_demonstration_set(place, datetime.now(UTC))
        signer = Signer([load(place / CHAIN_NAME, place / KEY_NAME)], lambda: datetime.now(UTC))
        verifier = Verifier(read_anchors([place / ROOT_NAME]))
        figures = attacks(gathered(1 if quick else 4), signer, verifier)
        figures += small(1 if quick else 5)
        figures += costs(signer, verifier, 5 if quick else 30)
        figures += unmarked(40 if quick else 3_000)
    for figure in figures:
        if figure.met is False:
            print(f"falls short: {figure.figure}: {figure.value:g} {figure.unit}, {figure.verdict}")
    print(f"\nWritten to {results.write('provenance', figures)}")


if __name__ == "__main__":
    main()
