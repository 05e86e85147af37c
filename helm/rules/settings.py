"""What the mounted settings promise: each is known to the program that reads it, and fits the pod it runs in."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from gateway.settings import CONFIG_VARIABLE, Settings
from helm.charts import HTTP_PORTS, Rendered, containers
from helm.rules.environment import environment


def settings_are_the_gateways(chart: Rendered) -> Iterator[str]:
    """The mounted file is read by the gateway's own settings, which refuse unknown names and wrong types."""
    for config in chart.of_kind("ConfigMap"):
        if config["metadata"]["labels"].get("app.kubernetes.io/component") in ("model-server", "opa"):
            continue  # the list of models, which is the model server's to read; OPA's own configuration
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "imprimatur.yaml"
            path.write_text(config["data"]["imprimatur.yaml"], "utf-8")
            with environment({CONFIG_VARIABLE: str(path)}):
                try:
                    settings = Settings()
                except ValidationError as error:
                    yield f"{config['metadata']['name']}: {error.error_count()} settings refused: {error}"
                    continue
        yield from _settings_fit_the_pod(chart, settings)


def keys_go_where_they_are_needed(chart: Rendered) -> Iterator[str]:
    """The model server sees one key, a migration none of the log's, and no pod mounts a Secret as it stands."""
    keys = chart.values["secrets"]["existingSecret"]
    allowed: dict[str, set[str]] = {"model-server": {"model-server.key"}, "migrate": set()}
    for name, pod in chart.pods():
        for volume in pod["spec"].get("volumes", ()):
            for source in volume.get("projected", {}).get("sources", ()):
                secret = source.get("secret", {})
                if secret.get("name") != keys:
                    continue
                items = {item["key"] for item in secret.get("items", ())} or {"every key"}
                if name in allowed and not items <= allowed[name]:
                    yield f"{name}: sees {', '.join(sorted(items))}"
        for container in containers(pod):
            mounted = {m["name"] for m in container.get("volumeMounts", ())}
            if "mounted-secrets" in mounted and container["name"] != "private-secrets":
                yield f"{name}/{container['name']}: reads secrets that its group can read too"


def _settings_fit_the_pod(chart: Rendered, settings: Settings) -> Iterator[str]:
    mounts = {
        m["mountPath"]: bool(m.get("readOnly"))
        for m in chart.component("Deployment", "gateway")["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    }
    for path in (settings.audit.directory, settings.audit.witness_path.parent, settings.pictures_path):
        root = next((m for m in mounts if path.is_relative_to(m)), None)
        if root is None or mounts[root]:
            yield f"{path} is not on a volume that can be written"
    secrets = [
        settings.identity.secret_path,
        settings.screening.secret_path,
        settings.upstream.secret_path,
        *filter(
            None,
            (settings.upstream.tls_ca_path, settings.upstream.tls_certificate_path, settings.upstream.tls_key_path),
        ),
        settings.audit.kek_path,
        settings.audit.signing_key_path,
        *filter(None, (settings.audit.database_url_path,)),
        *(p.client_secret_path for p in settings.identity.providers if p.client_secret_path),
    ]
    for path in secrets:
        if path.parent != Path("/run/imprimatur/secrets"):
            yield f"{path} is not among the mounted secrets"
    if chart.values["auditDatabase"]["existingSecret"]:
        yield from _audit_database_is_reached(chart, settings)
    if settings.audit.directory in settings.audit.witness_path.parents:
        yield "the witness lies beside the log it is to witness"
    if not settings.identity.cookie_secure or settings.audit.create_keys or settings.server.clock_offset_seconds:
        yield "a setting for laptops is on"
    if settings.server.port != HTTP_PORTS["gateway"]:
        yield f"the gateway listens on {settings.server.port}, its probes ask {HTTP_PORTS['gateway']}"


def _audit_database_is_reached(chart: Rendered, settings: Settings) -> Iterator[str]:
    """The log's records go to the database that was asked for, migrated before the gateway starts."""
    path = settings.audit.database_url_path
    if path is None:
        yield "the log's records go into files although auditDatabase names a database"
        return
    pod = chart.component("Deployment", "gateway")["spec"]["template"]["spec"]
    files = {
        item["path"]
        for volume in pod["volumes"]
        for source in volume.get("projected", {}).get("sources", ())
        if source.get("secret", {}).get("name") == chart.values["auditDatabase"]["existingSecret"]
        for item in source["secret"].get("items", ())
    }
    if path.name not in files:
        yield f"{path} is in no mounted secret"
    if not any(str(path) in container.get("command", ()) for container in pod["initContainers"]):
        yield "nothing migrates the log's database"
