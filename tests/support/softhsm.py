"""A token of SoftHSM2 (the distribution's package `softhsm2`) in a folder of its own, and what an administrator does
with it. Keys are touched by a second process, as in life; and a library may be initialised once in a process.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

LIBRARIES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so")
PIN = "493817"

_ADMIN = """
import sys
import pkcs11
from pkcs11 import Attribute, KeyType, ObjectClass
library, token, pin, what, label, *flags = sys.argv[1:]
with pkcs11.lib(library).get_token(token_label=token).open(rw=True, user_pin=pin) as session:
    if what == "make":
        template = {Attribute[flag.lstrip("-")]: not flag.startswith("-") for flag in flags if not flag.isdigit()}
        bits = next((int(flag) for flag in flags if flag.isdigit()), 256)
        session.generate_key(KeyType.AES, bits, label=label, store=True, template=template)
    elif what == "destroy":
        session.get_key(object_class=ObjectClass.SECRET_KEY, label=label).destroy()
    else:
        key = session.get_key(object_class=ObjectClass.SECRET_KEY, label=label)
        key[Attribute.ENCRYPT] = key[Attribute.DECRYPT] = what == "enable"
"""


class SoftHsm:
    """A module with one configuration in this process: SoftHSM reads `SOFTHSM2_CONF` when it is initialised."""

    def __init__(self, folder: Path) -> None:
        found = next((path for path in LIBRARIES if Path(path).exists()), None)
        assert found, "the tests of hardware modules need SoftHSM2: apt-get install softhsm2"
        self.library = Path(found)
        self.folder = folder
        self.tokens = folder / "tokens"
        self.tokens.mkdir()
        config = folder / "softhsm2.conf"
        config.write_text(f"directories.tokendir = {self.tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
        self.environment = {**os.environ, "SOFTHSM2_CONF": str(config)}

    def make_token(self, label: str) -> None:
        command = ["softhsm2-util", "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "74028561"]
        subprocess.run(command, check=True, capture_output=True, env=self.environment, timeout=30)

    def make_key(self, token: str, label: str, *flags: str) -> None:
        """A key; flags are attributes (`-SENSITIVE` for not) or a number of bits."""
        self._administer("make", token, label, *flags)

    def destroy_key(self, token: str, label: str) -> None:
        self._administer("destroy", token, label)

    def set_enabled(self, token: str, label: str, *, enabled: bool) -> None:
        self._administer("enable" if enabled else "disable", token, label)

    def pull_out(self) -> None:
        """All tokens are gone, as if the device were unplugged."""
        shutil.move(self.tokens, self.folder / "pulled-out")

    def put_back(self) -> None:
        shutil.move(self.folder / "pulled-out", self.tokens)

    def _administer(self, what: str, token: str, label: str, *flags: str) -> None:
        command = [sys.executable, "-c", _ADMIN, str(self.library), token, PIN, what, label, *flags]
        subprocess.run(command, check=True, capture_output=True, env=self.environment, timeout=60)
