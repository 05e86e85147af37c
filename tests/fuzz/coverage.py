"""`python -m tests.fuzz.coverage NAME TARGET [libFuzzer's options]`: one target under atheris, until it breaks."""

from __future__ import annotations

import sys

import atheris  # type: ignore[import-not-found,unused-ignore]

with atheris.instrument_imports(include=["gateway.screening"]):
    from tests.fuzz.targets import TARGETS

if __name__ == "__main__":
    _, name, target, *options = sys.argv
    check = TARGETS[name][target].check
    atheris.Setup([sys.argv[0], *options], check)
    atheris.Fuzz()
