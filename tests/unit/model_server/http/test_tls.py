"""Who gets through mutual TLS, with real certificates and a real server process."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from cryptography import x509

from model_server.__main__ import main
from model_server.http.tls import carries, server_context
from model_server.settings import Settings, SettingsError
from tests.unit.model_server.http.certificates import Authority, Pair
from tests.unit.model_server.support import SECRET, bearer, until

GATEWAY = x509.UniformResourceIdentifier("spiffe://company/gateway")
MODELS = "/v1/models"


@dataclass(frozen=True, slots=True)
class World:
    """Our authority, a stranger's, and a server that trusts the first."""

    ours: Authority
    stranger: Authority
    server: Pair
    url: str
    probes: str


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("tls")
    ours, stranger = Authority(folder, "ours"), Authority(folder, "stranger")
    server = ours.issue("server", [x509.DNSName("localhost")])
    (folder / "secret").write_bytes(SECRET)
    given = {
        "TOKEN_SECRET_PATH": folder / "secret",
        "TLS_CERTIFICATE_PATH": server.certificate,
        "TLS_KEY_PATH": server.key,
        "TLS_CLIENT_CA_PATH": ours.path,
        "TLS_CLIENT_NAME": GATEWAY.value,
        "PROBE_PORT": "0",
        "PORT": "0",
        "PATH": tiny_folder,
        "PROFILE_SECONDS": "0.2",
    }
    env = {**os.environ, **{f"IMPRIMATUR_MODEL_{name}": str(value) for name, value in given.items()}}
    process = subprocess.Popen(
        [sys.executable, "-m", "model_server"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env
    )
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(process.stdout or []))
    reader.start()

    def port(event: str) -> int:
        until(lambda: process.poll() is not None or any(event in line for line in lines))
        return int(next(json.loads(line)["port"] for line in lines if event in line))

    try:
        probes = f"http://127.0.0.1:{port('probes.listening')}"
        yield World(ours, stranger, server, f"https://localhost:{port('server.listening')}", probes)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        reader.join(10)


def get(world: World, caller: Pair | None, path: str = MODELS, **options: object) -> httpx.Response:
    context = ssl.create_default_context(cafile=str(world.ours.path))
    if caller is not None:
        context.load_cert_chain(caller.certificate, caller.key)
    for name, value in options.items():
        setattr(context, name, value)
    with httpx.Client(verify=context, timeout=10) as client:
        return client.get(world.url + path, headers=bearer())


def test_a_caller_with_the_right_certificate_and_token_is_served(world: World) -> None:
    caller = world.ours.issue("gateway", [x509.DNSName("gateway"), GATEWAY])
    assert get(world, caller).status_code == 200
    assert get(world, caller, "/healthz").status_code == 200


def test_a_certificate_does_not_stand_in_for_a_token(world: World) -> None:
    caller = world.ours.issue("gateway", [GATEWAY])
    context = ssl.create_default_context(cafile=str(world.ours.path))
    context.load_cert_chain(caller.certificate, caller.key)
    assert httpx.get(world.url + MODELS, verify=context).status_code == 401


def test_without_a_certificate_of_ours_with_the_name_nobody_gets_to_http(world: World) -> None:
    callers = {
        "none": None,
        "of a stranger": world.stranger.issue("forged", [GATEWAY]),
        "expired": world.ours.issue("expired", [GATEWAY], days=-1),
        "of another service": world.ours.issue("other", [x509.UniformResourceIdentifier("spiffe://company/other")]),
        "without names": world.ours.issue("nameless", []),
        "with the name in the subject only": world.ours.issue("spiffe:company", []),
    }
    for caller in callers.values():
        for path in (MODELS, "/healthz"):
            with pytest.raises(httpx.TransportError):
                get(world, caller, path)


def test_old_tls_and_plain_http_get_nowhere(world: World) -> None:
    caller = world.ours.issue("gateway", [GATEWAY])
    with pytest.raises(httpx.TransportError):
        get(world, caller, minimum_version=ssl.TLSVersion.TLSv1, maximum_version=ssl.TLSVersion.TLSv1_1)
    with pytest.raises(httpx.TransportError):
        httpx.get(world.url.replace("https", "http") + "/healthz")


def test_probes_answer_on_their_own_port_without_a_certificate_and_nothing_else_does(world: World) -> None:
    until(lambda: httpx.get(world.probes + "/readyz").status_code == 200)
    assert httpx.get(world.probes + "/healthz").status_code == 200
    assert "imprimatur_model_" in httpx.get(world.probes + "/metrics").text
    for path in (MODELS, "/v1/images/generations", "/v1/queue/x", "/docs", "/"):
        response = httpx.get(world.probes + path, headers=bearer())
        assert (response.status_code, response.json()["error"]["code"]) == (404, "not_found")


def settings_with(world: World, **changes: Path) -> Settings:
    paths = {
        "tls_certificate_path": world.server.certificate,
        "tls_key_path": world.server.key,
        "tls_client_ca_path": world.ours.path,
    }
    return Settings(insecure_no_auth=True, **{**paths, **changes})  # type: ignore[arg-type]


def test_a_certificate_is_demanded_whether_or_not_a_name_is(world: World) -> None:
    context = server_context(settings_with(world))
    assert context is not None
    assert (context.verify_mode, context.minimum_version) == (ssl.CERT_REQUIRED, ssl.TLSVersion.TLSv1_2)


def test_certificates_that_cannot_be_used_stop_the_start_and_are_not_shown(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert server_context(Settings(insecure_no_auth=True)) is None
    garbage = tmp_path / "garbage"
    garbage.write_text("SECRET")
    other = world.stranger.issue("another", [])
    for changes in (
        {"tls_certificate_path": garbage},
        {"tls_key_path": other.key},
        {"tls_key_path": tmp_path / "nothing"},
        {"tls_client_ca_path": garbage},
    ):
        settings = settings_with(world, **changes)
        with pytest.raises(SettingsError) as caught:
            server_context(settings)
        assert "SECRET" not in str(caught.value)
        assert str(tmp_path) not in str(caught.value)
    arguments = ["--tls-certificate-path", str(garbage), "--tls-key-path", str(garbage)]
    assert main(["--insecure-no-auth", "--tls-client-ca-path", str(garbage), *arguments]) == 2
    assert "tls_certificate_path" in capsys.readouterr().err


def test_a_name_is_an_alternative_name_whole_and_of_its_kind() -> None:
    certificate = {
        "subject": ((("commonName", "evil"),),),
        "subjectAltName": (("DNS", "gateway.internal"), ("URI", "spiffe://company/gateway"), ("email", "a@b.c")),
    }
    assert carries(certificate, "gateway.internal")
    assert carries(certificate, "GATEWAY.internal")
    assert carries(certificate, "spiffe://company/gateway")
    for name in ("gateway", "evil", "spiffe://company/Gateway", "spiffe://company/gateway/x", "a@b.c"):
        assert not carries(certificate, name)
    assert not carries({}, "gateway.internal")
    assert not carries(None, "gateway.internal")
