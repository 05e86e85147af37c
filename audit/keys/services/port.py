"""What a key service promises to the day keys: to wrap and unwrap some dozens of bytes, bound to a context.

Only ``file`` ever holds the key-encryption key in this process; the others send what is to be wrapped to the key.
"""

from __future__ import annotations

from typing import Final, Protocol

# The two halves of a day key are 64 bytes; nothing longer has a reason to be wrapped, and every service takes this.
MAX_SECRET_BYTES: Final = 1024
MAX_WRAPPED_BYTES: Final = 8192


class KeyService(Protocol):
    """Wraps day keys. Safe to call from several threads.

    Calls return or raise within the service's ``timeout_seconds``, attempts included:

    - ``KeyRefused``: the wrapped bytes, their context or the key are not what they were (changed, swapped, cut short,
      key destroyed or disabled). Trying again does not help.
    - ``KeyServiceUnavailable``: the service did not do its work (unreachable, slow, throttling, sealed, credentials
      that do not pass). Nothing is known about the key; trying again may help.

    No error, ``repr`` or log line of a service carries a secret, wrapped bytes, a token or a PIN.
    """

    @property
    def name(self) -> str:
        """Kind of the service, as the settings name it."""
        ...

    @property
    def key_id(self) -> str:
        """The key, and its version where there is one, that wraps now. May ask the service, and raise as it does.

        Stored with what is wrapped. Read it *before* wrapping: a rotation in between then leaves a name that is older
        than the key, which the next rewrap corrects; the other order could leave one that it would pass over.
        """
        ...

    def wrap(self, secret: bytes, context: bytes) -> bytes:
        """Encrypt and authenticate a secret, bound to its context. Raises ``ValueError`` beyond 1,024 bytes or for an
        empty one."""
        ...

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Inverse of ``wrap``, by whichever configured key wrapped it."""
        ...

    def can_unwrap(self, key_id: str) -> bool:
        """Is this one of the keys that the service is configured with? Asks nobody: the key itself may be gone."""
        ...

    def check(self) -> None:
        """Wrap and unwrap something, and look at the key: it must not be of a kind that can leave the service."""
        ...

    def close(self) -> None:
        """Give connections back. The service is of no use after; safe to repeat."""
        ...


def require_wrappable(secret: bytes) -> None:
    """Raises ``ValueError`` for what no service is asked to wrap."""
    if not 0 < len(secret) <= MAX_SECRET_BYTES:
        raise ValueError(f"a secret to wrap has 1 to {MAX_SECRET_BYTES} bytes, got {len(secret)}")
