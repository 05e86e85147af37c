"""From what was seen in a picture to the findings that travel. They propose; policy has the last word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.exchange import Finding, Stage
from gateway.screening.image.seen import Classifier, Look
from gateway.vocabulary import Code, Effect, Severity

NUDITY_FROM: Final = 0.2
"""Below, a score is what any picture has. From here it is noted, and policy says what it comes to."""
CATEGORIES: Final = frozenset({"violence", "hate-symbols", "likeness", "medical-gore", "weapons", "drugs"})
"""What an operator's classifier may look for."""

BLOCKED: Final = (
    "This is a picture that your company does not allow, or nearly the same. If you think that is a mistake, ask your "
    "security team."
)
REALISTIC: Final = {
    "upload": "This picture seems to show the face of a real person. Use one without a face, or a drawing.",
    "output": "The picture shows a face like a photographed one. It is marked as made by a machine.",
}
DOUBTFUL: Final = "There may be a face in this picture."
NUDITY: Final = {
    "upload": "This picture seems to show naked people. Choose another.",
    "output": "The picture came out as one that we don't show. Describe it another way, then send it again.",
}
CLASSIFIED: Final = "This picture seems to show what our pictures don't show: {category}. Choose or describe another."
UNCHECKED: Final = "Nothing here can tell whether a picture shows this: {category}. A person has to look at it first."


def report(
    seen: Look,
    *,
    stage: Stage,
    field: str,
    is_blocked: bool,
    classifiers: Sequence[Classifier] = (),
    required: Sequence[str] = (),
) -> list[Finding]:
    """The findings about one picture that was looked at whole. `required`: categories that policy wants checked."""
    where = "output" if stage == "output" else "upload"

    def finding(type_: str, detector: str, severity: Severity, score: float, proposed: Effect, message: str) -> Finding:
        return Finding(
            id="",
            stage=stage,
            detector=detector,
            type=type_,
            severity=severity,
            score=round(score, 3),
            field=field,
            maskable=False,
            message=message,
            proposed=proposed,
        )

    found: list[Finding] = []
    if is_blocked:
        found.append(finding(Code.PICTURE_BLOCKED, "pdq@1", Severity.CRITICAL, 1, Effect.DENY, BLOCKED))
    if seen.realistic:
        effect = Effect.REVIEW if stage == "upload" else Effect.ALLOW
        found.append(
            finding(Code.PICTURE_FACE, "centerface-onet@1", Severity.MEDIUM, seen.realistic, effect, REALISTIC[where])
        )
    elif seen.doubtful:
        found.append(
            finding(Code.PICTURE_FACE_DOUBTFUL, "centerface@1", Severity.LOW, seen.doubtful, Effect.ALLOW, DOUBTFUL)
        )
    if seen.nudity >= NUDITY_FROM:
        found.append(
            finding(Code.PICTURE_NUDITY, "open-nsfw@1", Severity.MEDIUM, seen.nudity, _nude(seen), NUDITY[where])
        )
    for one in classifiers:
        score = seen.classes.get(one.name, 0.0)
        if score >= one.review:
            effect = Effect.DENY if score >= one.deny else Effect.REVIEW
            message = CLASSIFIED.format(category=one.category)
            detector = f"{one.name}@{one.sha256[:12]}"
            found.append(finding(f"picture.{one.category}", detector, Severity.HIGH, score, effect, message))
    for category in sorted({*required} - {one.category for one in classifiers}):
        message = UNCHECKED.format(category=category)
        found.append(finding(Code.PICTURE_UNCHECKED, "screening@1", Severity.MEDIUM, 1, Effect.REVIEW, message))
    return found


NUDITY_REVIEW: Final = 0.6
NUDITY_DENY: Final = 0.85
"""What is proposed where no policy has a say (`/v1/moderations`); `gateway/config/pictures` decides elsewhere."""


def _nude(seen: Look) -> Effect:
    if seen.nudity >= NUDITY_DENY:
        return Effect.DENY
    return Effect.REVIEW if seen.nudity >= NUDITY_REVIEW else Effect.ALLOW
