"""Whole pipelines of a few thousand random weights, of the real classes, saved to disk as a company would have them.

Letters are words, pictures are 32 pixels wide. Each is built once a test run, under pytest's own temporary folder.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    PixArtSigmaPipeline,
    PixArtTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

from model_server.manifest import write_manifest

LETTERS = "abcdefghijklmnopqrstuvwxyz"
SIDE = 32
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def saved(name: str, root: Path) -> Path:
    """The folder of the family of that name under `root`, with its manifest; built unless it is there."""
    folder = root / "families" / name
    if not folder.is_dir():
        torch.manual_seed(0)
        unfinished = folder.with_name(name + ".unfinished")
        BUILDERS[name](unfinished / "words").save_pretrained(unfinished / "model", safe_serialization=True)
        write_manifest(unfinished / "model")
        (unfinished / "model").rename(folder)
    return folder


def clip_tokenizer(folder: Path) -> CLIPTokenizer:
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {letter: number for number, letter in enumerate(LETTERS)}
    vocabulary |= {letter + "</w>": 26 + number for number, letter in enumerate(LETTERS)}
    vocabulary |= {"<|startoftext|>": 52, "<|endoftext|>": 53}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=16)


def clip_config() -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=54,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=16,
        projection_dim=32,
        bos_token_id=52,
        eos_token_id=53,
    )


def t5_tokenizer() -> T5Tokenizer:
    words = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    words += [(letter, -1.0 - number) for number, letter in enumerate(LETTERS)]
    return T5Tokenizer(vocab=words, extra_ids=0, model_max_length=16)


def t5() -> T5EncoderModel:
    config = T5Config(vocab_size=32, d_model=64, d_kv=8, d_ff=64, num_layers=1, num_heads=4)
    return T5EncoderModel(config).eval()


def vae(latent_channels: int = 4, **config: Any) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(16, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=8,
        latent_channels=latent_channels,
        sample_size=SIDE,
        **config,
    ).eval()


def flow_vae() -> AutoencoderKL:
    return vae(16, shift_factor=0.06, scaling_factor=1.5, use_quant_conv=False, use_post_quant_conv=False)


def unet(in_channels: int = 4, **config: Any) -> UNet2DConditionModel:
    shape = {"cross_attention_dim": 32, "attention_head_dim": 8}
    return UNet2DConditionModel(
        sample_size=SIDE // 2,
        in_channels=in_channels,
        layers_per_block=1,
        block_out_channels=(32, 64),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=8,
        **(shape | config),
    ).eval()


def stable_diffusion(words: Path) -> StableDiffusionPipeline:
    return StableDiffusionPipeline(
        vae=vae(),
        text_encoder=CLIPTextModel(clip_config()).eval(),
        tokenizer=clip_tokenizer(words),
        unet=unet(),
        scheduler=DDIMScheduler(**BETAS, clip_sample=False, set_alpha_to_one=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def stable_diffusion_inpainting(words: Path) -> StableDiffusionInpaintPipeline:
    """A net of nine channels, trained for nothing but filling masks."""
    parts = stable_diffusion(words).components | {"unet": unet(in_channels=9)}
    return StableDiffusionInpaintPipeline(**parts, requires_safety_checker=False)


def stable_diffusion_xl(words: Path) -> StableDiffusionXLPipeline:
    return StableDiffusionXLPipeline(
        vae=vae(force_upcast=True),
        text_encoder=CLIPTextModel(clip_config()).eval(),
        tokenizer=clip_tokenizer(words),
        text_encoder_2=CLIPTextModelWithProjection(clip_config()).eval(),
        tokenizer_2=clip_tokenizer(words),
        unet=unet(
            cross_attention_dim=64,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=8 * 6 + 32,
            use_linear_projection=True,
        ),
        scheduler=EulerDiscreteScheduler(**BETAS),
    )


def stable_diffusion_3(words: Path) -> StableDiffusion3Pipeline:
    return StableDiffusion3Pipeline(
        transformer=SD3Transformer2DModel(
            sample_size=SIDE // 2,
            patch_size=2,
            in_channels=16,
            out_channels=16,
            num_layers=2,
            attention_head_dim=8,
            num_attention_heads=4,
            caption_projection_dim=32,
            joint_attention_dim=64,
            pooled_projection_dim=64,
            pos_embed_max_size=16,
        ).eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=flow_vae(),
        text_encoder=CLIPTextModelWithProjection(clip_config()).eval(),
        tokenizer=clip_tokenizer(words),
        text_encoder_2=CLIPTextModelWithProjection(clip_config()).eval(),
        tokenizer_2=clip_tokenizer(words),
        text_encoder_3=t5(),
        tokenizer_3=t5_tokenizer(),
    )


def flux(words: Path) -> FluxPipeline:
    return FluxPipeline(
        transformer=FluxTransformer2DModel(
            patch_size=1,
            in_channels=64,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=64,
            pooled_projection_dim=32,
            axes_dims_rope=(4, 4, 8),
            guidance_embeds=True,
        ).eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift=3.0),
        vae=flow_vae(),
        text_encoder=CLIPTextModel(clip_config()).eval(),
        tokenizer=clip_tokenizer(words),
        text_encoder_2=t5(),
        tokenizer_2=t5_tokenizer(),
    )


def pixart_sigma(_words: Path) -> PixArtSigmaPipeline:
    """A family without an adapter of ours, whose pipeline knows only the old kind of callback."""
    return PixArtSigmaPipeline(
        tokenizer=t5_tokenizer(),
        text_encoder=t5(),
        vae=vae(),
        transformer=PixArtTransformer2DModel(
            sample_size=SIDE // 2,
            patch_size=2,
            in_channels=4,
            out_channels=8,
            num_layers=1,
            attention_head_dim=8,
            num_attention_heads=4,
            cross_attention_dim=32,
            caption_channels=64,
            use_additional_conditions=False,
        ).eval(),
        scheduler=DPMSolverMultistepScheduler(),
    )


BUILDERS: dict[str, Callable[[Path], Any]] = {
    "sd": stable_diffusion,
    "sd-inpainting": stable_diffusion_inpainting,
    "sdxl": stable_diffusion_xl,
    "sd3": stable_diffusion_3,
    "flux": flux,
    "pixart": pixart_sigma,
}
STEP_FAMILIES = ("sd", "sdxl", "sd3", "flux")
