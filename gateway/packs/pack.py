"""Packs as they lie beside this file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field

HERE: Final = Path(__file__).parent
ABOUT: Final = "pack.yaml"
NAMES: Final = ("baseline", "strict", "research", "trial")
"""From the one that everybody begins with to the one for a few weeks."""

Text = Annotated[str, Field(min_length=1)]


class PackUnknown(Exception):
    """There is no such pack, or it has no such option. The message names those there are."""


class _Closed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Change(_Closed):
    """One thing that a pack does otherwise, where, and what for."""

    what: Text
    file: Text
    controls: Annotated[tuple[Text, ...], Field(min_length=1)]
    """Controls that it serves, each with its source: `ISO/IEC 27001:2022 A.8.12`."""


class Option(_Closed):
    """What may be added to a pack."""

    what: Text
    controls: Annotated[tuple[Text, ...], Field(min_length=1)]


class Pack(_Closed):
    """A pack, as its `pack.yaml` describes it."""

    name: Text
    title: Text
    for_whom: Text
    changes: tuple[Change, ...] = ()
    options: Mapping[str, Option] = {}
    settings: tuple[Text, ...] = ()
    """What to set beside it: limits that are settings of the gateway, not rules."""
    whole: tuple[Text, ...] = ()
    """Data files that stand instead of the shipped ones. The others are merged into them."""

    def layers(self, options: tuple[str, ...] = ()) -> list[dict[str, bytes]]:
        """The pack's own files and those of its options, in the order in which they are put upon the shipped rules."""
        unknown = [option for option in options if option not in self.options]
        if unknown:
            there = ", ".join(self.options) or "none"
            raise PackUnknown(f"{self.name} has no option {unknown[0]}; there are: {there}")
        folders = [HERE / self.name / "rules", *(HERE / self.name / "options" / option for option in options)]
        return [_files(folder) for folder in folders]


@cache
def packs() -> tuple[Pack, ...]:
    """All of them."""
    return tuple(_read(name) for name in NAMES)


def find(name: str) -> Pack:
    """Raises PackUnknown."""
    for pack in packs():
        if pack.name == name:
            return pack
    raise PackUnknown(f"there is no pack {name}; there are: {', '.join(NAMES)}")


def _read(name: str) -> Pack:
    about = yaml.safe_load((HERE / name / ABOUT).read_text("utf-8"))
    return Pack.model_validate({"name": name, **about})


def _files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }
