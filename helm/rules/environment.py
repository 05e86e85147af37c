"""Settings are read from the environment: a rule that reads them must bring its own."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """These variables instead of our own that begin with IMPRIMATUR_, while the block runs."""
    saved = {k: v for k, v in os.environ.items() if k.startswith("IMPRIMATUR_")}
    try:
        for name in saved:
            del os.environ[name]
        os.environ.update(variables)
        yield
    finally:
        for name in variables:
            os.environ.pop(name, None)
        os.environ.update(saved)
