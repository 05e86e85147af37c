"""Where a model of the settings file lies on this disk. Nothing is ever fetched."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

from model_server.errors import ModelRefused
from model_server.loading.catalogue import ModelEntry
from model_server.loading.folder import ModelFolder, inspect


def find(entry: ModelEntry) -> ModelFolder:
    """The entry's folder, found fit to be loaded. Raises ModelRefused."""
    if entry.folder is not None:
        return inspect(entry.folder, entry.digest)
    snapshot = hub_snapshot(entry)
    # The cache keeps files by their hash, two folders up, and links to them from the snapshot.
    return inspect(snapshot, entry.digest, root=snapshot.parent.parent)


def hub_snapshot(entry: ModelEntry) -> Path:
    """The folder of a hub model in the cache of this disk. Raises ModelRefused when it isn't there."""
    try:
        return Path(snapshot_download(entry.hub or "", revision=entry.revision, local_files_only=True))
    except (LocalEntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise ModelRefused(
            f"{entry.hub} is not in the cache of this disk; fetch it where that is allowed: hf download {entry.hub}"
        ) from error
