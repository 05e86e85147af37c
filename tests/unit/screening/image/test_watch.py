"""The same picture for different people who asked for different things is seen, and nothing else. On both databases."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import func, select

from gateway.exchange import ActorId, CleanUpload, FileFacts, Finding, ImageRequest, SketchRegion
from gateway.prints.fingerprint import ALIKE, BITS, LEAST_QUALITY
from gateway.prints.windows import NEARBY, WORDS, mirrored
from gateway.screening.facade import Screening
from gateway.screening.image.kept import OVERLAP, watched, watched_faces
from gateway.screening.image.seen import Look
from gateway.screening.image.sketch import BUCKETS
from gateway.screening.image.watch import (
    FACE_OF_ITS_SOURCE,
    FACES_ALIKE,
    MIRRORED,
    OF_ITS_SOURCE,
    Asked,
    MemoryWatch,
)
from gateway.storage.database import Database
from gateway.vocabulary import Code, Effect, Permission, Severity
from tests.support.drawn import as_picture
from tests.support.faces import before, face
from tests.support.scim import database as fresh
from tests.unit.provenance.pictures import made
from tests.unit.screening.conftest import SECRET
from tests.unit.screening.image.test_pictures import few, scene

__all__ = ["few"]
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAYS = 7


def mark_of(name: str) -> int:
    """256 bits that are nothing like those of another name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest(), "big")


MARK = mark_of("the picture")


class Clock:
    now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with fresh(request.param, tmp_path_factory.mktemp("watch")) as url:
        yield url


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    database = Database(url)
    async with database.transaction() as tx:
        for table in (watched, watched_faces):
            await tx.execute(table.delete())
    yield database
    await database.aclose()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watch(database: Database, clock: Clock) -> MemoryWatch:
    return MemoryWatch(database, SECRET, clock, DAYS)


def flipped(mark: int, bits: int) -> int:
    """`bits` other bits."""
    return mark ^ ((1 << bits) - 1)


def look(mark: int = MARK, *, quality: int = 100, mirrored: int | None = None) -> Look:
    turns = [mark] + [mark_of(f"{mark}.{turn}") for turn in range(7)]
    if mirrored is not None:
        turns[MIRRORED] = mirrored
    return Look(fingerprints=tuple(f"{turn:064x}" for turn in turns), quality=quality)


def asked(actor: str = "idp|ann", text: str = "a red fox in the snow", sources: tuple[str, ...] = ()) -> Asked:
    return Asked(record_id=f"record of {actor}", actor=actor, texts=(text,), sources=sources)


BEN = asked("idp|ben", "portrait of an accountant at her desk")


async def seen(watch: MemoryWatch, seen: Look, asked: Asked) -> list[Finding]:
    return await watch.see(seen, 0, asked, "pictures[0]")


async def test_nearly_the_same_picture_for_another_person_and_another_prompt_is_found(watch: MemoryWatch) -> None:
    assert await seen(watch, look(), asked()) == []
    (found,) = await seen(watch, look(flipped(MARK, ALIKE)), BEN)
    assert (found.type, found.severity, found.proposed) == (
        Code.MEMORISATION_NEAR_DUPLICATE,
        Severity.MEDIUM,
        Effect.REVIEW,
    )
    assert (found.stage, found.field, found.maskable, found.score) == ("output", "pictures[0]", False, 0.5)


async def test_a_picture_that_is_further_away_is_another(watch: MemoryWatch) -> None:
    await seen(watch, look(), asked())
    assert await seen(watch, look(flipped(MARK, ALIKE + 1)), BEN) == []


async def test_a_mirrored_one_is_the_same(watch: MemoryWatch) -> None:
    await seen(watch, look(), asked())
    assert len(await seen(watch, look(~MARK % (1 << BITS), mirrored=MARK), BEN)) == 1


@pytest.mark.parametrize(
    "other",
    [
        asked("idp|ann", "portrait of an accountant at her desk"),
        asked("idp|ben", "A RED FOX in the snow"),
        asked("idp|ben", "the fox, red, watercolour"),
        asked("idp|ben", "fox"),
    ],
    ids=["the same person", "the same prompt", "half of it", "part of it"],
)
async def test_one_person_s_own_and_like_prompts_explain_like_pictures(watch: MemoryWatch, other: Asked) -> None:
    await seen(watch, look(), asked())
    assert await seen(watch, look(), other) == []


async def test_a_flat_picture_is_near_to_nothing_and_not_remembered(watch: MemoryWatch, database: Database) -> None:
    await seen(watch, look(quality=LEAST_QUALITY - 1), asked())
    assert await seen(watch, look(quality=LEAST_QUALITY - 1), BEN) == []
    assert await seen(watch, Look(), BEN) == []
    async with database.reading() as tx:
        assert (await tx.execute(select(func.count()).select_from(watched))).scalar() == 0


async def test_two_people_who_work_on_one_picture_get_like_ones(watch: MemoryWatch) -> None:
    source = flipped(MARK, 200)
    watch.saw_upload("a", look(source))
    watch.saw_upload("b", look(flipped(source, ALIKE)))  # saved again: another file, the same picture
    watch.saw_upload("c", look(mark_of("another 7")))
    await seen(watch, look(), asked(sources=("a",)))
    assert await seen(watch, look(), asked("idp|ben", "an accountant", sources=("b",))) == []
    assert len(await seen(watch, look(), asked("idp|cas", "a bicycle", sources=("c",)))) == 1


async def test_an_edit_that_is_near_to_what_was_uploaded_shows_what_the_person_brought(watch: MemoryWatch) -> None:
    await seen(watch, look(), asked())
    watch.saw_upload("near", look(flipped(MARK, OF_ITS_SOURCE)))
    assert await seen(watch, look(), asked("idp|ben", "an accountant", sources=("near",))) == []
    watch.saw_upload("far", look(flipped(MARK, OF_ITS_SOURCE + 1)))
    assert len(await seen(watch, look(), asked("idp|cas", "an accountant", sources=("far",)))) == 1


async def test_prompts_that_say_nothing_are_related_to_none(watch: MemoryWatch) -> None:
    await seen(watch, look(), asked(text=""))
    assert len(await seen(watch, look(), asked("idp|ben", ""))) == 1


async def test_what_is_older_than_the_window_counts_for_nothing_and_is_forgotten(
    watch: MemoryWatch, clock: Clock, database: Database
) -> None:
    await seen(watch, look(), asked())
    clock.now = NOW + timedelta(days=DAYS)
    assert len(await seen(watch, look(), BEN)) == 1
    clock.now += timedelta(seconds=1)
    assert await watch.forget_old() == 1
    assert len(await seen(watch, look(), asked("idp|cas", "a bicycle"))) == 1  # Ben's is a second old
    clock.now += timedelta(days=DAYS + 1)
    assert await seen(watch, look(), asked("idp|dan", "a harbour")) == []
    assert await watch.forget_old() == 2
    async with database.reading() as tx:
        assert (await tx.execute(select(func.count()).select_from(watched))).scalar() == 1


async def test_another_gateway_sees_it_too_and_one_with_another_secret_sees_strangers(
    watch: MemoryWatch, database: Database, clock: Clock
) -> None:
    other, later = MemoryWatch(database, SECRET, clock, DAYS), MemoryWatch(database, SECRET, clock, DAYS)
    await seen(watch, look(), asked())
    assert len(await seen(other, look(), BEN)) == 1
    await seen(watch, look(mark_of("another 3")), asked())
    assert len(await seen(other, look(mark_of("another 3")), BEN)) == 1
    await later.refresh()
    assert len(await seen(later, look(), asked("idp|cas", "a bicycle"))) == 1


async def test_of_a_request_its_own_words_and_pictures_count() -> None:
    facts = FileFacts(sha256="sent", size_bytes=1, media_type="image/png")
    upload = CleanUpload(field="image", data=b"", sent=facts, forwarded=replace(facts, sha256="forwarded"))
    request = ImageRequest(
        action=Permission.IMAGE_EDIT,
        prompt="a fox",
        negative_prompt="no hounds",
        model="small",
        sketch=(SketchRegion(label="a tree"), SketchRegion()),
    )
    found = Asked.of("r", ActorId("idp|ann"), request, [upload])
    assert found == Asked(record_id="r", actor="idp|ann", texts=("a fox", "a tree", ""), sources=("forwarded",))
    assert "fox" not in repr(found)


async def test_a_row_that_becomes_visible_late_is_seen_all_the_same(
    watch: MemoryWatch, database: Database, clock: Clock
) -> None:
    """Numbers are given before rows are committed: one with a lower number may come later."""
    await seen(watch, look(mark_of("another 5")), asked("idp|dan", "a harbour"))
    async with database.transaction() as tx:
        await tx.execute(watched.update().values(seq=watched.c.seq + 10))
    await watch.refresh()
    await watch.refresh()
    assert len(watch._pictures._near) == 2  # once under each number
    async with database.transaction() as tx:
        lowest = (await tx.execute(select(func.min(watched.c.seq)))).scalar() or 0
        row = {"seq": lowest - 5, "record_id": "late", "place": 0, "actor": b"somebody", "sketch": b""}
        print_ = MARK.to_bytes(BITS // 8, "big")
        await tx.execute(watched.insert().values(**row, fingerprint=print_, seen_at=clock.now))
    assert len(await seen(watch, look(), BEN)) == 1


async def test_rows_are_read_once_when_they_are_settled(watch: MemoryWatch, clock: Clock) -> None:
    await seen(watch, look(), asked())
    clock.now += OVERLAP
    await watch.refresh()
    await watch.refresh()
    assert (len(watch._pictures._near), watch._pictures._read, watch._pictures._settled > 0) == (1, {}, True)


async def test_nothing_that_is_kept_says_who_or_what(watch: MemoryWatch, database: Database) -> None:
    await seen(watch, look(), asked("idp|ann", "zebra"))
    async with database.reading() as tx:
        (row,) = await tx.execute(select(watched))
    kept = repr(tuple(row._mapping.values()))
    assert "zebra" not in kept
    assert "idp|ann" not in kept.replace("record of idp|ann", "")
    assert len(row.sketch) == 2
    assert int.from_bytes(row.sketch, "big") < BUCKETS  # 12 bits of a word, under a secret


async def test_through_the_door_of_screening_and_a_database_that_fails_is_no_answer(
    few: Path, watch: MemoryWatch, database: Database
) -> None:
    made = Screening(directory=few, secret=SECRET, timeout_seconds=30, picture_timeout_seconds=60, watch=watch)
    picture = as_picture(scene())
    assert await made.screen_pictures([picture], asked=asked()) == ()
    assert await made.screen_pictures([picture]) == ()  # a partial one
    found = await made.screen_pictures([picture, picture], asked=BEN)
    assert [(f.id, f.type, f.field) for f in found] == [
        ("output.f1", Code.MEMORISATION_NEAR_DUPLICATE, "pictures[0]"),
        ("output.f2", Code.MEMORISATION_NEAR_DUPLICATE, "pictures[1]"),
    ]
    async with database.transaction() as tx:
        await tx.exec_driver_sql("alter table watched_pictures rename to elsewhere")
    try:
        found = await made.screen_pictures([picture], asked=BEN)
        assert [f.type for f in found] == [Code.SCREENING_UNAVAILABLE]
    finally:
        async with database.transaction() as tx:
            await tx.exec_driver_sql("alter table elsewhere rename to watched_pictures")
    await made.aclose()


async def test_a_window_of_no_days_keeps_nothing(database: Database, clock: Clock) -> None:
    off = MemoryWatch(database, SECRET, clock, 0)
    assert await seen(off, look(), asked()) == []
    assert await seen(off, look(), BEN) == []
    async with database.reading() as tx:
        assert (await tx.execute(select(func.count()).select_from(watched))).scalar() == 0


FACE = mark_of("the face")


def with_faces(name: str, *own: int, beside: int | None = None) -> Look:
    """A picture like no other, with faces of these prints; `beside` is what the last one is like, seen a little off."""
    prints = [[mark] + [mark_of(f"{name} {place} {n}") for n in range(NEARBY - 1)] for place, mark in enumerate(own)]
    if beside is not None:
        prints[-1][NEARBY // 2] = beside
    faces = [b"".join(mark.to_bytes(BITS // 8, "big") for mark in some) for some in prints]
    return replace(look(mark_of(name)), faces=tuple(base64.b64encode(one).decode() for one in faces))


def the_other_way_round(mark: int) -> int:
    print_ = np.frombuffer(mark.to_bytes(BITS // 8, "big"), np.uint64).reshape(1, WORDS)
    return int.from_bytes(mirrored(print_).tobytes(), "big")


async def test_nearly_the_same_face_in_another_picture_is_found(watch: MemoryWatch) -> None:
    assert await seen(watch, with_faces("one", mark_of("somebody"), FACE), asked()) == []
    (found,) = await seen(watch, with_faces("two", flipped(FACE, FACES_ALIKE)), BEN)
    assert (found.type, found.severity, found.proposed, found.detector) == (
        Code.MEMORISATION_FACE,
        Severity.MEDIUM,
        Effect.REVIEW,
        "face-watch@1",
    )
    assert (found.stage, found.field, found.maskable, found.score) == ("output", "pictures[0]", False, 0.5)


async def test_a_face_that_is_further_away_is_another(watch: MemoryWatch) -> None:
    await seen(watch, with_faces("one", FACE), asked())
    assert await seen(watch, with_faces("two", flipped(FACE, FACES_ALIKE + 1)), BEN) == []


async def test_a_face_is_met_again_mirrored_and_laid_down_a_little_off(watch: MemoryWatch) -> None:
    await seen(watch, with_faces("one", FACE), asked())
    assert len(await seen(watch, with_faces("two", the_other_way_round(FACE)), BEN)) == 1
    cas, dan = asked("idp|cas", "a bicycle"), asked("idp|dan", "a harbour")
    assert len(await seen(watch, with_faces("three", mark_of("off"), beside=FACE), cas)) == 1
    assert await seen(watch, with_faces("four", mark_of("off by more")), dan) == []


@pytest.mark.parametrize(
    "other", [asked("idp|ann", "an accountant"), asked("idp|ben", "a fox, red")], ids=["the same person", "like words"]
)
async def test_one_person_s_own_and_like_prompts_explain_like_faces(watch: MemoryWatch, other: Asked) -> None:
    await seen(watch, with_faces("one", FACE), asked())
    assert await seen(watch, with_faces("two", FACE), other) == []


async def test_a_face_that_the_person_brought_is_not_looked_for_nor_remembered(watch: MemoryWatch) -> None:
    watch.saw_upload("portrait", with_faces("sent", flipped(FACE, FACE_OF_ITS_SOURCE)))
    watch.saw_upload("stranger", with_faces("sent too", flipped(FACE, FACE_OF_ITS_SOURCE + 1)))
    await seen(watch, with_faces("one", FACE), asked())
    assert await seen(watch, with_faces("two", FACE), asked("idp|ben", "a bicycle", sources=("portrait",))) == []
    assert len(await seen(watch, with_faces("three", FACE), asked("idp|cas", "tea", sources=("stranger",)))) == 1
    other = mark_of("another face")
    watch.saw_upload("other", with_faces("sent as well", other))
    await seen(watch, with_faces("four", other), asked("idp|dan", "a harbour", sources=("other",)))
    assert await seen(watch, with_faces("five", other), asked("idp|eve", "an owl")) == []


async def test_faces_in_pictures_made_of_the_same_one_are_explained(watch: MemoryWatch) -> None:
    watch.saw_upload("a", look(mark_of("a statue")))
    watch.saw_upload("b", look(flipped(mark_of("a statue"), ALIKE)))
    await seen(watch, with_faces("one", FACE), asked(sources=("a",)))
    assert await seen(watch, with_faces("two", FACE), asked("idp|ben", "an accountant", sources=("b",))) == []


async def test_faces_are_forgotten_with_their_pictures(watch: MemoryWatch, clock: Clock, database: Database) -> None:
    await seen(watch, with_faces("one", FACE, mark_of("somebody")), asked())
    clock.now = NOW + timedelta(days=DAYS)
    assert len(await seen(watch, with_faces("two", FACE), BEN)) == 1
    clock.now += timedelta(days=DAYS, seconds=1)
    assert await seen(watch, with_faces("three", FACE), asked("idp|cas", "a bicycle")) == []
    assert await watch.forget_old() == 5
    async with database.reading() as tx:
        (row,) = await tx.execute(select(watched_faces))
    assert row.fingerprint == FACE.to_bytes(BITS // 8, "big")
    kept = repr(tuple(row._mapping.values()))
    assert "bicycle" not in kept
    assert "idp|cas" not in kept.replace("record of idp|cas", "")


async def test_another_gateway_sees_a_face_too(watch: MemoryWatch, database: Database, clock: Clock) -> None:
    later = MemoryWatch(database, SECRET, clock, DAYS)
    await seen(watch, with_faces("one", FACE), asked())
    await later.refresh()
    assert len(await seen(later, with_faces("two", FACE), BEN)) == 1
    off = MemoryWatch(database, SECRET, clock, 0)
    assert await seen(off, with_faces("three", FACE), asked("idp|cas", "a bicycle")) == []


async def test_one_face_before_two_grounds_is_seen_through_the_door_and_two_faces_are_not(
    few: Path, watch: MemoryWatch
) -> None:
    """Real pictures, real nets."""
    clouds, texture, shapes = (Image.fromarray(made(kind, 3, 384)) for kind in ("clouds", "texture", "shapes"))
    screening = Screening(directory=few, secret=SECRET, timeout_seconds=30, picture_timeout_seconds=60, watch=watch)

    async def types(image: Image.Image, asked: Asked) -> set[str]:
        found = await screening.screen_pictures([as_picture(image)], asked=asked)
        return {finding.type for finding in found}

    assert await types(before(clouds, face(31), 220, 20, 120), asked()) == {Code.PICTURE_FACE}
    assert await types(before(shapes, face(0), 220, 20, 120), BEN) == {Code.PICTURE_FACE}
    cas = asked("idp|cas", "a bicycle")
    assert await types(before(texture, face(31), 200, 150, 30), cas) == {Code.PICTURE_FACE, Code.MEMORISATION_FACE}
    await screening.aclose()
