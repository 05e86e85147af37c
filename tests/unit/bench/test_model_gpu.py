"""The bench of the card, run on a CPU with tiny nets: it shows no figure, but it must run where there is a card."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch

from bench import model_gpu
from bench.model_gpu import NOTHING_MEASURED, Budget, Curve, Setting, compiled, main, ratio_figures
from bench.support import results
from bench.support.model_gpu_shapes import SHAPES, OnCard
from bench.support.model_load import Outcome

NOT_CARRIED_ALONG = (
    "fastapi",
    "starlette",
    "uvicorn",
    "sqlalchemy",
    "httpx",
    "joserfc",
    "authlib",
    "pydantic_settings",
)
"""What a machine with a card has no reason to have."""


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.usefixtures("one_thread")
def test_the_whole_script_runs_on_a_processor_and_says_that_its_figures_mean_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_arguments: object) -> None:
        raise AssertionError("figures that mean nothing were written down")

    monkeypatch.setattr(results, "write", never)
    monkeypatch.setattr(model_gpu, "MOST_TURNS", 1)
    monkeypatch.setattr(model_gpu, "UNIFORM", 2)
    monkeypatch.setattr(model_gpu, "MIXED", (1, 2, 4))
    assert main(["--tiny"]) == 0
    text = capsys.readouterr().out
    assert text.count("MEAN NOTHING") == 2
    assert "left out" not in text
    table = text.partition("target\n")[2]
    for shape in SHAPES:
        for figure in (
            "eager, 64 px: share of the card's matmul peak",
            "compiled, 64 px: share of the card's matmul peak",
            "busy at 512 px, 4x load: throughput against FIFO",
            "quiet at 512 px, 0.9x load: mean time against FIFO",
            "uniform at 1024 px, 0.9x load: throughput against FIFO",
            "uniform at 1024 px, 0.9x load: mean time against FIFO",
            "mixed at 1024 px, 0.9x load: mean time against FIFO",
            "engine over the bare denoiser loop",
        ):
            line = next(line for line in table.splitlines() if line.startswith(shape.name) and figure in line)
            assert line.endswith(("met", "falls short"))


def test_without_a_card_it_measures_nothing_and_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main([]) == NOTHING_MEASURED
    assert capsys.readouterr().out == (
        "There is no CUDA card here, so nothing was measured; --tiny tries the script on a CPU.\n"
    )


def test_what_the_time_does_not_suffice_for_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--tiny", "--seconds", "0"]) == 0
    text = capsys.readouterr().out
    for shape in SHAPES:
        assert f"left out, for time or memory: {shape.name}: all of it" in text


@pytest.mark.usefixtures("one_thread")
def test_a_compiler_that_fails_takes_no_other_figure_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    model = SHAPES[0].build("cpu", True)

    def fails(*_arguments: object) -> None:
        raise RuntimeError("there is no C compiler here")

    monkeypatch.setattr(model, "step", fails)
    where = Setting("cpu", True, 1.0, Budget(60))
    assert list(compiled("SDXL-shaped", model, {64: 1}, where)) == []
    assert where.budget.left_out == ["SDXL-shaped, compiled, 64 px: it did not compile (RuntimeError)"]


@pytest.mark.parametrize(("name", "billions"), [("SDXL-shaped", 2.57), ("FLUX-shaped", 11.90)])
def test_the_nets_have_the_size_of_those_they_stand_for(name: str, billions: float) -> None:
    """On torch's meta device, where a weight has a shape and takes no memory. Sizes: the model cards."""
    shape = next(shape for shape in SHAPES if shape.name == name)
    denoiser = shape.build("meta", False)._denoiser
    weights = list(denoiser.parameters())
    assert sum(weight.numel() for weight in weights) / 1e9 == pytest.approx(billions, abs=0.01)
    assert {weight.dtype for weight in weights} == {torch.bfloat16}


@pytest.mark.usefixtures("one_thread")
def test_a_step_of_several_pictures_is_that_of_each() -> None:
    """Random weights or not: what is timed is the real adapter doing its real work."""
    for shape in SHAPES:
        model = OnCard(shape.build("cpu", True), 32)
        slots = [model.begin(model.job(2, seed))[0] for seed in range(3)]
        while slots[0].done < slots[0].steps:
            model.step(slots)
        assert [slot.done for slot in slots] == [2, 2, 2]
        assert all(bool(slot.latents.isfinite().all()) for slot in slots)
        assert not torch.equal(slots[0].latents, slots[1].latents)


def test_budget_counts_down_and_remembers_what_it_refused() -> None:
    now = 100.0
    budget = Budget(10.0, lambda: now)
    assert budget.allows("a short thing", 10)
    now = 105.0
    assert budget.left() == 5.0
    assert not budget.allows("a long thing", 6)
    assert budget.left_out == ["a long thing"]


def test_share_of_the_peak_is_that_of_the_best_batch() -> None:
    curve = Curve({1: 0.1, 2: 0.1, 4: 0.4})
    assert curve.share_of(peak=100.0, flops=2) == pytest.approx(0.4)


def test_targets_judge_the_median_of_the_turns_each_in_its_own_direction() -> None:
    def made(throughput: float, mean: float) -> Outcome:
        return Outcome(throughput=throughput, mean=mean, p95=mean)

    pairs = [(made(1, 10), made(3, 2)), (made(1, 10), made(2.6, 5)), (made(1, 10), made(1, 2))]
    throughput, mean = ratio_figures("x", pairs, throughput=2.5, mean=0.3)
    assert (throughput.value, throughput.met) == (2.6, True)
    assert (mean.value, mean.met) == (0.2, True)
    throughput, mean = ratio_figures("x", pairs, throughput=2.7, mean=0.1)
    assert (throughput.met, mean.met) == (False, False)


def test_it_needs_nothing_of_the_gateway() -> None:
    line = (
        f"import sys\nfor name in {NOT_CARRIED_ALONG!r}: sys.modules[name] = None\n"
        "import bench.model_gpu\nassert not [name for name in sys.modules if name.split('.')[0] == 'gateway']"
    )
    made = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, timeout=150)
    assert made.returncode == 0, made.stderr
