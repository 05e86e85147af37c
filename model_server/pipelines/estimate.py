"""The clean latents that a denoiser expects at the end, from what it said in the middle: what previews show.

Schedulers compute this inside their step and mostly don't tell. The formulas are those of the parametrisations:
variance preserving (Ho et al. 2020), variance exploding (Karras et al. 2022), flow matching (Lipman et al. 2023), and
v-prediction (Salimans & Ho 2022).
"""

from __future__ import annotations

from torch import Tensor

from model_server.pipelines.latent_slot import Seen


def expected(seen: Seen) -> Tensor:
    """The clean latents as the step that saw this expects them."""
    scheduler, output = seen.scheduler, seen.output
    noisy = seen.noisy.to(output.dtype)
    kind = scheduler.config.get("prediction_type", "flow_prediction")
    if kind == "sample":
        return output
    if kind == "flow_prediction" or scheduler.config.get("use_flow_sigmas"):
        return noisy - _sigma(seen) * output
    if float(scheduler.init_noise_sigma) != 1:  # variance exploding: noise is added, the picture not scaled down
        sigma = _sigma(seen)
        if kind == "v_prediction":
            return noisy / (sigma**2 + 1) - output * sigma / (sigma**2 + 1) ** 0.5
        return noisy - sigma * output
    share = float(scheduler.alphas_cumprod[round(float(seen.timestep))])
    if kind == "v_prediction":
        return share**0.5 * noisy - (1 - share) ** 0.5 * output
    return (noisy - (1 - share) ** 0.5 * output) / share**0.5


def _sigma(seen: Seen) -> float:
    """The noise level of the step; the scheduler has gone one further since."""
    return float(seen.scheduler.sigmas[seen.scheduler.step_index - 1])
