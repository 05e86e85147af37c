"""The real gateway with two stand-ins, so that its pages can be seen in every state within a second.

Everything is what `gateway/wiring.py` opens: sessions, CSRF, policy, screening, credits, API keys, the audit log, the
edge with its Content-Security-Policy. Stand-ins: the pipeline, which acts out what words in the prompt say (see
`Acted`), and the catalogue of models. Nobody signs in here: `Running.session` starts a session as signing in does.

    python -m tests.browser.preview        serves it until interrupted, to look at while changing a page
"""

from __future__ import annotations

import asyncio
import io
import json
import random
import shutil
import socket
import tempfile
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, Self

import uvicorn
import yaml
from PIL import Image, ImageDraw

from audit import AuditLog, Entry, HoldKind, HoldScope, Officer, Scope, Subject
from gateway.app import create_app
from gateway.credits import Ledger, price
from gateway.errors import (
    ContentBlocked,
    CreditsEmpty,
    Denied,
    ModelBroken,
    ModelUnavailable,
    RateLimited,
    ReviewPending,
    StepUpRequired,
)
from gateway.exchange import (
    Accepted,
    Actor,
    ActorId,
    Decision,
    Finding,
    Making,
    MaskOrder,
    Mfa,
    Obligations,
    Partial,
    Picture,
    Progress,
    Reason,
    RequestId,
    Result,
    StepUp,
    TokenUsage,
)
from gateway.identity import Identity
from gateway.identity.notices import NoticeKind
from gateway.identity.people import People
from gateway.identity.profile import Described
from gateway.identity.roles import RoleMap
from gateway.identity.service_accounts import SERVICE_SCOPES, Terms, id_of
from gateway.identity.sessions import SessionId, Sessions
from gateway.obedience import mask
from gateway.observe.metrics import Metrics
from gateway.recording import Call
from gateway.screening.facade import Screening
from gateway.services import Services
from gateway.settings import (
    AuditSection,
    CreditSettings,
    IdentitySettings,
    PolicySettings,
    ProvenanceSettings,
    Provider,
    ScreeningSettings,
    ServerSettings,
    Settings,
    UpstreamSettings,
)
from gateway.storage.migrate import upgrade
from gateway.upstream.catalogue import Model
from gateway.upstream.fields import NOT_FOR_VARIATIONS
from gateway.vocabulary import TASKS, Effect, Role, Severity
from gateway.wiring import open_services
from gateway.wiring_audit import audit_settings
from tests.support.marks import own_marks
from tests.support.patience import UNHURRIED

ROOT = Path(__file__).resolve().parents[2]
COOKIE = "imprimatur-session"
STEPS = 20

XSS = tuple(
    line
    for line in (ROOT / "tests/vectors/xss.txt").read_text("utf-8").splitlines()
    if line and not line.startswith("# ")
)

PEOPLE = {
    "alice": Described(display_name="Alice Meyer", email="alice@example.com", department="Design", groups=("staff",)),
    "bob": Described(display_name="Bob Ito", email="bob@example.com", department="Compliance", groups=("auditors",)),
    "gail": Described(display_name="Gail Ross", email="gail@example.com", department="Legal", groups=("auditors",)),
    "dave": Described(display_name="Dave Okafor", email="dave@example.com"),
    "mira": Described(display_name="Mira Sand", department="Legal", groups=("staff", "auditors")),
    "carol": Described(display_name="Carol Nye", email="carol@example.com", department="IT", groups=("admins",)),
    "dan": Described(display_name="Dan Abel", email="dan@example.com", department="IT", groups=("admins",)),
    "ann": Described(display_name="Ann Vale", email="ann@example.com", department="Security", groups=("authors",)),
    "bea": Described(display_name="Bea Lund", email="bea@example.com", department="Security", groups=("approvers",)),
    "owen": Described(display_name="Owen Gray", department="Sales", groups=("staff",)),
    "torn": Described(display_name="Tora Enn", department="IT", groups=("auditors", "admins")),
    "leaver": Described(display_name="Lea Verne", department="Sales", groups=("staff",)),
    "hostile": Described(display_name=XSS[0], department=XSS[1], groups=("staff", "auditors", XSS[2])),
}
ROLES = {
    "staff": (Role.EMPLOYEE,),
    "auditors": (Role.AUDITOR,),
    "admins": (Role.ADMIN,),
    "authors": (Role.POLICY_AUTHOR,),
    "approvers": (Role.POLICY_APPROVER,),
}


class TwoModels:
    """A catalogue of a small and a large one."""

    async def models(self) -> dict[str, Model]:
        small = Model(
            id="house-128",
            sizes=("128x128",),
            default_size="128x128",
            max_n=10,
            tasks=tuple(TASKS.values()),
            knows=frozenset(NOT_FOR_VARIATIONS),
        )
        large = Model(
            id="sdxl-design",
            sizes=("512x512", "768x512", "512x768", "1024x1024"),
            default_size="512x512",
            max_n=4,
            tasks=("generate",),
        )
        return {small.id: small, large.id: large}


class Acted:
    """A pipeline that acts out what the prompt says: `refused`, `review`, `withheld`, `stale`, `poor`, `busy`, `down`,
    `breaks`, `cut`, `queue`, `hold`, `slow`. What screening finds in it is refused or masked, for real."""

    def __init__(self, screening: Screening, ledger: Ledger, identity: Identity) -> None:
        self._screening = screening
        self._ledger = ledger
        self._identity = identity
        self.cancelled: list[str] = []
        self.uploads: list[tuple[str, bytes]] = []

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
        for upload in request.uploads:
            self.uploads.append((upload.field, upload.data))
        charge = await self._ledger.reserve(request_id, person.id, price(request))
        yield Accepted(
            request_id=request_id,
            credits=charge.credits,
            credits_remaining=charge.remaining,
            revised_prompts=(revised,) if revised else (),
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
            owner=person.id,
            pictures=tuple(pictures),
            making=Making(model=request.model, seed=1234567890),
            revised_prompts=(revised,) if revised else (),
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


async def _fill(settings: Settings) -> list[str]:
    """Two days of requests by three people and everybody with a hostile name. Returns their ids, the oldest first."""
    chance = random.Random(4)
    now = datetime.now(UTC) - timedelta(hours=40)
    log = await AuditLog.open(audit_settings(settings), clock=lambda: now)
    who = [(name, PEOPLE[name].display_name, PEOPLE[name].department) for name in ("alice", "mira", "hostile")]
    who += [(f"x{n}", text, text) for n, text in enumerate(XSS)]
    made = []
    for n in range(48 + len(XSS)):
        name, display, department = who[n] if n < len(who) else chance.choice(who[:3])
        now = min(now + timedelta(minutes=chance.randint(5, 45), seconds=chance.randint(0, 59)), datetime.now(UTC))
        entry = _intent(name, display, department)
        ticket = await log.intend(entry)
        made.append(ticket.event_id)
        if n % 19 == 7:
            continue  # its process died: the sweeper concludes it as unknown
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
            bundle_revision="2026.11.1+9f2c11aa",
            model="house-128" if done else "",
            model_digest="sha256:9f2c11aa" if done else "",
            credits=int(done),
            latency_ms=3120,
        )
        await log.conclude(ticket, outcome)
    await log.aclose()
    return made


def _intent(name: str, display: str, department: str) -> Entry:
    subject = Subject(actor=f"preview|{name}", display=display, department=department, groups=(display,))
    return Entry(action="image:generate", subject=subject, model="house-128", content={"prompt": "a fox"})


@dataclass
class Running:
    """The preview while it serves."""

    url: str
    requests: list[str]
    """Request ids in the log, the oldest first; the last one is still open."""
    pipeline: Acted
    services: Services
    loop: asyncio.AbstractEventLoop
    governed: dict[str, str]
    """Addresses of a case, of holds and of requests about people's data, by the state they are in."""

    def session(self, person: str) -> str:
        """A fresh session of this person, second factor and all: the value of its cookie."""
        return asyncio.run_coroutine_threadsafe(_start_session(self.services, person), self.loop).result(30)


async def _govern(services: Services, made: list[str]) -> dict[str, str]:
    """Cases, holds and requests about people's data in every state that a page shows; Bob asks, Gail agrees."""
    now = services.clock()
    bob, gail = (
        Officer(Subject(actor=f"preview|{name}", display=PEOPLE[name].display_name), now) for name in ("bob", "gail")
    )
    governance = services.audit.governance
    found: dict[str, str] = {}
    for state in ("requested", "active"):
        case = await governance.cases.request(
            f"Complaint 17: reported misuse of a brand, {XSS[0]}",
            Scope(event_ids=(made[3],)),
            now + timedelta(hours=8),
            bob,
        )
        if state == "active":
            await governance.cases.approve(case.id, gail)
        found[f"case-{state}"] = f"/cases/{case.id}"
    for state in ("requested", "active", "release-requested"):
        whose = (
            HoldScope(actor="preview|mira", from_day=now.date())
            if state == "active"
            else HoldScope(event_ids=(made[4],))
        )
        hold = await governance.holds.request(
            HoldKind.LEGAL, whose, f"Order 17/26 of the district court, {XSS[0]}", bob
        )
        if state != "requested":
            await governance.holds.place(hold.id, gail)
        if state == "release-requested":
            await governance.holds.ask_release(hold.id, gail)
        found[f"hold-{state}"] = f"/holds/{hold.id}"
    asked = await governance.subject_access.requests.request(
        "preview|x5", "Letter of 20 November, identity checked", bob
    )
    found["export-requested"] = f"/subjects/export/{asked.id}"
    taken = await governance.subject_access.requests.request("preview|x6", f"Letter, {XSS[0]}", bob)
    await governance.subject_access.requests.approve(taken.id, gail)
    found["export-approved"] = f"/subjects/export/{taken.id}"
    # Somebody of their own: whoever is erased is in no list of people any more.
    leaving = replace(_intent("gone", "Max Gone", "Sales"), action="image:edit")
    ticket = await services.audit.intend(leaving)
    await services.audit.conclude(ticket, replace(leaving, effect="allow"))
    for state in ("requested", "done"):
        erased = await governance.erasures.requests.request("preview|gone", "Letter of 21 November, read to us", bob)
        if state == "done":
            await governance.erasures.requests.approve(erased.id, gail)
            await governance.erasures.execute(erased.id, bob)
        found[f"erasure-{state}"] = f"/subjects/erasure/{erased.id}"
    return found


async def _employ(services: Services) -> None:
    """Services in every state that a page shows, keys of one, and what waits for a second person."""
    identity = services.identity
    desk = identity.services
    carol, dan = (ActorId(f"preview|{name}") for name in ("carol", "dan"))
    carol_here = Actor(id=carol, display_name="Carol Nye", method="session", credential_id="preview")
    async with services.database.transaction() as tx:
        for name in ("alice", "carol", "dan", "owen"):
            await identity.people.seen(tx, ActorId(f"preview|{name}"), PEOPLE[name])
        for name, owner, networks, is_enabled in (
            ("newsletter", "alice", ("10.20.0.0/16", "2001:db8:5::/48"), True),
            ("orphan", "owen", (), True),
            ("retired", "alice", (), False),
        ):
            terms = Terms(
                description=f"Pictures for the {name} {XSS[0]}",
                owner=ActorId(f"preview|{owner}"),
                scopes=frozenset(SERVICE_SCOPES),
                networks=networks,
                is_enabled=is_enabled,
            )
            await desk.accounts.create(tx, id_of(name), terms, by=carol, approved_by=dan)
    await identity.people.set_status(ActorId("preview|owen"), "suspended")
    account = await desk.get("newsletter")
    for n, name in enumerate(("Night run", f"Old run {XSS[0]}", "Ready", "Asked")):
        draft = await desk.draft_key(
            carol_here, account, name=name, scopes=["image:generate"], networks=[], days=90, note="For the night run"
        )
        await identity.proposals.submit(draft)
        if name == "Asked":
            continue
        async with services.database.transaction() as tx:
            await identity.proposals.decide(tx, draft, by=dan, status="approved")
        if name == "Ready":
            continue
        key = await desk.prepare_key(carol_here, draft.id)
        await desk.store_key(key)
        if n == 1:
            await desk.revoke_key(account, key.info.id)
    wider = replace(account.terms, networks=())
    draft = await desk.draft_account(carol_here, "newsletter", account.terms, wider, note=f"We move {XSS[0]}")
    await identity.proposals.submit(draft)


async def _administer(services: Services) -> dict[str, str]:
    """A mapping that waits, one that was agreed to, one that was narrowed; somebody whose groups conflict."""
    mapping, carol = services.identity.mapping, ActorId("preview|carol")
    carol_here = Actor(id=carol, display_name="Carol Nye", method="session", credential_id="preview")
    async with services.database.transaction() as tx:
        for name in ("hostile", "torn"):
            await services.identity.people.seen(tx, ActorId(f"preview|{name}"), PEOPLE[name])
    now = dict(mapping.live.in_force)
    unused = {**now, "interns": frozenset({Role.EMPLOYEE})}
    draft = await mapping.draft(carol_here, await mapping.preview(unused), note="Interns draw too")
    await services.identity.proposals.submit(draft)
    dan_here = replace(carol_here, id=ActorId("preview|dan"))
    async with services.database.transaction() as tx:
        await services.identity.proposals.decide(tx, draft, by=dan_here.id, status="approved")
        await mapping.kind.carry_out(tx, draft, dan_here)
    await mapping.live.refresh()
    await mapping.narrow(carol_here, await mapping.preview(now))
    wider = {**now, "staff": frozenset({Role.EMPLOYEE, Role.REVIEWER}), XSS[0]: frozenset({Role.AUDITOR})}
    asked = await mapping.draft(carol_here, await mapping.preview(wider), note=f"Leads review {XSS[0]}")
    await services.identity.proposals.submit(asked)
    return {"proposal-open": f"/proposals/{asked.id}", "proposal-done": f"/proposals/{draft.id}"}


async def _start_session(services: Services, name: str) -> str:
    settings, clock = services.settings.identity, services.clock
    roles = RoleMap(settings.roles)
    id = SessionId()
    async with services.database.transaction() as tx:
        person = await People(services.database, roles, clock).seen(tx, ActorId(f"preview|{name}"), PEOPLE[name])
        mfa = Mfa(at=clock(), amr=("pwd", "otp"))
        await Sessions(services.database, settings, roles, clock).start(tx, id, person, mfa)
    if name == "alice" and not await services.identity.notices.of(person.id):
        facts = {"network": "192.0.2.17", "browser": f"Firefox on Windows {XSS[0]}"}
        await services.identity.notices.tell(person.id, NoticeKind.NEW_BROWSER, **facts)
    return id.secret


def _settings(state: Path, url: str, rules: Literal["folder", "managed"]) -> Settings:
    secrets = {name: state / f"{name}.key" for name in ("identity", "screening", "model-server")}
    for path in secrets.values():
        path.write_text("preview " * 8)
        path.chmod(0o600)
    provider = Provider(name="preview", label="Sign in with Acme ID", issuer=f"{url}/idp", client_id="imprimatur")
    return Settings(
        database_url=f"sqlite+aiosqlite:///{state / 'gateway.sqlite'}",
        pictures_path=state / "pictures",
        server=ServerSettings(public_url=url, requests_per_minute=10_000),
        identity=IdentitySettings(
            providers=(provider,), roles=ROLES, cookie_secure=False, secret_path=secrets["identity"]
        ),
        # Patient: what is late on a machine that does much else is no page's fault.
        policy=PolicySettings(
            source=rules,
            directory=_policies(state) if rules == "folder" else ROOT / "policies",
            decision_timeout_seconds=10,
            poll_seconds=0.1,
        ),
        screening=ScreeningSettings(secret_path=secrets["screening"], **UNHURRIED["screening"]),
        provenance=ProvenanceSettings(**own_marks(state)),
        upstream=UpstreamSettings(secret_path=secrets["model-server"]),
        credits=CreditSettings(first_month=500),
        audit=AuditSection(
            directory=state / "audit",
            kek_path=state / "kek",
            signing_key_path=state / "signing",
            witness_path=state / "witness.txt",
            origin="preview.imprimatur.example/audit",
            create_keys=True,
            orphan_seconds=86_400,  # the request that is shown as open stays so, however long the tests take
        ),
    )


def _policies(state: Path) -> Path:
    """The shipped rules, open for the preview's models."""
    folder = state / "policies"
    shutil.copytree(ROOT / "policies", folder)
    models = folder / "gateway" / "config" / "models" / "data.yaml"
    shipped = yaml.safe_load(models.read_text())["imprimatur-embedded"]
    small = shipped | {"sizes": ["auto", "128x128"]}
    large = shipped | {"tasks": ["generate"]}
    models.write_text(json.dumps({"house-128": small, "sdxl-design": large}))  # JSON is YAML, without its anchors
    return folder


@asynccontextmanager
async def preview_services(settings: Settings) -> AsyncIterator[tuple[Services, list[str]]]:
    """The gateway's own services with the two stand-ins, over a log that has something to show."""
    await asyncio.to_thread(upgrade, settings.database_url)
    made = await _fill(settings)
    async with open_services(settings, Metrics()) as real:
        acted: Any = Acted(real.screening, real.ledger, real.identity)
        models: Any = TwoModels()
        made.append((await real.audit.intend(_intent("alice", "Alice Meyer", "Design"))).event_id)
        yield replace(real, pipeline=acted, catalogue=models), made


class Preview:
    """Serves from a thread of its own, on a port that the system chooses. Use it as a context manager."""

    def __init__(self, state: Path, port: int = 0, *, rules: Literal["folder", "managed"] = "folder") -> None:
        self._state = state
        self._rules: Literal["folder", "managed"] = rules
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", port))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._server: uvicorn.Server | None = None
        self._ready = threading.Event()
        self._trouble: BaseException | None = None
        self._running: Running | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    @property
    def running(self) -> Running:
        assert self._running is not None
        return self._running

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
            settings = _settings(self._state, self.url, self._rules)
            async with preview_services(settings) as (services, made):
                app = create_app(settings)
                app.state.services = services
                pipeline: Any = services.pipeline
                governed = await _govern(services, made)
                await _employ(services)
                governed |= await _administer(services)
                self._running = Running(self.url, made, pipeline, services, asyncio.get_running_loop(), governed)
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
        print(f"{preview.url}\n\nSet the cookie {COOKIE} in your browser's developer tools to be somebody:\n")
        for name in PEOPLE:
            print(f"  {name:8} {preview.running.session(name)}")
        preview.wait()
