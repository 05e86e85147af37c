"""The walk: what people would do with the product on a first day, over HTTP, each step said with its outcome."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import shutil
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import openai
from PIL import Image, ImageChops

from demo.idp.browserless import SignInStopped, sign_in
from demo.stack import ORIGIN, Stack

PROMPT: Final = "a fox on a blue background"
EDIT_PROMPT: Final = "a panda on a green background"
CARD_PROMPT: Final = "a poster for the order paid with 4111 1111 1111 1111"
MAIL_PROMPT: Final = "a panda on a green background, for dana.miller@contoso.example"
FAINT: Final = 20
"""Levels of 255 by which a watermark may change a pixel."""
LEAST_WIDTH: Final = 78


class StepFailed(Exception):
    """A step did not do what it should. The message says what was seen instead."""


@dataclass(slots=True)
class Walk:
    """The steps, in order, and what they hand to each other."""

    stack: Stack
    pictures: Path
    say: Callable[[str], None] = print
    done: int = 0
    failed: list[str] = field(default_factory=list)
    alice: httpx.AsyncClient = field(init=False)
    key: str = ""
    picture_id: str = ""
    requests: dict[str, str] = field(default_factory=dict)

    async def run(self) -> bool:
        """Take all steps; True when each did what it should. A step that failed does not stop those that can go on."""
        steps: tuple[tuple[str, Callable[[], Awaitable[str]]], ...] = (
            ("Carol signs in with her password alone: no second factor, no entry", self.no_second_factor),
            ("Alice signs in through the company's provider, password and TOTP", self.sign_in),
            ("Alice mints an API key and points the unmodified OpenAI SDK at the gateway", self.picture),
            ("Alice repaints one half of it, and asks for a variation of the whole", self.edit_and_vary),
            ("Alice's prompt holds a payment card number: refused, explained, not charged", self.card),
            ("Alice's prompt holds an e-mail address: masked before the model sees it", self.mail),
            ("Dave has no role here: refused by policy, whatever he asks", self.no_role),
            ("Bob, the auditor, searches the log and finds all six", self.audit),
            ("Bob verifies the proof of the picture's record", self.proof),
            ("A database administrator changes one stored record: verification names it", self.tamper),
            ("Thirty-one days later nobody can read it, and every proof still holds", self.after_thirty_days),
        )
        self.alice = httpx.AsyncClient(base_url=self.stack.url, timeout=60, trust_env=False)
        try:
            for number, (title, step) in enumerate(steps, 1):
                self.say(f"\n{number:2}. {title}")
                begun = time.perf_counter()
                try:
                    outcome = await step()
                except (StepFailed, SignInStopped, httpx.HTTPError, openai.OpenAIError, OSError) as error:
                    self.failed.append(title)
                    self.say(f"    ✗ {error}")
                    continue
                self.done += 1
                for line in outcome.splitlines():
                    self.say(f"    {line}")
                self.say(f"    ✓ {time.perf_counter() - begun:.1f} s")
        finally:
            await self.alice.aclose()
        return not self.failed

    async def no_second_factor(self) -> str:
        async with httpx.AsyncClient(base_url=self.stack.url, timeout=30, trust_env=False) as client:
            try:
                await sign_in(client, self.stack.url, self.stack.people["carol"])
            except SignInStopped as stopped:
                return f"refused: {stopped}"
            answer = await _generate(client, PROMPT)
        _expect(answer.status_code in (401, 403), f"expected a refusal, got {answer.status_code}")
        return _told(answer)

    async def sign_in(self) -> str:
        await sign_in(self.alice, self.stack.url, self.stack.people["alice"])
        credits = (await self.alice.get("/v1/credits")).raise_for_status().json()
        _expect(credits["remaining"] == 50, f"expected 50 credits, got {credits['remaining']}")
        return f"signed in; {credits['remaining']} credits for her first month"

    async def picture(self) -> str:
        csrf = (await self.alice.get("/v1/session")).raise_for_status().json()["csrf_token"]
        minted = await self.alice.post(
            "/v1/keys",
            json={
                "name": "demo",
                "scopes": ["image:generate", "image:edit", "image:vary", "model:list", "credit:read"],
                "days": 7,
            },
            headers={"x-csrf-token": csrf, "origin": self.stack.url},
        )
        _expect(minted.is_success, f"minting a key: {minted.status_code} {_told(minted)}")
        self.key = minted.json()["key"]
        async with openai.AsyncOpenAI(api_key=self.key, base_url=f"{self.stack.url}/v1") as client:
            raw = await client.images.with_raw_response.generate(prompt=PROMPT, model="imprimatur-embedded", n=1)
        self.picture_id = self.requests["picture"] = raw.headers["x-request-id"]
        answer = raw.parse()
        data = base64.b64decode(answer.data[0].b64_json or "") if answer.data else b""
        _expect(data.startswith(b"\x89PNG"), "expected a PNG")
        self.pictures.mkdir(parents=True, exist_ok=True)
        path = self.pictures / "fox.png"
        path.write_bytes(data)
        return f"key shown once: {self.key[:12]}…\n“{PROMPT}” -> {path} ({len(data):,} bytes, {answer.size})"

    async def edit_and_vary(self) -> str:
        _expect(bool(self.picture_id), "there is no picture to edit")
        fox = (self.pictures / "fox.png").read_bytes()
        picture = Image.open(io.BytesIO(fox)).convert("RGB")
        kept = (0, 0, picture.width // 2, picture.height)
        mask = Image.new("RGBA", picture.size, (0, 0, 0, 0))
        mask.paste((0, 0, 0, 255), kept)  # opaque: to be kept
        drawn = io.BytesIO()
        mask.save(drawn, "PNG")
        async with openai.AsyncOpenAI(api_key=self.key, base_url=f"{self.stack.url}/v1") as client:
            edited = await client.images.with_raw_response.edit(
                image=("fox.png", fox, "image/png"),
                mask=("mask.png", drawn.getvalue(), "image/png"),
                prompt=EDIT_PROMPT,
            )
            varied = await client.images.with_raw_response.create_variation(image=("fox.png", fox, "image/png"))
        for name, raw in (("edit", edited), ("variation", varied)):
            self.requests[name] = raw.headers["x-request-id"]
            answer = raw.parse()
            _expect(bool(answer.data), f"no picture of the {name}")
            (self.pictures / f"fox-{name}.png").write_bytes(base64.b64decode((answer.data or [])[0].b64_json or ""))
        after = Image.open(self.pictures / "fox-edit.png").convert("RGB")
        _expect(after.size == picture.size, f"expected {picture.size}, got {after.size}")
        apart = ImageChops.difference(after, picture)
        beside, painted = (max(one.tobytes()) for one in (apart.crop(kept), apart))
        _expect(beside <= FAINT, "more than the watermark has changed outside the mask")
        _expect(painted > 4 * FAINT, "nothing was painted")
        return (
            f"“{EDIT_PROMPT}” on the right half -> {self.pictures / 'fox-edit.png'}; the left half is the same "
            f"but for the watermark ({beside} of 255 levels at most)\n"
            f"variation -> {self.pictures / 'fox-variation.png'}"
        )

    async def card(self) -> str:
        before = await self._credits()
        answer = await self._with_key(CARD_PROMPT)
        self.requests["card"] = answer.headers["x-request-id"]
        error = answer.json().get("error", {})
        _expect(answer.status_code == 400, f"expected 400, got {answer.status_code}")
        _expect(error.get("code") == "moderation_blocked", f"expected moderation_blocked, got {error.get('code')}")
        _expect("4111" not in answer.text, "the answer repeats the number")
        _expect(answer.headers.get("x-should-retry") == "false", "an SDK would send it again")
        after = await self._credits()
        _expect(before == after, f"credits went from {before} to {after}")
        return (
            f"{answer.status_code} {error['reasons'][0]['code']}: {error['message']}\ncredits before and after: {after}"
        )

    async def mail(self) -> str:
        answer = await self._with_key(MAIL_PROMPT)
        self.requests["mail"] = answer.headers["x-request-id"]
        _expect(answer.is_success, f"{answer.status_code} {_told(answer)}")
        revised = answer.json()["data"][0].get("revised_prompt", "")
        _expect("contoso" not in revised and "@example" in revised, "the address was not masked")
        (self.pictures / "panda.png").write_bytes(base64.b64decode(answer.json()["data"][0]["b64_json"]))
        return f"sent:    {MAIL_PROMPT}\nrevised: {revised}"

    async def no_role(self) -> str:
        async with httpx.AsyncClient(base_url=self.stack.url, timeout=30, trust_env=False) as client:
            await sign_in(client, self.stack.url, self.stack.people["dave"])
            csrf = (await client.get("/v1/session")).raise_for_status().json()["csrf_token"]
            answer = await _generate(client, PROMPT, csrf=csrf)
        self.requests["no role"] = answer.headers["x-request-id"]
        _expect(answer.status_code == 403, f"expected 403, got {answer.status_code}")
        return _told(answer)

    async def audit(self) -> str:
        async with self._bob() as bob:
            await sign_in(bob, self.stack.url, self.stack.people["bob"])
            found = await bob.get("/audit", headers={"accept": "application/json"})
            _expect(found.is_success, f"{found.status_code} {_told(found)}")
            rows = {row["event_id"]: row for row in found.json()["rows"]}
        missing = [name for name, request_id in self.requests.items() if request_id not in rows]
        _expect(len(self.requests) == 6 and not missing, f"not in the log: {', '.join(missing) or 'a request'}")
        lines = []
        for request_id in self.requests.values():
            row = rows[request_id]
            lines.append(f"{row['who']:<14} {row['action']:<15} {row['effect']:<6} {', '.join(row['reasons'])}")
        return "\n".join(lines)

    async def proof(self) -> str:
        _expect(bool(self.picture_id), "there is no picture to prove")
        async with self._bob() as bob:
            await sign_in(bob, self.stack.url, self.stack.people["bob"])
            deadline = time.monotonic() + 10
            while True:
                answer = await bob.get(f"/audit/records/{self.picture_id}", headers={"accept": "application/json"})
                _expect(answer.is_success, f"{answer.status_code} {_told(answer)}")
                proof = answer.json()["proof"]
                if proof["verified"] or time.monotonic() > deadline:
                    break
                await asyncio.sleep(0.3)  # the next checkpoint is at most a second away
        _expect(proof["verified"], "the proof does not verify")
        return f"record {proof['seq']} is in the tree of {proof['tree_size']} records whose head the log signed"

    async def tamper(self) -> str:
        _expect(bool(self.picture_id), "there is no record to tamper with")
        copy = self.stack.state / "copies" / "tampered"
        shutil.rmtree(copy, ignore_errors=True)
        made = _audit("snapshot", str(self.stack.audit_directory), str(copy))
        _expect(made.returncode == 0, f"snapshot:\n{made.stdout}{made.stderr}")
        good = self._verify(copy)
        _expect(good.returncode == 0, f"the untouched copy does not verify:\n{good.stdout}{good.stderr}")
        _flip_a_byte(copy, self.picture_id)
        bad = self._verify(copy)
        _expect(bad.returncode == 1, f"expected exit 1, got {bad.returncode}:\n{bad.stdout}{bad.stderr}")
        said = [line.strip() for line in (bad.stdout + bad.stderr).splitlines() if self.picture_id in line]
        _expect(bool(said), f"the record is not named:\n{bad.stdout}{bad.stderr}")
        return "one byte of one sealed prompt, by plain SQL; then python -m audit verify: exit 1\n" + said[0]

    async def after_thirty_days(self) -> str:
        _expect(bool(self.picture_id), "there is no record to wait for")
        # The log has one writer at a time, so the gateway rests for the second that copying takes.
        copy = self.stack.state / "copies" / "later"
        shutil.rmtree(copy, ignore_errors=True)
        self.stack.gateway.stop()
        shutil.copytree(self.stack.audit_directory, copy)
        # What the witness knew at that moment: what the real log writes from here on is not the copy's history.
        witness = Path(shutil.copy(self._witness(), copy.with_name("witness.txt")))
        self.stack.restart_gateway()
        later = (datetime.now(UTC) + timedelta(days=32)).strftime("%Y-%m-%dT%H:%M:%SZ")
        secret = self.stack.state / "secrets"
        keys = ("--kek", str(secret / "audit-kek.key"), "--signing-key", str(secret / "audit-signing.key"))
        before = _open_inside_a_case(copy, self.picture_id, keys)
        _expect(before.returncode == 0 and PROMPT in before.stdout, f"not readable today:\n{before.stderr}")
        purge = _audit("purge", str(copy), *keys, "--now", later)
        _expect(purge.returncode == 0, f"purge:\n{purge.stdout}{purge.stderr}")
        after = _open_inside_a_case(copy, self.picture_id, keys, "--now", later)
        _expect(after.returncode != 0 and PROMPT not in after.stdout, "still readable")
        proofs = self._verify(copy, witness)
        _expect(proofs.returncode == 0, f"the proofs broke:\n{proofs.stdout}{proofs.stderr}")
        refusal = after.stderr.strip().splitlines()[-1]
        today = "today: readable, inside a case that two people made (and the reading is recorded)"
        return f"{today}\n{later[:10]}: {refusal}\nverify: every proof holds"

    async def _with_key(self, prompt: str) -> httpx.Response:
        """As a program would: one credential, the key."""
        headers = {"authorization": f"Bearer {self.key}"}
        async with httpx.AsyncClient(base_url=self.stack.url, timeout=60, trust_env=False, headers=headers) as client:
            return await client.post("/v1/images/generations", json={"prompt": prompt})

    def _bob(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.stack.url, timeout=30, trust_env=False)

    async def _credits(self) -> int:
        headers = {"authorization": f"Bearer {self.key}"}
        async with httpx.AsyncClient(base_url=self.stack.url, trust_env=False) as client:
            return int((await client.get("/v1/credits", headers=headers)).raise_for_status().json()["remaining"])

    def _verify(self, store: Path, witness: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Offline, with the public key and what the witness saw."""
        signing_key = str(self.stack.state / "secrets" / "audit-signing.key")
        vkey = _audit("keys", "public", "--signing-key", signing_key, "--origin", ORIGIN).stdout.strip()
        return _audit("verify", str(store), "--vkey", vkey, "--witness", str(witness or self._witness()))

    def _witness(self) -> Path:
        return self.stack.state / "witness" / "checkpoints.txt"


async def _generate(client: httpx.AsyncClient, prompt: str, *, csrf: str = "") -> httpx.Response:
    headers = {"x-csrf-token": csrf, "origin": str(client.base_url).rstrip("/")}
    return await client.post("/v1/images/generations", json={"prompt": prompt}, headers=headers)


def _audit(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "audit", *arguments], capture_output=True, text=True, check=False)


def _open_inside_a_case(
    store: Path, event_id: str, keys: tuple[str, ...], *now: str
) -> subprocess.CompletedProcess[str]:
    """Bob asks for a case, Gail agrees, Bob opens. A command line sees no second factor, and says so on record."""
    about = ("--event", event_id, "--purpose", "showing day 30")
    asked = _audit("case", "request", str(store), *keys, "--officer", "bob", *about, "--json", *now)
    _expect(asked.returncode == 0, f"the case was not taken:\n{asked.stdout}{asked.stderr}")
    case = str(json.loads(asked.stdout)["id"])
    agreed = _audit("case", "approve", str(store), case, *keys, "--officer", "gail", "--without-mfa-evidence", *now)
    _expect(agreed.returncode == 0, f"the case was not approved:\n{agreed.stdout}{agreed.stderr}")
    inside = ("--reader", "bob", "--case", case, "--without-mfa-evidence")
    return _audit("open", str(store), event_id, *keys, *inside, *now)


def _flip_a_byte(store: Path, event_id: str) -> None:
    """What a dishonest administrator could do with plain SQL: one byte of one sealed prompt."""
    ident = uuid.UUID(event_id).bytes
    for path in store.rglob("*.sqlite"):
        with closing(sqlite3.connect(path)) as database, database:
            if not database.execute("select 1 from sqlite_master where name = 'sealed'").fetchone():
                continue
            found = database.execute(
                "select s.seq, s.content from sealed s join record r using (seq) where r.event_id = ? order by seq",
                [ident],
            ).fetchone()
            if found is not None:
                seq, content = found[0], bytearray(found[1])
                content[len(content) // 2] ^= 1
                database.execute("update sealed set content = ? where seq = ?", [bytes(content), seq])
                return
    raise StepFailed("the copy does not hold the record")


def _told(answer: httpx.Response) -> str:
    try:
        error: dict[str, Any] = answer.json()["error"]
    except (json.JSONDecodeError, KeyError, TypeError):
        return f"{answer.status_code}"
    return f"{answer.status_code} {error['code']}: {error['message']}"


def _expect(held: bool, otherwise: str) -> None:
    if not held:
        raise StepFailed(otherwise)
