"""The closed words obey their naming rules."""

from __future__ import annotations

import re

import pytest

from gateway.vocabulary import Code, Effect, Event, Permission, Role, is_reason_code


@pytest.mark.parametrize("permission", Permission)
def test_a_permission_is_subject_and_verb(permission):
    assert re.fullmatch(r"[a-z]+:[a-z]+", permission)
    assert permission.name == permission.upper().replace(":", "_")


@pytest.mark.parametrize("event", Event)
def test_an_event_is_image_work_or_source_subject_action(event):
    assert event.value in list(Permission) or re.fullmatch(r"[a-z]+:[a-z]+:[a-z-]+", event)


@pytest.mark.parametrize("code", Code)
def test_our_own_codes_are_reason_codes(code):
    assert is_reason_code(code)


@pytest.mark.parametrize(
    "text", ["", "dlp", "dlp.", "dlp.Card", "dlp.a--b", "other.thing", "dlp.x\n", "dlp." + "a" * 99]
)
def test_anything_else_is_none(text):
    assert not is_reason_code(text)


def test_effects_and_roles_are_words():
    assert list(Effect) == ["allow", "mask", "review", "deny"]
    assert all(re.fullmatch(r"[a-z-]+", role) for role in Role)
