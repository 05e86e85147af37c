"""A PKCS#11 library and the one thread of this process that calls it.

python-pkcs11 initialises a library as for a program with one thread (``C_Initialize(NULL)``, PKCS #11 v2.40, 5.4), so
calls from several would be undefined. And a library has no time limits of its own: a caller who waits on a queue can
give up in time, one who is inside the library cannot. The thread of a call that never returns stays; calls behind it
fail in time until it does.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, ClassVar, TypeVar

import pkcs11

from audit.errors import KeyRefused, KeyServiceUnavailable

T = TypeVar("T")


class Pkcs11Module:
    """One library. ``of`` gives the same object for the same path."""

    _loaded: ClassVar[dict[str, Pkcs11Module]] = {}
    _loading: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, path: str) -> None:
        self.path = path
        self.generation = 0  # counts re-initialisations, which end every session; touched in the thread only
        self._library: Any = None
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()
        # A daemon: the process must be able to end while the library hangs.
        threading.Thread(target=self._work, name="audit-pkcs11", daemon=True).start()

    @classmethod
    def of(cls, path: str) -> Pkcs11Module:
        with cls._loading:
            return cls._loaded.setdefault(path, cls._loaded.get(path) or cls(path))

    def call(self, work: Callable[[], T], timeout_seconds: float, where: str) -> T:
        """What ``work`` returns or raises, done in the thread. Raises ``KeyServiceUnavailable`` when it takes longer,
        waiting for others included; work that has not begun by then is never begun."""
        done: Future[T] = Future()
        self._jobs.put((work, done))
        try:
            return done.result(timeout_seconds)
        except (FutureTimeout, CancelledError):
            if done.done() and not done.cancelled():  # in the very last moment; or the work itself timed out
                return done.result()
            done.cancel()
            raise KeyServiceUnavailable(f"{where} did not answer in time") from None

    def library(self) -> Any:
        """In the thread. Raises ``KeyRefused`` if the file is no PKCS#11 library."""
        if self._library is None:
            try:
                self._library = pkcs11.lib(self.path)
            except (pkcs11.PKCS11Error, OSError):
                raise KeyRefused(f"PKCS#11 library {self.path} cannot be loaded") from None
        elif not self._library.initialized:
            self._library.initialize()
        return self._library

    def reinitialize(self) -> None:
        """In the thread. Make the library look for its tokens anew; ends every session of this process with it."""
        self.generation += 1
        self.library().reinitialize()

    def _work(self) -> None:
        while True:
            work, done = self._jobs.get()
            if not done.set_running_or_notify_cancel():
                continue
            try:
                done.set_result(work())
            except BaseException as error:
                done.set_exception(error)
            del work, done  # or they would keep secrets alive until the next job
