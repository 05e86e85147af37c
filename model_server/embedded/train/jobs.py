"""What the model can do beyond words, measured: edits under a mask, variations of a picture, and sketches.

Every third concept is tried. The pictures to edit and vary are composed scenes that training has not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from model_server.embedded.train.compose import Composer
from model_server.embedded.train.concepts import CONCEPTS
from model_server.embedded.train.data import Sprites
from model_server.embedded.train.drawing import Artist, box_mask
from model_server.embedded.train.gates import NEAR_COPY, missed, share
from model_server.embedded.train.judge import Judge

_SEED = 20_000
_EVERY = 3
_HALVES = ((0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0), (0.0, 0.0, 1.0, 0.5), (0.0, 0.5, 1.0, 1.0))
_MOST = (0.06, 0.06, 0.94, 0.94)
VARY_STRENGTH = 0.65
_BOXES = (
    (0.05, 0.05, 0.5, 0.5),
    (0.5, 0.05, 0.95, 0.5),
    (0.05, 0.5, 0.5, 0.95),
    (0.5, 0.5, 0.95, 0.95),
    (0.2, 0.2, 0.8, 0.8),
)
_VISIBLE = 0.15
"""A pixel that differs more than this from the background, in 0..1, belongs to the thing drawn."""
_FRAME = 0.09
"""The judge is used to this much background around a thing, as a share of the thing's side."""
_SLACK = 1 / 32


@dataclass(frozen=True, slots=True)
class JobReport:
    """All figures of edits, variations and sketches. Shares are 0..1; `each` is how many pictures each one rests on."""

    each: int
    completed_top1: float
    """Half of a picture painted anew, asked for what it shows: the judge recognises it."""
    replaced_top1: float
    """Nearly all of a picture painted anew, asked for something else: the judge recognises that."""
    seam: float
    """Median step in colour across the half's edge, beyond what is there in the original, in 0..1."""
    varied_top1: float
    """The judge sees the source's concept in the variation."""
    varied_copies: float
    """Variations that are pixel copies of their source."""
    sketched_top1: float
    """The judge recognises the label in the painted box, with no other words."""
    sketched_inside: float
    """Share of the thing's pixels that lie in the box, on average."""
    sketched_overlap: float
    """Intersection over union of the painted box and the box around what was drawn, on average."""

    def as_json(self) -> dict[str, Any]:
        """Plain fields for `config.json`."""
        return asdict(self)


def measure_jobs(artist: Artist, judge: Judge, sprites: Sprites) -> JobReport:
    """Edit, vary and sketch every third concept, and judge."""
    rows = list(range(0, len(CONCEPTS), _EVERY))
    truth = torch.tensor(rows)
    scenes = _scenes(artist, sprites, rows)
    completed = _complete(artist, scenes, rows)
    others = rows[len(rows) // 2 :] + rows[: len(rows) // 2]
    replaced = artist.draw(
        [
            artist.wish(CONCEPTS[other].name, canvas=scene, mask=box_mask(scene.shape[-1], _MOST))
            for scene, other in zip(scenes, others, strict=True)
        ],
        _SEED + 1000,
    )
    varied = artist.draw(
        [artist.wish("", canvas=scene, strength=VARY_STRENGTH, source=scene) for scene in scenes], _SEED + 2000
    )
    boxes = [_BOXES[index % len(_BOXES)] for index in range(len(rows))]
    sketched = artist.draw(
        [artist.wish("", regions=[(CONCEPTS[row].name, box)]) for row, box in zip(rows, boxes, strict=True)],
        _SEED + 3000,
    )
    crops = torch.stack([_crop(picture, box) for picture, box in zip(sketched, boxes, strict=True)])
    places = torch.tensor([placed(picture, box) for picture, box in zip(sketched, boxes, strict=True)])
    distance = ((varied - scenes) / 2).square().mean((1, 2, 3)).sqrt()
    return JobReport(
        each=len(rows),
        completed_top1=share(judge.concepts(completed).eq(truth)),
        replaced_top1=share(judge.concepts(replaced).eq(torch.tensor(others))),
        seam=float(
            torch.tensor(
                [
                    step_across(picture, _half(index)) - step_across(scene, _half(index))
                    for index, (picture, scene) in enumerate(zip(completed, scenes, strict=True))
                ]
            ).median()
        ),
        varied_top1=share(judge.concepts(varied).eq(truth)),
        varied_copies=share(distance < NEAR_COPY),
        sketched_top1=share(judge.concepts(crops).eq(truth)),
        sketched_inside=float(places[:, 0].mean()),
        sketched_overlap=float(places[:, 1].mean()),
    )


def failing_jobs(report: JobReport) -> Sequence[str]:
    """Which gates of the jobs are not met, and by how much."""
    return missed(
        {
            "completed edits recognised >= 80 %": (report.completed_top1, 0.8),
            "replacing edits recognised >= 80 %": (report.replaced_top1, 0.8),
            "variations recognised >= 80 %": (report.varied_top1, 0.8),
            "variations that are no copies >= 90 %": (1 - report.varied_copies, 0.9),
            "sketches recognised >= 80 %": (report.sketched_top1, 0.8),
            "sketches inside their box >= 90 %": (report.sketched_inside, 0.9),
        }
    )


def step_across(picture: Tensor, box: tuple[float, float, float, float]) -> float:
    """The mean step in colour, in 0..1, from the last line outside a half to the first inside."""
    middle = picture.shape[-1] // 2
    upright = box[3] - box[1] == 1.0
    lines = picture if upright else picture.transpose(1, 2)
    return float((lines[:, :, middle] - lines[:, :, middle - 1]).abs().mean() / 2)


def placed(picture: Tensor, box: tuple[float, float, float, float]) -> tuple[float, float]:
    """How much of what is drawn lies in the box (one cell of slack), and how well its own box overlaps that one."""
    size = picture.shape[-1]
    border = torch.cat([picture[:, :2].flatten(1), picture[:, -2:].flatten(1)], 1).median(1).values
    visible = ((picture - border[:, None, None]).abs().amax(0) / 2) > _VISIBLE
    if not visible.any():
        return 0.0, 0.0
    wide = (box[0] - _SLACK, box[1] - _SLACK, box[2] + _SLACK, box[3] + _SLACK)
    inside = box_mask(size, [min(1.0, max(0.0, edge)) for edge in wide])[0] > 0
    ys, xs = visible.nonzero(as_tuple=True)
    drawn = box_mask(size, [float(edge) / size for edge in (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)])[0] > 0
    painted = box_mask(size, box)[0] > 0
    overlap = (drawn & painted).sum() / (drawn | painted).sum()
    return float((visible & inside).sum() / visible.sum()), float(overlap)


def _scenes(artist: Artist, sprites: Sprites, rows: Sequence[int]) -> Tensor:
    table = artist.net.table.weight.detach()
    size = artist.net.shape.size_pixels
    scenes = [
        Composer(sprites, artist.tokenizer, table, _SEED + row, size=size, rows=[row], plain=True).batch(1).clean
        for row in rows
    ]
    return torch.cat(scenes)


def _half(index: int) -> tuple[float, float, float, float]:
    return _HALVES[index % len(_HALVES)]


def _complete(artist: Artist, scenes: Tensor, rows: Sequence[int]) -> Tensor:
    return artist.draw(
        [
            artist.wish(CONCEPTS[row].name, canvas=scene, mask=box_mask(scene.shape[-1], _half(index)))
            for index, (scene, row) in enumerate(zip(scenes, rows, strict=True))
        ],
        _SEED,
    )


def _crop(picture: Tensor, box: tuple[float, float, float, float]) -> Tensor:
    """What is in the box, as large as a single thing usually is in a picture."""
    size = picture.shape[-1]
    frame = _FRAME * (box[2] - box[0])
    left, top, right, bottom = (
        round(min(1.0, max(0.0, edge)) * size)
        for edge in (box[0] - frame, box[1] - frame, box[2] + frame, box[3] + frame)
    )
    cut = picture[None, :, top:bottom, left:right]
    return F.interpolate(cut, size=(size, size), mode="bilinear", antialias=True)[0]
