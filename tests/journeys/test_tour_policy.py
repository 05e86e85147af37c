"""`make tour NAME=policy` tells the truth: real provider, gateway with managed rules, model server."""

from __future__ import annotations

import pytest

from demo.tours.policy import take
from tests.support.patience import UNHURRIED


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.xdist_group("stack")  # one stack at a time is enough for a machine
def test_every_step_of_the_policy_tour_is_as_told(tmp_path):
    said: list[str] = []
    assert take(tmp_path / "tour", said.append, UNHURRIED), "\n".join(said)
    told = "\n".join(said)
    assert [line.split(".")[0].strip() for line in told.splitlines() if line[:4].strip(" .").isdigit()] == [
        str(number) for number in range(1, 13)
    ]
    assert "[fail-open]" in told
    assert "newly denied: 3" in told
    assert "403 subject.own-proposal" in told
    assert "403 count.not-permitted" in told
