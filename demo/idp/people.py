"""Who works at the demo company, and the credentials made for them at the first start.

Passwords and TOTP secrets are drawn at random into the state directory, not written here: a constant in a public
repository is a default credential (CWE-1392), and a demo that someone leaves running must not have one.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True, slots=True)
class Employee:
    """Someone as the company knows them."""

    name: str
    display_name: str
    department: str
    groups: tuple[str, ...]
    has_totp: bool = True

    @property
    def email(self) -> str:
        return f"{self.name}@example.com"


@dataclass(frozen=True, slots=True)
class Person:
    """Someone together with what they need to sign in. `totp_secret` is base32 as an authenticator app wants it;
    None: never enrolled one."""

    name: str
    display_name: str
    email: str
    department: str
    groups: tuple[str, ...]
    password: str
    totp_secret: str | None


STAFF: Final = (
    Employee("alice", "Alice Marsh", "Design", ("staff",)),
    Employee("bob", "Bob Okafor", "Compliance", ("compliance",)),
    # Her account has a password and nothing else: the gateway has to notice that by itself.
    Employee("carol", "Carol Lindqvist", "Marketing", ("staff",), has_totp=False),
    # A guest: signs in well, and belongs to no group that means anything to us.
    Employee("dave", "Dave Moreau", "Partners", ("visitors",)),
    Employee("erin", "Erin Castillo", "Platform", ("platform",)),
    # Administers and audits: a pair that separation of duties does not let stand, so he gets neither.
    Employee("frank", "Frank Weiss", "Platform", ("platform", "compliance")),
    # The second auditor: content opens when two agree.
    Employee("gail", "Gail Ferrari", "Compliance", ("compliance",)),
    Employee("pat", "Pat Nakamura", "Security", ("policy-team",)),
)

ROLE_MAPPING: Final[dict[str, tuple[str, ...]]] = {
    "staff": ("employee",),
    "compliance": ("auditor",),
    "policy-team": ("policy-author",),
    "platform": ("admin",),
}
"""The company's groups as roles of ours: goes into the gateway's setting `identity.roles`. `visitors` is not in it."""

TOTP_SECRET_BYTES: Final = 20
"""160 bits: what RFC 4226, section 4, R6 recommends for the shared secret."""


def people_of(path: Path, staff: Sequence[Employee] = STAFF) -> tuple[Person, ...]:
    """Everyone with their credentials: read from `path`, made there (mode 0600) for `staff` when it is not yet."""
    if not path.exists():
        made = [_hire(employee) for employee in staff]
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        path.write_text(json.dumps([asdict(p) for p in made], indent=1), encoding="utf-8")
    rows = json.loads(path.read_text(encoding="utf-8"))
    return tuple(Person(**{**row, "groups": tuple(row["groups"])}) for row in rows)


def _hire(employee: Employee) -> Person:
    # canaille keys its TOTP with the text of the secret, so the secret itself has to be text: 32 characters of base32.
    shared = base64.b32encode(secrets.token_bytes(TOTP_SECRET_BYTES)).decode()
    return Person(
        name=employee.name,
        display_name=employee.display_name,
        email=employee.email,
        department=employee.department,
        groups=employee.groups,
        password="-".join(secrets.token_hex(2) for _ in range(4)),
        totp_secret=base64.b32encode(shared.encode()).decode().rstrip("=") if employee.has_totp else None,
    )
