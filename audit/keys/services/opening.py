"""From settings to a key service. The one place where an adapter is chosen, and imported only then."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

from audit.errors import KeyRefused
from audit.keys.services.file import FileKeyService
from audit.keys.services.port import KeyService
from audit.keys.services.settings import (
    AnyKeyServiceSettings,
    AwsKmsServiceSettings,
    FileServiceSettings,
    TransitServiceSettings,
)
from audit.store.disk import Disk

PRODUCT: Final = "imprimatur-gateway"


def open_key_service(
    settings: AnyKeyServiceSettings,
    disk: Disk,
    *,
    create: bool = False,
) -> KeyService:
    """The service that the settings name. ``check`` it to know whether it works: a remote one is not asked yet.

    ``create``: make a missing key file; the other services' keys are made by whoever runs those services. Raises
    ``KeyRefused`` for a file that must not be used, or a package that is not installed.
    """
    if isinstance(settings, FileServiceSettings):
        if create and not settings.path.exists():
            FileKeyService.create(settings.path, disk)
        return FileKeyService(settings.path, settings.previous)
    if isinstance(settings, TransitServiceSettings):
        from_module, class_name, needs, extra = "transit", "TransitKeyService", "httpx", ""
    elif isinstance(settings, AwsKmsServiceSettings):
        from_module, class_name, needs, extra = "aws_kms", "AwsKmsKeyService", "boto3", "audit-kms"
    else:
        from_module, class_name, needs, extra = "pkcs11", "Pkcs11KeyService", "pkcs11", "audit-hsm"
    try:
        adapter: Any = import_module(f"audit.keys.services.{from_module}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in (needs, "botocore"):
            raise
        package = f"{PRODUCT}[{extra}]" if extra else PRODUCT
        raise KeyRefused(
            f"key service {settings.kind} needs the package {needs}, which is not installed: pip install '{package}'"
        ) from None
    service: KeyService = getattr(adapter, class_name)(settings)
    return service
