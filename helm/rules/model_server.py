"""What the edge between gateway and model server promises, and what the model server finds in its pod."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import urlsplit

import yaml

from gateway.settings import UpstreamSettings
from helm.charts import HTTP_PORTS, PROBE_PORT, Document, Rendered
from helm.rules.environment import environment
from model_server.loading.catalogue import entries_of, read_catalogue
from model_server.settings import ENVIRONMENT_PREFIX, Settings, SettingsError

SECRETS: Final = PurePosixPath("/run/imprimatur/secrets")
"""Where the init container puts what the Secrets hold."""


def model_server_settings_are_its_own(chart: Rendered) -> Iterator[str]:
    """Every variable of its container is one it knows, with a value it takes, and callers need a token."""
    if not chart.values["modelServer"]["enabled"]:
        return
    container = _container(chart, "model-server")
    env = {v["name"]: v["value"] for v in container["env"] if v["name"].startswith(ENVIRONMENT_PREFIX)}
    for variable in env:
        if variable.removeprefix(ENVIRONMENT_PREFIX).lower() not in Settings.model_fields:
            yield f"model-server: no setting is read from {variable}"
    try:
        settings = model_server_settings(chart)
    except ValueError as error:
        yield f"model-server: {error}"
        return
    if settings.insecure_no_auth or settings.token_secret_path != Path(SECRETS / "model-server.key"):
        yield "model-server: serves callers without a token"
    mounts = {m["mountPath"]: bool(m.get("readOnly")) for m in container["volumeMounts"]}
    if settings.path is not None and not mounts.get("/models"):
        yield "model-server: its model is not on a read-only volume"


def certificates_are_at_both_ends(chart: Rendered) -> Iterator[str]:
    """With TLS on, each end has its certificate, its own key and the authority, and neither has the other's key."""
    server = chart.values["modelServer"]
    if not server["enabled"]:
        return
    upstream, settings = upstream_settings(chart), model_server_settings(chart)
    service = chart.component("Service", "model-server")
    address = urlsplit(str(upstream.url))
    (port,) = (p for p in service["spec"]["ports"] if p["port"] == address.port)
    named = {p["name"]: p["containerPort"] for p in _container(chart, "model-server")["ports"]}
    if address.hostname != service["metadata"]["name"] or named.get(port["targetPort"]) != HTTP_PORTS["model-server"]:
        yield f"gateway: {address.netloc} does not lead to the model server"
    ends = {
        "gateway": (upstream.tls_certificate_path, upstream.tls_key_path, upstream.tls_ca_path),
        "model-server": (settings.tls_certificate_path, settings.tls_key_path, settings.tls_client_ca_path),
    }
    tls = server["tls"]
    if not tls["enabled"]:
        if address.scheme != "http" or settings.probe_port is not None or any(map(any, ends.values())):
            yield "TLS is half on"
        return
    if address.scheme != "https":
        yield "gateway: speaks plain HTTP to a model server that wants certificates"
    if not settings.tls_client_name:
        yield "model-server: lets in whoever has any certificate of the authority"
    if settings.probe_port != PROBE_PORT:
        yield f"model-server: its probes are on {settings.probe_port}, expected {PROBE_PORT}"
    for name, paths in ends.items():
        pair = tls["clientSecret" if name == "gateway" else "serverSecret"]
        wanted = [(pair, "tls.crt"), (pair, "tls.key"), (tls["caSecret"], tls["caKey"])]
        files = _files(chart, name)
        got = [files.get(path.name) if path and path.parent == Path(SECRETS) else None for path in paths]
        if got != wanted:
            yield f"{name}: expected certificate, key and authority of {wanted}, got {got}"
        others = {tls["serverSecret"], tls["clientSecret"]} - {pair}
        if any(secret in others and key != tls["caKey"] for secret, key in files.values()):
            yield f"{name}: sees the other end's certificate and key"


def models_are_ones_that_the_server_reads(chart: Rendered) -> Iterator[str]:
    """The list is read by the server's own reader, lies where it looks, and has the model the gateway asks for."""
    server = chart.values["modelServer"]
    if not server["enabled"]:
        return
    settings = model_server_settings(chart)
    listed = [c for c in chart.of_kind("ConfigMap") if "models.yaml" in c["data"]]
    name = listed[0]["metadata"]["name"] if listed else server["modelsConfigMap"]
    if not name:
        if settings.models_path is not None or server["models"]:
            yield "model-server: no list of models is where it looks for one"
        else:
            yield from _default_is_one_of(chart, [entry.id for entry in entries_of(settings)])
        return
    pod = chart.component("Deployment", "model-server")["spec"]["template"]
    volumes = {v["name"] for v in pod["spec"]["volumes"] if v.get("configMap", {}).get("name") == name}
    folders = {
        m["mountPath"]
        for m in _container(chart, "model-server")["volumeMounts"]
        # A `subPath` is never updated in a running pod: SIGHUP would read the old file for ever.
        if m["name"] in volumes and m.get("readOnly") and "subPath" not in m
    }
    if settings.models_path is None or {str(settings.models_path)} != {f"{folder}/models.yaml" for folder in folders}:
        yield f"model-server: reads {settings.models_path}, the list is mounted read-only at {sorted(folders)}"
    for config in listed:
        if pod["metadata"].get("annotations", {}).keys() - server["podAnnotations"].keys():
            yield "model-server: a changed list restarts every pod"
        try:
            yield from _default_is_one_of(chart, _ids(config["data"]["models.yaml"]))
        except SettingsError as error:
            yield f"{name}: {error}"


def upstream_settings(chart: Rendered) -> UpstreamSettings:
    """How the gateway calls the model server, by the mounted file."""
    text = chart.component("ConfigMap", "gateway")["data"]["imprimatur.yaml"]
    return UpstreamSettings.model_validate(yaml.safe_load(text)["upstream"])


def model_server_settings(chart: Rendered) -> Settings:
    """What the model server would make of its container's variables. Raises ValueError."""
    env = {v["name"]: v["value"] for v in _container(chart, "model-server")["env"]}
    with environment({name: value for name, value in env.items() if name.startswith(ENVIRONMENT_PREFIX)}):
        return Settings()


def _container(chart: Rendered, component: str) -> Document:
    container: Document = chart.component("Deployment", component)["spec"]["template"]["spec"]["containers"][0]
    return container


def _files(chart: Rendered, component: str) -> Mapping[str, tuple[str, str]]:
    """Files that the pod takes from Secrets by key: name -> (Secret, key)."""
    return {
        item["path"]: (source["secret"]["name"], item["key"])
        for volume in chart.component("Deployment", component)["spec"]["template"]["spec"]["volumes"]
        for source in volume.get("projected", {}).get("sources", ())
        for item in source["secret"].get("items", ())
    }


def _default_is_one_of(chart: Rendered, ids: Sequence[str]) -> Iterator[str]:
    default = upstream_settings(chart).default_model
    if default not in ids:
        yield f"gateway: asks for {default} when a request names no model, there are {', '.join(ids)}"


def _ids(text: str) -> Sequence[str]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "models.yaml"
        path.write_text(text, "utf-8")
        return [entry.id for entry in read_catalogue(path)]
