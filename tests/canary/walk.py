"""Sends everything, keeps what came back, and looks everywhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from gateway.app import create_app
from gateway.settings import Settings
from tests.authz.table import WAYS
from tests.canary.allowed import why_allowed
from tests.canary.positions import Shot, shots
from tests.canary.seeds import Seed, Seeds
from tests.canary.stories import Stories
from tests.canary.world import PEOPLE, World, dump_postgres, open_world
from tests.support.routes import routes_of

SETTLE_SECONDS: Final = 2.0
"""For a feed to send what is left, and workers to write."""
EXPECTED_FAILURES: Final = (501, 502, 503, 504)
"""The image server fails in some stories, and a directory asks for what SCIM leaves open; 500 is never right."""
PLACES: Final = ("answers", "headers of answers", "logs", "metrics", "database", "audit", "files", "policy", "feed")


@dataclass(frozen=True, slots=True)
class Hit:
    """A secret where it was found. `place` is one of PLACES."""

    place: str
    where: str
    form: str
    seed: Seed | None


@dataclass
class Findings:
    """What a run sent and found."""

    routes: int = 0
    requests: int = 0
    secrets: int = 0
    seconds: float = 0
    statuses: Counter[str] = field(default_factory=Counter)
    searched: dict[str, int] = field(default_factory=dict)
    """Bytes by place."""
    hits: list[Hit] = field(default_factory=list)
    allowed: Counter[str] = field(default_factory=Counter)
    """How often a secret stood where it has to, by the reason why it has to."""
    unanswered: list[str] = field(default_factory=list)
    server_errors: list[str] = field(default_factory=list)

    def look(self, seeds: Seeds, place: str, where: str, data: bytes, route: str = "") -> None:
        self.searched[place] = self.searched.get(place, 0) + len(data)
        for sighting in seeds.find(data):
            reason = why_allowed(place, where, sighting.form, sighting.seed, route)
            if reason is None:
                self.hits.append(Hit(place, where, sighting.form, sighting.seed))
            else:
                self.allowed[reason] += 1


def run(
    state: Path,
    *,
    with_postgres: bool = False,
    leaks: Sequence[str] = (),
    only: Sequence[str] | None = None,
    with_stories: bool = True,
) -> Findings:
    """One run of everything, with its state under `state`; or of the routes (`METHOD /path`) in `only`."""
    seeds, found, began = Seeds(), Findings(), time.monotonic()
    with open_world(state, seeds, with_postgres=with_postgres, leaks=leaks) as world:
        _send_everything(world, found, only, with_stories)
        found.look(seeds, "metrics", "/metrics", httpx.get(f"{world.url}/metrics", trust_env=False).content)
        time.sleep(SETTLE_SECONDS)
        _look_at_files(world, found)  # while it runs: a write-ahead log is emptied at the end
        if with_postgres:
            found.look(seeds, "database", "dump", dump_postgres(world))
    _look_at_files(world, found)
    found.secrets, found.seconds = len(seeds), time.monotonic() - began
    return found


def _send_everything(world: World, found: Findings, only: Sequence[str] | None, with_stories: bool) -> None:
    there = routes_of(create_app(Settings()))
    routes = sorted((key for key in there if key[0] != "*"), key=lambda key: WAYS[key].ends_session)
    if only is not None:
        routes = [(method, path) for method, path in routes if f"{method} {path}" in only]

    def keep(shot: Shot, answer: httpx.Response) -> None:
        found.requests += 1
        found.statuses[f"{answer.status_code // 100}xx"] += 1
        if answer.status_code >= 500 and answer.status_code not in EXPECTED_FAILURES:
            found.server_errors.append(f"{shot.route}, {shot.position}: {answer.status_code}")
        kind = "page" if "text/html" in answer.headers.get("content-type", "") else "document"
        where = f"{answer.status_code // 100}xx {kind} of {shot.route}"
        found.look(world.seeds, "answers", where, answer.content, shot.route)
        found.look(world.seeds, "headers of answers", where, _headers(answer), shot.route)

    for caller in PEOPLE:
        world.client(caller)
    stories = Stories(world, keep)
    if with_stories:
        stories.tell()
    for method, path in routes:
        way = WAYS[method, path]
        found.routes += 1
        for shot in shots(method, path, way, world.seeds.new, stories.known):
            try:
                answer = _send(world, shot)
            except httpx.HTTPError as error:
                found.unanswered.append(f"{shot.route}, {shot.position}: {type(error).__name__}")
                continue
            keep(shot, answer)
            if way.ends_session or answer.status_code == 401:
                world.forget(shot.caller)


def _send(world: World, shot: Shot) -> httpx.Response:
    headers = {"accept": "application/json"} | dict(shot.headers)
    if shot.files is not None:
        return world.client(shot.caller).request(shot.method, shot.path, headers=headers, files=shot.files)
    return world.client(shot.caller).request(shot.method, shot.path, headers=headers, content=shot.content)


def _headers(answer: httpx.Response) -> bytes:
    return b"\n".join(name + b": " + value for name, value in answer.headers.raw)


def _look_at_files(world: World, found: Findings) -> None:
    """Every file under the state folder, whole. None is left out: what nobody thought of is what leaks."""
    places: Mapping[str, str] = {"logs": "logs", "audit": "audit"}
    for path in sorted(world.state.rglob("*")):
        if not path.is_file() or path.is_socket():
            continue
        name = path.relative_to(world.state)
        place = places.get(name.parts[0], "files")
        if name.name.startswith("gateway.sqlite"):
            place = "database"
        elif path == world.policy_questions:
            place = "policy"
        found.look(world.seeds, place, f"{name}", path.read_bytes())
    found.look(world.seeds, "feed", "syslog", bytes(world.feed))
    if world.postgres is not None and world.postgres.folder.exists():
        for path in sorted(world.postgres.folder.rglob("*")):
            if path.is_file():
                name = path.relative_to(world.postgres.folder)
                found.look(world.seeds, "database", f"postgres/{name}", path.read_bytes())


def report(found: Findings) -> Iterator[str]:
    """What a person reads."""
    yield f"{found.routes} routes, {found.requests:,} requests in {found.seconds:.0f} s, {found.secrets:,} secrets"
    yield "answers: " + ", ".join(f"{number:,} {status}" for status, number in sorted(found.statuses.items()))
    by_place = Counter(hit.place for hit in found.hits)
    for place in PLACES:
        yield f"  {place:<20} {found.searched.get(place, 0):>14,} bytes searched   hits: {by_place[place]}"
    yield "where a secret has to stand, and why:"
    for reason, number in sorted(found.allowed.items()):
        yield f"  {number:>7,}  {reason}"
    grouped = Counter((hit.place, hit.where, hit.form, hit.seed) for hit in found.hits)
    for (place, where, form, seed), number in grouped.most_common():
        of = "a part of one" if seed is None else f"{seed.route}, {seed.position}"
        yield f"  FOUND {number:>4} in {place} ({where}), {form}: {of}"
    for line in (*found.unanswered, *found.server_errors):
        yield f"  NOTE {line}"
    yield f"hits: {len(found.hits)}"
