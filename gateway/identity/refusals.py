"""The few sentences that a refused person or program reads. What exactly was wrong goes to our log and the record."""

from __future__ import annotations

import logging

from gateway.errors import Unauthenticated
from gateway.exchange import ActorId, Reason
from gateway.vocabulary import Code, Severity

log = logging.getLogger(__name__)


class SignInRefused(Unauthenticated):
    """A sign-in that came back and is not let in. `actor` is who it would have been, for the record; empty when the
    answer proves nobody."""

    code = "sign_in_refused"

    def __init__(self, code: Code, message: str, *, actor: ActorId | str = "") -> None:
        super().__init__(message, reasons=[Reason(code=code, message=message, severity=Severity.MEDIUM)])
        self.actor = actor


def invalid_sign_in(fault: str, provider: str) -> SignInRefused:
    """The one sentence for every answer that is not good."""
    log.warning("sign-in.invalid", extra={"fields": {"fault": fault, "provider": provider}})
    return SignInRefused(
        Code.SUBJECT_SIGN_IN_INVALID,
        "This sign-in could not be completed: the answer that came back does not belong to a sign-in started here, or "
        "came too late. Nothing was changed. Start again from the front page.",
    )


def refused_credential(fault: str, credential: str = "") -> Unauthenticated:
    """The one sentence for every credential that is not good. `credential` is its public id, where it has one."""
    log.info("credential.refused", extra={"fields": {"fault": fault, "credential": credential}})
    return Unauthenticated(
        "This credential is not accepted. Sign in again; in a program, check the API key or make a new one."
    )
