"""What somebody wrote waits in their browser, for them and that page only."""

from __future__ import annotations

import random
import string

import pytest

from gateway.exchange import ActorId
from gateway.identity.cookies import CookieNames
from gateway.identity.drafts import Draft, Drafts
from tests.support.moment import Moment

ALICE = ActorId("company|alice")
NAMES = CookieNames(secure=True, public_url="https://imprimatur.example")
DRAFT = Draft("/cases", {"why": "Complaint 17: überall", "hours": "8"})


@pytest.fixture
def drafts(moment: Moment) -> Drafts:
    return Drafts(b"k" * 32, NAMES, moment)


def kept(drafts: Drafts, draft: Draft = DRAFT) -> str:
    cookie = drafts.keep(ALICE, "/records/e-1?x=1", draft)
    assert cookie is not None
    assert (cookie.name, cookie.secure) == ("__Host-imprimatur-draft", True)
    return f"{cookie.name}={cookie.value}"


def test_draft_comes_back_to_its_person_on_its_page(drafts: Drafts) -> None:
    assert drafts.take(kept(drafts), ALICE, "/records/e-1?x=1") == DRAFT


def test_draft_of_somebody_else_or_of_another_page_stays_shut(drafts: Drafts) -> None:
    cookie = kept(drafts)
    assert drafts.take(cookie, ActorId("company|bob"), "/records/e-1?x=1") is None
    assert drafts.take(cookie, ALICE, "/records/e-2?x=1") is None


def test_draft_is_gone_after_ten_minutes(drafts: Drafts, moment: Moment) -> None:
    cookie = kept(drafts)
    moment.pass_(seconds=601)
    assert drafts.take(cookie, ALICE, "/records/e-1?x=1") is None


@pytest.mark.parametrize("cookie", [None, "", "__Host-imprimatur-draft=", "__Host-imprimatur-draft=nonsense"])
def test_no_draft_or_a_planted_one_is_none(drafts: Drafts, cookie: str | None) -> None:
    assert drafts.take(cookie, ALICE, "/records/e-1?x=1") is None


def test_draft_sealed_by_somebody_else_is_none(drafts: Drafts, moment: Moment) -> None:
    planted = kept(Drafts(b"o" * 32, NAMES, moment))
    assert drafts.take(planted, ALICE, "/records/e-1?x=1") is None


def test_cookie_shows_nothing_of_what_it_holds(drafts: Drafts) -> None:
    assert "Complaint" not in kept(drafts)


@pytest.mark.parametrize("name", ["csrf_token", "password", "code", "totp", "secret", "token"])
def test_secrets_of_a_form_are_not_kept(drafts: Drafts, name: str) -> None:
    found = drafts.take(kept(drafts, Draft("/cases", {name: "s3cret", "why": "w"})), ALICE, "/records/e-1?x=1")
    assert found == Draft("/cases", {"why": "w"})


def test_longest_text_of_our_forms_fits_and_a_longer_one_is_left(drafts: Drafts) -> None:
    noise = "".join(random.Random(1).choices(string.ascii_letters + " ", k=9000))
    assert kept(drafts, Draft("/cases", {"why": noise[:2000]}))
    assert drafts.keep(ALICE, "/cases", Draft("/cases", {"why": noise})) is None
    assert drafts.keep(ALICE, "/cases", Draft("/cases", {"why": "x" * 100_000})) is None
