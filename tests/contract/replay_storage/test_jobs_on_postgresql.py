"""Jobs of replays on the other database: the same tests as in `tests/unit/replay`."""

from __future__ import annotations

import pytest

from tests.unit.replay.conftest import shipped  # noqa: F401  # a fixture of theirs
from tests.unit.replay.test_desk import (  # noqa: F401  # collected here once more, with their fixtures
    elsewhere,
    house,
    test_a_job_that_nobody_speaks_of_is_lost,
    test_a_queue_that_is_long_enough_takes_no_more_from_anybody,
    test_a_report_goes_when_something_is_erased_that_it_may_speak_of,
    test_a_report_goes_with_the_oldest_day_that_it_speaks_of,
    test_a_report_lies_sealed_and_opens_as_no_other,
    test_another_gateway_cancels_it,
    test_another_gateway_tells_how_far_it_is_and_what_came_out,
    test_lost_jobs_keep_nobody_waiting,
    test_old_jobs_are_forgotten_and_running_ones_are_not,
)

pytestmark = pytest.mark.xdist_group("identity-storage")
