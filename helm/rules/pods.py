"""What every pod promises: restricted, pinned, probed, gentle at the end, one writer of the log.

Sources: Kubernetes Pod Security Standards, profile "restricted"; CIS Kubernetes Benchmark 5.1-5.7.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from helm.charts import HTTP_PORTS, NAMESPACE, PROBE_PORT, Rendered, containers, selects

SAFE_VOLUMES: Final = {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}
"""Volume types that the restricted profile allows and we use: no hostPath, which is the node's own disk."""

MARGIN_SECONDS: Final = 10
"""What a stopping pod needs beside preStop and drain: the log's last checkpoint and closing files."""


def pods_are_restricted(chart: Rendered) -> Iterator[str]:
    """Pod Security Standards "restricted", and no token for the cluster's API."""
    for name, pod in chart.pods():
        spec = pod["spec"]
        security = spec.get("securityContext", {})
        if security.get("runAsNonRoot") is not True or not security.get("runAsUser", 0) > 0:
            yield f"{name}: may run as root"
        if security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield f"{name}: seccomp profile is not RuntimeDefault"
        if spec.get("automountServiceAccountToken") is not False:
            yield f"{name}: gets a token for the cluster's API"
        for host in ("hostNetwork", "hostPID", "hostIPC"):
            if spec.get(host):
                yield f"{name}: {host}"
        for volume in spec.get("volumes", ()):
            kinds = set(volume) - {"name"}
            if not kinds <= SAFE_VOLUMES:
                yield f"{name}: volume {volume['name']} is of kind {', '.join(sorted(kinds))}"
    for account in chart.of_kind("ServiceAccount"):
        if account.get("automountServiceAccountToken") is not False:
            yield f"service account {account['metadata']['name']} hands out tokens"


def containers_are_restricted(chart: Rendered) -> Iterator[str]:
    for name, pod in chart.pods():
        for container in containers(pod):
            where = f"{name}/{container['name']}"
            security = container.get("securityContext", {})
            if security.get("allowPrivilegeEscalation") is not False:
                yield f"{where}: may escalate privileges"
            if security.get("readOnlyRootFilesystem") is not True:
                yield f"{where}: can write to its root file system"
            if security.get("capabilities") != {"drop": ["ALL"]}:
                yield f"{where}: keeps capabilities"
            if security.get("privileged"):
                yield f"{where}: is privileged"
            resources = {"limits": {}, "requests": {}} | container.get("resources", {})
            if "memory" not in resources["limits"] or not {"cpu", "memory"} <= set(resources["requests"]):
                yield f"{where}: lacks a memory limit or requests"
            for variable in container.get("env", ()):
                if "secretKeyRef" in variable.get("valueFrom", {}):
                    yield f"{where}: secret in the environment ({variable['name']}), expected a file"


def everything_says_where_it_lives(chart: Rendered) -> Iterator[str]:
    """Rendered documents are also applied by hand, or by a tool that adds no namespace of its own."""
    for document in chart.documents:
        if document["metadata"].get("namespace") != NAMESPACE:
            yield f"{document['kind']} {document['metadata']['name']}: no namespace"


def images_are_pinned(chart: Rendered) -> Iterator[str]:
    """By digest, or by a tag that names a version."""
    for name, pod in chart.pods():
        for container in containers(pod):
            image = container["image"]
            if "@sha256:" in image:
                continue
            tag = image.rpartition("/")[2].partition(":")[2]
            if tag in ("", "latest"):
                yield f"{name}/{container['name']}: image {image} has no fixed tag"


def pods_answer_probes_and_stop_gently(chart: Rendered) -> Iterator[str]:
    for name, pod in chart.pods():
        if name not in HTTP_PORTS:
            continue
        container = pod["spec"]["containers"][0]
        # A kubelet has no certificate to show at a port with TLS.
        tls = name == "model-server" and chart.values["modelServer"]["tls"]["enabled"]
        port, expected = (
            ("probes", {"https": HTTP_PORTS[name], "probes": PROBE_PORT})
            if tls
            else ("http", {"http": HTTP_PORTS[name]})
        )
        for probe, path in (("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
            if container.get(probe, {}).get("httpGet") != {"path": path, "port": port}:
                yield f"{name}: {probe} doesn't ask {path} of port {port}"
        ports = {p["name"]: p["containerPort"] for p in container.get("ports", ())}
        if ports != expected:
            yield f"{name}: expected ports {expected}, got {ports}"
        if container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0) < 1:
            yield f"{name}: stops while requests still arrive"
    longest = chart.values["config"]["upstream"]["total_seconds"]
    drains = {
        "gateway": chart.values["config"]["server"]["drain_seconds"],
        "model-server": chart.values["modelServer"]["config"]["drain_seconds"],
    }
    for name, pod in chart.pods():
        if name not in drains:
            continue
        if drains[name] < longest:
            yield f"{name}: drains for {drains[name]} s, the longest picture takes {longest} s"
        spec = pod["spec"]
        stop = spec["containers"][0].get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        if spec["terminationGracePeriodSeconds"] < stop + drains[name] + MARGIN_SECONDS:
            yield f"{name}: is killed while it drains ({stop} s + {drains[name]} s and a little)"


def the_log_has_one_writer(chart: Rendered) -> Iterator[str]:
    deployment = chart.component("Deployment", "gateway")["spec"]
    if deployment["replicas"] != 1 or deployment["strategy"] != {"type": "Recreate"}:
        yield "gateway: two pods could open the audit log at once"
    for claim in chart.of_kind("PersistentVolumeClaim"):
        if set(claim["spec"]["accessModes"]) - {"ReadWriteOncePod", "ReadWriteOnce"}:
            yield f"{claim['metadata']['name']}: can be mounted on two nodes"
        if claim["metadata"].get("annotations", {}).get("helm.sh/resource-policy") != "keep":
            yield f"{claim['metadata']['name']}: goes with the release"


def disruption_is_bounded(chart: Rendered) -> Iterator[str]:
    for name, pod in chart.pods():
        if name in HTTP_PORTS:
            budget = chart.component("PodDisruptionBudget", name)["spec"]
            if not selects(budget["selector"], pod["metadata"]["labels"]) or "maxUnavailable" not in budget:
                yield f"{name}: its disruption budget protects nothing"


def migration_comes_first(chart: Rendered) -> Iterator[str]:
    """With PostgreSQL a hook that brings all it needs; with SQLite the gateway's own init container."""
    inits = [c["name"] for c in chart.component("Deployment", "gateway")["spec"]["template"]["spec"]["initContainers"]]
    if not chart.values["database"]["host"]:
        if "migrate" not in inits:
            yield "gateway: starts on a database nobody migrated"
        return
    job = chart.component("Job", "migrate")
    if job["spec"]["template"]["spec"]["containers"][0]["command"] != ["imprimatur", "migrate"]:
        yield "migrate: doesn't migrate"
    for kind in ("Job", "ConfigMap", "ServiceAccount", "NetworkPolicy"):
        notes = chart.component(kind, "migrate")["metadata"].get("annotations", {})
        if notes.get("helm.sh/hook") != "pre-install,pre-upgrade":
            yield f"migrate: its {kind} isn't there before the release"
        if kind != "Job" and int(notes.get("helm.sh/hook-weight", 0)) >= 0:
            yield f"migrate: its {kind} comes after the Job"
