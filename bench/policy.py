"""Policy's figures: `python -m bench.policy`.

CPU time a decision through the whole door (question to JSON, engine, answer read), by number of findings, and the time
from a changed file to rules in force. Beside it OPA itself: as a library where `opa-golib-python-bindings` is there,
and as a server that is asked over HTTP and follows signed bundles (the binary that `$OPA_BIN` names, else that library
behind OPA's API). Writes `bench/results/policy.json`.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from bench import policy_replay
from bench.support import policy_opa, results
from bench.support.results import Figure
from gateway.exchange import Actor, ActorId, Finding, ImageRequest, Mfa, Origin, Usage
from gateway.policy import Policy, build_admin_input, build_input
from gateway.policy.embedded import EmbeddedEngine
from gateway.policy.engine import EntryPoint
from gateway.vocabulary import Effect, Permission, Role, Severity

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ROOT / "policies"
RUNS = 3_000
RELOADS = 5
NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
ALICE = Actor(
    id=ActorId("idp|alice"),
    display_name="Alice",
    method="session",
    credential_id="s1",
    roles=frozenset({Role.EMPLOYEE}),
    groups=("design", "everyone", "berlin"),
    department="Design",
    mfa=Mfa(at=NOW - timedelta(minutes=10), amr=("otp", "pwd")),
)
EMAIL = Finding(
    id="f1",
    stage="prompt",
    detector="email@1",
    type="dlp.email",
    severity=Severity.MEDIUM,
    replacement="someone@example.com",
    message="m",
    proposed=Effect.MASK,
)


def question(findings: int = 0, roles: frozenset[Role] = ALICE.roles) -> dict[str, Any]:
    """An employee's picture, with so many findings in its prompt."""
    return build_input(
        request_id="01890000-0000-7000-8000-000000000000",
        now=NOW,
        actor=replace(ALICE, roles=roles),
        request=ImageRequest(action=Permission.IMAGE_GENERATE, prompt="p" * 200, model="imprimatur-embedded"),
        origin=Origin(ip="10.1.2.3"),
        usage=Usage(user_day=3, user_month=30),
        findings=[replace(EMAIL, id=f"f{n}") for n in range(findings)],
        stage="prompt",
        cost_credits=1,
        prompt_hmac="00" * 16,
    )


def admin_question() -> dict[str, Any]:
    return build_admin_input(
        request_id="01890000-0000-7000-8000-000000000000",
        now=NOW,
        actor=ALICE,
        action=Permission.MODEL_LIST,
        origin=Origin(ip="10.1.2.3"),
    )


async def cpu_ms(decide: Callable[[], Any], runs: int) -> tuple[float, float]:
    """(p50, p99) of the process's CPU time for one decision, all threads together."""
    for _ in range(20):
        await decide()
    times = []
    for _ in range(runs):
        start = time.process_time_ns()
        await decide()
        times.append((time.process_time_ns() - start) / 1e6)
    times.sort()
    return statistics.median(times), times[int(len(times) * 0.99)]


async def decisions(policy: Policy) -> list[Figure]:
    beside = opa_as_a_library()
    cases: list[tuple[str, dict[str, Any], float | None]] = [
        ("a picture allowed", question(), 0.4),
        ("a picture denied", question(roles=frozenset()), 0.4),
        ("a picture with 1 finding", question(1), None),
        ("a picture with 10 findings", question(10), None),
        ("a picture with 256 findings", question(256), None),
        ("a list of models", admin_question(), 0.4),
    ]
    figures = []
    for name, document, target in cases:
        decide = policy.decide if "findings" in document else policy.decide_admin
        entry = EntryPoint.IMAGE if "findings" in document else EntryPoint.ADMIN
        runs = max(50, RUNS // (1 + len(document.get("findings", ()))))
        p50, p99 = await cpu_ms(lambda decide=decide, document=document: decide(document), runs)  # type: ignore[misc]
        peers = {peer: ask(entry, document) for peer, ask in beside.items()}
        words = "".join(f", {peer} {ms * 1e3:.0f} µs" for peer, ms in peers.items())
        print(f"{name:<28} CPU p50 {p50 * 1e3:>6.0f} µs, p99 {p99 * 1e3:>6.0f} µs{words}")
        figures.append(Figure(figure=f"CPU p50 of {name}", unit="ms", value=p50, target=target, beside=peers))
        figures.append(Figure(figure=f"CPU p99 of {name}", unit="ms", value=p99))
    return figures


def opa_as_a_library() -> dict[str, Callable[[EntryPoint, dict[str, Any]], float]]:
    """OPA itself, if it is there: the p50 of its CPU time, with JSON over its bridge as ours goes over ours."""
    if importlib.util.find_spec("opa_bindings") is None:
        print("beside: not run (opa-golib-python-bindings is not installed)")
        return {}
    from opa_bindings import OpaEngine  # the Go runtime starts here, and only if it is wanted

    engine = OpaEngine()
    for path in SHIPPED.rglob("*.rego"):
        engine.add_policy(path.relative_to(SHIPPED).as_posix(), path.read_text())
    for path in SHIPPED.rglob("data.yaml"):
        engine.add_data(yaml.safe_load(path.read_text()), path=".".join(path.relative_to(SHIPPED).parent.parts))

    def ask(entry: EntryPoint, document: dict[str, Any]) -> float:
        engine.eval_document(entry.value, document)
        times = []
        for _ in range(100):
            start = time.process_time_ns()
            engine.eval_document(entry.value, document)
            times.append((time.process_time_ns() - start) / 1e6)
        return statistics.median(times)

    return {"OPA 1.20 as a library": ask}


async def reloads(folder: Path, engine: EmbeddedEngine) -> list[Figure]:
    """From a changed file to decisions by the new rules, the wait for the next look (1 s at most) not counted."""
    limits = folder / "gateway/config/limits/data.yaml"
    times = []
    for n in range(RELOADS):
        before = engine.revision
        limits.write_text(limits.read_text() + f"# {n}\n")
        start = time.perf_counter()
        await engine.reloader.check()
        times.append(time.perf_counter() - start)
        if engine.revision == before:
            raise SystemExit(f"the change did not come into force: {engine.reloader.error}")
    value = statistics.median(times)
    print(f"from a changed file to rules in force: {value:.2f} s, the slowest of {RELOADS} {max(times):.2f} s")
    return [Figure(figure="changed file to rules in force, trial included", unit="s", value=value, target=1.0)]


async def beside_a_server(folder: Path) -> list[Figure]:
    """The same questions to an OPA server, and how soon it takes a change."""
    if not policy_opa.is_there():
        print("an OPA server: not run (neither $OPA_BIN nor opa-golib-python-bindings is there)")
        return []
    questions = {
        "a picture allowed": question(),
        "a picture with 10 findings": question(10),
        "a list of models": admin_question(),
    }
    async with policy_opa.Beside(folder) as opa:
        return [*await opa.decisions(questions), *await opa.changes()]


async def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "policies"
        shutil.copytree(SHIPPED, folder)
        engine = EmbeddedEngine(folder, clock=lambda: NOW, decision_seconds=5, reload_seconds=3600)
        policy = Policy(engine)
        await policy.start()
        print(f"rules {policy.revision} on {results.machine()}")
        decision = await policy.decide(json.loads(json.dumps(question())))
        if decision.effect is not Effect.ALLOW:
            raise SystemExit(f"the question is not the one meant: {decision}")
        figures = [*await decisions(policy), *await reloads(folder, engine)]
        await policy.aclose()
        figures += await policy_replay.figures(SHIPPED, Path(scratch), question(), question(1))
        figures += await beside_a_server(policy_opa.copy_of(SHIPPED, Path(scratch)))
    print(f"written to {results.write('policy', figures)}")


if __name__ == "__main__":
    asyncio.run(main())
