"""The demo's identity provider for tests: a real canaille, started once in a worker, and people who sign in to it.

`from tests.support.idp import demo_idp` in a conftest makes the fixture known there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from demo.idp import DemoIdp
from demo.idp.browserless import SignInStopped, follow, sign_in

PUBLIC_URL: Final = "https://imprimatur.example"
"""Where the gateway under test pretends to be: https, so that its cookies are the real ones."""

__all__ = ["PUBLIC_URL", "SignInStopped", "demo_idp", "follow", "sign_in"]


@pytest.fixture(scope="session")
def demo_idp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoIdp]:
    """canaille with the demo's people, ready to sign them in to a gateway at `PUBLIC_URL`."""
    with DemoIdp(tmp_path_factory.mktemp("idp"), 0, PUBLIC_URL, say=lambda _: None) as idp:
        yield idp
