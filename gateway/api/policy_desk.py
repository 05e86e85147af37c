"""The desk behind `/v1/policy/…`, where there is one."""

from __future__ import annotations

from fastapi import Request

from gateway.errors import NotFound
from gateway.lifecycle import PolicyDesk
from gateway.services import services_of


def desk_of(request: Request) -> PolicyDesk:
    """Raises NotFound where the rules are a folder's."""
    desk = services_of(request).policy_desk
    if desk is None:
        raise NotFound("The rules of this gateway come from a folder (policy.source), and are changed there.")
    return desk
