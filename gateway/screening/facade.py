"""The door of screening: prompts and pictures go in, findings come out. Never decides, fails closed; raises only for an
upload that is no picture."""

from __future__ import annotations

import asyncio
import io
import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Final

from PIL import Image

from gateway.exchange import CleanUpload, Finding, Picture, Stage, Upload
from gateway.screening.content.tokens import Words
from gateway.screening.entities.scan import Wanted
from gateway.screening.entities.service import Names
from gateway.screening.exact.key import ListKey
from gateway.screening.exact.lists import ListShelf
from gateway.screening.findings import FindingWriter, numbered, unavailable
from gateway.screening.image.gallery import DEFAULT_WORKERS, Gallery
from gateway.screening.image.seen import Classifier
from gateway.screening.image.uploads import UploadCleaner, UploadsUnavailable, check_shapes
from gateway.screening.image.watch import Asked, MemoryWatch
from gateway.screening.rules.book import OnReload, RuleBook
from gateway.screening.rules.ruleset import RuleSet, load
from gateway.screening.rules.schema import Scope
from gateway.screening.rules.steady import steady
from gateway.screening.semantic.reader import Meant
from gateway.screening.semantic.report import reports
from gateway.screening.semantic.service import Meaning
from gateway.screening.semantic.weights import HEADS_SHA256
from gateway.screening.text.across import across
from gateway.screening.text.normalise import Normalised, normalise
from gateway.screening.text.recent import Recent
from gateway.screening.text.scan import MAX_HITS, Budget, OverBudget
from gateway.vocabulary import Effect

INLINE_CHARS: Final = 2_000
"""Up to here a scan takes about a millisecond: less than handing it to a thread and back on a busy machine."""
MEANT: Final[Mapping[Scope, int]] = {"prompt": 2, "ocr_upload": 5, "ocr_output": 5}
"""Fields that are read for their meaning, and of how many words at least: "EXIT" on a door means nothing by itself, and
what single words say is the lexicons' to find. A negative prompt says what must not be drawn."""
_WORD: Final = re.compile(r"[^\W\d_]{2,}")
_STRICTNESS: Final = {effect: rank for rank, effect in enumerate(Effect)}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreeningHealth:
    """How screening is. `ok` = the rules that lie in the folder are the ones in force."""

    ok: bool
    revision: str
    rules: int
    error: str
    waiting: tuple[str, ...] = ()
    """Rules that wait for a list (`imprimatur dlp import`)."""
    without_model: tuple[str, ...] = ()
    """Rules that want names, and the model of names is not installed (`imprimatur doctor` says how)."""


class Screening:
    """Finds what a prompt or picture holds. One for the process; safe for many requests at once.

    `secret` keys the HMACs that stand for found values: at least 32 random bytes. `directory` is the bundle's folder,
    with `dlp/` and `content/` in it; imported lists lie in `lists`, or in its folder `lists/`. Without `meaning` texts
    are looked at for words only. Raises `RuleError` when its rules don't load, `ValueError` for a short secret.
    """

    def __init__(
        self,
        *,
        directory: Path,
        secret: bytes,
        timeout_seconds: float = 0.5,
        picture_timeout_seconds: float = 20.0,
        upload_timeout_seconds: float = 20.0,
        picture_workers: int = DEFAULT_WORKERS,
        picture_classifiers: Sequence[Classifier] = (),
        block_list: Path | None = None,
        reload_seconds: float = 1.0,
        on_reload: OnReload | None = None,
        clock: Callable[[], float] = time.monotonic,
        lists: Path | None = None,
        meaning: Meaning | None = None,
        watch: MemoryWatch | None = None,
        names: Names | None = None,
    ) -> None:
        self._meaning = meaning
        self._names = names or Names(timeout_seconds=timeout_seconds, clock=clock)
        self._write = FindingWriter(secret)
        self._timeout = timeout_seconds
        self._picture_timeout = picture_timeout_seconds
        self._cleaner = UploadCleaner(upload_timeout_seconds)
        self._gallery = Gallery(
            directory=directory,
            screen_text=lambda text, scope: self._screen_text(text, scope, keyed=True),
            workers=picture_workers,
            block_list=block_list,
            classifiers=picture_classifiers,
            watch=watch,
        )
        self._clock = clock
        shelf = ListShelf(lists or directory / "lists", ListKey(secret))
        self._shelf = shelf
        self._book = RuleBook(directory, reload_seconds=reload_seconds, on_reload=on_reload, clock=clock, lists=shelf)
        self._recent = Recent(clock=clock)
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="screening")

    async def warm_up(self) -> None:
        """Load what the first request would wait for: weights, and a picture worker. Never raises: what is missing is
        told by the finding of the request that needs it."""
        try:
            await asyncio.gather(
                self.hints("a lighthouse"),
                self.screen_pictures([_something()]),
                self._gallery.warm_up(),
                self._warm_names(),
            )
        except Exception as error:
            _failed("screening.cold", error)

    async def screen_prompt(self, text: str, *, field: Scope = "prompt") -> tuple[Finding, ...]:
        """What stands in `text`, ids `f1`, `f2`… in order of place.

        Late, broken or overwhelmed: the single finding `screening.unavailable`.
        """
        return await self._screen_text(text, field, keyed=True)

    async def screen_across(self, actor: str, text: str) -> tuple[Finding, ...]:
        """What `text` completes of the same actor's last prompts: a value cut in two. Once for each request, after
        `screen_prompt`; it remembers the prompt's pieces (see `text.recent` for what is kept, and how long). Ids are
        `before.f1`, `before.f2`…: they stand beside those of `screen_prompt` in one record.

        Late, broken or overwhelmed: the single finding `screening.unavailable`.
        """
        try:
            budget = Budget(self._clock() + self._timeout, clock=self._clock)
            rules = self._book.current
            hits = across(rules.scanners["prompt"], self._recent, actor, normalise(text), budget)
            found = numbered(self._write.from_across(rules, hit) for hit in hits)
        except Exception as error:  # as above: no answer is never a yes
            _failed("screening.failed", error)
            found = (unavailable("prompt", "prompt"),)
        return tuple(replace(finding, id=f"before.{finding.id}") for finding in found)

    def forget(self, actor: str) -> None:
        """Nothing of an actor's last prompts is in memory any more."""
        self._recent.forget(actor)

    async def hints(self, text: str) -> tuple[Finding, ...]:
        """The same findings while somebody types, without the HMACs: nothing of a hint is meant to be kept."""
        return await self._screen_text(text, "prompt", keyed=False)

    async def screen_pictures(
        self, pictures: Sequence[Picture], *, stage: Stage = "output", asked: Asked | None = None
    ) -> tuple[Finding, ...]:
        """What the pictures show, and what is written in them; fields are `pictures[0]`, `pictures[1]`…, ids
        `output.f1`, `output.f2`….

        `screening.unavailable` for each picture that is not whole, not what it says it is, or not looked at in time.
        With `asked` they are finished ones, which are remembered and compared with what others were given.
        """
        named = [(f"pictures[{place}]", picture) for place, picture in enumerate(pictures)]
        found = await steady(
            lambda: self.rules,
            lambda: self._gallery.look(named, stage=stage, timeout_seconds=self._picture_timeout, asked=asked),
        )
        return (unavailable(stage, "pictures"),) if found is None else found

    async def clean_uploads(
        self, uploads: Sequence[Upload], *, to_vary: bool = False, hold: Callable[[int], None] = lambda _: None
    ) -> tuple[tuple[CleanUpload, ...], tuple[Finding, ...]]:
        """The pictures of a request, encoded anew by us: these may be forwarded, the person's own bytes never. And what
        they show, a mask too.

        A file that can't be taken is a mistake of whoever sent it: InvalidRequest, with its field. Screening that did
        not come to an answer is a finding, `screening.unavailable`, and then there are no pictures.
        """
        if not uploads:
            return (), ()
        try:
            clean = await self._cleaner.clean(uploads, hold, to_vary=to_vary)
        except UploadsUnavailable as error:
            _log.error("screening.uploads-failed", extra={"cause": str(error)})
            return (), (unavailable("upload", "uploads"),)
        except OSError as error:  # no process to be had
            _failed("screening.uploads-failed", error)
            return (), (unavailable("upload", "uploads"),)
        check_shapes(clean, to_vary=to_vary)
        named = [(upload.field, _picture(place, upload)) for place, upload in enumerate(clean)]
        found = await steady(
            lambda: self.rules,
            lambda: self._gallery.look(named, stage="upload", timeout_seconds=self._picture_timeout),
        )
        return ((), (unavailable("upload", "uploads"),)) if found is None else (clean, found)

    def fingerprint(self, text: str) -> str:
        """An HMAC that stands for `text` in policy's input: equal texts meet, none can be read back."""
        return self._write.fingerprint(text)

    @property
    def rules(self) -> RuleSet:
        """The rules in force."""
        return self._book.current

    def prepare(self, directory: Path) -> RuleSet:
        """The rules of another folder, loaded and tested, not in force. Takes a while: call it in a thread. Raises
        `RuleError`."""
        return load(directory, self._shelf)

    def put_in_force(self, rules: RuleSet) -> None:
        """Exchange all rules for prepared ones, at once. Scans under way end with the rules that they began with."""
        self._book.put_in_force(rules)

    def health(self) -> ScreeningHealth:
        """For readiness and the admin page; the error names a file and line, never a prompt."""
        current = self._book.current
        return ScreeningHealth(
            ok=not self._book.error,
            revision=current.revision,
            rules=len(current.rules),
            error=self._book.error,
            waiting=current.waiting,
            without_model=current.without_model,
        )

    @property
    def revision(self) -> str:
        """Names the rules in force and, behind a dot, the weights that read for meaning."""
        return self._book.current.revision + (f".{HEADS_SHA256[:8]}" if self._meaning is not None else "")

    async def aclose(self) -> None:
        """Let go of the threads; scans under way end at their own deadline."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        await self._gallery.aclose()
        await self._names.aclose()
        if self._meaning is not None:
            await self._meaning.aclose()

    async def _screen_text(self, text: str, field: Scope, *, keyed: bool) -> tuple[Finding, ...]:
        try:
            said = await self._with_names(await self._said(text, field, keyed=keyed), field, keyed=keyed)
            if self._meaning is None or not _may_mean_something(said.plain.text, field):
                return said.findings
            read = await self._meaning.find(said.plain.text)
            return self._with_meaning(said, read, field, keyed=keyed) if read else said.findings
        except Exception as error:  # whatever it is: no answer from screening is never a yes
            _failed("screening.failed", error)
            return (unavailable("prompt", field),)

    async def _said(self, text: str, field: Scope, *, keyed: bool) -> _Said:
        await self._refresh()
        budget = Budget(self._clock() + self._timeout, clock=self._clock)
        rules = self._book.current
        if len(text) <= INLINE_CHARS:
            return self._findings(rules, text, field, budget, keyed=keyed)
        async with asyncio.timeout(self._timeout):
            return await asyncio.get_running_loop().run_in_executor(
                self._threads, lambda: self._findings(rules, text, field, budget, keyed=keyed)
            )

    async def _with_names(self, said: _Said, field: Scope, *, keyed: bool) -> _Said:
        if not said.wanted.stretches:
            return said
        hits = await self._names.find(said.plain, said.wanted)
        named = [self._write.from_hit(said.rules, hit, field, keyed=keyed) for hit in hits]
        fresh = [finding for finding in named if not any(_covers(other, finding) for other in said.findings)]
        return replace(said, findings=numbered((*said.findings, *fresh)))

    async def _warm_names(self) -> None:
        """Only for rules in force: those in monitor mode are not worth a second of the start."""
        if any(rule.detector.is_enforced for names in self.rules.names.values() for rule in names.rules):
            await self._names.warm_up()

    def _with_meaning(self, said: _Said, read: Sequence[Meant], field: Scope, *, keyed: bool) -> tuple[Finding, ...]:
        types = {finding.type for finding in said.findings}
        found = reports(said.rules, read, said.words, types, field)
        meant = [self._write.from_report(said.rules, report, said.plain, field, keyed=keyed) for report in found]
        return numbered((*said.findings, *meant))

    async def _refresh(self) -> None:
        """Exchange the rules when their files changed. One request waits for it; nobody's deadline pays for it."""
        if self._book.is_due():
            await asyncio.get_running_loop().run_in_executor(self._threads, self._book.maybe_reload)

    def _findings(self, rules: RuleSet, text: str, field: Scope, budget: Budget, *, keyed: bool) -> _Said:
        plain = normalise(text)
        budget.spend(0)
        found = [
            self._write.from_hit(rules, hit, field, keyed=keyed) for hit in rules.scanners[field].scan(plain, budget)
        ]
        words = Words(plain.text)
        for lexicon in rules.lexicons[field]:
            budget.spend(0)
            for mention in lexicon.find(plain.text, words):
                budget.spend()
                found.append(self._write.from_mention(rules, lexicon, mention, plain, field, keyed=keyed))
        if len(found) > MAX_HITS:
            raise OverBudget
        return _Said(numbered(found), rules, plain, words, rules.names[field].wanted(plain.text, budget))


@dataclass(frozen=True, slots=True)
class _Said:
    """What stands in a text word for word, and what it was found with."""

    findings: tuple[Finding, ...]
    rules: RuleSet
    plain: Normalised
    words: Words
    wanted: Wanted
    """What is still to be read for names."""


def _covers(one: Finding, other: Finding) -> bool:
    """Whether `other` lies in a value that was found already, of which at least as much comes."""
    is_within = one.start <= other.start and other.end <= one.end
    return is_within and one.type.startswith("dlp.") and _STRICTNESS[one.proposed] >= _STRICTNESS[other.proposed]


def _something() -> Picture:
    """A picture in which there is something to see, so that every detector is asked."""
    side = 64
    image = Image.linear_gradient("L").resize((side, side)).convert("RGB")
    out = io.BytesIO()
    image.save(out, "PNG")
    return Picture(index=0, data=out.getvalue(), media_type="image/png", width=side, height=side, sha256="")


def _failed(event: str, error: Exception) -> None:
    """Only the error's class is logged: messages and tracebacks of decoders quote what they were fed."""
    _log.error(event, extra={"cause": type(error).__name__})


def _picture(place: int, upload: CleanUpload) -> Picture:
    """What is forwarded, as a picture to look at."""
    facts = upload.forwarded
    return Picture(
        index=place,
        data=upload.data,
        media_type=facts.media_type,
        width=facts.width,
        height=facts.height,
        sha256=facts.sha256,
    )


def _may_mean_something(text: str, field: Scope) -> bool:
    least = MEANT.get(field)
    return least is not None and sum(1 for _ in islice(_WORD.finditer(text), least)) == least
