"""What is sent to one route: a request for each place of a request that can hold something, with a secret in it.

Read from the application's own list of routes (`tests/authz/table.py` is compared with it), its OpenAPI document and
the names of the fields on its pages, so that a new route or field is tried without a word here.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from gateway.api.bodies import EditBody, GenerationBody, VariationBody
from gateway.app import create_app
from gateway.settings import Settings
from tests.authz.matrix import SESSIONS, is_open
from tests.authz.table import Form, Guard, Upload, Way

Say = Callable[[str], str]
"""A fresh secret for a position."""

TEMPLATES: Final = Path(__file__).resolve().parents[2] / "gateway/web/templates"

READ_OF_QUERIES: Final = [
    "q",
    "who",
    "event_id",
    "action",
    "effect",
    "reason",
    "model",
    "since",
    "until",
    "cursor",
    "actor",
    "return_to",
    "provider",
    "max_age",
    "acr",
    "code",
    "state",
    "iss",
    "error",
    "error_description",
    "phase",
    "drilled",
    "from_day",
    "to_day",
    "effective_at[gt]",
    "actor_ids[]",
    "event_types[]",
    "after",
    "filter",
]
HARMLESS_HEADERS: Final = [
    "user-agent",
    "referer",
    "accept-language",
    "x-request-id",
    "traceparent",
    "tracestate",
    "baggage",
    "x-anything",
    "idempotency-key",
    "openai-organization",
    "openai-project",
    "x-forwarded-for",
    "x-forwarded-host",
    "forwarded",
    "x-forwarded-user",
    "remote-user",
    "if-none-match",
    "if-match",
    "range",
    "via",
    "from",
    "x-stainless-lang",
]
GUARDING_HEADERS: Final = ("authorization", "cookie", "origin", "sec-fetch-site", "x-csrf-token", "accept", "host")
"""Each changes who is asking, and is tried alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One request."""

    route: str
    position: str
    method: str
    path: str
    caller: str
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    files: list[tuple[str, tuple[str | None, bytes | str, str]]] | None = None


@cache
def _documented() -> Mapping[tuple[str, str], tuple[frozenset[str], frozenset[str]]]:
    """Names of the query's parameters and of the body's fields by route, from the application's OpenAPI document."""
    document = create_app(Settings()).openapi()
    found = {}
    for path, methods in document["paths"].items():
        for method, about in methods.items():
            queries = {one["name"] for one in about.get("parameters", ()) if one["in"] == "query"}
            schema = about.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            name = schema.get("$ref", "").rsplit("/", 1)[-1]
            properties = document.get("components", {}).get("schemas", {}).get(name, schema).get("properties", {})
            found[method.upper(), path] = (frozenset(queries), frozenset(properties))
    return found


@cache
def names_of_page_fields() -> tuple[str, ...]:
    """Every field of every form on our pages."""
    found: set[str] = set()
    for template in TEMPLATES.glob("*.html"):
        found |= set(re.findall(r'<(?:input|textarea|select|button)[^>]*\sname="([a-z_]+)"', template.read_text()))
    return tuple(sorted(found - {"csrf_token"}))


def fields_of(method: str, path: str, way: Way) -> tuple[str, ...]:
    """Names that the JSON body or the multipart form of a route may have."""
    by_hand: Mapping[str, Any] = {
        "/v1/images/generations": GenerationBody,
        "/v1/images/edits": EditBody,
        "/v1/images/variations": VariationBody,
    }
    found = set(_documented().get((method, path), ((), frozenset()))[1])
    if path in by_hand:
        found |= set(by_hand[path].model_fields)
    if isinstance(way.body, Mapping):
        found |= set(way.body)
    return tuple(sorted(found))


def callers_of(way: Way) -> str:
    """Somebody whom the route is open to, "" when nobody signed in is needed."""
    if way.opens in (Guard.ANYBODY, Guard.OWN_SECRET):
        return ""
    return next(caller for caller in SESSIONS if caller != "break-glass" and is_open(way, caller))


def shots(method: str, path: str, way: Way, say: Callable[[str, str], str], known: Mapping[str, str]) -> Iterator[Shot]:
    """Every request to one route. `say(route, position)` makes a secret; `known` are values that really exist here, by
    the name of the path's parameter."""
    route = f"{method} {path}"

    def new(position: str) -> str:
        return say(route, position)

    caller = callers_of(way)
    usual = path
    for name, value in way.values.items():
        usual = usual.replace("{" + name + "}", quote(known.get(name.split(":")[0], value), safe="|"))

    def shot(position: str, **changes: Any) -> Shot:
        given = {"method": method, "path": usual, "caller": caller} | changes
        return Shot(route=route, position=position, **given)

    usual_body = _usual_body(way)
    # the address
    for name in way.values:
        strange = path.replace("{" + name + "}", quote(new(f"path {name}")))
        for other, value in way.values.items():
            strange = strange.replace("{" + other + "}", quote(value, safe="|"))
        yield shot(f"path {name}", path=strange, **usual_body)
    yield shot("path behind it", path=f"{usual}/{new('path behind it')}", **usual_body)
    declared = _documented().get((method, path), (frozenset(), frozenset()))[0]
    queries = {name: new(f"query {name}") for name in (*READ_OF_QUERIES, *sorted(declared))}
    queries[new("query, unknown name")] = new("query, value of an unknown name")
    yield shot("whole query", path=f"{usual}?{urlencode(queries)}", **usual_body)
    for name in sorted(declared) + [n for n in ("q", "return_to", "actor", "cursor") if method == "GET"]:
        value = new(f"query {name} alone")
        yield shot(f"query {name} alone", path=f"{usual}?{urlencode({name: value})}", **usual_body)
    page = {"accept": "text/html"}
    again = {"return_to": new("query on a page"), new("query name on a page"): "1"}
    yield shot(
        "query on a page",
        path=f"{usual}?{urlencode(again)}",
        headers=page | usual_body.pop("headers", {}),
        **usual_body,
    )
    usual_body = _usual_body(way)
    # the headers
    harmless = {name: new(f"header {name}") for name in HARMLESS_HEADERS}
    harmless[new("name of a header")] = "1"
    body_headers = usual_body.pop("headers", {})
    yield shot("harmless headers", headers=harmless | body_headers, **usual_body)
    for name in GUARDING_HEADERS:
        for before, as_page in (
            ("", False),
            *([("Bearer ", False), ("Basic ", False), ("Bearer imp_", True)] if name == "authorization" else ()),
        ):
            secret = before + new(f"header {name} {before}".strip())
            if name == "cookie":
                secret = f"imprimatur-session={secret}; {new('unknown cookie')}={new('value of an unknown cookie')}"
            headers = {name: secret} | body_headers | (page if as_page else {})
            yield shot(f"header {name} {before}".strip(), headers=headers, **usual_body)
    # the body
    if method not in ("GET", "DELETE", "OPTIONS") or way.body is not None:
        yield from _bodies(shot, new, way, fields_of(method, path, way))
    # a stranger with all of it at once
    if caller:
        stranger = f"{usual}?{urlencode({'q': new('query of a stranger')})}"
        content = json.dumps({"prompt": new("body of a stranger")}).encode()
        headers = {"content-type": "application/json", "user-agent": new("user agent of a stranger")}
        headers["authorization"] = "Bearer " + new("token of a stranger")
        for accept in ("application/json", "text/html"):
            yield shot("a stranger", path=stranger, caller="", headers=headers | {"accept": accept}, content=content)


def _usual_body(way: Way) -> dict[str, Any]:
    if isinstance(way.body, Form):
        return _form(way.body.fields)
    if isinstance(way.body, Upload):
        texts = [(name, (None, value, "text/plain")) for name, value in way.body.fields.items()]
        return {"files": [*texts, (way.body.name, ("picture.png", picture(), "image/png"))]}
    return {} if way.body is None else _json(way.body)


def _json(body: object) -> dict[str, Any]:
    return {"content": json.dumps(body).encode(), "headers": {"content-type": "application/json"}}


def _form(fields: Mapping[str, str]) -> dict[str, Any]:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    return {"content": urlencode(dict(fields)).encode(), "headers": headers}


def _bodies(shot: Callable[..., Shot], new: Say, way: Way, fields: tuple[str, ...]) -> Iterator[Shot]:
    if isinstance(way.body, Upload):
        yield from _uploads(shot, new, way.body, fields)
    elif isinstance(way.body, Form):
        names = (*names_of_page_fields(), *way.body.fields, "logout_token", "scope.image:generate")
        for chosen in (names[:18], names[18:]):  # a form of ours takes 20 fields
            filled = {name: new(f"form {name}") for name in chosen}
            yield shot("whole form", **_form(filled))
        for name in way.body.fields:
            yield shot(f"form {name}", **_form({**way.body.fields, name: new(f"form {name} alone")}))
        strange = {**way.body.fields, new("form, unknown name"): new("form, value of an unknown name")}
        yield shot("form, unknown field", **_form(strange))
    else:
        good = dict(way.body) if isinstance(way.body, Mapping) else {}
        for name in fields:
            yield shot(f"json {name}", **_json({**good, name: new(f"json {name}")}))
            yield shot(f"json {name}, a list", **_json({**good, name: [new(f"json {name}, a list")]}))
            key, value = new(f"json {name}, a key"), new(f"json {name}, a value below")
            yield shot(f"json {name}, an object", **_json({**good, name: {key: value}}))
        yield shot("json, unknown name", **_json({**good, new("json, unknown name"): 1}))
        strange = {**good, "Key " + new("json, unknown key"): {new("json, key below it"): new("json, value below it")}}
        yield shot("json, unknown key", **_json(strange))
        twice = f'{{"{(name := new("json, a key twice"))}": 1, "{name}": 2}}'.encode()
        yield shot("json, a key twice", content=twice, headers={"content-type": "application/json"})
    for kind in (
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/xml",
    ):
        broken = f'{{"prompt": "{new(f"broken {kind}")}", \x00'.encode()
        yield shot(f"broken {kind}", content=broken, headers={"content-type": kind})
    for name, value in (("a text", new("json, a text alone")), ("a list", [new("json, a list alone")])):
        yield shot(f"json, {name} alone", **_json(value))
    kind = new("content type")
    yield shot("content type", content=b"{}", headers={"content-type": f"application/{kind}; charset={kind}"})


def _uploads(shot: Callable[..., Shot], new: Say, body: Upload, fields: tuple[str, ...]) -> Iterator[Shot]:
    texts = [(name, (None, value, "text/plain")) for name, value in body.fields.items()]
    good = (body.name, ("picture.png", picture(), "image/png"))
    for name in fields:
        kept = [text for text in texts if text[0] != name]
        yield shot(f"form {name}", files=[*kept, (name, (None, new(f"form {name}"), "text/plain")), good])
    yield shot("form, unknown name", files=[*texts, (new("form, unknown name"), (None, "1", "text/plain")), good])
    strange = ("anything", (None, new("form, value of an unknown name"), "text/plain"))
    yield shot("form, value of an unknown name", files=[*texts, strange, good])
    sent = (new("file name") + ".png", picture(), "image/png")
    yield shot("file name", files=[*texts, (body.name, sent)])
    sent = ("picture.png", picture(), f"image/{new('type of a file')}")
    yield shot("type of a file", files=[*texts, (body.name, sent)])
    sent = ("picture.png", picture(), "image/png")
    yield shot("name of a file's field", files=[*texts, (new("name of a file's field"), sent)])
    for place, data in with_something_in_it(new).items():
        yield shot(place, files=[*texts, (body.name, ("picture", data, "application/octet-stream"))])


def picture(kind: str = "PNG", **options: Any) -> bytes:
    """A picture of a cloudless evening."""
    data = io.BytesIO()
    Image.linear_gradient("L").resize((128, 128)).convert("RGB").save(data, kind, **options)
    return data.getvalue()


def with_something_in_it(new: Say) -> dict[str, bytes]:
    """Pictures, good and bad, that hold a text where pictures can."""
    info, zipped = PngInfo(), PngInfo()
    info.add_text("Description", new("metadata, PNG text"))
    info.add_itxt("XML:com.adobe.xmp", f"<x:xmpmeta>{new('metadata, XMP in PNG')}</x:xmpmeta>")
    zipped.add_text("Comment", new("metadata, zipped PNG text"), zip=True)
    exif = Image.Exif()
    exif[0x010E], exif[0x9286] = new("metadata, EXIF description"), new("metadata, EXIF comment")
    exif.get_ifd(0x8825)[27] = new("metadata, EXIF place")
    xmp = f"<x:xmpmeta>{new('metadata, XMP in JPEG')}</x:xmpmeta>".encode()
    jpeg = picture("JPEG", exif=exif, comment=new("metadata, JPEG comment").encode(), xmp=xmp)
    return {
        "metadata of a PNG": picture(pnginfo=info),
        "zipped metadata of a PNG": picture(pnginfo=zipped),
        "metadata of a JPEG": jpeg,
        "metadata of a WebP": picture("WEBP", exif=exif, xmp=new("metadata, XMP in WebP").encode()),
        "behind a PNG": picture() + new("file, behind a PNG").encode(),
        "instead of a picture": new("file, no picture").encode(),
        "an SVG": f"<svg xmlns='http://www.w3.org/2000/svg'><text>{new('file, SVG')}</text></svg>".encode(),
        "a cut JPEG": jpeg[:-40] + new("file, cut").encode(),
    }
