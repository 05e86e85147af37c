"""From what a detector saw to the finding that travels: everything but the value itself."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from gateway.exchange import Finding, Stage
from gateway.screening.content.lexicon import Lexicon, Mention
from gateway.screening.rules.ruleset import RuleSet
from gateway.screening.semantic.report import Report
from gateway.screening.semantic.weights import VERSION
from gateway.screening.text.normalise import Normalised
from gateway.screening.text.scan import Hit
from gateway.vocabulary import Code, Effect, Severity

MIN_SECRET_BYTES: Final = 32
HMAC_BYTES: Final = 16
"""Truncated as RFC 2104, section 5 allows: half of SHA-256's output."""

TOGETHER_MESSAGE: Final = "Put together with what you asked for just before:"
UNAVAILABLE_MESSAGE: Final = (
    "We could not check this request, so it was not carried out. Nothing was charged. Try again in a moment; if it "
    "happens again with the same text, shorten it or ask your security team."
)


class FindingWriter:
    """Writes findings; holds the key of the HMACs by which equal values meet. `secret`: 32 random bytes or more."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < MIN_SECRET_BYTES:
            raise ValueError(f"screening secret is too short: expected {MIN_SECRET_BYTES} bytes, got {len(secret)}")
        self._secret = secret

    def __repr__(self) -> str:
        return "FindingWriter()"

    def from_hit(self, rules: RuleSet, hit: Hit, field: str, *, keyed: bool) -> Finding:
        """A sensitive value."""
        type_ = f"dlp.{hit.detector.rule_id}"
        rule = rules.rules[type_]
        return Finding(
            id="",
            stage="prompt",
            detector=f"{rule.id}@{rule.version}",
            type=type_,
            severity=rule.severity,
            score=hit.score,
            field=field,
            start=hit.start,
            end=hit.end,
            value_hmac=self._hmac(type_, hit.canonical) if keyed else "",
            maskable=hit.maskable,
            replacement=rule.action.replacement if hit.maskable else "",
            message=rule.message,
            proposed=_unmasked(hit.detector.effect, hit.maskable),
        )

    def from_across(self, rules: RuleSet, hit: Hit) -> Finding:
        """A value of which the first part stood in an earlier prompt."""
        finding = self.from_hit(rules, hit, "prompt", keyed=True)
        return replace(finding, message=f"{TOGETHER_MESSAGE} {finding.message}")

    def from_mention(
        self, rules: RuleSet, lexicon: Lexicon, mention: Mention, plain: Normalised, field: str, *, keyed: bool
    ) -> Finding:
        """A subject."""
        type_ = f"content.{lexicon.category}"
        rule = rules.rules[type_]
        start, end = plain.source_span(mention.start, mention.end)
        return Finding(
            id="",
            stage="prompt",
            detector=f"{rule.id}@{rule.version}",
            type=type_,
            severity=rule.severity,
            field=field,
            start=start,
            end=end,
            value_hmac=self._hmac(type_, mention.said) if keyed else "",
            maskable=False,
            message=rule.message,
            proposed=lexicon.effect,
        )

    def from_report(self, rules: RuleSet, report: Report, plain: Normalised, field: str, *, keyed: bool) -> Finding:
        """A subject by its meaning. It stands somewhere in the window that was read, so the window is its place."""
        meant = report.meant
        type_ = f"content.{meant.category}"
        rule = rules.rules[type_]
        start, end = plain.source_span(meant.start, meant.end)
        return Finding(
            id="",
            stage="prompt",
            detector=f"semantic@{VERSION}",
            type=type_,
            severity=rule.severity,
            score=round(meant.score, 3),
            field=field,
            start=start,
            end=end,
            value_hmac=self._hmac(type_, plain.text[meant.start : meant.end]) if keyed else "",
            maskable=False,
            message=rule.message,
            proposed=report.effect,
        )

    def fingerprint(self, text: str) -> str:
        """What stands for a whole prompt where policy and its replay must tell equal prompts without reading them."""
        return self._hmac("prompt", text)

    def _hmac(self, type_: str, value: str) -> str:
        """The type is part of the message, so that values of different kinds never meet by accident."""
        message = type_.encode() + b"\0" + value.encode("utf-8", "surrogatepass")
        return hmac.new(self._secret, message, hashlib.sha256).digest()[:HMAC_BYTES].hex()


def _unmasked(effect: Effect, maskable: bool) -> Effect:
    """What a rule proposes for a value that can't be masked: hiding it was no slip, so the request stops."""
    return Effect.DENY if effect is Effect.MASK and not maskable else effect


def unavailable(stage: Stage, field: str) -> Finding:
    """Screening has no answer. Policy sends it to review or denies; it never allows."""
    return Finding(
        id="f1",
        stage=stage,
        detector="screening@1",
        type=Code.SCREENING_UNAVAILABLE,
        severity=Severity.HIGH,
        field=field,
        maskable=False,
        message=UNAVAILABLE_MESSAGE,
        proposed=Effect.DENY,
    )


def numbered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings in order of place, with ids `f1`, `f2`…"""
    ordered = sorted(findings, key=lambda f: (f.start, f.end, f.type))
    return tuple(replace(finding, id=f"f{n}") for n, finding in enumerate(ordered, 1))
