"""A log that signs, real witnesses on loopback, a real time stamping authority."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.consistency import ConsistencyProof
from audit.note import NoteSigner
from audit.tiles import TileTree
from audit.tree import leaf_hash
from audit.witness import Submission
from audit.witness.ledger import Ledger
from audit.witness.server import WitnessServer


class FakeLog:
    """A log without records: leaves, tree, checkpoints. ``salt`` makes another history under the same name."""

    def __init__(self, origin: str = "example.com/audit", seed: int = 1, salt: str = "") -> None:
        self.signer = NoteSigner(origin, Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))
        self.key = self.signer.verifier_key
        self._salt = salt
        self._tiles: dict[tuple[int, int], bytes] = {}
        self.tree = TileTree(lambda level, index: self._tiles[level, index], 0)

    def grow(self, size: int, salt: str | None = None) -> Checkpoint:
        """Add leaves up to ``size`` and sign."""
        salt = self._salt if salt is None else salt
        self.tree.append(leaf_hash(f"{salt}{number}".encode()) for number in range(self.tree.size, size))
        self._tiles.update(self.tree.take_dirty())
        return self.sign(size)

    def sign(self, size: int) -> Checkpoint:
        return sign_checkpoint(self.signer, size, self.tree.root(size))

    def submission(self, checkpoint: Checkpoint) -> Submission:
        return Submission(
            checkpoint=checkpoint,
            note=checkpoint.note(self.key),
            prove_consistency=lambda old: self.tree.consistency_path(old, checkpoint.size),
        )

    def request(self, old: int, checkpoint: Checkpoint, path: list[bytes] | None = None) -> bytes:
        """Body of an ``add-checkpoint`` request."""
        if path is None:
            path = self.tree.consistency_path(old, checkpoint.size) if 0 < old < checkpoint.size else []
        return ConsistencyProof(old_size=old, path=tuple(path), note=checkpoint.note(self.key)).text.encode()


@pytest.fixture
def log() -> FakeLog:
    return FakeLog()


@pytest.fixture
def new_log() -> type[FakeLog]:
    return FakeLog


class Running:
    """A witness server in this process."""

    def __init__(self, folder: Path, server: WitnessServer) -> None:
        self.folder = folder
        self.server = server
        self.ledger = Ledger(folder)
        self.key = self.ledger.key
        self.url = f"http://127.0.0.1:{server.server_address[1]}"


@contextmanager
def running(folder: Path) -> Iterator[Running]:
    server = WitnessServer(Ledger(folder), "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield Running(folder, server)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def run_witness() -> Callable[[Path], Any]:
    return running


@pytest.fixture
def witness(tmp_path: Path, log: FakeLog) -> Iterator[Running]:
    """A fresh witness that knows ``log``."""
    ledger = Ledger.create(tmp_path / "w1", "witness.example/w1")
    ledger.register(log.key)
    with running(tmp_path / "w1") as found:
        yield found


@pytest.fixture
def answers() -> Iterator[Callable[[Callable[[BaseHTTPRequestHandler], None]], str]]:
    """Start a server whose POST does what a test says; gives its address."""
    with ExitStack() as stack:

        def start(answer: Callable[[BaseHTTPRequestHandler], None]) -> str:
            class Handler(BaseHTTPRequestHandler):
                protocol_version = "HTTP/1.1"

                def do_POST(self) -> None:
                    self.body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                    answer(self)

                def log_message(self, format: str, *args: object) -> None:
                    pass

            class Server(ThreadingHTTPServer):
                daemon_threads = True

                def handle_error(self, request: Any, client_address: Any) -> None:
                    pass  # clients hang up on purpose here

            server = Server(("127.0.0.1", 0), Handler)
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
            thread.start()

            def stop() -> None:
                server.shutdown()
                thread.join()
                server.server_close()

            stack.callback(stop)
            return f"http://127.0.0.1:{server.server_address[1]}"

        yield start


def reply(
    handler: BaseHTTPRequestHandler, status: int, body: bytes = b"", kind: str = "text/plain", **headers: str
) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(body)))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


@pytest.fixture(name="reply")
def reply_fixture() -> Callable[..., None]:
    return reply


TSA_CONFIG = """
[stamp]
basicConstraints = CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
[tsa]
default_tsa = tsa1
[tsa1]
serial = {folder}/serial
crypto_device = builtin
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
accuracy = secs:1
ess_cert_id_alg = sha256
"""


class Authority:
    """``openssl ts`` with a root and a stamping certificate of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.root = folder / "root.pem"
        (folder / "serial").write_text("01\n")
        (folder / "openssl.cnf").write_text(TSA_CONFIG.format(folder=folder))
        self._openssl("req -x509 -newkey rsa:2048 -nodes -keyout root.key -out root.pem -subj /CN=root -days 30")
        self._openssl("req -newkey rsa:2048 -nodes -keyout tsa.key -out tsa.csr -subj /CN=tsa")
        self._openssl(
            "x509 -req -in tsa.csr -CA root.pem -CAkey root.key -CAcreateserial -out tsa.pem -days 30"
            " -extfile openssl.cnf -extensions stamp"
        )

    def stamp(self, query: bytes) -> bytes:
        (self.folder / "query.tsq").write_bytes(query)
        self._openssl(
            "ts -reply -config openssl.cnf -section tsa1 -queryfile query.tsq -signer tsa.pem -inkey tsa.key"
            " -out reply.tsr"
        )
        return (self.folder / "reply.tsr").read_bytes()

    def _openssl(self, arguments: str) -> None:
        subprocess.run(["openssl", *arguments.split()], cwd=self.folder, check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tsa") / "root")


@pytest.fixture(scope="session")
def other_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tsa") / "other")
