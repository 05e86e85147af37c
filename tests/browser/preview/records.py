"""What is in the preview's log: two days of requests."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from audit import AuditLog, Entry, Subject
from gateway.settings import Settings
from gateway.wiring_audit import audit_settings
from tests.browser.preview.people import PEOPLE, XSS


async def fill(settings: Settings) -> list[str]:
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
        entry = intent(name, display, department)
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


def intent(name: str, display: str, department: str) -> Entry:
    subject = Subject(actor=f"preview|{name}", display=display, department=department, groups=(display,))
    return Entry(action="image:generate", subject=subject, model="house-128", content={"prompt": "a fox"})
