"""What is built is what runs: nothing that the code reads is left out of the wheel."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("gateway", "audit", "model_server", "policies")
"""Code, and the rules that `imprimatur policy init` puts packs upon."""


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_packages(tmp_path):
    tracked = subprocess.run(
        ["git", "ls-files", *PACKAGES], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    source = tmp_path / "source"
    for name in [*tracked, "pyproject.toml", "README.md", "LICENSE"]:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir"]
    subprocess.run([*command, str(tmp_path / "out"), str(source)], check=True, capture_output=True)
    (wheel,) = (tmp_path / "out").glob("*.whl")
    assert sorted(set(tracked) - set(zipfile.ZipFile(wheel).namelist())) == []
