"""`imprimatur policy`: look at rules before they are put in place, and at bundles before they are believed."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from gateway import cli_packs, cli_replay, cli_rules
from gateway.policy import style, syntax
from gateway.policy.bundle import MANIFEST, Bundle, BundleRefused, Rules, read_bundle
from gateway.policy.rego import Rego
from gateway.policy.signing import SigningKey, make_key, verify
from gateway.policy.style import Check, Level, Remark
from gateway.policy.tarball import SIGNATURES, opa_files, pack, unpack
from gateway.policy.testing import RegoTests
from gateway.policy.trial import try_out
from gateway.settings import PolicySettings

TRIAL_DECISION_SECONDS = 5.0
"""An author's machine may be busy; how fast rules must be is judged by the gateway that takes them."""
PAGE = Path("docs/reference/policy-input.md")

Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="YAML file with settings; the environment (IMPRIMATUR_…) wins over it."),
]
Folder = Annotated[Path, typer.Argument(help="Folder of rules, laid out as an OPA bundle.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of lines for people.")]
SettingsOf = Callable[[Path | None], PolicySettings]


def add_to(app: typer.Typer, settings_of: SettingsOf) -> None:
    """Add the commands. Each ends with 0 when all is well, 1 when rules or a bundle are not, 2 when it can't look."""
    policy = typer.Typer(no_args_is_help=True, help="Rules: lint, test, explain, replay, publish, roll back.")
    app.add_typer(policy, name="policy")

    @policy.command("lint")
    def lint(
        folder: Folder = Path("policies"),
        as_json: AsJson = False,
        strict: Annotated[bool, typer.Option("--strict", help="Warnings fail too.")] = False,
        explained: Annotated[
            list[Path] | None,
            typer.Option(help=f"Page that explains reason codes; may be repeated. Without it: {PAGE}, if it is there."),
        ] = None,
    ) -> None:
        """Try the rules out as the gateway does, and look for what a reviewer would send back."""
        remarks = _lint(_bundle(folder), _explained(explained))
        bad = [r for r in remarks if strict or r.level is Level.ERROR]
        if as_json:
            _print({"ok": not bad, "remarks": [_remark(r) for r in remarks]})
        else:
            for remark in remarks:
                typer.secho(f"{remark.level}: {remark}", fg="red" if remark in bad else "yellow")
            typer.echo(f"{len(remarks)} remarks, {len(bad)} of them to mend." if remarks else "Nothing to remark.")
        raise typer.Exit(1 if bad else 0)

    @policy.command("test")
    def test(
        folder: Folder = Path("policies"),
        as_json: AsJson = False,
        floor: Annotated[int, typer.Option(min=0, max=100, help="Per cent of lines that the tests must run.")] = 0,
    ) -> None:
        """Run the tests that stand beside the rules, on the engine that decides, and tell which lines they ran."""
        bundle = _bundle(folder)
        rules = _tried(bundle)
        modules = {path: text.decode() for path, text in bundle.files.items() if path.endswith(".rego")}
        tests = RegoTests(Rego(modules, rules.data_json))
        results = tests.run_all()
        lines = RegoTests(Rego(modules, rules.data_json)).coverage()
        failed = [result for result in results if not result.passed]
        short = {path: found for path, found in lines.items() if found.share * 100 < floor}
        if as_json:
            told = [
                {"name": r.test.name, "path": r.test.path, "line": r.test.line, "passed": r.passed, "error": r.error}
                for r in results
            ]
            shares = {p: {"share": c.share, "not_covered": sorted(c.not_covered)} for p, c in sorted(lines.items())}
            _print({"ok": bool(results) and not failed and not short, "tests": told, "coverage": shares})
        else:
            for result in failed:
                where = f"{result.test.path}:{result.test.line}"
                typer.secho(f"{where}: {result.test.name} failed. {result.error}".rstrip(), fg="red")
            for path, found in sorted(short.items()):
                missed = ", ".join(map(str, sorted(found.not_covered)))
                typer.secho(f"{path}: {found.share:.0%} of lines ran, not {missed}", fg="red")
            typer.echo(f"{len(results)} tests, {len(failed)} failed; {len(lines)} files, {len(short)} below {floor} %.")
            if not results:
                typer.secho("There are no tests: rules that nobody tested are not known to hold.", fg="red", err=True)
        raise typer.Exit(1 if failed or short or not results else 0)

    @policy.command("bundle")
    def bundle(
        output: Annotated[Path, typer.Argument(help="File to write, name.tar.gz.")],
        folder: Folder = Path("policies"),
        config: Config = None,
    ) -> None:
        """Try the rules out, sign them with the key of the settings, and write the bundle that OPA servers take."""
        found = _bundle(folder)
        settings = settings_of(config).bundles
        if settings.signing_key_path is None:
            _stop(
                "policy.bundles.signing_key_path: expected the file of a private key. Make one: imprimatur policy keys"
            )
        try:
            key = SigningKey.read(settings.signing_key_path, settings.key_id)
        except (OSError, ValueError) as error:
            _stop(str(error))
        rules = _tried(found)
        packed = opa_files(rules, found.files[MANIFEST])
        packed[SIGNATURES] = key.sign(packed, datetime.now(UTC))
        output.write_bytes(pack(packed))
        typer.echo(f"{output}: revision {rules.revision}, signed by {key.key_id}")

    @policy.command("verify")
    def verify_bundle(
        file: Annotated[Path, typer.Argument(help="The .tar.gz.")],
        key: Annotated[list[str], typer.Option(help="ID=FILE: a public key in PEM and its id; may be repeated.")],
        max_age_days: Annotated[float | None, typer.Option(help="Refuse one that was signed longer ago.")] = None,
        not_before: Annotated[
            datetime | None, typer.Option(help="Refuse one that was signed earlier: when the one in force was.")
        ] = None,
    ) -> None:
        """Say whose signature a bundle bears, over which revision, or why it must not be believed."""
        try:
            keys = {name: Path(path).read_bytes() for name, _, path in (k.partition("=") for k in key)}
            packed = file.read_bytes()
        except OSError as error:
            _stop(f"{error.filename}: {error.strerror}")
        try:
            signed = verify(
                unpack(packed),
                keys,
                now=datetime.now(UTC),
                max_age=None if max_age_days is None else timedelta(days=max_age_days),
                not_before=None if not_before is None else not_before.replace(tzinfo=UTC),
            )
        except BundleRefused as refused:
            _refuse(refused)
        typer.echo(f"{file}: revision {signed.revision}, signed by {signed.key_id} at {signed.signed_at.isoformat()}")

    @policy.command("keys")
    def keys(config: Config = None) -> None:
        """Make the signing key and the OPA servers' token where the settings name files that are not there (mode 0600),
        and print the public key for OPA's configuration. What is there stays."""
        settings = settings_of(config).bundles
        if settings.signing_key_path is None or settings.token_path is None:
            _stop("policy.bundles: signing_key_path and token_path must say where the files shall be.")
        for path, make in ((settings.signing_key_path, make_key), (settings.token_path, _token)):
            typer.echo(f"{path}: {'kept' if path.exists() else 'made'}", err=True)
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as made:
                    made.write(make())
        try:
            key = SigningKey.read(settings.signing_key_path, settings.key_id)
        except (OSError, ValueError) as error:
            _stop(str(error))
        typer.echo(f"key id {key.key_id}, {key.algorithm}", err=True)
        typer.echo(key.public_pem.decode(), nl=False)

    cli_packs.add_to(policy, _tried)
    cli_replay.add_explain(policy)
    cli_replay.add_to(policy)
    cli_rules.add_to(policy)


def _lint(bundle: Bundle, explained: str | None) -> list[Remark]:
    try:
        _try(bundle)
    except BundleRefused as refused:
        # Files that did not survive their trial are not parsed here: that is what the trial's own process is for.
        return [Remark(check=Check.LOAD, problem=problem) for problem in refused.problems]
    engine = Rego({path: text.decode() for path, text in bundle.files.items() if path.endswith(".rego")})
    return style.check([syntax.module(entry) for entry in engine.syntax()], explained)


def _try(bundle: Bundle) -> Rules:
    return asyncio.run(try_out(bundle, decision_seconds=TRIAL_DECISION_SECONDS))


def _tried(bundle: Bundle) -> Rules:
    try:
        return _try(bundle)
    except BundleRefused as refused:
        _refuse(refused)


def _bundle(folder: Path) -> Bundle:
    if not folder.is_dir():
        _stop(f"{folder}: expected a folder of rules")
    try:
        return read_bundle(folder)
    except BundleRefused as refused:
        _refuse(refused)


def _explained(pages: list[Path] | None) -> str | None:
    if not pages:
        return PAGE.read_text() if PAGE.is_file() else None
    try:
        return "\n".join(page.read_text() for page in pages)
    except OSError as error:
        _stop(f"{error.filename}: {error.strerror}")


def _remark(remark: Remark) -> dict[str, Any]:
    problem = remark.problem
    return {
        "check": remark.check.value,
        "level": remark.level.value,
        "path": problem.path,
        "line": problem.line,
        "column": problem.column,
        "message": problem.message,
    }


def _token() -> bytes:
    return secrets.token_urlsafe(48).encode()


def _print(value: object) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _refuse(refused: BundleRefused) -> NoReturn:
    for problem in refused.problems:
        typer.secho(str(problem), fg="red", err=True)
    raise typer.Exit(1)


def _stop(message: str) -> NoReturn:
    typer.secho(message, fg="red", err=True)
    raise typer.Exit(2)
