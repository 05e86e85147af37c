"""The values that travel between the rooms of the gateway. Frozen, slotted, and without behaviour beyond a property.

The domain folders do not import each other; what two of them share stands here. Times are aware UTC, sizes are
pixels, ages are seconds, spans are character offsets into the text **as the person sent it**, end exclusive.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NewType

from gateway.vocabulary import Effect, Permission, Role, Severity

ActorId = NewType("ActorId", str)
"""Who, for ever: `<provider name>|<the provider's sub>`."""

RequestId = NewType("RequestId", str)
"""UUIDv7 of one request: `x-request-id`, decision id, and event id of its audit record."""

Method = Literal["session", "api-key", "access-token"]
Stage = Literal["prompt", "upload", "output"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mfa:
    """Evidence of a second factor. `at` is stamped by our own clock at the callback, or taken from a provider whose
    profile says its `auth_time` is trusted. `None` means: no evidence, which is the same as no second factor."""

    at: datetime | None = None
    amr: tuple[str, ...] = ()
    acr: str = ""

    def age_seconds(self, now: datetime) -> int | None:
        """Whole seconds since the evidence; None without evidence; never negative."""
        return None if self.at is None else max(0, int((now - self.at).total_seconds()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who acts, and how sure we are. Built by `identity/`, by nobody else."""

    id: ActorId
    display_name: str
    method: Method
    credential_id: str
    """Session, key or token id: never the secret itself."""
    roles: frozenset[Role] = frozenset()
    groups: tuple[str, ...] = ()
    department: str = ""
    email: str = ""
    status: Literal["active", "suspended"] = "active"
    mfa: Mfa = Mfa()
    scopes: frozenset[Permission] | None = None
    """What the credential is limited to; None = everything the roles may. Empty = nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a request came from, as far as the gateway itself can tell."""

    ip: str
    user_agent: str = ""
    client: str = ""
    country: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a request brought to show who sent it, exactly as it came. Its repr never shows them."""

    authorization: str | None = field(default=None, repr=False)
    cookie: str | None = field(default=None, repr=False)
    csrf_token: str | None = field(default=None, repr=False)
    method: str
    """HTTP method: a cookie alone never authorises an unsafe one. No default, which would switch that off unseen."""
    site_origin: str | None = None
    """The `Origin` header."""
    fetch_site: str | None = None
    """The `Sec-Fetch-Site` header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """What a record keeps of a picture that came along: enough to know it again, never the picture itself."""

    sha256: str
    size_bytes: int
    media_type: str
    """As it was claimed; once screened, as its content says. Empty = nothing was claimed."""
    width: int = 0
    height: int = 0
    """Pixels; 0 before screening, which is the first to decode it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file as a person sent it. Nothing but screening may look into it, and nothing may forward it."""

    field: str
    """`image` (`image[1]` for the second of several) or `mask`."""
    data: bytes = dataclasses.field(repr=False)
    facts: FileFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanUpload:
    """The same picture, encoded anew by us as PNG: pixels and nothing else. Built by `screening/`, by nobody else."""

    field: str
    data: bytes = dataclasses.field(repr=False)
    sent: FileFacts
    forwarded: FileFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class SketchRegion:
    """One thing of a sketch and where it stands, in shares of the picture (0..1): a box (left, top, right, bottom) or
    a brush stroke. `label` is text of the person's, so it is screened like the prompt."""

    label: str = ""
    box: tuple[float, float, float, float] | None = None
    stroke: tuple[tuple[float, float], ...] | None = None
    width: float = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRequest:
    """What an actor asks of an image model, after the shape of each field was checked."""

    action: Permission
    prompt: str
    """Empty for a variation, which has none."""
    model: str
    negative_prompt: str = ""
    """What the picture should not show: text of the person's, so screened like the prompt."""
    n: int = 1
    size: str = "auto"
    quality: str = "auto"
    background: str = "auto"
    output_format: Literal["png", "webp", "jpeg"] = "png"
    output_compression: int = 100
    response_format: Literal["b64_json", "url"] = "b64_json"
    moderation: Literal["auto", "low"] = "auto"
    stream: bool = False
    partial_images: int = 0
    seed: int | None = None
    style: str = ""
    safety_identifier: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Fields that the model server understands and policy does not need: steps, guidance, strength. Never text."""
    sketch: tuple[SketchRegion, ...] = ()
    uploads: tuple[Upload, ...] = ()
    """The pictures to work on, in the order in which they came, and then the mask."""

    @property
    def has_mask(self) -> bool:
        return any(upload.field == "mask" for upload in self.uploads)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a detector saw: never the value itself, only where it stands and an HMAC by which equal values meet."""

    id: str
    stage: Stage
    detector: str
    """`<rule id>@<rule version>`, so that a record names the very rule that spoke."""
    type: str
    """A reason code: `dlp.payment-card`, `content.violence`, `screening.unavailable`."""
    severity: Severity
    score: float = 1.0
    field: str = "prompt"
    start: int = 0
    end: int = 0
    value_hmac: str = ""
    maskable: bool = True
    """False where the finding came from a decoded view and its offsets can't be replaced one for one."""
    replacement: str = ""
    """A realistic reserved value to mask with ("someone@example.com"): a `[PLACEHOLDER]` would get drawn."""
    message: str = ""
    """What the person is told: what was found and what to do instead. Never repeats the value."""
    proposed: Effect = Effect.DENY
    """What the rule file proposes. Policy has the last word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why policy answered as it did. `code` obeys `vocabulary.is_reason_code`."""

    code: str
    message: str
    severity: Severity = Severity.HIGH
    rule: str = ""
    control: str = ""
    help: str = ""
    span: tuple[int, int] | None = None
    """Where in the prompt, when the reason came from a finding there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskOrder:
    """Replace the span of finding `finding` by `with_`."""

    finding: str
    with_: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepUp:
    """Fresh MFA that would turn this denial round: not older than `max_age_seconds` (RFC 9470)."""

    max_age_seconds: int
    acr: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Obligations:
    """What must be done besides the effect."""

    mask: tuple[MaskOrder, ...] = ()
    step_up: StepUp | None = None
    review_queue: str = ""
    max_n: int | None = None
    retention_days: int = 30
    rewrite: Literal["", "diversity"] = ""
    """What a prompt leaves open about people is to be drawn and said (`gateway/diversity`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Policy's answer, with the engine and the bundle revision that gave it."""

    effect: Effect
    reasons: tuple[Reason, ...] = ()
    obligations: Obligations = Obligations()
    engine: str = ""
    revision: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Fast facts that policy reads as input, so that a replay is exact. Counts are of requests, not pictures."""

    user_day: int = 0
    user_month: int = 0
    in_flight: int = 0
    refused_last_hour: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """Credits set aside for one request; settled or released exactly once, by request id."""

    request_id: RequestId
    actor: ActorId
    credits: int
    remaining: int
    """What the actor has left after this reservation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What a record keeps of a picture that left, to know it again. Built by `provenance/`, by nobody else."""

    handle: int | None
    """What its watermark says, 48 bits; None where the picture is too small for one."""
    fingerprint: str
    """PDQ, 64 hexadecimal digits."""
    quality: int
    """How much the fingerprint says, 0 to 100."""
    certificate: str
    """SHA-256 of the certificate that signed it, hex."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One finished picture, encoded. `sha256` is of the bytes that leave."""

    index: int
    data: bytes
    media_type: str
    width: int
    height: int
    sha256: str
    marks: Marks | None = None
    """None = not marked yet: such a picture may not leave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """How a picture came to be, as the model server tells it: enough to make it again."""

    model: str = ""
    model_digest: str = ""
    seed: int | None = None
    steps: int | None = None
    guidance: float | None = None
    scheduler: str = ""
    batch_mode: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Steps done of one request; `eta_seconds` and `queue_position` as far as the image server says."""

    step: int
    steps: int
    queue_position: int = 0
    eta_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Partial:
    """A picture still being made."""

    index: int
    partial_index: int
    data: bytes
    media_type: str
    width: int
    height: int

    @property
    def picture(self) -> Picture:
        """What screening looks at. Nothing records it, so it has no digest."""
        return Picture(
            index=self.index,
            data=self.data,
            media_type=self.media_type,
            width=self.width,
            height=self.height,
            sha256="",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUsage:
    """OpenAI's usage block."""

    input_tokens: int = 0
    text_tokens: int = 0
    image_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """Everything said yes and the credits are set aside; the image server is being asked now."""

    request_id: RequestId
    credits: int
    credits_remaining: int
    revised_prompts: tuple[str, ...]
    """As in Result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a permitted request comes to."""

    request_id: RequestId
    owner: ActorId
    pictures: tuple[Picture, ...]
    making: Making
    revised_prompts: tuple[str, ...]
    """What the model saw, exactly when it differs from what was sent: one for all pictures, or one a picture."""
    usage: TokenUsage
    size: str
    credits: int
    credits_remaining: int
    created: datetime

    def revised_prompt(self, place: int) -> str | None:
        """What the model saw for the picture at `place`; None where that was what was sent."""
        if not self.revised_prompts:
            return None
        return self.revised_prompts[place if len(self.revised_prompts) > 1 else 0]
