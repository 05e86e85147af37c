"""The picture workers: a few processes, started when they are needed, ended when they are late or die.

They know nothing of a request beyond its picture, so one that is healthy when a pool closes is kept for the next pool
of the same process; what is kept ends with the process.
"""

from __future__ import annotations

import asyncio
import atexit
import base64
import json
import subprocess
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Final

from gateway.child import command, environment
from gateway.exchange import Picture
from gateway.prints.windows import NEARBY, PRINT_BYTES
from gateway.screening.image.seen import Classifier, Look

MEMORY_BYTES: Final = 3 << 30
"""Address space of a worker: the nets, the runtime, and the largest picture in three copies."""
MOST_ANSWER_BYTES: Final = 1 << 20
MOST_KEPT: Final = 4


class PicturesUnavailable(Exception):
    """No answer: late, crashed, out of memory, or closed. Says how, never what was in the picture."""


class _Gone(Exception):
    """The worker ended instead of answering."""


class _Worker:
    """One process and its two pipes. Used by one thread at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own module, and nothing of a request
            command("gateway.screening.image.worker", str(MEMORY_BYTES)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # a traceback could quote what it read
            env=environment(**_ONE_THREAD),
        )
        self.is_fresh = True

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, head: bytes, data: bytes) -> bytes:
        """Its answer. Raises _Gone."""
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError("unreachable: both are pipes")
        try:
            self._process.stdin.write(head)
            self._process.stdin.write(data)
            self._process.stdin.flush()
            line = self._process.stdout.readline(MOST_ANSWER_BYTES)
        except (OSError, ValueError):  # the pipe broke, or was closed under us
            raise _Gone from None
        if not line.endswith(b"\n"):
            raise _Gone
        self.is_fresh = False
        return line

    def kill(self) -> None:
        """From any thread; whoever waits for an answer gets _Gone."""
        self._process.kill()

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):  # what was still to be written has no reader
                    pipe.close()


_ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
_kept: list[_Worker] = []
_kept_lock = threading.Lock()


def _keep(workers: Sequence[_Worker]) -> None:
    with _kept_lock:
        _kept.extend(workers)
        surplus = _kept[MOST_KEPT:]
        del _kept[MOST_KEPT:]
    for worker in surplus:
        worker.end()


def end_kept() -> None:
    """End the workers that no pool uses. Runs by itself when the process ends."""
    with _kept_lock:
        ending = _kept[:]
        _kept.clear()
    for worker in ending:
        worker.end()


atexit.register(end_kept)


class PicturePool:
    """At most `size` workers. One for the process; belongs to one event loop."""

    def __init__(self, size: int, classifiers: Sequence[Classifier] = ()) -> None:
        self._classifiers = [asdict(classifier) for classifier in classifiers]
        self._turns = asyncio.Semaphore(size)
        self._threads = ThreadPoolExecutor(max_workers=size, thread_name_prefix="pictures")
        self._idle: list[_Worker] = []
        self._closed = False

    async def look(self, picture: Picture, timeout_seconds: float) -> Look:
        """What the picture shows. The wait for a worker counts. Raises PicturesUnavailable."""
        try:
            async with asyncio.timeout(timeout_seconds), self._turns:
                try:
                    return await self._ask(picture)
                except _Gone:
                    # One that had been idle may have ended of itself. A picture that ends a fresh one is not let
                    # near a third.
                    return await self._ask(picture, fresh=True)
        except TimeoutError:
            raise PicturesUnavailable("late") from None
        except _Gone:
            raise PicturesUnavailable("the worker ended") from None
        except (OSError, RuntimeError) as error:  # no process or thread to be had
            raise PicturesUnavailable(type(error).__name__) from None
        except (ValueError, TypeError, KeyError):
            # It was not itself any more when it answered: what it says then counts for nothing.
            raise PicturesUnavailable("no sense in the answer") from None

    async def _ask(self, picture: Picture, *, fresh: bool = False) -> Look:
        if self._closed:
            raise PicturesUnavailable("closed")
        loop = asyncio.get_running_loop()
        worker = None if fresh else self._take()
        if worker is None:
            worker = await loop.run_in_executor(self._threads, _Worker)
        head = {
            "bytes": len(picture.data),
            "media_type": picture.media_type,
            "width": picture.width,
            "height": picture.height,
            "classifiers": self._classifiers,
        }
        asking = loop.run_in_executor(self._threads, worker.ask, json.dumps(head).encode() + b"\n", picture.data)
        answered = False
        try:
            line = await asyncio.shield(asking)
            found = _look(json.loads(line))
            answered = True
            return found
        finally:
            if answered and not self._closed:
                self._idle.append(worker)
            else:
                worker.kill()
                with suppress(Exception):  # it ends at once: its pipe is closed
                    await asyncio.shield(asking)
                worker.end()

    def _take(self) -> _Worker | None:
        while True:
            if self._idle:
                worker = self._idle.pop()
            else:
                with _kept_lock:
                    if not _kept:
                        return None
                    worker = _kept.pop()
            if worker.is_alive():
                return worker
            worker.end()

    async def aclose(self) -> None:
        """No more answers. Healthy workers are kept for the next pool of this process."""
        self._closed = True
        idle, self._idle = self._idle, []
        _keep(idle)
        self._threads.shutdown(wait=False)


def _look(told: dict[str, Any]) -> Look:
    """The answer, of which nothing is believed that has another shape than a Look."""
    scores = [told["realistic"], told["doubtful"], told["nudity"], *told["classes"].values()]
    if not all(isinstance(score, float | int) and 0 <= score <= 1 for score in scores):
        raise ValueError("a score out of range")
    lists = {name: tuple(told[name]) for name in ("fingerprints", "failed", "faces")}
    words = (told["text"], told["broken"], told["windows"])
    if not all(isinstance(text, str) for some in (*lists.values(), words) for text in some):
        raise ValueError("no text where text belongs")
    if len(base64.b64decode(told["windows"], validate=True)) % PRINT_BYTES:
        raise ValueError("a torn fingerprint")
    if any(len(base64.b64decode(face, validate=True)) != NEARBY * PRINT_BYTES for face in lists["faces"]):
        raise ValueError("a torn face")
    return Look(**{**told, **lists})
