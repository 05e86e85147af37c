"""A form comes back filled, and nothing else of the page changes."""

from __future__ import annotations

import pytest

from gateway.identity.drafts import Draft
from gateway.web.drafts import filled

PAGE = """<!doctype html><title>A &amp; B</title><script>if (a < b) {}</script>
<form method="post" action="/other"><input name="why" value=""></form>
<details class="x"><summary>s</summary><form class="stack" method="post" action="/cases">
<input type="hidden" name="csrf_token" value="fresh"><input type="hidden" name="event_id" value="e-1">
<input class="input" id="who" name="who" value="" maxlength="9">
<input type="password" name="pin"><input name="day" type="date">
<textarea name="why" rows="3" placeholder="&quot;x&quot;">old &lt;b&gt;</textarea>
<select name="hours"><option value="8" selected>8 h</option><option value="24">24 h</option></select>
<label><input type="radio" name="kind" value="legal" checked>l</label>
<label><input type="radio" name="kind" value="abuse">a</label>
<input type="checkbox" name="loud" value="yes" checked><button name="act" value="go">Go</button></form></details>\u2028
<form method="get" action="/cases"><input name="who" value="stays"></form>"""


def fill(**fields: str) -> str:
    return filled(PAGE, Draft("/cases", fields), note="")


def test_page_without_a_field_of_the_draft_stays_byte_for_byte_but_for_what_is_unticked_and_unfolded() -> None:
    assert fill(hours="8", kind="legal", loud="yes") == PAGE.replace(
        '<details class="x">', '<details class="x" open="">'
    )


def test_every_kind_of_field_is_set() -> None:
    html = fill(who='a"<b', why="new\n<i>&", hours="24", kind="abuse", day="2026-11-20", loud="no")
    assert '<input class="input" id="who" name="who" value="a&quot;&lt;b" maxlength="9">' in html
    assert '<textarea name="why" rows="3" placeholder="&quot;x&quot;">new\n&lt;i&gt;&amp;</textarea>' in html
    assert '<option value="8">8 h</option><option value="24" selected="">24 h</option>' in html
    assert '<input type="radio" name="kind" value="legal">' in html
    assert '<input type="radio" name="kind" value="abuse" checked="">' in html
    assert '<input type="checkbox" name="loud" value="yes">' in html
    assert '<input name="day" type="date" value="2026-11-20">' in html


@pytest.mark.parametrize("name", ["csrf_token", "event_id", "pin", "act"])
def test_what_the_page_set_or_nobody_may_see_is_never_filled(name: str) -> None:
    assert "planted" not in fill(**{name: "planted"})


def test_other_forms_are_left_alone() -> None:
    html = fill(who="w", why="y")
    assert '<form method="post" action="/other"><input name="why" value=""></form>' in html
    assert '<input name="who" value="stays">' in html


def test_draft_cannot_leave_its_field() -> None:
    html = fill(why="</textarea><script>alert(1)</script>", who='"><script>alert(1)</script>')
    assert "<script>alert" not in html


def test_person_is_told_once() -> None:
    html = filled(PAGE, Draft("/cases", {"who": "w"}))
    assert html.count('role="status"') == 1
    assert html.index('role="status"') > html.index('action="/cases"')
