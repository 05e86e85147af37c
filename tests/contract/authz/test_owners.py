"""What is somebody's own: theirs by name, and for everybody else as if it were not there."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gateway.exchange import ActorId, Picture
from tests.authz.bed import Bed, open_bed

pytestmark = [pytest.mark.xdist_group("authz"), pytest.mark.asyncio(loop_scope="module")]

OTHERS = ("employee", "reviewer", "auditor", "policy-author", "policy-approver", "billing", "admin", "no role")
NOTE = {"note": "to see whose it is"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bed]:
    async with open_bed(tmp_path_factory.mktemp("owners")) as bed:
        yield bed


async def statuses(bed: Bed, method: str, path: str) -> set[int]:
    """What everybody but the owner is answered, in a session and by a key."""
    found = set()
    async with bed.client() as client:
        for role in OTHERS:
            headers = await bed.sign_in(f"another {role}", role)
            found.add((await client.request(method, path, headers=headers)).status_code)
        found.add((await client.request(method, path, headers=await bed.headers("employee's key"))).status_code)
    return found


async def test_a_picture_is_its_owner_s_whatever_others_may(bed: Bed) -> None:
    owner = await bed.sign_in("painter", "employee")
    data = b"a picture"
    picture = Picture(
        index=0, data=data, media_type="image/png", width=1, height=1, sha256=hashlib.sha256(data).hexdigest()
    )
    made = await bed.services.shelf.put(picture, ActorId("company|painter"))
    async with bed.client() as client:
        assert (await client.get(f"/v1/pictures/{made}", headers=owner)).content == data
    assert await statuses(bed, "GET", f"/v1/pictures/{made}") <= {403, 404}


async def test_a_key_is_ended_by_its_owner_only(bed: Bed) -> None:
    owner = await bed.sign_in("key owner", "employee")
    async with bed.client() as client:
        asked = {"name": "x", "scopes": ["model:list"], "days": 1}
        key = (await client.post("/v1/keys", json=asked, headers=owner)).raise_for_status().json()
        assert await statuses(bed, "DELETE", f"/v1/keys/{key['id']}") <= {403, 404}
        bearer = {"authorization": f"Bearer {key['key']}"}
        assert (await client.get("/v1/models", headers=bearer)).status_code == 200
        assert (await client.delete(f"/v1/keys/{key['id']}", headers=owner)).status_code == 200
        assert (await client.get("/v1/models", headers=bearer)).status_code == 401


async def test_a_session_is_ended_by_its_owner_only(bed: Bed) -> None:
    owner = await bed.sign_in("two places", "employee")
    other = await bed.sign_in("two places", "employee")
    async with bed.client() as client:
        listed = (await client.get("/account", headers={**owner, "accept": "application/json"})).json()["sessions"]
        (there,) = [session["id"] for session in listed if not session["is_this_one"]]
        assert await statuses(bed, "POST", f"/account/sessions/{there}/end") <= {403, 404}
        assert (await client.get("/v1/session", headers=other)).status_code == 200
        assert (await client.post(f"/account/sessions/{there}/end", headers=owner)).status_code == 303
        assert (await client.get("/v1/session", headers=other)).status_code == 401


async def test_a_proposal_is_agreed_to_by_anybody_but_its_author_and_withdrawn_by_nobody_else(bed: Bed) -> None:
    author, other = [await bed.sign_in(name, "admin") for name in ("author", "another admin")]
    async with bed.client() as client:
        now = (await client.get("/v1/organization/role_mapping", headers=author)).json()["roles"]
        wider = {"roles": now | {"newcomers": ["employee"]}} | NOTE
        asked = await client.post("/v1/organization/role_mapping", json=wider, headers=author)
        assert asked.status_code == 202, asked.text
        path, digest = f"/v1/organization/proposals/{asked.json()['id']}", {"digest": asked.json()["digest"]}
        assert (await client.post(f"{path}/approve", json=digest, headers=author)).status_code == 403
        assert (await client.post(f"{path}/withdraw", json=digest, headers=other)).status_code == 403
        for role in ("employee", "auditor", "policy-approver"):
            stranger = await bed.sign_in(f"another {role}", role)
            assert (await client.post(f"{path}/approve", json=digest, headers=stranger)).status_code == 403
        assert (await client.post(f"{path}/approve", json=digest, headers=other)).status_code == 200


async def test_nobody_suspends_or_reinstates_themselves(bed: Bed) -> None:
    admin = await bed.sign_in("lonely admin", "admin")
    async with bed.client() as client:
        for act in ("suspend", "reinstate"):
            path = f"/v1/organization/users/company|lonely-admin/{act}"
            assert (await client.post(path, json={"reason": "to try it"}, headers=admin)).status_code == 403
        assert (await client.get("/v1/session", headers=admin)).status_code == 200
