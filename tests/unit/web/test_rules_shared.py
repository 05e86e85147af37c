from __future__ import annotations

import pytest
from starlette.requests import Request

from gateway.api.policies import CommentBody, SaveBody
from gateway.errors import Denied, InvalidRequest, PayloadTooLarge, StepUpRequired
from gateway.exchange import StepUp
from gateway.lifecycle.refusals import Conflict, DraftRefused
from gateway.policy.bundle import Problem
from gateway.web.rules_shared import Fields, Trouble, address, attempt, body, read_fields


def sent(data: bytes) -> Request:
    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": data, "more_body": False}

    return Request({"type": "http", "method": "POST", "headers": []}, receive)


async def test_a_form_is_read_with_its_token_apart_and_names_that_stand_twice() -> None:
    request = sent(b"csrf_token=abc&day=Mon&day=Tue&text=a%0D%0Ab&empty=")
    fields = await read_fields(request)
    assert fields.all("day") == ["Mon", "Tue"]
    assert (fields["text"], fields["empty"], fields["missing"]) == ("a\r\nb", "", "")
    assert request.state.csrf_token == "abc"
    assert "csrf_token" not in fields
    assert "csrf_token" not in request.state.form


async def test_a_form_that_is_too_long_or_has_too_many_fields_is_refused() -> None:
    with pytest.raises(PayloadTooLarge):
        await read_fields(sent(b"x" * 100), limit=99)
    with pytest.raises(InvalidRequest):
        await read_fields(sent(b"&".join(b"a=1" for _ in range(6_000))))


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "1e3", "٣", "9" * 12])
def test_a_number_of_a_form_is_a_whole_one(text: str) -> None:
    with pytest.raises(InvalidRequest):
        Fields([("after", text)]).number("after")


def test_what_a_program_could_not_send_a_page_cannot_either() -> None:
    with pytest.raises(InvalidRequest, match="after"):
        body(SaveBody, after=0)
    with pytest.raises(InvalidRequest) as refused:
        body(CommentBody, text="secret words " * 1_000)
    assert "secret" not in refused.value.message


async def test_what_the_form_can_mend_is_told_there_and_all_else_goes_on() -> None:
    async def act(error: Exception) -> None:
        raise error

    told = await attempt(act(Conflict("other")))
    assert isinstance(told, Trouble)
    assert (told.status, told.is_conflict) == (409, True)
    told = await attempt(act(DraftRefused([Problem("a.rego", 3, 1, "no")])))
    assert isinstance(told, Trouble)
    assert told.problems == (Problem("a.rego", 3, 1, "no"),)
    stale = StepUpRequired("again", step_up=StepUp(max_age_seconds=300))
    with pytest.raises(StepUpRequired):
        await attempt(act(stale))
    told = await attempt(act(stale), may_step_up=True)
    assert isinstance(told, Trouble)
    assert told.step_up
    with pytest.raises(Denied):
        await attempt(act(Denied("no")))


def test_addresses_hold_nothing_that_could_end_them() -> None:
    assert (
        address("d", "changes", file='a/b"&<c', line=3, done="") == "/rules/drafts/d/changes?file=a/b%22%26%3Cc&line=3"
    )
