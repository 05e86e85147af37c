"""What the author of the tour writes: the same control three times, wrong, untested, and right.

The wish: more than one picture in a request is for the Design department; everybody else gets one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

RULES: Final = "gateway/image/authz/authz.rego"
TESTS: Final = "gateway/image/authz/authz_test.rego"
LIMITS: Final = "gateway/config/limits/data.yaml"
READS: Final = (RULES, TESTS, LIMITS)

_BEFORE: Final = "# METADATA\n# title: The number of pictures is within the limit\n"
_METADATA: Final = """\
# METADATA
# title: {title}
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SC-6
"""
_REASON: Final = """\
deny contains data.gateway.lib.reason(
	"count.not-permitted",
	"Your department makes one picture at a time. Ask for one, then for the next.",
	"low", "gateway.image.authz.several_permitted", "NIST SP 800-53 SC-6",
) if {
"""

FIRST_TRY: Final = f"""\
{_METADATA.format(title="Refuse several pictures outside the departments that may have them")}\
{_REASON}\
	model_known
	input.resource.n > 1
	input.subject.department != "Design"
}}

"""
"""Reads well, and lets everybody through of whom the department or the number is not known."""

POSITIVE: Final = f"""\
{_METADATA.format(title="One picture, or a department that may have several")}\
several_permitted if input.resource.n <= 1

several_permitted if input.subject.department in limits.several_for_departments

{_METADATA.format(title="Refuse several pictures outside the departments that may have them")}\
{_REASON}\
	model_known
	not several_permitted
}}

"""
"""The positive fact, and a denial on its absence: what is unknown is refused."""

SETTING: Final = """
# Departments whose people may ask for more than one picture in a request.
several_for_departments: ["Design"]
"""

NEW_TEST: Final = """
test_several_pictures_are_for_some_departments if {
	decide({"subject": {"department": "Design"}, "resource": {"n": 2}}).effect == "allow"
	decide({"subject": {"department": "Sales"}, "resource": {"n": 1}}).effect == "allow"
	is_denied_for({"subject": {"department": "Sales"}, "resource": {"n": 2}}, {"count.not-permitted"})
	is_denied_for({"subject": {"department": ""}, "resource": {"n": 2}}, {"count.not-permitted"})
}
"""

Read = Callable[[str], str]


def first_try(read: Read) -> Mapping[str, str]:
    """A denial that needs facts. `read` gives a file of the rules in force."""
    return {RULES: _instead(read(RULES), _BEFORE, FIRST_TRY + _BEFORE)}


def untested(read: Read) -> Mapping[str, str]:
    """The control as it should be, and the tests as they were: one of them says that four pictures are all right."""
    return {RULES: _instead(read(RULES), _BEFORE, POSITIVE + _BEFORE), LIMITS: read(LIMITS) + SETTING}


def finished(read: Read) -> Mapping[str, str]:
    """With tests that say what holds now."""
    tests = _instead(read(TESTS), '\t"limits": {\n', '\t"limits": {\n\t\t"several_for_departments": ["Design"],\n')
    tests = _instead(tests, '\t\t"groups": ["design"],\n', '\t\t"groups": ["design"],\n\t\t"department": "Design",\n')
    return {**untested(read), TESTS: tests + NEW_TEST}


def _instead(text: str, old: str, new: str) -> str:
    """Raises ValueError when `old` is not there exactly once: the shipped rules were changed, and the tour was not."""
    if text.count(old) != 1:
        raise ValueError(f"expected once in the rules, found {text.count(old)} times: {old.strip()!r}")
    return text.replace(old, new)
