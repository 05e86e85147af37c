"""Drafts: what somebody wants to be otherwise, upon a revision, with every version that was saved.

A version is the whole difference from its base, so that going back to one is saving it again. Nothing is overwritten:
who saved what stays readable, and decides who may be the second person.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.errors import InvalidRequest, NotFound
from gateway.lifecycle.content import (
    Changes,
    Files,
    apply,
    changes_between,
    conflicts,
    file_problem,
    path_problem,
    set_problem,
)
from gateway.lifecycle.refusals import Conflict, DraftRefused
from gateway.lifecycle.store import RevisionStore, names_of
from gateway.lifecycle.tables import draft_comments, draft_versions, drafts
from gateway.policy.bundle import Bundle
from gateway.storage.database import Database

MAX_TITLE: Final = 200
MAX_NOTE: Final = 500
MAX_COMMENT: Final = 4_000
MAX_COMMENTS: Final = 1_000
MAX_VERSIONS: Final = 1_000

State = Literal["open", "proposed", "closed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A draft as it was saved once."""

    draft: str
    number: int
    base: str
    """The revision that it changes."""
    changes: Mapping[str, str | None]
    """Path -> SHA-256 of the new content, or None for a file that goes."""
    digest: str
    """Of all files, changed or not: the revision that this would be."""
    saved_by: str
    saved_at: datetime
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A draft, and its newest version."""

    id: str
    title: str
    state: State
    opened_by: str
    opened_at: datetime
    version: Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Comment:
    """What somebody said of a draft; `path` and `line` may be empty."""

    id: str
    draft: str
    version: int
    path: str
    line: int
    author: str
    text: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsaved:
    """A version that was looked through and is not stored yet, so that its record can come first."""

    version: Version
    bodies: tuple[bytes, ...]


class Drafts:
    """Opens, changes and shows drafts."""

    def __init__(self, database: Database, store: RevisionStore, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._store = store
        self._clock = clock

    def named(self, title: str, by: str, first: Version) -> Draft:
        """A draft that is not stored yet. Raises InvalidRequest."""
        title = " ".join(title.split())
        if not 1 <= len(title) <= MAX_TITLE or not title.isprintable():
            raise InvalidRequest(f"Give the draft a title of 1 to {MAX_TITLE} printable characters.", param="title")
        return Draft(id=first.draft, title=title, state="open", opened_by=by, opened_at=first.saved_at, version=first)

    async def first(self, *, base: str, changes: Changes, by: str, note: str) -> Unsaved:
        """The first version of a new draft. Raises DraftRefused, InvalidRequest, NotFound."""
        return await self._made(str(uuid.uuid4()), 1, base, changes, by, note)

    async def next(
        self, draft: Draft, *, after: int, changes: Changes, by: str, note: str, revert: Sequence[str] = ()
    ) -> Unsaved:
        """Further changes upon version `after`, which must be the newest. `revert` names files that shall be as in the
        base again. Raises Conflict, DraftRefused, InvalidRequest."""
        self._check_after(draft, after)
        bodies = await self.changes_of(draft.version)
        merged = {path: body for path, body in bodies.items() if path not in revert} | dict(changes)
        return await self._made(draft.id, after + 1, draft.version.base, merged, by, note)

    async def restored(self, draft: Draft, *, after: int, number: int, by: str) -> Unsaved:
        """Version `number` again, as the newest. Raises Conflict, NotFound."""
        self._check_after(draft, after)
        old = await self.version(draft.id, number)
        changes = await self.changes_of(old)
        return await self._made(draft.id, after + 1, old.base, changes, by, f"version {number} again")

    async def rebased(self, draft: Draft, *, after: int, onto: str, by: str, decided: Changes | None = None) -> Unsaved:
        """The same changes upon another revision. `decided` says of files that both changed how they shall be there:
        somebody looked at both. Raises Conflict, which names the files that nobody decided, InvalidRequest."""
        self._check_after(draft, after)
        if draft.version.base == onto:
            raise InvalidRequest("The draft is upon the rules in force already.", param="draft")
        old, new = await self._files(draft.version.base), await self._files(onto)
        changes = await self.changes_of(draft.version)
        both, decided = conflicts(changes, old, new), decided or {}
        other = sorted(decided.keys() - set(both))
        if other:
            raise InvalidRequest(f"{other[0]} was not changed in both, so there is nothing to decide.", param="files")
        undecided = [path for path in both if path not in decided]
        if undecided:
            raise Conflict(
                f"The rules in force changed these files as well: {', '.join(undecided)}. "
                "Look at both, then say of each how it shall be upon the new ones.",
                param="files",
            )
        left = changes_between(new, apply(new, {**changes, **decided}).files)
        return await self._made(draft.id, after + 1, onto, left, by, f"upon {onto[:12]}")

    async def open(self, draft: Draft, unsaved: Unsaved) -> None:
        """Store a new draft. Durable when it returns."""
        async with self._database.transaction() as tx:
            await tx.execute(
                insert(drafts).values(
                    id=draft.id,
                    title=draft.title,
                    state=draft.state,
                    opened_by=draft.opened_by,
                    opened_at=draft.opened_at,
                )
            )
            await self._insert(tx, unsaved)

    async def save(self, unsaved: Unsaved) -> Draft:
        """Store a further version. Durable when it returns. Raises Conflict when another came first."""
        async with self._database.transaction() as tx:
            await self._insert(tx, unsaved)
            # What was proposed is another text now: the draft is open again.
            proposed = (drafts.c.id == unsaved.version.draft) & (drafts.c.state == "proposed")
            await tx.execute(update(drafts).where(proposed).values(state="open"))
        return await self.get(unsaved.version.draft)

    async def set_state(self, tx: AsyncConnection, id: str, state: State) -> None:
        await tx.execute(update(drafts).where(drafts.c.id == id).values(state=state))

    async def close(self, draft: Draft) -> None:
        """It is not wanted any more. It stays readable."""
        async with self._database.transaction() as tx:
            await self.set_state(tx, draft.id, "closed")

    async def get(self, id: str) -> Draft:
        """Raises NotFound."""
        async with self._database.reading() as tx:
            row = (await tx.execute(select(drafts).where(drafts.c.id == id))).one_or_none()
            if row is None:
                raise NotFound("There is no such draft.")
            newest = select(draft_versions).where(draft_versions.c.draft == id)
            newest = newest.order_by(draft_versions.c.number.desc()).limit(1)
            return _draft(row, _version((await tx.execute(newest)).one()))

    async def list(self, *, only_open: bool = True, limit: int = 100) -> Sequence[Draft]:
        """The newest first."""
        query = select(drafts).order_by(drafts.c.opened_at.desc(), drafts.c.id).limit(limit)
        if only_open:
            query = query.where(drafts.c.state != "closed")
        async with self._database.reading() as tx:
            rows = (await tx.execute(query)).all()
        return [await self.get(row.id) for row in rows]

    async def versions(self, id: str) -> Sequence[Version]:
        """All of them, the newest first."""
        query = select(draft_versions).where(draft_versions.c.draft == id).order_by(draft_versions.c.number.desc())
        async with self._database.reading() as tx:
            return [_version(row) for row in (await tx.execute(query)).all()]

    async def version(self, id: str, number: int) -> Version:
        """Raises NotFound."""
        query = select(draft_versions).where(draft_versions.c.draft == id, draft_versions.c.number == number)
        async with self._database.reading() as tx:
            row = (await tx.execute(query)).one_or_none()
        if row is None:
            raise NotFound("The draft has no such version.")
        return _version(row)

    async def savers(self, id: str) -> frozenset[str]:
        """Everybody who ever saved a version: none of them can be the second person."""
        query = select(draft_versions.c.saved_by).where(draft_versions.c.draft == id).distinct()
        async with self._database.reading() as tx:
            return frozenset(row.saved_by for row in (await tx.execute(query)).all())

    async def bundle(self, version: Version) -> Bundle:
        """All files of a version."""
        bundle = apply(await self._files(version.base), await self.changes_of(version))
        if bundle.digest != version.digest:
            raise ValueError(f"draft {version.draft} version {version.number} is not what is stored under its digest")
        return bundle

    async def base_files(self, version: Version) -> Files:
        """All files of the revision that it changes."""
        return await self._files(version.base)

    async def changes_of(self, version: Version) -> dict[str, bytes | None]:
        """Its changes with contents."""
        bodies = await self._store.bodies({path: name for path, name in version.changes.items() if name is not None})
        return {path: None if name is None else bodies[path] for path, name in version.changes.items()}

    def comment(self, draft: Draft, *, path: str, line: int, text: str, by: str) -> Comment:
        """A comment that is not stored yet. Raises InvalidRequest."""
        text = text.strip()
        if not 1 <= len(text) <= MAX_COMMENT or not all(sign.isprintable() or sign in "\n\t" for sign in text):
            raise InvalidRequest(f"Say something, in 1 to {MAX_COMMENT} printable characters.", param="text")
        problem = path_problem(path) if path else None
        if problem is not None:
            raise InvalidRequest(str(problem), param="path")
        return Comment(
            id=str(uuid.uuid4()),
            draft=draft.id,
            version=draft.version.number,
            path=path,
            line=line,
            author=by,
            text=text,
            at=self._clock(),
        )

    async def add_comment(self, comment: Comment) -> None:
        """Durable when it returns. Raises InvalidRequest when there are too many."""
        count = select(func.count()).where(draft_comments.c.draft == comment.draft)
        async with self._database.transaction() as tx:
            if ((await tx.execute(count)).scalar() or 0) >= MAX_COMMENTS:
                raise InvalidRequest(f"A draft takes {MAX_COMMENTS} comments.", param="text")
            values = {name: getattr(comment, name) for name in comment.__slots__}
            await tx.execute(insert(draft_comments).values(**values))

    async def comments(self, id: str) -> Sequence[Comment]:
        """The oldest first."""
        query = select(draft_comments).where(draft_comments.c.draft == id)
        query = query.order_by(draft_comments.c.at, draft_comments.c.id)
        async with self._database.reading() as tx:
            return [Comment(**row._mapping) for row in (await tx.execute(query)).all()]

    async def _files(self, digest: str) -> Files:
        return (await self._store.bundle(digest)).files

    async def _made(self, draft: str, number: int, base: str, changes: Changes, by: str, note: str) -> Unsaved:
        note = " ".join(note.split())
        if len(note) > MAX_NOTE or not note.isprintable():
            raise InvalidRequest(f"A note has up to {MAX_NOTE} printable characters.", param="note")
        if number > MAX_VERSIONS:
            raise InvalidRequest(f"A draft takes {MAX_VERSIONS} versions: open another.", param="draft")
        files = await self._files(base)
        problems = [problem for path in changes if (problem := path_problem(path))]
        problems += [p for path, body in changes.items() if body is not None and (p := file_problem(path, body))]
        if problems:
            raise DraftRefused(sorted(problems))
        gone = sorted(path for path, body in changes.items() if body is None and path not in files)
        if gone:
            raise InvalidRequest(f"The base has no file {gone[0]} that could go.", param="files")
        changes = {path: body for path, body in changes.items() if files.get(path) != body}
        bundle = apply(files, changes)
        problem = set_problem(bundle.files)
        if problem is not None:
            raise DraftRefused([problem])
        version = Version(
            draft=draft,
            number=number,
            base=base,
            changes=names_of(changes),
            digest=bundle.digest,
            saved_by=by,
            saved_at=self._clock(),
            note=note,
        )
        return Unsaved(version=version, bodies=tuple(body for body in changes.values() if body is not None))

    async def _insert(self, tx: AsyncConnection, unsaved: Unsaved) -> None:
        version = unsaved.version
        await self._store.keep(tx, unsaved.bodies)
        values = {name: getattr(version, name) for name in version.__slots__} | {"changes": dict(version.changes)}
        try:
            async with tx.begin_nested():
                await tx.execute(insert(draft_versions).values(**values))
        except IntegrityError as error:
            raise Conflict("Somebody else saved this draft just now. Load it again.", param="after") from error

    @staticmethod
    def _check_after(draft: Draft, after: int) -> None:
        if draft.state == "closed":
            raise InvalidRequest("This draft is closed. Open another.", param="draft")
        if draft.version.number != after:
            raise Conflict(
                f"The draft is at version {draft.version.number}, not {after}: {draft.version.saved_by} saved it. "
                "Load it again.",
                param="after",
            )


def _draft(row: Row[Any], version: Version) -> Draft:
    return Draft(
        id=row.id,
        title=row.title,
        state=row.state,
        opened_by=row.opened_by,
        opened_at=row.opened_at,
        version=version,
    )


def _version(row: Row[Any]) -> Version:
    return Version(**row._mapping)
