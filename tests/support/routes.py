"""Every way into an application, read from the application itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fastapi import FastAPI
from starlette.routing import Mount


def routes_of(app: FastAPI) -> set[tuple[str, str]]:
    """(method, path) of each route, those of included routers too; a mount is ("*", path)."""
    return set(_walk(app.routes, ""))


def _walk(routes: Iterable[object], prefix: str) -> Iterator[tuple[str, str]]:
    for route in routes:
        included = getattr(route, "original_router", None)
        if included is not None:
            context = getattr(route, "include_context", None)
            yield from _walk(included.routes, prefix + str(getattr(context, "prefix", "")))
        elif isinstance(route, Mount):
            yield "*", prefix + route.path
        else:
            path = prefix + str(getattr(route, "path", ""))
            methods = getattr(route, "methods", None)
            if methods is None:
                raise AssertionError(f"a way in that is no route: {route!r}")
            for method in set(methods) - {"HEAD"}:
                yield method, path
