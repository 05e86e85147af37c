"""Commands whose code is imported when somebody asks for them.

Most of a command's time is spent on imports: `imprimatur login` needs an HTTP client, and not the gateway.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Final

import typer
from typer import main
from typer.core import TyperGroup

Make = Callable[[], typer.Typer]


class OnDemand(TyperGroup):
    """A group that makes some of its commands when they are called, and all of them when it is asked which it has."""

    makers: Mapping[str, Make] = {}  # each class has its own and never changes it
    """Name of a command -> what makes it, perhaps with others."""
    order: tuple[str, ...] = ()
    """How the commands are listed; those that are not named here come first."""

    _found: MutableMapping[str, Any]

    @property
    def commands(self) -> MutableMapping[str, Any]:
        """All of them."""
        for name in self.makers:
            self._make(name)
        places = {name: place for place, name in enumerate(self.order, 1)}
        return dict(sorted(self._found.items(), key=lambda item: places.get(item[0], 0)))

    @commands.setter
    def commands(self, found: MutableMapping[str, Any]) -> None:
        self._found = found

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name, if there is one."""
        if cmd_name in self.makers:
            self._make(cmd_name)
        return self._found.get(cmd_name)

    def _make(self, name: str) -> None:
        if name not in self._found:
            self._found.update(main.get_group(self.makers[name]()).commands)


def on_demand(makers: Mapping[str, Make], order: tuple[str, ...] = ()) -> type[OnDemand]:
    """A group with commands that `makers` make."""
    return type("Commands", (OnDemand,), {"makers": dict(makers), "order": order})


__all__: Final = ["OnDemand", "on_demand"]
