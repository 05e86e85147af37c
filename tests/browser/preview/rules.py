"""The preview's rules: those of a folder, or managed ones that begin as the shipped ones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Literal

import yaml

from gateway.settings import PolicySettings

SHIPPED = Path(__file__).resolve().parents[3] / "policies"
Source = Literal["folder", "managed"]


def policy_settings(state: Path, source: Source) -> PolicySettings:
    """Patient: what is late on a machine that does much else is no page's fault."""
    directory = open_for_models(state) if source == "folder" else SHIPPED
    return PolicySettings(source=source, directory=directory, decision_timeout_seconds=10, poll_seconds=0.1)


def open_for_models(state: Path) -> Path:
    """The shipped rules, open for the preview's models."""
    folder = state / "policies"
    shutil.copytree(SHIPPED, folder)
    models = folder / "gateway" / "config" / "models" / "data.yaml"
    shipped = yaml.safe_load(models.read_text())["imprimatur-embedded"]
    small = shipped | {"sizes": ["auto", "128x128"]}
    large = shipped | {"tasks": ["generate"]}
    models.write_text(json.dumps({"house-128": small, "sdxl-design": large}))  # JSON is YAML, without its anchors
    return folder
