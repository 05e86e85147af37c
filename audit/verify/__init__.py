"""Verification: offline, with files and a public key, by anybody.

What is checked, in this order of trust: the signatures of all checkpoints (the store's and the witness's) under the
public key; that one tree has all of their roots; that each record gives the leaf the tree has in its place; that each
ciphertext, index entry and reason is that of its record; that what is missing was purged on record.
"""

from __future__ import annotations

from audit.verify.evidence import verify_evidence
from audit.verify.report import Attack, Finding, Report
from audit.verify.store import verify_store

__all__ = ["Attack", "Finding", "Report", "verify_evidence", "verify_store"]
