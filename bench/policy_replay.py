"""Replays' figures, for `bench.policy`: 100,000 past decisions by other rules, and what that does to everybody else.

The inputs are of 400 made-up people over a week: hours, ages of second factors, addresses, counts and sizes all differ,
and every tenth prompt has a finding. They lie in a real journal (SQLite, sealed) and go through the real child.
"""

from __future__ import annotations

import asyncio
import copy
import json
import random
import resource
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from bench.support.results import Figure
from gateway.policy.bundle import Rules, read_bundle
from gateway.policy.engine import EntryPoint, Evaluation
from gateway.policy.rego import ENGINE_NAME, Rego
from gateway.policy.trial import try_out
from gateway.replay.decider import Decider
from gateway.replay.journal import Journal
from gateway.replay.runner import replay
from gateway.replay.sealing import Sealer
from gateway.storage.database import Database
from gateway.storage.schema import metadata

DECISIONS: Final = 100_000
DISTINCT: Final = 5_000
"""Inputs whose recorded answers are worked out; each is then asked for again by other requests."""
TARGET_SECONDS: Final = 60.0
PEOPLE: Final = 400
SEED: Final = 7
NOW: Final = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)


def traffic(plain: Mapping[str, Any], with_finding: Mapping[str, Any], rng: random.Random) -> dict[str, Any]:
    """An input of somebody, sometime in the week before NOW."""
    document: dict[str, Any] = copy.deepcopy(dict(with_finding if rng.random() < 0.1 else plain))
    person = rng.randrange(PEOPLE)
    at = NOW - timedelta(seconds=rng.randrange(7 * 86_400))
    document["time"] = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    document["subject"] |= {
        "id": f"idp|{person}",
        "department": f"department {person % 12}",
        "groups": sorted({"everyone", f"team-{person % 40}"}),
        "mfa_age_seconds": rng.randrange(50_000),
    }
    document["resource"] |= {"n": rng.choice((1, 1, 1, 2, 4)), "size": rng.choice(("auto", "512x512"))}
    document["context"]["ip"] = f"10.{person % 8}.{rng.randrange(256)}.{rng.randrange(256)}"
    document["usage"] |= {
        "user_day": rng.randrange(60),
        "user_month": rng.randrange(900),
        "in_flight": rng.randrange(3),
    }
    document["prompt"] = {"hmac": f"{rng.getrandbits(128):032x}", "chars": rng.randrange(1, 900)}
    return document


def tightened(rules: Rules) -> Rules:
    """The same with half the pictures a request and a second factor an hour old at most."""
    data = json.loads(rules.data_json)
    config = data["gateway"]["config"]
    config["limits"]["images_per_request"] = dict.fromkeys(config["limits"]["images_per_request"], 2)
    config["roles"]["grants"]["employee"]["mfa_max_age_seconds"] = 3_600
    return Rules(revision="tightened", modules=rules.modules, data_json=json.dumps(data))


async def figures(
    folder: Path, scratch: Path, plain: Mapping[str, Any], with_finding: Mapping[str, Any]
) -> list[Figure]:
    """Replays of a journal of 100,000 decisions, made by the rules in `folder` and by others."""
    rules = await try_out(read_bundle(folder), decision_seconds=5)
    found = []
    for name, revision in (("made by the rules in force", rules.revision), ("made by older rules", "older")):
        database = Database(f"sqlite+aiosqlite:///{scratch / f'replay-{revision[:5]}.sqlite'}")
        try:
            async with database.engine.begin() as connection:
                await connection.run_sync(metadata.create_all)
            journal = Journal(
                database, Sealer(b"s" * 32, scratch / "replay-keys"), lambda: NOW, keep_days=14, keeps_for=lambda _: 30
            )
            keeping = await fill(journal, rules, revision, plain, with_finding)
            found += await timed(journal, rules, name)
        finally:
            await database.aclose()
    print(f"keeping a decision for replays: {keeping * 1e6:.0f} µs of CPU, off the request's path")
    found.append(Figure(figure="CPU of keeping a decision for replays", unit="ms", value=keeping * 1e3))
    return [*found, *(await asyncio.to_thread(by_ways, rules, plain, with_finding))]


async def fill(
    journal: Journal, rules: Rules, revision: str, plain: Mapping[str, Any], with_finding: Mapping[str, Any]
) -> float:
    """Put DECISIONS into the journal; returns seconds of CPU for each."""
    rng, engine = random.Random(SEED), Rego(rules.modules, rules.data_json)
    documents = [traffic(plain, with_finding, rng) for _ in range(DISTINCT)]
    answers = [engine.ask(EntryPoint.IMAGE, json.dumps(document)) for document in documents]
    spent = 0.0
    for first in range(0, DECISIONS, 10_000):
        start = time.process_time()
        for n in range(first, first + 10_000):
            document = {**documents[n % DISTINCT], "request_id": f"request-{n}"}
            answer = Evaluation(result=answers[n % DISTINCT], engine=ENGINE_NAME, revision=revision)
            journal.saw(EntryPoint.IMAGE, document, answer)
        await journal.flush()
        spent += time.process_time() - start
    return spent / DECISIONS


async def timed(journal: Journal, rules: Rules, name: str) -> list[Figure]:
    """One replay: the child's CPU, the time it took, and how long this process's loop was ever held up by it."""
    delays: list[float] = []

    async def watch() -> None:
        while True:
            start = time.perf_counter()
            await asyncio.sleep(0.005)
            delays.append(time.perf_counter() - start - 0.005)

    watching = asyncio.create_task(watch())
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    report = await replay(tightened(rules), rules, journal.pages(14), minutes_per_review=3, seconds=900)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    watching.cancel()
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if report["decisions"] != DECISIONS or report["remembered_wrongly"]:
        raise SystemExit(f"not the replay that was meant: {report['decisions']} decisions")
    delays.sort()
    p99 = delays[int(len(delays) * 0.99)]
    print(
        f"replay of {DECISIONS} decisions {name}: {cpu:.1f} s of CPU, {wall:.1f} s on the clock, "
        f"{report['worked_out']} worked out whole; "
        f"the loop beside it was late by {p99 * 1e3:.1f} ms at p99; {after.ru_maxrss / 1024:.0f} MiB"
    )
    return [
        Figure(figure=f"CPU of a replay of 100,000 decisions {name}", unit="s", value=cpu, target=TARGET_SECONDS),
        Figure(figure=f"p99 of the loop's delay beside a replay of decisions {name}", unit="ms", value=p99 * 1e3),
        Figure(figure=f"memory of a replay of decisions {name}", unit="MiB", value=after.ru_maxrss / 1024),
    ]


def by_ways(rules: Rules, plain: Mapping[str, Any], with_finding: Mapping[str, Any]) -> list[Figure]:
    """One decision of a replay with remembering and without, on inputs that all differ."""
    rng = random.Random(SEED)
    documents = [traffic(plain, with_finding, rng) for _ in range(DISTINCT)]
    found, outcomes = [], []
    for name, remember in (("remembering what repeats", True), ("working out each", False)):
        decider = Decider(rules, remember=remember)
        start = time.process_time()
        outcomes.append([decider.decide(document) for document in documents])
        each = (time.process_time() - start) / DISTINCT
        print(f"a decision of a replay, {name}: {each * 1e6:.0f} µs")
        found.append(Figure(figure=f"CPU of a decision of a replay, {name}", unit="ms", value=each * 1e3))
    if outcomes[0] != outcomes[1]:
        raise SystemExit("remembered decisions differ from those worked out")
    return found
