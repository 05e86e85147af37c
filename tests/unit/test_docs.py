"""The documentation says what the code does: generated pages are current, named things exist, links lead somewhere."""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from fastapi.routing import APIRoute
from pydantic import BaseModel

import gateway.pipeline
from audit.cli import app as audit_command
from docs import gen
from gateway import errors, vocabulary
from gateway.api import organization
from gateway.cli import app as imprimatur_command
from gateway.observe.metrics import Metrics
from gateway.settings import Settings
from model_server.__main__ import command_line as model_server_command
from model_server.observe import Metrics as ModelServerMetrics

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
PAPERS = [*PAGES, ROOT / "SECURITY.md", ROOT / "CHANGELOG.md", *ROOT.glob("README.md"), *ROOT.glob("helm/*/README.md")]
TEXT = {path: path.read_text("utf-8") for path in PAPERS}
NAV = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))


def _names(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("name", gen.GENERATED)
def test_a_page_made_from_the_code_is_current(name: str) -> None:
    assert (gen.PAGES / name).read_text("utf-8") == gen.GENERATED[name](), "run python -m docs.gen"


def _settings(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _settings(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def test_every_setting_is_documented_with_what_it_does() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| (.+?) \| (.+) \|$", TEXT[gen.PAGES / "settings.md"], re.MULTILINE)
    documented = {name: about for name, _, about in rows}
    missing = [name for name in _settings(Settings) if not documented.get(name, "").strip()]
    assert missing == []


def _all_errors(error: type[errors.ImprimaturError]) -> Iterator[type[errors.ImprimaturError]]:
    yield error
    for child in error.__subclasses__():
        if child.__module__.startswith("gateway."):  # a test elsewhere may have made one of its own
            yield from _all_errors(child)


def test_every_error_is_documented_with_its_status() -> None:
    page = TEXT[gen.PAGES / "errors.md"]
    missing = [e.code for e in _all_errors(errors.ImprimaturError) if f"| `{e.code}` | {e.status} |" not in page]
    assert missing == []


def test_every_word_of_the_vocabulary_is_documented() -> None:
    page = TEXT[gen.PAGES / "vocabulary.md"]
    closed = (vocabulary.Role, vocabulary.Permission, vocabulary.Effect, vocabulary.Conclusion, vocabulary.Event)
    words = [word.value for enum in (*closed, vocabulary.Severity, vocabulary.Code) for word in enum]
    assert [word for word in words if f"`{word}`" not in page] == []


def _commands(name: str, command: Any) -> Iterator[str]:
    if hasattr(command, "commands"):
        for sub, inner in command.commands.items():
            yield from _commands(f"{name} {sub}", inner)
    if not hasattr(command, "commands") or command.invoke_without_command:
        yield name


COMMANDS = {
    *_commands("imprimatur", typer.main.get_command(imprimatur_command)),
    *_commands("python -m audit", typer.main.get_command(audit_command)),
    "imprimatur-model doctor",
    "imprimatur-model manifest",
}


def test_every_command_and_make_target_is_documented() -> None:
    page = TEXT[gen.PAGES / "commands.md"]
    assert [command for command in COMMANDS if f"`{command}" not in page] == []
    targets = re.findall(r"^([a-z][a-z-]*):(?!=)", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert len(targets) > 5
    assert [target for target in targets if f"`make {target}`" not in page] == []


def _said(*arguments: str) -> str:
    """What `imprimatur-model` itself says of its options and commands."""
    said = io.StringIO()
    with pytest.raises(SystemExit), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        model_server_command().parse_args(arguments)
    return said.getvalue()


MODEL_SERVER_COMMANDS = {"": "### `imprimatur-model`\n", "doctor": "### `imprimatur-model doctor`\n"}


@pytest.mark.parametrize("command", MODEL_SERVER_COMMANDS)
def test_every_option_of_the_model_server_is_documented_at_its_command(command: str) -> None:
    part = TEXT[gen.PAGES / "commands.md"].split(MODEL_SERVER_COMMANDS[command])[1].split("\n###")[0]
    options = set(re.findall(r"^  (--[a-z-]+)", _said(*command.split(), "--help"), re.MULTILINE))
    assert len(options) > 5
    assert options == set(re.findall(r"^- `(--[a-z-]+)`: .", part, re.MULTILINE))


def test_every_command_of_the_model_server_is_known_here() -> None:
    (choices,) = re.findall(r"\(choose from (.*)\)", _said("nonsense"))
    commands = {f"imprimatur-model {name}" for name in re.findall(r"[a-z-]+", choices)}
    assert commands == {command for command in COMMANDS if command.startswith("imprimatur-model ")}


@pytest.mark.parametrize("path", PAPERS, ids=_names)
def test_options_of_the_model_server_that_a_page_names_exist(path: Path) -> None:
    known = TEXT[gen.PAGES / "commands.md"]
    named = re.findall(r"imprimatur-model[^`\n]*?(--[a-z-]+)", TEXT[path])
    assert [option for option in named if f"- `{option}`:" not in known] == []


@pytest.mark.parametrize("path", PAPERS, ids=_names)
def test_commands_that_a_page_tells_you_to_run_exist(path: Path) -> None:
    text = TEXT[path]
    targets = gen.make_targets()
    unknown = [
        f"make {name}" for name in re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE) if name not in targets
    ]
    for program in ("imprimatur", "python -m audit", "imprimatur-model"):
        for said in re.findall(rf"(?:^|`) *{program} ([a-z][a-z-]*(?: [a-z-]+)?)", text, re.MULTILINE):
            words = said.split()
            is_group = any(command.startswith(f"{program} {said} ") for command in COMMANDS)
            if f"{program} {words[0]}" not in COMMANDS and f"{program} {said}" not in COMMANDS and not is_group:
                unknown.append(f"{program} {said}")
    for module in re.findall(r"python -m ([a-z_.]+)", text):
        if find_spec(module.rstrip(".")) is None:
            unknown.append(f"python -m {module}")
    assert unknown == []


AUDIT_SOURCES = "".join(path.read_text("utf-8") for path in sorted((ROOT / "audit").rglob("*.py")))


@pytest.mark.parametrize("path", PAPERS, ids=_names)
def test_settings_and_files_that_a_page_names_exist(path: Path) -> None:
    text = re.sub(r"```.*?```", "", TEXT[path], flags=re.DOTALL)
    known = set(_settings(Settings)) | {f"{section}.*" for section in Settings.model_fields}
    # Settings of one kind among several stand on the generated page only; log lines and tables in the log's sources.
    known |= set(re.findall(r"`([^`]+)`", gen.settings_page()))
    sections = "|".join(Settings.model_fields)
    wrong = [
        name
        for name in re.findall(rf"`((?:{sections})\.[a-z_.]+)`", text)
        # A reason code or a rule file may begin with the same word; settings have no dash and no further dot.
        if name not in known
        and f'"{name}"' not in AUDIT_SOURCES
        and not vocabulary.is_reason_code(name)
        and not name.endswith((".py", ".md", ".yaml", ".vkey"))
    ]
    places = r"`((?:gateway|audit|model_server|policies|helm|docs|tests|bench|demo)/[A-Za-z0-9_./-]+)`"
    wrong += [name for name in re.findall(places, text) if not (ROOT / name).exists()]
    assert wrong == []


def test_metrics_that_a_page_names_exist() -> None:
    shown = Metrics().render().decode() + ModelServerMetrics().exposition().decode()
    known = set(re.findall(r"^# TYPE (\S+)", shown, re.MULTILINE))
    known |= {f"{name}_total" for name in known}
    named = {name for text in TEXT.values() for name in re.findall(r"\b(imprimatur_[a-z_]+)", text)}
    assert named
    assert named - known == set()


@pytest.mark.parametrize("path", PAPERS, ids=_names)
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"```.*?```", "", TEXT[path], flags=re.DOTALL)
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        file, _, anchor = target.partition("#")
        if target.startswith(("http://", "https://")):
            continue
        there = (path.parent / file).resolve() if file else path
        if not there.exists() or (
            anchor and f"# {anchor.replace('-', ' ')}" not in re.sub(r"[^a-z0-9#\n]+", " ", there.read_text().lower())
        ):
            broken.append(target)
    assert broken == []


def _nav(node: Any) -> Iterator[str]:
    match node:
        case str():
            yield node
        case list():
            for item in node:
                yield from _nav(item)
        case dict():
            for item in node.values():
                yield from _nav(item)


def test_every_page_is_in_the_navigation() -> None:
    assert {str(path.relative_to(DOCS)) for path in PAGES} == set(_nav(NAV["nav"]))


class _Loads(HTMLParser):
    """What a browser would fetch by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("script", "img", "iframe", "source"):
            self.found.append(given.get("src") or "")
        if tag == "link" and given.get("rel") != "canonical":
            self.found.append(given.get("href") or "")


def test_the_site_builds_strictly_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) >= len(PAGES)
    elsewhere = set()
    for page in pages:
        parser = _Loads()
        parser.feed(page.read_text("utf-8"))
        elsewhere |= {address for address in parser.found if re.match(r"(?:https?:)?//", address)}
    styles = "".join(path.read_text("utf-8") for path in (tmp_path / "site").rglob("*.css"))
    elsewhere |= set(re.findall(r"(?:url\(|@import )['\"]?((?:https?:)?//[^'\")]+)", styles))
    assert elsewhere == set()


def test_the_settings_shown_for_sign_in_are_ones_that_the_gateway_takes() -> None:
    (shown,) = re.findall(r"```yaml\n(.*?)```", TEXT[DOCS / "how-to" / "configure-sso.md"], re.DOTALL)
    settings = Settings.model_validate(yaml.safe_load(shown))
    assert settings.identity.providers[0].profile.mfa_amr_any_of == ("mfa",)


def test_the_life_of_a_request_has_the_steps_of_the_pipeline() -> None:
    told = re.findall(r"^\| (\d+)\. ([a-z ]+?) \|", TEXT[DOCS / "explanation" / "life-of-a-request.md"], re.MULTILINE)
    written = re.findall(r"^ ?(\d+)\. ([a-z]+)", gateway.pipeline.__doc__ or "", re.MULTILINE)
    assert [int(number) for number, _ in told] == list(range(1, 11))
    assert [(number, name.split()[0]) for number, name in told] == written


def test_every_failure_is_in_the_table_that_says_which_way_it_falls() -> None:
    table = TEXT[DOCS / "explanation" / "failures.md"]
    told = set(re.findall(r"(\d{3}) `([a-z_]+)`", table))
    kinds = [errors.Failure.__subclasses__(), [errors.CreditsEmpty, errors.RateLimited]]
    assert {(str(e.status), e.code) for kind in kinds for e in kind} <= told
    every = {(str(e.status), e.code) for e in _all_errors(errors.ImprimaturError)}
    assert told <= every


def test_what_differs_from_openai_s_admin_api_is_told_as_it_is() -> None:
    page = TEXT[gen.PAGES / "images-api.md"].split("## What was done")[1].split("\n## ")[0]
    (types,) = re.findall(r"`type` is OpenAI's where it has one: (.*)\.\n", page)
    assert set(re.findall(r"`([^`]+)`", types)) == set(organization.OPENAI_TYPES.values())
    assert f"1 to {organization.MAX_LIMIT}, usually {organization.DEFAULT_LIMIT}" in page
    assert set(re.findall(r"`(/v1/organization/[a-z_]+)`|`GET (/v1/organization/[a-z_]+)`", page)) == {
        ("", route.path) for route in organization.router.routes if isinstance(route, APIRoute)
    }


DECISIONS = sorted(DOCS.glob("decisions/[0-9]*.md"))


def test_decisions_are_numbered_without_a_gap() -> None:
    assert [int(path.name[:4]) for path in DECISIONS] == list(range(1, len(DECISIONS) + 1))


@pytest.mark.parametrize("path", DECISIONS, ids=_names)
def test_a_decision_has_the_parts_of_the_template(path: Path) -> None:
    headings = re.findall(r"^## .+", TEXT[DOCS / "decisions" / "template.md"], re.MULTILINE)
    assert re.findall(r"^## .+", TEXT[path], re.MULTILINE) == headings
    decision = TEXT[path].split("## Decision")[1].split("## What follows")[0]
    assert decision.strip().startswith("> ")
    assert TEXT[path].startswith(f"# {path.name[:4]} ")


def test_code_that_cites_a_decision_cites_one_that_is_there() -> None:
    numbers = {path.name[:4] for path in DECISIONS}
    cited = {
        (str(path.relative_to(ROOT)), number)
        for room in ("gateway", "audit", "model_server", "policies", "demo")
        for path in (ROOT / room).rglob("*")
        if path.suffix in (".py", ".rego", ".yaml", ".md") and path.is_file()
        for number in re.findall(r"docs/decisions/(\d{4})", path.read_text("utf-8"))
    }
    assert cited
    assert {(where, number) for where, number in cited if number not in numbers} == set()


def test_the_changelog_has_a_place_for_what_comes_next() -> None:
    assert TEXT[ROOT / "CHANGELOG.md"].count("\n## Unreleased\n") == 1
