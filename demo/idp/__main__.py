"""`python -m demo.idp --state DIR --port N`: the demo's identity provider alone, with its people on screen."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import pyotp

from demo.idp.process import DemoIdp


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m demo.idp", description=__doc__)
    parser.add_argument("--state", type=Path, default=Path(".demo/idp"), help="where its people, keys and log live")
    parser.add_argument("--port", type=int, default=8180, help="loopback port to listen on")
    parser.add_argument("--public-url", default="http://127.0.0.1:8100", help="the gateway's address")
    parser.add_argument("--code", metavar="NAME", help="print this person's one-time code of the moment, and end")
    asked = parser.parse_args()
    idp = DemoIdp(asked.state, asked.port, asked.public_url)
    if asked.code:
        person = idp.people.get(asked.code)
        if person is None or person.totp_secret is None:
            sys.stderr.write(f"{asked.code} has no second factor here\n")
            return 1
        sys.stdout.write(f"{pyotp.TOTP(person.totp_secret).now()}\n")
        return 0
    began = time.monotonic()
    with idp:
        sys.stdout.write(f"identity provider: {idp.issuer} answered after {time.monotonic() - began:.1f} s\n")
        sys.stdout.write("demo-only people (python -m demo.idp --code NAME prints a one-time code):\n")
        for p in idp.people.values():
            second = p.totp_secret or "(none)"
            sys.stdout.write(f"  {p.name:<6} {','.join(p.groups):<20} password {p.password}  totp {second}\n")
        sys.stdout.flush()
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            return 0


if __name__ == "__main__":
    raise SystemExit(main())
