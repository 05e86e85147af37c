"""Who may come in by which way: the intention, written down beside the code that is to follow it.

A route that is not here fails `test_routes.py`: whoever adds one says here who it is for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from gateway.vocabulary import Permission

P = Permission


class Guard(Enum):
    """What opens a route that no permission does."""

    ANYBODY = auto()
    """Also without a credential; says nothing of anybody."""
    OWN_SECRET = auto()
    """Something of its own: a provider's answer, a directory's token, a seal. No session or key helps."""
    SIGNED_IN = auto()
    """Any person or program that we know."""
    PERSON = auto()
    """A person in a browser, whatever their role; it is about themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One route: what opens it (any one of several permissions), and something to send."""

    opens: Guard | tuple[Permission, ...]
    values: Mapping[str, str] = field(default_factory=dict)
    body: object | None = None
    """A Form, an Upload, or else JSON."""
    ends_session: bool = False


@dataclass(frozen=True, slots=True)
class Form:
    """Fields of an HTML form."""

    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Upload:
    """The same with a small picture in it, as multipart."""

    fields: Mapping[str, str] = field(default_factory=dict)
    name: str = "image"
    """The field that holds the picture."""


def _may(*permissions: Permission, body: object | None = None, **values: str) -> Way:
    return Way(opens=permissions, body=body, values=values)


def _is(guard: Guard, body: object | None = None, **values: str) -> Way:
    return Way(opens=guard, body=body, values=values)


UNKNOWN = "00000000-0000-7000-8000-000000000000"
PICTURES = (P.IMAGE_GENERATE, P.IMAGE_EDIT, P.IMAGE_VARY)
PROMPT = {"prompt": "a fox", "n": 1, "size": "auto"}

WAYS: Mapping[tuple[str, str], Way] = {
    # operators and their probes; the network keeps these in (see the chart's NetworkPolicy)
    ("GET", "/healthz"): _is(Guard.ANYBODY),
    ("GET", "/readyz"): _is(Guard.ANYBODY),
    ("GET", "/metrics"): _is(Guard.ANYBODY),
    ("*", "/static"): _is(Guard.ANYBODY),
    ("GET", "/v1/openapi.json"): _is(Guard.ANYBODY),
    ("GET", "/.well-known/oauth-protected-resource"): _is(Guard.ANYBODY),
    # the door
    ("GET", "/"): _is(Guard.ANYBODY),
    ("GET", "/welcome"): _is(Guard.ANYBODY),
    ("GET", "/signed-out"): _is(Guard.ANYBODY),
    ("GET", "/auth/sign-in"): _is(Guard.ANYBODY),
    ("GET", "/auth/callback/{provider}"): _is(Guard.OWN_SECRET, provider="company"),
    ("POST", "/auth/back-channel-logout/{provider}"): _is(Guard.OWN_SECRET, Form(), provider="company"),
    ("GET", "/auth/step-up"): _is(Guard.PERSON),
    ("POST", "/auth/sign-out"): Way(opens=Guard.PERSON, body=Form(), ends_session=True),
    # a company's directory, with a token of its own
    **{
        (method, path): _is(Guard.OWN_SECRET, path="Users")
        for path in ("/scim/v2", "/scim/v2/{path:path}")
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
    },
    # OPA servers, with a token of their own
    ("GET", "/bundles/{name}.tar.gz"): _is(Guard.OWN_SECRET, name="imprimatur"),
    ("POST", "/status"): _is(Guard.OWN_SECRET, {}),
    ("POST", "/status/{partition}"): _is(Guard.OWN_SECRET, {}, partition="x"),
    # emergencies: two seals, two people, two browsers
    ("GET", "/auth/emergency"): _is(Guard.ANYBODY),
    **{
        ("POST", f"/auth/emergency{act}"): _is(Guard.OWN_SECRET, Form())
        for act in ("", "/agree", "/drill", "/enter", "/end")
    },
    # people: their own
    ("GET", "/account"): _is(Guard.PERSON),
    ("POST", "/account/notices/seen"): _is(Guard.PERSON, Form()),
    ("POST", "/account/sessions/{session_id}/end"): _is(Guard.PERSON, Form(), session_id="session-x"),
    ("GET", "/v1/session"): _is(Guard.SIGNED_IN),
    ("GET", "/v1/keys"): _is(Guard.PERSON),
    ("DELETE", "/v1/keys/{key_id}"): _is(Guard.PERSON, key_id="x" * 12),
    ("POST", "/v1/keys"): _may(P.KEY_MANAGE, body={"name": "x", "scopes": []}),
    ("GET", "/keys"): _may(P.KEY_MANAGE),
    # pictures
    ("POST", "/v1/images/generations"): _may(P.IMAGE_GENERATE, body=PROMPT),
    ("POST", "/v1/images/edits"): _may(P.IMAGE_EDIT, body=Upload({"prompt": "a fox"})),
    ("POST", "/v1/images/variations"): _may(P.IMAGE_VARY, body=Upload()),
    ("GET", "/v1/pictures/{picture_id}"): _may(*PICTURES, picture_id="x" * 32),
    ("GET", "/v1/models"): _may(P.MODEL_LIST),
    ("GET", "/v1/models/{model_id:path}"): _may(P.MODEL_LIST, **{"model_id:path": "none"}),
    ("GET", "/v1/credits"): _may(P.CREDIT_READ),
    ("POST", "/v1/screening/hints"): _may(P.SCREENING_ASK, body={"text": "a fox"}),
    ("POST", "/v1/moderations"): _may(P.SCREENING_ASK, P.IMAGE_GENERATE, body={"input": "a fox"}),
    ("GET", "/studio"): _may(P.IMAGE_GENERATE),
    ("POST", "/v1/content_provenance_checks"): _is(Guard.SIGNED_IN, Upload(name="file")),
    ("GET", "/check"): _is(Guard.PERSON),
    # the rules: authors, approvers, auditors (where the rules are a folder's, these answer 404)
    **{
        ("GET", f"/v1/policy/{path}"): _may(
            P.POLICY_READ, draft_id=UNKNOWN, revision="0" * 64, **{"path:path": ".manifest"}
        )
        for path in (
            "status",
            "activations",
            "revisions",
            "revisions/{revision}",
            "revisions/{revision}/files/{path:path}",
            "revisions/{revision}/diff",
            "drafts",
            "drafts/{draft_id}",
            "drafts/{draft_id}/versions",
            "drafts/{draft_id}/diff",
            "drafts/{draft_id}/files/{path:path}",
            "drafts/{draft_id}/comments",
            "rollout",
        )
    },
    ("POST", "/v1/policy/drafts/{draft_id}/comments"): _may(P.POLICY_READ, body={"text": "x"}, draft_id=UNKNOWN),
    ("POST", "/v1/policy/drafts"): _may(P.POLICY_WRITE, body={"title": "x"}),
    ("POST", "/v1/policy/drafts/{draft_id}"): _may(P.POLICY_WRITE, body={"after": 1}, draft_id=UNKNOWN),
    ("DELETE", "/v1/policy/drafts/{draft_id}"): _may(P.POLICY_WRITE, draft_id=UNKNOWN),
    ("POST", "/v1/policy/drafts/{draft_id}/restore"): _may(
        P.POLICY_WRITE, body={"after": 1, "version": 1}, draft_id=UNKNOWN
    ),
    ("POST", "/v1/policy/drafts/{draft_id}/rebase"): _may(P.POLICY_WRITE, body={"after": 1}, draft_id=UNKNOWN),
    ("POST", "/v1/policy/drafts/{draft_id}/check"): _may(P.POLICY_WRITE, draft_id=UNKNOWN),
    ("POST", "/v1/policy/drafts/{draft_id}/propose"): _may(
        P.POLICY_WRITE, body={"version": 1, "note": "x"}, draft_id=UNKNOWN
    ),
    ("GET", "/v1/policy/drafts/{draft_id}/forms"): _may(P.POLICY_READ, draft_id=UNKNOWN),
    ("GET", "/v1/policy/drafts/{draft_id}/forms/{form}"): _may(P.POLICY_READ, draft_id=UNKNOWN, form="hours"),
    ("POST", "/v1/policy/drafts/{draft_id}/forms/{form}"): _may(
        P.POLICY_WRITE, body={"after": 1, "values": {}}, draft_id=UNKNOWN, form="hours"
    ),
    ("POST", "/v1/policy/rollback"): _may(P.POLICY_ACTIVATE, body={"revision": "0" * 64, "reason": "to try it"}),
    ("POST", "/v1/policy/break_glass"): _may(
        P.POLICY_ACTIVATE, body={"draft": UNKNOWN, "version": 1, "minutes": 1, "reason": "to try it"}
    ),
    **{
        ("POST", f"/v1/policy/rollout/{act}"): _may(P.POLICY_ACTIVATE, body={"after": 1, "reason": "to try it", **more})
        for act, more in (("widen", {"percent": 5}), ("finish", {}), ("withdraw", {}))
    },
    # rules tried on what was: authors and approvers
    ("POST", "/v1/policy/replays"): _may(P.POLICY_REPLAY, body={"files": {".manifest": "e30="}}),
    ("GET", "/v1/policy/replays"): _may(P.POLICY_REPLAY),
    ("GET", "/v1/policy/replays/{replay_id}"): _may(P.POLICY_REPLAY, replay_id="0" * 16),
    ("DELETE", "/v1/policy/replays/{replay_id}"): _may(P.POLICY_REPLAY, replay_id="0" * 16),
    ("POST", "/v1/policy/previews"): _may(P.POLICY_REPLAY, body={"files": {".manifest": "e30="}, "input": {}}),
    ("PUT", "/v1/policy/shadow"): _may(P.POLICY_REPLAY, body={"files": {".manifest": "e30="}}),
    ("GET", "/v1/policy/shadow"): _may(P.POLICY_REPLAY),
    ("DELETE", "/v1/policy/shadow"): _may(P.POLICY_REPLAY),
    # auditors
    ("GET", "/v1/organization/audit_logs"): _may(P.AUDIT_SEARCH),
    ("GET", "/v1/organization/data_retention"): _may(P.AUDIT_SEARCH),
    ("GET", "/audit"): _may(P.AUDIT_SEARCH),
    ("GET", "/audit/checkpoint"): _may(P.AUDIT_PROVE),
    ("GET", "/audit/records"): _is(Guard.ANYBODY),  # its older address: sends on to /audit
    ("GET", "/audit/records/{event_id}"): _may(P.AUDIT_SEARCH, event_id=UNKNOWN),
    ("GET", "/audit/records/{event_id}/proof"): _may(P.AUDIT_PROVE, event_id=UNKNOWN),
    ("GET", "/audit/records/{event_id}/accesses"): _may(P.AUDIT_SEARCH, event_id=UNKNOWN),
    ("POST", "/audit/records/{event_id}/content"): _may(P.CONTENT_OPEN, body=Form(), event_id=UNKNOWN),
    ("GET", "/cases"): _may(P.CASE_REQUEST),
    ("POST", "/cases"): _may(P.CASE_REQUEST, body=Form()),
    ("GET", "/cases/{case_id}"): _may(P.CASE_REQUEST, case_id=UNKNOWN),
    ("POST", "/cases/{case_id}/decision"): _may(P.CASE_APPROVE, body=Form({"act": "approve"}), case_id=UNKNOWN),
    ("GET", "/holds"): _may(P.AUDIT_SEARCH),
    ("POST", "/holds"): _may(P.HOLD_MANAGE, body=Form()),
    ("GET", "/holds/{hold_id}"): _may(P.HOLD_MANAGE, hold_id=UNKNOWN),
    ("POST", "/holds/{hold_id}/decision"): _may(P.HOLD_MANAGE, body=Form(), hold_id=UNKNOWN),
    ("GET", "/subjects"): _may(P.SUBJECT_MANAGE),
    ("GET", "/subjects/new"): _may(P.SUBJECT_MANAGE),
    ("POST", "/subjects"): _may(P.SUBJECT_MANAGE, body=Form()),
    ("GET", "/subjects/{kind}/{request_id}"): _may(P.SUBJECT_MANAGE, kind="export", request_id=UNKNOWN),
    ("POST", "/subjects/{kind}/{request_id}/decision"): _may(
        P.SUBJECT_MANAGE, body=Form(), kind="export", request_id=UNKNOWN
    ),
    ("POST", "/subjects/export/{request_id}/file"): _may(P.SUBJECT_MANAGE, body=Form(), request_id=UNKNOWN),
    ("GET", "/retention"): _may(P.AUDIT_SEARCH),
    # administrators: people, roles, and what takes two
    ("GET", "/v1/organization/users"): _may(P.PERSON_SUSPEND),
    ("GET", "/v1/organization/users/{user_id:path}"): _may(P.PERSON_SUSPEND, **{"user_id:path": "company|none"}),
    **{
        ("POST", "/v1/organization/users/{user_id:path}/" + act): _may(
            P.PERSON_SUSPEND, body={"reason": "to try this way"}, **{"user_id:path": "company|none"}
        )
        for act in ("suspend", "reinstate", "sign_out")
    },
    ("GET", "/v1/organization/role_mapping"): _may(P.MAPPING_PROPOSE),
    ("POST", "/v1/organization/role_mapping"): _may(P.MAPPING_PROPOSE, body={"roles": {"x": ["nothing"]}}),
    ("POST", "/v1/organization/role_mapping/preview"): _may(P.MAPPING_PROPOSE, body={"roles": {}}),
    ("POST", "/v1/organization/role_mapping/rollback"): _may(P.MAPPING_PROPOSE, body={"version": 99}),
    ("GET", "/v1/organization/proposals"): _may(P.MAPPING_PROPOSE, P.SERVICE_MANAGE),
    ("GET", "/v1/organization/proposals/{proposal_id}"): _may(P.MAPPING_PROPOSE, P.SERVICE_MANAGE, proposal_id=UNKNOWN),
    ("POST", "/v1/organization/proposals/{proposal_id}/{act}"): _may(
        P.MAPPING_APPROVE, P.SERVICE_APPROVE, body={"digest": "x"}, proposal_id=UNKNOWN, act="approve"
    ),
    ("GET", "/v1/organization/access_review"): _may(P.ACCESS_REVIEW),
    # administrators: services
    ("GET", "/v1/organization/service_accounts"): _may(P.SERVICE_MANAGE),
    ("POST", "/v1/organization/service_accounts"): _may(
        P.SERVICE_MANAGE, body={"name": "x", "description": "x", "owner": "x", "note": "x"}
    ),
    ("GET", "/v1/organization/service_accounts/{name}"): _may(P.SERVICE_MANAGE, name="none"),
    ("POST", "/v1/organization/service_accounts/{name}"): _may(P.SERVICE_MANAGE, body={}, name="none"),
    ("DELETE", "/v1/organization/service_accounts/{name}"): _may(P.SERVICE_MANAGE, name="none"),
    ("GET", "/v1/organization/service_accounts/{name}/api_keys"): _may(P.SERVICE_MANAGE, name="none"),
    ("POST", "/v1/organization/service_accounts/{name}/api_keys"): _may(
        P.SERVICE_MANAGE, body={"name": "x", "note": "x"}, name="none"
    ),
    ("POST", "/v1/organization/service_accounts/api_keys/{proposal_id}/collect"): _may(
        P.SERVICE_MANAGE, proposal_id=UNKNOWN
    ),
    ("DELETE", "/v1/organization/service_accounts/{name}/api_keys/{key_id}"): _may(
        P.SERVICE_MANAGE, name="none", key_id="x" * 12
    ),
    ("GET", "/services"): _may(P.SERVICE_MANAGE),
    ("POST", "/services"): _may(P.SERVICE_MANAGE, body=Form()),
    ("GET", "/services/{name}"): _may(P.SERVICE_MANAGE, name="none"),
    ("POST", "/services/{name}/change"): _may(P.SERVICE_MANAGE, body=Form(), name="none"),
    ("POST", "/services/{name}/switch"): _may(P.SERVICE_MANAGE, body=Form(), name="none"),
    ("POST", "/services/{name}/keys"): _may(P.SERVICE_MANAGE, body=Form(), name="none"),
    ("POST", "/services/{name}/keys/{key_id}/revoke"): _may(
        P.SERVICE_MANAGE, body=Form(), name="none", key_id="x" * 12
    ),
    ("POST", "/services/keys/{proposal_id}"): _may(P.SERVICE_MANAGE, body=Form(), proposal_id=UNKNOWN),
    ("GET", "/people"): _may(P.PERSON_SUSPEND),
    ("GET", "/people/{actor_id:path}"): _may(P.PERSON_SUSPEND, **{"actor_id:path": "company|nobody"}),
    ("POST", "/people/{actor_id:path}/decision"): _may(
        P.PERSON_SUSPEND, body=Form({"act": "suspend", "reason": "x"}), **{"actor_id:path": "company|nobody"}
    ),
    # the security team: rules, and how they change
    ("GET", "/rules"): _may(P.POLICY_READ),
    **{
        ("GET", f"/rules/{place}"): _is(Guard.ANYBODY, draft_id=UNKNOWN)  # back from a second factor: sent on
        for place in ("rollout", "drafts/{draft_id}/comments", "drafts/{draft_id}/break-glass")
    },
    ("GET", "/rules/revisions/{revision}"): _may(P.POLICY_READ, revision="0" * 64),
    ("GET", "/rules/revisions/{revision}/rollback"): _is(Guard.ANYBODY, revision="0" * 64),  # sent on, as above
    ("POST", "/rules/revisions/{revision}/rollback"): _may(
        P.POLICY_ACTIVATE, body=Form({"reason": "to try it now"}), revision="0" * 64
    ),
    ("POST", "/rules/rollout"): _may(
        P.POLICY_ACTIVATE, body=Form({"act": "withdraw", "after": "1", "reason": "to try it now"})
    ),
    ("GET", "/rules/drafts/new"): _may(P.POLICY_READ),
    ("POST", "/rules/drafts/new"): _may(P.POLICY_WRITE, body=Form({"title": "x"})),
    **{
        ("GET", f"/rules/drafts/{{draft_id}}{place}"): _may(P.POLICY_READ, draft_id=UNKNOWN)
        for place in ("", "/changes", "/check", "/forms", "/history", "/preview", "/propose", "/rebase", "/replay")
    },
    ("POST", "/rules/drafts/{draft_id}"): _may(
        P.POLICY_WRITE, body=Form({"act": "remove", "file": "x", "after": "1"}), draft_id=UNKNOWN
    ),
    ("POST", "/rules/drafts/{draft_id}/comments"): _may(P.POLICY_READ, body=Form({"text": "x"}), draft_id=UNKNOWN),
    ("GET", "/rules/drafts/{draft_id}/forms/{name}"): _may(P.POLICY_READ, draft_id=UNKNOWN, name="hours"),
    ("POST", "/rules/drafts/{draft_id}/forms/{name}"): _may(
        P.POLICY_WRITE, body=Form({"after": "1"}), draft_id=UNKNOWN, name="hours"
    ),
    ("POST", "/rules/drafts/{draft_id}/check"): _may(P.POLICY_WRITE, body=Form(), draft_id=UNKNOWN),
    ("POST", "/rules/drafts/{draft_id}/rebase"): _may(P.POLICY_WRITE, body=Form(), draft_id=UNKNOWN),
    ("POST", "/rules/drafts/{draft_id}/history"): _may(P.POLICY_WRITE, body=Form({"act": "close"}), draft_id=UNKNOWN),
    ("POST", "/rules/drafts/{draft_id}/preview"): _may(
        P.POLICY_REPLAY, body=Form({"by": "input", "input": "{}"}), draft_id=UNKNOWN
    ),
    ("POST", "/rules/drafts/{draft_id}/replay"): _may(P.POLICY_REPLAY, body=Form({"days": "1"}), draft_id=UNKNOWN),
    ("POST", "/rules/drafts/{draft_id}/propose"): _may(
        P.POLICY_WRITE, body=Form({"version": "1", "note": "x"}), draft_id=UNKNOWN
    ),
    ("POST", "/rules/drafts/{draft_id}/break-glass"): _may(
        P.POLICY_ACTIVATE, body=Form({"version": "1", "minutes": "5", "reason": "to try it"}), draft_id=UNKNOWN
    ),
    ("GET", "/mapping"): _may(P.MAPPING_PROPOSE),
    ("POST", "/mapping"): _may(P.MAPPING_PROPOSE, body=Form()),
    ("GET", "/mapping/preview"): _may(P.MAPPING_PROPOSE),
    ("POST", "/mapping/preview"): _may(P.MAPPING_PROPOSE, body=Form()),
    ("POST", "/mapping/rollback"): _may(P.MAPPING_PROPOSE, body=Form({"version": "99"})),
    ("GET", "/proposals"): _may(P.MAPPING_PROPOSE, P.SERVICE_MANAGE),
    ("GET", "/proposals/{proposal_id}"): _may(P.MAPPING_PROPOSE, P.SERVICE_MANAGE, proposal_id=UNKNOWN),
    ("POST", "/proposals/{proposal_id}/decision"): _may(
        P.MAPPING_APPROVE, P.SERVICE_APPROVE, body=Form({"act": "approve"}), proposal_id=UNKNOWN
    ),
    ("GET", "/access-review"): _may(P.ACCESS_REVIEW),
}
