from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from model_server.__main__ import main
from model_server.manifest import MANIFEST
from tests.unit.model_server.support import SECRET, bearer, until


def test_help_names_every_option_and_never_takes_the_secret(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    text = capsys.readouterr().out
    assert caught.value.code == 0
    for option in ("--host", "--port", "--token-secret-path", "--insecure-no-auth", "--kind", "--path", "--digest"):
        assert option in text
    assert "--token-secret " not in text
    assert "IMPRIMATUR_MODEL_" in text


def test_without_a_secret_it_does_not_start(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--port", "0"]) == 2
    assert "token_secret_path" in capsys.readouterr().err


def test_an_open_server_on_a_public_address_does_not_start(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--host", "0.0.0.0", "--insecure-no-auth"]) == 2
    assert "loopback" in capsys.readouterr().err


def test_a_model_that_was_tampered_with_does_not_start(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in tiny_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "vocabulary.json").write_text('["[PAD]"]')
    assert main(["--insecure-no-auth", "--path", str(tmp_path)]) == 2
    assert "vocabulary.json: expected sha256" in capsys.readouterr().err


def test_manifest_lists_a_folder_and_prints_its_digest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "weights.safetensors").write_bytes(b"w")
    assert main(["manifest", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("sha256:")
    assert "weights.safetensors" in (tmp_path / MANIFEST).read_text()


def test_it_serves_on_a_free_port_logs_no_prompt_and_ends_on_sigterm(tiny_folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(SECRET)
    command = [sys.executable, "-m", "model_server", "--port", "0", "--path", str(tiny_folder)]
    env = {**os.environ, "IMPRIMATUR_MODEL_TOKEN_SECRET_PATH": str(secret)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env)
    lines: list[str] = []
    assert process.stdout is not None
    reader = threading.Thread(target=lambda: lines.extend(process.stdout or []))
    reader.start()
    try:
        until(lambda: any("server.listening" in line for line in lines))
        listening = next(json.loads(line) for line in lines if "server.listening" in line)
        url = f"http://127.0.0.1:{listening['port']}"
        until(lambda: httpx.get(url + "/readyz").status_code == 200)
        body = {"prompt": "SECRET-PROMPT", "steps": 2, "size": "256x256"}
        answer = httpx.post(url + "/v1/images/generations", json=body, headers=bearer(), timeout=30)
        assert answer.status_code == 200
        assert httpx.post(url + "/v1/images/generations", json=body).status_code == 401
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) in (0, -signal.SIGTERM)
    reader.join(10)
    text = "".join(lines)
    assert "SECRET" not in text
    assert SECRET.decode() not in text
    ended = next(json.loads(line) for line in lines if "request.ended" in line)
    assert (ended["id"], ended["outcome"]) == (answer.json()["id"], "completed")
