"""Serves the preview until interrupted."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.browser.preview import COOKIE, PEOPLE, Preview

with tempfile.TemporaryDirectory() as state, Preview(Path(state), 8199) as preview:
    print(f"{preview.url}\n\nSet the cookie {COOKIE} in your browser's developer tools to be somebody:\n")
    for name in PEOPLE:
        print(f"  {name:8} {preview.running.session(name)}")
    preview.wait()
