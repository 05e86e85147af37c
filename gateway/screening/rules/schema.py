"""The form of the rule files. The JSON Schemas in `policies/schemas/` are written from these classes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from gateway.vocabulary import Effect, Severity

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=48)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=2_000)]
Message = Annotated[str, StringConstraints(min_length=20, max_length=400)]
Scope = Literal["prompt", "negative_prompt", "ocr_upload", "ocr_output", "filename", "metadata"]
Mode = Literal["off", "monitor", "enforce"]
Entity = Literal["PERSON", "ORG", "GPE", "LOC"]
"""What the model of names tells apart: people, organisations, places with a government, other places."""

EFFECTS: dict[str, Effect] = {
    "allow": Effect.ALLOW, "mask": Effect.MASK, "review": Effect.REVIEW, "block": Effect.DENY,
}  # fmt: skip
"""The rule files say `block`, for people; policy's word is deny."""


class Form(BaseModel):
    """Unknown names are errors: a misspelt protection must not be a missing one."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=False)


class ReviewIf(Form):
    values: int = Field(ge=2, le=50, description="From so many different values in one text on.")


class Action(Form):
    default: Literal["allow", "mask", "block", "review"] = Field(description="What the rule proposes; policy decides.")
    replacement: str = Field("", max_length=80, description="A realistic value that belongs to nobody, to mask with.")
    review_if: ReviewIf | None = Field(None, description="When to propose review instead of `allow` or `mask`.")

    @model_validator(mode="after")
    def _review_is_stricter(self) -> Action:
        if self.review_if is not None and self.default not in ("allow", "mask"):
            raise ValueError("`review_if` goes with the defaults allow and mask: the others are as strict already")
        return self

    @model_validator(mode="after")
    def _mask_has_something_to_put_there(self) -> Action:
        if self.default == "mask" and not self.replacement:
            raise ValueError("a rule that masks needs `replacement`")
        return self


class RuleTests(Form):
    match: tuple[Text, ...] = Field(min_length=1, description="Prompts in which the rule must find something.")
    no_match: tuple[Text, ...] = Field(min_length=1, description="Prompts in which it must find nothing.")


class Pattern(Form):
    regex: Text = Field("", description="RE2 syntax. Group 1, where there is one, is the value.")
    terms: tuple[Text, ...] = Field(
        (), max_length=500, description="Or: whole words and phrases, in any case; blanks match any short gap."
    )
    entity: Entity | None = Field(
        None,
        description="Or: what a small model of English takes for a name of this kind. Only in a rule whose context is "
        "required, and for review or allow.",
    )
    cue: bool = Field(False, description="Whether this pattern counts only beside one of `context.cues`.")

    @model_validator(mode="after")
    def _is_one_of_two(self) -> Pattern:
        if [bool(self.regex), bool(self.terms), self.entity is not None].count(True) != 1:
            raise ValueError("expected one of `regex`, `terms` and `entity`")
        return self


class Context(Form):
    cues: tuple[Text, ...] = Field((), description="Words that speak for a value; blanks match any short gap.")
    against: tuple[Text, ...] = Field((), description="Words that speak against it. The nearer word wins.")
    window: int = Field(40, ge=5, le=200, description="Characters looked at before a value; half of it after.")
    required: bool = Field(False, description="Whether nothing counts without a cue.")

    @model_validator(mode="after")
    def _what_is_required_exists(self) -> Context:
        if self.required and not self.cues:
            raise ValueError("`required` needs `cues`")
        return self


class Detect(Form):
    any: tuple[Pattern, ...] = Field(min_length=1, max_length=20, description="One of these must occur.")
    validate_: tuple[str, ...] = Field((), alias="validate", description="Validators, each narrowing the one before.")
    context: Context | None = None
    min_count: int = Field(
        1, ge=1, le=50, description="So many different values must stand in the text; they are one finding then."
    )

    @property
    def wants_names(self) -> bool:
        return any(pattern.entity is not None for pattern in self.any)

    @model_validator(mode="after")
    def _cues_that_are_needed_exist(self) -> Detect:
        if any(pattern.cue for pattern in self.any) and not (self.context and self.context.cues):
            raise ValueError("a pattern with `cue` needs `context.cues`")
        return self


class ExactMatch(Form):
    list: Slug = Field(description="A list made by `imprimatur dlp import`.")
    require: int = Field(2, ge=1, le=2, description="So many values of one row must stand near each other.")
    window: int = Field(100, ge=10, le=500, description="Characters between two values of a row.")
    if_missing: Literal["fail", "skip"] = Field(
        "fail", description="fail: without its list the rules don't load; skip: the rule waits for its list."
    )


class Exemption(Form):
    values: tuple[Text, ...] = Field(min_length=1, description="Values that are nobody's, however written.")
    reason: Text = Field(description="Why they may pass.")


class DlpRule(Form):
    """One kind of sensitive value. Its findings have the type `dlp.<id>`."""

    id: Slug
    version: int = Field(ge=1)
    owner: Text = Field(description="The team that answers for the rule.")
    mode: Mode = Field(description="off: not run; monitor: reported, proposes allow; enforce.")
    scope: tuple[Scope, ...] = Field(("prompt", "negative_prompt", "ocr_upload", "ocr_output"), min_length=1)
    severity: Severity
    detect: Detect | None = Field(None, description="What to look for by its form.")
    exact_match: ExactMatch | None = Field(None, description="Or: values that stand in a list of the company's.")
    action: Action
    message: Message = Field(description="What the person reads: what was found, why it matters, what to do.")
    exceptions: tuple[Exemption, ...] = ()
    tests: RuleTests

    @model_validator(mode="after")
    def _looks_for_one_thing(self) -> DlpRule:
        if self.action.review_if is not None and self.detect is not None and self.detect.min_count > 1:
            raise ValueError("`review_if` and `min_count` both count values: use one of them")
        if (self.detect is None) == (self.exact_match is None):
            raise ValueError("expected either `detect` or `exact_match`")
        if self.exact_match is not None and self.exact_match.require > 1 and self.action.default == "mask":
            raise ValueError("two values with text between them can't be masked: use block or review")
        return self


Language = Literal["en", "de", "fr", "es"]


class Pair(Form):
    these: tuple[Text, ...] = Field(min_length=1)
    those: tuple[Text, ...] = Field(min_length=1)
    within_words: int = Field(6, ge=1, le=20)


class Words(Form):
    terms: tuple[Text, ...] = Field((), description="Words and phrases; see the how-to for the small language.")
    together: tuple[Pair, ...] = Field((), description="Things that are harmless alone, near each other.")
    exceptions: tuple[Text, ...] = Field((), description="Phrases in which a term means something else.")


class ContentLexicon(Form):
    """One content category. Its findings have the type `content.<id>`."""

    id: Slug
    version: int = Field(ge=1)
    owner: Text
    mode: Mode
    scope: tuple[Scope, ...] = Field(("prompt", "negative_prompt"), min_length=1)
    severity: Severity
    action: Action
    message: Message
    words: dict[Language, Words] = Field(min_length=1)
    misspellings: bool = Field(
        False, description="Whether a name of two words or more is also found with a slip in one of them."
    )
    tests: RuleTests

    @model_validator(mode="after")
    def _has_words(self) -> ContentLexicon:
        if not any(w.terms or w.together for w in self.words.values()):
            raise ValueError("a lexicon needs `terms` or `together`")
        if self.action.review_if is not None:
            raise ValueError("`review_if` counts values, and a subject has none")
        if self.action.default == "mask":
            raise ValueError("a subject can't be masked: use block, review or allow")
        return self
