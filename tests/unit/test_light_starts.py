"""Programs that start often, or while a person waits, import what they need and not the whole gateway."""

from __future__ import annotations

import subprocess
import sys

import pytest
import typer

from gateway.cli import ORDER, app
from gateway.cli_on_demand import OnDemand

HEAVY = ("gateway.app", "gateway.wiring", "gateway.identity", "gateway.scim", "sqlalchemy", "numpy")
COMMAND = "import sys; sys.argv = ['imprimatur', {words}]; from gateway.cli import app; app(standalone_mode=False)"
STARTS = {
    "imprimatur version": COMMAND.format(words="'version'"),
    "imprimatur login": COMMAND.format(words="'login', '--help'"),
    "the child of a trial": "import gateway.policy.trial_child",
    "the child of a check": "import gateway.lifecycle.check_child",
    "the child of an upload": "import gateway.screening.image.upload_child",
}


@pytest.mark.parametrize("start", STARTS)
def test_it_imports_nothing_heavy(start: str) -> None:
    ask = f"{STARTS[start]}\nimport sys; print('imported:', *(name for name in {HEAVY!r} if name in sys.modules))"
    ran = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.splitlines()[-1].strip() == "imported:"


def test_the_list_of_commands_is_whole_and_in_order() -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, OnDemand)
    assert tuple(group.commands) == ORDER
    assert set(group.makers) < set(ORDER)


def test_each_command_is_found_by_its_name_alone() -> None:
    whole = typer.main.get_command(app)
    assert isinstance(whole, OnDemand)
    for name, command in whole.commands.items():
        alone = typer.main.get_command(app)
        assert isinstance(alone, OnDemand)
        found = alone.get_command(None, name)
        assert (found.name, found.help) == (command.name, command.help)
    assert whole.get_command(None, "nonsense") is None
