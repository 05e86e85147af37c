"""How directories write what RFC 7644 says differently. `tests/vectors/scim/` holds what they send, by name.

`scim2-models` reads most of it under our policy (`schemas.POLICY`): operations as `Add`, booleans as `"True"`, one
value where a list belongs, members removed by value, keys with dots. What is left is put right here, before it is
validated:

* Okta renames a group by a value that repeats the group's own `id`, which is read-only (RFC 7643, section 3.1);
* Entra ID removes members by a value with `"$ref": null` in it, which no member has: only `value` says who is meant;
* Entra ID sets the manager to a plain string instead of `{"value": …}`;
* Entra ID writes `emails[type eq "work"].value` as a *key* of a value without a path.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from scim2_models import InvalidValueException, PayloadTooLargeException

from gateway.scim.schemas import ENTERPRISE

MAX_OPERATIONS: Final = 500
"""Most operations of one PATCH. Entra ID sends one for each changed attribute, and members in lists."""
MAX_PATH: Final = 500
"""Longest PATCH path, in characters: it is parsed."""

_MANAGER: Final = f"{ENTERPRISE}:manager".casefold()


def translate(method: str, path: str, body: bytes) -> bytes:
    """The body as RFC 7644 would have it. What is no JSON object stays as it is: the validation says what is wrong.
    Raises PayloadTooLargeException, InvalidValueException."""
    if method not in ("POST", "PUT", "PATCH") or not body:
        return body
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return body
    if not isinstance(found, dict):
        return body
    if method != "PATCH":
        return json.dumps(_with_manager(found)).encode()
    name = next((key for key in found if key.casefold() == "operations"), None)
    operations = found.get(name) if name else None
    if not isinstance(operations, list):
        return body
    if len(operations) > MAX_OPERATIONS:
        raise PayloadTooLargeException(
            detail=f"A PATCH may have {MAX_OPERATIONS} operations, this one has {len(operations)}. Send it in parts."
        )
    resource_id = path.rstrip("/").rpartition("/")[2]
    found[str(name)] = [part for operation in operations for part in _operation(operation, resource_id)]
    return json.dumps(found).encode()


def _operation(operation: Any, resource_id: str) -> Iterator[Any]:
    """One operation, as one or several."""
    if not isinstance(operation, dict):
        yield operation
        return
    path, value = operation.get("path"), operation.get("value")
    if isinstance(path, str) and len(path) > MAX_PATH:
        raise InvalidValueException(detail=f"A PATCH path may have {MAX_PATH} characters, this one has {len(path)}.")
    if isinstance(path, str) and path.casefold() == _MANAGER and isinstance(value, str):
        yield {**operation, "value": {"value": value}}
    elif str(operation.get("op")).casefold() == "remove" and str(path).casefold() == "members":
        yield {**operation, **({} if value is None else {"value": _who(value)})}
    elif not path and isinstance(value, dict):
        value = {key: item for key, item in value.items() if not (key == "id" and item == resource_id)}
        plain = {key: item for key, item in value.items() if not _is_path(key)}
        if plain or len(plain) == len(value):
            yield {**operation, "value": _with_manager(plain)}
        for key, item in value.items():
            if _is_path(key):
                yield from _operation({**operation, "path": key, "value": item}, resource_id)
    else:
        yield operation


def _is_path(key: str) -> bool:
    """Whether a key of a value without a path is better a path of its own."""
    return "[" in key or key.casefold() == "members"


def _who(value: Any) -> Any:
    """Members to remove, by their ids alone."""
    if isinstance(value, list):
        return [_who(item) for item in value]
    return {"value": value["value"]} if isinstance(value, dict) and value.get("value") else value


def _with_manager(resource: dict[str, Any]) -> dict[str, Any]:
    """A manager that came as a plain string, as the object it should be."""

    def right(key: str, item: Any) -> Any:
        if key.casefold() == _MANAGER and isinstance(item, str):
            return {"value": item}
        if key.casefold() == ENTERPRISE.casefold() and isinstance(item, dict):
            manager = item.get("manager")
            return {**item, "manager": {"value": manager}} if isinstance(manager, str) else item
        return item

    return {key: right(key, item) for key, item in resource.items()}
