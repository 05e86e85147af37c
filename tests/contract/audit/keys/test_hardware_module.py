"""What a real SoftHSM2 does beyond the suite: PINs, keys that must be refused, sessions lost, calls that hang."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from audit.errors import KeyRefused, KeyServiceUnavailable
from audit.keys.services.pkcs11 import Pkcs11KeyService
from audit.keys.services.pkcs11_module import Pkcs11Module
from audit.keys.services.settings import Pkcs11ServiceSettings
from tests.support.softhsm import PIN, SoftHsm

Open = Callable[..., Pkcs11KeyService]


@pytest.fixture
def opened(softhsm: SoftHsm, tmp_path: Path) -> Iterator[Open]:
    made: list[Pkcs11KeyService] = []

    def open_(label: str, *, pin: str = PIN, **changes: Any) -> Pkcs11KeyService:
        path = tmp_path / f"pin-{len(made)}"
        path.touch(0o600)
        path.write_text(pin)
        values = {"module_path": softhsm.library, "token_label": "audit", "key_label": label, "pin_path": path}
        made.append(Pkcs11KeyService(Pkcs11ServiceSettings(kind="pkcs11", **{**values, **changes})))
        return made[-1]

    yield open_
    for service in made:
        service.close()


@pytest.fixture
def label(softhsm: SoftHsm) -> str:
    made = f"kek-{uuid.uuid4().hex[:8]}"
    softhsm.make_key("audit", made)
    return made


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["EXTRACTABLE"], "can leave"),
        (["-SENSITIVE"], "can leave"),
        (["128"], "wrong length"),
        (["-DECRYPT"], "disabled"),
        (["-ENCRYPT"], "disabled"),
    ],
)
def test_a_key_made_the_wrong_way_is_refused(softhsm: SoftHsm, opened: Open, flags: list[str], reason: str) -> None:
    label = f"kek-{uuid.uuid4().hex[:8]}"
    softhsm.make_key("audit", label, *flags)
    service = opened(label)
    for call in (service.check, lambda: service.wrap(b"secret", b"context")):
        with pytest.raises(KeyRefused, match=reason):
            call()


def test_two_keys_of_one_label_are_refused(softhsm: SoftHsm, opened: Open, label: str) -> None:
    softhsm.make_key("audit", label)
    with pytest.raises(KeyRefused, match="more than one"):
        opened(label).check()


def test_an_older_key_may_be_one_that_only_decrypts(softhsm: SoftHsm, opened: Open, label: str) -> None:
    wrapped = opened(label).wrap(b"secret", b"context")
    newer = f"kek-{uuid.uuid4().hex[:8]}"
    softhsm.make_key("audit", newer)
    softhsm.set_enabled("audit", label, enabled=False)
    softhsm.set_enabled("audit", label, enabled=True)
    service = opened(newer, previous_key_labels=[label])
    assert service.unwrap(wrapped, b"context") == b"secret"
    with pytest.raises(KeyRefused):
        service.unwrap(wrapped, b"another")


def test_a_token_that_is_not_there_is_unavailable(opened: Open, label: str) -> None:
    with pytest.raises(KeyServiceUnavailable, match="no token"):
        opened(label, token_label="missing").check()


def test_a_library_that_is_none_is_refused(opened: Open, label: str, tmp_path: Path) -> None:
    (tmp_path / "library.so").write_bytes(b"nothing")
    for name in ("library.so", "missing.so"):
        with pytest.raises(KeyRefused, match="cannot be loaded"):
            opened(label, module_path=tmp_path / name).check()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # python-pkcs11 tidying up after it
def test_a_session_that_was_lost_is_opened_again(opened: Open, label: str) -> None:
    service = opened(label)
    wrapped = service.wrap(b"secret", b"context")
    service._module.call(lambda: service._session.close(), 5, "token")
    assert service.unwrap(wrapped, b"context") == b"secret"


def test_services_of_one_library_survive_each_others_reconnections(opened: Open, label: str) -> None:
    one, two = opened(label), opened(label)
    wrapped = two.wrap(b"secret", one.name.encode())
    one.check()
    one._module.call(one._module.reinitialize, 5, "token")
    for service in (two, one):
        assert service.unwrap(wrapped, b"pkcs11") == b"secret"
    one.close()
    assert two.unwrap(wrapped, b"pkcs11") == b"secret"


def test_a_wrong_pin_is_tried_once_so_that_the_token_does_not_lock(softhsm: SoftHsm, opened: Open, label: str) -> None:
    service = opened(label, pin="000000")
    _end_every_login(service)
    tries: list[str] = []
    library = service._module.library()

    class Counting:
        initialized = True

        def get_token(self, **named: Any) -> Any:
            token = library.get_token(**named)

            class Token:
                def open(self, **options: Any) -> Any:
                    tries.append(str(options.get("user_pin")))
                    return token.open(**options)

            return Token()

    service._module._library = Counting()
    try:
        for _ in range(5):
            with pytest.raises(KeyRefused, match="write the right PIN") as caught:
                service.wrap(b"secret", b"context")
            assert "000000" not in str(caught.value)
        assert tries == ["000000"]
        service._settings.pin_path.write_text(PIN)
        assert service.unwrap(service.wrap(b"secret", b"context"), b"context") == b"secret"
    finally:
        service._module._library = library


def _end_every_login(service: Pkcs11KeyService) -> None:
    service._module.call(service._module.library, 5, "token")
    service._module.call(service._module.reinitialize, 5, "token")


def test_a_call_that_hangs_is_left_behind_in_time_and_one_that_waits_is_never_begun() -> None:
    module = Pkcs11Module("/nowhere.so")
    release, begun = threading.Event(), []
    clock = time.monotonic()
    with pytest.raises(KeyServiceUnavailable, match="in time"):
        module.call(lambda: release.wait(30), 0.2, "token")
    with pytest.raises(KeyServiceUnavailable, match="in time"):
        module.call(lambda: begun.append("late"), 0.2, "token")
    assert time.monotonic() - clock < 2
    release.set()
    assert module.call(lambda: "works again", 5, "token") == "works again"
    assert begun == []


def test_what_goes_wrong_in_the_thread_comes_out_of_the_call() -> None:
    def fail() -> None:
        raise TimeoutError("of the work itself")

    with pytest.raises(TimeoutError, match="of the work itself"):
        Pkcs11Module("/nowhere.so").call(fail, 5, "token")


def test_one_thread_alone_touches_the_library(opened: Open, label: str) -> None:
    service = opened(label)
    seen: set[int] = set()
    original = service._try

    def watching(*arguments: Any) -> Any:
        seen.add(threading.get_ident())
        return original(*arguments)

    service._try = watching  # type: ignore[method-assign]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: service.wrap(b"secret", bytes([number])), range(16)))
    assert len(seen) == 1
    assert Pkcs11Module.of(service._module.path) is service._module
