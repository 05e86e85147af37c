"""Writes `imprimatur/values.schema.json` from `values.schema.yaml` and the settings of gateway and model server.

    python -m helm.schema [--check]

The settings file is part of the values, so a slip in a setting's name or type stops `helm install` and not the
gateway's start. What the chart decides itself is left out: a value that would be overridden must not look accepted.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

import yaml

from gateway.settings import Settings
from model_server.loading.catalogue import ModelEntry
from model_server.settings import Settings as ModelServerSettings

HERE: Final = Path(__file__).parent
SOURCE: Final = HERE / "values.schema.yaml"
NAME: Final = "values.schema.json"
TARGET: Final = HERE / "imprimatur" / NAME

DECIDED_BY_CHART: Final = {
    "Settings": {"database_url", "pictures_path"},
    "ServerSettings": {"host", "port", "clock_offset_seconds"},
    "IdentitySettings": {"secret_path", "cookie_secure"},
    "PolicySettings": {"engine", "directory", "opa_url", "opa_token_path", "opa_rules_from"},
    "BundleSettings": {"name", "signing_key_path", "key_id", "token_path"},
    "ScreeningSettings": {"secret_path"},
    "ProvenanceSettings": {"directory", "watermark_secret_path", "create_keys"},
    "UpstreamSettings": {"url", "secret_path"},  # and tls_* with modelServer.enabled: a template says so
    "AuditSection": {"directory", "kek_path", "signing_key_path", "witness_path", "create_keys", "database_url_path"},
}
"""Settings that are no value of the chart: addresses, folders and key files inside the pod, and the ones that are
safe on a laptop only (plain-http cookies, a shifted clock, keys made at start)."""

DECIDED_FOR_MODEL_SERVER: Final = {
    "host",
    "port",
    "probe_port",
    "token_secret",
    "token_secret_path",
    "insecure_no_auth",
    "tls_certificate_path",
    "tls_key_path",
    "tls_client_ca_path",
    "tls_client_name",
    "models_path",
}
"""The same of the model server. Its secret comes as a file, and it never serves without one. Certificates and the list
of models are values beside its settings."""

NOT_IN_A_POD: Final = {"hub", "revision"}
"""Keys of a model that can't work there: no cache of a hub, and no way out to fetch anything."""

SECRET_FILE: Final = r"^/run/imprimatur/secrets/[A-Za-z0-9._-]+$"  # noqa: S105 (a pattern of paths)
"""Where the chart puts every key of the Secret; a client secret anywhere else would be a file of the image."""

MODEL_FOLDER: Final = r"^/models(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+$"
"""Inside the weights claim: no part is `..`, which would lead out of it."""

SIZE: Final = r"^[1-9][0-9]{1,4}x[1-9][0-9]{1,4}$"
"""Width and height as the list of models writes them; the server's own type is the pair that it becomes."""

SECTIONS: Final = {
    "server": "Address for people, limits and drain.",
    "identity": "Identity providers, roles, sessions and API keys.",
    "policy": "How rules are reloaded and how long a decision may take.",
    "screening": "How long screening may take.",
    "provenance": "Content Credentials, watermark and fingerprints of pictures.",
    "credits": "What people may make in a month.",
    "upstream": "Time and size limits towards the image server.",
    "audit": "Retention and housekeeping of the log.",
}
"""What each section is about; its settings describe themselves."""


def build() -> dict[str, Any]:
    """The whole schema: closed objects everywhere, the gateway's settings under `config`."""
    schema: dict[str, Any] = yaml.safe_load(SOURCE.read_text("utf-8"))
    settings = Settings.model_json_schema()
    for name, definition in {**settings.pop("$defs"), "Settings": settings}.items():
        for decided in DECIDED_BY_CHART.get(name, set()):
            del definition["properties"][decided]
        if name != "Settings":
            schema["$defs"][name] = definition
    config = schema["properties"]["config"]
    config["properties"] = settings["properties"]
    for section, about in SECTIONS.items():
        prop = config["properties"][section]
        config["properties"][section] = {"$ref": prop["$ref"], "description": about}
    provider = schema["$defs"]["Provider"]["properties"]
    provider["client_secret_path"] = {
        "type": "string",
        "pattern": SECRET_FILE,
        "description": provider["client_secret_path"]["description"],
    }
    upstream = schema["$defs"]["UpstreamSettings"]["properties"]
    for name in ("tls_ca_path", "tls_certificate_path", "tls_key_path"):
        upstream[name] = {"type": "string", "pattern": SECRET_FILE, "description": upstream[name]["description"]}
    certificate = schema["$defs"]["CertificateFiles"]["properties"]
    for name in ("chain_path", "key_path"):
        certificate[name] = {"type": "string", "pattern": SECRET_FILE, "description": certificate[name]["description"]}
    schema["$defs"] |= _models(schema["$defs"])
    model_server = ModelServerSettings.model_json_schema()["properties"]
    for decided in DECIDED_FOR_MODEL_SERVER:
        del model_server[decided]
    about = model_server["path"]["description"]
    model_server["path"] = {"type": "string", "pattern": MODEL_FOLDER, "description": about}
    schema["properties"]["modelServer"]["properties"]["config"]["properties"] = model_server
    return {key: _closed(value, key=key) for key, value in schema.items()} | {"additionalProperties": False}


def _models(about: dict[str, Any]) -> dict[str, Any]:
    """What may be said of a model of the list, with the descriptions of `about`. LookupError for a key without one."""
    made = ModelEntry.model_json_schema()
    found = {"Spread": made["$defs"]["Spread"], "ModelEntry": made}
    del made["$defs"]
    for name in NOT_IN_A_POD:
        del made["properties"][name]
    made["properties"] |= {
        "folder": {"type": "string", "pattern": MODEL_FOLDER},
        "sizes": {"type": "array", "items": {"type": "string", "pattern": SIZE}},
        # `off` without quotes is false in YAML 1.1; the server takes it for the word.
        "compile": {"enum": ["off", "repeated_blocks", False]},
    }
    for kind, definition in found.items():
        for name, prop in definition["properties"].items():
            prop["description"] = about[kind]["properties"][name]["description"]
    return {kind: about[kind] | definition for kind, definition in found.items()}


def _closed(node: Any, *, key: str = "") -> Any:
    """Drop generated titles, and close every object that lists its properties."""
    if isinstance(node, list):
        return [_closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    named = key in ("properties", "$defs")
    out = {k: _closed(v, key=k) for k, v in node.items() if named or not (k == "title" and key)}
    if not named:
        if out.get("format") == "path":
            del out["format"]
        if out.get("type") == "object" and "properties" in out and key not in ("if", "then"):
            out.setdefault("additionalProperties", False)
    return out


def text() -> str:
    return json.dumps(build(), indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def main() -> int:
    current = TARGET.read_text("utf-8") if TARGET.exists() else ""
    if "--check" in sys.argv[1:]:
        if current != text():
            print(f"{TARGET.name} is out of date: run python -m helm.schema")
            return 1
        return 0
    TARGET.write_text(text(), "utf-8")
    print(f"wrote {TARGET.name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
