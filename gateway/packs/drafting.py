"""A pack as a change of rules that are in force already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.errors import InvalidRequest
from gateway.lifecycle.content import changes_between
from gateway.packs.build import BuildFailed, build
from gateway.packs.pack import PackUnknown, find


def pack_changes(base: Mapping[str, bytes], name: str, options: Sequence[str]) -> dict[str, bytes | None]:
    """What a pack makes otherwise in `base`, whose own values stay where the pack says nothing. Raises InvalidRequest
    when there is no such pack or option, or when it does not go with these rules."""
    try:
        made = build(base, find(name), tuple(dict.fromkeys(options)))
    except (PackUnknown, BuildFailed) as error:
        raise InvalidRequest(f"The draft can't begin from a pack: {error}.", param="pack") from error
    return changes_between(base, made.files)
