"""The device flow: every answer of RFC 8628, and everybody who lies about who they are."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from gateway.login.device_flow import DeviceFlow, Door, Invitation, LoginFailed, SignedOut, Tokens, is_safe
from tests.support.device_issuer import ACCESS, CLIENT_ID, GATEWAY, ISSUER, DeviceIssuer, error, tokens

PENDING = error("authorization_pending")


@pytest.fixture
def issuer() -> DeviceIssuer:
    return DeviceIssuer()


@pytest.fixture
def flow(issuer: DeviceIssuer) -> DeviceFlow:
    return DeviceFlow(issuer.client(), issuer.sleep, lambda: issuer.now)


def begun(flow: DeviceFlow) -> tuple[Door, Invitation]:
    door = flow.find(GATEWAY)
    return door, flow.invite(door)


def run(flow: DeviceFlow) -> Tokens:
    return flow.wait(*begun(flow))


def no_answer() -> httpx.Response:
    raise httpx.ReadTimeout("too long")


def test_code_is_asked_for_in_the_name_of_the_client_that_the_gateway_publishes(
    flow: DeviceFlow, issuer: DeviceIssuer
) -> None:
    _, invitation = begun(flow)
    (asked,) = issuer.posts("/device")
    assert asked == {
        "client_id": CLIENT_ID,
        "scope": "openid offline_access image:generate model:list",
        "resource": GATEWAY,
    }
    assert invitation.user_code == "WDJB-MJHT"
    assert invitation.address_with_code.endswith("user_code=WDJB-MJHT")


def test_tokens_come_when_the_person_approved(flow: DeviceFlow, issuer: DeviceIssuer) -> None:
    issuer.polls = [PENDING, PENDING, tokens()]
    found = run(flow)
    assert (found.access_token, found.refresh_token) == (ACCESS, "refresh-1")
    assert found.expires_at == issuer.now + 300
    assert issuer.slept == [5, 5, 5]
    assert issuer.posts("/token")[0] == {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "device_code": "a-device-code",
        "client_id": CLIENT_ID,
    }


def test_interval_is_the_issuers_and_five_seconds_without_one(flow: DeviceFlow, issuer: DeviceIssuer) -> None:
    issuer.invitation["interval"] = 7
    issuer.polls = [tokens()]
    run(flow)
    del issuer.invitation["interval"]
    issuer.polls = [tokens()]
    run(flow)
    assert issuer.slept == [7, 5]


def test_issuer_that_names_no_wait_is_not_hammered(flow: DeviceFlow, issuer: DeviceIssuer) -> None:
    issuer.invitation["interval"] = 0.001
    issuer.polls = [PENDING, tokens()]
    run(flow)
    assert min(issuer.slept) >= 1


def test_slow_down_makes_every_later_question_five_seconds_slower(flow: DeviceFlow, issuer: DeviceIssuer) -> None:
    issuer.polls = [error("slow_down"), PENDING, error("slow_down"), tokens()]
    run(flow)
    assert issuer.slept == [5, 10, 10, 15]


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("access_denied", "refused in the browser"),
        ("expired_token", "too old"),
        ("invalid_grant", "invalid_grant"),
        ("invalid_client", "invalid_client"),
    ],
)
def test_every_other_error_ends_it_with_what_to_do(
    flow: DeviceFlow, issuer: DeviceIssuer, code: str, says: str
) -> None:
    issuer.polls = [PENDING, error(code)]
    with pytest.raises(LoginFailed, match=says) as failed:
        run(flow)
    assert "a-device-code" not in str(failed.value)


def test_code_that_nobody_approves_ends_by_itself(flow: DeviceFlow, issuer: DeviceIssuer) -> None:
    issuer.polls = [PENDING] * 1000
    with pytest.raises(LoginFailed, match="too old"):
        run(flow)
    assert sum(issuer.slept) <= 300


def test_code_of_a_year_is_not_waited_for(flow: DeviceFlow, issuer: DeviceIssuer) -> None:
    issuer.invitation |= {"expires_in": 31_000_000, "interval": 3600}
    issuer.polls = [PENDING] * 1000
    with pytest.raises(LoginFailed, match="too old"):
        run(flow)
    assert sum(issuer.slept) <= 1800
    assert max(issuer.slept) <= 60


def test_lost_answers_are_asked_for_again_more_slowly(flow: DeviceFlow, issuer: DeviceIssuer) -> None:
    issuer.polls = [no_answer, lambda: httpx.Response(503), tokens()]
    assert run(flow).access_token == ACCESS
    assert issuer.slept == [5, 10, 20]


def test_issuer_that_never_answers_is_given_up(flow: DeviceFlow, issuer: DeviceIssuer) -> None:
    issuer.invitation["expires_in"] = 1800
    issuer.polls = [no_answer] * 50
    with pytest.raises(LoginFailed, match="does not answer"):
        run(flow)
    assert len(issuer.posts("/token")) == 5


@pytest.mark.parametrize(
    "answer", [{}, {"access_token": ""}, {"access_token": 7}, {"access_token": "two\nlines"}, {"access_token": "tökén"}]
)
def test_answer_without_a_usable_token_is_none(flow: DeviceFlow, issuer: DeviceIssuer, answer: dict[str, Any]) -> None:
    issuer.polls = [answer]
    with pytest.raises(LoginFailed, match="no access token"):
        run(flow)


@pytest.mark.parametrize("named", ["https://evil.example", None, GATEWAY + "/other"])
def test_gateway_that_speaks_for_another_is_not_believed(
    flow: DeviceFlow, issuer: DeviceIssuer, named: str | None
) -> None:
    """RFC 9728, 3.3: else a false gateway gets a token that the real one takes."""
    issuer.resource["resource"] = named
    with pytest.raises(LoginFailed, match="calls itself"):
        flow.find(GATEWAY)


def test_place_where_no_gateway_is_says_so(flow: DeviceFlow) -> None:
    with pytest.raises(LoginFailed, match="nothing of the gateway"):
        flow.find("https://elsewhere.example")


@pytest.mark.parametrize("document", [[], "text", 7, None, {"issuer": ISSUER, "more": "x" * 600_000}])
def test_metadata_that_is_no_object_is_none(flow: DeviceFlow, issuer: DeviceIssuer, document: Any) -> None:
    issuer.metadata = document
    with pytest.raises(LoginFailed, match="nothing of the sign-in provider"):
        flow.find(GATEWAY)


def test_issuer_that_names_itself_otherwise_is_not_believed(flow: DeviceFlow, issuer: DeviceIssuer) -> None:
    issuer.metadata["issuer"] = "https://evil.example"
    with pytest.raises(LoginFailed, match="not trusted"):
        flow.find(GATEWAY)


@pytest.mark.parametrize("name", ["device_authorization_endpoint", "token_endpoint", "revocation_endpoint"])
@pytest.mark.parametrize("address", ["http://login.example/x", "file:///etc/passwd", 7, "https://"])
def test_unsafe_endpoint_is_not_used(flow: DeviceFlow, issuer: DeviceIssuer, name: str, address: Any) -> None:
    issuer.metadata[name] = address
    with pytest.raises(LoginFailed, match="not safe"):
        flow.find(GATEWAY)


@pytest.mark.parametrize("name", ["verification_uri", "verification_uri_complete"])
@pytest.mark.parametrize(
    "address", ["http://login.example/x", "javascript:alert(1)", "https://a.example/\x1b[2J", "https://аpple.example/"]
)
def test_person_is_not_sent_to_an_unsafe_address(
    flow: DeviceFlow, issuer: DeviceIssuer, name: str, address: str
) -> None:
    issuer.invitation[name] = address
    with pytest.raises(LoginFailed, match="not safe"):
        begun(flow)


def test_code_cannot_write_to_the_terminal(flow: DeviceFlow, issuer: DeviceIssuer) -> None:
    issuer.invitation["user_code"] = "AB\x1b]0;x\x07"
    with pytest.raises(LoginFailed, match="can't be read"):
        begun(flow)


@pytest.mark.parametrize("name", ["device_code", "user_code", "verification_uri", "expires_in"])
def test_invitation_that_lacks_something_is_none(flow: DeviceFlow, issuer: DeviceIssuer, name: str) -> None:
    del issuer.invitation[name]
    with pytest.raises(LoginFailed, match="can't be read"):
        begun(flow)


def test_issuer_that_refuses_to_begin_is_told_by_its_code(flow: DeviceFlow, issuer: DeviceIssuer) -> None:
    issuer.invitation = error("unauthorized_client")
    with pytest.raises(LoginFailed, match="unauthorized_client"):
        begun(flow)


@pytest.mark.parametrize("members", [{}, {"imprimatur_device_client_ids": {}}, {"imprimatur_device_client_ids": "x"}])
def test_gateway_without_device_sign_in_says_what_to_do(
    flow: DeviceFlow, issuer: DeviceIssuer, members: dict[str, Any]
) -> None:
    del issuer.resource["imprimatur_device_client_ids"]
    issuer.resource |= members
    with pytest.raises(LoginFailed, match="device_client_id"):
        flow.find(GATEWAY)


def test_one_of_several_issuers_has_to_be_chosen(flow: DeviceFlow, issuer: DeviceIssuer) -> None:
    issuer.resource["imprimatur_device_client_ids"] = {ISSUER: CLIENT_ID, "https://other.example": "cli"}
    with pytest.raises(LoginFailed, match="--provider") as failed:
        flow.find(GATEWAY)
    assert ISSUER in str(failed.value)
    assert flow.find(GATEWAY, ISSUER).client_id == CLIENT_ID
    with pytest.raises(LoginFailed, match="no provider"):
        flow.find(GATEWAY, "https://third.example")


@pytest.mark.parametrize("address", ["http://images.example", "ftp://images.example", "images.example", "https://["])
def test_gateway_is_asked_over_https_only(flow: DeviceFlow, issuer: DeviceIssuer, address: str) -> None:
    with pytest.raises(LoginFailed, match="https"):
        flow.find(address)
    assert issuer.asked == []


@pytest.mark.parametrize(
    ("address", "safe"),
    [
        ("https://a.example", True),
        ("http://127.0.0.1:8100", True),
        ("http://localhost:8100", True),
        ("http://localhost.evil.example", False),
        ("http://127.0.0.1.evil.example", False),
        ("http://user@127.0.0.1@evil.example", False),
        ("ftp://localhost", False),
    ],
)
def test_plain_http_is_for_this_machine_only(address: str, safe: bool) -> None:
    assert is_safe(address) is safe


@pytest.mark.parametrize("name", ["device_authorization_endpoint", "token_endpoint"])
def test_issuer_without_what_it_takes_says_what_is_missing(flow: DeviceFlow, issuer: DeviceIssuer, name: str) -> None:
    del issuer.metadata[name]
    with pytest.raises(LoginFailed, match=f"{name} is missing"):
        flow.find(GATEWAY)


@pytest.mark.parametrize("client_id", [7, "", None, ["a"]])
def test_client_that_is_no_name_is_not_used(flow: DeviceFlow, issuer: DeviceIssuer, client_id: Any) -> None:
    issuer.resource["imprimatur_device_client_ids"] = {ISSUER: client_id}
    with pytest.raises(LoginFailed, match="no provider"):
        flow.find(GATEWAY)


def test_nothing_is_given_back_where_there_is_nothing_or_nobody_to_take_it(
    flow: DeviceFlow, issuer: DeviceIssuer
) -> None:
    door = flow.find(GATEWAY)
    assert flow.revoke(door, "refresh-1") is True
    assert flow.revoke(door, "") is False
    del issuer.metadata["revocation_endpoint"]
    assert flow.revoke(flow.find(GATEWAY), "refresh-1") is False
    assert len(issuer.posts("/revoke")) == 1


def test_refreshing_keeps_the_old_refresh_token_where_no_new_one_comes(flow: DeviceFlow, issuer: DeviceIssuer) -> None:
    door = flow.find(GATEWAY)
    answer = tokens(2)
    del answer["refresh_token"]
    issuer.polls = [tokens(2), answer]
    assert flow.refresh(door, "refresh-1").refresh_token == "refresh-2"
    assert flow.refresh(door, "refresh-1").refresh_token == "refresh-1"
    assert issuer.posts("/token")[0] == {
        "grant_type": "refresh_token",
        "refresh_token": "refresh-1",
        "client_id": CLIENT_ID,
        "resource": GATEWAY,
    }


def test_refresh_that_is_refused_for_good_is_told_apart(flow: DeviceFlow, issuer: DeviceIssuer) -> None:
    door = flow.find(GATEWAY)
    issuer.polls = [error("invalid_grant"), error("invalid_client")]
    with pytest.raises(SignedOut):
        flow.refresh(door, "refresh-1")
    with pytest.raises(LoginFailed) as failed:
        flow.refresh(door, "refresh-1")
    assert not isinstance(failed.value, SignedOut)
    with pytest.raises(SignedOut):
        flow.refresh(door, "")


def test_no_token_or_code_is_in_a_repr(flow: DeviceFlow, issuer: DeviceIssuer) -> None:
    issuer.polls = [tokens()]
    door, invitation = begun(flow)
    seen = repr(flow.wait(door, invitation)) + repr(invitation)
    for secret in (ACCESS, "refresh-1", "a-device-code"):
        assert secret not in seen
