"""Where a person goes after signing in: a path of ours, or the front page. Stops open redirects (CWE-601)."""

from __future__ import annotations

import re
from typing import Final

FRONT_PAGE: Final = "/"
MAX_CHARACTERS: Final = 1024

_LOCAL_PATH: Final = re.compile(r"/(?![/\\])[A-Za-z0-9\-._~!$&'()*+,;=:@%/?\[\]]*")
"""The characters of a path and a query (RFC 3986). No backslash, which browsers read as a slash; no control character,
which they drop; no second slash in front, which would make the rest a host; no fragment."""


def local_path(asked: str | None) -> str:
    """`asked` when it is a path on this very server, else the front page."""
    if not asked or len(asked) > MAX_CHARACTERS or _LOCAL_PATH.fullmatch(asked) is None:
        return FRONT_PAGE
    path, lowered = asked.partition("?")[0], asked.lower()
    # An intermediary that tidies paths may turn these into one of the above.
    if "//" in path or "/." in path or lowered.startswith(("/%2f", "/%5c", "/%0")):
        return FRONT_PAGE
    return FRONT_PAGE if path.startswith("/auth/") else asked  # back into signing in: that goes in circles
