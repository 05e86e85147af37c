from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from PIL import Image

from model_server.embedded.sampler import PixelSlot
from model_server.pipelines.embedded import EmbeddedStepModel
from model_server.pipelines.port import Job, Region

SIDE = 32
JOB = Job("fox", "", 1, SIDE, SIDE, 4, 2.0, 5)


def begin(model: EmbeddedStepModel, job: Job) -> PixelSlot:
    (slot,) = model.begin(job)
    return slot


def picture(model: EmbeddedStepModel, job: Job) -> Image.Image:
    slots = model.begin(job)
    while slots[0].done < slots[0].steps:
        model.step(slots, 1)
    return model.finish(slots[0])


def photo(colour: str = "red") -> Image.Image:
    image = Image.new("RGB", (SIDE, SIDE), "white")
    image.paste(colour, (8, 8, 24, 24))
    return image


def upper_half() -> Image.Image:
    mask = Image.new("L", (SIDE, SIDE), 0)
    mask.paste(255, (0, 0, SIDE, SIDE // 2))
    return mask


def test_the_largest_seed_has_neighbours_too(tiny_model: EmbeddedStepModel) -> None:
    slots = tiny_model.begin(replace(JOB, count=2, seed=2**63 - 1))
    assert not torch.equal(slots[0].noisy, slots[1].noisy)


def test_every_job_may_share_a_pass(tiny_model: EmbeddedStepModel) -> None:
    edit = replace(JOB, task="edit", images=(photo(),), mask=upper_half(), width=64, height=64)
    assert tiny_model.shape(edit) == tiny_model.shape(JOB)


def test_an_edit_keeps_what_the_mask_does_not_cover(tiny_model: EmbeddedStepModel) -> None:
    edited = picture(tiny_model, replace(JOB, task="edit", images=(photo(),), mask=upper_half()))
    kept = photo().resize(edited.size, Image.Resampling.BOX)
    lower = (0, edited.height // 2, edited.width, edited.height)
    assert edited.crop(lower).tobytes() == kept.crop(lower).tobytes()
    assert edited.tobytes() != kept.tobytes()


def test_a_mask_of_one_pixel_is_not_lost_when_it_is_made_smaller(tiny_model: EmbeddedStepModel) -> None:
    mask = Image.new("L", (SIDE, SIDE), 0)
    mask.putpixel((5, 5), 255)
    slot = begin(tiny_model, replace(JOB, task="edit", images=(photo(),), mask=mask))
    assert slot.mask.sum() == 1
    assert slot.mask[0, 2, 2] == 1


def test_an_edit_without_mask_starts_from_the_picture_at_its_strength(tiny_model: EmbeddedStepModel) -> None:
    slot = begin(tiny_model, replace(JOB, task="edit", images=(photo(),), strength=0.5))
    assert slot.steps == 2
    assert slot.mask.all()
    assert not slot.known.any()
    assert slot.noisy[0, 0, 0] == pytest.approx(0.5 + 0.5 * slot.noise[0, 0, 0].item(), abs=1e-5)


def test_a_variation_reads_its_picture_as_source_and_an_edit_only_the_further_ones(
    tiny_model: EmbeddedStepModel,
) -> None:
    varied = begin(tiny_model, replace(JOB, task="vary", prompt="", images=(photo(),), strength=0.7))
    edited = begin(tiny_model, replace(JOB, task="edit", images=(photo(),), strength=0.7))
    helped = begin(tiny_model, replace(JOB, task="edit", images=(photo("blue"), photo()), strength=0.7))
    assert varied.source[-1] == 1
    assert not edited.source.any()
    assert torch.equal(helped.source, varied.source)


def test_further_pictures_join_as_their_mean(tiny_model: EmbeddedStepModel) -> None:
    both = begin(tiny_model, replace(JOB, task="vary", images=(photo("black"), photo("white")), strength=1.0))
    one, other = (
        begin(tiny_model, replace(JOB, task="vary", images=(photo(colour),), strength=1.0)).source
        for colour in ("black", "white")
    )
    assert torch.allclose(both.source, (one + other) / 2)


def test_a_sketch_is_painted_lowest_first_with_the_words_of_its_labels(tiny_model: EmbeddedStepModel) -> None:
    ground = Region("blue", box=(0.0, 0.0, 1.0, 1.0))
    top = Region("fox", box=(0.0, 0.0, 0.5, 1.0))
    line = Region("", stroke=((0.75, 0.1), (0.75, 0.9)), width=0.1)
    table = tiny_model._model.net.table.weight

    def vector(word: str) -> torch.Tensor:
        return table[tiny_model._model.tokenizer.encode(word)[0]]

    layout = begin(tiny_model, replace(JOB, regions=(ground, top))).layout
    assert torch.allclose(layout[0, :8], vector("fox"))
    assert torch.allclose(layout[7, :8], vector("blue"))
    assert (layout[:, 8:24] == 1).all()
    stroke = begin(tiny_model, replace(JOB, regions=(line,))).layout
    assert not stroke[:, :8].any()  # no label, no words
    assert 0 < stroke[:, 8:24].sum() < 200


def test_a_sketch_and_a_source_change_the_picture(tiny_model: EmbeddedStepModel) -> None:
    plain = picture(tiny_model, JOB)
    sketched = picture(tiny_model, replace(JOB, regions=(Region("owl", box=(0.0, 0.0, 0.5, 0.5)),)))
    varied = picture(tiny_model, replace(JOB, task="vary", images=(photo(),)))
    assert len({image.tobytes() for image in (plain, sketched, varied)}) == 3


def test_a_preview_of_an_edit_shows_the_picture_from_the_beginning(tiny_model: EmbeddedStepModel) -> None:
    slot = begin(tiny_model, replace(JOB, task="edit", images=(photo(),), strength=0.5))
    assert tiny_model.preview(slot).tobytes() == photo().resize((16, 16), Image.Resampling.BOX).tobytes()
