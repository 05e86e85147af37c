"""The door of policy: a document in, a decision out, and every doubt is a no."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from gateway.errors import PolicyUnavailable
from gateway.exchange import Decision, Reason
from gateway.policy.answer import AnswerInvalid, AnswerUndefined, read
from gateway.policy.engine import EngineFailed, EngineHealth, EntryPoint, Evaluation, PolicyEngine, RulesRefused
from gateway.vocabulary import Code, Effect, Severity

MAX_FINDINGS: Final = 256
"""More findings in one request are refused unasked: rules cost about 0.1 ms a finding, and nothing else runs
meanwhile. An honest prompt has a handful."""

RETRY_SECONDS: Final = 2.0

_log = logging.getLogger(__name__)


class Policy:
    """Asks one engine. Where it falls when something is wrong:

    * no answer (engine down, too slow, stumbling, no rules in force): PolicyUnavailable, 503;
    * an answer that is no decision: a denial, `policy.undefined` or `policy.invalid`, recorded like any other;
    * an answer of rules that may not decide: a denial, `policy.stale` or `policy.revision-unknown`.

    Both stop the request. There is no other engine to fall back to, no cached yes, no default yes.
    """

    def __init__(self, engine: PolicyEngine) -> None:
        self._engine = engine

    @property
    def revision(self) -> str:
        """The rules in force, as last known; empty when there are none."""
        return self._engine.revision

    async def start(self) -> None:
        """Load the rules, or open the connection. Raises `bundle.BundleRefused` when the shipped rules don't load."""
        await self._engine.start()

    async def aclose(self) -> None:
        await self._engine.aclose()

    async def health(self) -> EngineHealth:
        """How the engine is; never raises."""
        return await self._engine.health()

    async def ready(self) -> bool:
        """Whether a decision could be had now."""
        return (await self._engine.health()).ready

    async def decide(self, document: Mapping[str, Any]) -> Decision:
        """The decision on a picture; `document` comes from `build_input`. Raises PolicyUnavailable."""
        if len(document["findings"]) > MAX_FINDINGS:
            return self._no(Code.POLICY_TOO_MANY_FINDINGS)
        return await self._ask(EntryPoint.IMAGE, document)

    async def decide_admin(self, document: Mapping[str, Any]) -> Decision:
        """The decision on anything else; `document` comes from `build_admin_input`. Raises PolicyUnavailable."""
        return await self._ask(EntryPoint.ADMIN, document)

    async def _ask(self, entry: EntryPoint, document: Mapping[str, Any]) -> Decision:
        try:
            evaluation = await self._engine.evaluate(entry, document)
        except RulesRefused as error:
            return self._no(error.code, error.evaluation, error)
        except EngineFailed as error:
            _log.error("policy.unavailable", extra={"cause": str(error), "request_id": document["request_id"]})
            raise PolicyUnavailable(
                "The rules that protect everybody here can't be asked just now, so nothing was done. "
                "Try again in a moment.",
                retry_after_seconds=RETRY_SECONDS,
            ) from error
        try:
            return read(evaluation, document)
        except AnswerUndefined as error:
            return self._no(Code.POLICY_UNDEFINED, evaluation, error)
        except AnswerInvalid as error:
            return self._no(Code.POLICY_INVALID, evaluation, error)

    def _no(self, code: Code, evaluation: Evaluation | None = None, error: Exception | None = None) -> Decision:
        if error is not None:
            _log.error("policy.no_decision", extra={"code": code.value, "cause": str(error)})
        return Decision(
            effect=Effect.DENY,
            reasons=(
                Reason(
                    code=code,
                    message=_WORDS[code],
                    severity=Severity.HIGH,
                    rule="gateway.policy",
                    control="NIST SP 800-53 SI-17",
                ),
            ),
            engine="" if evaluation is None else evaluation.engine,
            revision=self.revision if evaluation is None else evaluation.revision,
        )


_WORDS: Final = {
    Code.POLICY_UNDEFINED: "The rules in force gave no answer, and that means no. Tell your administrator.",
    Code.POLICY_INVALID: "The rules in force gave an answer that makes no sense, and that means no. "
    "Tell your administrator.",
    Code.POLICY_STALE: "The rules that answered were replaced a while ago, and that means no. "
    "Tell your operators: an OPA server does not get its bundles.",
    Code.POLICY_REVISION_UNKNOWN: "The rules that answered are not those that were approved here, and that means no. "
    "Tell your operators.",
    Code.POLICY_TOO_MANY_FINDINGS: "There is too much in this prompt that may not be sent to the model. "
    "Take it out or write a shorter prompt, then send it again.",
}
