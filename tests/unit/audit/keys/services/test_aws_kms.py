"""How KMS's errors are taken. A small server on loopback says what KMS says; moto is asked in the contract suite."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from audit.canonical import encode
from audit.errors import KeyRefused, KeyServiceUnavailable
from audit.keys.services.aws_kms import AwsKmsKeyService, encryption_context
from audit.keys.services.settings import AwsKmsServiceSettings

ARN = "arn:aws:kms:eu-central-1:123456789012:key/63bc38c0-b22d-4b7a-bb18-d2ba1a600a1a"
OLD = "arn:aws:kms:eu-central-1:123456789012:key/00000000-b22d-4b7a-bb18-d2ba1a600a1a"
WRAPPED = bytes([1, len(ARN)]) + ARN.encode() + b"blob"
KEY = {"Arn": ARN, "KeyId": "x", "KeySpec": "SYMMETRIC_DEFAULT", "KeyUsage": "ENCRYPT_DECRYPT", "Enabled": True}


class Kms:
    """Answers each action as it is told."""

    def __init__(self) -> None:
        self.answers: dict[str, list[tuple[int, dict[str, Any]]]] = {}
        self.seen: list[tuple[str, dict[str, Any]]] = []
        kms = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                action = self.headers["X-Amz-Target"].partition(".")[2]
                kms.seen.append((action, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
                answers = kms.answers[action]
                status, body = answers.pop(0) if len(answers) > 1 else answers[0]
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def says(self, action: str, *answers: tuple[int, dict[str, Any]]) -> None:
        self.answers[action] = list(answers)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def fault(code: str) -> tuple[int, dict[str, Any]]:
    return 500 if code == "KMSInternalException" else 400, {"__type": code, "message": "of s.SECRET"}


@pytest.fixture
def kms() -> Iterator[Kms]:
    made = Kms()
    yield made
    made.close()


@pytest.fixture
def service(kms: Kms, monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsKmsKeyService]:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    settings = {
        "key_arn": ARN,
        "previous_key_arns": [OLD],
        "endpoint_url": kms.url,
        "timeout_seconds": 2,
        "attempts": 2,
    }
    made = AwsKmsKeyService(AwsKmsServiceSettings.model_validate({"kind": "aws-kms", **settings}))
    yield made
    made.close()


@pytest.mark.parametrize(
    "code",
    [
        "InvalidCiphertextException",
        "IncorrectKeyException",
        "NotFoundException",
        "DisabledException",
        "KMSInvalidStateException",
        "InvalidKeyUsageException",
        "com.amazonaws.kms#DisabledException",
    ],
)
def test_a_refusal_of_kms_is_final(kms: Kms, service: AwsKmsKeyService, code: str) -> None:
    kms.says("Decrypt", fault(code))
    with pytest.raises(KeyRefused) as caught:
        service.unwrap(WRAPPED, b"context")
    assert len(kms.seen) == 1
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    "code", ["ThrottlingException", "KMSInternalException", "DependencyTimeoutException", "KeyUnavailableException"]
)
def test_what_passes_is_asked_again(kms: Kms, service: AwsKmsKeyService, code: str) -> None:
    kms.says("Decrypt", fault(code), (200, {"Plaintext": "c2VjcmV0", "KeyId": ARN}))
    assert service.unwrap(WRAPPED, b"context") == b"secret"
    kms.says("Decrypt", fault(code))
    with pytest.raises(KeyServiceUnavailable):
        service.unwrap(WRAPPED, b"context")
    assert len(kms.seen) == 4


@pytest.mark.parametrize("code", ["ExpiredTokenException", "UnrecognizedClientException", "InvalidSignatureException"])
def test_credentials_that_do_not_pass_say_nothing_of_the_key(kms: Kms, service: AwsKmsKeyService, code: str) -> None:
    kms.says("Decrypt", fault(code))
    with pytest.raises(KeyServiceUnavailable):
        service.unwrap(WRAPPED, b"context")


def test_access_denied_is_of_the_blob_if_the_key_takes_ours(kms: Kms, service: AwsKmsKeyService) -> None:
    ours = {"Plaintext": "Y2hlY2s=", "KeyId": ARN}
    kms.says("Encrypt", (200, {"CiphertextBlob": "b3Vycw==", "KeyId": ARN}))
    kms.says("Decrypt", fault("AccessDeniedException"), (200, ours))
    with pytest.raises(KeyRefused):
        service.unwrap(WRAPPED, b"context")
    kms.says("Decrypt", fault("AccessDeniedException"))
    with pytest.raises(KeyServiceUnavailable):
        service.unwrap(WRAPPED, b"context")
    kms.says("Encrypt", fault("AccessDeniedException"))
    with pytest.raises(KeyServiceUnavailable):
        service.unwrap(WRAPPED, b"context")


def test_an_older_key_is_asked_by_its_own_name_and_a_strange_one_not_at_all(
    kms: Kms, service: AwsKmsKeyService
) -> None:
    kms.says("Decrypt", (200, {"Plaintext": "c2VjcmV0", "KeyId": OLD}))
    assert service.unwrap(WRAPPED.replace(ARN.encode(), OLD.encode()), b"context") == b"secret"
    assert kms.seen[-1][1]["KeyId"] == OLD
    with pytest.raises(KeyRefused, match="do not name"):
        service.unwrap(WRAPPED.replace(b"63bc", b"63bd"), b"context")
    assert len(kms.seen) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"Arn": OLD}, "another key"),
        ({"KeySpec": "RSA_4096"}, "wrong type"),
        ({"KeyUsage": "SIGN_VERIFY"}, "wrong type"),
        ({"Enabled": False, "KeyState": "PendingDeletion"}, "PendingDeletion"),
    ],
)
def test_a_key_of_a_wrong_kind_is_refused(
    kms: Kms, service: AwsKmsKeyService, change: dict[str, Any], reason: str
) -> None:
    kms.says("DescribeKey", (200, {"KeyMetadata": {**KEY, **change}}))
    with pytest.raises(KeyRefused, match=reason):
        service.check()


def test_no_credentials_is_no_answer(kms: Kms, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    settings = {"kind": "aws-kms", "key_arn": ARN, "endpoint_url": kms.url, "attempts": 1}
    service = AwsKmsKeyService(AwsKmsServiceSettings.model_validate(settings))
    with pytest.raises(KeyServiceUnavailable, match="NoCredentialsError"):
        service.wrap(b"secret", b"context")
    with pytest.raises(KeyServiceUnavailable, match="ProfileNotFound"):
        AwsKmsKeyService(AwsKmsServiceSettings.model_validate({**settings, "profile": "missing"}))
    service.close()


def test_a_closed_service_is_unavailable(kms: Kms, service: AwsKmsKeyService) -> None:
    service.close()
    with pytest.raises(KeyServiceUnavailable):
        service.unwrap(WRAPPED, b"context")
    assert kms.seen == []


def test_the_log_of_calls_stays_silent_about_what_they_carry(
    kms: Kms, service: AwsKmsKeyService, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    kms.says("Encrypt", (200, {"CiphertextBlob": "YmxvYg==", "KeyId": ARN}))
    kms.says("Decrypt", (200, {"Plaintext": "c2VjcmV0LW9mLWEtZGF5", "KeyId": ARN}))
    service.wrap(b"secret-of-a-day", b"context")
    service.unwrap(WRAPPED, b"context")
    told = caplog.text + str([vars(record) for record in caplog.records])
    assert "c2VjcmV0LW9mLWEtZGF5" not in told
    assert "secret-of-a-day" not in told


def test_the_context_of_a_day_key_can_be_read_in_cloudtrail_and_no_two_contexts_are_the_same() -> None:
    label = "imprimatur/audit/day-key/v1"
    readable = encryption_context(encode(label, "default", "standard", "2026-11-22", "00ff"))
    assert readable == {
        "purpose": label,
        "tenant": "default",
        "class": "standard",
        "day": "2026-11-22",
        "key": "00ff",
    }
    contexts = [
        encode(label, "default", "standard", "2026-11-22", "00ff"),
        encode(label, "default", "standard", "2026-11-22", "00fe"),
        encode(label, "default", "standard", "2026-11-22", b"00ff"),
        encode(label, "default", "standard", "2026-11-22"),
        encode(label, "default", "standard", "2026-11-22", "00ff", ""),
        encode(label, "", "standard", "2026-11-22", "00ff"),
        encode("imprimatur/audit/day-key/v2", "default", "standard", "2026-11-22", "00ff"),
        encode("imprimatur/audit/key-service-check/v1"),
        encode("imprimatur/audit/key-service-check/v1", ""),
        b"imprimatur/audit/key-service-check/v1",
        b"",
    ]
    assert len({json.dumps(encryption_context(context), sort_keys=True) for context in contexts}) == len(contexts)
