"""`POST /v1/content_provenance_checks`, asked of a whole gateway in this process: who is told what of which file."""

from __future__ import annotations

import errno
import hashlib
import io
import sqlite3
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from PIL import Image

from audit.store.disk import Disk
from gateway.api.provenance import MAX_BODY_BYTES
from gateway.credits.rate import RateLimit
from gateway.exchange import Picture
from gateway.provenance.certificates import load
from gateway.provenance.check import MAX_BYTES, Checker, Lookups
from gateway.provenance.credentials import Signer, Statement
from gateway.services import Services
from tests.authz.bed import Bed, open_bed
from tests.support.pictures import BAD_FILES, GPS_CANARY, colourful, encode, photo_with_place
from tests.unit.provenance.issuing import Authority
from tests.unit.provenance.pictures import encoded, made

pytestmark = [pytest.mark.xdist_group("authz"), pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

RECORD = "01a20320-a200-7213-8e45-855782a7aab8"
MODEL = "imprimatur-embedded"
PIXELS = made("texture", 21)
PATH = "/v1/content_provenance_checks"
BOUNDARY = "----b"
FORM = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}


class FillingDisk(Disk):
    """A disk of the log's that somebody else fills."""

    is_full = False

    def commit(self, connection: sqlite3.Connection) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().commit(connection)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Bed, FillingDisk]]:
    disk = FillingDisk()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("audit.log.Disk", lambda: disk)  # the log makes its own disk when it is given none
        async with open_bed(tmp_path_factory.mktemp("checks")) as bed:
            bed.app.state.services = replace(bed.services, check_rate=RateLimit(100_000))
            yield bed, disk


@pytest_asyncio.fixture(loop_scope="module")
async def bed(house: tuple[Bed, FillingDisk]) -> AsyncIterator[Bed]:
    """The gateway; afterwards nobody may hold any of the memory for uploads."""
    yield house[0]
    assert house[0].services.room.taken_bytes == 0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ours(house: tuple[Bed, FillingDisk]) -> bytes:
    """A picture as it left here."""
    data = encoded(PIXELS, "PNG")
    digest = hashlib.sha256(data).hexdigest()
    picture = Picture(index=0, data=data, media_type="image/png", width=512, height=512, sha256=digest)
    statement = Statement(record_id=RECORD, model=MODEL, policy_revision="r1")
    return (await house[0].services.pipeline.marking.mark(picture, statement)).data


async def ask(bed: Bed, file: bytes, caller: str = "employee", name: str = "file") -> httpx.Response:
    async with bed.client() as client:
        return await client.post(PATH, files={name: ("a.png", file)}, headers=await bed.headers(caller))


def by_type(answer: httpx.Response) -> dict[str, dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    return {result["type"]: result for result in answer.json()["results"]}


def cut_and_saved(data: bytes) -> bytes:
    """A tenth cut away all around, and a JPEG made of the rest."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    edge = image.width // 20
    return encode(image.crop((edge, edge, image.width - edge, image.height - edge)), "JPEG", quality=85)


async def checks(bed: Bed, **query: str) -> list[dict[str, Any]]:
    """What an auditor finds of checks, the newest first."""
    asked = {"action": "provenance:picture:check", **query}
    async with bed.client() as client:
        headers = {**await bed.headers("auditor"), "accept": "application/json"}
        answer = await client.get("/audit", params=asked, headers=headers)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["rows"])


# What is told


async def test_a_picture_of_ours_is_known_by_all_three_and_tells_a_day_and_a_model(bed: Bed, ours: bytes) -> None:
    answer = await ask(bed, ours)
    told, body, today = by_type(answer), answer.json(), f"{datetime.now(UTC):%Y-%m-%d}"
    assert (body["object"], body["verdict"], body["problem"]) == ("content_provenance_check", "made-here", None)
    assert body["file"] == {
        "sha256": hashlib.sha256(ours).hexdigest(),
        "bytes": len(ours),
        "media_type": "image/png",
        "width": 512,
        "height": 512,
    }
    assert (told["c2pa"]["validation_state"], told["c2pa"]["state"]) == ("trusted", "trusted")
    assert told["c2pa"]["issuer"]
    for result in told.values():
        assert result["outcome"] == "detected"
        assert (result["generated_at"], result["model"]) == (today, MODEL)
    assert f"by {MODEL}, and not changed since. Ask an auditor for more." in body["message"]


async def test_only_who_may_search_the_records_is_told_which_and_when(bed: Bed, ours: bytes) -> None:
    for caller in ("no role", "employee", "admin", "policy-author", "employee's key", "service's key"):
        answer = await ask(bed, ours, caller)
        assert answer.json()["verdict"] == "made-here"
        # The id's first half is a time (RFC 9562, version 7): to tell it would tell more than a day.
        assert RECORD not in answer.text, caller
        assert "record_ids" not in answer.text
        assert len(by_type(answer)["watermark"]["generated_at"]) == len("2026-11-26")
    for result in by_type(await ask(bed, ours, "auditor")).values():
        assert result["record_ids"] == [RECORD]
        assert datetime.fromisoformat(result["generated_at"]).tzinfo is not None


async def test_a_picture_that_was_cut_and_saved_again_is_known_by_its_watermark(bed: Bed, ours: bytes) -> None:
    answer = await ask(bed, cut_and_saved(ours))
    told = by_type(answer)
    assert answer.json()["verdict"] == "made-here"
    assert (told["c2pa"]["outcome"], told["c2pa"]["validation_state"]) == ("not_detected", "not_present")
    assert (told["watermark"]["outcome"], told["watermark"]["model"]) == ("detected", MODEL)
    assert told["watermark"]["confidence"] > 0.5
    assert "saved again or changed since" in answer.json()["message"]


async def test_one_flipped_byte_makes_the_statement_invalid(bed: Bed, ours: bytes) -> None:
    place = len(ours) * 3 // 4
    torn = ours[:place] + bytes([ours[place] ^ 1]) + ours[place + 1 :]
    answer = await ask(bed, torn)
    told = by_type(answer)
    assert answer.json()["verdict"] == "unreadable"
    assert (told["c2pa"]["outcome"], told["c2pa"]["validation_state"]) == ("not_detected", "invalid")
    assert (told["c2pa"]["issuer"], told["c2pa"]["model"]) == (None, None)


async def test_a_picture_that_only_looks_like_ours_is_called_a_likeness(bed: Bed, ours: bytes) -> None:
    answer = await ask(bed, encoded(PIXELS, "PNG"))
    told = by_type(answer)
    assert answer.json()["verdict"] == "looks-like-ours"
    assert [told[kind]["outcome"] for kind in ("c2pa", "watermark", "fingerprint")] == [
        "not_detected",
        "not_detected",
        "detected",
    ]
    assert "That is no proof." in answer.json()["message"]


async def test_nothing_found_is_said_to_be_no_proof(bed: Bed, ours: bytes) -> None:
    answer = await ask(bed, encoded(made("clouds", 3), "JPEG"))
    assert (answer.json()["verdict"], len(by_type(answer))) == ("unknown", 3)
    assert "That is no proof" in answer.json()["message"]


async def test_words_of_a_stranger_s_statement_are_not_passed_on(bed: Bed, ours: bytes, tmp_path: Path) -> None:
    """Somebody signs a picture of theirs as one of ours, with a record that there is and a name to be read."""
    signer = Signer([load(*Authority().signer(tmp_path))], lambda: datetime.now(UTC))
    statement = Statement(record_id=RECORD, model="SMUGGLED", policy_revision="SMUGGLED")
    forged = signer.sign(encoded(made("clouds", 5), "PNG"), "image/png", statement)
    answer = await ask(bed, forged, "auditor")
    told = by_type(answer)["c2pa"]
    assert (told["outcome"], told["validation_state"], told["state"]) == ("not_detected", "valid", "untrusted")
    assert answer.json()["verdict"] == "generated-elsewhere"
    assert "SMUGGLED" not in answer.text
    assert "Test signer" not in answer.text
    assert RECORD not in answer.text


# Who and how often


async def test_nobody_is_told_anything_and_their_file_is_not_read(bed: Bed) -> None:
    async def never() -> AsyncIterator[bytes]:
        raise AssertionError("the body of somebody unknown was read")
        yield b""

    async with bed.client() as client:
        assert (await client.post(PATH, content=never(), headers=FORM)).status_code == 401


async def test_another_site_can_not_ask_through_a_person_s_browser(bed: Bed, ours: bytes) -> None:
    headers = {name: value for name, value in (await bed.headers("employee")).items() if name == "cookie"}
    async with bed.client() as client:
        answer = await client.post(PATH, files={"file": ("a.png", ours)}, headers=headers)
    assert answer.status_code == 403


async def test_each_person_has_so_many_checks_a_minute(bed: Bed, ours: bytes) -> None:
    services = bed.services
    bed.app.state.services = replace(services, check_rate=RateLimit(1))
    try:
        first, second = await ask(bed, ours), await ask(bed, ours)
        other = await ask(bed, ours, "auditor")
    finally:
        bed.app.state.services = services
    assert (first.status_code, other.status_code) == (200, 200)
    assert first.headers["x-ratelimit-limit-requests"] == "1"
    assert (second.status_code, second.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert int(second.headers["retry-after"]) > 1


# On record


async def test_a_check_is_on_record_with_who_and_not_with_what(bed: Bed, ours: bytes) -> None:
    answer = await ask(bed, ours)
    row = (await checks(bed))[0]
    assert (row["who"], row["effect"]) == ("employee", "allow")
    assert hashlib.sha256(ours).hexdigest() not in str(row)
    directory = bed.services.settings.audit.directory
    kept = b"".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())
    assert hashlib.sha256(ours).hexdigest().encode() not in kept
    assert ours[:64] not in kept
    assert answer.headers["x-request-id"]


async def test_what_can_not_be_recorded_is_not_told(bed: Bed, house: tuple[Bed, FillingDisk], ours: bytes) -> None:
    house[1].is_full = True
    try:
        answer = await ask(bed, ours)
    finally:
        house[1].is_full = False
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "audit_unavailable")
    assert MODEL not in answer.text


# Files and forms of people who mean no good


async def test_no_hostile_file_passes_for_one_of_ours_and_each_is_recorded(bed: Bed) -> None:
    for name, data in BAD_FILES.items():
        answer = await ask(bed, data)
        row = (await checks(bed))[0]
        if answer.status_code == 200:  # a moving picture, or one with something behind it, is a picture all the same
            assert answer.json()["verdict"] == "unknown", name
            assert row["effect"] == "allow", name
            continue
        assert answer.status_code == 400, (name, answer.text)
        error = answer.json()["error"]
        assert (error["param"], error["code"]) == ("file", "invalid_image"), name
        assert error["message"].startswith("file: "), name
        assert (row["effect"], row["reasons"]) == ("deny", ["request.invalid"]), name


async def test_the_picture_decides_and_not_its_name_and_nothing_in_it_comes_back(bed: Bed) -> None:
    headers = await bed.headers("employee")
    async with bed.client() as client:
        odd = ("../../etc/passwd\u202egnp.exe", photo_with_place("JPEG"), "text/html")
        answer = await client.post(PATH, files={"file": odd}, headers=headers)
    assert answer.status_code == 200
    assert answer.json()["file"]["media_type"] == "image/jpeg"
    assert "passwd" not in answer.text
    assert GPS_CANARY not in answer.text


def parts(*bodies: str, end: str = f"--{BOUNDARY}--\r\n") -> bytes:
    return ("".join(f"--{BOUNDARY}\r\n{body}\r\n" for body in bodies) + end).encode()


FILE = 'content-disposition: form-data; name="file"; filename="a.png"\r\n\r\nx'
TEXT = 'content-disposition: form-data; name="file"\r\n\r\nx'
OTHER = 'content-disposition: form-data; name="image"; filename="a.png"\r\n\r\nx'
FORMS: dict[str, tuple[int, str | None, dict[str, str], bytes]] = {
    "JSON": (415, "content-type", {"content-type": "application/json"}, b"{}"),
    "no boundary": (415, "content-type", {"content-type": "multipart/form-data"}, b"x"),
    "no type": (415, "content-type", {}, b"x"),
    "nothing at all": (400, None, FORM, b""),
    "no file": (400, "file", FORM, parts()),
    "a text": (400, "file", FORM, parts(TEXT)),
    "two files": (400, "file", FORM, parts(FILE, FILE)),
    "a thousand files": (400, "file", FORM, parts(*[FILE] * 1000)),
    "another field": (400, "image", FORM, parts(OTHER)),
    "a form that breaks off": (400, None, FORM, parts(FILE, end="")),
    "bytes behind the form": (400, None, FORM, parts(FILE) + b"more"),
    "a boundary that never comes": (400, None, FORM, b"x" * 100_000),
}


@pytest.mark.parametrize("name", FORMS)
async def test_a_form_that_is_none_is_named(bed: Bed, name: str) -> None:
    status, param, headers, body = FORMS[name]
    async with bed.client() as client:
        answer = await client.post(PATH, content=body, headers={**await bed.headers("employee"), **headers})
    if name == "no file":  # a form without parts is no form either
        param = answer.json()["error"]["param"]
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param), answer.text
    assert (await checks(bed))[0]["effect"] == "deny"


async def test_a_file_larger_than_may_be_is_refused_before_and_while_it_is_read(bed: Bed) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        yield parts(FILE, end="")
        for _ in range(400):
            sent += 1
            yield bytes(1 << 20)

    headers = {**await bed.headers("employee"), **FORM}
    async with bed.client() as client:
        said = await client.post(PATH, content=b"x", headers={**headers, "content-length": str(MAX_BODY_BYTES + 1)})
        seen = await client.post(PATH, content=endless(), headers=headers)
    for answer in (said, seen):
        assert (answer.status_code, answer.json()["error"]["param"]) == (413, "file"), answer.text
    assert sent <= 2 * (MAX_BYTES >> 20) + 4
    assert (await checks(bed))[0]["reasons"] == ["request.invalid"]


async def test_a_full_house_says_when_to_come_back(bed: Bed, ours: bytes) -> None:
    services = bed.services
    lease = services.room.lease()
    lease.hold(services.settings.server.upload_room_bytes)
    try:
        answer = await ask(bed, ours)
    finally:
        lease.release()
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert (await checks(bed))[0]["reasons"] == ["request.no-room"]


# Where we could not look


async def _broken(_: object) -> Sequence[Any]:
    raise OSError("the database is away")


def without_records(services: Services) -> Checker:
    provenance = services.checker
    lookups = Lookups(by_record=_broken, by_handle=_broken, near=_broken)
    return Checker(provenance._anchors.encode(), provenance._marks, lookups, 20)


@pytest.mark.parametrize("what", ["ours", "nothing of ours"])
async def test_records_that_can_not_be_asked_are_not_a_no(bed: Bed, ours: bytes, what: str) -> None:
    services = bed.services
    bed.app.state.services = replace(services, checker=without_records(services))
    try:
        answer = await ask(bed, ours if what == "ours" else encoded(made("clouds", 8), "PNG"))
    finally:
        bed.app.state.services = services
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "storage_unavailable")
    assert answer.headers["x-should-retry"] == "true"
    assert ((await checks(bed))[0]["effect"], (await checks(bed))[0]["reasons"]) == (
        "failed",
        ["internal.storage-unavailable"],
    )


async def test_a_picture_that_takes_too_long_is_no_answer(bed: Bed, ours: bytes) -> None:
    services = bed.services
    late = Checker(b"", (), services.checker._lookups, 0.0001)
    bed.app.state.services = replace(services, checker=late)
    try:
        answer = await ask(bed, ours)
    finally:
        bed.app.state.services = services
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "provenance_unavailable")


async def test_a_plain_picture_without_room_for_a_watermark_is_still_looked_at(bed: Bed) -> None:
    answer = await ask(bed, encode(colourful(48, 48)))
    assert answer.json()["verdict"] == "unknown"
