"""The words that pages put on codes and times. A code we have no words for is shown as it is, never hidden."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Final

EFFECTS: Final[Mapping[str, str]] = {
    "allow": "allowed",
    "mask": "masked",
    "review": "to review",
    "deny": "denied",
    "cancelled": "cancelled",
    "failed": "failed",
    "unknown": "unknown",
    "": "open",
}

ACTIONS: Final[Mapping[str, str]] = {
    "image:": "anything with pictures",
    "image:generate": "asked for pictures",
    "image:edit": "asked for an edit",
    "image:vary": "asked for variations",
    "auth:session:start": "signed in",
    "auth:session:refuse": "was refused at sign-in",
    "auth:session:step-up": "proved the second factor again",
    "auth:session:end": "signed out",
    "auth:session:revoke": "sessions ended from outside",
    "auth:session:lapse": "provider no longer vouched for them",
    "auth:logout:refuse": "logout token refused",
    "auth:key:mint": "made an API key",
    "auth:key:revoke": "revoked an API key",
    "auth:key:refuse": "was turned away with an API key that is over or not for there",
    "auth:service:create": "let a service in",
    "auth:service:change": "changed what a service may",
    "auth:service:disable": "switched a service off",
    "auth:form:refuse": "sent a form from somewhere else",
    "auth:session:throttle": "was told to wait after too many attempts",
    "auth:proposal:submit": "proposed what takes two people",
    "auth:proposal:approve": "agreed to a proposal",
    "auth:proposal:reject": "rejected a proposal",
    "auth:proposal:withdraw": "withdrew a proposal",
    "auth:mapping:activate": "changed which groups give which roles",
    "auth:person:suspend": "suspended somebody",
    "auth:person:reinstate": "let somebody back in",
    "auth:person:provision": "a directory brought somebody in",
    "auth:person:update": "a directory changed somebody",
    "auth:person:deprovision": "a directory took somebody out",
    "auth:group:change": "a directory changed a group",
    "auth:scim:refuse": "a directory’s token refused",
    "auth:access:review": "reviewed who has access",
    "auth:emergency:seal": "sealed an emergency code",
    "auth:emergency:drill": "tried an emergency seal",
    "auth:emergency:ask": "asked for emergency access",
    "auth:emergency:open": "opened emergency access",
    "auth:emergency:refuse": "was refused at the emergency door",
    "auth:emergency:end": "ended emergency access",
    "provenance:picture:check": "checked where a picture comes from",
    "policy:bundle:activate": "activated a policy",
    "policy:bundle:refuse": "offered a policy that was refused",
    "policy:bundle:publish": "handed out a policy to OPA servers",
    "policy:draft:save": "saved a draft of the rules",
    "policy:draft:comment": "commented on a draft of the rules",
    "policy:draft:check": "had a draft of the rules checked",
    "policy:draft:close": "closed a draft of the rules",
    "policy:revision:seed": "took the shipped rules as the first",
    "policy:revision:approve": "approved a change of the rules",
    "policy:revision:rollback": "went back to earlier rules",
    "policy:revision:break-glass": "put rules in force for a while, alone",
    "policy:revision:expire": "rules put in force for a while ended",
    "policy:rollout:start": "approved a change of the rules for some people first",
    "policy:rollout:widen": "put new rules in force for more people",
    "policy:rollout:finish": "put new rules in force for everybody",
    "policy:rollout:withdraw": "took new rules back from those who had them first",
    "policy:rollout:end": "other rules ended a rollout",
    "policy:replay:start": "replayed past decisions by other rules",
    "policy:decision:preview": "looked at one decision by other rules",
    "policy:shadow:start": "put rules into the shadow",
    "policy:shadow:alarm": "rules in the shadow disagree too often",
    "policy:shadow:end": "took rules out of the shadow",
    "policy:detector:activate": "activated detectors",
    "policy:detector:refuse": "refused broken detectors",
    "system:gateway:start": "gateway started",
    "system:gateway:stop": "gateway stopped",
    "system:ledger:mend": "gave back credits that a crash had left set aside",
    "system:ledger:report": "found that ledger and log differ",
    "audit:record:export": "exported records",
    "audit:record:follow": "sent records on",
    "audit:case:request": "asked for a case",
    "audit:case:approve": "approved a case",
    "audit:case:reject": "rejected a case",
    "audit:case:close": "closed a case",
    "audit:hold:request": "asked for a hold",
    "audit:hold:place": "placed a hold",
    "audit:hold:reject": "rejected a hold",
    "audit:hold:keep": "kept a hold",
    "audit:subject:ask-export": "asked for a person's data",
    "audit:subject:approve-export": "approved a data export",
    "audit:subject:reject-export": "rejected a data export",
    "audit:hold:ask-release": "asked to release a hold",
    "audit:hold:release": "released a hold",
    "audit:erasure:request": "asked for an erasure",
    "audit:erasure:approve": "approved an erasure",
    "audit:erasure:reject": "rejected an erasure",
    "audit:erasure:complete": "erased a person's content",
    "audit:subject:export": "exported a person's data",
    "audit:key:rewrap": "wrapped day keys anew",
    "audit:tree:prune": "pruned old records",
    "audit:record:search": "searched the records",
    "audit:record:show": "looked at a record",
    "audit:content:open": "opened sealed content",
    "audit:day:purge": "destroyed expired content",
}

REASONS: Final[Mapping[str, str]] = {
    "case.refused": "no case permits it",
    "case.second-person-missing": "a second person must",
    "hold.refused": "the hold doesn't permit it",
    "subject.refused": "the request doesn't permit it",
    "retention.erased": "erased on request",
    "network.not-of-key": "not a network of this key",
    "policy.unavailable": "policy engine down",
    "policy.invalid": "policy gave no valid answer",
    "policy.undefined": "policy gave no answer",
    "policy.too-many-findings": "too many findings",
    "policy.input-version": "rules for another version",
    "policy.finding-unknown": "a finding no rule knows",
    "policy.findings-missing": "not screened",
    "policy.action-unknown": "an act no rule knows",
    "role.not-permitted": "no role allows it",
    "subject.inactive": "account suspended",
    "subject.suspended": "account suspended",
    "subject.lapsed": "provider no longer vouches for the account",
    "subject.deprovisioned": "taken out by the directory",
    "subject.not-provisioned": "not in the directory",
    "subject.own-proposal": "one’s own proposal",
    "subject.throttled": "too many attempts",
    "role.conflict": "roles that don’t go together",
    "subject.scope-missing": "credential is not for this",
    "subject.sign-in-invalid": "sign-in did not hold",
    "subject.sign-in-refused": "provider said no",
    "subject.other-person": "somebody else came back",
    "subject.key-revoked": "the key was revoked",
    "subject.key-expired": "the key has expired",
    "subject.not-seen": "the key’s owner has not signed in for long",
    "request.foreign-form": "not sent by a page of ours",
    "mfa.missing": "no second factor",
    "mfa.stale": "second factor too old",
    "hours.closed": "outside hours",
    "network.not-permitted": "outside our networks",
    "network.country-not-permitted": "country not allowed",
    "model.not-permitted": "model not allowed",
    "model.unknown": "no such model",
    "model.task-not-permitted": "model not open for this work",
    "model.unavailable": "model down",
    "model.overloaded": "model overloaded",
    "model.broken-answer": "model answered with something else",
    "size.not-permitted": "size not allowed",
    "count.not-permitted": "too many pictures at once",
    "count.uploads-not-permitted": "too many or too large uploads",
    "usage.day-limit": "daily limit reached",
    "usage.month-limit": "monthly limit reached",
    "usage.in-flight": "too many requests at once",
    "picture.blocked": "a blocked picture",
    "picture.face-realistic": "a realistic face",
    "picture.face-doubtful": "perhaps a realistic face",
    "picture.nudity": "nudity",
    "picture.unchecked": "picture not checked for everything it must be",
    "memorisation.near-duplicate": "nearly the same picture as somebody else's",
    "memorisation.near-duplicate-face": "nearly the same face as in somebody else's picture",
    "policy.stale": "rules of the policy server too old",
    "policy.revision-unknown": "rules that were not handed out here",
    "screening.unavailable": "screening down",
    "credits.empty": "no credits left",
    "credits.unsettled": "delivered, but never charged; given back",
    "credits.unreleased": "not delivered, but credits were kept aside; given back",
    "credits.without-outcome": "credits set aside for a request without an outcome; given back",
    "credits.spent-for-nothing": "charged, but the log holds no delivery",
    "credits.never-charged": "delivered, but the ledger holds no charge",
    "credits.amount-differs": "charged otherwise than the log says",
    "request.invalid": "malformed request",
    "request.no-room": "no room for uploads",
    "request.uploads-unfit": "uploads that don't fit the request",
    "request.unpriced": "request without a price",
    "client.gone": "client went away",
    "internal.error": "internal error",
    "internal.crashed": "the gateway stopped in the middle",
    "internal.storage-unavailable": "database down",
    "internal.picture-unmarked": "the picture could not be marked as ours",
    "retention.expired": "retention is over",
    "dlp.payment-card": "payment card number",
    "dlp.iban": "bank account number",
    "dlp.us-ssn": "social security number",
    "dlp.email-address": "e-mail address",
    "dlp.jwt": "access token",
    "dlp.aws-access-key": "AWS key",
    "dlp.aws-secret-key": "AWS secret",
    "dlp.github-token": "GitHub token",
    "dlp.google-api-key": "Google key",
    "dlp.slack-token": "Slack token",
}

HOLD_KINDS: Final[Mapping[str, str]] = {"legal": "a court or another authority", "abuse": "abuse"}
HOLD_STATES: Final[Mapping[str, str]] = {
    "requested": "waits for a second person",
    "active": "keeps",
    "release-requested": "keeps; its end waits for a second person",
    "released": "released",
    "rejected": "rejected",
}
SUBJECT_KINDS: Final[Mapping[str, str]] = {"export": "hand over", "erasure": "erase"}
SUBJECT_STATES: Final[Mapping[str, str]] = {
    "requested": "waits for a second officer",
    "approved": "approved",
    "rejected": "rejected",
    "partly-done": "partly done: holds or running requests keep the rest",
    "done": "done",
    "expired": "expired: ask again",
}
KEPT: Final[Mapping[str, str]] = {
    "hold": "under a hold; erase again after its end",
    "open": "still running; erase again in a minute",
    "accountability": "what the person did to the log or to others’ data; goes when its day does",
}

FAMILIES_THAT_SPEAK: Final = frozenset({"dlp", "content"})
"""Their codes are named after what was found, by whoever wrote the rule: `content.self-harm` is "self harm"."""


def moment(at: datetime) -> str:
    """`22 Nov 2026, 09:41:07 UTC`."""
    return f"{at.astimezone(UTC):%-d %b %Y, %H:%M:%S} UTC"


def clock_time(at: datetime) -> str:
    """`09:41:07`, UTC."""
    return f"{at.astimezone(UTC):%H:%M:%S}"


def day(at: date | datetime) -> str:
    """`Sunday 22 November 2026`."""
    return f"{at:%A %-d %B %Y}"


def short_day(at: datetime) -> str:
    """`22 Nov 2026`, UTC."""
    return f"{at.astimezone(UTC):%-d %b %Y}"


def iso(at: datetime) -> str:
    """RFC 3339, for `<time datetime>`."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def grouped(number: int) -> str:
    """`1,204,311`."""
    return f"{number:,}"


def effect_word(effect: str) -> str:
    return EFFECTS.get(effect, effect)


def action_words(action: str) -> str:
    return ACTIONS.get(action, action)


def reason_words(code: str) -> str:
    """`payment card number` for `dlp.payment-card`; an unknown code of a rule file reads as its own words."""
    known = REASONS.get(code)
    if known is not None:
        return known
    family, _, rest = code.partition(".")
    if not rest:
        return code
    said = rest.replace("-", " ")
    return said if family in FAMILIES_THAT_SPEAK else f"{said} ({family})"
