"""Witnesses: whoever holds a log's checkpoints where its owner cannot change them.

Against somebody who owns the database, the keys and the clock, the last checkpoint that a witness holds is what
counts: everything up to it is fixed. ``file`` appends to a file elsewhere, ``http`` asks C2SP witnesses, ``rfc3161`` a
time stamping authority; ``board`` serves all of them in the background. ``server`` is a small witness to run for
somebody else's log.
"""

from __future__ import annotations

from audit.witness.file import FileWitness, newest_witnessed, read_checkpoints, read_witness
from audit.witness.port import Receipt, Submission, Witness

__all__ = ["FileWitness", "Receipt", "Submission", "Witness", "newest_witnessed", "read_checkpoints", "read_witness"]
