"""What pages of cases, holds and data subjects share: small forms, who decides, and the log's no in words.

Forms work without scripts. Who may ask and who may agree is policy; that the two are two people, and that a second
factor is fresh, is the log's own rule besides and holds whatever policy says.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

from fastapi import Request

from audit import (
    AuditError,
    CaseNotFound,
    ContentDestroyed,
    EntryInvalid,
    FreshMfaRequired,
    HoldNotFound,
    Officer,
    QueryInvalid,
    RecordNotFound,
    Refused,
    Signature,
    SubjectRequestNotFound,
)
from audit import AuditUnavailable as LogUnavailable
from gateway.errors import AuditUnavailable, Denied, InvalidRequest, NotFound, PayloadTooLarge
from gateway.exchange import Actor, Reason
from gateway.identity.csrf import FORM_FIELD
from gateway.recording import subject_of
from gateway.web.words import iso

T = TypeVar("T")

LEAST_WORDS: Final = 10
LONGEST_TEXT: Final = 2000
_MAX_FORM_BYTES: Final = 16 * 1024


def officer_of(actor: Actor) -> Officer:
    """The person as the log's rules see them: who, and when they last showed a second factor."""
    return Officer(subject_of(actor), mfa_at=actor.mfa.at)


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a small form, read before anybody is asked who sent it, because the token is one of them."""
    data = b""
    async for piece in request.stream():
        data += piece
        if len(data) > _MAX_FORM_BYTES:
            raise PayloadTooLarge("The form is too long.")
    try:
        pairs = parse_qsl(data.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=20)
    except ValueError as error:
        raise InvalidRequest("The form has too many fields.") from error
    fields = dict(pairs)
    request.state.csrf_token = fields.pop(FORM_FIELD, None)
    request.state.form = fields  # comes back filled after a step-up (`drafts.py`)
    return fields


def reason_in(form: Mapping[str, str], name: str) -> str:
    """Why somebody asks, in a sentence at least. Raises InvalidRequest."""
    text = form.get(name, "").strip()
    if not LEAST_WORDS <= len(text) <= LONGEST_TEXT:
        raise InvalidRequest(
            f"Say why, in a sentence at least and in {LONGEST_TEXT:,} characters at most: whoever decides reads this.",
            param=name,
        )
    return text


async def said_by_log(answer: Awaitable[T]) -> T:
    """What the log says, or its no in the gateway's words."""
    try:
        return await answer
    except LogUnavailable as error:
        raise AuditUnavailable(
            "This is recorded before it is done, and that record can't be written now. Nothing was done.",
            retry_after_seconds=5,
        ) from error
    except (RecordNotFound, CaseNotFound, HoldNotFound, SubjectRequestNotFound, QueryInvalid) as error:
        raise NotFound("There is no such record, case, hold or request. It may have been mistyped.") from error
    except ContentDestroyed as error:
        raise NotFound("What this record held is gone for good. Its proof still holds.") from error
    except FreshMfaRequired as error:
        message = "Sign out, sign in again with your second factor, then try once more: this needs a fresh one."
        raise Denied(message, reasons=[Reason(code=str(error.reason), message=message)]) from error
    except Refused as error:
        message = f"The log does not permit this: {error}."
        raise Denied(message, reasons=[Reason(code=str(error.reason), message=message)]) from error
    except EntryInvalid as error:
        raise InvalidRequest(f"This can't be done: {error}.") from error
    except AuditError as error:
        raise Denied(
            "The log refuses this: what it found is not as it was written. Tell your security team."
        ) from error


def signature_json(signature: Signature | None) -> dict[str, Any] | None:
    """Who decided something, and when."""
    return None if signature is None else {"actor": signature.actor, "at": iso(signature.at)}
