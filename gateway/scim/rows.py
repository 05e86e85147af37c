"""What users and groups have in common: rows to resources and back, and the checks before anything is kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeVar
from unicodedata import normalize

from scim2_models import InvalidValueException, Meta, PreconditionFailedException, Resource
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.exchange import ActorId
from gateway.identity.provisioned import Provisioned
from gateway.scim.clients import Client
from gateway.scim.records import Records

MAX_NAME: Final = 255
"""Characters of what stands in a column of its own."""
_IDS_A_QUERY: Final = 500
"""Databases limit how many values a statement has; SQLite's older builds at 999."""

Item = TypeVar("Item")


@dataclass(slots=True, kw_only=True)
class Work:
    """One request of a directory, while it is carried out: its transaction, and what becomes known in it."""

    client: Client
    tx: AsyncConnection
    now: datetime
    records: Records
    provisioned: Provisioned
    leaving: set[ActorId] = field(default_factory=set)
    """People who are being taken out. Known before it is recorded: their door is shut also when the log is down."""


def dump(resource: Resource[Any]) -> dict[str, Any]:
    """What is kept of a resource: its attributes as JSON, without what we know better."""
    data = resource.model_dump()
    for ours in ("id", "meta", "groups", "members", "schemas"):
        data.pop(ours, None)
    _check(data)
    return data


def load(model: type[Resource[Any]], row: Row[Any], resource_type: str) -> Resource[Any]:
    """The resource of a row."""
    schemas = [str(model.__schema__), *(key for key in row.resource if key.startswith("urn:"))]
    resource: Resource[Any] = model.model_validate({"schemas": schemas, **row.resource})
    resource.id = row.id
    resource.meta = Meta(
        resource_type=resource_type,
        created=row.created_at,
        last_modified=row.modified_at,
        version=version_of(row.version),
    )
    return resource


def version_of(number: int) -> str:
    """A weak entity tag (RFC 7644, section 3.14)."""
    return f'W/"{number}"'


def check_version(row: Row[Any], expected: str | None) -> None:
    """Raises PreconditionFailedException."""
    if expected is not None and version_of(row.version) != expected:
        raise PreconditionFailedException


def column_text(value: str | None, name: str) -> str | None:
    """A string that fits its column. Raises InvalidValueException."""
    if value is not None and len(value) > MAX_NAME:
        raise InvalidValueException(detail=f"{name} may have {MAX_NAME} characters, this one has {len(value)}.")
    return None if value is None else normalize("NFC", value)


def changed_names(before: Mapping[str, Any], after: Mapping[str, Any]) -> set[str]:
    """Names of the attributes that differ, an extension's by their own."""
    names: set[str] = set()
    for key in before.keys() | after.keys():
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        if key.startswith("urn:") and isinstance(old or {}, Mapping) and isinstance(new or {}, Mapping):
            names |= {f"{key}:{name}" for name in changed_names(old or {}, new or {})}
        else:
            names.add(key)
    return names


def in_pieces(items: Iterable[Item]) -> Iterator[Sequence[Item]]:
    """As many as one statement may carry."""
    rest = list(items)
    for start in range(0, len(rest), _IDS_A_QUERY):
        yield rest[start : start + _IDS_A_QUERY]


def _check(value: Any) -> None:
    """Nothing that a database would refuse or cut: no NUL (PostgreSQL has no such character)."""
    if isinstance(value, str):
        if "\x00" in value:
            raise InvalidValueException(detail="A value holds a NUL character.")
    elif isinstance(value, Mapping):
        for item in value.values():
            _check(item)
    elif isinstance(value, list):
        for item in value:
            _check(item)
