"""The edge to the model server: what its values refuse, and that the how-to's commands make both ends agree."""

from __future__ import annotations

import os
import re
import ssl
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from helm_python import HelmError

from helm.charts import CHART, cases, containers, render
from helm.check import complaints
from helm.rules.model_server import model_server_settings, upstream_settings
from model_server.http.tls import carries, server_context
from model_server.loading.catalogue import read_catalogue
from model_server.settings import Settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "install-on-kubernetes.md").read_text("utf-8")
NAMED = {"fullnameOverride": "imprimatur"}
WEIGHTS = {"existingClaim": "model-weights"}
TLS = {"enabled": True, "serverSecret": "a", "clientSecret": "b", "caSecret": "c"}
POSTER = {"id": "poster", "folder": "/models/poster"}


def _server(**values: Any) -> dict[str, Any]:
    return {"modelServer": {"weights": WEIGHTS, **values}}


@pytest.mark.parametrize(
    "values",
    [
        _server(tls=TLS | {"serverSecret": ""}),
        _server(tls=TLS | {"clientSecret": ""}),
        _server(tls=TLS | {"caSecret": ""}),
        _server(tls={"enabled": True}),
        _server(tls=TLS | {"caKey": "../tls.key"}),
        _server(tls=TLS | {"insecure": True}),
        _server(models=[{"id": "poster"}]),
        _server(models=[{"folder": "/models/poster"}]),
        _server(models=[POSTER | {"folder": "/etc"}]),
        _server(models=[POSTER | {"folder": "poster"}]),
        _server(models=[POSTER | {"folder": "/models/../etc"}]),
        _server(models=[POSTER | {"hub": "company/model"}]),
        _server(models=[POSTER | {"trust_remote_code": True}]),
        _server(models=[POSTER | {"digest": "sha256:short"}]),
        _server(models=[POSTER | {"sizes": [[64, 64]]}]),
        _server(models=[POSTER | {"steps": {"default": 1, "minimum": 1, "maximum": 2, "typing_slip": 3}}]),
        _server(models=[POSTER], weights={"existingClaim": ""}),
        _server(config={"memory_share": 1.5}),
        _server(config={"batching": "random"}),
        _server(config={"max_batch": 0}),
        _server(startupSeconds=0),
        {"config": {"upstream": {"tls_ca_path": "/etc/ssl/certs/ca-certificates.crt"}}},
    ],
    ids=str,
)
def test_a_value_that_opens_or_breaks_the_model_server_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(HelmError, match="schema"):
        render(values)


def _elsewhere(**values: Any) -> dict[str, Any]:
    values.setdefault("modelServer", {})
    edge = {"to": [{"ipBlock": {"cidr": "198.51.100.7/32"}}], "ports": [443]}
    values["modelServer"] |= {"enabled": False, "externalUrl": "https://images.example.com"}
    return {"networkPolicy": {"egress": {"imageServer": [edge]}}, **values}


CA_PATH = "/run/imprimatur/secrets/image-server-ca.crt"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (_server(models=[POSTER], modelsConfigMap="others"), "name one of them"),
        (_server(modelsConfigMap="others"), "config.upstream.default_model"),
        *(
            (_server(models=[POSTER], config={name: value}), f"modelServer.config.{name} is for a single model")
            for name, value in {"path": "/models/x", "kind": "embedded", "sizes": ["64x64"], "digest": ""}.items()
        ),
        (_server(config={"path": "/models/own"}), "modelServer.config.name"),
        ({"config": {"upstream": {"tls_ca_path": CA_PATH}}}, "for an image server at modelServer.externalUrl"),
        (_elsewhere(modelServer={"tls": TLS}), "modelServer.tls is for the chart's own"),
    ],
    ids=lambda p: p if isinstance(p, str) else None,
)
def test_values_that_contradict_each_other_stop_the_installation_with_a_sentence(
    values: dict[str, Any], said: str
) -> None:
    with pytest.raises(HelmError, match=re.escape(said)):
        render(values)


def test_an_image_server_elsewhere_may_have_an_authority_of_its_own() -> None:
    values = _elsewhere(config={"upstream": {"tls_ca_path": CA_PATH}})
    assert list(complaints("elsewhere", values)) == []
    assert str(upstream_settings(render(values)).tls_ca_path) == CA_PATH


@pytest.mark.parametrize(
    "case", [case for case, values in cases().items() if "models" in values.get("modelServer", {})]
)
def test_the_list_of_models_reaches_the_server_as_it_was_written(case: str, tmp_path: Path) -> None:
    values = cases()[case]["modelServer"]["models"]
    (config,) = (c for c in render(cases()[case]).of_kind("ConfigMap") if "models.yaml" in c["data"])
    for name, text in (("written", yaml.safe_dump({"models": values})), ("mounted", config["data"]["models.yaml"])):
        (tmp_path / name).write_text(text)
    assert read_catalogue(tmp_path / "mounted") == read_catalogue(tmp_path / "written")


def test_the_gateways_default_model_is_the_operators_word_before_the_first_of_the_list() -> None:
    two = _server(models=[POSTER, {"id": "quick", "kind": "embedded"}])
    assert upstream_settings(render(two)).default_model == "poster"
    chosen = two | {"config": {"upstream": {"default_model": "quick"}}}
    assert upstream_settings(render(chosen)).default_model == "quick"


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("text", _blocks("yaml"))
def test_values_that_the_how_to_shows_keep_every_promise(text: str) -> None:
    assert list(complaints("page", yaml.safe_load(text))) == []


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the how-to's own commands make."""
    folder = tmp_path_factory.mktemp("certificates")
    (commands,) = (block for block in _blocks("sh") if "openssl" in block)
    subprocess.run(["/bin/sh", "-e", "-c", commands], cwd=folder, check=True, capture_output=True)
    return folder


def _shake_hands(folder: Path, caller: str) -> Mapping[str, Any] | None:
    """The caller's certificate, as the server sees it, after a handshake by the settings that the chart renders.

    Raises SSLError. The gateway's end trusts `tls_ca_path` alone, as its client does.
    """
    (shown,) = (block for block in _blocks("yaml") if "tls:" in block)
    chart = render(NAMED | yaml.safe_load(shown))
    upstream, settings = upstream_settings(chart), model_server_settings(chart)
    given = {"tls_certificate_path": "imprimatur-model-server.crt", "tls_key_path": "imprimatur-model-server.key"}
    there = {name: folder / file for name, file in (given | {"tls_client_ca_path": "ca.crt"}).items()}
    server_end = server_context(Settings.model_validate(settings.model_dump() | there))
    assert server_end is not None
    client_end = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    client_end.load_cert_chain(folder / f"{caller}.crt", folder / f"{caller}.key")
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_end.wrap_bio(to_client, to_server, server_hostname=urlsplit(str(upstream.url)).hostname)
    server = server_end.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):  # TLS 1.3 needs two rounds
        for end in (client, server):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    certificate = server.getpeercert()
    return certificate if carries(certificate, settings.tls_client_name) else None


def test_certificates_made_as_the_how_to_says_let_the_gateway_in_and_nobody_else(made: Path) -> None:
    assert _shake_hands(made, "imprimatur-gateway") is not None
    # Signed by the same authority, and yet not the gateway.
    assert _shake_hands(made, "imprimatur-model-server") is None


def test_keys_that_the_how_to_makes_are_readable_by_their_owner_alone(made: Path) -> None:
    keys = list(made.glob("*.key"))
    assert len(keys) == 3
    assert [path.name for path in keys if path.stat().st_mode & 0o077] == []


def test_a_certificate_becomes_the_file_that_the_settings_name(tmp_path: Path) -> None:
    """The init container's own command, on a folder like the one that the cluster mounts."""
    chart = render(cases()["tls"])
    for name, pod in chart.pods():
        mounted, private = tmp_path / name / "mounted", tmp_path / name / "run"
        mounted.mkdir(parents=True)
        private.mkdir()
        (volume,) = (v for v in pod["spec"]["volumes"] if v["name"] == "mounted-secrets")
        for source in volume["projected"]["sources"]:
            for item in source["secret"].get("items", ()):
                (mounted / item["path"]).write_text(f"{source['secret']['name']}/{item['key']}")
        init = next(c for c in containers(pod) if c["name"] == "private-secrets")
        script = init["args"][0].replace("/run/mounted-secrets", str(mounted)).replace("/run/imprimatur", str(private))
        subprocess.run([*init["command"], script], check=True, env=os.environ)
    gateway, server = upstream_settings(chart), model_server_settings(chart)
    found = {
        path.name: (tmp_path / name / "run" / path.relative_to("/run/imprimatur")).read_text()
        for name, paths in {
            "gateway": (gateway.tls_certificate_path, gateway.tls_key_path, gateway.tls_ca_path),
            "model-server": (server.tls_certificate_path, server.tls_key_path, server.tls_client_ca_path),
        }.items()
        for path in paths
        if path is not None
    }
    assert found == {
        "upstream-certificate.pem": "gateway-tls/tls.crt",
        "upstream-key.pem": "gateway-tls/tls.key",
        "upstream-ca.pem": "internal-ca/root.pem",
        "tls-certificate.pem": "model-server-tls/tls.crt",
        "tls-key.pem": "model-server-tls/tls.key",
        "tls-client-ca.pem": "internal-ca/root.pem",
    }


def test_the_charts_readme_names_the_names_that_certificates_must_carry() -> None:
    readme = (CHART / "README.md").read_text("utf-8")
    chart = render(NAMED | {"modelServer": {"tls": TLS}})
    assert urlsplit(str(upstream_settings(chart).url)).hostname == "imprimatur-model-server"
    assert model_server_settings(chart).tls_client_name == "imprimatur-gateway"
    assert "`<fullname>-model-server`" in readme
    assert "`<fullname>-gateway`" in readme
