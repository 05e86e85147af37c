from __future__ import annotations

import pytest
import torch

from model_server.embedded.conditions import SOURCE_VALUES
from model_server.embedded.net import PixelTransformer
from model_server.embedded.sampler import PixelSlot, Wish, denoise, new_slot
from model_server.pipelines.embedded import EmbeddedStepModel
from tests.unit.model_server.embedded.shapes import TINY

EMPTY = [0] * 15


def net_of(model: EmbeddedStepModel) -> PixelTransformer:
    return model._model.net


def ids(*words: int) -> list[int]:
    return [*words, *EMPTY[len(words) :]]


def slot(model: EmbeddedStepModel, words: list[int], seed: int = 0, steps: int = 4, guidance: float = 2.0) -> PixelSlot:
    return new_slot(net_of(model), Wish(ids(*words), EMPTY), seed, steps, guidance)


def finish(model: EmbeddedStepModel, slots: list[PixelSlot], rows: int = 0) -> list[torch.Tensor]:
    while any(slot.done < slot.steps for slot in slots):
        denoise(net_of(model), slots, rows)
    return [slot.noisy for slot in slots]


def canvas(seed: int = 7) -> torch.Tensor:
    return torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def left_half() -> torch.Tensor:
    mask = torch.zeros(1, 16, 16)
    mask[:, :, :8] = 1
    return mask


def all_kinds(model: EmbeddedStepModel) -> list[PixelSlot]:
    """A slot of each kind of job, of different lengths and guidance."""
    net = net_of(model)
    layout = torch.rand(net.shape.patches, net.shape.layout_width, generator=torch.Generator().manual_seed(3))
    source = torch.rand(SOURCE_VALUES, generator=torch.Generator().manual_seed(4))
    wishes = [
        Wish(ids(1), EMPTY),
        Wish(ids(3), ids(2), canvas=canvas(), mask=left_half()),
        Wish(ids(4, 2), EMPTY, canvas=canvas(), strength=0.5),
        Wish(EMPTY, EMPTY, canvas=canvas(), strength=0.75, source=source),
        Wish(ids(5), EMPTY, layout=layout),
    ]
    return [new_slot(net, wish, seed, 2 + seed, 1.0 + seed) for seed, wish in enumerate(wishes, 1)]


def test_noise_depends_on_the_seed_alone(tiny_model: EmbeddedStepModel) -> None:
    assert torch.equal(slot(tiny_model, [1], seed=3).noisy, slot(tiny_model, [2], seed=3, steps=9).noisy)
    assert not torch.equal(slot(tiny_model, [1], seed=3).noisy, slot(tiny_model, [1], seed=4).noisy)


def test_slots_of_every_kind_share_steps_and_each_ends_as_if_alone(tiny_model: EmbeddedStepModel) -> None:
    together = finish(tiny_model, all_kinds(tiny_model))
    alone = [finish(tiny_model, [one])[0] for one in all_kinds(tiny_model)]
    for mixed, single in zip(together, alone, strict=True):
        assert torch.allclose(mixed, single, atol=0.05)  # bf16 sums in another order in another batch


@pytest.mark.parametrize("rows", [5, 8])
def test_in_a_pass_of_fixed_rows_company_and_place_change_no_bit(tiny_model: EmbeddedStepModel, rows: int) -> None:
    together = finish(tiny_model, all_kinds(tiny_model), rows)
    turned = finish(tiny_model, all_kinds(tiny_model)[::-1], rows)[::-1]
    alone = [finish(tiny_model, [one], rows)[0] for one in all_kinds(tiny_model)]
    for mixed, other, single in zip(together, turned, alone, strict=True):
        assert torch.equal(mixed, single)
        assert torch.equal(other, single)


def test_more_slots_than_rows_are_refused_and_none_has_moved(tiny_model: EmbeddedStepModel) -> None:
    slots = all_kinds(tiny_model)
    with pytest.raises(ValueError, match="5 slots do not fit into 4 rows"):
        denoise(net_of(tiny_model), slots, 4)
    assert [slot.done for slot in slots] == [0] * 5


def test_a_finished_slot_is_left_alone(tiny_model: EmbeddedStepModel) -> None:
    done = slot(tiny_model, [1], steps=1)
    denoise(net_of(tiny_model), [done])
    before = done.noisy.clone()
    denoise(net_of(tiny_model), [done, slot(tiny_model, [2])])
    assert torch.equal(done.noisy, before)
    assert done.done == 1


def test_the_last_step_ends_on_the_nets_own_guess(tiny_model: EmbeddedStepModel) -> None:
    one = slot(tiny_model, [1], steps=3)
    finish(tiny_model, [one])
    assert one.time == 1
    assert torch.equal(one.noisy, one.guess)


def test_a_new_slot_runs_no_net() -> None:
    with torch.device("meta"):  # a net without numbers: any forward pass would fail
        net = PixelTransformer(TINY)
    assert new_slot(net, Wish(EMPTY, EMPTY), 0, 4, 1.0).done == 0


def test_pixels_outside_the_mask_come_back_as_they_were(tiny_model: EmbeddedStepModel) -> None:
    picture = canvas()
    one = new_slot(net_of(tiny_model), Wish(ids(1), EMPTY, canvas=picture, mask=left_half()), 0, 5, 3.0)
    while one.done < one.steps:
        denoise(net_of(tiny_model), [one])
        assert torch.equal(one.guess[:, :, 8:], picture[:, :, 8:])  # in every preview too
    assert torch.equal(one.noisy[:, :, 8:], picture[:, :, 8:])
    assert not torch.allclose(one.noisy[:, :, :8], picture[:, :, :8], atol=0.1)


def test_what_lies_under_the_mask_is_not_told_to_the_net(tiny_model: EmbeddedStepModel) -> None:
    mask, hidden = left_half(), canvas()
    changed = hidden.clone()
    changed[:, :, :8] = 1
    slots = [
        new_slot(net_of(tiny_model), Wish(ids(1), EMPTY, canvas=c, mask=mask), 0, 3, 3.0) for c in (hidden, changed)
    ]
    first, second = finish(tiny_model, slots, 2)
    assert torch.equal(first, second)


def test_known_pixels_are_as_noisy_as_the_rest_on_the_way(tiny_model: EmbeddedStepModel) -> None:
    picture = canvas()
    one = new_slot(net_of(tiny_model), Wish(ids(1), EMPTY, canvas=picture, mask=left_half()), 0, 4, 3.0)
    denoise(net_of(tiny_model), [one])
    wanted = 0.25 * picture + 0.75 * one.noise
    assert torch.allclose(one.noisy[:, :, 8:], wanted[:, :, 8:], atol=1e-6)


@pytest.mark.parametrize(("strength", "taken"), [(0.5, 4), (0.75, 6), (1.0, 8), (0.01, 1)])
def test_strength_is_the_share_of_steps_and_of_noise(
    tiny_model: EmbeddedStepModel, strength: float, taken: int
) -> None:
    picture = canvas()
    one = new_slot(net_of(tiny_model), Wish(ids(1), EMPTY, canvas=picture, strength=strength), 0, 8, 1.0)
    assert one.steps == taken
    assert one.time == pytest.approx(1 - taken / 8)
    assert torch.allclose(one.noisy, (1 - taken / 8) * picture + taken / 8 * one.noise)


def test_at_full_strength_nothing_of_an_unmasked_canvas_is_seen(tiny_model: EmbeddedStepModel) -> None:
    seen = new_slot(net_of(tiny_model), Wish(ids(1), EMPTY, canvas=canvas()), 0, 4, 2.0)
    blind = slot(tiny_model, [1])
    first, second = finish(tiny_model, [seen, blind], 2)
    assert torch.equal(first, second)


def test_guidance_of_one_ignores_the_negative_prompt(tiny_model: EmbeddedStepModel) -> None:
    def picture(negative: list[int], guidance: float) -> torch.Tensor:
        return finish(tiny_model, [new_slot(net_of(tiny_model), Wish(ids(1), negative), 5, 3, guidance)])[0]

    assert torch.allclose(picture(EMPTY, 1.0), picture(ids(3), 1.0), atol=1e-5)
    assert not torch.allclose(picture(EMPTY, 3.0), picture(ids(3), 3.0), atol=1e-3)
