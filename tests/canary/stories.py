"""Requests that succeed: what people really do, with a secret in each text of it, and what goes wrong half way."""

from __future__ import annotations

import base64
import json
from typing import Any, Final

import httpx

from tests.canary.positions import Shot, picture
from tests.canary.world import World, quoting, quoting_a_refusal
from tests.support import forge
from tests.support.directory import GROUP, PATCH, USER
from tests.support.image_server import BROKEN
from tests.support.scim import TOKEN

CARD: Final = "4111 1111 1111 1111"
IMAGES: Final = "POST /v1/images/generations"


class Stories:
    """`tell` runs all of them; each answer goes to `keep(shot, response)`."""

    def __init__(self, world: World, keep: Any) -> None:
        self.world = world
        self._keep = keep
        self.known: dict[str, str] = {}
        """Ids of what was made, by the name of the path's parameter."""

    def tell(self) -> None:
        self._pictures()
        self._picture_troubles()
        self._keys_and_services()
        self._roles()
        self._auditors()
        self._directory()
        self._sign_in()

    def _say(self, route: str, position: str) -> str:
        return self.world.seeds.new(route, "story, " + position)

    def _send(self, caller: str, route: str, position: str, path: str = "", **request: Any) -> httpx.Response:
        method, template = route.split(" ")
        answer = self.world.client(caller).request(method, path or template, **request)
        self._keep(Shot(route=route, position="story, " + position, method=method, path="", caller=caller), answer)
        return answer

    def _form(self, caller: str, route: str, position: str, path: str = "", **fields: str) -> httpx.Response:
        return self._send(caller, route, position, path, data=fields, headers={"accept": "text/html"})

    def _prompt(self, position: str, extra: str = "", **more: Any) -> httpx.Response:
        body = {"prompt": f"a fox named {self._say(IMAGES, position)} {extra}".strip(), **more}
        return self._send("employee", IMAGES, position, json=body)

    def _pictures(self) -> None:
        made = self._prompt("prompt that is drawn")
        assert made.status_code == 200, made.text
        self.known["event_id"] = made.headers["x-request-id"]
        texts: dict[str, Any] = {name: self._say(IMAGES, name) for name in ("negative_prompt", "user")}
        sketch = {"regions": [{"label": self._say(IMAGES, "label of a sketch"), "box": [0, 0, 0.5, 0.5]}]}
        self._prompt("every text", **texts)
        self._prompt("sketch", sketch=sketch)
        self._prompt("stream", stream=True, partial_images=1)
        by_address = self._prompt("by address", response_format="url")
        if by_address.status_code == 200:
            address = by_address.json()["data"][0]["url"]
            self._send("employee", "GET /v1/pictures/{picture_id}", "its picture", address)
        self._prompt("card to be masked or refused", CARD)
        self._prompt("card written out", "four one one one " + "one one one one " * 3)
        self._prompt("content to be refused", "naked woman, explicit sex, gore, swastika")
        self._prompt("password", "password = hunter2-Zk8")
        self._prompt("name and mail", "to jane.doe@contoso.com, DE89 3704 0044 0532 0130 00")
        for half in ("4111 1111", "1111 1111"):
            self._prompt("half a card", half)
        self._prompt("a picture too many", n=11)
        long = f"a fox {self._say(IMAGES, 'long prompt')} " * 900
        self._send("employee", IMAGES, "long prompt", json={"prompt": long})
        hint = {"text": f"{self._say('POST /v1/screening/hints', 'text')} {CARD}"}
        self._send("employee", "POST /v1/screening/hints", "text", json=hint)
        for route, fields in (("POST /v1/images/edits", {"prompt": ""}), ("POST /v1/images/variations", {})):
            name = self._say(route, "file name") + ".png"
            sent = {key: self._say(route, key) for key in fields}
            self._send("employee", route, "a good one", data=sent, files={"image": (name, picture(), "image/png")})
        route = "POST /v1/moderations"
        inline = "data:image/png;base64," + base64.b64encode(picture()).decode()
        parts = [
            {"type": "text", "text": self._say(route, "text part")},
            {"type": "image_url", "image_url": {"url": "https://example.com/" + self._say(route, "address")}},
        ]
        self._send("employee", route, "address", json={"input": parts})
        parts[1] = {"type": "image_url", "image_url": {"url": inline}}
        self._send("employee", route, "parts", json={"input": parts})
        self._send("employee", route, "texts", json={"input": [f"{self._say(route, 'one of several')} {CARD}"]})

    def _picture_troubles(self) -> None:
        troubles = {name: behaviour for name, (behaviour, _) in BROKEN.items()}
        troubles |= {"quotes": quoting, "quotes a refusal": quoting_a_refusal}
        for name, behaviour in troubles.items():
            with self.world.image_server_that(behaviour):
                self._prompt(f"image server: {name}")
                self._prompt(f"image server, streaming: {name}", stream=True)

    def _keys_and_services(self) -> None:
        route = "POST /v1/keys"
        made = self._send("employee", route, "name", json={"name": self._say(route, "name"), "scopes": []})
        if made.status_code < 300:
            self.known["key_id"] = made.json()["id"]
        self.world.client("reviewer")
        route = "POST /v1/organization/service_accounts"
        account = {"name": "robot", "owner": "company|employee", "scopes": ["image:generate"]}
        texts = {name: self._say(route, name) + " draws for us" for name in ("description", "note")}
        self._send("admin", route, "texts", json=account | texts)
        named = {"name": "r" + self._say(route, "name"), "note": "to see where it goes"}
        self._send("admin", route, "name", json=account | named | {"description": "draws"})
        route = "POST /services"
        texts = {name: self._say(route, name) + " draws for us" for name in ("description", "note")}
        self._form("admin", route, "texts", name="robot-two", owner="company|employee", **texts)
        route = "POST /v1/organization/service_accounts/{name}/api_keys"
        key = {name: self._say(route, name) + " for drawing" for name in ("name", "note")}
        self._send("admin", route, "texts", route.split(" ")[1].replace("{name}", "robot"), json=key)
        found = self.world.client("admin").get("/v1/organization/proposals").json()
        if found.get("data"):
            self.known["proposal_id"] = found["data"][0]["id"]

    def _roles(self) -> None:
        for route, send in (("POST /v1/organization/role_mapping", "json"), ("POST /mapping", "form")):
            group, note = self._say(route, "group"), self._say(route, "note") + " asked for it"
            if send == "json":
                self._send(
                    "admin", route, "texts", json={"roles": {"admin": ["admin"], group: ["employee"]}, "note": note}
                )
            else:
                self._form("admin", route, "texts", mapping=f"admin: admin\n{group}: employee", note=note)
        victim = "POST /v1/organization/users/{user_id:path}/suspend"
        self.world.client("somebody")
        for act in ("suspend", "reinstate"):
            route = victim.replace("suspend", act)
            reason = {"reason": self._say(route, "reason") + " is why"}
            self._send("admin", route, "reason", f"/v1/organization/users/company|somebody/{act}", json=reason)
        self.world.forget("somebody")

    def _auditors(self) -> None:
        event = self.known["event_id"]
        told = " was reported to us"
        route = "POST /cases"
        purpose = self._say(route, "purpose") + told
        made = self._form("auditor", route, "purpose", event_id=event, hours="24", purpose=purpose)
        self._note_id("case_id", made)
        route = "POST /holds"
        reason = self._say(route, "reason") + told
        made = self._form("auditor", route, "reason", kind="abuse", event_ids=event, reason=reason)
        self._note_id("hold_id", made)
        route = "POST /subjects"
        for kind in ("export", "erasure"):
            person, note = self._say(route, f"{kind} of whom"), self._say(route, f"{kind}, note") + told
            made = self._form("auditor", route, kind, kind=kind, actor="company|" + person, note=note)
            self._note_id("request_id", made)
        for question in ('prompt:"{}"', "{}", 'actor:"{}"', "actor:{} OR (", "-{}"):
            asked = question.format(self._say("GET /audit", f"question {question}"))
            for accept in ("text/html", "application/json"):
                self._send("auditor", "GET /audit", "question", params={"q": asked}, headers={"accept": accept})

    def _note_id(self, name: str, answer: httpx.Response) -> None:
        if answer.status_code == 303:
            self.known[name] = answer.headers["location"].rsplit("/", 1)[-1]

    def _directory(self) -> None:
        headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/scim+json"}
        route = "POST /scim/v2/{path:path}"

        def send(method: str, position: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
            content = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
            to = f"{method} /scim/v2/{{path:path}}"
            return self._send("", to, position, f"/scim/v2/company/{path}", content=content, headers=headers, **more)

        def say(position: str) -> str:
            return self._say(route, position)

        user = {"schemas": [USER], "userName": say("userName"), "externalId": say("externalId"), "active": True}
        names = (
            "displayName",
            "nickName",
            "title",
            "userType",
            "locale",
            "timezone",
            "profileUrl",
            "preferredLanguage",
        )
        user |= {name: say(name) for name in names}
        user["name"] = {part: say(f"name.{part}") for part in ("familyName", "givenName", "formatted", "middleName")}
        user["emails"] = [{"value": say("emails") + "@example.com", "display": say("emails.display")}]
        user["phoneNumbers"] = [{"value": say("phoneNumbers")}]
        user["addresses"] = [{"streetAddress": say("addresses"), "locality": say("addresses.locality")}]
        user["photos"] = [{"value": "https://example.com/" + say("photos")}]
        made = send("POST", "whole user", "Users", user)
        send("POST", "the same again", "Users", user)
        password = {"schemas": [USER], "userName": "pat", "externalId": "pat", "password": say("password")}
        send("POST", "password", "Users", password)
        send(
            "POST",
            "unknown",
            "Users",
            {"schemas": [USER], "userName": "kim", say("key"): {say("key below"): say("value")}},
        )
        for name in ("userName", "active", "emails", "name", "meta", "schemas", "id", "groups"):
            for shape in ("text", "list", "object"):
                secret = say(f"{name} as {shape}")
                value = {"text": secret, "list": [secret], "object": {secret: secret}}[shape]
                send("POST", f"{name} as {shape}", "Users", {"schemas": [USER], "userName": "sam", name: value})
        id = made.json()["id"] if made.status_code == 201 else "none"
        for op in ("add", "replace", "remove", say("patch, op")):
            for path in (
                "displayName",
                f'emails[value eq "{say(f"patch {op[:7]}, filter")}"].display',
                say(f"patch {op[:7]}, path"),
            ):
                operation = {"op": op, "path": path, "value": say(f"patch {op[:7]}, value of {path[:6]}")}
                send("PATCH", "patch", f"Users/{id}", {"schemas": [PATCH], "Operations": [operation]})
        send("PUT", "put", f"Users/{id}", user | {"displayName": say("put, displayName")})
        group = {"schemas": [GROUP], "displayName": say("group"), "externalId": say("group, externalId")}
        send("POST", "group", "Groups", group | {"members": [{"value": id, "display": say("member")}]})
        send("POST", "group of a stranger", "Groups", group | {"members": [{"value": say("member, unknown")}]})
        for name in ("filter", "sortBy", "attributes", "excludedAttributes", "startIndex", "count", "cursor"):
            send("GET", f"query {name}", "Users", params={name: say(f"query {name}")})
        send("GET", "filter", "Users", params={"filter": f'userName eq "{say("filter, a value")}" and ('})
        send("GET", "filter", "Users", params={"filter": f'userName eq "{say("filter, a good one")}"'})
        for kind in ("Users", "Groups", "Bulk", "Me", "Schemas", "ResourceTypes", ".search"):
            for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
                body = (
                    None
                    if method in ("GET", "DELETE")
                    else f'{{"schemas": ["{say(f"{method} {kind}, broken")}"], '.encode()
                )
                send(method, f"{kind} at a strange place", f"{kind}/{say(f'{method} {kind}, id')}", body)
        self._send(
            "", "POST /scim/v2/{path:path}", "strange client", f"/scim/v2/{say('client')}/Users", headers=headers
        )

    def _sign_in(self) -> None:
        """What an issuer says about somebody, right and wrong; a token of nobody."""
        world, route = self.world, "GET /auth/callback/{provider}"
        world.issuer.gives_refresh_tokens = False
        for position, lie in (
            ("claim name", {"name": self._say(route, "claim name")}),
            ("claim groups", {"groups": [self._say(route, "claim groups")]}),
            ("claim nonce", {"nonce": self._say(route, "claim nonce")}),
            ("claim iss", {"iss": self._say(route, "claim iss")}),
            ("claim aud", {"aud": self._say(route, "claim aud")}),
            ("claim amr", {"amr": [self._say(route, "claim amr")]}),
            ("claim acr", {"acr": self._say(route, "claim acr")}),
            ("claim exp", {"exp": self._say(route, "claim exp")}),
            ("claim sub", {"sub": [self._say(route, "claim sub, a list")]}),
            ("unknown claims", {"email": self._say(route, "claim email"), "pin": self._say(route, "unknown claim")}),
        ):  # fmt: skip
            with httpx.Client(base_url=world.url, trust_env=False, timeout=60) as browser:
                world.issuer.person = {"sub": "visitor", "name": "Visitor", "groups": [], "amr": ["pwd", "otp"]}
                world.issuer.lies.claims = lie
                away = browser.get("/auth/sign-in", params={"provider": "company"})
                parameters = world.issuer.approve(away.headers["location"])
                answer = browser.get("/auth/callback/company", params=parameters)
                world.issuer.lies.claims = {}
                self._keep(Shot(route=route, position="story, " + position, method="GET", path="", caller=""), answer)
        kid, sub = self._say("GET /v1/session", "kid of a token"), self._say("GET /v1/session", "sub of a token")
        claims = forge.good_claims("access-token", 2_000_000_000, world.issuer.url) | {"sub": sub}
        bearer = forge.token(forge.good_header("access-token") | {"kid": kid}, claims, "rsa-1")
        for kind in ("application/json", "text/html"):
            headers = {"authorization": f"Bearer {bearer}", "accept": kind}
            self._send("", "GET /v1/session", "token of a stranger's issuer", headers=headers)
