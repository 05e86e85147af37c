"""How a rule changes: draft, checks, a second person, in force everywhere, and back.

* `content.py`   sets of files: what may be one, differences, conflicts
* `store.py`     revisions, and the list of what was in force
* `drafts.py`    what somebody wants to be otherwise, with every version
* `checking.py`  trial, lint, tests and coverage, detectors' tests; `check_child.py` is where they run
* `approval.py`  the proposal that puts rules in force, and who may agree to it
* `impact.py`    what a replay found, frozen into a proposal
* `follower.py`  each process follows what is in force
* `staged.py`    an engine with other rules for some people; `rollouts.py` who they are, `stage_follower.py` each
  process follows that, `rollout_desk.py` what one person may do with it
* `alarm.py`     what the security team hears of although nobody of them did it
* `desk.py`      `PolicyDesk`: what people do, in one place
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway.lifecycle.desk import PolicyDesk

__all__ = ["PolicyDesk"]


def __getattr__(name: str) -> Any:
    """The desk, when it is wanted: the child of a check lies in this package too, starts for each draft, and needs none
    of what the desk needs."""
    if name == "PolicyDesk":
        from gateway.lifecycle.desk import PolicyDesk

        return PolicyDesk
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
