"""``python -m audit witness``: run a witness for somebody else's log."""

from __future__ import annotations

import signal
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from audit.cli.common import AsJson, errors_as_exit_codes, print_json
from audit.note import VerifierKey
from audit.witness.ledger import Ledger
from audit.witness.server import WitnessServer

app = typer.Typer(
    help="A small C2SP witness: it holds the newest checkpoint of other people's logs and cosigns what continues it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Folder = Annotated[Path, typer.Argument(help="Folder of the witness: its key, and what it knows.", show_default=False)]


@app.command()
def init(
    folder: Folder,
    name: Annotated[str, typer.Option(help="Name in its signatures, such as witness.example.org/w1.")],
) -> None:
    """Make a witness and its key, and print its public key for the logs that it will serve.

    Run it on a machine that the log's administrators have no hand on.

    Example: python -m audit witness init /var/lib/witness --name witness.example.org/w1
    """
    with errors_as_exit_codes():
        typer.echo(str(Ledger.create(folder, name).key))


@app.command("add-log")
def add_log(
    folder: Folder,
    vkey: Annotated[str, typer.Argument(help="Public key of the log, as a line or a file.", show_default=False)],
) -> None:
    """Take on a log. Do this once: a log that is taken on anew is followed from its beginning again.

    A second key for a log that is known is added to the first. Stop the server before.

    Example: python -m audit witness add-log /var/lib/witness audit.vkey
    """
    with errors_as_exit_codes():
        key = VerifierKey.parse(Path(vkey).read_text(encoding="utf-8") if "+" not in vkey else vkey)
        ledger = Ledger(folder)
        ledger.lock()
        try:
            log = ledger.register(key)
        finally:
            ledger.release()
    typer.echo(f"{log.origin}: {len(log.keys)} key(s), {log.head.size} records seen")


@app.command()
def serve(
    folder: Folder,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)] = 8090,
    certificate: Annotated[
        Path | None, typer.Option("--tls-cert", help="PEM file of its TLS certificate.", show_default=False)
    ] = None,
    private_key: Annotated[
        Path | None, typer.Option("--tls-key", help="PEM file of its TLS key.", show_default=False)
    ] = None,
) -> None:
    """Answer logs until it is stopped (SIGTERM or Ctrl-C).

    Logs outside this machine come over TLS: give a certificate, or put a proxy in front.

    Example: python -m audit witness serve /var/lib/witness --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem
    """
    with errors_as_exit_codes():
        if (certificate is None) != (private_key is None):
            raise ValueError("--tls-cert and --tls-key go together")
        server = WitnessServer(Ledger(folder), host, port, certificate=certificate, private_key=private_key)
    # shutdown() waits for serve_forever(), which runs in the thread that gets the signal.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    scheme = "http" if certificate is None else "https"
    typer.echo(f"witness on {scheme}://{server.server_address[0]!s}:{server.server_address[1]}")
    try:
        server.serve_forever(poll_interval=0.2)
    finally:
        server.server_close()


@app.command()
def status(folder: Folder, as_json: AsJson = False) -> None:
    """What a witness holds of each log. Works beside a running one.

    Example: python -m audit witness status /var/lib/witness
    """
    with errors_as_exit_codes():
        ledger = Ledger(folder)
        logs, contradictions = ledger.logs(), ledger.evidence_count()
    now = datetime.now(UTC)
    if as_json:
        print_json(
            {
                "vkey": str(ledger.key),
                "contradictions": contradictions,
                "logs": [{"origin": log.origin, "size": log.head.size, "taken_at": log.taken_at} for log in logs],
            }
        )
        return
    typer.echo(str(ledger.key))
    for log in logs:
        age = "never" if log.taken_at is None else f"{int((now - log.taken_at).total_seconds())} s ago"
        typer.echo(f"{log.origin}: {log.head.size:,} records, {age}")
    if contradictions:
        typer.echo(f"CONTRADICTIONS: {contradictions} in {folder / 'evidence'}: a log signed two histories")
