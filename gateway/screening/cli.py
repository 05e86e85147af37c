"""`imprimatur dlp`: lists for exact data match, and a look at the rules before they are in force."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from gateway.screening.entities.errors import NamesUnavailable
from gateway.screening.entities.model import absent, shared_model
from gateway.screening.entities.scan import read, sound
from gateway.screening.exact.key import ListKey
from gateway.screening.exact.lists import MAX_COLUMNS, NAME, ListError, ListShelf, build, write
from gateway.screening.findings import MIN_SECRET_BYTES
from gateway.screening.rules.doctor import about
from gateway.screening.rules.errors import RuleError
from gateway.screening.rules.ruleset import load
from gateway.screening.text.normalise import normalise
from gateway.screening.text.scan import Budget, OverBudget

Places = Callable[[Path | None], tuple[Path, Path, Path]]
"""From the settings file: the rules' folder, the lists' folder, the file of the screening secret."""
Config = Annotated[Path | None, typer.Option("--config", "-c", help="YAML file with settings.")]
MAX_FIELD_CHARS = 10_000


def make_app(places: Places) -> typer.Typer:
    """The sub-commands. `places` reads the settings, which only the caller knows."""
    app = typer.Typer(no_args_is_help=True, help="Rules for sensitive data, and the company's own lists.")

    @app.command("import")
    def import_list(
        source: Annotated[Path, typer.Argument(help="CSV file, UTF-8, with a line of column names.")],
        columns: Annotated[str, typer.Option(help="Which columns to keep HMACs of, with commas between.")],
        name: Annotated[str, typer.Option("--list", help="Name of the list; the file's name where not given.")] = "",
        delimiter: Annotated[str, typer.Option(help="Sign between two columns.")] = ",",
        config: Config = None,
    ) -> None:
        """Make a list to match prompts against. Keeps HMACs only: no value is on disk afterwards, none is printed.

        A list of the same name is replaced. A running gateway takes the new one by itself.
        """
        _, lists, secret = places(config)
        key = _key(secret)
        name = name or source.stem.lower().replace("_", "-")
        if not NAME.fullmatch(name):
            _stop("--list: expected small letters, digits and hyphens, such as customers")
        wanted = [column.strip() for column in columns.split(",") if column.strip()]
        if not 1 <= len(wanted) <= MAX_COLUMNS or len(set(wanted)) != len(wanted):
            _stop(f"--columns: expected one to {MAX_COLUMNS} different names")
        shelf = ListShelf(lists, key)
        try:
            body, kept = build(key, _rows(source, wanted, delimiter), wanted)
            write(shelf.path(name), key, wanted, body, kept.rows)
        except ListError as error:
            _stop(f"{source}: {error}")
        except OSError as error:
            _stop(f"{error.filename or shelf.path(name)}: {error.strerror}")
        typer.echo(f"{shelf.path(name)}: {kept.rows:,} rows, {len(wanted)} columns")
        typer.echo(f"kept as HMACs: {kept.values:,} values, {kept.pairs:,} pairs of values of one row")
        if kept.too_short:
            typer.echo(f"left out: {kept.too_short:,} values of fewer than three letters or four signs with a digit")
        typer.echo(f"The file {source} still holds the values: delete it, or keep it where it is safe.")

    @app.command("lists")
    def show_lists(config: Config = None) -> None:
        """The lists that are there, and the rules that wait for one."""
        rules, lists, secret = places(config)
        shelf = ListShelf(lists, _key(secret))
        broken = 0
        for path in shelf.files():
            try:
                known = shelf.open(path.stem)
            except ListError as error:
                typer.secho(str(error), fg="red", err=True)
                broken += 1
            else:
                typer.echo(f"{known.name}: {known.rows:,} rows of {', '.join(known.columns)}")
        try:
            for rule in load(rules, shelf).waiting:
                typer.echo(f"waiting for a list: dlp/{rule}.yaml")
        except RuleError as error:
            _stop(str(error))
        raise typer.Exit(1 if broken else 0)

    @app.command("check")
    def check(
        text: Annotated[
            str, typer.Argument(help="A text to look at; - reads it from standard input. Without it, rules only.")
        ] = "",
        config: Config = None,
    ) -> None:
        """Load every rule with its own tests, and say what they find in a text. Nothing is recorded."""
        rules, lists, secret = places(config)
        try:
            loaded = load(rules, ListShelf(lists, _key(secret)), prove_names=True)
        except RuleError as error:
            _stop(str(error))
        for rule_id in loaded.without_model:
            typer.secho(about(rule_id, loaded.rules[f"dlp.{rule_id}"].mode, absent()), fg="yellow", err=True)
        untried = f", {len(loaded.without_model)} of them not tried" if loaded.without_model else ""
        typer.echo(f"{len(loaded.rules)} rules load and pass their own tests{untried}: revision {loaded.revision}")
        text = sys.stdin.read() if text == "-" else text
        if not text:
            return
        try:
            plain, budget = normalise(text), Budget()
            hits = loaded.scanners["prompt"].scan(plain, budget)
            wanted = loaded.names["prompt"].wanted(plain.text, budget)
            if wanted.stretches:
                model = shared_model()
                hits += read(sound(wanted.rules, model), plain, wanted.stretches, model)
        except OverBudget:
            _stop("too much to look at: a gateway would answer screening.unavailable")
        except NamesUnavailable as error:
            _stop(f"a gateway would answer screening.unavailable: {error}")
        for hit in hits:
            hidden = "" if hit.maskable else ", can't be masked"
            typer.echo(f"{hit.start}-{hit.end} dlp.{hit.detector.rule_id}: {hit.detector.effect}{hidden}")
        if not hits:
            typer.echo("nothing found")

    return app


def _rows(source: Path, wanted: list[str], delimiter: str) -> Iterator[Mapping[str, str]]:
    if len(delimiter) != 1:
        raise ListError("--delimiter: expected one sign")
    csv.field_size_limit(MAX_FIELD_CHARS)
    with source.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, delimiter=delimiter)
        try:
            header = reader.fieldnames or []
            missing = [column for column in wanted if column not in header]
            if missing:
                # Only how many there are: a file without a header would show its first customer here.
                raise ListError(f"no column {', '.join(missing)} among the {len(header)} of the first line")
            for row in reader:
                yield {column: row[column] or "" for column in wanted}
        except csv.Error:
            raise ListError(f"line {reader.line_num}: not CSV, or a field longer than {MAX_FIELD_CHARS}") from None
        except UnicodeDecodeError:
            raise ListError(f"after line {reader.line_num}: not UTF-8") from None


def _key(secret: Path) -> ListKey:
    try:
        raw = secret.read_bytes().rstrip(b"\n")
    except OSError as error:
        _stop(f"{secret}: {error.strerror}. Make it with: imprimatur keys init")
    if len(raw) < MIN_SECRET_BYTES:
        _stop(f"{secret}: too short: expected {MIN_SECRET_BYTES} bytes, got {len(raw)}")
    return ListKey(raw)


def _stop(message: str) -> NoReturn:
    typer.secho(message, fg="red", err=True)
    raise typer.Exit(1)
