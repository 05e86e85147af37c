"""Key service ``aws-kms``: AWS Key Management Service, through boto3 (extra ``audit-kms``).

The context goes with each call as KMS's *encryption context*: KMS authenticates it, CloudTrail shows it, and key
policies can ask for it (``kms:EncryptionContext:tenant``). It names tenant, class and day; no person, no content.

What is wrapped reads ``0x01 || length of ARN (1) || ARN || ciphertext blob of KMS``; the ARN is named in each call, so
KMS itself refuses a blob of another key. KMS's automatic rotation is invisible from here (same ARN, old material kept);
a rotation to another key is a new ``key_arn`` with the old one among the previous ones.

What KMS cannot do is destroy at once: a key's deletion waits 7 to 30 days, during which it can be cancelled. That is
why a day is destroyed by destroying its wrapped key, not by asking KMS. Deleting the KMS key destroys everything.

====================================================  ==============================
error of KMS                                          what follows
====================================================  ==============================
InvalidCiphertext, IncorrectKey, NotFound, Disabled,  ``KeyRefused``
KMSInvalidState (pending deletion), InvalidKeyUsage
AccessDenied, when the key takes other calls of ours  ``KeyRefused``
everything else: throttling, KMSInternal, timeouts,   ``KeyServiceUnavailable``
credentials that are missing, expired or not allowed
====================================================  ==============================

botocore writes plaintexts to its DEBUG log (bodies of requests and answers). Its loggers that do are kept above DEBUG
in a process that uses this module.

Source: docs.aws.amazon.com/kms/latest/APIReference (Encrypt, Decrypt, DescribeKey: Errors).
"""

from __future__ import annotations

import base64
import logging
import threading
from collections.abc import Callable
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from audit.canonical import decode, encode
from audit.errors import KeyRefused, KeyServiceUnavailable
from audit.keys.services.patience import NotNow, try_patiently
from audit.keys.services.port import require_wrappable
from audit.keys.services.settings import AwsKmsServiceSettings

_REFUSED: Final = frozenset(
    {
        "InvalidCiphertextException",
        "IncorrectKeyException",
        "NotFoundException",
        "DisabledException",
        "KMSInvalidStateException",
        "InvalidKeyUsageException",
        "InvalidArnException",
        "ValidationException",
    }
)
_DAY_KEY_LABEL: Final = "imprimatur/audit/day-key/v1"
_DAY_KEY_FIELDS: Final = ("tenant", "class", "day", "key")
_CHECK: Final = b"check"
_CHECK_CONTEXT: Final = encode("imprimatur/audit/key-service-check/v1")
_FORMAT: Final = 1
_MAX_BLOB_BYTES: Final = 6144  # of Decrypt
_TALKATIVE: Final = (
    "botocore.endpoint",
    "botocore.parsers",
    "botocore.hooks",
    "botocore.auth",
    "botocore.retryhandler",
)


def _is_above_debug(record: logging.LogRecord) -> bool:
    return record.levelno > logging.DEBUG


for _name in _TALKATIVE:
    logging.getLogger(_name).addFilter(_is_above_debug)


class AwsKmsKeyService:
    """Asks KMS to wrap and unwrap."""

    name = "aws-kms"

    def __init__(self, settings: AwsKmsServiceSettings) -> None:
        """Connects to nothing yet. Raises ``KeyServiceUnavailable`` if the AWS profile is not found."""
        self._settings = settings
        self._arns = (settings.key_arn, *settings.previous_key_arns)
        # One attempt here, ours around it: botocore's own would not know how much of the time limit is left.
        phase_seconds = settings.timeout_seconds / settings.attempts / 2
        config = Config(
            connect_timeout=phase_seconds,
            read_timeout=phase_seconds,
            retries={"total_max_attempts": 1, "mode": "standard"},
            max_pool_connections=8,
            user_agent_extra="imprimatur-audit",
        )
        try:
            session = boto3.Session(profile_name=settings.profile, region_name=settings.region)
            self._client: Any = session.client("kms", endpoint_url=settings.endpoint_url, config=config)
        except BotoCoreError as error:
            raise KeyServiceUnavailable(f"{_where(settings.key_arn)} cannot be asked: {type(error).__name__}") from None
        self._closed = threading.Event()

    @property
    def key_id(self) -> str:
        return self._settings.key_arn

    def wrap(self, secret: bytes, context: bytes) -> bytes:
        require_wrappable(secret)
        arn = self._settings.key_arn
        return bytes([_FORMAT, len(arn)]) + arn.encode() + self._encrypt(arn, secret, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        arn, blob = self._parse(wrapped)
        return self._decrypt(arn, blob, context)

    def can_unwrap(self, key_id: str) -> bool:
        return key_id in self._arns

    def check(self) -> None:
        arn = self._settings.key_arn
        key = self._ask(arn, lambda: self._client.describe_key(KeyId=arn))["KeyMetadata"]
        if key.get("Arn") != arn:
            raise KeyRefused(f"{_where(arn)} answers as another key")
        if key.get("KeySpec", "SYMMETRIC_DEFAULT") != "SYMMETRIC_DEFAULT" or key.get("KeyUsage") != "ENCRYPT_DECRYPT":
            raise KeyRefused(f"{_where(arn)} is of a wrong type: expected SYMMETRIC_DEFAULT for ENCRYPT_DECRYPT")
        if not key.get("Enabled"):
            raise KeyRefused(f"{_where(arn)} is {key.get('KeyState', 'not enabled')}")
        if self.unwrap(self.wrap(_CHECK, _CHECK_CONTEXT), _CHECK_CONTEXT) != _CHECK:
            raise KeyRefused(f"{_where(arn)} does not give back what it wrapped")

    def close(self) -> None:
        self._closed.set()
        self._client.close()

    def __repr__(self) -> str:
        return f"AwsKmsKeyService({self._settings.key_arn!r})"

    def _parse(self, wrapped: bytes) -> tuple[str, bytes]:
        """ARN and KMS's blob. Raises ``KeyRefused``."""
        start = 2 + (wrapped[1] if len(wrapped) > 1 else 0)
        if not 2 < start < len(wrapped) <= start + _MAX_BLOB_BYTES or wrapped[0] != _FORMAT:
            raise KeyRefused("wrapped day key is not one of KMS: the file changed")
        arn = wrapped[2:start].decode("ascii", "replace")
        if arn not in self._arns:  # not shown: the file may hold anything there
            raise KeyRefused("wrapped day key is of a KMS key that the settings do not name, or the file changed")
        return arn, wrapped[start:]

    def _encrypt(self, arn: str, secret: bytes, context: bytes) -> bytes:
        wanted = {"KeyId": arn, "Plaintext": secret, "EncryptionContext": encryption_context(context)}
        return bytes(self._ask(arn, lambda: self._client.encrypt(**wanted))["CiphertextBlob"])

    def _decrypt(self, arn: str, blob: bytes, context: bytes) -> bytes:
        wanted = {"KeyId": arn, "CiphertextBlob": blob, "EncryptionContext": encryption_context(context)}
        try:
            return bytes(self._ask(arn, lambda: self._client.decrypt(**wanted))["Plaintext"])
        except _AccessDenied:
            # Said of credentials, and of a blob that names a key we may not use. If the key takes ours, it is the blob.
            if self._takes_ours(arn):
                raise KeyRefused(f"{_where(arn)} refuses: the wrapped day key is of another key or changed") from None
            raise

    def _takes_ours(self, arn: str) -> bool:
        context = encryption_context(_CHECK_CONTEXT)
        try:
            blob = self._client.encrypt(KeyId=arn, Plaintext=_CHECK, EncryptionContext=context)["CiphertextBlob"]
            answer = self._client.decrypt(KeyId=arn, CiphertextBlob=blob, EncryptionContext=context)
        except (ClientError, BotoCoreError):
            return False
        return bytes(answer["Plaintext"]) == _CHECK

    def _ask(self, arn: str, call: Callable[[], Any]) -> Any:
        def once(_seconds: float) -> Any:  # the client's own limits are set to an even share of the whole
            if self._closed.is_set():
                raise KeyServiceUnavailable(f"{_where(arn)} cannot be asked: the service is closed")
            try:
                return call()
            except ClientError as error:
                raise _judged(arn, str(error.response.get("Error", {}).get("Code", ""))) from None
            except BotoCoreError as error:  # its message may hold addresses of credential services
                raise KeyServiceUnavailable(f"{_where(arn)} cannot be reached: {type(error).__name__}") from None

        limits = self._settings
        return try_patiently(once, timeout_seconds=limits.timeout_seconds, attempts=limits.attempts)


class _AccessDenied(NotNow):
    """Of whom or what, KMS does not say."""


def _where(arn: str) -> str:
    return f"KMS key {arn}"


def _judged(arn: str, code: str) -> KeyRefused | KeyServiceUnavailable:
    code = code.rpartition("#")[2] or "no code"
    if code in _REFUSED:
        return KeyRefused(
            f"{_where(arn)} refuses: the key is gone or disabled, or the wrapped day key is of another key or changed "
            f"({code})"
        )
    kind = _AccessDenied if code == "AccessDeniedException" else KeyServiceUnavailable
    return kind(f"{_where(arn)} did not do its work now ({code})")


def encryption_context(context: bytes) -> dict[str, str]:
    """A context as KMS wants it: names and strings. Different contexts never give the same.

    That of a day key is spelled out, so that CloudTrail can be read and key policies can ask for a tenant.
    """
    try:
        label, *fields = decode(context)
    except (ValueError, UnicodeError):
        return {"context": base64.b64encode(context).decode()}
    if label == "imprimatur/audit/key-service-check/v1" and not fields:
        return {"purpose": str(label)}
    if label == _DAY_KEY_LABEL and len(fields) == len(_DAY_KEY_FIELDS):
        texts = [field for field in fields if isinstance(field, str) and field.isascii() and field]
        if len(texts) == len(fields):
            return {"purpose": _DAY_KEY_LABEL, **dict(zip(_DAY_KEY_FIELDS, texts, strict=True))}
    return {"context": base64.b64encode(context).decode()}
