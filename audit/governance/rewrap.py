"""After a rotation of the key service: the governance key and the holds' keys are wrapped anew, like the day keys."""

from __future__ import annotations

from pathlib import Path

from audit.governance.hold_keys import HoldKeys
from audit.governance.keys import GovernanceKeys
from audit.governance.wrapped import KeyWrapper
from audit.store.disk import Disk


def rewrap_governance(folder: Path, wrapper: KeyWrapper, disk: Disk, *, everything: bool = False) -> int:
    """Wrap what is not under the service's present key yet; returns how many files. ``folder`` is the key folder.

    ``everything`` as in ``audit.keys.rewrap``. File by file, each whole or not at all: safe to repeat,
    and to kill in the middle. The keys themselves stay. Must be done before an old key of the service is taken away:
    approvals and held records hang on these. Raises ``KeyRefused`` naming the first file that does not open.
    """
    governance = GovernanceKeys(folder, wrapper, disk).rewrap(everything=everything)
    return int(governance) + HoldKeys(folder, wrapper, disk).rewrap(everything=everything)
