"""Key service ``aws-kms``: AWS Key Management Service, through boto3 (extra ``audit-kms``).

The context goes with each call as KMS's *encryption context*: KMS authenticates it, CloudTrail shows it, and key
policies can ask for it (``kms:EncryptionContext:tenant``). It names tenant, class and day; no person, no content.

What is wrapped is KMS's own ciphertext blob. KMS's automatic rotation is invisible from here (same ARN, old material
kept); a rotation to another key is a new ``key_arn`` with the old one among the previous ones.

What KMS cannot do is destroy at once: a key's deletion waits 7 to 30 days, during which it can be cancelled. That is
why a day is destroyed by destroying its wrapped key, not by asking KMS. Deleting the KMS key destroys everything.

====================================================  ==============================
error of KMS                                          what follows
====================================================  ==============================
InvalidCiphertext, IncorrectKey, NotFound, Disabled,  ``KeyRefused``
KMSInvalidState (pending deletion), InvalidKeyUsage
everything else: throttling, KMSInternal, timeouts,   ``KeyServiceUnavailable``
credentials that are missing, expired or not allowed
====================================================  ==============================

Source: docs.aws.amazon.com/kms/latest/APIReference (Encrypt, Decrypt, DescribeKey: Errors).
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from audit.canonical import decode
from audit.errors import KeyRefused, KeyServiceUnavailable
from audit.keys.services.patience import try_patiently
from audit.keys.services.port import MAX_WRAPPED_BYTES, require_wrappable
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
_CHECK: Final = b"imprimatur/audit/key-service-check"


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
            raise KeyServiceUnavailable(f"{self._where(0)} cannot be asked: {type(error).__name__}") from None
        self._closed = threading.Event()

    @property
    def key_id(self) -> str:
        return self._settings.key_arn

    def wrap(self, secret: bytes, context: bytes) -> bytes:
        require_wrappable(secret)
        answer = self._ask(
            0,
            lambda: self._client.encrypt(
                KeyId=self._settings.key_arn, Plaintext=secret, EncryptionContext=encryption_context(context)
            ),
        )
        return bytes(answer["CiphertextBlob"])

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        if not 0 < len(wrapped) <= min(MAX_WRAPPED_BYTES, 6144):  # Decrypt's own limit
            raise KeyRefused("wrapped day key has a wrong length: the file changed")
        refusal: KeyRefused | None = None
        for which in range(len(self._arns)):
            try:
                return self._unwrap_under(which, wrapped, context)
            except KeyRefused as error:  # the key is named in each call, so that no other of the account can answer
                refusal = refusal or error
        assert refusal is not None  # noqa: S101 - there is at least one ARN
        raise refusal

    def can_unwrap(self, key_id: str) -> bool:
        return key_id in self._arns

    def check(self) -> None:
        key = self._ask(0, lambda: self._client.describe_key(KeyId=self._settings.key_arn))["KeyMetadata"]
        if key.get("Arn") != self._settings.key_arn:
            raise KeyRefused(f"{self._where(0)} answers as another key")
        if key.get("KeySpec", "SYMMETRIC_DEFAULT") != "SYMMETRIC_DEFAULT" or key.get("KeyUsage") != "ENCRYPT_DECRYPT":
            raise KeyRefused(f"{self._where(0)} is of a wrong type: expected SYMMETRIC_DEFAULT for ENCRYPT_DECRYPT")
        if not key.get("Enabled"):
            raise KeyRefused(f"{self._where(0)} is {key.get('KeyState', 'not enabled')}")
        if self.unwrap(self.wrap(_CHECK, _CHECK), _CHECK) != _CHECK:
            raise KeyRefused(f"{self._where(0)} does not give back what it wrapped")

    def close(self) -> None:
        self._closed.set()
        self._client.close()

    def __repr__(self) -> str:
        return f"AwsKmsKeyService({self._settings.key_arn!r})"

    def _unwrap_under(self, which: int, wrapped: bytes, context: bytes) -> bytes:
        answer = self._ask(
            which,
            lambda: self._client.decrypt(
                KeyId=self._arns[which], CiphertextBlob=wrapped, EncryptionContext=encryption_context(context)
            ),
        )
        return bytes(answer["Plaintext"])

    def _where(self, which: int) -> str:
        return f"KMS key {self._arns[which]}"

    def _ask(self, which: int, call: Callable[[], Any]) -> Any:
        def once(_seconds: float) -> Any:  # the client's own limits are set to an even share of the whole
            if self._closed.is_set():
                raise KeyServiceUnavailable(f"{self._where(which)} cannot be asked: the service is closed")
            try:
                return call()
            except ClientError as error:
                raise self._judged(which, str(error.response.get("Error", {}).get("Code", ""))) from None
            except BotoCoreError as error:  # its message may hold addresses of credential services
                raise KeyServiceUnavailable(f"{self._where(which)} cannot be reached: {type(error).__name__}") from None

        limits = self._settings
        return try_patiently(once, timeout_seconds=limits.timeout_seconds, attempts=limits.attempts)

    def _judged(self, which: int, code: str) -> KeyRefused | KeyServiceUnavailable:
        code = code.rpartition("#")[2] or "no code"
        if code in _REFUSED:
            return KeyRefused(
                f"{self._where(which)} refuses: the key is gone or disabled, or the wrapped day key is of another key "
                f"or changed ({code})"
            )
        return KeyServiceUnavailable(f"{self._where(which)} did not do its work now ({code})")


def encryption_context(context: bytes) -> dict[str, str]:
    """A context as KMS wants it: names and strings. Different contexts never give the same.

    That of a day key is spelled out, so that CloudTrail can be read and key policies can ask for a tenant.
    """
    try:
        label, *fields = decode(context)
    except (ValueError, UnicodeError):
        label, fields = "", []
    if label == _DAY_KEY_LABEL and len(fields) == len(_DAY_KEY_FIELDS):
        texts = [field for field in fields if isinstance(field, str) and field.isascii() and field]
        if len(texts) == len(fields):
            return {"purpose": _DAY_KEY_LABEL, **dict(zip(_DAY_KEY_FIELDS, texts, strict=True))}
    return {"context": base64.b64encode(context).decode()}
