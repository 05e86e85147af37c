"""`python -m tests.support.scim_report`: every check of scim2-tester against a whole gateway, and what each said.

SQLite and PostgreSQL, one after the other; exit 0 only if every check passed.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

from httpx2 import Client
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import CheckResult, Status, check_server

from tests.support.scim import TOKEN, database, free_port, gateway_settings, serving

KINDS = ("sqlite", "postgresql")


def checked(kind: str, *, base: str = "/scim/v2/company") -> list[CheckResult]:
    """The results of all checks against a fresh gateway."""
    with tempfile.TemporaryDirectory() as folder, database(kind, Path(folder)) as url:
        port = free_port()
        settings = gateway_settings(Path(folder), url, public_url=f"http://127.0.0.1:{port}")
        with serving(settings, port) as address:
            http = Client(
                base_url=address + base, headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False, timeout=30
            )
            with http:
                return list(check_server(SyncSCIMClient(http)))


def report(kind: str, results: list[CheckResult]) -> str:
    """One line a check, and how many there were."""
    lines = [f"{result.status.name:<8} {result.resource_type or '-':<6} {result.title}" for result in results]
    lines += [f"   {result.title}: {result.reason}" for result in results if result.status not in (Status.SUCCESS,)]
    counts = Counter(result.status.name for result in results)
    return "\n".join([*lines, f"{kind}: {len(results)} checks, {dict(counts)}"])


if __name__ == "__main__":
    good = True
    for kind in sys.argv[1:] or KINDS:
        results = checked(kind)
        print(report(kind, results))
        good = good and bool(results) and all(result.status is Status.SUCCESS for result in results)
    sys.exit(0 if good else 1)
