from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
from torch.nn.functional import avg_pool2d, interpolate

from model_server.embedded.conditions import SOURCE_VALUES
from model_server.embedded.net import PixelTransformer, enlarged
from tests.unit.model_server.embedded.shapes import TINY


def random_net() -> PixelTransformer:
    """A net whose every weight is random, the ones that start at nothing too, so that each input matters."""
    net = PixelTransformer(TINY)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for value in net.state_dict().values():
            value.copy_(torch.randn(value.shape, generator=generator) * 0.2)
    return net.eval().requires_grad_(False)


@dataclass(frozen=True)
class Inputs:
    """What a forward pass takes, for two rows."""

    noisy: torch.Tensor
    known: torch.Tensor
    mask: torch.Tensor
    time: torch.Tensor
    ids: torch.Tensor
    source: torch.Tensor
    layout: torch.Tensor

    def through(self, net: PixelTransformer) -> torch.Tensor:
        picture: torch.Tensor = net(self.noisy, self.known, self.mask, self.time, self.ids, self.source, self.layout)
        return picture


def inputs(size: int = 16) -> Inputs:
    generator = torch.Generator().manual_seed(3)
    ids = torch.zeros(2, 15, dtype=torch.long)
    ids[:, :2] = torch.tensor([[1, 2], [3, 4]])
    return Inputs(
        noisy=torch.randn(2, 3, size, size, generator=generator),
        known=torch.zeros(2, 3, size, size),
        mask=torch.ones(2, 1, size, size),
        time=torch.tensor([0.2, 0.7]),
        ids=ids,
        source=torch.zeros(2, SOURCE_VALUES),
        layout=torch.zeros(2, TINY.patches, TINY.layout_width),
    )


@pytest.mark.parametrize("factor", [2, 3])
def test_an_enlarged_net_predicts_the_same_picture_with_each_pixel_repeated(factor: int) -> None:
    net = random_net()
    large = enlarged(net, factor)
    assert (large.shape.size_pixels, large.shape.patch_pixels) == (16 * factor, 2 * factor)
    big = replace(inputs(16 * factor), known=torch.randn(2, 3, 16 * factor, 16 * factor))
    small = replace(
        big,
        noisy=avg_pool2d(big.noisy, factor),
        known=avg_pool2d(big.known, factor),
        mask=avg_pool2d(big.mask, factor),
    )
    wanted = interpolate(small.through(net), scale_factor=factor, mode="nearest")
    assert torch.allclose(big.through(large), wanted, atol=1e-4)


def test_averaged_over_the_enlargement_the_noise_is_what_the_smaller_net_saw() -> None:
    large = enlarged(PixelTransformer(TINY), 2)
    noise = torch.randn(64, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * large.shape.noise_scale
    assert avg_pool2d(noise, 2).std().item() == pytest.approx(TINY.noise_scale, rel=0.02)


@pytest.mark.parametrize(
    "changed",
    [
        lambda i: replace(i, known=i.known + 0.5),
        lambda i: replace(i, mask=i.mask * 0),
        lambda i: replace(i, time=i.time + 0.1),
        lambda i: replace(i, ids=i.ids.flip(0)),
        lambda i: replace(i, source=torch.full_like(i.source, 0.5)),
        lambda i: replace(i, layout=torch.full_like(i.layout, 0.5)),
    ],
    ids=["known", "mask", "time", "words", "source", "layout"],
)
def test_every_condition_has_an_effect(changed: Callable[[Inputs], Inputs]) -> None:
    net, plain = random_net(), inputs()
    difference = (changed(plain).through(net) - plain.through(net)).abs().amax((1, 2, 3))
    assert (difference > 1e-3).all()


def test_a_layout_is_read_where_it_is_painted() -> None:
    net, plain = random_net(), inputs()
    first, last = plain.layout.clone(), plain.layout.clone()
    first[:, 0], last[:, -1] = 1.0, 1.0
    assert not torch.allclose(
        replace(plain, layout=first).through(net), replace(plain, layout=last).through(net), atol=1e-3
    )


def test_conditions_that_are_absent_are_exactly_nothing() -> None:
    """What the weights of source and layout hold must not matter when there is neither."""
    net, plain = random_net(), inputs()
    before = plain.through(net)
    with torch.no_grad():
        for layer in (net.read_source, net.pool_source, net.read_layout):
            layer.weight.mul_(-7)
    assert torch.equal(plain.through(net), before)


def test_a_new_net_starts_without_any_say_of_source_and_layout() -> None:
    torch.manual_seed(0)
    net = PixelTransformer(TINY).eval()
    torch.nn.init.normal_(net.out.weight)
    plain = inputs()
    told = replace(plain, source=torch.ones_like(plain.source), layout=torch.ones_like(plain.layout))
    with torch.inference_mode():
        assert torch.equal(told.through(net), plain.through(net))


def test_a_shape_that_no_layout_fits_is_refused() -> None:
    with pytest.raises(ValueError, match="64 patches, this shape 16"):
        PixelTransformer(replace(TINY, patch_pixels=4))
