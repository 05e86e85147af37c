"""Key service ``pkcs11``: an AES-256 key in a hardware security module (extra ``audit-hsm``).

The token encrypts with AES-GCM; the context is its associated data. The other way that was considered, AES key wrap
(RFC 3394) and an HMAC of the context, was left out: it needs two keys and two operations whose results we would have to
bind to each other, and it can hand a secret back only as an object of the token that may be read out, which a token in
FIPS mode forbids. A token without ``CKM_AES_GCM`` is refused by name.

What is wrapped reads ``0x01 || length of label (1) || label || nonce (12) || ciphertext || tag (16)``. The associated
data holds label and context, so neither can be changed. Nonces are random (NIST SP
800-38D, 8.2.2: good for 2^32 wraps).

Tokens answer a changed ciphertext with all sorts of errors, ``CKR_GENERAL_ERROR`` among them, which a broken token uses
too. So after an error the token wraps and unwraps something of our own: if it can, the bytes are at fault
(``KeyRefused``), else the token is (``KeyServiceUnavailable``). A wrong PIN is tried once: tokens lock after a few.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable
from typing import Any, Final, TypeVar

import pkcs11
from pkcs11 import Attribute, GCMParams, KeyType, Mechanism, ObjectClass

from audit.canonical import encode
from audit.errors import KeyRefused, KeyServiceUnavailable
from audit.keys.files import read_private
from audit.keys.services.pkcs11_module import Pkcs11Module
from audit.keys.services.port import MAX_WRAPPED_BYTES, require_wrappable
from audit.keys.services.settings import Pkcs11ServiceSettings

T = TypeVar("T")

_FORMAT: Final = 1
_NONCE_BYTES, _TAG_BYTES, _KEY_BYTES = 12, 16, 32
_LABEL: Final = "imprimatur/audit/pkcs11-wrap/v1"
_CHECK: Final = b"imprimatur/audit/key-service-check"
_PIN_REFUSED: Final = (
    pkcs11.PinIncorrect,
    pkcs11.PinInvalid,
    pkcs11.PinLenRange,
    pkcs11.PinLocked,
    pkcs11.PinExpired,
    pkcs11.UserPinNotInitialized,
)

_log = logging.getLogger("audit.keys")


class Pkcs11KeyService:
    """Asks a token to wrap and unwrap. One session, used by one thread."""

    name = "pkcs11"

    def __init__(self, settings: Pkcs11ServiceSettings) -> None:
        """Opens no session yet. Raises ``KeyRefused`` if the PIN file cannot be read."""
        self._settings = settings
        self._labels = (settings.key_label, *settings.previous_key_labels)
        self._read_pin()  # a mistake in the settings is told at the start
        self._module = Pkcs11Module.of(str(settings.module_path))
        self._session: Any = None  # this and what follows: touched in the module's thread only
        self._generation = -1
        self._refused_pin = b""
        self._is_closed = False

    @property
    def key_id(self) -> str:
        return self._id_of(self._settings.key_label)

    def wrap(self, secret: bytes, context: bytes) -> bytes:
        require_wrappable(secret)
        label = self._settings.key_label
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._with_key(label, lambda key: _encrypt(key, secret, nonce, _bind(label, context)))
        return bytes([_FORMAT, len(label)]) + label.encode() + nonce + sealed

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        label, nonce, sealed = self._parse(wrapped)
        return self._with_key(label, lambda key: _decrypt(key, sealed, nonce, _bind(label, context)))

    def can_unwrap(self, key_id: str) -> bool:
        return key_id in map(self._id_of, self._labels)

    def check(self) -> None:
        for label in self._labels:
            self._with_key(label, lambda key: None)
        if self.unwrap(self.wrap(_CHECK, _CHECK), _CHECK) != _CHECK:
            raise KeyRefused(f"{self._where} does not give back what it wrapped")

    def close(self) -> None:
        def close() -> None:
            self._is_closed = True
            self._drop()

        self._module.call(close, self._settings.timeout_seconds, self._where)

    def __repr__(self) -> str:
        return f"Pkcs11KeyService({self._where!r})"

    @property
    def _where(self) -> str:
        return f"token {self._settings.token_label}"

    def _id_of(self, label: str) -> str:
        return f"pkcs11:{self._settings.token_label}/{label}"

    def _parse(self, wrapped: bytes) -> tuple[str, bytes, bytes]:
        """Label, nonce, ciphertext with tag. Raises ``KeyRefused``."""
        start = 2 + (wrapped[1] if len(wrapped) > 1 else 0)
        if not start + _NONCE_BYTES + _TAG_BYTES < len(wrapped) <= MAX_WRAPPED_BYTES or wrapped[0] != _FORMAT:
            raise KeyRefused("wrapped day key is not one of a PKCS#11 token: the file changed")
        label = wrapped[2:start].decode("utf-8", "replace")
        if label not in self._labels:  # not shown: the file may hold anything there
            raise KeyRefused("wrapped day key is of a key that the settings do not name, or the file changed")
        return label, wrapped[start : start + _NONCE_BYTES], wrapped[start + _NONCE_BYTES :]

    def _with_key(self, label: str, use: Callable[[Any], T]) -> T:
        return self._module.call(lambda: self._try(label, use), self._settings.timeout_seconds, self._where)

    # From here on: in the module's thread.

    def _try(self, label: str, use: Callable[[Any], T]) -> T:
        """Use a key; on an error connect anew, once: tokens are pulled out and restarted."""
        for is_last in (False, True):
            try:
                return use(self._key(label))
            except pkcs11.NoSuchKey:
                if is_last:  # before that: what a token that was pulled out says as well
                    raise KeyRefused(f"{self._where} holds no AES key {label}: it was destroyed, or renamed") from None
            except pkcs11.MechanismInvalid:
                raise KeyRefused(f"{self._where} cannot do AES-GCM (CKM_AES_GCM), which wrapping needs") from None
            except pkcs11.PKCS11Error as error:
                if self._works(label):
                    raise KeyRefused(
                        f"wrapped day key does not open under key {label} of {self._where}: it is of another key, or "
                        "the file changed"
                    ) from None
                if is_last:
                    raise KeyServiceUnavailable(f"{self._where} does not work now: {type(error).__name__}") from None
            self._reconnect()
        raise AssertionError("unreachable")  # the second round returns or raises

    def _works(self, label: str) -> bool:
        """Can the key open what it just wrapped?"""
        try:
            key, nonce = self._key(label), os.urandom(_NONCE_BYTES)
            # A key that may only decrypt shows nothing this way; the current one stands in for it.
            if not key[Attribute.ENCRYPT]:
                key = self._key(self._settings.key_label)
            return _decrypt(key, _encrypt(key, _CHECK, nonce, b""), nonce, b"") == _CHECK
        except (pkcs11.PKCS11Error, KeyRefused, KeyServiceUnavailable):
            return False

    def _key(self, label: str) -> Any:
        """Looked up each time, a few times a day: a key that was destroyed or disabled is found out at once."""
        wanted = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: KeyType.AES, Attribute.LABEL: label}
        # To the end, and not by get_key: it leaves the search open if there are two.
        found = list(self._open_session().get_objects(wanted))
        where = f"key {label} of {self._where}"
        if not found:
            raise pkcs11.NoSuchKey
        if len(found) > 1:
            raise KeyRefused(f"{self._where} holds more than one AES key {label}: labels must be unique")
        (key,) = found
        if key[Attribute.EXTRACTABLE] or not key[Attribute.SENSITIVE]:
            raise KeyRefused(f"{where} can leave the token: make one that is sensitive and not extractable")
        if key[Attribute.VALUE_LEN] != _KEY_BYTES:
            raise KeyRefused(f"{where} has the wrong length: expected {_KEY_BYTES} bytes")
        is_current = label == self._settings.key_label
        if not key[Attribute.DECRYPT] or (is_current and not key[Attribute.ENCRYPT]):
            raise KeyRefused(f"{where} is disabled (CKA_ENCRYPT, CKA_DECRYPT)")
        return key

    def _open_session(self) -> Any:
        if self._is_closed:
            raise KeyServiceUnavailable(f"{self._where} cannot be asked: the service is closed")
        if self._session is not None and self._generation == self._module.generation:
            return self._session
        pin = self._read_pin()
        digest = hashlib.sha256(pin.encode()).digest()
        if digest == self._refused_pin:
            raise KeyRefused(self._bad_pin)
        try:
            token = self._module.library().get_token(token_label=self._settings.token_label)
            try:
                self._session = token.open(user_pin=pin)
            except pkcs11.UserAlreadyLoggedIn:  # logins are of the process, not of the session
                self._session = token.open()
        except _PIN_REFUSED:
            self._refused_pin = digest
            raise KeyRefused(self._bad_pin) from None
        except (pkcs11.NoSuchToken, pkcs11.MultipleTokensReturned) as error:
            found = "more than one" if isinstance(error, pkcs11.MultipleTokensReturned) else "no"
            raise KeyServiceUnavailable(f"{self._settings.module_path} sees {found} {self._where}") from None
        self._generation = self._module.generation
        return self._session

    def _reconnect(self) -> None:
        self._drop()
        try:
            self._module.library().get_token(token_label=self._settings.token_label)
        except pkcs11.PKCS11Error:
            _log.warning("audit.keys.pkcs11-reinitialize", extra={"token": self._settings.token_label})
            try:
                self._module.reinitialize()
            except pkcs11.PKCS11Error as error:
                raise KeyServiceUnavailable(f"{self._where} does not come back: {type(error).__name__}") from None

    def _drop(self) -> None:
        session, self._session = self._session, None
        if session is not None and self._generation == self._module.generation:
            try:
                session.close()
            except pkcs11.PKCS11Error:
                _log.info("audit.keys.pkcs11-session-lost", extra={"token": self._settings.token_label})

    @property
    def _bad_pin(self) -> str:
        return (
            f"{self._where} does not take the PIN of {self._settings.pin_path}; it is not tried again, so that the "
            "token does not lock: write the right PIN to the file"
        )

    def _read_pin(self) -> str:
        pin = read_private(self._settings.pin_path, "PIN").decode("utf-8", "replace").strip("\r\n")
        if not pin:
            raise KeyRefused(f"PIN {self._settings.pin_path} is empty")
        return pin


def _bind(label: str, context: bytes) -> bytes:
    return encode(_LABEL, label, context)


def _encrypt(key: Any, secret: bytes, nonce: bytes, bound: bytes) -> bytes:
    parameters = GCMParams(nonce, bound, 8 * _TAG_BYTES)
    return bytes(key.encrypt(secret, mechanism=Mechanism.AES_GCM, mechanism_param=parameters))


def _decrypt(key: Any, sealed: bytes, nonce: bytes, bound: bytes) -> bytes:
    parameters = GCMParams(nonce, bound, 8 * _TAG_BYTES)
    return bytes(key.decrypt(sealed, mechanism=Mechanism.AES_GCM, mechanism_param=parameters))
