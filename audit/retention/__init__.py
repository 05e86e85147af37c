"""Retention: how long each class of records stays readable, and what happens on the day after.

``rules``     how many days each class is kept
``due``       which days and classes are past that, or came back from a backup
``purge``     keys first, then a purge record, then space
``receipts``  what was destroyed, kept beside the keys
``clock``     a clock that leapt ahead destroys nothing until it has shown that it means it
``worker``    the loop that does all this by itself
"""

from __future__ import annotations

from audit.retention.due import Due, ListedRetention
from audit.retention.purge import Escrow, Retention, purge_entry
from audit.retention.receipts import PurgeReceipt
from audit.retention.rules import RetentionRules
from audit.retention.worker import RetentionWorker, newest_record

__all__ = [
    "Due",
    "Escrow",
    "ListedRetention",
    "PurgeReceipt",
    "Retention",
    "RetentionRules",
    "RetentionWorker",
    "newest_record",
    "purge_entry",
]
