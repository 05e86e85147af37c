from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from model_server.embedded.text import Tokenizer
from model_server.embedded.train.compose import Batch, Composer
from model_server.embedded.train.loop import (
    CHECKPOINT,
    DECAY_FLAG,
    Plan,
    Progress,
    Training,
    is_learning,
    loss_of,
    new_net,
)
from tests.unit.model_server.embedded.shapes import TINY
from tests.unit.model_server.support import PIECES, two_sprites

TABLE = torch.randn(len(PIECES), 8, generator=torch.Generator().manual_seed(0))


def batches(size: int = 16) -> Iterator[Batch]:
    composer = Composer(two_sprites(), Tokenizer(PIECES), TABLE, 0, size=16, rows=[0, 1])
    while True:
        yield composer.batch(size)


def training(out: Path) -> Training:
    return Training(new_net(TINY, TABLE, 0), out)


class Clock:
    """Time that moves a fixed amount each time it is read, so that a run is a number of steps."""

    def __init__(self, seconds: float) -> None:
        self._now = 0.0
        self._seconds = seconds

    def __call__(self) -> float:
        self._now += self._seconds
        return self._now


def plan(minutes: float, decay: float = 0.0, **options: object) -> Plan:
    return Plan(minutes, decay, batch=16, compiled=False, report_steps=5, **options)  # type: ignore[arg-type]


def test_a_short_training_learns(tmp_path: Path) -> None:
    losses: list[float] = []
    run = training(tmp_path)
    run.run(batches(), plan(120 / 60, 20 / 60), lambda progress: losses.append(progress.loss), Clock(1.0))
    assert run.step == 120
    assert is_learning(losses)
    assert losses[-1] < 0.5 * losses[0]


def test_losses_that_stay_are_not_learning() -> None:
    assert not is_learning([1.0] * 40)
    assert not is_learning([1.0] * 20 + [float("nan")] * 20)
    assert is_learning([1.0] * 20 + [0.2] * 20)


def test_a_stopped_training_goes_on_where_it_was(tmp_path: Path) -> None:
    first = training(tmp_path)
    first.run(batches(), plan(9.5 / 60), lambda _progress: None, Clock(1.0))
    second = training(tmp_path)
    assert second.resume()
    assert (second.step, second.pictures, second.seconds) == (10, 160, 10.0)
    for name, value in first.net.state_dict().items():
        assert torch.equal(second.net.state_dict()[name], value)
        assert torch.equal(second.average[name], first.average[name])
    told: list[Progress] = []
    second.run(batches(), plan(19.5 / 60), told.append, Clock(1.0))
    assert second.step == 20
    assert told[-1].pictures == 320


def test_without_a_checkpoint_there_is_nothing_to_resume(tmp_path: Path) -> None:
    assert not training(tmp_path).resume()


def test_touching_the_decay_file_ends_the_run_gently(tmp_path: Path) -> None:
    (tmp_path / DECAY_FLAG).touch()
    run = training(tmp_path)
    run.run(batches(), plan(1000, 6 / 60), lambda _progress: None, Clock(1.0))
    assert run.step == 6


def test_the_learning_rate_warms_up_holds_and_decays_to_nothing(tmp_path: Path) -> None:
    run = training(tmp_path)
    run.step = 1000
    minutes = plan(10, 5)
    factors = []
    for seconds in (0.0, 299.0, 300.0, 450.0, 599.0, 600.0):
        run.seconds = seconds
        factors.append(run._rate_factor(minutes))
    assert factors == pytest.approx([1.0, 1.0, 1.0, 0.5, 1 / 300, 0.0])
    fresh = training(tmp_path)
    assert 0 < fresh._rate_factor(minutes) < 0.05


def test_a_checkpoint_is_replaced_whole(tmp_path: Path) -> None:
    run = training(tmp_path)
    run.save()
    before = (tmp_path / CHECKPOINT).read_bytes()
    run.step = 5
    run.save()
    assert (tmp_path / CHECKPOINT).read_bytes() != before
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]


def test_known_pixels_carry_no_loss(tmp_path: Path) -> None:
    run = training(tmp_path)
    batch = next(batches())
    mask = torch.zeros_like(batch.mask)
    mask[:, :, :8] = 1
    spoiled = batch.clean.clone()

    def net(noisy: torch.Tensor, known: torch.Tensor, *_rest: torch.Tensor) -> torch.Tensor:
        assert torch.equal(known, batch.clean * (1 - mask))
        spoiled[:, :, 8:] = 99.0
        return spoiled

    loss = loss_of(net, replace(batch, mask=mask), torch.Generator().manual_seed(0))
    assert loss.item() == 0.0
    assert run.step == 0


def test_the_word_table_stays_as_it_was_distilled(tmp_path: Path) -> None:
    run = training(tmp_path)
    before = run.net.table.weight.clone()
    run.run(batches(), plan(4.5 / 60), lambda _progress: None, Clock(1.0))
    assert torch.equal(run.net.table.weight, before)
    assert torch.equal(run.average["table.weight"], before)


def test_a_finished_run_that_is_given_more_time_trains_on(tmp_path: Path) -> None:
    run = training(tmp_path)
    run.run(batches(), plan(6 / 60, 3 / 60), lambda _progress: None, Clock(1.0))
    assert run.decay_began_seconds is not None
    more = training(tmp_path)
    assert more.resume()
    more.run(batches(), plan(12 / 60, 3 / 60), lambda _progress: None, Clock(1.0))
    assert more.step == 12
    assert more.decay_began_seconds == pytest.approx(9.0)
