"""`python -m demo`: start everything, take the walk, and leave it running until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import signal
import sys
import time
from pathlib import Path

import pyotp

from demo.process import DidNotStart
from demo.stack import ROOT, Stack
from demo.walk import Walk


def main() -> int:
    """0 when every step did what it should."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="stop after the walk (also without a terminal)")
    parser.add_argument("--state", type=Path, default=ROOT / ".demo" / "run", help="where its files go; emptied first")
    arguments = parser.parse_args()
    once = arguments.once or not sys.stdout.isatty()
    shutil.rmtree(arguments.state, ignore_errors=True)
    begun = time.perf_counter()
    print("Starting the identity provider, the model server and the gateway …", flush=True)
    # A polite `kill` is a Ctrl-C: the programs are stopped in order either way.
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    try:
        with Stack(arguments.state, say=_say, fixed_ports=True) as stack:
            walk = Walk(stack, ROOT / ".demo" / "pictures", say=_say)
            held = asyncio.run(walk.run())
            total = walk.done + len(walk.failed)
            print(f"\n{walk.done} of {total} steps did what they should, {time.perf_counter() - begun:.0f} s in all.")
            for title in walk.failed:
                print(f"  failed: {title}. Logs: {arguments.state / 'logs'}", file=sys.stderr)
            if not once:
                _leave_running(stack)
            else:
                print(f"Look at the pictures in {walk.pictures}, or run `make demo` in a terminal to keep it running.")
            return 0 if held else 1
    except DidNotStart as problem:
        print(f"\n{problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped; nothing is left running.")
        return 130


def _leave_running(stack: Stack) -> None:
    print("\nIt is all still running.\n")
    for what, address in (
        ("studio", stack.url),
        ("auditor's search", f"{stack.url}/audit"),
        ("API", f"{stack.url}/v1"),
        ("identity provider", stack.idp.issuer),
        ("model server", stack.model_url),
    ):
        print(f"  {what:<19} {address}")
    header = f"  {'person':<7} {'may':<26} {'password':<20} TOTP secret"
    print("\n" + header + "\n  " + "-" * (len(header) + 38))
    may = {
        "alice": "make pictures",
        "bob": "search the log",
        "carol": "nothing: no second factor",
        "dave": "nothing: no role",
        "erin": "administer (no pages yet)",
        "frank": "nothing: roles that clash",
        "pat": "write policy (no page yet)",
    }
    for person in stack.people.values():
        secret = person.totp_secret or "(none)"
        print(f"  {person.name:<7} {may.get(person.name, ''):<26} {person.password:<20} {secret}")
    print("\nCodes now (new ones each 30 s; Ctrl-C stops everything):")
    try:
        while True:
            codes = "  ".join(
                f"{p.name} {pyotp.TOTP(p.totp_secret).now()}" for p in stack.people.values() if p.totp_secret
            )
            left = 30 - int(time.time()) % 30
            print(f"\r  {codes}   ({left:2} s) ", end="", flush=True)
            time.sleep(1)
    except KeyboardInterrupt:
        print("\nStopping …")


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
