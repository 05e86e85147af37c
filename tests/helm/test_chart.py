"""The chart: every case of `ci/` is right, and each rule that says so can say no."""

from __future__ import annotations

import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from helm_python import HelmError

from audit.keys.files import read_private
from gateway.cli import app as imprimatur_command
from helm import schema
from helm.charts import CHART, cases, containers, render
from helm.check import complaints, main
from helm.rules import RULES
from model_server.settings import Settings as ModelServerSettings

CASES = cases()
SOMEWHERE = {"to": [{"ipBlock": {"cidr": "198.51.100.7/32"}}], "ports": [443]}


@pytest.mark.parametrize("case", CASES)
def test_every_case_lints_renders_and_keeps_every_promise(case: str) -> None:
    assert list(complaints(case, CASES[case])) == []


def test_there_are_cases_for_what_companies_do() -> None:
    assert len(CASES) >= 7
    engines = {render(v).values["policy"]["engine"] for v in CASES.values()}
    databases = {bool(render(v).values["database"]["host"]) for v in CASES.values()}
    models = {render(v).values["modelServer"]["enabled"] for v in CASES.values()}
    assert (engines, databases, models) == ({"embedded", "opa"}, {True, False}, {True, False})


def test_the_schema_file_is_the_one_that_the_settings_make() -> None:
    assert schema.TARGET.read_text("utf-8") == schema.text(), "run python -m helm.schema"


def test_every_value_is_described() -> None:
    silent: list[str] = []

    def walk(node: Any, path: str) -> None:
        if isinstance(node, list):
            for i, item in enumerate(node):
                walk(item, f"{path}[{i}]")
        elif isinstance(node, dict):
            for name, prop in node.get("properties", {}).items():
                # `if` and `then` only refine what is described elsewhere.
                if "/if" not in path and "/then" not in path and not prop.get("description"):
                    silent.append(f"{path}/{name}")
            for key, value in node.items():
                walk(value, f"{path}/{key}")

    walk(schema.build(), "")
    assert silent == []


def test_every_default_value_is_in_the_schema_and_every_required_one_has_a_default() -> None:
    assert render({}).documents


def _objects(values: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Paths of all objects in the values, except the maps whose keys are the installer's own."""
    if not isinstance(values, dict) or (path and path[-1] in FREE_MAPS):
        return []
    return [path, *(p for k, v in values.items() for p in _objects(v, (*path, k)))]


FREE_MAPS = {
    "annotations",
    "labels",
    "matchLabels",
    "nodeSelector",
    "podAnnotations",
    "podLabels",
    "requests",
    "limits",
    "roles",
}


@pytest.mark.parametrize("path", _objects(dict(render(CASES["company"]).values)), ids=".".join)
def test_an_unknown_name_is_refused_everywhere(path: tuple[str, ...]) -> None:
    if path == ("global",):
        pytest.skip("reserved by Helm")
    with pytest.raises(HelmError, match="typing_slip"):
        render(_with(CASES["company"], (*path, "typing_slip"), True))


def _with(values: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    head, *rest = path
    inner = values.get(head, {})
    return values | {head: _with(inner if isinstance(inner, dict) else {}, tuple(rest), value) if rest else value}


DECIDED = [
    *(
        ("config", section, name)
        for section, model in {
            "server": "ServerSettings",
            "identity": "IdentitySettings",
            "policy": "PolicySettings",
            "screening": "ScreeningSettings",
            "upstream": "UpstreamSettings",
            "audit": "AuditSection",
        }.items()
        for name in sorted(schema.DECIDED_BY_CHART[model])
    ),
    ("config", "database_url"),
    *(("modelServer", "config", name) for name in sorted(schema.DECIDED_FOR_MODEL_SERVER)),
]


@pytest.mark.parametrize("path", DECIDED, ids=".".join)
def test_what_the_chart_decides_is_not_accepted_as_a_value(path: tuple[str, ...]) -> None:
    with pytest.raises(HelmError, match=path[-1]):
        render(_with({}, path, "x"))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("gateway", "image", "tag"), "latest"),
        (("gateway", "image", "digest"), "sha256:short"),
        (("gateway", "image", "repository"), ""),
        (("podSecurity", "runAsUser"), 0),
        (("podSecurity", "fsGroup"), 0),
        (("gateway", "podLabels"), {"app.kubernetes.io/instance": "another"}),
        (("modelServer", "podLabels"), {"helm.sh/chart": "another"}),
        (("database", "tls", "mode"), "prefer"),
        (("database", "tls", "mode"), "disable"),
        (("database", "user"), "x@evil:1/"),
        (("persistence", "state", "accessModes"), ["ReadWriteMany"]),
        (("networkPolicy", "clients"), [{}]),
        (("networkPolicy", "dns"), []),
        (("networkPolicy", "egress", "database"), [{"to": [], "ports": [5432]}]),
        (("networkPolicy", "egress", "database"), [{"to": [{"ipBlock": {"cidr": "10.0.0.1/32"}}], "ports": []}]),
        (("ingress", "enabled"), True),
        (("modelServer", "config", "path"), "/etc"),
        (("modelServer", "config", "path"), "/models/../etc"),
        (("modelServer", "config", "path"), "/models/x y"),
        (("modelServer", "config", "kind"), "pickle"),
        (("modelServer", "replicas"), 0),
        (("policy", "engine"), "none"),
        (("secrets", "existingSecret"), ""),
        (("config", "credits", "each_month"), -1),
        (("config", "audit", "retention_days"), "for ever"),
        (
            ("config", "identity", "providers"),
            [{"name": "x", "issuer": "https://x", "client_id": "c", "client_secret_path": "/opt/baked-in"}],
        ),
    ],
    ids=lambda p: ".".join(p) if isinstance(p, tuple) else None,
)
def test_a_dangerous_or_wrong_value_is_refused(path: tuple[str, ...], value: Any) -> None:
    with pytest.raises(HelmError):
        render(_with({}, path, value))


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"database": {"host": "db.example.com"}}, "networkPolicy.egress.database"),
        (
            {"modelServer": {"enabled": False, "externalUrl": "https://x.example.com"}},
            "networkPolicy.egress.imageServer",
        ),
        (
            {"modelServer": {"enabled": False}, "networkPolicy": {"egress": {"imageServer": [SOMEWHERE]}}},
            "modelServer.externalUrl",
        ),
        ({"monitoring": {"serviceMonitor": {"enabled": True}}}, "networkPolicy.monitoring"),
        (
            {"config": {"identity": {"providers": [{"name": "x", "issuer": "https://x", "client_id": "c"}]}}},
            "networkPolicy.egress.identityProviders",
        ),
    ],
    ids=lambda p: p if isinstance(p, str) else None,
)
def test_an_edge_that_is_needed_but_not_named_stops_the_installation(values: dict[str, Any], named: str) -> None:
    with pytest.raises(HelmError, match=named):
        render(values)


def test_the_notes_say_when_nobody_can_come_in() -> None:
    assert "Nobody can reach the gateway yet" in render({}).notes
    assert "Nobody may come in yet" in render({}).notes
    assert "yet" not in render(CASES["company"]).notes


def test_no_rendered_document_holds_a_secret() -> None:
    for case, values in CASES.items():
        assert render(values).of_kind("Secret") == (), case


def test_mounted_secrets_become_files_that_the_audit_log_accepts(tmp_path: Path) -> None:
    """The very command of the init container, on folders of ours: what a Secret volume looks like, then the copy."""
    mounted, private = tmp_path / "mounted", tmp_path / "run"
    mounted.mkdir()
    private.mkdir()
    for name in ("audit-kek.key", "pgpass"):
        (mounted / name).write_bytes(b"k" * 32)
        (mounted / name).chmod(0o440)
    init = next(c for c in containers(next(render({}).pods())[1]) if c["name"] == "private-secrets")
    script = init["args"][0].replace("/run/mounted-secrets", str(mounted)).replace("/run/imprimatur", str(private))
    for _ in range(2):  # a restarted pod runs it again, over its own files
        subprocess.run([*init["command"], script], check=True)
    copied = private / "secrets" / "audit-kek.key"
    assert read_private(copied, "key") == b"k" * 32
    assert stat.S_IMODE(copied.stat().st_mode) & 0o077 == 0
    assert stat.S_IMODE(copied.parent.stat().st_mode) == 0o700


MUTATIONS = yaml.safe_load((Path(__file__).parent / "mutations.yaml").read_text("utf-8"))


@pytest.mark.parametrize(("rule", "mutation"), [(rule, m) for rule, all_of in MUTATIONS.items() for m in all_of])
def test_a_broken_template_turns_its_rule_red(tmp_path: Path, rule: str, mutation: dict[str, str]) -> None:
    chart = tmp_path / "imprimatur"
    shutil.copytree(CHART, chart)
    template = chart / "templates" / mutation["file"]
    before = template.read_text("utf-8")
    assert mutation["text"] in before
    template.write_text(before.replace(mutation["text"], mutation["instead"]), "utf-8")
    (check,) = (r for r in RULES if r.__name__ == rule)
    assert list(check(render(CASES[mutation["case"]], chart=chart))) != []


def test_every_rule_has_a_mutation() -> None:
    assert {r.__name__ for r in RULES} == set(MUTATIONS)


def test_the_command_fails_when_a_case_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chart = tmp_path / "imprimatur"
    shutil.copytree(CHART, chart)
    for path in (chart / "ci").glob("*"):
        path.unlink()
    assert main(chart) == 0
    template = chart / "templates" / "gateway.yaml"
    template.write_text(template.read_text("utf-8").replace("replicas: 1", "replicaz: 1"), "utf-8")
    assert main(chart) == 1
    assert "replicaz" in capsys.readouterr().out


def test_commands_of_the_containers_are_ones_that_the_programs_know() -> None:
    known = set(typer.main.get_command(imprimatur_command).commands)  # type: ignore[attr-defined]
    seen = set()
    for case, values in CASES.items():
        for _, pod in render(values).pods():
            for container in containers(pod):
                match container.get("command", []):
                    case ["imprimatur", name]:
                        assert name in known, case
                        seen.add(name)
                    case ["imprimatur-model", *arguments]:
                        options = dict(zip(arguments[::2], arguments[1::2], strict=True))
                        assert {o.removeprefix("--") for o in options} <= set(ModelServerSettings.model_fields), case
                        seen.add("imprimatur-model")
    assert seen == {"serve", "migrate", "imprimatur-model"}
