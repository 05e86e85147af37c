"""Slack tokens and incoming webhooks (api.slack.com, "Token types")."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.screening.text.candidate import Accepted, Candidate
from gateway.screening.text.validators.guard import secret


def slack(candidate: Candidate) -> Sequence[Accepted]:
    """A token or webhook address with at least one digit: "xoxb-your-token" has none."""
    if not any(c.isdigit() for c in candidate.value):
        return ()
    return secret(candidate)
