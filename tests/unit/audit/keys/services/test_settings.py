from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from audit.errors import KeyRefused
from audit.keys.services import settings as module
from audit.keys.services.opening import open_key_service
from audit.keys.services.settings import KEY_SERVICE_SETTINGS
from audit.keys.services.settings_file import read_service_settings
from audit.store.disk import Disk

ARN = "arn:aws:kms:eu-central-1:123456789012:key/63bc38c0-b22d-4b7a-bb18-d2ba1a600a1a"
TRANSIT = {"kind": "transit", "url": "https://vault.example.com:8200", "key": "kek", "token_path": "/run/token"}
KMS = {"kind": "aws-kms", "key_arn": ARN}
HSM = {"kind": "pkcs11", "module_path": "/x.so", "token_label": "audit", "key_label": "kek", "pin_path": "/pin"}
FILE = {"kind": "file", "path": "/kek"}


@pytest.mark.parametrize("values", [FILE, TRANSIT, KMS, HSM])
def test_the_kind_chooses_the_settings(values: dict[str, Any]) -> None:
    assert KEY_SERVICE_SETTINGS.validate_python(values).kind == values["kind"]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({}, "kind"),
        ({"kind": "vault"}, "kind"),
        ({**FILE, "token": "s.x"}, "token"),
        ({**TRANSIT, "url": "http://vault.example.com:8200"}, "https"),
        ({**TRANSIT, "url": "http://127.0.0.1.example.com"}, "https"),
        ({**TRANSIT, "url": "https://user:word@vault.example.com"}, "user"),
        ({**TRANSIT, "url": "https://vault.example.com/?a=b"}, "query"),
        ({**TRANSIT, "url": "https://vault.example.com:99999"}, "url"),
        ({**TRANSIT, "url": "file:///etc/passwd"}, "https"),
        ({**TRANSIT, "url": "vault.example.com"}, "https"),
        ({**TRANSIT, "key": "../../sys/seal"}, "key"),
        ({**TRANSIT, "key": "a/b"}, "key"),
        ({**TRANSIT, "mount": "../sys"}, "mount"),
        ({**TRANSIT, "namespace": "a\r\nX-Vault-Token: b"}, "namespace"),
        ({**TRANSIT, "timeout_seconds": 0}, "timeout_seconds"),
        ({**TRANSIT, "attempts": 0}, "attempts"),
        ({**KMS, "key_arn": "alias/audit"}, "key_arn"),
        ({**KMS, "key_arn": ARN.replace(":key/63", ":alias/63")}, "key_arn"),
        ({**KMS, "previous_key_arns": [ARN.replace("central", "west")]}, "one region"),
        ({**KMS, "endpoint_url": "http://kms.example.com"}, "https"),
        ({**HSM, "key_label": "a:b"}, "key_label"),
    ],
)
def test_what_could_send_keys_astray_is_refused(values: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        KEY_SERVICE_SETTINGS.validate_python(values)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8200", "http://[::1]:8200", "http://localhost:8200/"])
def test_this_machine_may_be_reached_without_tls(url: str) -> None:
    found: Any = KEY_SERVICE_SETTINGS.validate_python({**TRANSIT, "url": url})
    assert found.url == url.rstrip("/")


def test_every_setting_says_what_it_is() -> None:
    models = _models()
    assert len(models) == 4
    for model in models:
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name}"


def test_a_file_of_settings_is_read_and_a_misplaced_secret_in_it_is_not_repeated(tmp_path: Path) -> None:
    path = tmp_path / "service.yaml"
    path.write_text("kind: file\npath: /kek\n")
    assert read_service_settings(path).kind == "file"
    for text in (
        "kind: transit\nkey: s.SECRET/\n",
        "token: s.SECRET\n",
        "s.SECRET",
        "kind: [s.SECRET",
        "kind: s.SECRET",
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"service\.yaml") as caught:
            read_service_settings(path)
        assert "SECRET" not in str(caught.value)
    path.write_text("x" * 100_000)
    with pytest.raises(ValueError, match="too long"):
        read_service_settings(path)


def test_a_missing_key_file_is_made_only_if_asked(tmp_path: Path) -> None:
    settings = KEY_SERVICE_SETTINGS.validate_python({"kind": "file", "path": tmp_path / "kek"})
    with pytest.raises(KeyRefused, match="does not exist"):
        open_key_service(settings, Disk())
    made = open_key_service(settings, Disk(), create=True)
    assert open_key_service(settings, Disk(), create=True).key_id == made.key_id


@pytest.mark.parametrize(
    ("values", "package", "extra"), [(KMS, "boto3", "audit-kms"), (HSM, "pkcs11", "audit-hsm"), (TRANSIT, "httpx", "")]
)
def test_a_missing_package_is_named_with_what_to_install(values: dict[str, Any], package: str, extra: str) -> None:
    program = (
        f"import sys\nsys.modules[{package!r}] = None\nfrom audit.keys.services.opening import open_key_service\n"
        "from audit.keys.services.settings import KEY_SERVICE_SETTINGS\nfrom audit.store.disk import Disk\n"
        f"try: open_key_service(KEY_SERVICE_SETTINGS.validate_python({values!r}), Disk())\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60).stdout
    assert told.startswith("KeyRefused")
    assert package in told
    assert f"pip install 'imprimatur-gateway{f'[{extra}]' if extra else ''}'" in told


def test_a_service_loads_nothing_of_the_others() -> None:
    program = (
        "import sys\nimport audit.keys.services.opening, audit.keys.services.file\n"
        "print([name for name in ('boto3', 'botocore', 'pkcs11', 'httpx') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_every_setting_is_on_its_page_with_its_default() -> None:
    page = (Path(__file__).parents[5] / "docs" / "reference" / "key-services.md").read_text("utf-8")
    for kind, model in zip(("file", "transit", "aws-kms", "pkcs11"), _models(), strict=True):
        section = page.split(f"### `{kind}`", 1)[1].split("\n### ")[0].split("\n## ")[0]
        for name in model.model_fields.keys() - {"kind"}:
            assert f"| `{name}` |" in section, f"{kind}: {name}"


def _models() -> list[type[BaseModel]]:
    return [
        model
        for model in vars(module).values()
        if isinstance(model, type) and issubclass(model, BaseModel) and "kind" in model.model_fields
    ]
