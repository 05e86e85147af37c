"""The part of the composition root for the log: its settings, how long it keeps, and what sends its records on."""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Callable
from datetime import datetime
from functools import partial

from pydantic import SecretStr

from audit import (
    AuditLog,
    AuditSettings,
    Entry,
    Feed,
    FeedSettings,
    LogEvent,
    Phase,
    RetentionRules,
    Subject,
    source_of,
)
from gateway.keeping import STANDARD, Keeping
from gateway.settings import Settings
from gateway.vocabulary import Effect

log = logging.getLogger(__name__)


def audit_settings(settings: Settings) -> AuditSettings:
    """The log's own settings, from ours."""
    section = settings.audit
    url = None if section.database_url_path is None else section.database_url_path.read_text("utf-8").strip()
    return AuditSettings(
        directory=section.directory,
        database_url=None if url is None else SecretStr(url),
        kek_path=section.kek_path if section.key_service is None else None,
        key_service=section.key_service,
        signing_key_path=section.signing_key_path,
        witness_path=section.witness_path,
        witnesses=section.witnesses,
        origin=section.origin,
        create_keys=section.create_keys,
        disk_refuse_fraction=section.disk_refuse_fraction,
        opening_mfa_seconds=section.opening_mfa_seconds,
        clock_settle_seconds=section.clock_settle_seconds,
        node=_node_name(),
    )


def retention_rules(keeping: Keeping) -> RetentionRules:
    """How long the log keeps each class: what policy says now."""
    classes = keeping.rules().classes
    return RetentionRules(classes[STANDARD], classes)


def open_feeds(settings: Settings, audit: AuditLog, clock: Callable[[], datetime]) -> tuple[Feed, ...]:
    """What sends records on, not started. One process of those that share a log serves a consumer."""

    async def took(cursor: object, chosen: FeedSettings) -> None:
        subject = Subject(actor=f"system:feed-{chosen.consumer}", display=f"feed {chosen.consumer}")
        content = {"consumer": chosen.consumer, "tenants": list(chosen.tenants)}
        await audit.note(
            Entry(action=LogEvent.FOLLOW, subject=subject, effect=Effect.ALLOW, content=content), Phase.ACCESS
        )

    positions = settings.audit.directory / "consumers"
    return tuple(
        Feed(
            chosen,
            source_of(audit.store, chosen),
            positions,
            clock=clock,
            record_access=partial(took, chosen=chosen),
            report=lambda line: log.warning("audit.feed", extra={"fields": {"said": line}}),
        )
        for chosen in settings.audit.feeds
    )


def _node_name() -> str:
    """This machine's name as the records carry it: letters, digits and hyphens."""
    name = re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().lower()).strip("-")[:40]
    return f"gateway-{name}" if name else "gateway"
