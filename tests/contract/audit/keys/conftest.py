"""One bed for each key service: a real one, and what its administrator does to it.

OpenBao and SoftHSM2 are the real programs. KMS is moto, which shows the shape of the calls and the names of the errors;
that a real KMS forgets a deleted key cannot be shown here.
"""

from __future__ import annotations

import os
import socket
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
import pytest
from moto import mock_aws
from moto.core.exceptions import JsonRESTError
from moto.kms.models import KmsBackend

from audit.keys.services.file import FileKeyService
from audit.keys.services.opening import open_key_service
from audit.keys.services.port import KeyService
from audit.keys.services.settings import KEY_SERVICE_SETTINGS
from audit.store.disk import Disk
from tests.support.openbao import OpenBao
from tests.support.softhsm import PIN, SoftHsm

TIMEOUT_SECONDS = 1.5


class Bed(ABC):
    """A key service and its administrator."""

    kind: str
    secrets: tuple[str, ...] = ()  # what no error and no log may show, besides what is wrapped
    can_be_disabled = True

    def __init__(self) -> None:
        self._opened = ExitStack()

    @abstractmethod
    def settings(self) -> dict[str, Any]: ...

    def open(self, **changes: Any) -> KeyService:
        settings = KEY_SERVICE_SETTINGS.validate_python({"kind": self.kind, **self.settings(), **changes})
        service = open_key_service(settings, Disk())
        self._opened.callback(service.close)
        return service

    @abstractmethod
    def rotate(self) -> None:
        """A new key, or version, wraps; the old one still unwraps. Services opened from now on know."""

    @abstractmethod
    def destroy(self) -> None: ...

    @abstractmethod
    def disable(self) -> None: ...

    @abstractmethod
    def enable(self) -> None: ...

    def close(self) -> None:
        self._opened.close()


class FarBed(Bed):
    """A service that can be away: a file is there, or it is gone for good."""

    @abstractmethod
    def down(self) -> AbstractContextManager[dict[str, Any]]:
        """The service does not do its work inside the block; yields what the settings must say to meet that."""


class FileBed(Bed):
    kind = "file"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._path = folder / "kek"
        self._previous: list[str] = []
        FileKeyService.create(self._path, Disk())

    def settings(self) -> dict[str, Any]:
        return {"path": str(self._path), "previous": self._previous}

    def rotate(self) -> None:
        old = self._path.with_name(f"old-{len(self._previous)}")
        self._path.rename(old)
        self._previous.append(str(old))
        FileKeyService.create(self._path, Disk())

    def destroy(self) -> None:
        Disk().erase(self._path)

    def disable(self) -> None:
        self._path.chmod(0o640)  # a key that others may read is no key

    def enable(self) -> None:
        self._path.chmod(0o600)


class TransitBed(FarBed):
    kind = "transit"

    def __init__(self, folder: Path, bao: OpenBao) -> None:
        super().__init__()
        self._bao = bao
        self._key = f"kek-{uuid.uuid4().hex[:8]}"
        bao.make_key(self._key)
        token = bao.make_token(self._key)
        self.secrets = (token,)
        self._token_path = folder / "token"
        self._token_path.touch(0o600)
        self._token_path.write_text(token + "\n")

    def settings(self) -> dict[str, Any]:
        return {
            "url": self._bao.url,
            "key": self._key,
            "token_path": str(self._token_path),
            "ca_path": str(self._bao.ca_path),
        }

    def rotate(self) -> None:
        self._bao.ask("POST", f"transit/keys/{self._key}/rotate")

    def destroy(self) -> None:
        self._bao.ask("POST", f"transit/keys/{self._key}/config", {"deletion_allowed": True})
        self._bao.ask("DELETE", f"transit/keys/{self._key}")

    def disable(self) -> None:
        """A version below the smallest that may decrypt (and a newer one to take its place)."""
        self.rotate()
        self._set_smallest(2)

    def enable(self) -> None:
        self._set_smallest(1)

    def _set_smallest(self, version: int) -> None:
        self._bao.ask("POST", f"transit/keys/{self._key}/config", {"min_decryption_version": version})

    @contextmanager
    def down(self) -> Iterator[dict[str, Any]]:
        self._bao.seal()
        try:
            yield {}
        finally:
            self._bao.unseal()


class KmsBed(FarBed):
    kind = "aws-kms"

    def __init__(self) -> None:
        super().__init__()
        self._opened.enter_context(mock_aws())
        for name in ("encrypt", "decrypt"):
            real = getattr(KmsBackend, name)
            self._opened.enter_context(patch.object(KmsBackend, name, _minding_the_state(real)))
        self._kms = boto3.client("kms", region_name="eu-central-1")
        self._arns: list[str] = []
        self.rotate()

    def settings(self) -> dict[str, Any]:
        newest, *previous = reversed(self._arns)
        return {"key_arn": newest, "previous_key_arns": previous}

    def rotate(self) -> None:
        self._arns.append(
            self._kms.create_key(KeyUsage="ENCRYPT_DECRYPT", KeySpec="SYMMETRIC_DEFAULT")["KeyMetadata"]["Arn"]
        )

    def destroy(self) -> None:
        """Asked to; KMS waits 7 to 30 days, and refuses the key meanwhile. Moto shows the refusal, nothing more."""
        self._kms.schedule_key_deletion(KeyId=_id(self._arns[-1]), PendingWindowInDays=7)

    def disable(self) -> None:
        self._kms.disable_key(KeyId=_id(self._arns[-1]))

    def enable(self) -> None:
        self._kms.enable_key(KeyId=_id(self._arns[-1]))

    @contextmanager
    def down(self) -> Iterator[dict[str, Any]]:
        with stalled() as port:
            yield {"endpoint_url": f"http://127.0.0.1:{port}"}


class HsmBed(FarBed):
    kind = "pkcs11"
    secrets = (PIN,)

    def __init__(self, folder: Path, hsm: SoftHsm) -> None:
        super().__init__()
        self._hsm = hsm
        self._token = "audit"
        self._labels: list[str] = []
        self._pin_path = folder / "pin"
        self._pin_path.touch(0o600)
        self._pin_path.write_text(PIN + "\n")
        self.rotate()

    def settings(self) -> dict[str, Any]:
        newest, *previous = reversed(self._labels)
        return {
            "module_path": str(self._hsm.library),
            "token_label": self._token,
            "key_label": newest,
            "previous_key_labels": previous,
            "pin_path": str(self._pin_path),
        }

    def rotate(self) -> None:
        self._labels.append(f"kek-{uuid.uuid4().hex[:8]}")
        self._hsm.make_key(self._token, self._labels[-1])

    def destroy(self) -> None:
        self._hsm.destroy_key(self._token, self._labels[-1])

    def disable(self) -> None:
        self._hsm.set_enabled(self._token, self._labels[-1], enabled=False)

    def enable(self) -> None:
        self._hsm.set_enabled(self._token, self._labels[-1], enabled=True)

    @contextmanager
    def down(self) -> Iterator[dict[str, Any]]:
        self._hsm.pull_out()
        try:
            yield {}
        finally:
            self._hsm.put_back()


def _id(arn: str) -> str:
    return arn.rpartition("/")[2]  # all that moto's administrator understands


def _minding_the_state(real: Callable[..., Any]) -> Callable[..., Any]:
    """Moto knows that a key is disabled or about to be deleted, and uses it all the same; KMS refuses (see "Key states
    of AWS KMS keys" in its developer guide)."""

    def strict(backend: KmsBackend, *args: Any, **named: Any) -> Any:
        key = backend.keys[backend.any_id_to_key_id(named["key_id"])]
        if key.key_state == "PendingDeletion":
            raise JsonRESTError("KMSInvalidStateException", "the key is pending deletion")
        if not key.enabled:
            raise JsonRESTError("DisabledException", "the key is disabled")
        return real(backend, *args, **named)

    return strict


@contextmanager
def stalled() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield listener.getsockname()[1]


@pytest.fixture(scope="session")
def openbao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenBao]:
    server = OpenBao(tmp_path_factory.mktemp("openbao"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def softhsm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftHsm]:
    hsm = SoftHsm(tmp_path_factory.mktemp("softhsm"))
    hsm.make_token("audit")
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = hsm.environment["SOFTHSM2_CONF"]
    yield hsm
    os.environ.pop("SOFTHSM2_CONF")
    if before is not None:
        os.environ["SOFTHSM2_CONF"] = before


FAR = ("transit", "aws-kms", "pkcs11")


@pytest.fixture(params=["file", *FAR])
def bed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bed]:
    """Every key service."""
    made = FileBed(tmp_path) if request.param == "file" else _far_bed(request, tmp_path)
    yield made
    made.close()


@pytest.fixture(params=FAR)
def far_bed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FarBed]:
    """Every key service that can be away."""
    made = _far_bed(request, tmp_path)
    yield made
    made.close()


def _far_bed(request: pytest.FixtureRequest, folder: Path) -> FarBed:
    if request.param == "transit":
        return TransitBed(folder, request.getfixturevalue("openbao"))
    if request.param == "pkcs11":
        return HsmBed(folder, request.getfixturevalue("softhsm"))
    return KmsBed()


@pytest.fixture
def timeout_seconds() -> float:
    return TIMEOUT_SECONDS
