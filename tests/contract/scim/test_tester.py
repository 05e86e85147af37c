"""Every check of scim2-tester, against a whole gateway over HTTP, on both databases."""

from __future__ import annotations

import pytest
from scim2_tester import Status

from tests.support.scim_report import KINDS, checked, report


@pytest.mark.parametrize("kind", KINDS)
def test_every_check_passes(kind):
    results = checked(kind)
    print(report(kind, results))
    assert len(results) >= 85
    assert [r for r in results if r.status is not Status.SUCCESS] == [], report(kind, results)


def test_every_check_passes_without_the_providers_name_where_there_is_one_directory():
    results = checked("sqlite", base="/scim/v2")
    assert [r for r in results if r.status is not Status.SUCCESS] == [], report("sqlite", results)
