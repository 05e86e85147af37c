"""What is fuzzed: each target takes bytes, and raises when something holds no longer.

Only the refusals that a part promises are answers. Whatever else comes out of it is a find.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Final

from PIL import Image

from gateway.errors import InvalidRequest
from gateway.exchange import FileFacts, Picture, Upload
from gateway.screening.image.decode import NotAPicture, check_picture
from gateway.screening.image.upload import BadUpload, clean, media_type_of
from gateway.screening.image.uploads import UploadCleaner
from gateway.screening.rules.compile import compile_rule, read
from gateway.screening.rules.document import parse
from gateway.screening.rules.errors import RuleError
from gateway.screening.rules.names import compile_names
from gateway.screening.rules.ruleset import load
from gateway.screening.rules.schema import DlpRule
from gateway.screening.text.normalise import normalise
from gateway.screening.text.scan import Budget, OverBudget, TextScanner
from gateway.screening.text.views import MAX_DEPTH, to_parent, views
from tests.support.pictures import BAD_FILES, colourful, encode, photo_with_place

ROOT: Final = Path(__file__).resolve().parents[2]
CORPUS: Final = Path(__file__).parent / "corpus"
MOST_VIEWS: Final = 64
"""Readings of one text. Each is scanned whole, so that their number is a factor of the time."""
MAX_TEXT: Final = 4_000


@dataclass(frozen=True, slots=True)
class Target:
    """One thing to feed."""

    name: str
    check: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    """Good and bad inputs to start from."""
    is_text: bool = False
    examples: int = 100
    """How many a short pass tries."""


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")[:MAX_TEXT]


def _spans(length: int, data: bytes) -> list[tuple[int, int]]:
    """Some spans of a text of so many characters, the same for the same input."""
    dice = random.Random(hashlib.sha256(data).digest())
    picked = [tuple(sorted((dice.randint(0, length), dice.randint(0, length)))) for _ in range(8)]
    return [(0, length), *((start, end) for start, end in picked if start < end)]


def check_normaliser(data: bytes) -> None:
    """Every place of the plain text comes from a place of the source, in order; what is plain stays as it is."""
    source = _text(data)
    plain = normalise(source)
    if plain.offsets is None:
        assert len(plain.text) == len(source)
    else:
        assert len(plain.offsets) == len(plain.text) + 1
        assert plain.offsets[-1] == len(source)
        assert all(one <= other for one, other in pairwise(plain.offsets))
    assert all(0 <= place < len(source) for place in plain.hidden)
    for start, end in _spans(len(plain.text), data):
        first, last = plain.source_span(start, end)
        assert 0 <= first <= last <= len(source)
        assert first < last or start == end, "something came from nothing"
    assert normalise(plain.text).text == plain.text, "made plain twice it is another text"
    assert source not in repr(plain) or len(source) < 9, "a text in a repr ends in a log"


def check_views(data: bytes) -> None:
    """Every span of every reading maps back into the text; there are not more readings than we can scan."""
    original = normalise(_text(data))
    number = 0
    for chain in views(original):
        number += 1
        assert len(chain) <= MAX_DEPTH + 1
        for start, end in _spans(len(chain[-1].text), data):
            first, last = to_parent(chain, start, end)
            assert 0 <= first <= last <= len(original.text)
    assert number <= MOST_VIEWS


@cache
def _shipped() -> TextScanner:
    return load(ROOT / "policies").scanners["prompt"]


def check_scan(data: bytes) -> None:
    """The shipped rules end, and what they find lies in the text."""
    text = _text(data)
    with suppress(OverBudget):
        for hit in _shipped().scan(normalise(text), Budget()):
            assert 0 <= hit.start < hit.end <= len(text)
            assert hit.canonical not in repr(hit) or len(hit.canonical) < 4, "a value in a repr ends in a log"


def check_rules(data: bytes) -> None:
    """A rule file loads, or is refused with its line."""
    try:
        document = parse("dlp/rule.yaml", data)
        name = document.data.get("id") if isinstance(document.data, dict) else None
        if isinstance(name, str) and name.isidentifier():
            document = parse(f"dlp/{name}.yaml", data)
        rule = read(document, DlpRule)
        detector = compile_rule(document, rule)
        if detector is not None and detector.entities:
            compile_names(document, rule, detector)
    except RuleError as error:
        lines = data.count(b"\n") + data.count(b"\r") + 2
        assert 1 <= error.line <= lines, f"there is no line {error.line}"


def check_decoding(data: bytes) -> None:
    """Bytes are a picture or are refused, whatever they claim to be."""
    for media_type in ("image/png", "image/jpeg", "image/webp"):
        for width in (64, 32):
            picture = Picture(index=0, data=data, media_type=media_type, width=width, height=width, sha256="")
            with suppress(NotAPicture):
                check_picture(picture)


def check_cleaning(data: bytes) -> None:
    """A clean picture is pixels of the size that was told, and nothing else; anything but a picture is refused."""
    for is_mask in (False, True):
        try:
            cleaned = clean(data, is_mask=is_mask)
        except BadUpload:
            continue
        with Image.open(io.BytesIO(cleaned.data), formats=("PNG",)) as again:
            again.load()
            assert again.size == (cleaned.width, cleaned.height)
            assert not again.info.keys() - {"transparency"}, sorted(map(str, again.info))
        assert cleaned.media_type == media_type_of(data)


def check_child(data: bytes) -> None:
    """The process that decodes answers: with pictures or with a refusal, and never by dying."""
    facts = FileFacts(sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data), media_type="")
    uploads = [Upload(field="image", data=data, facts=facts)]
    with suppress(InvalidRequest):
        (found,) = asyncio.run(UploadCleaner(60).clean(uploads, lambda _: None))
        assert found.data.startswith(b"\x89PNG")


def _texts() -> list[str]:
    return [
        "a poster that reads 4111 1111 1111 1111, flat vector",
        "pay with ４１１１\u200b１１１１ 1111 1111 by ｃａｒｄ",
        "four one one one, one one one one, one one one one, one one one one",
        "NDExMSAxMTExIDExMTEgMTExMQ== and %34%31%31%31 and &#52;&#49;",
        "1111 1111 1111 1114 read backwards; G E 9 1",
        "4️⃣1️⃣1️⃣1️⃣ ½ ﬁ ㎏ ǆ İ ẞ \U000e0034\U000e0031",
        "IBAN DE89 3704 0044 0532 0130 00, call +49 30 123456",
        "00110100 00110001 \\x34\\x31 \\u0034 =34=31 GQYTCMJR",
        "jane dot doe at example dot com, password: hunter2-Zk8",
        "٤١١١ ۱۱۱۱ १११১ \u202e1111\u202c \ud7ff\ue000",
    ]


def _as_bytes(name: str, made: Callable[[], Sequence[bytes | str]]) -> Callable[[], list[bytes]]:
    def seeds() -> list[bytes]:
        kept = [path.read_bytes() for path in sorted((CORPUS / name).glob("*")) if path.is_file()]
        return kept + [one.encode() if isinstance(one, str) else one for one in made()]

    return seeds


def _rules() -> list[bytes]:
    return [path.read_bytes() for path in sorted((ROOT / "policies/dlp").glob("*.yaml"))[:40]]


def _pictures() -> list[bytes]:
    good = [encode(colourful(), kind) for kind in ("PNG", "JPEG", "WEBP")]
    odd = [encode(colourful().convert(mode)) for mode in ("P", "L", "LA", "RGBA", "1", "I;16")]
    return [*good, *odd, photo_with_place(), *(data for data in BAD_FILES.values() if len(data) < 50_000)]


TARGETS: Final[Mapping[str, Mapping[str, Target]]] = {
    "screening": {
        target.name: target
        for target in (
            Target("normaliser", check_normaliser, _as_bytes("normaliser", _texts), is_text=True),
            Target("views", check_views, _as_bytes("views", _texts), is_text=True),
            Target("scan", check_scan, _as_bytes("scan", _texts), is_text=True, examples=60),
            Target("rules", check_rules, _as_bytes("rules", _rules), examples=60),
            Target("decoding", check_decoding, _as_bytes("decoding", _pictures)),
            Target("cleaning", check_cleaning, _as_bytes("cleaning", _pictures)),
            Target("child", check_child, _as_bytes("child", lambda: _pictures()[::5]), examples=3),
        )
    }
}
"""By the name that `make fuzz NAME=…` knows."""
