"""Which directory is asking: its own token opens its own people, and nothing else does."""

from __future__ import annotations

import pytest

from gateway.scim.clients import Clients
from gateway.settings import Provider
from gateway.vocabulary import Code, Event
from tests.support.scim import OTHER_TOKEN, TOKEN


@pytest.fixture
def provider(tmp_path):
    """Makes a provider with a directory whose token file holds `text`."""

    def make(name="company", text=TOKEN):
        path = tmp_path / f"{name}.token"
        path.write_text(text)
        return Provider(name=name, issuer="https://i.example", client_id="c", scim={"token_path": path})

    return make


def bearer(token):
    return f"Bearer {token}"


def test_a_directory_is_found_by_its_name_and_its_token(provider):
    clients = Clients([provider(), provider("other", OTHER_TOKEN)])
    found = clients.find("company/Users/1", bearer(TOKEN))
    assert (found.client.provider, found.base, found.path) == ("company", "/company", "/Users/1")
    assert clients.find("other/Users", bearer(OTHER_TOKEN)).client.provider == "other"


def test_a_token_opens_no_other_directory(provider):
    clients = Clients([provider(), provider("other", OTHER_TOKEN)])
    assert clients.find("other/Users", bearer(TOKEN)) is None
    assert clients.find("company/Users", bearer(OTHER_TOKEN)) is None


def test_without_a_name_there_must_be_one_directory_only(provider):
    found = Clients([provider()]).find("Users", bearer(TOKEN))
    assert (found.client.provider, found.base, found.path) == ("company", "", "/Users")
    assert Clients([provider(), provider("other", OTHER_TOKEN)]).find("Users", bearer(TOKEN)) is None


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        TOKEN,
        f"Basic {TOKEN}",
        f"Bearer  {TOKEN}",
        f"Bearer {TOKEN} ",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN.lower()}",
        "Bearer ",
        f"Bearer {TOKEN}, Bearer {TOKEN}",
    ],
)
def test_anything_but_the_token_is_refused(authorization, provider):
    assert Clients([provider()]).find("company/Users", authorization) is None


def test_two_tokens_while_it_is_being_changed(provider):
    clients = Clients([provider(text=f"{TOKEN}\n{OTHER_TOKEN}\n")])
    assert clients.find("Users", bearer(TOKEN)) is not None
    assert clients.find("Users", bearer(OTHER_TOKEN)) is not None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "one token"),
        (f"{TOKEN} {OTHER_TOKEN} {TOKEN}", "one token"),
        ("short", "32 random"),
        ("a" * 64, "32 random"),
        ("ü" * 40, "letters, digits"),
        (TOKEN + ";x", "letters, digits"),
    ],
)
def test_the_gateway_does_not_start_with_a_token_that_is_none(text, why, provider):
    with pytest.raises(ValueError, match=why) as refused:
        Clients([provider(text=text)])
    assert not text or text not in str(refused.value)


def test_two_directories_never_share_a_token(provider):
    with pytest.raises(ValueError, match="of its own"):
        Clients([provider(), provider("other", TOKEN)])


def test_no_token_is_shown_by_accident(provider):
    found = Clients([provider()]).find("Users", bearer(TOKEN))
    assert TOKEN not in repr(found)
    assert repr(found.client.digests[0]) not in repr(found)


@pytest.mark.parametrize("token", [None, OTHER_TOKEN])
async def test_a_refusal_is_in_scims_form_says_nothing_and_is_told_once_a_minute(token, directory, moment):
    for path in ("/Users", "/Users/1", "/ServiceProviderConfig", "/nothing"):
        said = await directory.send("GET", path, token=token)
        assert said.status == 401
        assert said.headers["WWW-Authenticate"] == 'Bearer realm="SCIM"'
        assert said.json["detail"] == "This needs the bearer token that this directory was given."
    said = await directory.send("GET", "/Users", token=token, base="nobody")
    assert said.status == 401
    assert directory.log.actions() == [Event.SCIM_REFUSED.value]
    assert directory.refused == 5
    moment.pass_(seconds=61)
    await directory.send("GET", "/Users", token=token)
    assert [entry.content["times"] for entry in directory.log.entries] == [1, 5]
    assert directory.log.entries[0].reasons == (Code.SUBJECT_SIGN_IN_REFUSED.value,)


async def test_who_goes_on_with_a_wrong_token_has_to_wait_and_the_right_one_still_works(directory):
    directory.allowed_refusals = 2
    answers = [await directory.send("GET", "/Users", token=OTHER_TOKEN) for _ in range(3)]
    assert [answer.status for answer in answers] == [401, 401, 429]
    assert answers[-1].headers["Retry-After"] == "60"
    assert answers[-1].json["status"] == "429"
    assert (await directory.send("GET", "/Users")).status == 200


async def test_a_refusal_stands_when_the_log_is_away(directory):
    directory.log.is_down = True
    assert (await directory.send("GET", "/Users", token=OTHER_TOKEN)).status == 401
