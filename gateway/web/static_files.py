"""Our own stylesheets, scripts and fonts, served from memory.

Everything under `static/` is read and compressed once, so a request is a dictionary look-up: no path of a request ever
reaches the file system, which leaves nothing to traverse.

Addresses carry the digest of the whole tree (`/static/3f9a0c…/js/studio.js`): relative imports between modules then
stay inside one revision, and a browser may keep a file for ever. While replicas of two revisions run side by side a
page of one may ask the other for its files; it gets what is there, marked not to be kept.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

DIRECTORY: Final = Path(__file__).parent / "static"
PREFIX: Final = "/static"

MEDIA_TYPES: Final[Mapping[str, str]] = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
}
"""What may be served at all. A file of another kind in the folder is a mistake, and stops the start."""

PACKED_ALREADY: Final = frozenset({".woff2"})
FOR_EVER: Final = "public, max-age=31536000, immutable"
NOT_KEPT: Final = "no-cache"


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file, as it stands and gzipped (None where that would not help)."""

    media_type: str
    plain: bytes
    packed: bytes | None


class StaticTree:
    """An ASGI application over a folder read once. GET and HEAD only."""

    def __init__(self, directory: Path) -> None:
        self._files = {
            path.relative_to(directory).as_posix(): _load(path)
            for path in sorted(directory.rglob("*"))
            if path.is_file()
        }
        digest = hashlib.sha256()
        for name, file in self._files.items():
            digest.update(len(name).to_bytes(4) + name.encode() + len(file.plain).to_bytes(8) + file.plain)
        self.revision = digest.hexdigest()[:16]

    def address(self, name: str) -> str:
        """The address of a file, e.g. `js/studio.js`. Raises KeyError for one that isn't there: a broken page must
        fail its test, not load without its style."""
        self._files[name]
        return f"{PREFIX}/{self.revision}/{name}"

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def names(self) -> tuple[str, ...]:
        """Every file, by its path inside the folder."""
        return tuple(self._files)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._respond(scope)(scope, receive, send)

    def _respond(self, scope: Scope) -> Response:
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("method not allowed", 405, headers={"allow": "GET, HEAD"})
        path: str = scope["path"].removeprefix(scope.get("root_path", "")).lstrip("/")
        revision, _, name = path.partition("/")
        file = self._files.get(name)
        if file is None:
            return PlainTextResponse("not found", 404)
        headers = {
            "cache-control": FOR_EVER if revision == self.revision else NOT_KEPT,
            "x-content-type-options": "nosniff",
            "vary": "accept-encoding",
        }
        body = file.plain
        if file.packed is not None and "gzip" in Headers(scope=scope).get("accept-encoding", ""):
            headers["content-encoding"] = "gzip"
            body = file.packed
        return Response(body, headers=headers, media_type=file.media_type)


@cache
def static_tree() -> StaticTree:
    """The tree that ships with the pages, read at the first call."""
    return StaticTree(DIRECTORY)


def _load(path: Path) -> StaticFile:
    media_type = MEDIA_TYPES.get(path.suffix)
    if media_type is None:
        raise ValueError(f"{path.name}: expected one of {', '.join(MEDIA_TYPES)}, got {path.suffix or 'no suffix'}")
    plain = path.read_bytes()
    packed = None if path.suffix in PACKED_ALREADY else gzip.compress(plain, 9, mtime=0)
    return StaticFile(media_type, plain, packed)
