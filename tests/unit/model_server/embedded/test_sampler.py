from __future__ import annotations

import torch

from model_server.embedded.net import PixelTransformer
from model_server.embedded.sampler import PixelSlot, denoise, new_slot
from model_server.pipelines.embedded import EmbeddedStepModel
from model_server.pipelines.port import Job


def net_of(model: EmbeddedStepModel) -> PixelTransformer:
    return model._model.net


def slot(model: EmbeddedStepModel, words: list[int], seed: int = 0, steps: int = 4, guidance: float = 2.0) -> PixelSlot:
    ids = words + [0] * (15 - len(words))
    return new_slot(net_of(model), ids, [0] * 15, seed, steps, guidance)


def finish(model: EmbeddedStepModel, slots: list[PixelSlot]) -> list[torch.Tensor]:
    while any(slot.done < slot.steps for slot in slots):
        denoise(net_of(model), slots)
    return [slot.noisy for slot in slots]


def test_noise_depends_on_the_seed_alone(tiny_model: EmbeddedStepModel) -> None:
    assert torch.equal(slot(tiny_model, [1], seed=3).noisy, slot(tiny_model, [2], seed=3, steps=9).noisy)
    assert not torch.equal(slot(tiny_model, [1], seed=3).noisy, slot(tiny_model, [1], seed=4).noisy)


def test_slots_of_different_lengths_share_steps_and_each_ends_as_if_alone(tiny_model: EmbeddedStepModel) -> None:
    def fresh() -> list[PixelSlot]:
        return [slot(tiny_model, [1], 1, 2, 1.5), slot(tiny_model, [3], 2, 5, 4.0), slot(tiny_model, [4, 2], 3, 3, 2.0)]

    together = finish(tiny_model, fresh())
    alone = [finish(tiny_model, [one])[0] for one in fresh()]
    for mixed, single in zip(together, alone, strict=True):
        assert torch.allclose(mixed, single, atol=0.05)  # bf16 sums in another order in another batch


def test_a_finished_slot_is_left_alone(tiny_model: EmbeddedStepModel) -> None:
    done = slot(tiny_model, [1], steps=1)
    denoise(net_of(tiny_model), [done])
    before = done.noisy.clone()
    denoise(net_of(tiny_model), [done, slot(tiny_model, [2])])
    assert torch.equal(done.noisy, before)
    assert done.done == 1


def test_guidance_of_one_ignores_the_negative_prompt(tiny_model: EmbeddedStepModel) -> None:
    def picture(negative: str, guidance: float) -> bytes:
        slots = tiny_model.begin(Job("fox", negative, 1, 32, 32, 3, guidance, 5))
        while slots[0].done < 3:
            tiny_model.step(slots)
        return tiny_model.finish(slots[0]).tobytes()

    assert picture("", 1.0) == picture("blue", 1.0)
    assert picture("", 3.0) != picture("blue", 3.0)


def test_the_largest_seed_has_neighbours_too(tiny_model: EmbeddedStepModel) -> None:
    slots = tiny_model.begin(Job("fox", "", 2, 32, 32, 1, 1.0, 2**63 - 1))
    assert not torch.equal(slots[0].noisy, slots[1].noisy)
