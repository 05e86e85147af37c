"""The real web application with three stand-ins, so that pages can be seen in every state within a second.

Real: routes, templates, static files, the edge with its Content-Security-Policy, CSRF, error pages, screening, credits,
API keys, the audit log. Stand-ins: who is signed in (a cookie that holds a name), policy (a table), and the pipeline,
which acts out what words in the prompt say: see `Acted`.

    python -m tests.browser.preview        serves it until interrupted, to look at while changing a page
"""

from __future__ import annotations

import asyncio
import io
import random
import socket
import sys
import tempfile
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import uvicorn
from PIL import Image, ImageDraw

from audit import AuditLog, AuditSettings, Entry, Subject
from gateway.app import create_app
from gateway.credits import Ledger
from gateway.errors import (
    ContentBlocked,
    CreditsEmpty,
    Denied,
    ModelBroken,
    ModelUnavailable,
    RateLimited,
    ReviewPending,
    StepUpRequired,
    Unauthenticated,
)
from gateway.exchange import (
    Accepted,
    Actor,
    ActorId,
    Credentials,
    Decision,
    Finding,
    Making,
    MaskOrder,
    Mfa,
    Obligations,
    Origin,
    Partial,
    Picture,
    Progress,
    Reason,
    RequestId,
    Result,
    StepUp,
    TokenUsage,
)
from gateway.identity import Identity, cookies
from gateway.identity.profile import Described
from gateway.obedience import mask
from gateway.recording import Call
from gateway.screening.facade import Screening
from gateway.services import Services
from gateway.settings import CreditSettings, IdentitySettings, Provider, ServerSettings, Settings
from gateway.storage.database import Database
from gateway.storage.schema import metadata
from gateway.upstream.catalogue import Model
from gateway.vocabulary import Effect, Permission, Role, Severity

ROOT = Path(__file__).resolve().parents[2]
COOKIE = "imprimatur-session"
STEPS = 20

XSS = tuple(
    line
    for line in (ROOT / "tests/vectors/xss.txt").read_text("utf-8").splitlines()
    if line and not line.startswith("# ")
)


def actor(name: str, display: str, *roles: Role, department: str = "") -> Actor:
    return Actor(
        id=ActorId(f"preview|{name}"),
        display_name=display,
        method="session",
        credential_id=name,
        roles=frozenset(roles),
        department=department,
        email=f"{name}@example.com",
        mfa=Mfa(at=datetime.now(UTC)),
    )


PEOPLE = {
    "alice": actor("alice", "Alice Meyer", Role.EMPLOYEE, department="Design"),
    "bob": actor("bob", "Bob Ito", Role.AUDITOR, department="Compliance"),
    "dave": actor("dave", "Dave Okafor"),
    "both": actor("both", "Mira Sand", Role.EMPLOYEE, Role.AUDITOR, department="Legal"),
    "hostile": actor("hostile", XSS[0], Role.EMPLOYEE, Role.AUDITOR, department=XSS[1]),
}

GRANTS = {
    Role.EMPLOYEE: {
        Permission.IMAGE_GENERATE,
        Permission.MODEL_LIST,
        Permission.CREDIT_READ,
        Permission.KEY_MANAGE,
    },
    Role.AUDITOR: {Permission.AUDIT_SEARCH, Permission.AUDIT_PROVE},
}


class CookieIdentity(Identity):
    """The real one, but a session is a cookie with a name in it."""

    async def authenticate(self, credentials: Credentials, origin: Origin) -> Actor:
        person = PEOPLE.get(cookies.read(credentials.cookie, COOKIE) or "")
        if person is None:
            raise Unauthenticated("Sign in first.")
        return replace(person, mfa=Mfa(at=datetime.now(UTC)))

    async def sign_out(self, actor: Actor) -> tuple[cookies.Cookie, str | None]:
        return cookies.Cookie(name=COOKIE, value="", max_age_seconds=0, secure=False), None


class TablePolicy:
    """A role grants, or it is a denial."""

    async def decide_admin(self, document: Mapping[str, Any]) -> Decision:
        granted = {p for role in document["subject"]["roles"] for p in GRANTS.get(Role(role), ())}
        if document["action"] in granted:
            return Decision(effect=Effect.ALLOW)
        message = "None of your roles lets you do this. If your work needs it, ask your administrator for access."
        return Decision(effect=Effect.DENY, reasons=(Reason(code="role.not-permitted", message=message),))


class TwoModels:
    """A catalogue of a small and a large one."""

    async def models(self) -> dict[str, Model]:
        small = Model(id="house-128", sizes=("128x128",), default_size="128x128", max_n=10)
        large = Model(
            id="sdxl-design", sizes=("512x512", "768x512", "512x768", "1024x1024"), default_size="512x512", max_n=4
        )
        return {small.id: small, large.id: large}


class Acted:
    """A pipeline that acts out what the prompt says: `refused`, `review`, `withheld`, `stale`, `poor`, `busy`, `down`,
    `breaks`, `cut`, `queue`, `hold`, `slow`. What screening finds in it is refused or masked, for real."""

    def __init__(self, screening: Screening, ledger: Ledger, identity: CookieIdentity) -> None:
        self._screening = screening
        self._ledger = ledger
        self._identity = identity
        self.cancelled: list[str] = []

    async def run(self, call: Call) -> AsyncGenerator[Accepted | Progress | Partial | Result, None]:
        person = await self._identity.authenticate(call.credentials, call.origin)
        request = await call.read()
        request_id = RequestId(f"01a2033e-6394-7688-ae58-{random.getrandbits(48):012x}")
        call.name(request_id)
        words = set(request.prompt.lower().replace(",", " ").split())
        self._refuse(words)
        findings = await self._screening.screen_prompt(request.prompt)
        stopping = tuple(_reason(f) for f in findings if f.proposed is Effect.DENY)
        if stopping:
            raise ContentBlocked(f"{stopping[0].message} Nothing was charged.", stage="input", reasons=stopping)
        orders = tuple(MaskOrder(finding=f.id, with_=f.replacement) for f in findings if f.proposed is Effect.MASK)
        decision = Decision(effect=Effect.MASK, obligations=Obligations(mask=orders))
        masked = await mask(self._screening, {"prompt": request.prompt}, findings, decision)
        revised = masked["prompt"] if orders else None
        charge = await self._ledger.reserve(request_id, person.id, -(-request.n // 4))
        yield Accepted(
            request_id=request_id, credits=charge.credits, credits_remaining=charge.remaining, revised_prompt=revised
        )
        try:
            if "queue" in words:
                yield Progress(step=0, steps=STEPS, queue_position=3)
                await asyncio.sleep(1.5)
            pictures = [_picture(index, request.size) for index in range(request.n)]
            for step in range(1, STEPS + 1):
                await asyncio.sleep(0.15 if "slow" in words else 0.01)
                yield Progress(step=step, steps=STEPS, eta_seconds=(STEPS - step) * 0.4)
                if step in (8, 14):
                    for p in pictures:
                        yield Partial(
                            index=p.index,
                            partial_index=step // 10,
                            data=p.data,
                            media_type=p.media_type,
                            width=p.width,
                            height=p.height,
                        )
                if step == 14:
                    await self._stumble(words)
        except (GeneratorExit, asyncio.CancelledError):
            self.cancelled.append(request.prompt)
            await asyncio.shield(self._ledger.release(request_id))
            raise
        except Exception:
            await self._ledger.release(request_id)
            raise
        left = await self._ledger.settle(charge)
        yield Result(
            request_id=request_id,
            pictures=tuple(pictures),
            making=Making(model=request.model, seed=1234567890),
            revised_prompt=revised,
            usage=TokenUsage(),
            size=request.size,
            credits=charge.credits,
            credits_remaining=left,
            created=datetime.now(UTC),
        )

    def _refuse(self, words: set[str]) -> None:
        if "refused" in words:
            reasons = (
                Reason(code="model.not-permitted", message="This model is not for your group.", help="Choose another."),
                Reason(code="hours.closed", message="Pictures are made between 6 and 22 o’clock."),
            )
            raise Denied("This model is not for your group. Nothing was charged.", reasons=reasons)
        if "review" in words:
            message = "A reviewer looks at this first. You will find the answer here."
            raise ReviewPending(message, reasons=(Reason(code="content.public-figure", message=message),))
        if "stale" in words:
            message = "It has been a while since you confirmed that it is you. Do it again, then send this once more."
            raise StepUpRequired(message, step_up=StepUp(max_age_seconds=900), reasons=(_low("mfa.stale", message),))
        if "poor" in words:
            message = "This costs 1 credit; you have 0. Your next credits come on 1 December. Nothing was charged."
            raise CreditsEmpty(message, reasons=(_low("credits.empty", "Not enough credits."),))
        if "busy" in words:
            raise RateLimited("Very many requests are being worked on.", retry_after_seconds=7)
        if "down" in words:
            raise ModelUnavailable("The image server can’t be reached. Nothing was charged; try again in a minute.")

    async def _stumble(self, words: set[str]) -> None:
        if "hold" in words:
            await asyncio.sleep(60)
        if "breaks" in words:
            raise ModelBroken("The image server ended without a picture. Nothing was charged.")
        if "withheld" in words:
            message = "The picture shows something we don’t hand out. Try other words."
            reasons = (Reason(code="content.violence", message=message),)
            raise ContentBlocked(f"{message} Nothing was charged.", stage="output", reasons=reasons)
        if "cut" in words:
            raise ConnectionAbortedError("acted: the process dies in the middle of a stream")


def _low(code: str, message: str) -> Reason:
    return Reason(code=code, message=message, severity=Severity.LOW)


def _reason(finding: Finding) -> Reason:
    return Reason(code=finding.type, message=finding.message, span=(finding.start, finding.end))


def _picture(index: int, size: str) -> Picture:
    """A friendly shape on a coloured ground."""
    width, height = (int(n) for n in size.split("x")) if "x" in size else (128, 128)
    ground = ["#4d8ee6", "#7a6cd1", "#59b34d", "#e8a13c", "#d8604f", "#3f9f9a"][index % 6]
    image = Image.new("RGB", (width, height), ground)
    pen = ImageDraw.Draw(image)
    x, y, r = width / 2, height / 2, min(width, height) * 0.34
    pen.ellipse((x - r, y - r, x + r, y + r), fill="#fdf6e3")
    for side in (-1, 1):
        pen.ellipse((x + side * r / 2 - r / 7, y - r / 4, x + side * r / 2 + r / 7, y + r / 9), fill="#2b2926")
    pen.arc((x - r / 2, y - r / 4, x + r / 2, y + r / 1.6), 20, 160, fill="#2b2926", width=max(2, width // 40))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    data = buffer.getvalue()
    return Picture(
        index=index, data=data, media_type="image/png", width=width, height=height, sha256=sha256(data).hexdigest()
    )


async def _fill(log: AuditLog, move: Any) -> list[str]:
    """Two days of requests by four people, one of them with hostile names. Returns the request ids."""
    chance = random.Random(4)
    made = []
    who = [(name, p.display_name, p.department) for name, p in PEOPLE.items() if Role.EMPLOYEE in p.roles]
    who += [(f"x{n}", text, text) for n, text in enumerate(XSS)]
    for n in range(48 + len(XSS)):
        name, display, department = who[n] if n < len(who) else chance.choice(who[:3])
        subject = Subject(actor=f"preview|{name}", display=display, department=department, groups=(display,))
        move(minutes=chance.randint(5, 55), seconds=chance.randint(0, 59))
        entry = Entry(action="image:generate", subject=subject, model="house-128", content={"prompt": "a fox"})
        ticket = await log.intend(entry)
        made.append(ticket.event_id)
        if n % 19 == 7:
            continue  # still open
        effect = chance.choice(["allow"] * 5 + ["mask", "deny", "deny", "failed", "cancelled"])
        reasons = {
            "deny": (chance.choice(["dlp.payment-card", "content.violence", "mfa.stale"]),),
            "mask": ("dlp.email-address",),
            "failed": ("model.unavailable",),
            "cancelled": ("client.gone",),
        }.get(effect, ())
        done = effect in ("allow", "mask")
        outcome = replace(
            entry,
            effect=effect,
            reasons=reasons,
            bundle_revision="baseline-r41",
            model="house-128" if done else "",
            model_digest="sha256:9f2c11aa" if done else "",
            credits=int(done),
            latency_ms=3120,
        )
        move(seconds=3)
        await log.conclude(ticket, outcome)
    return made


@dataclass
class Running:
    """The preview while it serves."""

    url: str
    requests: list[str]
    pipeline: Acted


@asynccontextmanager
async def preview_services(state: Path, url: str) -> AsyncIterator[Services]:
    secret = state / "identity.key"
    secret.write_text("preview " * 8)
    secret.chmod(0o600)
    provider = Provider(name="preview", label="Sign in with Acme ID", issuer=f"{url}/idp", client_id="imprimatur")
    settings = Settings(
        server=ServerSettings(public_url=url),
        identity=IdentitySettings(providers=(provider,), cookie_secure=False, secret_path=secret),
    )
    start = datetime.now(UTC) - timedelta(hours=40)
    offset = timedelta()

    def move(**by: int) -> None:
        nonlocal offset
        offset += timedelta(**by)

    log_settings = AuditSettings(
        directory=state / "audit",
        kek_path=state / "kek",
        signing_key_path=state / "signing",
        origin="preview.imprimatur.example/audit",
        create_keys=True,
        checkpoint_interval_seconds=0.05,
    )

    def clock() -> datetime:
        return datetime.now(UTC)

    async with AsyncExitStack() as stack:
        database = Database(f"sqlite+aiosqlite:///{state / 'preview.sqlite'}")
        stack.push_async_callback(database.aclose)
        async with database.engine.begin() as connection:
            await connection.run_sync(metadata.create_all)
        identity = CookieIdentity(settings.identity, url, database, clock)
        stack.push_async_callback(identity.aclose)
        for person in PEOPLE.values():
            async with database.transaction() as tx:
                await identity.people.seen(tx, person.id, Described(display_name=person.display_name))
        log = await AuditLog.open(log_settings, clock=lambda: min(start + offset, clock()))
        stack.push_async_callback(log.aclose)
        made = await _fill(log, move)
        move(days=30)  # from now on its clock is ours
        screening = Screening(directory=ROOT / "policies", secret=b"preview " * 8)
        stack.push_async_callback(screening.aclose)
        ledger = Ledger(database, CreditSettings(), clock)
        given = {
            "settings": settings,
            "clock": clock,
            "database": database,
            "identity": identity,
            "policy": TablePolicy(),
            "screening": screening,
            "ledger": ledger,
            "audit": log,
            "catalogue": TwoModels(),
            "pipeline": Acted(screening, ledger, identity),
            "metrics": SimpleNamespace(requests=made),
        }
        yield Services(**{f.name: given.get(f.name) for f in fields(Services)})  # type: ignore[arg-type]


class Preview:
    """Serves from a thread of its own, on a port that the system chooses. Use it as a context manager."""

    def __init__(self, state: Path, port: int = 0) -> None:
        self._state = state
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", port))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._server: uvicorn.Server | None = None
        self._ready = threading.Event()
        self._trouble: BaseException | None = None
        self._services: Services | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    @property
    def running(self) -> Running:
        assert self._services is not None
        metrics: Any = self._services.metrics
        pipeline: Any = self._services.pipeline
        return Running(self.url, metrics.requests, pipeline)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(30)
        if self._trouble is not None:
            raise self._trouble
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.should_exit = True
        self._thread.join(10)

    def wait(self) -> None:
        self._thread.join()

    async def _serve(self) -> None:
        try:
            async with preview_services(self._state, self.url) as services:
                app = create_app(services.settings)
                app.state.services = self._services = services
                config = uvicorn.Config(app, lifespan="off", log_level="error", timeout_graceful_shutdown=1)
                self._server = uvicorn.Server(config)
                serving = asyncio.create_task(self._server.serve([self._socket]))
                while not self._server.started and not serving.done():
                    await asyncio.sleep(0.01)
                self._ready.set()
                await serving
        except BaseException as error:
            self._trouble = error
            raise
        finally:
            self._ready.set()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as state, Preview(Path(state), 8199) as preview:
        print(f"{preview.url}/welcome — set the cookie {COOKIE} to one of: {', '.join(PEOPLE)}", file=sys.stderr)
        preview.wait()
