"""What the step adapters of all diffusers families share: from a job to slots, one shared step, and to pictures.

Everything that a stock pipeline does once (encoding prompts, noise, pictures and masks; choosing the timesteps) is done
by the stock pipeline's own methods, so that a picture made here alone equals the stock pipeline's, to the bit. Only the
loop is ours: one forward pass over the rows of all slots, each with its own time, then each slot's own guidance and
scheduler.
"""

from __future__ import annotations

import copy
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from typing import Any, ClassVar

import torch
from diffusers import AutoPipelineForImage2Image, AutoPipelineForInpainting
from PIL import Image
from torch import Tensor

from model_server.pipelines.estimate import expected
from model_server.pipelines.latent_slot import Conditions, Kept, LatentSlot, Move, Seen, takes_generator
from model_server.pipelines.port import Capabilities, Job
from model_server.wire import MAX_SEED

_GREY = (128, 128, 128)


class LatentStepModel(ABC):
    """Drives one loaded diffusers pipeline for the engine. A family says what its denoiser wants to be told."""

    branches: ClassVar[int] = 2
    """Most rows of the forward pass that one slot takes: with and without the prompt."""
    denoiser_name: ClassVar[str] = "unet"

    def __init__(self, pipe: Any, capabilities: Capabilities) -> None:
        """`pipe` is the family's text-to-image pipeline; the other two are made around its parts."""
        # Three schedulers: the pipelines of Stable Diffusion correct old configurations in place, each in its own way.
        self._from_text = pipe
        self._from_image = AutoPipelineForImage2Image.from_pipe(pipe, scheduler=copy.deepcopy(pipe.scheduler))
        self._from_mask = AutoPipelineForInpainting.from_pipe(pipe, scheduler=copy.deepcopy(pipe.scheduler))
        self._capabilities = capabilities
        # A copy: counting (any thread) and encoding (the engine's) would each change the other's padding and
        # truncation, which the tokenizers keep inside.
        self._counter = copy.deepcopy(pipe.tokenizer)
        self._counting = threading.Lock()
        self._latent_channels = int(pipe.vae.config.latent_channels)

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    def count_tokens(self, prompt: str) -> int:
        with self._counting:
            return len(self._counter(prompt, truncation=True).input_ids)

    def shape(self, job: Job) -> Hashable:
        return job.width, job.height

    # --- what a family says ---

    @abstractmethod
    def _encode(self, job: Job, device: torch.device) -> tuple[Conditions, Conditions | None]:
        """What the denoiser is told of the prompt, and of the negative one (None: no guidance)."""

    @abstractmethod
    def _forward(self, latents: Tensor, timesteps: Tensor, conditions: Conditions) -> Tensor:
        """What the denoiser says to these rows."""

    def _set_timesteps(self, scheduler: Any, job: Job, device: torch.device) -> None:
        """Lay out the steps of a job on its scheduler."""
        scheduler.set_timesteps(job.steps, device=device)

    def _noise_again(self, scheduler: Any, latents: Tensor, noise: Tensor, timestep: Tensor) -> Tensor:
        """Clean latents with the noise that belongs to a time."""
        noisy: Tensor = scheduler.add_noise(latents, noise, timestep)
        return noisy

    # --- the port ---

    def begin(self, job: Job) -> list[LatentSlot]:
        device = self._from_text._execution_device
        slots = []
        with torch.inference_mode():
            wanted, unwanted = self._encode(job, device)
            for index in range(job.count):
                generator = torch.Generator("cpu").manual_seed((job.seed + index) % (MAX_SEED + 1))
                slots.append(self._slot(job, generator, wanted, unwanted, device))
        return slots

    def step(self, slots: Sequence[LatentSlot], rows: int = 0) -> None:
        moves = [Move.of(slot) for slot in slots]
        try:
            with torch.inference_mode():
                said = self._said(moves, rows)
                for move in moves:
                    self._advance(move, *said[id(move)])
        except BaseException:
            for move in moves:
                move.undo()
            raise
        for move in moves:
            move.commit()

    def preview(self, slot: LatentSlot) -> Image.Image:
        with torch.inference_mode():
            return self._decode(slot.latents if slot.seen is None else expected(slot.seen), slot)

    def finish(self, slot: LatentSlot) -> Image.Image:
        with torch.inference_mode():
            return self._decode(slot.latents, slot)

    # --- from a job to a slot ---

    def _slot(
        self,
        job: Job,
        generator: torch.Generator,
        wanted: Conditions,
        unwanted: Conditions | None,
        device: torch.device,
    ) -> LatentSlot:
        start: Callable[[LatentSlot, Job, torch.dtype, torch.device], None]
        if self._fills_masks_only or job.mask is not None:
            pipe, start = self._from_mask, self._start_from_mask
        elif job.images:
            pipe, start = self._from_image, self._start_from_image
        else:
            pipe, start = self._from_text, self._start_from_noise
        # Of the instance: `from_config` would bring back what the pipeline has corrected in it.
        scheduler = copy.deepcopy(pipe.scheduler)
        self._set_timesteps(scheduler, job, device)
        slot = LatentSlot(
            scheduler, scheduler.timesteps, torch.empty(0), generator, job.guidance, wanted, unwanted,
            job.width, job.height,
        )  # fmt: skip
        dtype = next(iter(wanted.values())).dtype
        own, pipe.scheduler = pipe.scheduler, scheduler  # its methods ask it how much noise belongs where
        try:
            start(slot, job, dtype, device)
        finally:
            pipe.scheduler = own
        return slot

    @property
    def _fills_masks_only(self) -> bool:
        """Whether the denoiser has channels for mask and masked picture: then everything is an edit to it."""
        return int(self._denoiser.config.in_channels) > self._latent_channels

    @property
    def _denoiser(self) -> Any:
        return getattr(self._from_text, self.denoiser_name)

    def _start_from_noise(self, slot: LatentSlot, _job: Job, dtype: torch.dtype, device: torch.device) -> None:
        slot.latents = self._from_text.prepare_latents(
            1, self._latent_channels, slot.height, slot.width, dtype, device, slot.generator
        )

    def _start_from_image(self, slot: LatentSlot, job: Job, dtype: torch.dtype, device: torch.device) -> None:
        pipe = self._from_image
        slot.timesteps, _ = pipe.get_timesteps(job.steps, strength_of(job), device)
        picture = pipe.image_processor.preprocess(job.images[0], height=slot.height, width=slot.width)
        slot.latents = pipe.prepare_latents(picture, slot.timesteps[:1], 1, 1, dtype, device, slot.generator)

    def _start_from_mask(self, slot: LatentSlot, job: Job, dtype: torch.dtype, device: torch.device) -> None:
        pipe = self._from_mask
        size = (slot.width, slot.height)
        strength = strength_of(job) if job.images else 1.0
        slot.timesteps, _ = pipe.get_timesteps(job.steps, strength, device)
        image = job.images[0] if job.images else Image.new("RGB", size, _GREY)  # nothing of it is seen
        mask = job.mask or Image.new("L", size, 255)
        picture = pipe.image_processor.preprocess(image, height=slot.height, width=slot.width).to(torch.float32)
        paint = pipe.mask_processor.preprocess(mask, height=slot.height, width=slot.width)
        slot.latents, noise, known = self._noised_for_mask(slot, picture, strength, dtype, device)
        paint, hidden = self._mask_latents(slot, paint, picture * (paint < 0.5), dtype, device)
        if known is None:
            slot.beside = torch.cat([paint, hidden], dim=1)
        else:
            slot.kept = Kept(paint, known, noise)

    def _noised_for_mask(
        self, slot: LatentSlot, picture: Tensor, strength: float, dtype: torch.dtype, device: torch.device
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """The first latents, their noise, and the picture's clean latents if they are to be laid over each step."""
        lays_over = not self._fills_masks_only
        first: tuple[Tensor, ...] = self._from_mask.prepare_latents(
            1, self._latent_channels, slot.height, slot.width, dtype, device, slot.generator, None,
            image=picture, timestep=slot.timesteps[:1], is_strength_max=strength == 1.0,
            return_noise=True, return_image_latents=lays_over,
        )  # fmt: skip
        return first[0], first[1], first[2] if lays_over else None

    def _mask_latents(
        self, slot: LatentSlot, paint: Tensor, hidden: Tensor, dtype: torch.dtype, device: torch.device
    ) -> tuple[Tensor, Tensor]:
        """Mask and masked picture in the size of the latents."""
        both: tuple[Tensor, Tensor] = self._from_mask.prepare_mask_latents(
            paint, hidden, 1, slot.height, slot.width, dtype, device, slot.generator, False
        )
        return both

    # --- one step ---

    def _said(self, moves: Sequence[Move], rows: int) -> dict[int, tuple[Tensor, Tensor | None]]:
        """What the denoiser says to each slot: with its prompt, and with its negative one."""
        # Negative rows first, then the others: the order of the stock pipelines, whatever it may mean to a kernel.
        asked = [(move, move.slot.unwanted) for move in moves if move.slot.unwanted is not None]
        asked += [(move, move.slot.wanted) for move in moves]
        inputs = {id(move): self._input(move) for move in moves}
        latents = [inputs[id(move)] for move, _ in asked]
        timesteps = [move.slot.timestep for move, _ in asked]
        told = [conditions for _, conditions in asked]
        # A kernel may choose another order of sums for another number of rows. With the number fixed, a row's result
        # does not depend on the others: so it is on CPUs, by the tests.
        missing = max(0, rows * self.branches - len(asked))
        latents += latents[:1] * missing
        timesteps += timesteps[:1] * missing
        told += told[:1] * missing
        conditions = {name: torch.cat([row[name] for row in told]) for name in told[0]}
        batch = torch.cat(latents)
        if rows:  # a picture's encoder may leave its latents in another order in memory, and take the batch along
            batch = batch.contiguous()
        output = self._forward(batch, torch.stack(timesteps), conditions)
        guided = len(asked) - len(moves)
        unwanted = {id(move): output[row : row + 1] for row, (move, _) in enumerate(asked[:guided])}
        return {
            id(move): (output[guided + row : guided + row + 1], unwanted.get(id(move)))
            for row, move in enumerate(moves)
        }

    def _input(self, move: Move) -> Tensor:
        slot = move.slot
        latents = slot.latents
        if hasattr(move.scheduler, "scale_model_input"):
            latents = move.scheduler.scale_model_input(latents, slot.timestep)
        return latents if slot.beside is None else torch.cat([latents, slot.beside], dim=1)

    def _guided(self, slot: LatentSlot, wanted: Tensor, unwanted: Tensor | None) -> Tensor:
        return wanted if unwanted is None else unwanted + slot.guidance * (wanted - unwanted)

    def _advance(self, move: Move, wanted: Tensor, unwanted: Tensor | None) -> None:
        slot, scheduler = move.slot, move.scheduler
        output = self._guided(slot, wanted, unwanted)
        options = {"generator": slot.generator} if takes_generator(scheduler) else {}
        latents = scheduler.step(output, slot.timestep, slot.latents, return_dict=False, **options)[0]
        if slot.kept is not None:
            known = slot.kept.latents
            if slot.done + 1 < slot.steps:
                following = slot.timesteps[slot.done + 1 : slot.done + 2]
                known = self._noise_again(scheduler, known, slot.kept.noise, following)
            latents = (1 - slot.kept.mask) * known + slot.kept.mask * latents
        move.latents = latents
        move.seen = Seen(scheduler, slot.timestep, slot.latents, output)

    # --- to a picture ---

    def _decode(self, latents: Tensor, slot: LatentSlot) -> Image.Image:
        pipe, vae = self._from_text, self._from_text.vae
        latents = self._unscaled(self._unpacked(latents, slot))
        pixels = self._pixels(latents.to(vae.dtype))
        picture = self._picture(pixels)
        pipe.maybe_free_model_hooks()
        return picture

    def _picture(self, pixels: Tensor) -> Image.Image:
        picture: Image.Image = self._from_text.image_processor.postprocess(pixels, output_type="pil")[0]
        return picture

    def _pixels(self, latents: Tensor) -> Tensor:
        vae = self._from_text.vae
        try:
            pixels: Tensor = vae.decode(latents, return_dict=False)[0]
        except torch.OutOfMemoryError:
            # In tiles it takes a small part of the memory, and its seams can hardly be seen.
            if vae.use_tiling:
                raise
        else:
            return pixels
        # Outside the handler: the traceback keeps what the failed try had reserved.
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        vae.enable_tiling()
        try:
            pixels = vae.decode(latents, return_dict=False)[0]
        finally:
            vae.disable_tiling()
        return pixels

    def _unpacked(self, latents: Tensor, _slot: LatentSlot) -> Tensor:
        return latents

    def _unscaled(self, latents: Tensor) -> Tensor:
        config = self._from_text.vae.config
        mean, deviation = config.get("latents_mean"), config.get("latents_std")
        if mean is not None and deviation is not None:
            per_channel = (1, -1, 1, 1)
            return latents * latents.new_tensor(deviation).view(per_channel) / config.scaling_factor + (
                latents.new_tensor(mean).view(per_channel)
            )
        latents = latents / config.scaling_factor
        shift = config.get("shift_factor")
        return latents if shift is None else latents + shift


def strength_of(job: Job) -> float:
    """The job's strength, but always enough for one step."""
    return min(1.0, max(job.strength, 1.0001 / job.steps))
