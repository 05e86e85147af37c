"""Key service ``transit``: the transit engine of HashiCorp Vault or OpenBao, over HTTPS.

The key must be *derived*: the engine then makes the key that wraps from it and the context (HKDF-SHA-256), so what was
wrapped for one day, tenant and class opens for no other. A key that is not derived ignores the context without a word,
and one that is exportable, or may be backed up in plain text, can leave the engine; ``check`` refuses all three.

What is wrapped reads ``vault:v3:Base64``, with the key's version in it. Calls used, and what the token's policy must
allow: ``update`` on ``MOUNT/encrypt/KEY`` and ``MOUNT/decrypt/KEY``, ``read`` on ``MOUNT/keys/KEY``.

======================================  =======================================================================
answer                                  what follows
======================================  =======================================================================
200                                     done
400, 404, 405, 422                      ``KeyRefused``: no such key or version, another context, changed bytes
403                                     ``KeyServiceUnavailable``: the token does not pass, a newer one may; tried again
                                        only if the token file has changed meanwhile
307 and other redirects                 ``KeyServiceUnavailable``: a standby; no token is carried elsewhere (CWE-601)
412, 429, 5xx (503: sealed)             ``KeyServiceUnavailable``
no answer, too slow, too long           ``KeyServiceUnavailable``
======================================  =======================================================================

Sources: openbao.org/api-docs/secret/transit, developer.hashicorp.com/vault/api-docs (status codes).
"""

from __future__ import annotations

import base64
import json
import re
import ssl
import time
from typing import Any, Final

import httpx

from audit.errors import KeyRefused, KeyServiceUnavailable
from audit.keys.files import read_private
from audit.keys.services.patience import NotNow, try_patiently
from audit.keys.services.port import MAX_WRAPPED_BYTES, require_wrappable
from audit.keys.services.settings import TransitServiceSettings

# Authenticated, and able to be derived. The RSA and HMAC types are neither.
_KEY_TYPES: Final = frozenset({"aes128-gcm96", "aes256-gcm96", "chacha20-poly1305", "xchacha20-poly1305"})
_WRAPPED: Final = re.compile(r"vault:v([1-9][0-9]{0,8}):[A-Za-z0-9+/]+={0,2}")
_REFUSED: Final = frozenset({400, 404, 405, 422})
_FORBIDDEN: Final = 403
_MAX_ANSWER_BYTES: Final = 64 * 1024
_CHECK: Final = b"imprimatur/audit/key-service-check"


class TransitKeyService:
    """Asks a transit engine to wrap and unwrap."""

    name = "transit"

    def __init__(self, settings: TransitServiceSettings) -> None:
        """Connects to nothing yet. Raises ``KeyRefused`` if the token or the CA file cannot be read."""
        self._settings = settings
        self._newest_version = 0  # 0: not asked yet
        self._read_token()  # a mistake in the settings is told at the start
        headers = {"X-Vault-Request": "true"}  # agents that demand it do so against forged requests (CWE-918)
        if settings.namespace is not None:
            headers["X-Vault-Namespace"] = settings.namespace
        self._client = httpx.Client(
            verify=_tls(settings),
            headers=headers,
            follow_redirects=False,
            trust_env=False,  # no proxy and no .netrc of whoever started us gets to see token or keys
            limits=httpx.Limits(max_connections=8, max_keepalive_connections=2, keepalive_expiry=30),
        )

    @property
    def key_id(self) -> str:
        if not self._newest_version:
            self._look_at_key()
        return f"{self._prefix}{self._newest_version}"

    def wrap(self, secret: bytes, context: bytes) -> bytes:
        require_wrappable(secret)
        wanted = {"plaintext": _base64(secret), "context": _base64(context)}
        wrapped = self._ask("encrypt", wanted).get("ciphertext")
        found = _WRAPPED.fullmatch(wrapped) if isinstance(wrapped, str) else None
        if found is None:
            raise KeyServiceUnavailable(f"{self._where} answered to encrypt without a ciphertext")
        self._newest_version = max(self._newest_version, int(found[1]))
        return found[0].encode()

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        text = wrapped.decode("ascii", "replace") if len(wrapped) <= MAX_WRAPPED_BYTES else ""
        if not _is_wrapped(text):
            raise KeyRefused("wrapped day key is not one of a transit engine: the file changed")
        secret = self._ask("decrypt", {"ciphertext": text, "context": _base64(context)}).get("plaintext")
        try:
            if secret and isinstance(secret, str):
                return base64.b64decode(secret, validate=True)
        except ValueError:
            pass
        raise KeyServiceUnavailable(f"{self._where} answered to decrypt without a plaintext")

    def can_unwrap(self, key_id: str) -> bool:
        return key_id.startswith(self._prefix) and key_id[len(self._prefix) :].isdecimal()

    def check(self) -> None:
        self._look_at_key()
        if self.unwrap(self.wrap(_CHECK, _CHECK), _CHECK) != _CHECK:
            raise KeyRefused(f"{self._where} does not give back what it wrapped")

    def close(self) -> None:
        self._client.close()

    def __repr__(self) -> str:
        return f"TransitKeyService({self._where!r})"

    @property
    def _prefix(self) -> str:
        return f"transit:{self._settings.mount}/{self._settings.key}:v"

    @property
    def _where(self) -> str:
        return f"transit key {self._settings.mount}/{self._settings.key} at {self._settings.url}"

    def _look_at_key(self) -> None:
        """Learn the newest version. Raises ``KeyRefused`` for a key that must not wrap ours."""
        key = self._ask("keys", None)
        newest = key.get("latest_version")
        if not isinstance(newest, int) or newest < 1:
            raise KeyServiceUnavailable(f"{self._where} answered without the key's version")
        if key.get("type") not in _KEY_TYPES:
            raise KeyRefused(f"{self._where} is of a wrong type: expected aes256-gcm96")
        if key.get("derived") is not True:
            raise KeyRefused(f"{self._where} is not derived, so it ignores the context: create one with derived=true")
        if key.get("exportable") is not False or key.get("allow_plaintext_backup") is not False:
            raise KeyRefused(f"{self._where} can leave the engine (exportable or plaintext backup): create another")
        self._newest_version = max(self._newest_version, newest)

    def _ask(self, action: str, body: dict[str, str] | None) -> dict[str, Any]:
        tried: list[str] = []  # tokens that did not pass

        def once(seconds: float) -> dict[str, Any]:
            token = self._read_token()
            if token in tried:
                raise NotNow(self._forbidden)
            status, data = self._send(action, body, token, seconds)
            if status == _FORBIDDEN:
                tried.append(token)
                raise KeyServiceUnavailable(self._forbidden)
            return self._judge(action, status, data)

        limits = self._settings
        return try_patiently(once, timeout_seconds=limits.timeout_seconds, attempts=limits.attempts)

    def _send(self, action: str, body: dict[str, str] | None, token: str, seconds: float) -> tuple[int, bytes]:
        """Status and body. Nothing of a body is ever shown: the engine quotes what it was sent in some errors."""
        limits, end = self._settings, time.monotonic() + seconds
        url = f"{limits.url}/v1/{limits.mount}/{action}/{limits.key}"
        method, headers = ("GET" if body is None else "POST"), {"X-Vault-Token": token}
        data = b""
        try:
            # Each phase gets a part, so that connecting and answering together stay within the attempt.
            timeout = httpx.Timeout(seconds / 2)
            with self._client.stream(method, url, json=body, headers=headers, timeout=timeout) as answer:
                for chunk in answer.iter_bytes():
                    data += chunk
                    if len(data) > _MAX_ANSWER_BYTES:
                        raise KeyServiceUnavailable(f"{self._where} answered at too great a length")
                    if time.monotonic() > end:  # a drop at a time would outlast every limit of a phase
                        raise KeyServiceUnavailable(f"{self._where} did not answer in time")
                return answer.status_code, data
        except httpx.TimeoutException:
            raise KeyServiceUnavailable(f"{self._where} did not answer in time") from None
        except (httpx.HTTPError, httpx.StreamError, RuntimeError) as error:  # RuntimeError: closed meanwhile
            raise KeyServiceUnavailable(f"{self._where} cannot be reached: {_cause(error)}") from None

    def _judge(self, action: str, status: int, data: bytes) -> dict[str, Any]:
        if status in _REFUSED and _is_of_an_engine(data):
            raise KeyRefused(
                f"{self._where} refuses to {action}: the key or its version is gone, or the wrapped day key is of "
                f"another key or changed (status {status})"
            )
        if status != httpx.codes.OK:
            cause = {503: "sealed", 429: "too busy, or a standby", 307: "a standby: name the active server"}
            raise KeyServiceUnavailable(f"{self._where} is {cause.get(status, 'not in order')} (status {status})")
        try:
            found = json.loads(data)["data"]
        except (ValueError, KeyError, TypeError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise KeyServiceUnavailable(f"{self._where} answered with something else than a transit engine does")
        return found

    @property
    def _forbidden(self) -> str:
        return f"{self._where} does not let the token of {self._settings.token_path} pass: renew it, or its policy"

    def _read_token(self) -> str:
        token = read_private(self._settings.token_path, "token").decode("ascii", "replace").strip()
        if not re.fullmatch(r"[!-~]{1,8192}", token):  # else it could end the header and begin another (CWE-113)
            raise KeyRefused(f"token {self._settings.token_path} is empty, or holds more than one token")
        return token


def _is_wrapped(text: str) -> bool:
    """In its one spelling: the engine passes over the spare bits at the end of Base64, so that two texts would open."""
    if _WRAPPED.fullmatch(text) is None:
        return False
    data = text.rpartition(":")[2]
    try:
        return base64.b64encode(base64.b64decode(data, validate=True)).decode() == data
    except ValueError:
        return False


def _is_of_an_engine(data: bytes) -> bool:
    """A proxy on the way says 404 too, and must not be believed about keys."""
    try:
        return isinstance(json.loads(data)["errors"], list)
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def _tls(settings: TransitServiceSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=None if settings.ca_path is None else str(settings.ca_path))
    except (OSError, ssl.SSLError):
        raise KeyRefused(f"certificate authority {settings.ca_path} cannot be read as PEM") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _cause(error: Exception) -> str:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({seen.verify_message})"
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror
        seen = seen.__cause__ or seen.__context__
    return type(error).__name__
