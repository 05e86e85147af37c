"""The closed words of the house: roles, permissions, effects, events and reason codes.

Naming rules, held by `tests/unit/test_vocabulary.py`:

* a permission is `subject:verb` ("image:generate"); the same word is the policy input's `action`;
* an event of the audit log is a permission for image work, else `source:subject:action` ("auth:key:mint");
* a reason code is `family.what-was-found` ("dlp.payment-card"). The families are closed; the second half of `dlp.*`
  and `content.*` is open, because the security team adds detectors without a deploy.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """What a person or program is to Imprimatur; comes from the identity provider's groups and nowhere else."""

    EMPLOYEE = "employee"
    REVIEWER = "reviewer"
    AUDITOR = "auditor"
    POLICY_AUTHOR = "policy-author"
    POLICY_APPROVER = "policy-approver"
    BILLING = "billing"
    ADMIN = "admin"
    SERVICE = "service"
    BREAK_GLASS = "break-glass"


class Permission(StrEnum):
    """`subject:verb`. Which role holds which is policy (`policies/gateway/config/roles/data.yaml`), not code."""

    IMAGE_GENERATE = "image:generate"
    IMAGE_EDIT = "image:edit"
    IMAGE_VARY = "image:vary"
    SCREENING_ASK = "screening:ask"
    MODEL_LIST = "model:list"
    CREDIT_READ = "credit:read"
    KEY_MANAGE = "key:manage"
    AUDIT_SEARCH = "audit:search"
    AUDIT_PROVE = "audit:prove"
    CASE_REQUEST = "case:request"
    CASE_APPROVE = "case:approve"
    CONTENT_OPEN = "content:open"
    HOLD_MANAGE = "hold:manage"
    SUBJECT_MANAGE = "subject:manage"
    MAPPING_PROPOSE = "mapping:propose"
    MAPPING_APPROVE = "mapping:approve"
    SERVICE_MANAGE = "service:manage"
    SERVICE_APPROVE = "service:approve"
    PERSON_SUSPEND = "person:suspend"
    ACCESS_REVIEW = "access:review"
    EMERGENCY_MANAGE = "emergency:manage"
    POLICY_READ = "policy:read"
    POLICY_WRITE = "policy:write"
    POLICY_APPROVE = "policy:approve"
    POLICY_ACTIVATE = "policy:activate"
    POLICY_REPLAY = "policy:replay"


TASKS: Final = {
    Permission.IMAGE_GENERATE: "generate",
    Permission.IMAGE_EDIT: "edit",
    Permission.IMAGE_VARY: "vary",
}
"""The three jobs of image models, in the words of their lists (`GET /v1/models`)."""


class Effect(StrEnum):
    """Policy's answer. Where several rules answer, deny > review > mask > allow."""

    ALLOW = "allow"
    MASK = "mask"
    REVIEW = "review"
    DENY = "deny"


class Conclusion(StrEnum):
    """How a recorded request ended, when it did not end with policy's effect alone."""

    CANCELLED = "cancelled"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Event(StrEnum):
    """What the audit log can hold."""

    IMAGE_GENERATE = "image:generate"
    IMAGE_EDIT = "image:edit"
    IMAGE_VARY = "image:vary"
    SIGN_IN = "auth:session:start"
    SIGN_IN_REFUSED = "auth:session:refuse"
    STEP_UP = "auth:session:step-up"
    SIGN_OUT = "auth:session:end"
    SESSION_REVOKE = "auth:session:revoke"
    SESSION_LAPSE = "auth:session:lapse"
    SIGN_IN_THROTTLE = "auth:session:throttle"
    LOGOUT_TOKEN_REFUSED = "auth:logout:refuse"  # noqa: S105 a word, not a secret
    KEY_MINT = "auth:key:mint"
    KEY_REVOKE = "auth:key:revoke"
    KEY_REFUSED = "auth:key:refuse"
    FORM_REFUSED = "auth:form:refuse"
    SERVICE_CREATE = "auth:service:create"
    SERVICE_CHANGE = "auth:service:change"
    SERVICE_DISABLE = "auth:service:disable"
    PROPOSAL_SUBMIT = "auth:proposal:submit"
    PROPOSAL_APPROVE = "auth:proposal:approve"
    PROPOSAL_REJECT = "auth:proposal:reject"
    PROPOSAL_WITHDRAW = "auth:proposal:withdraw"
    MAPPING_ACTIVATE = "auth:mapping:activate"
    PERSON_SUSPEND = "auth:person:suspend"
    PERSON_REINSTATE = "auth:person:reinstate"
    PERSON_PROVISION = "auth:person:provision"
    PERSON_UPDATE = "auth:person:update"
    PERSON_DEPROVISION = "auth:person:deprovision"
    GROUP_CHANGE = "auth:group:change"
    SCIM_REFUSED = "auth:scim:refuse"
    ACCESS_REVIEW = "auth:access:review"
    EMERGENCY_SEAL = "auth:emergency:seal"
    EMERGENCY_DRILL = "auth:emergency:drill"
    EMERGENCY_ASK = "auth:emergency:ask"
    EMERGENCY_OPEN = "auth:emergency:open"
    EMERGENCY_REFUSED = "auth:emergency:refuse"
    EMERGENCY_END = "auth:emergency:end"
    PICTURE_CHECK = "provenance:picture:check"
    POLICY_RELOAD = "policy:bundle:activate"
    POLICY_RELOAD_REFUSED = "policy:bundle:refuse"
    POLICY_PUBLISH = "policy:bundle:publish"
    POLICY_DRAFT_SAVE = "policy:draft:save"
    POLICY_DRAFT_COMMENT = "policy:draft:comment"
    POLICY_DRAFT_CHECK = "policy:draft:check"
    POLICY_DRAFT_CLOSE = "policy:draft:close"
    POLICY_SEED = "policy:revision:seed"
    POLICY_APPROVE = "policy:revision:approve"
    POLICY_ROLLBACK = "policy:revision:rollback"
    POLICY_BREAK_GLASS = "policy:revision:break-glass"
    POLICY_EXPIRE = "policy:revision:expire"
    ROLLOUT_START = "policy:rollout:start"
    ROLLOUT_WIDEN = "policy:rollout:widen"
    ROLLOUT_FINISH = "policy:rollout:finish"
    ROLLOUT_WITHDRAW = "policy:rollout:withdraw"
    ROLLOUT_END = "policy:rollout:end"
    POLICY_REPLAY = "policy:replay:start"
    POLICY_PREVIEW = "policy:decision:preview"
    SHADOW_START = "policy:shadow:start"
    SHADOW_ALARM = "policy:shadow:alarm"
    SHADOW_END = "policy:shadow:end"
    DETECTOR_RELOAD = "policy:detector:activate"
    DETECTOR_RELOAD_REFUSED = "policy:detector:refuse"
    GATEWAY_START = "system:gateway:start"
    GATEWAY_STOP = "system:gateway:stop"
    LEDGER_MEND = "system:ledger:mend"
    LEDGER_REPORT = "system:ledger:report"


class Severity(StrEnum):
    """How bad a finding is, in rising order."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Code(StrEnum):
    """Reason codes that the gateway's own code can give. Policy adds `dlp.*` and `content.*` from its rule files."""

    MFA_MISSING = "mfa.missing"
    MFA_STALE = "mfa.stale"
    SUBJECT_SUSPENDED = "subject.suspended"
    SUBJECT_SIGN_IN_INVALID = "subject.sign-in-invalid"
    SUBJECT_SIGN_IN_REFUSED = "subject.sign-in-refused"
    SUBJECT_OTHER_PERSON = "subject.other-person"
    SUBJECT_KEY_REVOKED = "subject.key-revoked"
    SUBJECT_KEY_EXPIRED = "subject.key-expired"
    SUBJECT_NOT_SEEN = "subject.not-seen"
    SUBJECT_DEPROVISIONED = "subject.deprovisioned"
    SUBJECT_NOT_PROVISIONED = "subject.not-provisioned"
    SUBJECT_THROTTLED = "subject.throttled"
    SUBJECT_LAPSED = "subject.lapsed"
    SUBJECT_OWN_PROPOSAL = "subject.own-proposal"
    ROLE_CONFLICT = "role.conflict"
    NETWORK_NOT_OF_KEY = "network.not-of-key"
    REQUEST_FOREIGN_FORM = "request.foreign-form"
    POLICY_UNAVAILABLE = "policy.unavailable"
    POLICY_INVALID = "policy.invalid"
    POLICY_UNDEFINED = "policy.undefined"
    POLICY_STALE = "policy.stale"
    POLICY_REVISION_UNKNOWN = "policy.revision-unknown"
    POLICY_TOO_MANY_FINDINGS = "policy.too-many-findings"
    SCREENING_UNAVAILABLE = "screening.unavailable"
    PICTURE_BLOCKED = "picture.blocked"
    PICTURE_FACE = "picture.face-realistic"
    PICTURE_FACE_DOUBTFUL = "picture.face-doubtful"
    PICTURE_NUDITY = "picture.nudity"
    PICTURE_UNCHECKED = "picture.unchecked"
    MEMORISATION_NEAR_DUPLICATE = "memorisation.near-duplicate"
    MEMORISATION_FACE = "memorisation.near-duplicate-face"
    CREDITS_EMPTY = "credits.empty"
    CREDITS_UNSETTLED = "credits.unsettled"
    CREDITS_UNRELEASED = "credits.unreleased"
    CREDITS_WITHOUT_OUTCOME = "credits.without-outcome"
    CREDITS_SPENT_FOR_NOTHING = "credits.spent-for-nothing"
    CREDITS_NEVER_CHARGED = "credits.never-charged"
    CREDITS_AMOUNT_DIFFERS = "credits.amount-differs"
    REQUEST_INVALID = "request.invalid"
    REQUEST_NO_ROOM = "request.no-room"
    MODEL_UNAVAILABLE = "model.unavailable"
    MODEL_OVERLOADED = "model.overloaded"
    MODEL_BROKEN = "model.broken-answer"
    PICTURE_UNMARKED = "internal.picture-unmarked"
    CLIENT_GONE = "client.gone"
    STORAGE_UNAVAILABLE = "internal.storage-unavailable"
    INTERNAL = "internal.error"
    CRASHED = "internal.crashed"


REASON_CODE: Final = re.compile(
    r"(policy|role|mfa|subject|model|count|size|hours|network|usage|dlp|content|picture|memorisation|screening|credits|request|review|client|internal)"
    r"\.[a-z0-9]+(-[a-z0-9]+)*"
)
"""Every reason code, shipped or added by a rule file, matches this whole."""


def is_reason_code(text: str) -> bool:
    """Whether `text` may stand as a reason code."""
    return len(text) <= 64 and REASON_CODE.fullmatch(text) is not None
