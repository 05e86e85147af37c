"""The embedded model's net: a pixel diffusion transformer that predicts the clean picture.

Big patches and x-prediction after "Back to Basics: Let Denoising Generative Models Denoise" (JiT, Li & He 2025,
arXiv:2511.13720); time conditioning shared by all blocks after PixArt-alpha's adaLN-single (arXiv:2310.00426);
the text sits in the context as tokens. Seven input channels: the noisy picture, the known pixels and the mask that
says where to paint. Two further conditions, a source picture (for variations) and a painted layout (for sketches,
after Make-A-Scene, arXiv:2203.13131), enter by matrices without bias: where they are absent they are exactly nothing.
So text-to-image, edits, variations and sketches are one net with one set of weights.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model_server.embedded.conditions import LAYOUT_PATCHES, LAYOUT_VALUES, SOURCE_VALUES
from model_server.embedded.text import MAX_TOKENS, PAD_ID

INPUT_CHANNELS = 7
"""RGB of the noisy picture, RGB of the known pixels (0 where unknown), mask (1 where the model paints)."""

_TIME_FEATURES = 64
_TIME_SCALE = 1000.0
_MASKED_OUT = -1e4
"""Attention bias for padding; finite, because bf16 softmax over -inf rows gives NaN."""


@dataclass(frozen=True, slots=True)
class NetShape:
    """The sizes that fix the weights' shapes. Stored beside the weights; a loaded net is built from it."""

    vocabulary: int
    size_pixels: int = 128
    patch_pixels: int = 16
    width: int = 256
    layers: int = 8
    heads: int = 4
    table_width: int = 128
    bottleneck: int = 128
    noise_scale: float = 2.0
    """Standard deviation of the noise. It grows with the resolution, as in JiT: averaged over 2 x 2 pixels, noise of
    2 at 128 pixels is noise of 1 at 64, so that the same time is the same difficulty."""

    @property
    def patches(self) -> int:
        """Patch tokens of one picture."""
        return (self.size_pixels // self.patch_pixels) ** 2

    @property
    def layout_width(self) -> int:
        """Values of a layout for one patch: the label's vector, and what is painted where."""
        return self.table_width + LAYOUT_VALUES

    def as_json(self) -> dict[str, int | float]:
        """Plain fields for `config.json`."""
        return asdict(self)


class Norm(nn.RMSNorm):  # type: ignore[misc]  # the type checker does not follow torch
    """RMSNorm in its input's number type: under autocast the stock one mixes bf16 with float32 and loses its kernel."""

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.normalized_shape, self.weight.to(x.dtype), self.eps)


class Block(nn.Module):  # type: ignore[misc]  # as above
    """Attention and MLP over text and patch tokens together, modulated by the shared time vector plus its own table."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention = Norm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.norm_query = Norm(width // heads)
        self.norm_key = Norm(width // heads)
        self.join = nn.Linear(width, width, bias=False)
        self.norm_mlp = Norm(width)
        self.widen = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)
        self.modulation = nn.Parameter(torch.zeros(6, width))

    def forward(self, tokens: Tensor, shared: Tensor, bias: Tensor) -> Tensor:
        """`tokens` (B, N, width); `shared` (B, 6, width); `bias` (B, 1, 1, N) is added to the attention scores."""
        scale_a, shift_a, gate_a, scale_m, shift_m, gate_m = (
            part[:, None] for part in (shared + self.modulation).to(tokens.dtype).unbind(1)
        )
        y = self.norm_attention(tokens) * (1 + scale_a) + shift_a
        batch, length, width = y.shape
        q, k, v = self.qkv(y).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k = self.norm_query(q), self.norm_key(k)
        # Written out rather than scaled_dot_product_attention: at 80 tokens on a CPU the compiled product is faster.
        weights = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5 + bias).softmax(-1).to(v.dtype)
        tokens = tokens + gate_a * self.join((weights @ v).transpose(1, 2).reshape(batch, length, width))
        y = self.norm_mlp(tokens) * (1 + scale_m) + shift_m
        return tokens + gate_m * self.narrow(F.gelu(self.widen(y)))


class PixelTransformer(nn.Module):  # type: ignore[misc]  # as above
    """Predicts the clean picture from a noisy one, its time and the prompt's tokens."""

    def __init__(self, shape: NetShape) -> None:
        super().__init__()
        self.shape = shape
        width, patch = shape.width, shape.patch_pixels
        if shape.patches != LAYOUT_PATCHES:
            raise ValueError(f"a layout has {LAYOUT_PATCHES} patches, this shape {shape.patches}")
        self.table = nn.Embedding(shape.vocabulary, shape.table_width, padding_idx=PAD_ID)
        self.table.weight.requires_grad_(False)  # distilled once; frozen so that unseen words keep their neighbours
        self.read_text = nn.Linear(shape.table_width, width)
        self.text_position = nn.Parameter(torch.randn(MAX_TOKENS, width) * 0.02)
        self.null_token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.squeeze = nn.Linear(INPUT_CHANNELS * patch * patch, shape.bottleneck, bias=False)
        self.read_patch = nn.Linear(shape.bottleneck, width)
        self.patch_position = nn.Parameter(torch.randn(shape.patches, width) * 0.02)
        self.read_time = nn.Sequential(nn.Linear(2 * _TIME_FEATURES, width), nn.SiLU(), nn.Linear(width, width))
        self.pool_text = nn.Linear(shape.table_width, width)
        self.shared = nn.Linear(width, 6 * width)
        self.blocks = nn.ModuleList(Block(width, shape.heads) for _ in range(shape.layers))
        self.norm_out = Norm(width)
        self.modulate_out = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, 3 * patch * patch)
        self.read_source = nn.Linear(SOURCE_VALUES, width, bias=False)
        self.pool_source = nn.Linear(SOURCE_VALUES, width, bias=False)
        self.read_layout = nn.Linear(shape.layout_width, width, bias=False)
        for layer in (self.shared, self.modulate_out, self.out):  # each block starts as the identity
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        for layer in (self.read_source, self.pool_source, self.read_layout):  # added to a trained net, they say nothing
            nn.init.zeros_(layer.weight)

    def forward(
        self, noisy: Tensor, known: Tensor, mask: Tensor, time: Tensor, ids: Tensor, source: Tensor, layout: Tensor
    ) -> Tensor:
        """The clean picture, (B, 3, S, S) in -1..1.

        `noisy` (B, 3, S, S) is `t * clean + (1 - t) * noise_scale * noise`; `known` (B, 3, S, S) is the clean picture
        where it is given, else 0; `mask` (B, 1, S, S) is 1 where to paint; `time` (B,) in 0 (noise) .. 1; `ids`
        (B, MAX_TOKENS); `source` (B, SOURCE_VALUES) and `layout` (B, patches, layout_width), see `conditions`.
        A row of padding only is the empty prompt, zeros are no source and no layout; guidance uses them.
        """
        batch = noisy.shape[0]
        padding = ids.eq(PAD_ID)
        vectors = self.table(ids)
        text = self.read_text(vectors) + self.text_position
        first = self.null_token.to(text.dtype) + self.read_source(source)[:, None]
        text = torch.cat([first, text], 1)
        text_length = text.shape[1]
        frequency = torch.exp(
            torch.arange(_TIME_FEATURES, device=noisy.device) * (-math.log(_TIME_SCALE) / _TIME_FEATURES)
        )
        angle = time.float()[:, None] * _TIME_SCALE * frequency[None]
        present = (~padding)[..., None]
        pooled = (vectors * present).sum(1) / present.sum(1).clamp(min=1)
        condition = self.read_time(torch.cat([angle.sin(), angle.cos()], 1).to(text.dtype)) + self.pool_text(pooled)
        condition = F.silu(condition + self.pool_source(source))
        shared = self.shared(condition).view(batch, 6, -1)
        pixels = F.pixel_unshuffle(torch.cat([noisy, known, mask], 1), self.shape.patch_pixels)
        patches = self.read_patch(self.squeeze(pixels.flatten(2).transpose(1, 2))) + self.patch_position
        patches = patches + self.read_layout(layout)
        tokens = torch.cat([text, patches], 1)
        bias = torch.zeros(batch, 1, 1, tokens.shape[1], device=noisy.device)
        bias[:, 0, 0, 1:text_length].masked_fill_(padding, _MASKED_OUT)
        for block in self.blocks:
            tokens = block(tokens, shared, bias)
        scale, shift = self.modulate_out(condition)[:, None].chunk(2, -1)
        picture = self.out(self.norm_out(tokens[:, text_length:]) * (1 + scale) + shift)
        side = self.shape.size_pixels // self.shape.patch_pixels
        return F.pixel_shuffle(picture.transpose(1, 2).unflatten(2, (side, side)), self.shape.patch_pixels)


def enlarged(net: PixelTransformer, factor: int) -> PixelTransformer:
    """The same net for pictures `factor` times as large, at the same cost: the patches grow with them.

    It predicts exactly what the given net predicts for the picture averaged over `factor` x `factor` pixels, each
    pixel repeated. Training goes on from there.
    """
    old = net.shape
    side, large = old.patch_pixels, old.patch_pixels * factor
    shape = replace(old, size_pixels=old.size_pixels * factor, patch_pixels=large, noise_scale=old.noise_scale * factor)
    weights = net.state_dict()

    def repeat(values: Tensor) -> Tensor:
        """(..., side, side) to (..., large, large), each value repeated."""
        return values.repeat_interleave(factor, -1).repeat_interleave(factor, -2)

    # `pixel_unshuffle` and `pixel_shuffle` order a patch's values as (channel, row, column).
    squeeze = weights["squeeze.weight"].view(-1, INPUT_CHANNELS, side, side)
    out = weights["out.weight"].t().reshape(-1, 3, side, side)
    weights["squeeze.weight"] = (repeat(squeeze) / factor**2).flatten(1)
    weights["out.weight"] = repeat(out).flatten(1).t().contiguous()
    weights["out.bias"] = repeat(weights["out.bias"].view(3, side, side)).flatten()
    larger = PixelTransformer(shape)
    larger.load_state_dict(weights)
    return larger
