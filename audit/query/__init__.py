"""What may be asked of the log, and what comes back: one row for each request or event, newest first.

``model.py`` the question, ``fields.py`` what it may name, ``values.py`` spans of numbers and time, ``language.py``
question and text, ``cursor.py`` where a search goes on, ``results.py`` the answers.
"""

from __future__ import annotations

from audit.query.fields import RULES, Field
from audit.query.language import (
    MAX_QUERY_LENGTH,
    Term,
    read_query,
    read_terms,
)
from audit.query.model import DEFAULT_LIMIT, MAX_LIMIT, Condition, Query
from audit.query.results import (
    FACETS,
    Count,
    FacetValue,
    OpenedRecord,
    Page,
    RecordView,
    RequestRow,
)

__all__ = [
    "DEFAULT_LIMIT",
    "FACETS",
    "MAX_LIMIT",
    "MAX_QUERY_LENGTH",
    "RULES",
    "Condition",
    "Count",
    "FacetValue",
    "Field",
    "OpenedRecord",
    "Page",
    "Query",
    "RecordView",
    "RequestRow",
    "Term",
    "read_query",
    "read_terms",
]
