"""Settings of a key service from a YAML file, for commands that run without the gateway."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from audit.keys.services.settings import KEY_SERVICE_SETTINGS, AnyKeyServiceSettings

_MAX_BYTES: Final = 64 * 1024


def read_service_settings(path: Path) -> AnyKeyServiceSettings:
    """Raises ``OSError``, or ``ValueError`` that names the field but no value: one may be a misplaced token."""
    with path.open("rb") as file:
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise ValueError(f"{path} is too long for the settings of a key service")
    try:
        values = yaml.safe_load(data)
    except yaml.YAMLError:
        raise ValueError(f"{path} is not YAML") from None
    if not isinstance(values, dict):
        raise ValueError(f"{path} holds no settings: expected lines such as `kind: transit`")
    try:
        return KEY_SERVICE_SETTINGS.validate_python(values)
    except ValidationError as error:
        found = error.errors(include_input=False, include_context=False, include_url=False)
        told = "; ".join(_tell(one) for one in found)
        raise ValueError(f"{path}: {told}") from None


def _tell(found: Any) -> str:
    if found["type"] == "union_tag_invalid":  # its text repeats what was given
        return "kind: expected file, transit, aws-kms or pkcs11"
    return f"{'.'.join(map(str, found['loc'])) or 'kind'}: {found['msg']}"
