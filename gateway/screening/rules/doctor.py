"""What an operator has to hear about the rules that want names: is the model there, and what happens meanwhile."""

from __future__ import annotations

from pathlib import Path

from gateway.screening.entities.model import trouble
from gateway.screening.rules.errors import RuleError
from gateway.screening.rules.ruleset import wanting_names
from gateway.screening.rules.schema import Mode


def told(directory: Path) -> tuple[list[str], list[str]]:
    """What has to be mended, and what is only to be known, about the rules under `directory`."""
    try:
        wanting = wanting_names(directory)
    except (RuleError, OSError) as error:
        return [f"{directory}: {error}"], []
    wrong = trouble() if wanting else ""
    if not wrong:
        return [], []
    held = [about(rule_id, mode, wrong) for rule_id, mode in wanting if mode == "enforce"]
    return held, [about(rule_id, mode, wrong) for rule_id, mode in wanting if mode != "enforce"]


def about(rule_id: str, mode: Mode, wrong: str) -> str:
    """One rule without its model, in a sentence with what to do."""
    if mode == "enforce":
        return f"dlp/{rule_id}.yaml: prompts with one of its cues are refused as screening.unavailable: {wrong}"
    return f"dlp/{rule_id}.yaml: waits, finds nothing: {wrong} (or set its mode to off)"
