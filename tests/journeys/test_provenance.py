"""A picture leaves the gateway, goes through the world, and comes back to be checked. From outside, on real parts."""

from __future__ import annotations

import base64
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import c2pa
import openai
import pytest
from PIL import Image

from gateway.provenance.certificates import ROOT_NAME, USAGES
from tests.support.person import PersonAt
from tests.support.pictures import encode

pytestmark = pytest.mark.timeout(240)

MODEL = "imprimatur-embedded"


def as_the_c2pa_project_reads(data: bytes, root: Path) -> tuple[str, str]:
    """(validation state, the whole report) by c2pa-python alone, as somebody who was given our root would ask it."""
    purposes = "\n".join(sorted(usage.dotted_string for usage in USAGES))
    settings = {
        "trust": {"user_anchors": root.read_text("ascii"), "trust_config": purposes},
        "verify": {"verify_trust": True, "remote_manifest_fetch": False, "ocsp_fetch": False},
    }
    with (
        c2pa.Context(c2pa.Settings.from_dict(settings)) as context,
        c2pa.Reader("image/png", io.BytesIO(data), context=context) as reader,
    ):
        report = reader.json()
    return str(json.loads(report)["validation_state"]), report


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def in_the_pixels(data: bytes) -> int:
    """A place in the PNG's compressed pixels."""
    return data.index(b"IDAT") + (data.rindex(b"IEND") - data.index(b"IDAT")) // 2


def cut_and_saved(data: bytes) -> bytes:
    """A tenth cut away, and a JPEG made of the rest."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    edge = image.width // 20
    return encode(image.crop((edge, edge, image.width - edge, image.height - edge)), "JPEG", quality=90)


@pytest.fixture
async def key(stack):
    async with PersonAt(stack, "alice") as alice:
        return await alice.mint()


async def test_a_picture_is_known_again_whatever_was_done_to_it(stack, key):
    root = stack.state / "provenance" / ROOT_NAME
    async with openai.AsyncOpenAI(api_key=key, base_url=f"{stack.url}/v1", max_retries=0) as client:
        made = await client.images.generate(prompt="a butterfly over a slice of watermelon", size="512x512")
        picture = base64.b64decode(made.data[0].b64_json)
        torn = flipped(picture, in_the_pixels(picture))

        state, report = as_the_c2pa_project_reads(picture, root)
        assert state == "Trusted"
        assert "trainedAlgorithmicMedia" in report
        assert "Alice" not in report
        assert "butterfly" not in report
        assert as_the_c2pa_project_reads(torn, root)[0] == "Invalid"

        # The unmodified SDK asks as it would ask OpenAI.
        checks = client.content_provenance_checks
        whole = await checks.create(file=("fox.png", picture))
        saved = await checks.create(file=("fox.jpg", cut_and_saved(picture)))
        broken = await checks.create(file=("fox.png", torn))
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    assert whole.object == "content_provenance_check"
    assert whole.verdict == "made-here"
    credentials, watermark, _ = whole.results
    assert (credentials.type, credentials.outcome, credentials.validation_state) == ("c2pa", "detected", "trusted")
    assert (credentials.model, credentials.generated_at) == (MODEL, today)
    assert (watermark.type, watermark.outcome) == ("watermark", "detected")

    assert saved.verdict == "made-here"
    credentials, watermark, _ = saved.results
    assert (credentials.outcome, credentials.validation_state) == ("not_detected", "not_present")
    assert (watermark.outcome, watermark.model, watermark.generated_at) == ("detected", MODEL, today)

    assert broken.results[0].validation_state == "invalid"


async def test_an_auditor_goes_from_a_cut_picture_to_its_record_and_to_who_asked_for_it(stack):
    async with PersonAt(stack, "alice") as alice:
        made = await alice.generate("a fox on a blue background", size="512x512")
        picture = base64.b64decode(made.json()["data"][0]["b64_json"])
        file = {"file": ("a.jpg", cut_and_saved(picture))}
        asked = await alice.client.post("/v1/content_provenance_checks", files=file, headers=alice.unsafe)
    assert asked.json()["verdict"] == "made-here"
    assert made.headers["x-request-id"] not in asked.text
    async with PersonAt(stack, "bob") as bob:
        told = await bob.client.post("/v1/content_provenance_checks", files=file, headers=bob.unsafe)
        watermark = told.json()["results"][1]
        assert watermark["record_ids"] == [made.headers["x-request-id"]]
        row = await bob.effect_of(watermark["record_ids"][0])
        assert (row["who"], row["action"]) == ("Alice Marsh", "image:generate")
        checks = await bob.records(action="provenance:picture:check")
        assert [check["who"] for check in checks[:2]] == ["Bob Okafor", "Alice Marsh"]
