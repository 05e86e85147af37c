"""Finding resources without reading them all: what of a filter and of an order our columns can answer.

A filter is narrowed to a condition on indexed columns where it can be (`userName eq "…"`, which is what directories
send), and what is left is judged by `scim2-models` itself, so that the answer is right whatever is left in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from unicodedata import normalize

from scim2_models import SearchRequest
from scim2_models.path import CompareOperator, Comparison, FilterNode, LogicalExpr, LogicalOperator
from sqlalchemy import Column, ColumnElement, Table, and_, or_, select

from gateway.identity.tables import scim_groups, scim_members, scim_users

MAX_JUDGED: Final = 2_000
"""Most resources that one search may judge one by one; more is `tooMany` (RFC 7644, section 3.12)."""


def compared(text: str) -> str:
    """A string as it is compared where case does not matter: what `scim2_models.default_comparison_key` does."""
    return normalize("NFC", normalize("NFC", text).lower())


def narrow(node: FilterNode, table: Table) -> ColumnElement[bool] | None:
    """A condition that holds for every row that the filter matches; None when all have to be looked at."""
    if isinstance(node, Comparison):
        return _equality(node, table)
    if isinstance(node, LogicalExpr):
        terms = [narrow(term, table) for term in node.terms]
        known = [term for term in terms if term is not None]
        if node.op == LogicalOperator.and_ and known:
            return and_(*known)
        if node.op == LogicalOperator.or_ and len(known) == len(terms):
            return or_(*known)
    return None


def order_of(request: SearchRequest[Any], table: Table) -> list[ColumnElement[Any]] | None:
    """Columns that sort as the request asks; None when only the resources themselves can tell."""
    if request.sort_by is None:
        return [table.c.created_at.asc(), table.c.id.asc()]
    column = _COLUMNS[table.name].get(str(request.sort_by).casefold())
    if column is None:
        return None
    if request.sort_order == SearchRequest.SortOrder.descending:
        return [column.desc(), table.c.id.desc()]
    return [column.asc(), table.c.id.asc()]


_COLUMNS: Final[Mapping[str, Mapping[str, Column[Any]]]] = {
    "scim_users": {"username": scim_users.c.user_name, "meta.created": scim_users.c.created_at},
    "scim_groups": {"displayname": scim_groups.c.display_name, "meta.created": scim_groups.c.created_at},
}
"""What sorts in the database as it would here: never null, one form."""


def _equality(node: Comparison, table: Table) -> ColumnElement[bool] | None:
    name, value = str(node.attr_path).casefold(), node.value
    name = name.removeprefix("urn:ietf:params:scim:schemas:core:2.0:user:")
    name = name.removeprefix("urn:ietf:params:scim:schemas:core:2.0:group:")
    if node.op != CompareOperator.eq or not isinstance(value, str) or "\x00" in value:
        return None
    if name == "id":
        return table.c.id == value
    if name == "externalid":
        return table.c.external_id == normalize("NFC", value)
    if table is scim_users and name == "username":
        return table.c.user_name == compared(value)
    if table is scim_groups and name == "displayname":
        return table.c.display_name == compared(value)
    if table is scim_groups and name in ("members", "members.value"):
        return table.c.id.in_(select(scim_members.c.group_id).where(scim_members.c.user_id == value))
    return None
