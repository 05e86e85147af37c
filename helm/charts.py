"""Renders the chart, once per values file under `imprimatur/ci/`, without a cluster and without a helm binary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from helm_python import chart as helm

CHART: Final = Path(__file__).parent / "imprimatur"
RELEASE: Final = "trial"
NAMESPACE: Final = "pictures"

HTTP_PORTS: Final = {"gateway": 8100, "model-server": 8101}
"""Where each component listens."""

PROBE_PORT: Final = 8102
"""Where the model server's probes are when callers of the other port need a certificate."""

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rendered:
    """One case: its name, its values, and what Kubernetes would be given, in the order of the templates."""

    case: str
    values: Mapping[str, Any]
    documents: tuple[Document, ...]
    notes: str

    def of_kind(self, kind: str) -> tuple[Document, ...]:
        return tuple(d for d in self.documents if d["kind"] == kind)

    def component(self, kind: str, component: str) -> Document:
        """The one document of that kind that carries that component label; KeyError when there is none."""
        label = "app.kubernetes.io/component"
        found = [d for d in self.of_kind(kind) if d["metadata"]["labels"].get(label) == component]
        if len(found) != 1:
            raise KeyError(f"{self.case}: expected one {kind} of {component}, got {len(found)}")
        return found[0]

    def pods(self) -> Iterator[tuple[str, Document]]:
        """Each pod template with its component's name."""
        for document in self.documents:
            if document["kind"] in ("Deployment", "StatefulSet", "DaemonSet", "Job"):
                template = document["spec"]["template"]
                yield template["metadata"]["labels"]["app.kubernetes.io/component"], template


def containers(pod: Document) -> tuple[Document, ...]:
    """Every container of a pod template, those that run before the others too."""
    return (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"])


def selects(selector: Document, labels: Document) -> bool:
    """Whether a label selector made of matchLabels (all that we render) selects these labels."""
    wanted = selector.get("matchLabels", {})
    return all(labels.get(k) == v for k, v in wanted.items())


def cases(chart: Path = CHART) -> dict[str, dict[str, Any]]:
    """The chart's own values as `default`, and every file of `ci/` by its name."""
    found: dict[str, dict[str, Any]] = {"default": {}}
    for path in sorted((chart / "ci").glob("*-values.yaml")):
        found[path.name.removesuffix("-values.yaml")] = yaml.safe_load(path.read_text("utf-8")) or {}
    return found


def render(values: Mapping[str, Any], *, case: str = "", chart: Path = CHART) -> Rendered:
    """Raises helm_python's HelmError when the values break the schema or a template refuses them."""
    with helm.Chart.load(chart) as loaded:
        merged = loaded.merge_values(dict(values))
        files = loaded.render(values=dict(values), name=RELEASE, namespace=NAMESPACE)
    documents = tuple(
        document
        for name, text in sorted(files.items())
        if name.endswith(".yaml")
        for document in yaml.safe_load_all(text)
        if document
    )
    notes = next((text for name, text in files.items() if name.endswith("NOTES.txt")), "")
    return Rendered(case, merged, documents, notes)


def lint(values: Mapping[str, Any], *, chart: Path = CHART) -> list[str]:
    """What `helm lint --strict` complains of; its remarks (severity info) are not complaints."""
    report = helm.lint(chart, dict(values), strict=True)
    return [str(error) for error in report["errors"]]
