"""Which files hold the checks of a subject, and which tests are to notice when one is gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """One file and its tests, the quickest first."""

    path: str
    tests: tuple[str, ...]


def _unit(name: str, *tests: str) -> Target:
    return Target(f"gateway/identity/{name}.py", tuple(map(_tests_of, tests)))


def _tests_of(name: str) -> str:
    """`sign_in` is a file of identity's own tests, `scim/lifecycle` one of another room's."""
    room, _, file = name.rpartition("/")
    return f"tests/unit/{room or 'identity'}/test_{file}.py"


def _policy(name: str, *tests: str) -> Target:
    return Target(f"gateway/policy/{name}.py", tuple(f"tests/unit/policy/test_{test}.py" for test in tests or (name,)))


TARGETS: Mapping[str, tuple[Target, ...]] = {
    "identity": (
        _unit("tokens", "hostile_tokens", "authenticate", "sign_in"),
        _unit("jwks", "jwks", "authenticate"),
        _unit("mfa", "mfa"),
        _unit("return_to", "return_to"),
        _unit("csrf", "csrf"),
        _unit("sessions", "sessions", "sign_in", "authenticate"),
        _unit("transactions", "sign_in"),
        _unit("discovery", "provider_answers", "sign_in", "jwks", "authenticate"),
        _unit("oidc", "provider_answers", "sign_in", "recheck"),
        _unit("recheck", "recheck"),
        _unit("backchannel", "backchannel"),
        _unit("sealing", "sealing", "recheck"),
        _unit("drafts", "drafts"),
        _unit("sign_in", "sign_in", "sessions", "scim/lifecycle"),
        _unit("authenticate", "authenticate", "api_keys", "sessions", "service_accounts", "scim/lifecycle"),
        _unit("api_keys", "api_keys"),
        _unit("minting", "api_keys"),
        _unit("proposals", "proposals"),
        _unit("networks", "networks"),
        _unit("service_accounts", "service_accounts"),
        _unit("service_proposals", "service_accounts"),
        _unit("service_desk", "service_accounts"),
        _unit("roles", "roles", "emergency"),
        _unit("mapping", "mapping"),
        _unit("mapping_desk", "mapping"),
        _unit("seals", "emergency"),
        _unit("emergency", "emergency"),
        _unit("roster", "roster"),
        _unit("throttle", "door"),
        _unit("known_browsers", "door"),
        _unit("facade", "csrf", "authenticate", "door", "sessions"),
    ),
    "policy": (
        _policy("signing"),
        _policy("tarball"),
        _policy("revisions", "revisions"),
        _policy("fleet", "revisions"),
        _policy("publisher"),
        _policy("opa", "opa"),
        _policy("opa_status", "opa"),
    ),
    "login": (
        Target("gateway/login/device_flow.py", ("tests/unit/login/test_device_flow.py",)),
        Target("gateway/login/keyring_shelf.py", ("tests/unit/login/test_commands.py",)),
    ),
}
