"""`imprimatur policy packs` and `init`: rules to begin with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from gateway.packs import BuildFailed, PackUnknown, build, find, packs, shipped_rules
from gateway.policy.bundle import Bundle, BundleRefused


def add_to(policy: typer.Typer, tried: Callable[[Bundle], object]) -> None:
    """Add the commands. `tried` ends the program with 1 when the rules would not load."""

    @policy.command("packs")
    def list_packs(
        as_json: Annotated[
            bool, typer.Option("--json", help="Print one JSON object instead of lines for people.")
        ] = False,
    ) -> None:
        """List the packs: for whom each is, what may be added to it, what to set beside it."""
        if as_json:
            told = [pack.model_dump(mode="json") for pack in packs()]
            typer.echo(json.dumps({"object": "list", "data": told}, indent=2, ensure_ascii=False))
            return
        for pack in packs():
            typer.secho(f"{pack.name}", bold=True)
            typer.echo(f"  {pack.for_whom}")
            for name, option in pack.options.items():
                typer.echo(f"  --with {name}: {option.what}")
            for setting in pack.settings:
                typer.echo(f"  set beside it: {setting}")

    @policy.command("init")
    def init(
        folder: Annotated[Path, typer.Argument(help="Folder to write; it must not be there yet, or be empty.")],
        pack: Annotated[str, typer.Option(help="Which: imprimatur policy packs lists them.")] = "baseline",
        options: Annotated[
            list[str] | None, typer.Option("--with", help="An option of the pack; may be repeated.")
        ] = None,
        shipped: Annotated[
            Path | None, typer.Option("--from", help="The rules to put it upon; left out: those of this program.")
        ] = None,
    ) -> None:
        """Write a complete folder of rules from a pack: it loads, and its tests stand beside it."""
        if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
            _stop(f"{folder}: is there already, and is left as it is")
        try:
            found = find(pack)
            made = build(shipped_rules(shipped), found, tuple(dict.fromkeys(options or ())))
        except (PackUnknown, BuildFailed) as error:
            _stop(str(error))
        except BundleRefused as refused:
            _stop("\n".join(map(str, refused.problems)))
        tried(made)
        for path, body in made.files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(body)
        typer.echo(f"{folder}: {len(made.files)} files, the pack {found.name}")
        for setting in found.settings:
            typer.echo(f"set beside it: {setting}")
        typer.echo(f"Next: imprimatur policy test {folder} --floor 100")


def _stop(message: str) -> NoReturn:
    typer.secho(message, fg="red", err=True)
    raise typer.Exit(2)
