"""`python -m demo.tours.policy`: how a rule changes, from a draft that nobody should trust to the auditor's search.

Six people, the demo's identity provider, gateway and model server; managed rules. Nothing is acted: each line that is
shown is an answer of the gateway or of a command, and the tour ends with 1 when one is otherwise than told.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from demo.idp.people import Employee
from demo.stack import ORIGIN, Stack
from demo.tours import policy_edits
from demo.tours.telling import Say, Step, command, expect, tell
from demo.tours.visitor import Visitor, answer_of, told

PEOPLE: Final = (
    Employee("alice", "Alice Marsh", "Design", ("staff",)),
    Employee("hana", "Hana Novak", "Marketing", ("staff",)),
    Employee("ivan", "Ivan Brandt", "Sales", ("staff",)),
    Employee("june", "June Ortiz", "Finance", ("staff",)),
    # Writes rules and may approve those of others: the gateway has to see for itself that these are Pat's own.
    Employee("pat", "Pat Nakamura", "Security", ("policy-authors", "policy-approvers")),
    Employee("quinn", "Quinn Adeyemi", "Security", ("policy-approvers",)),
    Employee("bob", "Bob Okafor", "Compliance", ("compliance",)),
)
ROLES: Final = {
    "staff": ["employee"],
    "policy-authors": ["policy-author"],
    "policy-approvers": ["policy-approver"],
    "compliance": ["auditor"],
}
MAKERS: Final = ("alice", "hana", "ivan", "june")
HIT: Final = ("hana", "ivan", "june")
PROMPT: Final = "a red apple"
SEED: Final = 7
"""The same pictures each time: the story is about rules, not about what screening makes of a new picture."""
FOLLOW_SECONDS: Final = 20.0
"""How long this waits for the gateway to follow a change; half a second is usual."""
STORY: Final = (
    ("policy:draft:save", "allow"),
    ("policy:draft:check", "deny"),
    ("policy:draft:save", "allow"),
    ("policy:draft:check", "deny"),
    ("policy:draft:save", "allow"),
    ("policy:draft:check", "allow"),
    ("policy:replay:start", "allow"),
    ("auth:proposal:submit", "allow"),
    ("auth:proposal:approve", "deny"),
    ("auth:proposal:approve", "allow"),
    ("policy:revision:approve", "allow"),
    ("policy:revision:rollback", "allow"),
)
"""What the auditor must find between the first draft and the rollback, in this order."""


@dataclass(slots=True)
class PolicyTour:
    """The steps, and what they hand to each other."""

    stack: Stack
    say: Say
    before: str = ""
    """The revision that was in force when the story began."""
    draft: Mapping[str, Any] = field(default_factory=dict)
    replay: Mapping[str, Any] = field(default_factory=dict)
    proposal: Mapping[str, Any] = field(default_factory=dict)
    _doors: AsyncExitStack = field(default_factory=AsyncExitStack)
    _inside: dict[str, Visitor] = field(default_factory=dict)

    async def run(self) -> bool:
        """Tell it; True when every step was as told."""
        steps: tuple[Step, ...] = (
            ("Four people of four departments make two pictures each", self.make_pictures),
            ("Pat opens a draft: more than one picture at a time is for Design only. It does not pass", self.first_try),
            ("The same at Pat's own terminal, before anybody is asked", self.lint),
            ("Pat writes the positive fact. Now a test of the old rule fails", self.untested),
            ("Pat changes the tests with the rule: everything passes", self.finished),
            ("Pat replays what was asked for so far: whom would it hit?", self.replayed),
            ("Pat proposes it with that report, and tries to approve it, too: refused", self.own_approval),
            ("Quinn signs in with a second factor, reads what it would do, and approves exactly that", self.approve),
            ("The next request follows the new rule", self.new_rule),
            ("Sales complains. Quinn takes the change back, in one act", self.roll_back),
            ("Bob, the auditor, asks the log for the whole story", self.audit),
            ("Bob checks the log itself, offline: nothing was left out, nothing was changed afterwards", self.verify),
        )
        async with self._doors:
            return await tell(steps, self.say)

    async def make_pictures(self) -> str:
        pat = await self._at("pat")
        self.before = (await pat.get("/v1/policy/status"))["in_force"]["revision"]
        lines = []
        for name in MAKERS:
            lines.append(await self._makes(name, 2, "allow"))
        return "\n".join(lines)

    async def first_try(self) -> str:
        pat = await self._at("pat")
        files = policy_edits.first_try(await self._reader(pat))
        body = {"title": "Several pictures at a time are for Design", "files": files, "note": "one at a time is enough"}
        self.draft = await pat.post("/v1/policy/drafts", body)
        diff = (await pat.get(f"/v1/policy/drafts/{self.draft['id']}/diff"))["data"]
        changed = ", ".join(f"{one['path']} (+{one['added']} −{one['removed']})" for one in diff)
        report = await self._checked(pat)
        found = [problem for problem in report["problems"] if problem["check"] == "fail-open"]
        expect(not report["passed"] and bool(found), f"the draft should fail open, the check says {report}")
        expect(all(problem["line"] for problem in found), f"no line is named: {found}")
        return f"draft {self.draft['id']}: {changed}\ncheck: not passed\n" + "\n".join(map(_problem, found))

    async def lint(self) -> str:
        folder = self.stack.state / "terminal" / "policies"
        shutil.copytree(self.stack.policies, folder)
        for path, text in policy_edits.first_try(lambda path: (self.stack.policies / path).read_text("utf-8")).items():
            (folder / path).write_text(text, "utf-8")
        linted = _python("-m", "gateway.cli", "policy", "lint", str(folder))
        said = [line for line in linted.stdout.splitlines() if "[fail-open]" in line]
        expect(linted.returncode == 1 and bool(said), f"exit {linted.returncode}:\n{linted.stdout}{linted.stderr}")
        return f"$ imprimatur policy lint policies   (exit 1)\n{said[0]}"

    async def untested(self) -> str:
        pat = await self._at("pat")
        await self._save(pat, policy_edits.untested(await self._reader(pat)), "the positive fact")
        report = await self._checked(pat)
        failed = [problem for problem in report["problems"] if problem["check"] == "test"]
        expect(not report["passed"] and bool(failed), f"a test should fail, the check says {report}")
        expect(all(problem["path"] == policy_edits.TESTS and problem["line"] for problem in failed), str(failed))
        return f"check: not passed, {report['tests']['failed']} tests fail\n" + "\n".join(map(_problem, failed))

    async def finished(self) -> str:
        pat = await self._at("pat")
        await self._save(pat, policy_edits.finished(await self._reader(pat)), "tests for both halves")
        report = await self._checked(pat)
        expect(report["passed"], "\n".join(map(_problem, report["problems"])))
        expect(report["coverage"]["share"] == 1, f"coverage is {report['coverage']['share']:.1%}")
        return (
            f"check: passed. {report['tests']['run']} tests, {report['coverage']['share']:.0%} of the lines run, "
            f"{report['detectors']['passed']} detectors pass theirs"
        )

    async def replayed(self) -> str:
        pat = await self._at("pat")

        async def enough() -> bool:
            body = {"draft": self.draft["id"], "days": 1}
            self.replay = await self._ended(pat, (await pat.post("/v1/policy/replays", body))["id"])
            return bool(self.replay["report"]["requests"] >= len(MAKERS))

        # What the rules saw is written behind the answer, so the last request may not be there at once.
        expect(await _until(enough), f"the replay found {self.replay['report']['requests']} of {len(MAKERS)} requests")
        report = self.replay["report"]
        hit = {person["department"]: person["newly_denied"] for person in report["people"]}
        departments = {self.stack.people[name].department: 1 for name in HIT}
        expect(report["newly_denied"] == len(HIT) and hit == departments, f"expected {departments}, got {hit}")
        share = report["replayable"]["share"]
        expect(share == 1, f"only {share:.0%} could be replayed")
        return "\n".join(
            [
                f"replay {self.replay['id']}: {report['requests']} requests, {share:.0%} of them exactly",
                f"newly denied: {report['newly_denied']}; newly allowed: {report['newly_allowed']}",
                *(f"  {person['id']} ({person['department']})" for person in report["people"]),
                f"credits: {report['credits']['before']} before, {report['credits']['after']} after",
            ]
        )

    async def own_approval(self) -> str:
        pat = await self._at("pat")
        body = {"version": 3, "note": "agreed with the heads of department", "impact": self.replay["id"]}
        self.proposal = await pat.post(f"/v1/policy/drafts/{self.draft['id']}/propose", body)
        answer = await self._decides(pat)
        expect(answer.status_code == 403, f"expected 403, got {told(answer)}")
        expect("subject.own-proposal" in told(answer), told(answer))
        in_force = (await pat.get("/v1/policy/status"))["in_force"]["revision"]
        expect(in_force == self.before, "other rules came into force")
        return f"proposal {self.proposal['id']}\nPat approves: {told(answer)}"

    async def approve(self) -> str:
        quinn = await self._at("quinn")
        wording = (await quinn.get(f"/v1/organization/proposals/{self.proposal['id']}"))["wording"]
        expect(any(self.replay["id"] in line["value"] for line in wording["lines"]), "the impact is not shown")
        read = [f"{line['label']}: {line['value']}" for line in wording["lines"]]
        age = quinn.second_factor_seconds
        decided = answer_of(await self._decides(quinn))
        expect(decided["status"] == "approved", f"expected approved, got {decided['status']}")
        await self._follows(quinn, self.proposal["payload"]["revision"])
        digest = self.proposal["digest"]
        return "\n".join([*read, f"approved, digest {digest[:16]}…, second factor {age:.0f} s old; in force here"])

    async def new_rule(self) -> str:
        return "\n".join(
            [
                await self._makes("ivan", 2, "count.not-permitted"),
                await self._makes("ivan", 1, "allow"),
                await self._makes("alice", 2, "allow"),
            ]
        )

    async def roll_back(self) -> str:
        quinn = await self._at("quinn")
        body = {"revision": self.before, "reason": "Sales sends out two drafts at a time"}
        made = await quinn.post("/v1/policy/rollback", body)
        await self._follows(quinn, self.before)
        return f"in force again: {made['revision'][:12]}, {made['kind']}\n" + await self._makes("ivan", 2, "allow")

    async def audit(self) -> str:
        bob = await self._at("bob")
        query = "action:policy:*,auth:proposal:*"
        rows: list[dict[str, Any]] = []

        async def enough() -> bool:
            rows[:] = reversed((await bob.get("/audit", q=query))["rows"])
            return any(row["action"] == STORY[-1][0] for row in rows)

        await _until(enough)
        found = [(row["action"], row["effect"]) for row in rows]
        expect(_in_order(found, STORY), f"the story is not there in its order: {found}")
        lines = [f"{row['opened_at'][11:19]}  {row['who']:<14} {row['action']:<26} {row['effect']}" for row in rows]
        return "\n".join([f"search: {query}", *lines])

    async def verify(self) -> str:
        copy = self.stack.state / "copies" / "audit"
        made = _python("-m", "audit", "snapshot", str(self.stack.audit_directory), str(copy))
        expect(made.returncode == 0, f"snapshot:\n{made.stdout}{made.stderr}")
        key = str(self.stack.state / "secrets" / "audit-signing.key")
        vkey = _python("-m", "audit", "keys", "public", "--signing-key", key, "--origin", ORIGIN).stdout.strip()
        witness = str(self.stack.state / "witness" / "checkpoints.txt")
        held = _python("-m", "audit", "verify", str(copy), "--vkey", vkey, "--witness", witness)
        expect(held.returncode == 0, f"exit {held.returncode}:\n{held.stdout}{held.stderr}")
        return "$ python -m audit verify …   (exit 0)\n" + held.stdout.strip()

    async def _at(self, name: str) -> Visitor:
        """Somebody, signed in when they are first needed."""
        if name not in self._inside:
            self._inside[name] = await self._doors.enter_async_context(Visitor(self.stack, name))
        return self._inside[name]

    async def _makes(self, name: str, pictures: int, expected: str) -> str:
        """One request, and what came of it: `allow`, or the code of a refusal."""
        visitor = await self._at(name)
        body = {"prompt": PROMPT, "n": pictures, "size": "256x256", "seed": SEED}
        answer = await visitor.ask("POST", "/v1/images/generations", body)
        who = f"{visitor.person.display_name} ({visitor.person.department}), {pictures} at a time:"
        if expected == "allow":
            given = len(answer_of(answer)["data"])
            expect(given == pictures, f"{who} expected {pictures} pictures, got {given}")
            return f"{who} 200, {given} {'picture' if given == 1 else 'pictures'}"
        expect(answer.status_code == 403 and expected in told(answer), f"{who} expected {expected}, got {told(answer)}")
        return f"{who} {told(answer)}"

    async def _reader(self, who: Visitor) -> policy_edits.Read:
        """The files in force that the author changes, as the gateway has them."""
        prefix = f"/v1/policy/revisions/{self.before}/files"
        files = {path: str((await who.get(f"{prefix}/{path}"))["content"]) for path in policy_edits.READS}
        return files.__getitem__

    async def _save(self, who: Visitor, files: Mapping[str, str], note: str) -> None:
        body = {"after": self.draft["version"]["number"], "files": files, "note": note}
        self.draft = await who.post(f"/v1/policy/drafts/{self.draft['id']}", body)

    async def _checked(self, who: Visitor) -> dict[str, Any]:
        return await who.post(f"/v1/policy/drafts/{self.draft['id']}/check")

    async def _ended(self, who: Visitor, replay: str) -> dict[str, Any]:
        job: dict[str, Any] = {}

        async def ended() -> bool:
            job.update(await who.get(f"/v1/policy/replays/{replay}"))
            return job["status"] not in ("waiting", "running")

        await _until(ended, seconds=60)
        expect(job["status"] == "done", f"the replay is {job['status']}: {job['failure']}")
        return job

    async def _decides(self, who: Visitor) -> Any:
        path = f"/v1/organization/proposals/{self.proposal['id']}/approve"
        return await who.ask("POST", path, {"digest": self.proposal["digest"]})

    async def _follows(self, who: Visitor, revision: str) -> None:
        async def there() -> bool:
            status = await who.get("/v1/policy/status")
            return {status["here"]["revision"], status["in_force"]["revision"]} == {revision}

        expect(await _until(there), f"the gateway does not run {revision[:12]}")


async def _until(held: Callable[[], Awaitable[bool]], seconds: float = FOLLOW_SECONDS) -> bool:
    """Ask again until it holds; False when it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not await held():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.2)
    return True


def _in_order(found: Sequence[tuple[str, str]], expected: Sequence[tuple[str, str]]) -> bool:
    """Whether `expected` can be read off `found` from left to right."""
    rest = iter(found)
    return all(one in rest for one in expected)


def _problem(problem: Mapping[str, Any]) -> str:
    place = ":".join(str(problem[part]) for part in ("path", "line", "column") if problem[part])
    return f"{place}: {problem['message']} [{problem['check']}]"


def _python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False, timeout=120)


def take(state: Path, say: Say, settings: Mapping[str, Any] | None = None) -> bool:
    """Start everything under `state`, tell the story, stop everything."""
    say("Starting the identity provider, the model server and the gateway (policy.source: managed) …")
    changes: dict[str, Any] = {**(settings or {})}
    changes["policy"] = {"directory": str(state / "policies"), **changes.get("policy", {}), "source": "managed"}
    changes["identity"] = {**changes.get("identity", {}), "roles": ROLES}
    with Stack(state, say=say, settings=changes, staff=PEOPLE) as stack:
        held = asyncio.run(PolicyTour(stack, say).run())
    if held:
        say(
            "\nLook at: docs/how-to/change-a-rule.md (the same from your terminal), "
            "docs/explanation/how-a-rule-changes.md (each step, and what it promises)."
        )
    else:
        say(f"\nThe logs: {stack.state / 'logs'} (with --state; without, they go with the rest).")
    return held


if __name__ == "__main__":
    sys.exit(command("python -m demo.tours.policy", __doc__, take))
