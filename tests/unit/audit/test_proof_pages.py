"""Every command on the pages about proofs and witnesses does what the page says."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit import VerifierKey
from audit.checkpoint import parse_head
from audit.cosignature import Cosigner
from audit.note import read_note
from audit.store.disk import Disk
from audit.store.moment import open_moment
from audit.witness import Receipt, Submission
from audit.witness.http import HttpWitness
from audit.witness.ledger import Ledger
from audit.witness.shelf import Shelf

DOCS = Path(__file__).parents[3] / "docs"
STORE, WITNESS = "/var/lib/imprimatur/audit", "/var/lib/witness"
EVENT = "01a20320-a200-7213-8e45-855782a7aab8"


def commands(page: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.strip().splitlines()]


class Shell:
    """Runs a page's lines in a folder, with the page's paths and names replaced by real ones."""

    def __init__(self, folder: Path, names: dict[str, str]) -> None:
        self.folder = folder
        self._names = names

    def arguments(self, line: str) -> list[str]:
        for shown, real in self._names.items():
            line = line.replace(shown, real)
        words = line.split()
        return [sys.executable, *words[1:]] if words[0] == "python" else words

    def run(self, line: str) -> str:
        done = subprocess.run(
            self.arguments(line), cwd=self.folder, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        return done.stdout + done.stderr


@pytest.fixture
async def shell(house: Any, make: Any, tmp_path: Path) -> Shell:
    """A log of ten records, its keys, a checkpoint kept at six, a witness that cosigned, a time stamp."""
    desk = tmp_path / "desk"
    desk.mkdir()
    async with house.open() as log:
        for _ in range(3):
            ticket = await make.request(log)
        await log.proof(ticket.event_id)  # signs
        (desk / "kept.checkpoint").write_text(log.checkpoint())
        for _ in range(2):
            ticket = await make.request(log)
    (desk / "audit.vkey").write_text(house.vkey + "\n")
    return Shell(desk, {STORE: str(house.store), EVENT: ticket.event_id})


def cosign(store: Path, folder: Path, place: Path) -> None:
    """What the log's witnesses do, without a network between."""
    ledger = Ledger.create(place, "witness.example/w1")
    (folder / "witness.vkey").write_text(str(ledger.key))
    with open_moment(store) as moment:
        checkpoint = moment.tree.checkpoints(moment.identity.origin)[-1][0]
        note = checkpoint.note(moment.identity.verifier_key)
    submission = Submission(checkpoint=checkpoint, note=note, prove_consistency=lambda _: [])
    line = Cosigner(ledger.signer()).cosign(checkpoint.text)
    Shelf(store / "witnesses", "auditors", Disk()).keep(submission, Receipt(cosignatures=(line,)))


async def test_every_command_of_verify_an_export(shell: Shell, house: Any, tmp_path: Path, stamp: Any) -> None:
    cosign(house.store, shell.folder, tmp_path / "w")
    shutil.copy(shell.folder / "kept.checkpoint", shell.folder / "0000000000000000006.note")
    stamp(shell.folder / "0000000000000000006.note", shell.folder)
    lines = commands("how-to/verify-an-export.md")
    said = {line: shell.run(line) for line in lines}
    verified = [line for line in lines if " verify " in line and line.startswith("python")]
    assert len(verified) == 7
    for line in verified:
        assert "in order" in said[line], (line, said[line])
        assert "NOT IN ORDER" not in said[line]
    assert "Verification: OK" in said[lines[-1]]
    assert "cosigned               by witness.example/w1" in "".join(said.values())
    assert "continues what it signed at 6" in "".join(said.values())
    assert "stamped at" in "".join(said.values())


async def test_every_command_of_run_a_witness(shell: Shell, house: Any, tmp_path: Path) -> None:
    init, add, serve, status = commands("how-to/run-a-witness.md")
    shell._names[WITNESS] = str(tmp_path / "witness")
    assert shell.run(init).startswith("witness.example.org/w1+")
    assert "1 key(s), 0 records seen" in shell.run(add)
    process = subprocess.Popen(
        shell.arguments(serve.replace("8090", "0")), cwd=shell.folder, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        with open_moment(house.store) as moment:
            checkpoint = moment.tree.checkpoints(moment.identity.origin)[-1][0]
        witness = HttpWitness("auditors", url, Ledger(tmp_path / "witness").key)
        note = checkpoint.note(VerifierKey.parse(house.vkey))
        receipt = witness.submit(Submission(checkpoint=checkpoint, note=note, prove_consistency=lambda _: []))
        witness.close()
        assert len(receipt.cosignatures) == 1
        assert "example.com/audit: 10 records, " in shell.run(status)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()  # type: ignore[union-attr]


def test_the_packages_named_are_those_that_verification_loads() -> None:
    """An auditor installs them one by one: one that is missing is a morning lost."""
    page = (DOCS / "how-to" / "verify-an-export.md").read_text(encoding="utf-8")
    (named,) = re.findall(r"pip install (cryptography .*)", page)
    probe = (
        "import sys, runpy; sys.argv = ['audit', 'verify', '--help']\n"
        "try: runpy.run_module('audit', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print(*{name.partition('.')[0] for name, module in list(sys.modules.items())"
        " if 'site-packages' in (getattr(module, '__file__', None) or '')})"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=60, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    # What these bring along by themselves, and what only a development environment has.
    brought = {
        *("pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection", "annotated_doc"),
        *("_cffi_backend", "cffi", "rich", "pygments", "shellingham", "click", "mako", "markupsafe", "greenlet"),
        *("_distutils_hack", "markdown_it", "mdurl"),
    }
    names = {"yaml": "pyyaml"}
    needed = {names.get(name, name) for name in loaded - brought if not name.startswith("__editable__")}
    assert needed <= set(named.split()), needed - set(named.split())


def test_the_reference_shows_texts_that_are_read() -> None:
    page = (DOCS / "reference" / "proof-formats.md").read_text(encoding="utf-8")
    shown = next(block for block in re.findall(r"```text\n(.*?)```", page, re.DOTALL) if "\u2014 " in block)
    text, signatures = read_note(shown)
    assert parse_head(text).size == 20852163
    assert len(signatures) == 1
    for command in set(re.findall(r"`audit ([a-z]+)", page)):
        done = subprocess.run(
            [sys.executable, "-m", "audit", command, "--help"], capture_output=True, timeout=60, check=False
        )
        assert done.returncode == 0, command


Stamp = Callable[[Path, Path], None]


@pytest.fixture
def stamp(tmp_path: Path) -> Stamp:
    """Stamps a file with a real ``openssl ts`` authority, and puts the authority's certificate beside it."""
    home = tmp_path / "tsa"
    home.mkdir()
    (home / "serial").write_text("01\n")
    (home / "openssl.cnf").write_text(
        "[stamp]\nbasicConstraints = CA:FALSE\nkeyUsage = critical,digitalSignature\n"
        "extendedKeyUsage = critical,timeStamping\n[tsa1]\nserial = serial\nsigner_digest = sha256\n"
        "default_policy = 1.2.3.4.1\ndigests = sha256\ness_cert_id_alg = sha256\n"
    )

    def openssl(arguments: str) -> None:
        subprocess.run(["openssl", *arguments.split()], cwd=home, check=True, capture_output=True, timeout=60)

    def make(path: Path, folder: Path) -> None:
        openssl("req -x509 -newkey rsa:2048 -nodes -keyout root.key -out root.pem -subj /CN=root -days 30")
        openssl("req -newkey rsa:2048 -nodes -keyout tsa.key -out tsa.csr -subj /CN=tsa")
        openssl(
            "x509 -req -in tsa.csr -CA root.pem -CAkey root.key -CAcreateserial -out tsa.pem -days 30"
            " -extfile openssl.cnf -extensions stamp"
        )
        openssl(f"ts -query -data {path} -sha256 -cert -out query.tsq")
        openssl(
            "ts -reply -config openssl.cnf -section tsa1 -queryfile query.tsq -signer tsa.pem -inkey tsa.key"
            f" -out {path.with_suffix('.tsr')}"
        )
        shutil.copy(home / "root.pem", folder / "authority.pem")

    return make
