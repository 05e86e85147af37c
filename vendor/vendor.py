"""Copy the pinned third-party files of the pages into the tree, or check that what is there is what was pinned.

    python vendor/vendor.py           fetch with `npm ci` (which holds each archive against the lock file), copy, seal
    python vendor/vendor.py --check   recompute every checksum; needs no network and no npm

A file lands under a name that carries its version, so that it can be cached for ever and an upgrade is a new address.
`vendor/SHA256SUMS` names every file and its digest; a file without a line, or a line without a file, is an error.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parent
SUMS: Final = HERE / "SHA256SUMS"

PAGES: Final = "gateway/web/static/vendor"
TESTS: Final = "tests/browser/vendor"

WANTED: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    # package -> (folder it lands in, {file in the package: name here}); {version} is filled in from package.json.
    "@fontsource-variable/newsreader": (
        f"{PAGES}/newsreader-{{version}}",
        {"files/newsreader-latin-opsz-normal.woff2": "latin.woff2", "LICENSE": "LICENSE.txt"},
    ),
    "@fontsource-variable/inter": (
        f"{PAGES}/inter-{{version}}",
        {"files/inter-latin-wght-normal.woff2": "latin.woff2", "LICENSE": "LICENSE.txt"},
    ),
    # Only the tests load it; it never reaches a person's browser.
    "axe-core": (f"{TESTS}/axe-core-{{version}}", {"axe.min.js": "axe.min.js", "LICENSE": "LICENSE.txt"}),
}


def pinned_versions() -> dict[str, str]:
    """Package -> exact version, from package.json. A range there is an error: what we ship must be one thing."""
    package = json.loads((HERE / "package.json").read_text("utf-8"))
    versions = {**package["dependencies"], **package["devDependencies"]}
    loose = [name for name, version in versions.items() if not version[:1].isdigit()]
    if loose:
        raise SystemExit(f"vendor/package.json: expected exact versions, got ranges for {', '.join(loose)}")
    return versions


def targets() -> Iterator[tuple[str, str, Path]]:
    """Each wanted file: (package, path inside it, where it stands in our tree, relative to the root)."""
    versions = pinned_versions()
    for package, (folder, files) in WANTED.items():
        for source, name in files.items():
            yield package, source, Path(folder.format(version=versions[package])) / name


def fetch() -> None:
    """Install exactly the lock file's archives into a temporary folder, copy what is wanted, write the checksums."""
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit("npm is not on the PATH: install Node.js 20 or newer, or run with --check")
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, scratch)
        # --ignore-scripts: a package's install script is somebody else's code on our machine.
        subprocess.run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=scratch, check=True)  # noqa: S603
        for folder in (PAGES, TESTS):
            shutil.rmtree(ROOT / folder, ignore_errors=True)
        for package, source, target in targets():
            (ROOT / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(Path(scratch) / "node_modules" / package / source, ROOT / target)
            print(f"{package}/{source} -> {target}")
    files = sorted(target.as_posix() for _, _, target in targets())
    SUMS.write_text("".join(f"{digest(ROOT / name)}  {name}\n" for name in files), "utf-8")


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def problems() -> list[str]:
    """What differs between the tree and the pinned state, one sentence each; empty when all is well."""
    lines = SUMS.read_text("utf-8").splitlines()
    sealed = {name: sha256 for sha256, name in (line.split("  ", 1) for line in lines)}
    wanted = {target.as_posix() for _, _, target in targets()}
    there = {
        path.relative_to(ROOT).as_posix()
        for folder in (PAGES, TESTS)
        for path in (ROOT / folder).rglob("*")
        if path.is_file()
    }
    found = [f"{name}: wanted, but vendor/SHA256SUMS has no line for it" for name in sorted(wanted - sealed.keys())]
    found += [f"{name}: has a checksum, but is not wanted any more" for name in sorted(sealed.keys() - wanted)]
    found += [f"{name}: missing" for name in sorted(sealed.keys() - there)]
    found += [f"{name}: nobody pinned this file" for name in sorted(there - sealed.keys())]
    for name in sorted(sealed.keys() & there):
        got = digest(ROOT / name)
        if got != sealed[name]:
            found.append(f"{name}: expected sha256 {sealed[name]}, got {got}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only compare the tree with vendor/SHA256SUMS")
    if not parser.parse_args().check:
        fetch()
    found = problems()
    for sentence in found:
        print(sentence, file=sys.stderr)
    print("vendored files: " + (f"{len(found)} differ" if found else "all as pinned"))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
