"""The child of a replay: decides past inputs by a candidate, with little memory and behind everybody else.

It reads lines from standard input: first what to do, then one input a line. It writes lines: how far it came, and at
the end what came out. See `runner`; `serve` is the same for a shadow, which wants an answer to each input.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Iterable, Mapping
from typing import IO, Any, Final

from gateway.policy.bundle import Rules
from gateway.policy.engine import EntryPoint
from gateway.policy.rego import RegoError
from gateway.replay.decider import Decider, Outcome, recorded_outcome
from gateway.replay.explain import Explainer
from gateway.replay.report import Tally

MEMORY_BYTES: Final = 2 << 30
"""Address space: the libraries alone map a few hundred megabytes."""
NICENESS: Final = 10
"""Requests come first."""
TELL_SECONDS: Final = 0.5
VERIFY_EVERY: Final = 50
"""One recorded decision in so many is worked out again, to see that the record is what these rules say."""


def replay(setup: Mapping[str, Any], lines: Iterable[str], out: IO[str]) -> dict[str, Any]:
    """The report. Tells `out` how many decisions are done, now and then. Raises RegoError."""
    candidate, baseline = Decider(_rules(setup["candidate"])), Decider(_rules(setup["baseline"]))
    tally = Tally(minutes_per_review=setup["minutes_per_review"])
    told = time.monotonic()
    for line in lines:
        kept = json.loads(line)
        document = kept["document"]  # with its mode as it was: the question is what the candidate would do in force
        recorded = recorded_outcome(kept)
        # What these very rules said then is what they say now: a decision depends on its input and nothing else.
        is_same = kept["revision"] == baseline.rules.revision and tally.decisions % VERIFY_EVERY
        before = recorded if is_same else baseline.decide(document)
        tally.add(
            document,
            recorded=recorded,
            before=before,
            after=candidate.decide(document),
            lacking=candidate.reads.lacking(document),
        )
        if time.monotonic() - told > TELL_SECONDS:
            told = time.monotonic()
            print(json.dumps({"done": tally.decisions}), file=out, flush=True)
    report = tally.report()
    now, then = Explainer(candidate.rules), Explainer(baseline.rules)
    for sample in report["samples"]:
        document = sample.pop("input")
        sample["explanation"], sample["explanation_before"] = now.explain(document), then.explain(document)
    return {
        "baseline": {"revision": baseline.rules.revision},
        "candidate": {"revision": candidate.rules.revision},
        **report,
        "worked_out": candidate.asked - candidate.remembered,
        "remembered": candidate.remembered,
        "remembered_wrongly": bool(candidate.mismatch or baseline.mismatch),
    }


def preview(setup: Mapping[str, Any]) -> dict[str, Any]:
    """One input under a candidate and, where it is given, under the rules to compare with; explained."""
    told = {"candidate": Explainer(_rules(setup["candidate"])).explain(setup["document"])}
    if setup["baseline"] is not None:
        told["baseline"] = Explainer(_rules(setup["baseline"])).explain(setup["document"])
    return told


def serve(setup: Mapping[str, Any], lines: Iterable[str], out: IO[str]) -> None:
    """Answer each line `[entry point, input]` with a line of effect, codes and error. Raises RegoError."""
    rules = _rules(setup["candidate"])
    deciders = {entry: Decider(rules, entry) for entry in EntryPoint}
    print(json.dumps({"ready": True}), file=out, flush=True)
    for line in lines:
        entry, document = json.loads(line)
        outcome = deciders[EntryPoint(entry)].decide(document)
        print(json.dumps(_told(outcome)), file=out, flush=True)


def _told(outcome: Outcome) -> dict[str, Any]:
    return {"effect": outcome.effect.value, "codes": list(outcome.codes), "error": outcome.error}


def _rules(told: Mapping[str, Any]) -> Rules:
    return Rules(revision=told["revision"], modules=told["modules"], data_json=told["data_json"])


def main() -> None:
    """Read what to do, do it, write what came out as the last line."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    os.nice(NICENESS)
    setup = json.loads(sys.stdin.readline())
    try:
        if setup["job"] == "serve":
            serve(setup, sys.stdin, sys.stdout)
        elif setup["job"] == "preview":
            print(json.dumps({"result": preview(setup)}), flush=True)
        else:
            print(json.dumps({"result": replay(setup, sys.stdin, sys.stdout)}), flush=True)
    except RegoError as error:
        print(json.dumps({"failed": error.place}), flush=True)


if __name__ == "__main__":
    main()
