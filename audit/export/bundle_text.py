"""The texts that lie in every evidence bundle: its manifest, and a page for a reader who has never seen one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def manifest_text(manifest: Mapping[str, Any]) -> str:
    """The text of ``manifest.json``."""
    return json.dumps(manifest, indent=2) + "\n"


def readme(manifest: Mapping[str, Any]) -> str:
    """The text of ``README.txt``."""
    whole = (
        "every record that the log has up to the checkpoint" if manifest["complete"] else "selected records of the log"
    )
    content = "with" if manifest["with_content"] else "without"
    return f"""Evidence from the audit log {manifest["origin"]}
taken at {manifest["taken_at"]}, says who took it; nobody signed that

It holds {manifest["records"]:,} records ({whole}), {content} the sealed parts,
under a signed checkpoint of {manifest["checkpoint_size"]:,} records.

To verify it, on a computer of your own that has Imprimatur's package `audit`, offline, with nothing but this file and
the log's public key:

    python -m audit verify BUNDLE.zip --vkey audit.vkey

Get the public key (audit.vkey) from somebody other than whoever gave you this file. The bundle names one,

    {manifest["vkey"]}

but a forger would name their own. What the command finds: a record changed, added or moved, and in a whole log one
left out; a checkpoint that the log did not sign; any damage to this file. What it cannot find: records written after
the checkpoint.

In this file
    manifest.json    what was selected; size and SHA-256 of each file
    evidence.jsonl   the records, one a line, each with what proves it
    checkpoint       the signed head of the log's tree that all of this is under
    witness/         what independent witnesses hold of the same log, if any were asked
    proofs/          one proof a record, in the form of c2sp.org/tlog-proof, if there are few records

Who acted and what they wrote is sealed (AES-256-GCM). Without the log's keys nobody can read it, you neither, and
after its retention nobody at all; the proofs hold all the same.
"""
