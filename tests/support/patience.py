"""Settings for a stack under test."""

UNHURRIED = {
    "server": {"requests_per_minute": 100_000},
    "policy": {"decision_timeout_seconds": 5},
    "credits": {"first_month": 10_000},
    "screening": {
        "timeout_seconds": 10,
        "semantic_timeout_seconds": 30,
        "picture_timeout_seconds": 60,
        "upload_timeout_seconds": 60,
    },
}
"""Tests ask faster and more than people do, on machines that are busier than a gateway's."""
