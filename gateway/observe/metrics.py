"""The gateway's metrics. One registry a process; labels come from closed vocabularies only, never from a person."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """Everything `/metrics` shows. Metrics fail open: nothing here may stop a request."""

    content_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "imprimatur_requests",
            "HTTP requests by route template, method and status.",
            ["route", "method", "status"],
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "imprimatur_request_seconds",
            "Time to the last byte, by route template.",
            ["route"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.conclusions = Counter(
            "imprimatur_image_conclusions",
            "Image requests by how they ended and the first reason.",
            ["effect", "reason"],
            registry=self.registry,
        )
        self.stage_seconds = Histogram(
            "imprimatur_stage_seconds",
            "Time a request spent in each stage.",
            ["stage"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.in_flight = Gauge("imprimatur_in_flight", "HTTP requests being worked on.", registry=self.registry)
        self.swept = Counter(
            "imprimatur_swept_tickets", "Tickets of crashed requests concluded as unknown.", registry=self.registry
        )
        self.policy_reloads = Counter(
            "imprimatur_policy_reloads",
            "Attempts to load changed rules, by outcome.",
            ["outcome"],
            registry=self.registry,
        )
        self.rule_reloads = Counter(
            "imprimatur_detector_reloads", "Attempts to load changed detectors.", ["outcome"], registry=self.registry
        )
        self.audit_backlog = Gauge("imprimatur_audit_backlog", "Records waiting for the disk.", registry=self.registry)
        self.audit_past_retention = Gauge(
            "imprimatur_records_past_retention",
            "Records whose content should be gone and isn't. Must be 0.",
            registry=self.registry,
        )

    def render(self) -> bytes:
        return generate_latest(self.registry)
