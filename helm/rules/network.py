"""What the network rules promise: everything is closed but the edges that the values name.

The edges are those of docs/explanation/threat-model.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import yaml

from helm.charts import HTTP_PORTS, PROBE_PORT, Document, Rendered, selects

COMPONENT: Final = "app.kubernetes.io/component"

Edge = tuple[str, str, int]
"""Peer, protocol, port."""


def only_named_edges_are_open(chart: Rendered) -> Iterator[str]:
    """Every pod is under default-deny, and what its own policies open is what the values name, no more."""
    policies = [(p["metadata"]["name"], p["spec"]) for p in chart.of_kind("NetworkPolicy")]
    for name, pod in chart.pods():
        labels = pod["metadata"]["labels"]
        mine = [(n, spec) for n, spec in policies if selects(spec["podSelector"], labels)]
        if not any(_denies_all(spec) for _, spec in mine):
            yield f"{name}: no default-deny rule selects it"
        for direction, peers, kind in (("ingress", "from", "in"), ("egress", "to", "out")):
            rules = [rule for _, spec in mine for rule in spec.get(direction, ())]
            for rule in rules:
                if not rule.get(peers) or not rule.get("ports"):
                    yield f"{name}: an {direction} rule without peers or ports opens everything"
            opened = {
                (_peer(peer), port["protocol"], port["port"])
                for rule in rules
                for peer in rule.get(peers, ())
                for port in rule.get("ports", ())
            }
            expected = set(_expected(chart, name, kind))
            if opened != expected:
                yield f"{name}: expected {kind} {sorted(expected)}, got {sorted(opened)}"


def _denies_all(spec: Document) -> bool:
    return set(spec["policyTypes"]) == {"Ingress", "Egress"} and not spec.get("ingress") and not spec.get("egress")


def _peer(peer: Document) -> str:
    return yaml.safe_dump(peer, default_flow_style=True, sort_keys=True, width=10_000).strip()


def _expected(chart: Rendered, component: str, direction: str) -> Iterator[Edge]:
    values = chart.values["networkPolicy"]
    model = chart.values["modelServer"]["enabled"]
    monitoring = values["monitoring"] if chart.values["monitoring"]["serviceMonitor"]["enabled"] else []
    has_database = chart.values["database"]["host"] or chart.values["auditDatabase"]["existingSecret"]
    database = values["egress"]["database"] if has_database else []

    def ours(name: str) -> str:
        labels = dict(chart.component("Deployment", "gateway")["spec"]["selector"]["matchLabels"])
        return _peer({"podSelector": {"matchLabels": labels | {COMPONENT: name}}})

    def named(edges: list[Any]) -> Iterator[Edge]:
        for edge in edges:
            for peer in edge["to"]:
                for port in edge["ports"]:
                    yield _peer(peer), "TCP", port

    match component, direction:
        case "gateway", "in":
            for peer in (*values["clients"], *monitoring):
                yield _peer(peer), "TCP", HTTP_PORTS["gateway"]
        case "gateway", "out":
            yield from ((_peer(peer), protocol, 53) for peer in values["dns"] for protocol in ("TCP", "UDP"))
            if model:
                yield ours("model-server"), "TCP", HTTP_PORTS["model-server"]
            yield from named(values["egress"]["identityProviders"])
            yield from named(database)
            yield from named([] if model else values["egress"]["imageServer"])
        case "model-server", "in":
            yield ours("gateway"), "TCP", HTTP_PORTS["model-server"]
            if chart.values["modelServer"]["tls"]["enabled"]:
                yield from ((_peer(peer), "TCP", PROBE_PORT) for peer in monitoring)
        case "migrate", "out":
            yield from ((_peer(peer), protocol, 53) for peer in values["dns"] for protocol in ("TCP", "UDP"))
            yield from named(database)
