from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime

import pytest

from model_server.errors import Unauthorized, Unavailable
from model_server.http.auth import TokenCheck
from tests.unit.model_server.support import SECRET, token


def check(now: float | None = None) -> TokenCheck:
    return TokenCheck(SECRET, lambda: datetime.fromtimestamp(time.time() if now is None else now, UTC))


def unsigned(claims: dict[str, object], header: dict[str, object]) -> str:
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, claims)]
    return ".".join([*parts, ""])


def test_a_token_of_the_gateway_is_accepted() -> None:
    check().require("Bearer " + token())
    check().require("bearer " + token())


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = int(time.time())

    def __call__(self) -> datetime:
        return datetime.fromtimestamp(self.now, UTC)

    def token(self, **changes: object) -> str:
        return "Bearer " + token(SECRET, **{"iat": self.now, "exp": self.now + 60, **changes})


def refuses(check: TokenCheck, authorization: str) -> bool:
    try:
        check.require(authorization)
    except Unauthorized:
        return True
    return False


def test_a_token_is_good_for_one_call() -> None:
    clock = Clock()
    check = TokenCheck(SECRET, clock)
    first = clock.token()
    check.require(first)
    assert refuses(check, first)
    check.require(clock.token(jti="same"))
    assert refuses(check, clock.token(jti="same", exp=clock.now + 30))
    check.require(clock.token())


def test_a_used_token_is_refused_as_long_as_it_could_pass_and_then_forgotten() -> None:
    clock = Clock()
    check = TokenCheck(SECRET, clock)
    used = clock.token(exp=clock.now + 65)  # a caller whose clock is ahead of ours by what is allowed
    check.require(used)
    for _ in range(69):
        clock.now += 1
        assert refuses(check, used)
    clock.now += 10
    check.require(clock.token())
    assert len(check._seen) == len(check._forgotten_at) == 1


def test_what_is_remembered_is_bounded_and_beyond_it_nobody_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model_server.http.auth._MOST_REMEMBERED", 3)
    clock = Clock()
    check = TokenCheck(SECRET, clock)
    for _ in range(3):
        check.require(clock.token())
    with pytest.raises(Unavailable):
        check.require(clock.token())
    clock.now += 71
    check.require(clock.token())


def test_a_refused_token_takes_no_memory() -> None:
    clock = Clock()
    check = TokenCheck(SECRET, clock)
    for _ in range(5):
        assert refuses(check, clock.token(aud="other"))
    assert refuses(check, clock.token(jti="j" * 65))
    assert not check._seen


def test_a_token_made_before_the_server_began_is_refused() -> None:
    clock = Clock()
    old = clock.token()
    clock.now += 6  # more than clocks may differ
    assert refuses(TokenCheck(SECRET, clock), old)
    clock.now -= 2
    TokenCheck(SECRET, clock).require(old)


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "another-service"},
        {"aud": None},
        {"iss": "someone-else"},
        {"iss": None},
        {"exp": int(time.time()) - 10},
        {"exp": None},
        {"exp": int(time.time()) + 86_400},
        {"exp": "tomorrow"},
        {"exp": float("nan")},
        {"exp": 1e308},
        {"iat": None},
        {"iat": int(time.time()) + 3_600},
        {"jti": None},
        {"jti": ""},
        {"jti": 5},
        {"nbf": int(time.time()) + 3_600},
    ],
    ids=lambda changes: next(iter(changes)),  # the values hold the time, which differs between workers
)
def test_a_token_with_a_wrong_claim_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(Unauthorized):
        check().require("Bearer " + token(SECRET, **changes))


def test_a_token_of_another_secret_is_refused() -> None:
    with pytest.raises(Unauthorized):
        check().require("Bearer " + token(b"another secret, forty bytes and more...."))


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_another_algorithm_is_refused_even_with_the_right_secret(algorithm: str) -> None:
    with pytest.raises(Unauthorized):
        check().require("Bearer " + token(SECRET, algorithm=algorithm))


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", ""])
def test_an_unsigned_token_is_refused(algorithm: str) -> None:
    now = int(time.time())
    claims = {"iss": "imprimatur-gateway", "aud": "imprimatur-model-server", "iat": now, "exp": now + 50, "jti": "x"}
    with pytest.raises(Unauthorized):
        check().require("Bearer " + unsigned(claims, {"alg": algorithm}))


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic dTpw",
        "Bearer a.b.c",
        "Bearer \x00",
        "Bearer " + "a" * 9_000,
        "Bearer ....",
        token(),
    ],
)
def test_a_header_that_holds_no_token_is_refused(header: str | None) -> None:
    with pytest.raises(Unauthorized):
        check().require(header)


def test_a_header_nested_thousands_deep_is_refused_like_any_other() -> None:
    deep = base64.urlsafe_b64encode(b"[" * 2_990).decode().rstrip("=")
    with pytest.raises(Unauthorized):
        check().require(f"Bearer {deep}.e30.e30")


def test_a_token_ends_with_its_minute() -> None:
    clock = Clock()
    check, late = TokenCheck(SECRET, clock), clock.token()
    clock.now += 64
    check.require(late)
    late = clock.token()
    clock.now += 66
    assert refuses(check, late)


def test_every_refusal_reads_the_same() -> None:
    messages = set()
    for value in (None, "Bearer x", "Bearer " + token(aud="other"), "Bearer " + token(exp=1)):
        with pytest.raises(Unauthorized) as caught:
            check().require(value)
        messages.add(caught.value.envelope.model_dump_json())
    assert len(messages) == 1


def test_without_a_secret_everyone_may_call() -> None:
    TokenCheck(None, lambda: datetime.now(UTC)).require(None)
