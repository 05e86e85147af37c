"""How a rule changes: draft, checks, a second person, in force everywhere, and back.

* `content.py`   sets of files: what may be one, differences, conflicts
* `store.py`     revisions, and the list of what was in force
* `drafts.py`    what somebody wants to be otherwise, with every version
* `checking.py`  trial, lint, tests and coverage, detectors' tests; `check_child.py` is where they run
* `approval.py`  the proposal that puts rules in force, and who may agree to it
* `follower.py`  each process follows what is in force
* `desk.py`      `PolicyDesk`: what people do, in one place
"""

from gateway.lifecycle.desk import PolicyDesk

__all__ = ["PolicyDesk"]
