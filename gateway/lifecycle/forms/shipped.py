"""The forms: which file each is about, and what may stand in it.

A form shows what it knows of a file; everything else in the file stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.lifecycle.forms.kinds import Choice, Number, Section, Single, Table, Text, Tick, Ticks, Words
from gateway.vocabulary import Role

DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
EFFECTS: Final = ("allow", "mask", "review", "deny")
PICTURE_EFFECTS: Final = ("allow", "mark", "review", "deny")
SEVERITIES: Final = ("low", "medium", "high", "critical")
TASKS: Final = ("generate", "edit", "vary")
NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
ROLE: Final = Choice(label="Role", options=tuple(role.value for role in Role))
SCORE: Final = "from 0 to 1; more than 1 = never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One matter, in one file (or, for detectors, in a folder of them)."""

    name: str
    title: str
    says: str
    path: str
    sections: tuple[Section, ...] = ()


HOURS: Final = Form(
    name="hours",
    title="Hours",
    says="When pictures may be made.",
    path="gateway/config/hours/data.yaml",
    sections=(
        Single(
            at=("timezone",),
            title="Time zone",
            help="As the IANA names it: Europe/Berlin, America/New_York, UTC.",
            cell=Text(label="Time zone", pattern=r"[A-Za-z][A-Za-z0-9_+/-]{1,60}"),
        ),
        Table(
            at=("windows",),
            title="Open",
            help="Whole hours; from is in it, to is not. Outside of all rows no picture is made.",
            columns={
                "days": Ticks(label="Days", options=DAYS),
                "from_hour": Number(label="From", most=23),
                "to_hour": Number(label="To", least=1, most=24),
            },
        ),
    ),
)

NETWORKS: Final = Form(
    name="networks",
    title="Networks",
    says="Where requests may come from.",
    path="gateway/config/networks/data.yaml",
    sections=(
        Single(
            at=("allowed_cidrs",),
            title="Networks",
            help="CIDR, one a line: 10.0.0.0/8, 2001:db8::/32. 0.0.0.0/0 and ::/0 together are everywhere.",
            cell=Words(label="Networks", pattern=r"[0-9a-fA-F.:]{2,45}/[0-9]{1,3}"),
        ),
        Single(
            at=("allowed_countries",),
            title="Countries",
            help="Two letters each, where the proxy in front tells them; * is any, also an unknown one.",
            cell=Words(label="Countries", pattern=r"[A-Z]{2}|\*"),
        ),
    ),
)

MODELS: Final = Form(
    name="models",
    title="Models",
    says="Which models people may use, at which sizes, for which work, by role and group.",
    path="gateway/config/models/data.yaml",
    sections=(
        Table(
            at=(),
            title="Models",
            help="A model that is not here can’t be used. A person needs one of its roles or one of its groups.",
            key=Text(label="Model", pattern=r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,199}"),
            columns={
                "roles": Words(label="Roles", pattern=NAME),
                "groups": Words(label="Groups"),
                "tasks": Ticks(label="Work", options=TASKS),
                "sizes": Words(label="Sizes", pattern=r"auto|[1-9][0-9]{1,4}x[1-9][0-9]{1,4}"),
                "max_images": Number(label="Pictures at once", least=1, most=100),
            },
        ),
    ),
)

LIMITS: Final = Form(
    name="limits",
    title="Limits",
    says="How much one person may ask for, and how many at once.",
    path="gateway/config/limits/data.yaml",
    sections=(
        Table(
            at=("images_per_request",),
            title="Pictures in one request",
            help="The highest of the roles that grant the request. A role that is not here may make none.",
            key=ROLE,
            columns={"": Number(label="Pictures", most=100)},
        ),
        Table(
            at=("uploads_per_request",),
            title="Pictures that come along",
            key=ROLE,
            columns={
                "count": Number(label="Pictures", most=100),
                "pixels": Number(label="Pixels together", most=10**10),
            },
        ),
        Table(
            at=("size_groups",),
            title="Sizes for some groups",
            help="A size that is not here is open to whoever may use the model.",
            key=Text(label="Size", pattern=r"[1-9][0-9]{1,4}x[1-9][0-9]{1,4}"),
            columns={"": Words(label="Groups")},
        ),
        Single(at=("usage", "user_day"), title="Requests a day", cell=Number(label="Requests a day")),
        Single(at=("usage", "user_month"), title="Requests a month", cell=Number(label="Requests a month")),
        Single(at=("usage", "in_flight"), title="Requests at once", cell=Number(label="Requests at once", least=1)),
        Single(
            at=("retention_days",),
            title="Days kept",
            help="How long what was asked and made stays readable, at most.",
            cell=Number(label="Days kept", least=1, most=3650),
        ),
    ),
)

RETENTION: Final = Form(
    name="retention",
    title="Retention",
    says="How long what was asked and made stays readable, for whom.",
    path="gateway/config/retention/data.yaml",
    sections=(
        Table(
            at=("classes",),
            title="Classes",
            help="After so many days the keys of the class are destroyed. Content of class zero is never readable.",
            key=Text(label="Class", pattern=NAME),
            columns={"": Number(label="Days", least=1, most=3650)},
        ),
        Table(
            at=("groups",),
            title="Groups kept otherwise",
            help="Of several groups, zero wins, then the fewest days.",
            key=Text(label="Group"),
            columns={"": Text(label="Class", pattern=NAME)},
        ),
        Single(
            at=("abuse_reasons",),
            title="Reasons that flag abuse",
            help="Codes, or families that end in a point.",
            cell=Words(label="Reasons", pattern=r"[a-z][a-z0-9.-]{1,80}"),
        ),
        Single(
            at=("keyword_index",),
            title="Searching words of prompts",
            cell=Tick(label="Words of prompts can be searched, by a blind index"),
        ),
    ),
)

FINDINGS: Final = Form(
    name="findings",
    title="What findings come to",
    says="From which severity a person looks, what is refused, and for whom it is milder for a while.",
    path="gateway/config/findings/data.yaml",
    sections=(
        Table(
            at=("severity_floor",),
            title="At least, by severity",
            help="Whatever a detector proposes.",
            key=Choice(label="Severity", options=SEVERITIES),
            columns={"": Choice(label="At least", options=EFFECTS)},
            fixed=True,
        ),
        Table(
            at=("types",),
            title="Exactly this, by type",
            help="Stricter or milder than proposed: dlp.email-address, content.violence.",
            key=Text(label="Type", pattern=r"[a-z][a-z0-9.-]{1,80}"),
            columns={"": Choice(label="Effect", options=EFFECTS)},
        ),
        Table(
            at=("min_score",),
            title="Only noted below a score",
            key=Text(label="Type", pattern=r"[a-z][a-z0-9.-]{1,80}"),
            columns={"": Number(label="Score", most=1, fraction=True)},
        ),
        Single(
            at=("unmaskable",),
            title="Was to be masked, and can’t be",
            cell=Choice(label="Effect", options=("review", "deny")),
        ),
        Single(
            at=("screening_unavailable",),
            title="Screening is missing, late or broken",
            cell=Choice(label="Effect", options=("review", "deny")),
        ),
        Table(
            at=("exceptions",),
            title="Exceptions",
            help="Milder for a group, until a date. Never for critical findings.",
            columns={
                "id": Text(label="Number", pattern=NAME),
                "type": Text(label="Type", pattern=r"[a-z][a-z0-9.-]{1,80}"),
                "groups": Words(label="Groups"),
                "effect": Choice(label="Effect", options=EFFECTS[:3]),
                "until": Text(label="Until (RFC 3339)", pattern=r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"),
                "approved_by_role": Text(label="Answered for by", pattern=NAME),
            },
        ),
        Table(
            at=("review_queue",),
            title="Who looks at it",
            key=Text(label="What"),
            columns={"": Text(label="Queue", pattern=NAME)},
            fixed=True,
        ),
    ),
)

CONTENT: Final = Form(
    name="content",
    title="What prompts may be about",
    says="From which score of the head that reads for meaning a person looks, and from which it is refused.",
    path="gateway/config/content/data.yaml",
    sections=(
        Single(
            at=("semantic", "review"),
            title="A person looks from",
            help=SCORE,
            cell=Number(label="Score", most=2, fraction=True),
        ),
        Single(
            at=("semantic", "deny"), title="Refused from", help=SCORE, cell=Number(label="Score", most=2, fraction=True)
        ),
        Single(
            at=("semantic", "agreed"),
            title="Head and a word of the same category",
            cell=Choice(label="Effect", options=EFFECTS),
        ),
        Table(
            at=("semantic", "categories"),
            title="By category, where it is to be another",
            key=Text(label="Category", pattern=r"content\.[a-z-]{1,60}"),
            columns={
                "review": Number(label="A person looks from", most=2, fraction=True, optional=True),
                "deny": Number(label="Refused from", most=2, fraction=True, optional=True),
            },
        ),
    ),
)

PICTURES: Final = Form(
    name="pictures",
    title="What pictures may show",
    says="Faces, nudity, and what must have been looked for, in uploads and in what models make.",
    path="gateway/config/pictures/data.yaml",
    sections=(
        *(
            Single(
                at=("faces", stage, kind),
                title=f"{'Two detectors see' if kind == 'realistic' else 'One detector sees'} a face in {words}",
                cell=Choice(label="Effect", options=PICTURE_EFFECTS),
            )
            for stage, words in (("upload", "an upload"), ("output", "what a model made"))
            for kind in ("realistic", "doubtful")
        ),
        *(
            Single(
                at=("nudity", stage, effect),
                title=f"Nudity in {words}: {'a person looks from' if effect == 'review' else 'refused from'}",
                help=SCORE,
                cell=Number(label="Score", most=2, fraction=True),
            )
            for stage, words in (("upload", "an upload"), ("output", "what a model made"))
            for effect in ("review", "deny")
        ),
        *(
            Single(
                at=("required", stage),
                title=f"Must have been looked for in {words}",
                help="Without a classifier for one, a person looks at each picture.",
                cell=Words(label="Categories", pattern=r"[a-z-]{2,40}"),
            )
            for stage, words in (("upload", "uploads"), ("output", "what models make"))
        ),
    ),
)

DETECTORS: Final = Form(
    name="dlp",
    title="Sensitive data",
    says="Which detectors run, how bad a finding of each is, and what it proposes.",
    path="dlp",
    sections=(
        Table(
            at=(),
            title="Detectors",
            help="off: not run. monitor: reported, and nothing comes of it. What a finding comes to is weighed by "
            "the form “What findings come to”.",
            key=Text(label="Detector"),
            columns={
                "mode": Choice(label="Mode", options=("off", "monitor", "enforce")),
                "severity": Choice(label="Severity", options=SEVERITIES),
                "action": Choice(label="Proposes", options=("allow", "mask", "review", "block")),
                "replacement": Text(label="Masks with", required=False, optional=True),
                "message": Text(label="What people read", long=True),
            },
            fixed=True,
        ),
    ),
)

FORMS: Final = {
    form.name: form for form in (MODELS, HOURS, NETWORKS, LIMITS, FINDINGS, DETECTORS, CONTENT, PICTURES, RETENTION)
}
