"""`imprimatur provenance`: a first set of certificates, what is in force, checks of files, pictures to block."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from gateway.cli_provenance_ask import ask
from gateway.prints import windows
from gateway.prints.block_file import add
from gateway.prints.fingerprint import turned
from gateway.provenance.certificates import CertificateRefused
from gateway.provenance.check import MAX_BYTES, PROBLEMS, Checked, Checker, Known, Lookups, Verdict
from gateway.provenance.opening import Provenance, make_missing, open_provenance
from gateway.settings import ProvenanceSettings

Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="YAML file with settings; the environment (IMPRIMATUR_…) wins over it."),
]
File = Annotated[Path, typer.Argument(help="A PNG, JPEG or WebP picture.")]
SettingsOf = Callable[[Path | None], ProvenanceSettings]


def add_to(app: typer.Typer, settings_of: SettingsOf) -> None:
    """Add the commands."""
    provenance = typer.Typer(no_args_is_help=True, help="Content Credentials, watermark, fingerprints.")
    app.add_typer(provenance, name="provenance")

    @provenance.command("init")
    def init(config: Config = None) -> None:
        """Make what is missing: a certificate set of our own, and the watermark's secret. What is there stays."""
        settings = settings_of(config)
        try:
            made = make_missing(settings, datetime.now(UTC))
        except CertificateRefused as error:
            _refuse(error)
        for path in made:
            typer.echo(f"{path}: made")
        if not made:
            typer.echo("Nothing was missing.")
        elif len(made) > 1:
            typer.secho(
                "This set is trusted by nobody but you. For a company, put its own certificates into", fg="yellow"
            )
            typer.secho("provenance.certificates and its root into provenance.trust_anchor_paths.", fg="yellow")

    @provenance.command("show")
    def show(config: Config = None) -> None:
        """Print which certificates there are, which one signs now, and how long it will."""
        opened = _open(settings_of(config))
        current = opened.signer.current()
        for certificate in sorted(opened.certificates, key=lambda c: c.valid_from, reverse=True):
            now = "signs now" if certificate is current else "         "
            until = f"{certificate.valid_from:%Y-%m-%d} to {certificate.valid_until:%Y-%m-%d}"
            typer.echo(f"{now}  {certificate.algorithm:<8}{until}  sha256:{certificate.fingerprint}")
        typer.echo(f"Anchors: {opened.anchors.count(b'BEGIN CERTIFICATE')}. Watermark secrets: {len(opened.marks)}.")
        typer.echo(f"Blocked pictures: {len(opened.blocked)}.")

    @provenance.command("check")
    def check(
        file: File,
        config: Config = None,
        server: Annotated[
            str, typer.Option(help="Ask this gateway, which knows its records, as the person of `imprimatur login`.")
        ] = "",
        token_stdin: Annotated[
            bool, typer.Option("--token-stdin", help="With --server: read the access token or API key from there.")
        ] = False,
    ) -> None:
        """Was this picture made here? Exit code 0 when a mark of ours was found, 1 when none was, 2 when we can't tell.

        Without --server the records are not asked: marks are looked for on this host, with its secrets."""
        data = _read(file)
        if server:
            ask(server, data, sys.stdin.readline().strip() if token_stdin else "")
        opened = _open(settings_of(config))
        checked = asyncio.run(opened.checker(_BLIND).check(data))
        for line in told(checked):
            typer.echo(line)
        marked = checked.watermark is not None or (checked.manifest is not None and checked.manifest.state == "trusted")
        raise typer.Exit(0 if marked else 2 if checked.problem else 1)

    @provenance.command("block")
    def block(
        file: File,
        list_path: Annotated[
            Path | None, typer.Option("--list", help="The list to add to; left out: provenance.block_list_path.")
        ] = None,
        label: Annotated[str, typer.Option(help="A word for the record: why, and not what it shows.")] = "blocked",
        config: Config = None,
    ) -> None:
        """Add the fingerprints of a picture and parts of it to a list of blocked pictures, unless the list knows it."""
        settings = settings_of(config)
        path = list_path or settings.block_list_path
        if path is None:
            _stop("Say which list: --list FILE, or set provenance.block_list_path.", 2)
        # No secret and no certificate: a fingerprint needs none, and a stranger's file is taken apart in the child.
        checker = Checker(b"", (), _BLIND, settings.check_timeout_seconds)
        pixels, problem = asyncio.run(checker.pixels(_read(file)))
        if pixels is None:
            _stop(f"{file}: {PROBLEMS[problem]}.", 2)
        laid, parts = turned(pixels), windows.listed(pixels)
        try:
            known = add(path, laid, label, parts, windows.asked(pixels))
        except ValueError as error:
            _stop(f"{path}: {error}.", 1)
        except OSError as error:
            _stop(f"{path}: {error.strerror}.", 2)
        if known is not None:
            typer.echo(f"{path}: there already, {known[1]} bits away, as {known[0]}")
            return
        typer.echo(f"{path}: added {laid[0]} and {len(parts)} windows of it")


def missing(settings: ProvenanceSettings) -> list[str]:
    """What a gateway would not start without, and what to do about it."""
    try:
        open_provenance(settings, lambda: datetime.now(UTC)).signer.current()
    except CertificateRefused as error:
        if settings.create_keys:
            return []
        return [f"provenance: {error}"]
    return []


def told(checked: Checked) -> list[str]:
    """What was found, in lines."""
    lines = []
    if checked.manifest is not None:
        manifest = checked.manifest
        lines.append(f"manifest     {manifest.state}{': ' + ', '.join(manifest.problems) if manifest.problems else ''}")
        if manifest.state == "trusted":
            lines.append(f"  signed by  {manifest.signer}; record {manifest.record_id or 'none'}; {manifest.model}")
    if checked.problem:
        lines.append(f"problem      {PROBLEMS[checked.problem]}.")
    elif checked.watermark is None:
        lines.append("watermark    none found")
    else:
        lines.append(f"watermark    {checked.watermark.handle:012x}, clear to {checked.watermark.confidence:.0%}")
    if checked.fingerprint is not None:
        lines.append(f"fingerprint  {checked.fingerprint} (quality {checked.fingerprint.quality})")
    if checked.verdict is Verdict.UNKNOWN:
        lines.append("Nothing found is no proof: marks can be lost, and other makers leave none.")
    return lines


async def _nothing(_: Any) -> Sequence[Known]:
    return ()


_BLIND = Lookups(by_record=_nothing, by_handle=_nothing, near=_nothing)


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as source:
            return source.read(MAX_BYTES + 1)
    except OSError as error:
        _stop(f"{file}: {error.strerror}.", 2)


def _stop(text: str, code: int) -> NoReturn:
    typer.secho(text, fg="red", err=True)
    raise typer.Exit(code)


def _open(settings: ProvenanceSettings) -> Provenance:
    try:
        return open_provenance(settings, lambda: datetime.now(UTC))
    except CertificateRefused as error:
        _refuse(error)


def _refuse(error: CertificateRefused) -> NoReturn:
    typer.secho(str(error), fg="red", err=True)
    raise typer.Exit(1)
