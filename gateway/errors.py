"""Everything that can be said instead of a picture.

    ImprimaturError
    ├── Refusal                     a normal outcome: recorded, explained, never charged
    │   ├── InvalidRequest          400  a field is wrong; `param` names it
    │   │   ├── PayloadTooLarge     413
    │   │   └── UnsupportedMedia    415
    │   ├── Unauthenticated         401  no credential, or one that is not good
    │   ├── StepUpRequired          401  fresh MFA would help (RFC 9470)
    │   ├── CreditsEmpty            402
    │   ├── Denied                  403  policy says no
    │   ├── ReviewPending           403  a person has to look first
    │   ├── Stopped                 403  whoever asked was shut out in the middle
    │   ├── NotFound                404  also: not yours to see
    │   ├── ContentBlocked          400  screening found what policy does not let through
    │   └── RateLimited             429
    └── Failure                     something of ours is broken; nothing was charged
        ├── AuditUnavailable        503  no durable record, so nothing happens
        ├── PolicyUnavailable       503
        ├── IdentityUnavailable     503
        ├── StorageUnavailable      503  the gateway's own database
        ├── ProvenanceUnavailable   503  a picture can't be marked or checked
        ├── ModelOverloaded         503
        ├── ModelUnavailable        503
        └── ModelBroken             502  the image server answered with something else than pictures

Each carries a stable `code` for machines, a `status`, and a sentence for the person that says what to do next.
None of them ever carries a prompt, a token, a key or the text that was found.
`gateway/problems.py` turns them into what a client reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from gateway.exchange import Reason, StepUp


class ImprimaturError(Exception):
    """Root of the tree. `message` is written for the person who reads it."""

    status: ClassVar[int] = 500
    code: str = "internal_error"
    type: ClassVar[str] = "server_error"
    retry: ClassVar[bool] = False
    """Whether sending the same request again can help: becomes `x-should-retry`."""

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        reasons: Sequence[Reason] = (),
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.reasons = tuple(reasons)
        self.retry_after_seconds = retry_after_seconds
        if code is not None:
            self.code = code


class Refusal(ImprimaturError):
    """The request was understood and is not granted."""

    status = 403
    code = "refused"
    type = "invalid_request_error"


class InvalidRequest(Refusal):
    """A field is missing, of the wrong type, out of range, or not something this model can do."""

    status = 400
    code = "invalid_value"


class PayloadTooLarge(InvalidRequest):
    status = 413
    code = "payload_too_large"


class UnsupportedMedia(InvalidRequest):
    status = 415
    code = "unsupported_media_type"


class Unauthenticated(Refusal):
    """No credential, or one we don't accept. The sentence never says which part was wrong (OWASP ASVS 5.0, 6.3.8)."""

    status = 401
    code = "invalid_api_key"
    type = "authentication_error"


class StepUpRequired(Refusal):
    """The credential is good, the second factor is missing or too old for this act (RFC 9470, section 3)."""

    status = 401
    code = "insufficient_user_authentication"
    type = "authentication_error"

    def __init__(self, message: str, *, step_up: StepUp, reasons: Sequence[Reason] = ()) -> None:
        super().__init__(message, reasons=reasons)
        self.step_up = step_up


class CreditsEmpty(Refusal):
    status = 402
    code = "insufficient_credits"
    type = "insufficient_quota"


class Denied(Refusal):
    """Policy says no, whatever the prompt."""

    code = "policy_denied"
    type = "permission_error"


class ReviewPending(Refusal):
    """Policy wants a person to look first; nothing is delivered until then."""

    code = "review_pending"
    type = "permission_error"


class Stopped(Refusal):
    """Whoever asked was suspended, or taken out by their directory, while it was being worked on."""

    code = "stopped"
    type = "permission_error"


class NotFound(Refusal):
    status = 404
    code = "not_found"


class ContentBlocked(Refusal):
    """Screening found something in the prompt (stage `input`) or the picture (stage `output`)."""

    status = 400
    code = "moderation_blocked"
    type = "image_generation_user_error"

    def __init__(self, message: str, *, stage: Literal["input", "output"], reasons: Sequence[Reason]) -> None:
        super().__init__(message, reasons=reasons)
        self.stage = stage
        self.categories = tuple(dict.fromkeys(r.code for r in reasons))


class RateLimited(Refusal):
    status = 429
    code = "rate_limit_exceeded"
    type = "rate_limit_error"
    retry = True


class Failure(ImprimaturError):
    """Something of ours is broken or down. Nothing was forwarded after it, nothing is charged."""

    status = 503
    code = "unavailable"
    retry = True


class AuditUnavailable(Failure):
    code = "audit_unavailable"


class PolicyUnavailable(Failure):
    code = "policy_unavailable"


class IdentityUnavailable(Failure):
    code = "identity_unavailable"


class StorageUnavailable(Failure):
    code = "storage_unavailable"


class ProvenanceUnavailable(Failure):
    code = "provenance_unavailable"


class ModelOverloaded(Failure):
    code = "model_overloaded"


class ModelUnavailable(Failure):
    code = "model_unavailable"


class ModelBroken(Failure):
    status = 502
    code = "model_broken_answer"
