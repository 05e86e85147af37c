"""`imprimatur doctor idp ISSUER`: what a provider offers, what it really sends, and the settings that fit.

1. its discovery document, with what would not work here or would not be safe
2. with a client id, one test sign-in (`trial_sign_in.py`)
3. the claims that came, by name and form; values only of those that say how somebody signed in and their groups
4. an entry for `identity.providers`, ready to paste; where no second factor was shown, it says so and accepts none

Nothing is guessed in favour of the provider: a value of `acr` is proposed only as a comment, because only its owner
knows what it stands for.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import httpx2
import typer
import yaml

from gateway.errors import IdentityUnavailable
from gateway.identity import discovery, mfa
from gateway.settings import ClaimProfile
from gateway.trial_sign_in import LEEWAY_SECONDS, PINNED, Asked, Shown, Trial, TrialStopped

KNOWLEDGE: Final = frozenset({"pwd", "password", "pin", "kba"})
"""Words of `amr` for something that is known (RFC 8176, 2, and glewlwyd's). Any other named factor is another kind."""
SUMMARIES: Final = frozenset({"mfa", "mca", "rba", "user"})
"""Words of `amr` that are no factor themselves."""
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
GROUP_CLAIMS: Final = ("groups", "roles", "memberOf", "member_of", "cognito:groups")
HOW: Final = ("amr", "acr", "acrs")
"""Claims about the sign-in, whose values are shown."""
OLDEST_SECONDS: Final = 30 * 86_400
"""An `auth_time` that is older is none: glewlwyd says 0."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about a provider. A `problem` keeps people out or is not safe; others are worth knowing."""

    is_problem: bool
    text: str


def command(
    issuer: Annotated[str, typer.Argument(help="The issuer's address, letter for letter as its tokens carry it.")],
    client_id: Annotated[str, typer.Option(help="Sign in once as this client, to see claims.")] = "",
    client_secret_file: Annotated[
        Path | None, typer.Option(help="File with the client's secret; a public client has none.")
    ] = None,
    device: Annotated[bool, typer.Option("--device", help="Sign in by device code instead of a browser here.")] = False,
    scope: Annotated[str, typer.Option(help="Scopes to ask for.")] = "openid profile email",
    acr_values: Annotated[str, typer.Option(help="`acr_values` to ask for.")] = "",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Loopback port to come back to; 0 takes a free one.")] = 0,
    wait: Annotated[int, typer.Option(min=10, max=1800, help="Seconds to wait for the person.")] = 300,
) -> None:
    """Look at an identity provider: what it offers, what a test sign-in shows, and the settings that fit. Prints no
    token."""
    secret = None
    if client_secret_file is not None:
        try:
            secret = client_secret_file.read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            typer.secho(f"--client-secret-file {client_secret_file}: {error}", fg="red", err=True)
            raise typer.Exit(2) from None
    asked = Asked(
        client_id=client_id,
        client_secret=secret,
        scopes=tuple(scope.split()),
        acr_values=acr_values,
        port=port,
        patience_seconds=float(wait),
    )
    raise typer.Exit(asyncio.run(_examine(issuer, asked if client_id else None, device)))


async def _examine(issuer: str, asked: Asked | None, by_device: bool) -> int:
    async with discovery.client(ssl.create_default_context()) as http:
        metadata = await _metadata(issuer, http)
        if metadata is None:
            return 1
        findings = look(issuer, metadata)
        for line in offers(metadata):
            typer.echo(line)
        for finding in findings:
            typer.secho(("problem: " if finding.is_problem else "note: ") + finding.text, fg="red", err=True)
        if any(finding.is_problem for finding in findings):
            return 1
        if asked is None:
            typer.echo("\nTo see which claims it sends, sign in once: add --client-id.")
            return 0
        trial = Trial(metadata, asked, http, typer.echo)
        try:
            shown = await (trial.by_device() if by_device else trial.by_browser())
        except TrialStopped as stopped:
            typer.secho(str(stopped), fg="red", err=True)
            return 1
    now = datetime.now(UTC)
    for line in claims_of(shown, now):
        typer.echo(line)
    text, is_shown = proposal(issuer, asked, shown, now)
    typer.echo("\n" + text)
    return 0 if is_shown else 1


async def _metadata(issuer: str, http: httpx2.AsyncClient) -> Mapping[str, Any] | None:
    if not _is_safe(issuer, issuer):
        text = f"{issuer}: a provider's address begins with https:// (plain http on this machine's loopback only)."
        typer.secho(text, fg="red", err=True)
        return None
    try:
        return await discovery.fetch_object(http, issuer.rstrip("/") + "/.well-known/openid-configuration")
    except IdentityUnavailable:
        typer.secho(
            f"{issuer}/.well-known/openid-configuration does not answer with a discovery document (200, JSON, no "
            "redirect). Check the address, its certificate and the way there.",
            fg="red",
            err=True,
        )
        return None


def look(issuer: str, metadata: Mapping[str, Any]) -> list[Finding]:
    """What a discovery document says that matters here, the problems first."""
    found: list[Finding] = []

    def problem(text: str) -> None:
        found.append(Finding(True, text))

    def note(text: str) -> None:
        found.append(Finding(False, text))

    if metadata.get("issuer") != issuer:
        problem(f"It calls itself {_value(metadata.get('issuer'))}; write that, letter for letter, as `issuer`.")
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        if not _is_safe(metadata.get(name), issuer):
            problem(f"{name} is {_value(metadata.get(name))}: it has to be there, and https (http on loopback only).")
    for name in ("userinfo_endpoint", "end_session_endpoint", "device_authorization_endpoint"):
        if name in metadata and not _is_safe(metadata[name], issuer):
            problem(f"{name} is {_value(metadata[name])}: it has to be https (http on loopback only).")
    if urlsplit(issuer).scheme == "http":
        note("Plain http: good for tries on this machine, and nowhere else.")
    algorithms = _texts(metadata.get("id_token_signing_alg_values_supported"))
    if not set(algorithms) & set(PINNED):
        problem(f"It signs ID tokens with none of {', '.join(PINNED)}, so none would be accepted.")
    if "none" in algorithms:
        note("It offers ID tokens without a signature (alg none). The gateway refuses them; others may not.")
    if "S256" not in _texts(metadata.get("code_challenge_methods_supported")):
        note("It doesn't promise PKCE with S256. The gateway always sends it; make sure that it is checked.")
    if "code" not in _texts(metadata.get("response_types_supported")):
        problem("It doesn't offer the code flow (response_types_supported has no `code`).")
    if metadata.get("authorization_response_iss_parameter_supported") is not True:
        note("It doesn't promise to name itself in its answers (RFC 9207). With several providers each has its own "
             "redirect address here, which keeps their answers apart.")  # fmt: skip
    if "password" in _texts(metadata.get("grant_types_supported")):
        note("It offers the grant `password`, which usually asks for no second factor. Don't allow it for our client.")
    return sorted(found, key=lambda finding: not finding.is_problem)


def offers(metadata: Mapping[str, Any]) -> list[str]:
    """What it offers of the things that the gateway makes use of."""
    grants = _texts(metadata.get("grant_types_supported"))
    rows = {
        "issuer": _value(metadata.get("issuer")),
        "signatures": ", ".join(_texts(metadata.get("id_token_signing_alg_values_supported"))) or "not said",
        "PKCE": ", ".join(_texts(metadata.get("code_challenge_methods_supported"))) or "not said",
        "scopes": ", ".join(_texts(metadata.get("scopes_supported"))) or "not said",
        "claims": ", ".join(_texts(metadata.get("claims_supported"))) or "not said",
        "acr values": ", ".join(_texts(metadata.get("acr_values_supported"))) or "not said",
        "userinfo": _yes("userinfo_endpoint" in metadata),
        "refresh tokens": _yes("refresh_token" in grants) if grants else "not said",
        "sign-out (RP-initiated)": _yes("end_session_endpoint" in metadata),
        "sign-out told to us (back-channel)": _yes(metadata.get("backchannel_logout_supported") is True),
        "device sign-in": _yes("device_authorization_endpoint" in metadata),
        "revocation of tokens": _yes("revocation_endpoint" in metadata),
    }
    return [f"{name + ':':36}{value}" for name, value in rows.items()]


def claims_of(shown: Shown, now: datetime) -> list[str]:
    """The claims by name and form."""
    lines = ["The ID token is one that the gateway accepts. It has these claims:"]
    lines += [f"  {name:24}{_form(name, value, now)}" for name, value in sorted(shown.id_token.items())]
    more = {name: value for name, value in shown.userinfo.items() if name not in shown.id_token}
    lines.append("Userinfo adds these:" if more else "Userinfo adds none.")
    lines += [f"  {name:24}{_form(name, value, now)}" for name, value in sorted(more.items())]
    lines.append(f"A refresh token came back: {_yes(shown.gives_refresh_token)}.")
    if shown.access_token is None:
        lines.append("The access token is not readable: programs use the gateway's own keys.")
    else:
        names = ", ".join(sorted(shown.access_token))
        lines.append(f"The access token is a JWT with: {''.join(c for c in names if c.isprintable())[:400]}")
    return lines


def proposal(issuer: str, asked: Asked, shown: Shown, now: datetime) -> tuple[str, bool]:
    """An entry for `identity.providers`, and whether the sign-in just done would count as one with two factors."""
    profile = _profile(shown, now)
    read = ClaimProfile(**profile)
    # `acr`, `amr` and `auth_time` from the ID token only, as the gateway does.
    evidence = mfa.evidence(read, shown.id_token, now=now, callback=True, leeway_seconds=LEEWAY_SECONDS)
    is_shown = evidence.at is not None
    entry: dict[str, Any] = {
        "name": "company",
        "issuer": issuer,
        "client_id": asked.client_id,
        **({"client_secret_path": "/run/imprimatur/secrets/client-company"} if asked.client_secret else {}),
        "scopes": list(asked.scopes),
        "algorithms": [shown.algorithm],
        **({"acr_values": asked.acr_values} if asked.acr_values else {}),
        "profile": profile,
    }
    text = yaml.safe_dump({"identity": {"providers": [entry]}}, sort_keys=False, allow_unicode=False)
    acr = shown.id_token.get("acr")
    if isinstance(acr, str) and acr:
        text += f"# If this `acr` stands for two factors, and no weaker sign-in gets it: mfa_acr_in: [{_value(acr)}]\n"
    if not is_shown:
        text += (
            "# No second factor was shown, so nobody gets in with this. Sign in with an account that has one, let the\n"
            "# provider send `amr` or `acr` (docs: Claim profiles), or ask for it with --acr-values.\n"
        )
    else:
        text += "# The sign-in just done counts as one with two factors. Now try an account with a password alone.\n"
    if _groups_claim(shown) is None:
        text += "# No claim looks like groups, and without groups nobody has a role: add one at the provider.\n"
    return text, is_shown


def _profile(shown: Shown, now: datetime) -> dict[str, Any]:
    """The smallest profile that reads what came."""
    claims = shown.id_token
    profile: dict[str, Any] = {}
    amr = _texts(claims.get("amr"))
    kinds = [word for word in dict.fromkeys(amr) if word not in SUMMARIES]
    if set(kinds) & KNOWLEDGE and set(kinds) - KNOWLEDGE:
        profile["mfa_amr_two_distinct_of"] = kinds
    elif "mfa" in amr:
        profile["mfa_amr_any_of"] = ["mfa"]
    elif contexts := _texts(claims.get("acrs")):
        profile["mfa_acrs_any_of"] = contexts[:1]
    at = claims.get("auth_time")
    age = now.timestamp() - at if isinstance(at, int | float) and not isinstance(at, bool) else float("inf")
    profile["trusts_auth_time"] = -LEEWAY_SECONDS <= age <= OLDEST_SECONDS
    groups = _groups_claim(shown)
    if groups is not None:
        profile["groups_claim"] = groups
        if isinstance({**shown.userinfo, **claims}[groups], str):
            profile["groups_form"] = "comma-string"
    if "department" not in {**shown.userinfo, **claims}:
        profile["department_claim"] = ""
    return profile


def _groups_claim(shown: Shown) -> str | None:
    found = {**shown.userinfo, **shown.id_token}
    usual = [name for name in GROUP_CLAIMS if name in found]
    others = sorted(name for name in found if name.lower().endswith(("groups", "roles")) and name not in usual)
    return next((name for name in (*usual, *others) if isinstance(found[name], str) or _is_texts(found[name])), None)


def _form(name: str, value: Any, now: datetime) -> str:
    if name in HOW or name in GROUP_CLAIMS or name.lower().endswith(("groups", "roles")):
        return _value(value)
    if name == "auth_time" and isinstance(value, int | float) and not isinstance(value, bool):
        return f"number: {now.timestamp() - value:.0f} s ago"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, list):
        return f"list of {len(value)}" + (" texts" if _is_texts(value) else "")
    kinds = {str: "text", int: "number", float: "number", dict: "object"}
    return next((word for kind, word in kinds.items() if isinstance(value, kind)), "empty")


def _value(value: Any) -> str:
    """Cut, and with every character escaped that a terminal or YAML would act on."""
    return json.dumps(value, ensure_ascii=True, default=str)[:400]


def _texts(value: Any) -> list[str]:
    return [text for text in value if isinstance(text, str) and text.isprintable()] if isinstance(value, list) else []


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _is_safe(address: Any, issuer: str) -> bool:
    """https; or http on loopback where the issuer is there itself."""
    if not isinstance(address, str):
        return False
    parts = urlsplit(address)
    if parts.scheme == "https":
        return bool(parts.hostname)
    is_local = parts.hostname in LOOPBACK and urlsplit(issuer).hostname in LOOPBACK
    return parts.scheme == "http" and is_local and urlsplit(issuer).scheme == "http"


def _yes(is_so: bool) -> str:
    return "yes" if is_so else "no"
