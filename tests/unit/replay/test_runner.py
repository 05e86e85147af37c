"""A replay through the real child: the report, and how it ends when it does not end well."""

from __future__ import annotations

import asyncio
import contextlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.policy.engine import EntryPoint, Evaluation
from gateway.replay.runner import ReplayFailed, preview, replay, spawned
from gateway.replay.shadow import MIN_COMPARED, Shadow, Shadows
from gateway.replay.tap import Watched
from tests.unit.replay.conftest import decided, document, small

pytestmark = pytest.mark.timeout(120)

ALL, FEW = small("1 == 1", revision="all"), small("input.resource.n < 3", revision="few")


def line(asked, rules=ALL):
    answer = decided(rules, asked)
    return json.dumps({"document": asked, "result": answer.result, "revision": answer.revision}).encode()


async def pages(*lines, size=100):
    for first in range(0, len(lines), size):
        yield b"\n".join(lines[first : first + size])


async def run(candidate, baseline, lines, seconds=60, **more):
    return await replay(candidate, baseline, pages(*lines), minutes_per_review=3, seconds=seconds, **more)


def children():
    found = set()
    for status in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if b"gateway.replay.child" in status.read_bytes():
                found.add(status.parent.name)
    return found


async def test_a_report_comes_back_with_explained_samples():
    lines = [line(document(str(n), resource={"n": n % 5})) for n in range(500)]
    seen = []
    report = await run(FEW, ALL, lines, progress=seen.append)
    assert (report["decisions"], report["newly_denied"]) == (500, 200)
    assert report["baseline"]["revision"] == "all"
    assert report["candidate"]["revision"] == "few"
    assert report["samples"][0]["explanation"]["reasons"][0]["conditions"][0]["condition"] == "input.resource.n < 3"
    assert "input" not in report["samples"][0]
    assert seen == sorted(seen)


async def test_recorded_answers_of_the_same_rules_are_believed_and_those_of_others_worked_out():
    asked = document("1", resource={"n": 9})
    by_the_same = await run(ALL, FEW, [line(asked, FEW)])
    by_others = await run(ALL, FEW, [line(asked, ALL)])
    for report in (by_the_same, by_others):
        assert report["newly_allowed"] == 1
    assert by_the_same["replayable"]["recorded_differently"] == 0
    assert by_others["replayable"]["recorded_differently"] == 1


async def test_a_record_that_its_own_rules_contradict_is_found_out():
    """Every fiftieth is worked out again; the first is one of them."""
    wrong = json.loads(line(document("1")))
    wrong["result"] = decided(FEW, document("1", resource={"n": 9})).result
    assert (await run(ALL, ALL, [json.dumps(wrong).encode()]))["replayable"]["recorded_differently"] == 1


async def test_cancelling_ends_the_child():
    before = children()
    slow = asyncio.Event()

    async def endless():
        n = 0
        while True:
            yield line(document(str(n)))
            n += 1
            slow.set()
            await asyncio.sleep(0.01)

    task = asyncio.create_task(replay(FEW, ALL, endless(), minutes_per_review=3, seconds=60))
    await slow.wait()
    assert children() - before
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not children() - before


async def test_a_replay_that_takes_too_long_says_so():
    async def stuck():
        yield line(document())
        await asyncio.sleep(60)

    with pytest.raises(ReplayFailed, match="longer than 1 seconds"):
        await replay(FEW, ALL, stuck(), minutes_per_review=3, seconds=1)


async def test_rules_that_do_not_load_fail_by_name_of_the_place():
    broken = small("1 == ", revision="broken")
    with pytest.raises(ReplayFailed, match=r"authz\.rego"):
        await run(broken, ALL, [line(document())])
    with pytest.raises(ReplayFailed):
        await preview(broken, None, document())


async def test_rules_that_kill_the_engine_are_no_report():
    deep = small("x := " + "[" * 5000 + "]" * 5000, revision="deep")
    with pytest.raises(ReplayFailed):
        await run(deep, ALL, [line(document())])


async def test_what_pages_raise_is_raised():
    async def broken():
        yield line(document())
        raise LookupError("page")

    with pytest.raises(LookupError):
        await replay(FEW, ALL, broken(), minutes_per_review=3, seconds=60)


async def test_a_child_is_gone_after_its_block():
    async with spawned() as child:
        assert child.is_running
    assert not child.is_running


class Inner:
    revision = "all"

    async def evaluate(self, entry, asked):
        return decided(ALL, asked)


async def test_a_watcher_that_raises_changes_no_decision(caplog):
    def bad(entry, asked, evaluation):
        raise ValueError(asked["subject"]["id"])

    seen = []
    engine = Watched(Inner(), [bad, lambda *told: seen.append(told)])
    answer = await engine.evaluate(EntryPoint.IMAGE, document())
    assert answer.result["effect"] == "allow"
    assert seen == [(EntryPoint.IMAGE, document(), answer)]
    assert "alice" not in caplog.text


async def shadowed(rules, decisions, alarms=None):
    """A shadow that saw `decisions` live ones of 1 to 5 pictures, half of them too many for FEW."""
    shadows = Shadows(
        lambda: datetime(2026, 11, 20, tzinfo=UTC),
        alarm_share=0.3,
        on_alarm=(lambda _: None) if alarms is None else alarms.append,
    )
    shadow = await shadows.start(rules, by="idp|author")
    for n in range(decisions):
        asked = document(str(n), resource={"n": 1 + 4 * (n % 2)})
        shadows.saw(EntryPoint.IMAGE, asked, decided(ALL, asked))
    await asyncio.wait_for(shadow.settle(), 60)
    return shadows, shadow


async def test_a_shadow_counts_what_differs_and_shows_it():
    shadows, shadow = await shadowed(FEW, 20)
    report = shadow.report()
    assert (report["compared"], report["different"], report["dropped"]) == (20, 10, 0)
    assert report["changes"] == {"newly_denied": 10}
    assert report["samples"][-1]["after"]["reasons"] == ["role.not-permitted"]
    assert shadow.figures() == {"same": 10, "different": 10, "dropped": 0}
    assert not shadow.alarmed
    assert await shadows.stop() is shadow
    assert shadows.current is None


async def test_the_alarm_rings_once_and_only_on_enough_decisions():
    alarms = []
    shadows, shadow = await shadowed(FEW, MIN_COMPARED + 50, alarms)
    assert alarms == [shadow]
    await shadows.stop()
    quiet = []
    shadows, _ = await shadowed(ALL, MIN_COMPARED + 50, quiet)
    assert quiet == []
    await shadows.stop()


async def test_a_full_queue_drops_and_counts_and_never_waits():
    shadow = Shadow(FEW, by="x", since=datetime.now(UTC), alarm_share=0.5, on_alarm=lambda _: None)
    for n in range(1_005):
        shadow.saw(EntryPoint.IMAGE, document(str(n)), Evaluation(result=None, engine="", revision=""))
    assert shadow.dropped == 5


async def test_a_shadow_that_can_not_go_on_says_so_and_takes_no_more():
    shadow = Shadow(small("1 == "), by="x", since=datetime.now(UTC), alarm_share=0.5, on_alarm=lambda _: None)
    shadow.saw(EntryPoint.IMAGE, document(), decided(ALL, document()))
    await asyncio.wait_for(shadow.run(), 60)
    assert shadow.failure
    await asyncio.wait_for(shadow.settle(), 5)
    shadow.saw(EntryPoint.IMAGE, document(), decided(ALL, document()))
    assert shadow.report()["compared"] == 0
