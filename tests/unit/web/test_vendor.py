from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[3]


def load(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("vendor_script", root / "vendor" / "vendor.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The vendored files and their seal, to be tampered with."""
    shutil.copytree(ROOT / "vendor", tmp_path / "vendor")
    for folder in ("gateway/web/static/vendor", "tests/browser/vendor"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return tmp_path


def test_every_vendored_file_is_the_one_that_was_pinned():
    assert load(ROOT).problems() == []


def test_a_changed_a_missing_and_a_slipped_in_file_are_each_named(copy: Path):
    module = load(copy)
    pages = copy / "gateway/web/static/vendor"
    changed, missing = pages / "inter-5.3.0/latin.woff2", pages / "newsreader-5.3.0/LICENSE.txt"
    changed.write_bytes(changed.read_bytes() + b"\0")
    missing.unlink()
    (pages / "extra.js").write_text("alert(1)")
    found = "\n".join(module.problems())
    assert "inter-5.3.0/latin.woff2: expected sha256" in found
    assert "newsreader-5.3.0/LICENSE.txt: missing" in found
    assert "extra.js: nobody pinned this file" in found
    assert len(module.problems()) == 3


def test_a_version_range_is_refused_because_it_names_more_than_one_thing(copy: Path):
    package = json.loads((copy / "vendor/package.json").read_text())
    package["dependencies"]["@fontsource-variable/inter"] = "^5.3.0"
    (copy / "vendor/package.json").write_text(json.dumps(package))
    with pytest.raises(SystemExit, match="exact versions"):
        load(copy).pinned_versions()


def test_the_lock_file_holds_exactly_what_is_asked_for_with_its_digest():
    asked = load(ROOT).pinned_versions()
    lock = json.loads((ROOT / "vendor/package-lock.json").read_text())["packages"]
    locked = {name.removeprefix("node_modules/"): entry for name, entry in lock.items() if name}
    assert {name: entry["version"] for name, entry in locked.items()} == asked
    assert all(re.match(r"sha512-", entry["integrity"]) for entry in locked.values())


def test_the_check_is_a_command_that_fails_when_something_differs(copy: Path):
    command = [sys.executable, str(copy / "vendor/vendor.py"), "--check"]
    good = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (good.returncode, good.stdout.strip()) == (0, "vendored files: all as pinned")
    (copy / "tests/browser/vendor/axe-core-4.14.1/axe.min.js").write_text("")
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1


@pytest.mark.parametrize("name", ["inter-5.3.0", "newsreader-5.3.0"])
def test_each_typeface_comes_with_its_licence(name):
    text = (ROOT / "gateway/web/static/vendor" / name / "LICENSE.txt").read_text()
    assert "SIL Open Font License" in text or "SIL OPEN FONT LICENSE" in text


def test_the_stylesheet_asks_for_the_fonts_that_are_there():
    css = (ROOT / "gateway/web/static/css/tokens.css").read_text()
    for name in re.findall(r'url\("\.\./(vendor/[^"]+)"\)', css):
        assert (ROOT / "gateway/web/static" / name).is_file()
    assert css.count("url(") == 2
