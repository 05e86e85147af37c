"""Templates to HTML: one Jinja environment, autoescaped, strict about names that aren't there.

Sentences in templates go through `_()`, the hook of gettext: with no catalogue installed it gives back what it got, and
Babel can already collect them (`jinja2.ext.i18n`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request

from gateway.web import words
from gateway.web.static_files import static_tree

DIRECTORY: Final = Path(__file__).parent / "templates"


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(DIRECTORY),
        # Every template, whatever its suffix: a prompt, a name or a reason is text and never markup.
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_null_translations(newstyle=True)  # type: ignore[attr-defined]  # added by the extension
    environment.filters.update(
        moment=words.moment,
        clock_time=words.clock_time,
        day=words.day,
        short_day=words.short_day,
        iso=words.iso,
        grouped=words.grouped,
        effect_word=words.effect_word,
        action_words=words.action_words,
        reason_words=words.reason_words,
        hold_kind_words=words.HOLD_KINDS.__getitem__,
        hold_state_words=words.HOLD_STATES.__getitem__,
        subject_kind_words=words.SUBJECT_KINDS.__getitem__,
        subject_state_words=words.SUBJECT_STATES.__getitem__,
        kept_words=words.KEPT.__getitem__,
    )
    environment.globals["static"] = static_tree().address
    return environment


_ENVIRONMENT: Final = _environment()


def render(name: str, request: Request, context: Mapping[str, Any]) -> str:
    """The page `name`. `context` names the `visitor` it is drawn for: None is somebody we don't know."""
    return _ENVIRONMENT.get_template(name).render({"here": request.url.path, **context})
