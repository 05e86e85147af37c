"""`POST /v1/moderations`: what screening finds in a text or picture before anybody asks for a picture of it.

Shapes: OpenAI's Moderations reference and the types of `openai` 3.54. OpenAI's thirteen categories are answered from
ours; `findings` (ours) says the rest: sensitive data, public figures, what to write instead. Like the studio's hints it
is no act: nothing is recorded, forwarded or charged, and policy has its say only when a picture is asked for.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, StrictStr, ValidationError

from gateway.api.access import request_id_of, require_any
from gateway.api.bodies import MAX_PROMPT_CHARS, read_json
from gateway.errors import InvalidRequest
from gateway.exchange import FileFacts, Finding, Upload
from gateway.screening.facade import Screening
from gateway.services import services_of
from gateway.vocabulary import Effect, Permission
from model_server.wire import MAX_IMAGE_BYTES

router = APIRouter()

MAX_TEXTS: Final = 32
MAX_PICTURES: Final = 4
MAX_CHARS: Final = 100_000
"""Of all texts together: three of the longest prompts."""
DATA_URL: Final = re.compile(r"data:(image/(?:png|jpeg|webp));base64,")

CATEGORIES: Final[Mapping[str, tuple[str, ...]]] = {
    "harassment": ("content.harassment",),
    "harassment/threatening": (),
    "hate": ("content.hate", "content.hate-symbols", "picture.hate-symbols"),
    "hate/threatening": (),
    "illicit": ("content.illegal",),
    "illicit/violent": (),
    "self-harm": ("content.self-harm",),
    "self-harm/instructions": (),
    "self-harm/intent": (),
    "sexual": ("content.sexual", "content.minors", "picture.nudity"),
    "sexual/minors": ("content.minors",),
    "violence": ("content.violence", "picture.violence"),
    "violence/graphic": ("content.violence", "content.medical-gore", "picture.medical-gore"),
}
"""OpenAI's category -> our finding types. Those without one can't be told apart here and are never true alone."""


class TextPart(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    type: Literal["text"]
    text: Annotated[StrictStr, Field(max_length=MAX_PROMPT_CHARS)]


class Address(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    url: Annotated[StrictStr, Field(max_length=2 * MAX_IMAGE_BYTES)]


class PicturePart(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    type: Literal["image_url"]
    image_url: Address


Text = Annotated[StrictStr, Field(max_length=MAX_PROMPT_CHARS)]
Part = Annotated[TextPart | PicturePart, Field(discriminator="type")]


class ModerationBody(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    input: (
        Text
        | Annotated[tuple[Text, ...], Field(min_length=1, max_length=MAX_TEXTS)]
        | Annotated[tuple[Part, ...], Field(min_length=1, max_length=MAX_TEXTS)]
    )
    model: Annotated[StrictStr, Field(max_length=128)] | None = None
    """Taken for the SDK's sake: there is one screening, the one in force."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What one result is about."""

    texts: tuple[str, ...]
    pictures: tuple[Upload, ...] = ()


@router.post("/v1/moderations")
async def moderations(request: Request) -> dict[str, Any]:
    """One result for each text of a list; one for all parts of a mixed input together."""
    actor = await require_any(request, (Permission.SCREENING_ASK, Permission.IMAGE_GENERATE))
    request.scope["state"]["headers"].update(services_of(request).moderation_rate.take(actor.id))
    body = await read_json(request)
    try:
        checked = ModerationBody.model_validate(body)
    except ValidationError:
        raise InvalidRequest(
            f"input: expected a text of at most {MAX_PROMPT_CHARS:,} characters, a list of up to {MAX_TEXTS}, or "
            'a list of parts {"type": "text", "text": …} and {"type": "image_url", "image_url": {"url": …}}.',
            param="input",
        ) from None
    asked = _asked(checked)
    if sum(len(text) for one in asked for text in one.texts) > MAX_CHARS:
        raise InvalidRequest(f"input: expected at most {MAX_CHARS:,} characters in all.", param="input")
    screening = services_of(request).screening
    return {
        "id": f"modr-{request_id_of(request)}",
        "model": f"imprimatur-screening-{screening.revision}",
        "results": [await _result(screening, one) for one in asked],
    }


def _asked(body: ModerationBody) -> list[_Asked]:
    if isinstance(body.input, str):
        return [_Asked((body.input,))]
    texts = [part for part in body.input if isinstance(part, str)]
    if texts:
        return [_Asked((text,)) for text in texts]
    parts = [part for part in body.input if not isinstance(part, str)]
    pictures = [
        _upload(f"input[{place}].image_url", part.image_url.url)
        for place, part in enumerate(parts)
        if isinstance(part, PicturePart)
    ]
    if len(pictures) > MAX_PICTURES:
        raise InvalidRequest(f"input: expected at most {MAX_PICTURES} pictures.", param="input")
    return [_Asked(tuple(part.text for part in parts if isinstance(part, TextPart)), tuple(pictures))]


def _upload(field: str, url: str) -> Upload:
    """The picture inside a `data:` address. Other addresses are not fetched: a gateway that fetches what it is told to
    can be sent to its own network (SSRF, CWE-918)."""
    head = DATA_URL.match(url)
    if head is None:
        raise InvalidRequest(
            f"{field}: expected data:image/png;base64,… (or jpeg, webp). Addresses are not fetched: send the picture "
            "itself.",
            param=field,
        )
    try:
        data = base64.b64decode(url[head.end() :], validate=True)
    except binascii.Error:
        raise InvalidRequest(f"{field}: what follows base64, is not base 64.", param=field) from None
    if len(data) > MAX_IMAGE_BYTES:
        raise InvalidRequest(f"{field}: expected at most {MAX_IMAGE_BYTES >> 20} MB.", param=field)
    facts = FileFacts(sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data), media_type=head.group(1))
    return Upload(field=field, data=data, facts=facts)


async def _result(screening: Screening, asked: _Asked) -> dict[str, Any]:
    """What was found in the texts and pictures of one result."""
    in_text = [(place, finding) for place, text in enumerate(asked.texts) for finding in await screening.hints(text)]
    in_pictures = await _look(screening, asked.pictures)
    findings = [finding for _, finding in in_text] + [*in_pictures]
    scores = {name: _score(findings, types) for name, types in CATEGORIES.items()}
    return {
        "flagged": any(finding.proposed is not Effect.ALLOW for finding in findings),
        "categories": {name: score > 0 for name, score in scores.items()},
        "category_scores": scores,
        "category_applied_input_types": {
            name: [
                kind
                for kind, found in (("text", [f for _, f in in_text]), ("image", in_pictures))
                if _score(found, types) > 0
            ]
            for name, types in CATEGORIES.items()
        },
        "findings": [_shown(finding, place) for place, finding in in_text]
        + [_shown(finding, None) for finding in in_pictures],
    }


async def _look(screening: Screening, uploads: Sequence[Upload]) -> Sequence[Finding]:
    """Pictures go the way of every upload: decoded in a process of their own, encoded anew, then looked at."""
    if not uploads:
        return ()
    _, findings = await screening.clean_uploads(uploads)
    return findings


def _score(findings: Sequence[Finding], types: Sequence[str]) -> float:
    """The surest finding of these types that would stop something; what is only watched counts for nothing."""
    return max((f.score for f in findings if f.type in types and f.proposed is not Effect.ALLOW), default=0.0)


def _shown(finding: Finding, place: int | None) -> dict[str, Any]:
    """A finding without its mark: nothing of an answer is meant to be kept."""
    return {
        "type": finding.type,
        "input": finding.field if place is None else place,
        "start": finding.start,
        "end": finding.end,
        "score": finding.score,
        "effect": finding.proposed,
        "message": finding.message,
        "replacement": finding.replacement,
    }
