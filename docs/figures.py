"""The page of figures: what `make bench` measured, beside what it was to reach and what others reach.

Made of `bench/results/*.json`, so no figure on it was typed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

RESULTS: Final = Path(__file__).parents[1] / "bench" / "results"
TITLES: Final[Mapping[str, str]] = {
    "audit": "The audit log",
    "content": "What pictures may show, by words and meaning",
    "diversity": "People in pictures",
    "gateway": "The way through the gateway",
    "identity": "Signing in",
    "model": "The model server",
    "model-gpu": "The model server on one card",
    "pictures": "Pictures",
    "policy": "Policy",
    "provenance": "Provenance",
    "screening": "Sensitive data in prompts",
}


def page() -> str:
    """One table for each bench, and before them what falls short."""
    results = {name: json.loads((RESULTS / f"{name}.json").read_text("utf-8")) for name in _names()}
    lines = [
        "<!-- Made by python -m docs.gen from bench/results. Measure again instead of editing this page. -->\n",
        "# Figures",
        "",
        "What `make bench NAME=...` measured, beside its target and beside others in the same run. Machines are noisy: "
        "compare ratios, and measure on your own before you plan. A target that was not reached stays on the page.",
        "",
        "## What falls short",
        "",
    ]
    short = [
        f"- {_cell(one['figure'])}: {_number(one['value'])} {one['unit']} ({_target(one)})"
        for told in results.values()
        for one in told["figures"]
        if one["met"] is False
    ]
    lines += [*(short or ["Nothing of what was measured."]), ""]
    for name, told in results.items():
        lines += [f"## {TITLES[name]}", "", f"`make bench NAME={name}`, {told['measured']}: {told['machine']}.", ""]
        lines += [*_table(told["figures"]), ""]
    return "\n".join(lines).rstrip() + "\n"


def _names() -> list[str]:
    """Of the benches that were run. Raises LookupError for one that has no title."""
    found = sorted(path.stem for path in RESULTS.glob("*.json"))
    if unknown := set(found) - TITLES.keys():
        raise LookupError(f"docs/figures.py: say in TITLES what these benches measure: {', '.join(sorted(unknown))}")
    return found


def _table(figures: list[dict[str, Any]]) -> Iterator[str]:
    yield "| figure | measured | target | | beside it |"
    yield "|---|---:|---:|---|---|"
    for one in figures:
        met = {True: "met", False: "**falls short**", None: ""}[one["met"]]
        beside = "; ".join(f"{name} {_number(value)}" for name, value in one["beside"].items())
        measured = f"{_number(one['value'])} {one['unit']}".rstrip()
        yield f"| {_cell(one['figure'])} | {measured} | {_target(one)} | {met} | {_cell(beside)} |"


def _target(one: dict[str, Any]) -> str:
    if one["target"] is None:
        return ""
    return f"{'≥' if one['more_is_better'] else '≤'} {_number(one['target'])}"


def _number(value: float) -> str:
    """Three digits that count, thousands set apart."""
    if value and abs(value) < 100:
        return f"{value:.3g}"
    return f"{value:,.0f}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
