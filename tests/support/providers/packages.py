"""Installs the foreign providers into `.cache/providers`, once: npm's oidc-provider, and Debian's glewlwyd unpacked
(not installed: its packages would start a service and ask for a database)."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

HOME: Final = Path(__file__).resolve().parents[3] / ".cache" / "providers"
NPM_FILES: Final = tuple(
    Path(__file__).parent / "oidc_provider" / name for name in ("package.json", "package-lock.json")
)
GLEWLWYD_VERSION: Final = "2.7.5"
# What its packages draw in and a provider without a mail server, web pages or another database does not need.
_NOT_NEEDED: Final = (
    "adduser", "dbconfig", "debconf", "default-mysql-client", "fonts-", "init-system", "libconfig-inifiles-perl",
    "libjs-", "mariadb-client", "ucf",
)  # fmt: skip


class CanNotInstall(RuntimeError):
    """A provider can't be had on this machine. The message says which, why, and what would help."""


def npm_packages() -> Path:
    """The folder whose `node_modules` holds oidc-provider, exactly as the lock file says. Raises CanNotInstall."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise CanNotInstall("oidc-provider: needs node (20 or newer) and npm on the PATH")
    wanted = hashlib.sha256(b"".join(path.read_bytes() for path in NPM_FILES)).hexdigest()
    home = HOME / "npm"
    with _once(home, wanted) as is_missing:
        if is_missing:
            for path in NPM_FILES:
                shutil.copy(path, home / path.name)
            _run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], home, "oidc-provider")
    return home


def glewlwyd_root() -> Path:
    """The folder that Debian's packages of glewlwyd and its libraries are unpacked into. Raises CanNotInstall."""
    home = HOME / "glewlwyd"
    with _once(home, GLEWLWYD_VERSION) as is_missing:
        if is_missing:
            if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
                raise CanNotInstall(f"glewlwyd: comes from Debian's packages, and {platform.system()} here has no apt")
            _unpack(home)
    return home / "root"


def glewlwyd_environment(root: Path) -> dict[str, str]:
    """Where the unpacked program finds its libraries."""
    libraries = sorted({str(path.parent) for path in root.glob("usr/lib/**/lib*.so.*")})
    return {"LD_LIBRARY_PATH": ":".join(libraries)}


def _unpack(home: Path) -> None:
    # A dry run (no root needed) names what this machine lacks; that, and only that, is fetched and unpacked.
    plan = _run(["apt-get", "--simulate", "--no-install-recommends", "install", "glewlwyd"], home, "glewlwyd")
    lines = (line.split() for line in plan.splitlines() if line.startswith("Inst "))
    names = [words[1] for words in lines if not words[1].startswith(_NOT_NEEDED)]
    names = names or ["glewlwyd", "glewlwyd-common"]  # installed already: unpacked all the same, beside the service
    _run(["apt-get", "download", *names], home, "glewlwyd")
    root = home / "root"
    for package in sorted(home.glob("*.deb")):
        _run(["dpkg", "-x", str(package), str(root)], home, "glewlwyd")
        package.unlink()
    version = _run([str(root / "usr/bin/glewlwyd"), "--version"], home, "glewlwyd", glewlwyd_environment(root))
    if version.strip() != GLEWLWYD_VERSION:
        raise CanNotInstall(f"glewlwyd: {GLEWLWYD_VERSION} is wanted, and this machine's apt has {version.strip()}")


@contextmanager
def _once(home: Path, wanted: str) -> Iterator[bool]:
    """Whether `home` has to be filled; marked as filled when the block ends well. One process at a time."""
    HOME.mkdir(parents=True, exist_ok=True)
    marker = home / ".installed"
    with (HOME / f"{home.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if marker.exists() and marker.read_text() == wanted:
            yield False
            return
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        yield True
        marker.write_text(wanted)


def _run(command: list[str], home: Path, what: str, environment: dict[str, str] | None = None) -> str:
    try:
        done = subprocess.run(
            command, cwd=home, env={**os.environ, **(environment or {})}, capture_output=True, text=True, timeout=300
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CanNotInstall(f"{what}: {' '.join(command[:2])}: {error}") from error
    if done.returncode != 0:
        raise CanNotInstall(f"{what}: {' '.join(command[:2])} failed: {(done.stderr or done.stdout).strip()[-500:]}")
    return done.stdout


def main() -> None:
    """Install both; a machine without apt goes without glewlwyd and is told so."""
    print(json.dumps({"oidc-provider": str(npm_packages())}))
    try:
        print(json.dumps({"glewlwyd": str(glewlwyd_root())}))
    except CanNotInstall as reason:
        print(f"{reason}. The interop tests skip it.")


if __name__ == "__main__":
    main()
