"""Writes the reference pages that the code already knows: settings, errors, vocabulary, commands, packs, figures.

    python -m docs.gen [--check]

A page made from the code can't drift from it; `tests/unit/test_docs.py` fails when one is out of date.
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

import typer
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from audit.cli import app as audit_command
from audit.vocabulary import LogEvent, LogReason
from docs import figures, packs
from gateway import errors, vocabulary
from gateway.cli import app as imprimatur_command
from gateway.settings import CONFIG_VARIABLE, Settings
from model_server.__main__ import command_line as model_server_command
from model_server.__main__ import main as model_server_main
from model_server.settings import ENVIRONMENT_PREFIX
from model_server.settings import Settings as ModelServerSettings

ROOT: Final = Path(__file__).parents[1]
PAGES: Final = ROOT / "docs" / "reference"
MADE: Final = "<!-- Made by python -m docs.gen from the code. Edit the code, not this page. -->\n"


def settings_page() -> str:
    """Every setting of the gateway and of the model server."""
    lines = [
        MADE,
        "# Settings",
        "",
        f"The gateway reads a YAML file named by `{CONFIG_VARIABLE}` (or `--config`), and the environment, which wins: "
        "`identity.session_idle_seconds` is `IMPRIMATUR_IDENTITY__SESSION_IDLE_SECONDS`. An unknown name stops the "
        "start, so that a typing slip can't switch a protection off. Secrets are given as paths of files, never as "
        "values.",
        "",
        "`imprimatur doctor` prints what is in force and what is missing.",
        "",
        *_section(Settings, "", skip_sections=True),
    ]
    for name, field in Settings.model_fields.items():
        if _is_section(field.annotation):
            lines += [f"## {name}", "", *_section(field.annotation, f"{name}.")]
    lines += [
        "## The model server",
        "",
        f"Read from the environment, `{ENVIRONMENT_PREFIX}` and the name in capitals; the command line wins.",
        "",
        *_section(ModelServerSettings, ""),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _section(model: Any, prefix: str, *, skip_sections: bool = False) -> Iterator[str]:
    yield from ("| setting | default | what it does |", "|---|---|---|")
    nested: list[tuple[str, Any]] = []
    for name, field in model.model_fields.items():
        if skip_sections and _is_section(field.annotation):
            continue
        about = " ".join((field.description or "").split())
        choices = _choices(field.annotation)
        if choices:
            about = f"{about} One of {choices}."
        yield f"| `{prefix}{name}` | {_default(field)} | {_cell(about)} |"
        nested += [
            (f"{prefix}{name}{'[]' if get_origin(field.annotation) is tuple else ''}.", inner)
            for inner in _models(field.annotation)
        ]
    yield ""
    for inner_prefix, inner in nested:
        yield from (f"### {inner_prefix.rstrip('.')}", "", _first_sentence(inner.__doc__), "")
        yield from _section(inner, inner_prefix)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _choices(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    if get_origin(annotation) in (Union, UnionType, tuple):
        return "; ".join(filter(None, map(_choices, get_args(annotation))))
    return ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    value = field.get_default(call_default_factory=True) if field.default is PydanticUndefined else field.default
    if isinstance(value, BaseModel):
        return "see below"
    if value is None or value in ("", (), {}):
        return "none"
    if isinstance(value, tuple):
        return ", ".join(f"`{v}`" for v in value)
    return f"`{value}`"


def errors_page() -> str:
    """The tree of refusals and failures, with code, status and whether trying again can help."""
    _import_all(typer.main.get_command(imprimatur_command))
    tree = textwrap.dedent((errors.__doc__ or "").partition("\n")[2]).strip()
    lines = [
        MADE,
        "# Errors",
        "",
        'An error answers as `{"error": {"message", "type", "param", "code", "reasons", "decision_id"}}`; a browser '
        "gets a page with the same facts. `decision_id` is the request's `x-request-id` and finds its record. No error "
        "ever holds a prompt, a token, a key or the text that was found.",
        "",
        "`x-should-retry` says whether sending the same request again can help. A refusal says `false`: otherwise a "
        "client that retries by itself would have one refused click recorded three times.",
        "",
        "| code | status | type | again? | what it means |",
        "|---|---|---|---|---|",
    ]
    for error in _tree(errors.ImprimaturError):
        again = "yes" if error.retry else "no"
        meaning = ERRORS_IN_WORDS.get(error.code) or _first_sentence(error.__doc__)
        lines.append(f"| `{error.code}` | {error.status} | `{error.type}` | {again} | {_cell(meaning)} |")
    lines += [
        "",
        "Some errors say more exactly what was wrong:",
        "",
        *(f"- `{code}`: {meaning}" for code, meaning in sorted(_finer_codes().items())),
        "",
        "## The tree",
        "",
        "```text",
        *tree.splitlines(),
        "```",
    ]
    return "\n".join(lines) + "\n"


def _import_all(command: Any) -> None:
    """Make commands that are made on demand, and so import what has errors of its own."""
    for sub in getattr(command, "commands", {}).values():
        _import_all(sub)


ERRORS_IN_WORDS: Final = {
    "internal_error": "Something of ours broke in a way we did not foresee. Operators find it by the request id.",
    "payload_too_large": "The body, or a file in it, is larger than it may be (`server.max_body_bytes`, "
    "`server.max_upload_bytes`; 50 MB a picture, 4 MB a mask or a picture to vary).",
    "unsupported_media_type": "The body is not in a format that this address reads.",
    "insufficient_credits": "The month's credits are used up.",
    "not_found": "There is nothing at this address, or it is not yours to see.",
    "rate_limit_exceeded": "Too much at once. Wait as long as `retry-after` says.",
    "audit_unavailable": "The audit log can't be written, so nothing happened.",
    "policy_unavailable": "The policy engine did not answer, so nobody may.",
    "identity_unavailable": "The identity provider can't be reached. Sessions and keys keep working.",
    "model_overloaded": "The image server's queue is full. Wait as long as `retry-after` says.",
    "model_unavailable": "The image server can't be reached or took too long.",
    "model_broken_answer": "The image server answered with something else than pictures.",
}
"""For classes whose name says it all in the code and too little on a page."""

FINER: Final = {
    "invalid_json": "the body is not one JSON object, or a key stands in it twice",
    "invalid_form": "the body is not one multipart/form-data, or a text stands in it twice",
    "invalid_image": "a file is no single whole PNG, JPEG or WebP picture, or not of the shape that is needed",
    "upload_timeout": "the pictures took longer to arrive than `server.upload_seconds`",
    "missing_required_parameter": "a field that must be there is not",
    "unknown_parameter": "a field that nobody knows",
    "unsupported_value": "a value that the API knows and this model can't do; the message lists what it can",
    "missing_credentials": "no credential was sent at all",
    "csrf_refused": "the browser sent it from a page that is not ours",
    "emergency_refused": "a sealed code that opens nothing, or a browser that may not open with it",
    "model_not_found": "no such model, or none that you may use",
}


def _finer_codes() -> dict[str, str]:
    """Codes given where an error is raised. Raises LookupError for a new one that `FINER` has no words for."""
    pattern = re.compile(r'\bcode="([a-z_]+)"')
    known = {error.code for error in _tree(errors.ImprimaturError)}
    found = {
        code
        for path in sorted((ROOT / "gateway").rglob("*.py"))
        for code in pattern.findall(path.read_text("utf-8"))
        if code not in known
    }
    if found - FINER.keys():
        raise LookupError(
            f"docs/gen.py: say in FINER what these error codes mean: {', '.join(sorted(found - FINER.keys()))}"
        )
    return {code: FINER[code] for code in found}


def _tree(error: type[errors.ImprimaturError]) -> Iterator[type[errors.ImprimaturError]]:
    yield error
    for child in error.__subclasses__():
        if child.__module__.startswith("gateway."):
            yield from _tree(child)


def vocabulary_page() -> str:
    """Roles, permissions, effects, conclusions, events, severities and the gateway's own reason codes."""
    lines = [MADE, "# Vocabulary", "", *(vocabulary.__doc__ or "").strip().splitlines(), ""]
    for title, words in (
        ("Roles", vocabulary.Role),
        ("Permissions", vocabulary.Permission),
        ("Effects", vocabulary.Effect),
        ("Conclusions", vocabulary.Conclusion),
        ("Events", vocabulary.Event),
        ("Events of the log's own work", LogEvent),
        ("Severities", vocabulary.Severity),
        ("Reason codes of the gateway", vocabulary.Code),
        ("Reason codes of the log's own work", LogReason),
    ):
        about = " ".join((words.__doc__ or "").split())
        lines += [f"## {title}", "", about, "", *(f"- `{word.value}`" for word in words), ""]
    families = re.match(r"\(([a-z|]+)\)", vocabulary.REASON_CODE.pattern)
    if families is None:
        raise ValueError("the pattern of reason codes no longer begins with its families")
    lines += [
        "## Families of reason codes",
        "",
        "Policy and the rule files add codes in these families:",
        "",
        *(f"- `{family}.`" for family in families[1].split("|")),
        "",
        "## Reason codes of the shipped rules",
        "",
        *(f"- `{code}`" for code in sorted(_policy_codes())),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _policy_codes() -> set[str]:
    """Codes that stand in the shipped Rego, and one for each screening rule and lexicon."""
    found: set[str] = set()
    for path in sorted((ROOT / "policies").rglob("*.rego")):
        if not path.name.endswith("_test.rego"):
            texts = re.findall(r'"([a-z-]+\.[a-z0-9-]+)"', path.read_text("utf-8"))
            found |= {text for text in texts if vocabulary.is_reason_code(text)}
    for folder in ("dlp", "content"):
        for path in sorted((ROOT / "policies" / folder).glob("*.yaml")):
            rule = yaml.safe_load(path.read_text("utf-8"))
            named = rule.get("type") or rule.get("id") or rule.get("category") or path.stem
            found.add(named if "." in named else f"{folder}.{named}")
    return found - {code.value for code in vocabulary.Code}


def commands_page() -> str:
    """`make` targets, and every command with its options, as the programs say it themselves."""
    lines = [MADE, "# Commands", "", "## make", "", "| target | what it does |", "|---|---|"]
    lines += [f"| `make {name}` | {_cell(about)} |" for name, about in make_targets().items()]
    for program, app in (("imprimatur", imprimatur_command), ("python -m audit", audit_command)):
        command = typer.main.get_command(app)
        lines += ["", f"## {program}", "", _plain(command.help), "", *_command(program, command)]
    parser = model_server_command()
    lines += ["", f"## {parser.prog}", "", _plain(f"{parser.description} {parser.epilog}").replace("<", "&lt;"), ""]
    lines += _argparse_command(parser, _first_sentence(model_server_main.__doc__))
    return "\n".join(lines).rstrip() + "\n"


def make_targets() -> dict[str, str]:
    """The targets that `make help` prints: `name: … ## what it does`."""
    makefile = ROOT / "Makefile"
    pattern = re.compile(r"^([a-z][a-z-]*):[^#\n]*## (.+)$", re.MULTILINE)
    return dict(pattern.findall(makefile.read_text("utf-8")))


def _command(name: str, command: Any) -> Iterator[str]:
    # By shape, not by class: typer brings a click of its own, whose classes are not the ones that `click` exports.
    if hasattr(command, "commands"):
        for sub in sorted(command.commands):
            yield from _command(f"{name} {sub}", command.commands[sub])
        if not command.invoke_without_command:
            return
    arguments = [(p.metavar or p.name).strip("{}").upper() for p in command.params if p.param_type_name == "argument"]
    yield from (f"### `{' '.join((name, *arguments))}`", "", _plain(command.help), "")
    options = [p for p in command.params if p.param_type_name == "option" and not p.hidden and p.name != "help"]
    for option in options:
        needed = " (needed)" if option.required else ""
        yield f"- `{', '.join((*option.opts, *option.secondary_opts))}`: {_plain(option.help)}{needed}"
    if options:
        yield ""


def _argparse_command(parser: argparse.ArgumentParser, about: str) -> Iterator[str]:
    """The parser's own options, then its commands. argparse has no public way to ask for them."""
    inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    own = [action for action in parser._actions if action.dest != "help" and action not in inner]
    arguments = [action.dest.upper() for action in own if not action.option_strings]
    yield from (f"### `{' '.join((parser.prog, *arguments))}`", "", about, "")
    options = [action for action in own if action.option_strings]
    for option in options:
        needed = " (needed)" if option.required else ""
        yield f"- `{', '.join(option.option_strings)}`: {_plain(option.help).replace('%%', '%')}{needed}"
    if options:
        yield ""
    for commands in inner:
        helps = {choice.dest: _plain(choice.help) for choice in commands._choices_actions}
        for name in sorted(commands.choices):
            yield from _argparse_command(commands.choices[name], f"{helps[name][:1].upper()}{helps[name][1:]}.")


def _plain(text: str | None) -> str:
    return " ".join((text or "").replace("\b", "").split())


def _first_sentence(doc: str | None) -> str:
    return re.split(r"(?<=[.!?])\s", " ".join((doc or "").split()), maxsplit=1)[0]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


GENERATED: Final[dict[str, Callable[[], str]]] = {
    "settings.md": settings_page,
    "errors.md": errors_page,
    "vocabulary.md": vocabulary_page,
    "commands.md": commands_page,
    "policy-packs.md": packs.page,
    "figures.md": figures.page,
}


def main() -> int:
    stale = [name for name, make in GENERATED.items() if _current(name) != make()]
    if "--check" in sys.argv[1:]:
        for name in stale:
            print(f"docs/reference/{name} is out of date: run python -m docs.gen")
        return 1 if stale else 0
    for name in stale:
        (PAGES / name).write_text(GENERATED[name](), "utf-8")
        print(f"wrote docs/reference/{name}")
    return 0


def _current(name: str) -> str:
    path = PAGES / name
    return path.read_text("utf-8") if path.exists() else ""


if __name__ == "__main__":
    raise SystemExit(main())
