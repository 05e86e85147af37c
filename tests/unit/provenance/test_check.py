"""The check: all three answer, none believes another, and no file makes it raise, hang or claim."""

from __future__ import annotations

import asyncio
import io
import json
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from gateway.prints.fingerprint import ALIKE, Fingerprint, fingerprint
from gateway.provenance import check as checking
from gateway.provenance.certificates import load
from gateway.provenance.check import MEMORY_BYTES, PROBLEMS, Checker, Known, Lookups, Verdict
from gateway.provenance.credentials import Signer, State, Statement
from gateway.provenance.watermark import Watermark
from tests.unit.provenance.issuing import Authority
from tests.unit.provenance.pictures import ATTACKS, ROOT, Pixels, decoded, encoded, made

MARK = Watermark(b"a secret of at least 32 bytes, for tests")
HANDLE = 0x123456789ABC
RECORD = "01a20320-a200-7213-8e45-855782a7aab8"
KNOWN = Known(record_id=RECORD, created=datetime(2026, 11, 20, 9, tzinfo=UTC), model="imprimatur-embedded")
STATEMENT = Statement(record_id=RECORD, model=KNOWN.model, policy_revision="r1")


@dataclass
class Records:
    """A small register of what was made here."""

    handles: dict[int, Known] = field(default_factory=dict)
    records: dict[str, Known] = field(default_factory=dict)
    prints: list[tuple[Fingerprint, Known]] = field(default_factory=list)

    async def by_record(self, record_id: str) -> Sequence[Known]:
        return [self.records[record_id]] if record_id in self.records else []

    async def by_handle(self, handle: int) -> Sequence[Known]:
        return [self.handles[handle]] if handle in self.handles else []

    async def near(self, prints: Sequence[Fingerprint]) -> Sequence[Known]:
        return [known for own, known in self.prints if min(own.distance(p) for p in prints) <= ALIKE]

    @property
    def lookups(self) -> Lookups:
        return Lookups(by_record=self.by_record, by_handle=self.by_handle, near=self.near)


PIXELS = made("texture", 7)
OURS = Records(
    handles={HANDLE: KNOWN}, records={RECORD: KNOWN}, prints=[(fingerprint(MARK.mark(PIXELS, HANDLE)), KNOWN)]
)
NOTHING = Records()


@pytest.fixture(scope="module")
def released(signer: Signer) -> bytes:
    return signer.sign(encoded(MARK.mark(PIXELS, HANDLE), "PNG"), "image/png", STATEMENT)


def _checker(anchors: bytes, records: Records = OURS, timeout_seconds: float = 60.0) -> Checker:
    return Checker(anchors, [MARK], records.lookups, timeout_seconds)


async def test_a_picture_as_it_left_is_known_by_all_three(anchors: bytes, released: bytes) -> None:
    checked = await _checker(anchors).check(released)
    assert (checked.verdict, checked.problem) == (Verdict.MADE_HERE, "")
    assert checked.manifest is not None
    assert checked.manifest.state is State.TRUSTED
    assert checked.watermark is not None
    assert checked.watermark.handle == HANDLE
    assert checked.by_manifest == checked.by_watermark == checked.by_fingerprint == (KNOWN,)
    assert (checked.media_type, checked.width, checked.height) == ("image/png", 512, 512)


@pytest.mark.parametrize("attack", ["JPEG 75", "resized to 1024", "cut 10 %, all around", "mirrored"])
async def test_after_a_re_save_the_watermark_still_tells(anchors: bytes, released: bytes, attack: str) -> None:
    checked = await _checker(anchors).check(encoded(ATTACKS[attack](decoded(released)), "PNG"))
    assert checked.manifest is not None
    assert checked.manifest.state is State.ABSENT
    assert checked.verdict is Verdict.MADE_HERE
    assert checked.by_manifest == ()
    assert checked.by_watermark == (KNOWN,)


async def test_a_large_copy_is_made_smaller_before_it_is_looked_at(anchors: bytes, released: bytes) -> None:
    large = Image.open(io.BytesIO(released)).resize((2600, 2600))
    checked = await _checker(anchors).check(encoded(_array(large), "JPEG", quality=85))
    assert (checked.width, checked.by_watermark, checked.by_fingerprint) == (2600, (KNOWN,), (KNOWN,))


async def test_a_likeness_is_called_a_likeness(anchors: bytes) -> None:
    checked = await _checker(anchors).check(encoded(PIXELS, "JPEG", quality=90))
    assert (checked.verdict, checked.watermark) == (Verdict.LOOKS_LIKE_OURS, None)


async def test_a_record_named_by_a_stranger_is_not_believed(tmp_path: Path, anchors: bytes) -> None:
    """Anybody can write our record id into a manifest of their own."""
    stranger = Signer([load(*Authority().signer(tmp_path))], lambda: datetime.now(UTC))
    forged = stranger.sign(encoded(made("clouds", 8), "PNG"), "image/png", STATEMENT)
    checked = await _checker(anchors).check(forged)
    assert checked.manifest is not None
    assert (checked.manifest.state, checked.manifest.record_id) == (State.UNTRUSTED, RECORD)
    assert (checked.verdict, checked.by_manifest) == (Verdict.GENERATED_ELSEWHERE, ())


async def test_a_changed_picture_is_not_made_here_by_its_manifest(anchors: bytes, released: bytes) -> None:
    records = Records(records={RECORD: KNOWN})
    changed = bytearray(released)
    start = changed.rindex(b"IDAT")
    changed[start + 4000] ^= 1
    checked = await _checker(anchors, records).check(bytes(changed))
    assert checked.manifest is not None
    assert (checked.manifest.state, checked.by_manifest) == (State.INVALID, ())
    assert checked.verdict is not Verdict.MADE_HERE


async def test_a_trusted_manifest_without_a_record_of_ours_is_not_ours(anchors: bytes, signer: Signer) -> None:
    signed = signer.sign(encoded(made("clouds", 8), "PNG"), "image/png", STATEMENT)
    checked = await _checker(anchors, NOTHING).check(signed)
    assert checked.verdict is Verdict.GENERATED_ELSEWHERE


async def test_any_other_picture_is_unknown(anchors: bytes) -> None:
    checked = await _checker(anchors).check(encoded(made("clouds", 9), "WEBP"))
    assert (checked.verdict, checked.problem) == (Verdict.UNKNOWN, "")


async def test_an_error_of_the_records_is_told_and_is_not_a_no(anchors: bytes, released: bytes) -> None:
    async def broken(_: Any) -> Sequence[Known]:
        raise OSError("the database is away")

    lookups = Lookups(by_record=OURS.by_record, by_handle=broken, near=broken)
    checked = await Checker(anchors, [MARK], lookups, 60).check(released)
    assert (checked.problem, checked.verdict, checked.by_manifest) == ("lookup", Verdict.MADE_HERE, (KNOWN,))
    lookups = Lookups(by_record=broken, by_handle=broken, near=broken)
    checked = await Checker(anchors, [MARK], lookups, 60).check(encoded(MARK.mark(PIXELS, HANDLE), "PNG"))
    assert (checked.problem, checked.verdict) == ("lookup", Verdict.UNREADABLE)
    checked = await Checker(anchors, [MARK], lookups, 60).check(released)
    assert (checked.problem, checked.verdict) == ("lookup", Verdict.UNREADABLE), "ours is not somebody else's"


def _bomb(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(bytes(10_000_000))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


HOSTILE = {
    "empty": (b"", "bytes"),
    "text": (b"<html><script>", "type"),
    "a GIF": (b"GIF89a" + bytes(100), "type"),
    "an SVG": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "type"),
    "a bomb": (_bomb(60_000, 60_000), "pixels"),
    "just too many pixels": (_bomb(4097, 4096), "pixels"),
    "a torn PNG": (encoded(PIXELS, "PNG")[:5000], "decode"),
    "a torn JPEG": (encoded(PIXELS, "JPEG")[:5000], "decode"),
    "only a signature": (b"\x89PNG\r\n\x1a\n", "decode"),
    "a WebP that is none": (b"RIFF\xff\xff\xff\xffWEBPVP8 \xff\xff\xff\xff", "decode"),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_file_is_an_answer_and_no_error(anchors: bytes, name: str) -> None:
    data, problem = HOSTILE[name]
    checked = await _checker(anchors).check(data)
    assert (checked.verdict, checked.problem) == (Verdict.UNREADABLE, problem)
    assert problem in PROBLEMS


async def test_more_bytes_than_a_picture_has_are_not_even_sent_on(
    anchors: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "MAX_BYTES", 100)
    checked = await _checker(anchors).check(b"\x89PNG\r\n\x1a\n" + bytes(100))
    assert checked.problem == "bytes"


async def test_a_torn_file_still_says_what_its_manifest_is_worth(anchors: bytes, released: bytes) -> None:
    checked = await _checker(anchors, Records(records={RECORD: KNOWN})).check(released[:-2000])
    assert checked.manifest is not None
    assert (checked.manifest.state, checked.problem) == (State.INVALID, "decode")
    assert checked.verdict is Verdict.UNREADABLE


async def test_a_check_that_takes_too_long_ends(anchors: bytes, released: bytes) -> None:
    async with asyncio.timeout(30):
        checked = await _checker(anchors, timeout_seconds=0.001).check(released)
    assert (checked.verdict, checked.problem) == (Verdict.UNREADABLE, "unavailable")


@pytest.mark.parametrize(
    "answer",
    [
        "import sys; sys.exit(3)",
        "print('no json')",
        "print('{}')",
        "print('[]')",
        "print('x' * 200000)",
        "import json; print(json.dumps({'media_type': 'x', 'width': 1, 'height': 1, 'manifest': None, 'problem': '', "
        "'shown': [99999, 99999]}))",
        "import json; print(json.dumps({'media_type': 'x', 'width': 1, 'height': 1, 'manifest': None, 'problem': '', "
        "'shown': [9, 9]}))",
        "import json; print(json.dumps({'media_type': 'x', 'width': 1, 'height': 1, 'manifest': None, 'problem': '', "
        "'shown': [2000, 16]})); print('x' * 96000)",
        "import json; print(json.dumps({'media_type': 'x', 'width': 1, 'height': 1, 'manifest': {'state': 'fine'}, "
        "'problem': '', 'shown': [0, 0]}))",
        "import json; print(json.dumps({'media_type': 'x', 'width': 1, 'height': 1, 'manifest': None, "
        "'problem': 'made here', 'shown': [0, 0]}))",
    ],
)
async def test_a_child_that_is_not_itself_any_more_is_not_believed(
    anchors: bytes, released: bytes, answer: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    room = tmp_path / "gateway" / "provenance"
    room.mkdir(parents=True)
    for folder in (room.parent, room):
        (folder / "__init__.py").write_text("")
    (room / "check_child.py").write_text(f"import sys\nsys.stdin.buffer.read()\n{answer}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    checked = await _checker(anchors).check(released)
    assert (checked.verdict, checked.problem) == (Verdict.UNREADABLE, "unavailable")


async def test_the_child_has_no_environment_and_is_not_told_the_secret(
    anchors: bytes, released: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    room = tmp_path / "gateway" / "provenance"
    room.mkdir(parents=True)
    for folder in (room.parent, room):
        (folder / "__init__.py").write_text("")
    said = tmp_path / "said"
    (room / "check_child.py").write_text(
        f"import os, sys\nopen({str(said)!r}, 'wb').write(repr(dict(os.environ)).encode() + sys.stdin.buffer.read())\n"
    )
    monkeypatch.setenv("IMPRIMATUR_CANARY", "canary-of-the-environment")
    monkeypatch.syspath_prepend(str(tmp_path))
    await _checker(anchors).check(released)
    assert b"canary" not in said.read_bytes()
    assert MARK.carriers.secret not in said.read_bytes()
    assert os.environ["IMPRIMATUR_CANARY"]


def test_the_child_takes_little_memory_and_writes_nothing() -> None:
    program = (
        "import resource, gateway.provenance.check_child as child\n"
        "limits = [resource.RLIMIT_AS, resource.RLIMIT_FSIZE]\n"
        "child.take_apart = lambda *_: ({'limits': [resource.getrlimit(limit)[1] for limit in limits]}, b'')\n"
        "child.main()\n"
    )
    asked = json.dumps({"memory_bytes": MEMORY_BYTES, "bytes": 0, "anchors": ""}).encode() + b"\n"
    said = subprocess.run([sys.executable, "-c", program], input=asked, capture_output=True, check=True, cwd=ROOT)
    assert json.loads(said.stdout) == {"limits": [MEMORY_BYTES, 0]}


@pytest.mark.parametrize(("form", "mode"), [("JPEG", "RGB"), ("PNG", "RGBA"), ("WEBP", "RGBA")])
async def test_the_largest_picture_fits_into_the_memory(anchors: bytes, form: str, mode: str) -> None:
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    Image.new(mode, (4096, 4096), "orange").save(out, form, exif=exif, quality=50)
    checked = await _checker(anchors, NOTHING).check(out.getvalue())
    assert (checked.problem, checked.verdict, checked.width) == ("", Verdict.UNKNOWN, 4096)


async def test_many_checks_at_once_take_turns(anchors: bytes) -> None:
    pictures = [encoded(made("clouds", seed, 128), "PNG") for seed in range(6)]
    checker = _checker(anchors, NOTHING)
    checked = await asyncio.gather(*(checker.check(data) for data in pictures))
    assert {c.verdict for c in checked} == {Verdict.UNKNOWN}
    assert len({c.sha256 for c in checked}) == 6


def _array(image: Image.Image) -> Pixels:
    return decoded(_png(image))


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
