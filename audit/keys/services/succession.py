"""Two key services in one, for the move from one to the other: the new one wraps, either unwraps."""

from __future__ import annotations

from audit.errors import KeyRefused
from audit.keys.services.port import KeyService


class Succession:
    """A key service that also opens what its predecessor wrapped. For a rewrap, not for good."""

    def __init__(self, service: KeyService, former: KeyService) -> None:
        self._service = service
        self._former = former

    @property
    def name(self) -> str:
        return self._service.name

    @property
    def key_id(self) -> str:
        return self._service.key_id

    def wrap(self, secret: bytes, context: bytes) -> bytes:
        return self._service.wrap(secret, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        try:
            return self._service.unwrap(wrapped, context)
        except KeyRefused:
            return self._former.unwrap(wrapped, context)

    def can_unwrap(self, key_id: str) -> bool:
        return self._service.can_unwrap(key_id) or self._former.can_unwrap(key_id)

    def check(self) -> None:
        self._service.check()
        self._former.check()

    def close(self) -> None:
        self._service.close()
        self._former.close()

    def __repr__(self) -> str:
        return f"Succession({self._service!r}, {self._former!r})"
