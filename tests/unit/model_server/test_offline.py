"""The server calls nobody: watched from its first import to the end of a picture."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx

from tests.unit.model_server.http.callers import png
from tests.unit.model_server.support import SECRET, bearer, until

WATCHED = """
import runpy, sys
calls = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg")
def watch(event, arguments):
    if event in calls:
        with open({log!r}, "a") as log:
            print(event, arguments[1:], file=log)
sys.addaudithook(watch)
sys.argv = ["model_server", *{arguments!r}]
runpy.run_module({module!r}, run_name="__main__", alter_sys=True)
"""


def watched(log: Path, module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", WATCHED.format(log=str(log), arguments=arguments, module=module)]


def test_the_watch_sees_a_call_to_the_outside(tmp_path: Path) -> None:
    (tmp_path / "caller.py").write_text("import socket; socket.socket().connect_ex(('127.0.0.1', 9))")
    log = tmp_path / "log"
    subprocess.run(watched(log, "caller"), check=True, env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert "socket.connect" in log.read_text()


def test_the_server_calls_nobody_from_start_to_picture(tiny_folder: Path, tmp_path: Path) -> None:
    secret, log = tmp_path / "secret", tmp_path / "log"
    secret.write_bytes(SECRET)
    arguments = ["--port", "0", "--path", str(tiny_folder), "--profile-seconds", "0.2"]
    env = {**os.environ, "IMPRIMATUR_MODEL_TOKEN_SECRET_PATH": str(secret), "PYTHONPATH": os.getcwd()}
    env |= {"HF_HUB_OFFLINE": "0", "HTTPS_PROXY": "http://127.0.0.1:9"}  # whatever the environment says
    process = subprocess.Popen(
        watched(log, "model_server", *arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env
    )
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(process.stdout or []))
    reader.start()
    try:
        until(lambda: process.poll() is not None or any("server.listening" in line for line in lines))
        port = next(json.loads(line)["port"] for line in lines if "server.listening" in line)
        url = f"http://127.0.0.1:{port}"
        until(lambda: httpx.get(url + "/readyz").status_code == 200)
        body = {"prompt": "red apple", "steps": 2}
        assert httpx.post(url + "/v1/images/generations", json=body, headers=bearer(), timeout=30).status_code == 200
        files = {"image": ("a.png", png())}
        data = {"prompt": "fox", "steps": "2"}
        edited = httpx.post(url + "/v1/images/edits", files=files, data=data, headers=bearer(), timeout=30)
        assert edited.status_code == 200
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        reader.join(10)
    assert not log.exists(), log.read_text()


def test_the_libraries_of_models_are_told_before_they_are_imported() -> None:
    code = (
        "import os; os.environ['HF_HUB_OFFLINE'] = '0'; import model_server.__main__; "
        "import huggingface_hub.constants as c; print(c.HF_HUB_OFFLINE, c.HF_HUB_DISABLE_TELEMETRY)"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert output.stdout.strip() == "True True"
