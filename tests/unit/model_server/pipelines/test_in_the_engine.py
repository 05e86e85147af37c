"""The tiny families under the real engine: jobs together, previews, cancelling, and the same bits in company."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from PIL.Image import Image

from model_server.engine.events import Finished, Previewed, Snapshot
from model_server.engine.work import AnyModel
from model_server.loading.load import load
from model_server.pipelines.latent import LatentStepModel
from model_server.pipelines.port import Job
from tests.unit.model_server.engine.engines import Caller, kinds, running
from tests.unit.model_server.pipelines.families import STEP_FAMILIES, saved
from tests.unit.model_server.pipelines.step_models import job, left_half, picture
from tests.unit.model_server.support import until

LIMITS: dict[str, Any] = {"profile_seconds": 0.0, "max_batch": 4}


def loaded(root: Path, folder: Path, name: str, family: str = "auto") -> AnyModel:
    path = folder / "models.yaml"
    entry = {"id": name, "folder": str(saved(name, root)), "device": "cpu", "sizes": ["32x32"], "family": family}
    path.write_text(yaml.safe_dump({"models": [entry]}))
    return load(SimpleNamespace(models_path=path, threads=None))[name]  # type: ignore[arg-type]


def orders() -> dict[str, Job]:
    """Three callers, one for each job."""
    edit = {"task": "edit", "images": (picture(),)}
    return {
        "request-generate": job(count=2, steps=4),
        "request-edit": job(steps=5, mask=left_half(), strength=1.0, seed=2, **edit),
        "request-vary": job(prompt="", steps=6, task="vary", images=(picture(3),), strength=0.5, seed=3),
    }


def made(model: AnyModel, wanted: dict[str, Job], **limits: Any) -> dict[str, list[bytes]]:
    with running(model, **LIMITS, **limits) as engine:
        caller = Caller(engine)
        heard = {name: caller.ask(name, order) for name, order in wanted.items()}
        until(lambda: all(kinds(events)[-1:] == ["Finished"] for events in heard.values()))
    pictures: dict[str, list[Image]] = {
        name: next(event.pictures for event in events if isinstance(event, Finished)) for name, events in heard.items()
    }
    return {name: [picture.tobytes() for picture in several] for name, several in pictures.items()}


@pytest.mark.parametrize("name", STEP_FAMILIES)
def test_generate_edit_and_vary_go_together_and_fixed_batches_change_no_bit(
    name: str, root: Path, tmp_path: Path
) -> None:
    model = loaded(root, tmp_path, name)
    assert isinstance(model, LatentStepModel)
    together = made(model, orders(), batching="fixed")
    assert [len(pictures) for pictures in together.values()] == [2, 1, 1]
    for order, wanted in orders().items():
        assert made(model, {order: wanted}, batching="fixed")[order] == together[order]


def test_the_whole_pipeline_answers_the_same_three_jobs(root: Path, tmp_path: Path) -> None:
    model = loaded(root, tmp_path, "sd", family="other")
    pictures = made(model, orders())
    assert [len(several) for several in pictures.values()] == [2, 1, 1]


@pytest.mark.parametrize(("name", "family"), [("sdxl", "auto"), ("sd", "other"), ("pixart", "auto")])
def test_previews_come_and_a_cancelled_request_ends_within_a_step(
    name: str, family: str, root: Path, tmp_path: Path
) -> None:
    with running(loaded(root, tmp_path, name, family), **LIMITS) as engine:
        caller = Caller(engine)
        events = caller.ask("request-1", job(steps=6), partials=2)
        until(lambda: kinds(events)[-1:] == ["Finished"])
        previews = [event for event in events if isinstance(event, Previewed)]
        assert [[picture.size for picture in preview.pictures] for preview in previews] == [[(32, 32)]] * 2

        heard: list[Any] = []
        cancelled_at: list[int] = []

        def cancel_once_it_runs(event: Any) -> None:
            heard.append(event)
            if isinstance(event, Snapshot) and event.step and not cancelled_at:
                cancelled_at.append(event.step)
                engine.cancel("request-2")

        engine.submit("request-2", engine.model(None), job(steps=40), cancel_once_it_runs)
        until(lambda: kinds(heard)[-1:] == ["Cancelled"])
        status = engine.status("request-2")
        assert status is not None
        assert status.step <= cancelled_at[0] + 1
