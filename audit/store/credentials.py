"""What a log is opened with besides its store: the key that wraps, the key that signs, the witness that remembers."""

from __future__ import annotations

from audit.checkpoint import Checkpoint
from audit.errors import KeyRefused, StoreDamaged, StoreRolledBack
from audit.keys.services.opening import open_key_service
from audit.keys.services.port import KeyService
from audit.keys.signing import create_signer, load_signer
from audit.note import NoteRefused, NoteSigner, VerifierKey
from audit.settings import AuditSettings
from audit.store.disk import Disk
from audit.witness import newest_witnessed


def open_keys(settings: AuditSettings, disk: Disk, *, is_new: bool) -> KeyService:
    """What wraps the day keys, tried once. A key file is made for a new store only: a store that exists and lacks its
    key has lost it, and a new one would hide that. Raises ``KeyRefused`` or ``KeyServiceUnavailable``."""
    service = open_key_service(settings.key_service_settings(), disk, create=settings.create_keys and is_new)
    service.check()
    return service


def open_signer(settings: AuditSettings, disk: Disk, *, is_new: bool) -> NoteSigner:
    """Raises ``KeyRefused``."""
    path = settings.signing_key_path
    if path is None:
        raise KeyRefused("a log needs signing_key_path: its checkpoints are signed")
    if settings.create_keys and is_new and not path.exists():
        return create_signer(path, settings.origin, disk)
    return load_signer(path, settings.origin)


def witnessed(settings: AuditSettings, key: VerifierKey) -> Checkpoint | None:
    """The newest checkpoint that the witness holds. Raises ``StoreDamaged`` if it cannot be read."""
    if settings.witness_path is None:
        return None
    try:
        return newest_witnessed(settings.witness_path, key)
    except (NoteRefused, OSError) as error:
        raise StoreDamaged(f"witness {settings.witness_path} cannot be read or is of another log") from error


def check_new(settings: AuditSettings, key: VerifierKey) -> None:
    """Before a store is made: if the witness knows the log already, somebody removed the whole store, and a new one
    under the same name would deny that the old one existed. Raises ``StoreRolledBack``."""
    if witnessed(settings, key) is not None:
        raise StoreRolledBack(f"{settings.witness_path} knows checkpoints of {settings.origin}, but the store is empty")


def rolled_back(held: Checkpoint, size: int) -> StoreRolledBack:
    """What to say when the store does not fit what a witness holds."""
    return StoreRolledBack(
        f"the witness holds a checkpoint of size {held.size} that the store (size {size}) does not fit: "
        "it was rolled back or changed; do not go on under this origin"
    )
