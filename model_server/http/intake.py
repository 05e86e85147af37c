"""From a body and headers to a request: every field checked, each refusal naming the field and never its value.

JSON and forms come to the same types. In a form every value is a text, so a number is written as JSON writes it, and
true and false as these words; whatever else stands there is refused, as JSON's `"3"` is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any, Final, Literal, NoReturn, TypeVar, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from starlette.datastructures import Headers

from model_server.errors import InvalidRequest, ServiceError, TooLarge
from model_server.wire import (
    CLASS_HEADER,
    DEADLINE_HEADER,
    MAX_IMAGE_BYTES,
    MAX_INPUT_IMAGES,
    MAX_MASK_BYTES,
    MAX_PROMPT_CHARACTERS,
    TENANT_HEADER,
    Class,
    EditRequest,
    GenerationRequest,
    VariationRequest,
    WireModel,
)
from model_server.wire.multipart import FileLimit, FormError, FormLimits

R = TypeVar("R", bound=WireModel)

_LONGEST_PARAM = 64
_CODES = {"missing": "missing_required_parameter", "extra_forbidden": "unknown_parameter"}
_PLAIN_MESSAGES = {"missing": "is required", "extra_forbidden": "is not a parameter of this call"}

_TEXT_BYTES = 4 * 512
_PROMPT_BYTES = 4 * MAX_PROMPT_CHARACTERS
"""A character takes at most 4 bytes of UTF-8."""
_MAX_PARTS = 64
"""The fields of the longest form, and its pictures, with room."""

_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,19})")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,19})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?")
_TRUTH = {"true": True, "false": False}

_TENANT = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SHORTEST_DEADLINE_SECONDS, _LONGEST_DEADLINE_SECONDS = 0.1, 86_400.0


@dataclass(frozen=True, slots=True)
class Turn:
    """Whose turn a request takes, and by when it must be done."""

    tenant: str
    work_class: Class
    deadline_seconds: float | None


def parse_json(body: bytes) -> GenerationRequest:
    """The request in the body. Raises InvalidRequest that names the field and never repeats its value."""
    try:
        text = body.decode("utf-8")
        content = json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("The body is not valid JSON, each name once.", code="invalid_json") from error
    if not isinstance(content, dict):
        raise InvalidRequest("The body must be a JSON object.", code="invalid_json")
    # The text itself, not what was read of it: strict types know JSON's lists, but not Python's, as tuples.
    return _checked(GenerationRequest, text)


def parse_form(kind: type[R], texts: Mapping[str, str]) -> R:
    """The request in a form's text fields. Raises InvalidRequest that names the field and never repeats its value."""
    content = {name: _scalar(name, text, _KINDS[kind].get(name, str)) for name, text in texts.items()}
    return _checked(kind, json.dumps(content))


def parse_turn(headers: Headers, default_deadline_seconds: float | None) -> Turn:
    """What the headers say of tenant, class and deadline. Raises InvalidRequest that names the header."""
    tenant = _single(headers, TENANT_HEADER) or ""
    if tenant and _TENANT.fullmatch(tenant) is None:
        raise InvalidRequest(f"'{TENANT_HEADER}' must be 1 to 64 of A-Z a-z 0-9 _ -.", param=TENANT_HEADER)
    work_class = _single(headers, CLASS_HEADER) or "interactive"
    if work_class not in get_args(Class):
        raise InvalidRequest(f"'{CLASS_HEADER}' must be one of {', '.join(get_args(Class))}.", param=CLASS_HEADER)
    deadline = _single(headers, DEADLINE_HEADER)
    seconds = default_deadline_seconds
    if deadline is not None:
        seconds = float(deadline) if _NUMBER.fullmatch(deadline) else 0.0
        if not _SHORTEST_DEADLINE_SECONDS <= seconds <= _LONGEST_DEADLINE_SECONDS:
            raise InvalidRequest(
                f"'{DEADLINE_HEADER}' must be {_SHORTEST_DEADLINE_SECONDS:g} to {_LONGEST_DEADLINE_SECONDS:g}.",
                param=DEADLINE_HEADER,
            )
    return Turn(tenant, work_class, seconds)  # type: ignore[arg-type]  # one of the words of Class, as just checked


def form_limits(kind: type[EditRequest] | type[VariationRequest], max_body_bytes: int) -> FormLimits:
    """What a form of that call may hold."""
    prompts = ("prompt", "negative_prompt")
    texts = {name: _PROMPT_BYTES if name in prompts else _TEXT_BYTES for name in kind.model_fields}
    if kind is EditRequest:
        files = {
            "image": FileLimit(MAX_IMAGE_BYTES, MAX_INPUT_IMAGES),
            "image[]": FileLimit(MAX_IMAGE_BYTES, MAX_INPUT_IMAGES),
            "mask": FileLimit(MAX_MASK_BYTES),
            "markup": FileLimit(MAX_MASK_BYTES),
        }
    else:
        files = {"image": FileLimit(MAX_MASK_BYTES)}
    return FormLimits(texts, files, max_body_bytes, _MAX_PARTS)


def form_refusal(error: FormError, limits: FormLimits) -> ServiceError:
    """What a caller is told of a form that can't be read."""
    name = error.field
    if name is None:
        if error.kind == "too_large":
            return TooLarge(f"The body is longer than {limits.max_body_bytes} bytes.")
        if error.kind == "too_many":
            return InvalidRequest(f"The form has more than {limits.max_parts} parts.", code="invalid_form")
        return InvalidRequest("The body is not a sound multipart form.", code="invalid_form")
    param = name.removesuffix("[]")
    if error.kind == "unknown":  # a name we do not know is the caller's own text
        return InvalidRequest("A field: is not a parameter of this call.", param=param, code="unknown_parameter")
    if error.kind == "too_large" and name in limits.files:
        return TooLarge(f"'{param}': is larger than {limits.files[name].max_bytes} bytes.", param=param)
    if error.kind == "too_many":
        return InvalidRequest(f"'{param}': may come at most {limits.files[name].max_count} times.", param=param)
    if error.kind == "wrong_kind":
        wanted = "a file" if name in limits.files else "a text, not a file"
        return InvalidRequest(f"'{param}': must be sent as {wanted}.", param=param, code="invalid_type")
    words = {"too_large": "is too long", "duplicate": "must come once"}
    return InvalidRequest(f"'{param}': {words.get(error.kind, 'is not plain UTF-8 text')}.", param=param)


def _checked(kind: type[R], text: str) -> R:
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        # include_input=False: the offending value may be the prompt.
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    raise _refusal(first)


def _refusal(problem: ErrorDetails) -> InvalidRequest:
    kind, place = problem["type"], problem["loc"]
    if not place:
        return InvalidRequest("The body is not valid JSON, each name once.", code="invalid_json")
    param = str(place[0])[:_LONGEST_PARAM]
    message = _PLAIN_MESSAGES.get(kind, problem["msg"].removeprefix("Value error, "))
    code = _CODES.get(kind, "invalid_type" if kind.endswith("_type") else "invalid_value")
    if kind == "extra_forbidden":  # a name we do not know is the caller's own text
        shown = "A field" if len(place) == 1 else f"A field of '{param}'"
        return InvalidRequest(f"{shown}: {message}.", param=param, code=code)
    inner = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place[1:])
    return InvalidRequest(f"'{param}{inner}': {message}.", param=param, code=code)


def _scalar(name: str, text: str, kind: type) -> object:
    value: object | None = text
    if kind is bool:
        value = _TRUTH.get(text)
    elif kind is int:
        value = int(text) if _WHOLE.fullmatch(text) else None
    elif kind is float:
        value = float(text) if _NUMBER.fullmatch(text) else None
    if value is None:
        words = {bool: "true or false", int: "a whole number", float: "a number"}
        raise InvalidRequest(f"'{name}': must be {words[kind]}.", param=name, code="invalid_type")
    return value


def _kind(annotation: Any) -> type:
    """bool, int or float for a field of that type, str for any other."""
    if get_origin(annotation) is Literal:
        return str
    kinds = [kind for kind in get_args(annotation) or (annotation,) if kind is not NoneType]
    return kinds[0] if kinds[0] in (bool, int, float) else str


_KINDS: Final[dict[type[WireModel], dict[str, type]]] = {
    kind: {name: _kind(field.annotation) for name, field in kind.model_fields.items()}
    for kind in (EditRequest, VariationRequest)
}


def _single(headers: Headers, name: str) -> str | None:
    values = headers.getlist(name)
    if len(values) > 1:  # a proxy before us may have read the other one
        raise InvalidRequest(f"'{name}' must come once.", param=name)
    return values[0] if values else None


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Two parsers that pick different twins are how a screened prompt and a drawn one come to differ.
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("duplicate name")
    return content


def _no_constant(_name: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")
