"""Where a secret has to stand, each with its reason. What is not here is a leak.

Three kinds: registers that an administrator or a directory fills in and others read (names, reasons, groups: about the
product, never a prompt or a picture); an answer to the one who asked that repeats a name of theirs; facts about who is
asking that policy and the feed are there to be told.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from tests.canary.seeds import Seed


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """Matches when all of it does; each is a regular expression for the whole."""

    why: str
    place: str = "answers"
    where: str = ".*"
    route: str = ".*"
    """Through which the secret came in."""
    position: str = ".*"
    is_own: bool = False
    """Only in the answer to the very request that held it."""


_ADMIN: Final = r"2xx \w+ of (GET|POST|DELETE) (/v1/organization/|/services|/proposals|/mapping|/people|/access-review)"
_AUDITOR: Final = r"2xx \w+ of GET (/cases|/holds|/subjects|/audit|/v1/organization/audit_logs)"

ALLOWED: Final = (
    # registers
    Allowed(
        why="register: a key's name, for its owner to tell keys apart",
        place="database",
        route="POST /v1/keys",
        position=r"(json|story,) name",
    ),
    Allowed(
        why="register: a key's name, for its owner to tell keys apart",
        where=r"2xx \w+ of (GET|POST|DELETE) (/v1/keys.*|/keys|/account|/people.*|/access-review|/v1/organization/.*)",
        route="POST /v1/keys",
        position=r"(json|story,) name",
    ),
    Allowed(
        why="register: services, what they are for and why; two administrators decide on these words",
        place="database",
        route="POST (/services.*|/v1/organization/service_accounts.*)",
        position="(story,|json|form) (name|description|note)",
    ),
    Allowed(
        why="register: services, what they are for and why; two administrators decide on these words",
        where=_ADMIN + ".*",
        route="POST (/services.*|/v1/organization/service_accounts.*)",
        position="(story,|json|form) (name|description|note)",
    ),
    Allowed(
        why="register: which group gives which role, and why",
        place="database",
        route="POST (/mapping|/v1/organization/role_mapping)",
        position="story, (group|note)",
    ),
    Allowed(
        why="register: which group gives which role, and why",
        where=_ADMIN + ".*",
        route="POST (/mapping|/v1/organization/role_mapping)",
        position="story, (group|note)",
    ),
    Allowed(
        why="register: why somebody was shut out or let in again, which that person may read",
        place="database",
        route="POST /v1/organization/users/.*",
        position="story, reason",
    ),
    Allowed(
        why="register: why somebody was shut out or let in again, which that person may read",
        where=_ADMIN + ".*",
        route="POST /v1/organization/users/.*",
        position="story, reason",
    ),
    Allowed(
        why="register: people as the directory describes them",
        place="database",
        route="POST /scim/v2/.*",
        position="story, (?!password|key|value|unknown|query|filter|client|.* as (list|object)|.*broken|.*, id).*",
    ),
    Allowed(
        why="register: people as the directory describes them, answered to the directory itself",
        where=r"2xx document of \w+ /scim/v2/.*",
        route="POST /scim/v2/.*",
        position="story, (?!password|key|value|unknown|query|filter|client|.* as (list|object)|.*broken|.*, id).*",
    ),
    Allowed(
        why="register: a person's name and groups, and how they proved who they are, as the provider said",
        place="database",
        route="GET /auth/callback/.*",
        position="story, claim (name|groups|email|amr|acr)",
    ),
    Allowed(
        why="register: a person's name and groups, and how they proved who they are, as the provider said",
        where=r"2xx \w+ of (GET|POST) (/people|/v1/organization/|/access-review|/audit).*",
        route="GET /auth/callback/.*",
        position="story, claim (name|groups|email)",
    ),
    Allowed(
        why="auditors' own words on cases, holds and subjects' requests, opened for auditors (sealed in the log)",
        where=_AUDITOR + ".*",
        route="POST /(cases|holds|subjects)",
        position="story, .*",
    ),
    # a sender gets a word of theirs back
    Allowed(
        why="own words: OpenAI's answer holds the safety_identifier or user that was sent",
        where="2xx document of POST /v1/images/.*",
        position="(json|form|story,) (safety_identifier|user)",
        is_own=True,
    ),
    Allowed(
        why="own words: the prompt as it was used, with what had to go replaced (`revised_prompt`)",
        where="2xx document of POST /v1/images/.*",
        route="POST /v1/images/.*",
        position="story, (password|name and mail|card.*)",
        is_own=True,
    ),
    Allowed(
        why="own words: the name of a field that we don't know, when it could be a field's name and nothing else",
        where="4xx document of .*",
        position="json, unknown name|json, a key twice|form, unknown name|name of a file's field",
        is_own=True,
    ),
    Allowed(
        why="own words: an entry of a list that is no network, so that one sees which",
        where="4xx document of .*",
        position="json networks, a list",
        is_own=True,
    ),
    Allowed(
        why="own words: a search stands in its own field and in the links of its page",
        where=r"(2xx|4xx) (page|document) of GET (/audit|/people)",
        route="GET (/audit|/people)",
        position="story, question .*|query .*",
        is_own=True,
    ),
    Allowed(
        why="own words: a form that a link filled in",
        where="2xx page of GET (/subjects/new|/auth/emergency|/holds/.*)",
        position="query (actor|drilled|case_id)( alone)?",
        is_own=True,
    ),
    Allowed(
        why="own words: a draft's title and note stand in the form again when it was refused",
        where="4xx page of POST /rules/drafts/new",
        route="POST /rules/drafts/new",
        position="form (title|note)( alone)?",
        is_own=True,
    ),
    Allowed(
        why="own words: where somebody goes back to after the sign-in or a second factor",
        place="headers of answers",
        where=r"3xx \w+ of .*",
        position="query .*|whole query|path .*|header referer|a stranger",
        is_own=True,
    ),
    Allowed(
        why="own words: where somebody goes back to after the sign-in or a second factor",
        where="2xx page of GET (/welcome|/signed-out|/)",
        position="query .*",
        is_own=True,
    ),
    Allowed(
        why="own words: SCIM's answers name the resource or attribute that is not there (RFC 7644, 3.12); to the "
        "holder of the directory's token only",
        where=r"4xx document of \w+ /scim/v2/.*",
        route="POST /scim/v2/.*",
        position="story, (query .*|patch, op|.*, id)",
    ),
    # facts about who is asking
    Allowed(
        why="policy decides on what calls it: `context.client` of its input is the User-Agent",
        place="policy",
        position="header user-agent|user agent of a stranger",
    ),
    Allowed(
        why="a feed that is told to name people (`with_subjects`) names them, with what they came with",
        place="feed",
        route="GET /auth/callback/.*",
        position="story, claim (name|groups|email)",
    ),
)


def why_allowed(place: str, where: str, form: str, seed: Seed | None, asked: str) -> str | None:
    """The reason why this sighting is no leak; None when there is none. `asked` is the route whose answer it is."""
    if seed is None or form != "plain":
        return None
    for allowed in ALLOWED:
        if (
            allowed.place == place
            and (not allowed.is_own or seed.route == asked)
            and re.fullmatch(allowed.where, where)
            and re.fullmatch(allowed.route, seed.route)
            and re.fullmatch(allowed.position, seed.position)
        ):
            return allowed.why
    return None
