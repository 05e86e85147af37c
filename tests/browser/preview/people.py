"""Who is in the preview: people and their sessions, services and their keys, and who may do what."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gateway.exchange import Actor, ActorId, Mfa
from gateway.identity.notices import NoticeKind
from gateway.identity.people import People
from gateway.identity.profile import Described
from gateway.identity.roles import RoleMap
from gateway.identity.service_accounts import SERVICE_SCOPES, Terms, id_of
from gateway.identity.sessions import SessionId, Sessions
from gateway.services import Services
from gateway.vocabulary import Role

XSS = tuple(
    line
    for line in (Path(__file__).resolve().parents[2] / "vectors/xss.txt").read_text("utf-8").splitlines()
    if line and not line.startswith("# ")
)

PEOPLE = {
    "alice": Described(display_name="Alice Meyer", email="alice@example.com", department="Design", groups=("staff",)),
    "bob": Described(display_name="Bob Ito", email="bob@example.com", department="Compliance", groups=("auditors",)),
    "gail": Described(display_name="Gail Ross", email="gail@example.com", department="Legal", groups=("auditors",)),
    "dave": Described(display_name="Dave Okafor", email="dave@example.com"),
    "mira": Described(display_name="Mira Sand", department="Legal", groups=("staff", "auditors")),
    "carol": Described(display_name="Carol Nye", email="carol@example.com", department="IT", groups=("admins",)),
    "dan": Described(display_name="Dan Abel", email="dan@example.com", department="IT", groups=("admins",)),
    "ann": Described(display_name="Ann Vale", email="ann@example.com", department="Security", groups=("authors",)),
    "bea": Described(display_name="Bea Lund", email="bea@example.com", department="Security", groups=("approvers",)),
    "owen": Described(display_name="Owen Gray", department="Sales", groups=("staff",)),
    "torn": Described(display_name="Tora Enn", department="IT", groups=("auditors", "admins")),
    "leaver": Described(display_name="Lea Verne", department="Sales", groups=("staff",)),
    "hostile": Described(display_name=XSS[0], department=XSS[1], groups=("staff", "auditors", XSS[2])),
}
ROLES = {
    "staff": (Role.EMPLOYEE,),
    "auditors": (Role.AUDITOR,),
    "admins": (Role.ADMIN,),
    "authors": (Role.POLICY_AUTHOR,),
    "approvers": (Role.POLICY_APPROVER,),
}


async def start_session(services: Services, name: str) -> str:
    """A fresh session of somebody, second factor and all: the value of its cookie."""
    settings, clock = services.settings.identity, services.clock
    roles = RoleMap(settings.roles)
    id = SessionId()
    async with services.database.transaction() as tx:
        person = await People(services.database, roles, clock).seen(tx, ActorId(f"preview|{name}"), PEOPLE[name])
        mfa = Mfa(at=clock(), amr=("pwd", "otp"))
        await Sessions(services.database, settings, roles, clock).start(tx, id, person, mfa)
    if name == "alice" and not await services.identity.notices.of(person.id):
        facts = {"network": "192.0.2.17", "browser": f"Firefox on Windows {XSS[0]}"}
        await services.identity.notices.tell(person.id, NoticeKind.NEW_BROWSER, **facts)
    return id.secret


async def employ(services: Services) -> None:
    """Services in every state that a page shows, keys of one, and what waits for a second person."""
    identity = services.identity
    desk = identity.services
    carol, dan = (ActorId(f"preview|{name}") for name in ("carol", "dan"))
    carol_here = Actor(id=carol, display_name="Carol Nye", method="session", credential_id="preview")
    async with services.database.transaction() as tx:
        for name in ("alice", "carol", "dan", "owen"):
            await identity.people.seen(tx, ActorId(f"preview|{name}"), PEOPLE[name])
        for name, owner, networks, is_enabled in (
            ("newsletter", "alice", ("10.20.0.0/16", "2001:db8:5::/48"), True),
            ("orphan", "owen", (), True),
            ("retired", "alice", (), False),
        ):
            terms = Terms(
                description=f"Pictures for the {name} {XSS[0]}",
                owner=ActorId(f"preview|{owner}"),
                scopes=frozenset(SERVICE_SCOPES),
                networks=networks,
                is_enabled=is_enabled,
            )
            await desk.accounts.create(tx, id_of(name), terms, by=carol, approved_by=dan)
    await identity.people.set_status(ActorId("preview|owen"), "suspended")
    account = await desk.get("newsletter")
    for n, name in enumerate(("Night run", f"Old run {XSS[0]}", "Ready", "Asked")):
        draft = await desk.draft_key(
            carol_here, account, name=name, scopes=["image:generate"], networks=[], days=90, note="For the night run"
        )
        await identity.proposals.submit(draft)
        if name == "Asked":
            continue
        async with services.database.transaction() as tx:
            await identity.proposals.decide(tx, draft, by=dan, status="approved")
        if name == "Ready":
            continue
        key = await desk.prepare_key(carol_here, draft.id)
        await desk.store_key(key)
        if n == 1:
            await desk.revoke_key(account, key.info.id)
    wider = replace(account.terms, networks=())
    draft = await desk.draft_account(carol_here, "newsletter", account.terms, wider, note=f"We move {XSS[0]}")
    await identity.proposals.submit(draft)


async def administer(services: Services) -> dict[str, str]:
    """A mapping that waits, one that was agreed to, one that was narrowed; somebody whose groups conflict."""
    mapping, carol = services.identity.mapping, ActorId("preview|carol")
    carol_here = Actor(id=carol, display_name="Carol Nye", method="session", credential_id="preview")
    async with services.database.transaction() as tx:
        for name in ("hostile", "torn"):
            await services.identity.people.seen(tx, ActorId(f"preview|{name}"), PEOPLE[name])
    now = dict(mapping.live.in_force)
    unused = {**now, "interns": frozenset({Role.EMPLOYEE})}
    draft = await mapping.draft(carol_here, await mapping.preview(unused), note="Interns draw too")
    await services.identity.proposals.submit(draft)
    dan_here = replace(carol_here, id=ActorId("preview|dan"))
    async with services.database.transaction() as tx:
        await services.identity.proposals.decide(tx, draft, by=dan_here.id, status="approved")
        await mapping.kind.carry_out(tx, draft, dan_here)
    await mapping.live.refresh()
    await mapping.narrow(carol_here, await mapping.preview(now))
    wider = {**now, "staff": frozenset({Role.EMPLOYEE, Role.REVIEWER}), XSS[0]: frozenset({Role.AUDITOR})}
    asked = await mapping.draft(carol_here, await mapping.preview(wider), note=f"Leads review {XSS[0]}")
    await services.identity.proposals.submit(asked)
    return {"proposal-open": f"/proposals/{asked.id}", "proposal-done": f"/proposals/{draft.id}"}
