"""A real model server as a process of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from demo.process import Program, free_port

READY_SECONDS: Final = 180.0
SECRET: Final = "m" * 48


class ModelProcess:
    """`with ModelProcess(folder) as server:` runs `python -m model_server` on loopback until the block ends.

    `arguments` and `environment` are added to its own: another model, TLS, several models. With TLS, `scheme` is
    `https`, and the server's probes move to a port of their own.
    """

    def __init__(
        self,
        folder: Path,
        *,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        scheme: str = "http",
    ) -> None:
        port = free_port()
        probes = free_port() if scheme == "https" else port
        self.secret_path = folder / "model-server.key"
        self.secret_path.write_text(SECRET)
        self.url = f"{scheme}://127.0.0.1:{port}"
        self.probe_url = f"http://127.0.0.1:{probes}"
        own = ["-m", "model_server", "--port", str(port), *(["--probe-port", str(probes)] if probes != port else [])]
        self._program = Program(
            "model server",
            [*own, *arguments],
            f"{self.probe_url}/readyz",
            folder / "model-server.log",
            {"IMPRIMATUR_MODEL_TOKEN_SECRET_PATH": str(self.secret_path), **(environment or {})},
        )

    def __enter__(self) -> ModelProcess:
        self._program.start()
        try:
            self._program.wait_ready(READY_SECONDS)
        except BaseException:
            self._program.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._program.stop()
