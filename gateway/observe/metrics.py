"""The gateway's metrics. One registry a process; labels come from closed vocabularies only, never from a person."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from audit import Health

_AUDIT_GAUGES = {
    "audit_backlog": "Records waiting for the disk.",
    "audit_behind": "Durable records that are not in the signed tree yet.",
    "audit_open_tickets": "Intents without an outcome.",
    "audit_checkpoint_age_seconds": "Since the newest checkpoint was signed; grows while nothing is written.",
    "audit_disk_free_ratio": "Free share of the log's disk: alarms at 0.2 and 0.1, intents are refused below 0.05.",
    "audit_writable": "1 while an intent would be taken. 0: no picture is made.",
    "records_past_retention": "Records whose content should be gone and isn't. Must be 0.",
    "records_held": "Records past retention that a hold keeps readable.",
    "audit_purge_failures": "Classes of days that could not be purged, since the start.",
    "audit_retention_clock_trusted": "0: the clock leapt ahead, and nothing is destroyed until somebody looked.",
    "audit_destroyed_list_intact": "0: the list of destroyed days was replaced by an older one.",
    "audit_write_failures": "Failed writes since the start.",
    "audit_tree_failures": "Failed turns of the tree since the start.",
    "audit_witness_failures": "Failed tries at a witness since the start.",
}
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
        self.reconciled = Counter(
            "imprimatur_reconciled_requests",
            "Requests whose credits and record differed, by what was done about it and why.",
            ["done", "reason"],
            registry=self.registry,
        )
        self.policy_reloads = Counter(
            "imprimatur_policy_reloads",
            "Attempts to load changed rules, by outcome.",
            ["outcome"],
            registry=self.registry,
        )
        self.shadow_alarms = Counter(
            "imprimatur_policy_shadow_alarms",
            "Rules in the shadow that decided more differently than the settings allow.",
            registry=self.registry,
        )
        self._shadow = Gauge(
            "imprimatur_policy_shadow_decisions",
            "Live decisions that the rules in the shadow were asked too, by what came of it.",
            ["outcome"],
            registry=self.registry,
        )
        self._replay_inputs = Gauge(
            "imprimatur_policy_replay_inputs_not_kept",
            "Decisions since the start whose input was not kept for replays, by why. Alarms: lost.",
            ["cause"],
            registry=self.registry,
        )
        self.bundle_requests = Counter(
            "imprimatur_policy_bundle_requests",
            "What OPA servers asked for, by outcome: sent, unchanged, report, and what was refused.",
            ["outcome"],
            registry=self.registry,
        )
        self._opa_servers = Gauge(
            "imprimatur_policy_opa_servers",
            "OPA servers that reported in the last ten minutes, by how they stand. Alarms: lagging, failing, unknown.",
            ["state"],
            registry=self.registry,
        )
        self._opa_lag = Gauge(
            "imprimatur_policy_opa_lag_seconds",
            "How long the OPA server that is furthest behind has run rules that were replaced.",
            registry=self.registry,
        )
        self.rule_reloads = Counter(
            "imprimatur_detector_reloads", "Attempts to load changed detectors.", ["outcome"], registry=self.registry
        )
        self.emergency_acts = Counter(
            "imprimatur_emergency_acts",
            "What was done with sealed codes (break-glass), by event. Any rise is worth a call.",
            ["event"],
            registry=self.registry,
        )
        self.policy_single_acts = Counter(
            "imprimatur_policy_single_acts",
            "Rules put in force by one person alone (rollback, break-glass, a rollout's steps), by event. Any rise "
            "is worth a look.",
            ["event"],
            registry=self.registry,
        )
        self._policy_behind = Gauge(
            "imprimatur_policy_behind_seconds",
            "How long this process has not run the rules in force, or the rollout that runs. Alarms: above ten.",
            registry=self.registry,
        )
        self._audit = {
            name: Gauge(f"imprimatur_{name}", text, registry=self.registry) for name, text in _AUDIT_GAUGES.items()
        }
        self._witness_waiting = Gauge(
            "imprimatur_audit_witness_waiting_seconds",
            "Age of the oldest checkpoint that a witness lacks. The window of exposure.",
            ["witness"],
            registry=self.registry,
        )
        self._feed_lag = Gauge(
            "imprimatur_audit_feed_lag_records", "Records not sent on yet.", ["consumer"], registry=self.registry
        )
        self._feed_parked = Gauge(
            "imprimatur_audit_feed_parked",
            "1 while a feed waits for a person to look.",
            ["consumer"],
            registry=self.registry,
        )

    def show_opa_servers(self, states: Mapping[str, int], lag_seconds: float) -> None:
        """How the OPA servers stand that fetch our bundles."""
        for state, number in states.items():
            self._opa_servers.labels(state).set(number)
        self._opa_lag.set(lag_seconds)

    def show_policy(self, *, behind_seconds: float) -> None:
        """Whether this process runs what is in force."""
        self._policy_behind.set(behind_seconds)

    def show_replays(self, *, left_out: int, lost: int, shadow: Mapping[str, int]) -> None:
        """What is kept for replays, and how rules in the shadow compare."""
        self._replay_inputs.labels("retention").set(left_out)
        self._replay_inputs.labels("lost").set(lost)
        self._shadow.clear()
        for outcome, decisions in shadow.items():
            self._shadow.labels(outcome).set(decisions)

    def show_audit(self, health: Health) -> None:
        """The state of the log, as alarms read it."""
        values = {
            "audit_backlog": health.backlog,
            "audit_behind": health.behind,
            "audit_open_tickets": health.open_tickets,
            "audit_checkpoint_age_seconds": health.checkpoint_age_seconds or 0.0,
            "audit_disk_free_ratio": health.disk_free_fraction,
            "audit_writable": float(health.writable),
            "records_past_retention": health.records_past_retention,
            "records_held": health.held_records,
            "audit_purge_failures": health.purge_failures,
            "audit_retention_clock_trusted": float(health.retention_clock_trusted),
            "audit_destroyed_list_intact": float(health.destroyed_list_intact),
            "audit_write_failures": health.write_failures,
            "audit_tree_failures": health.tree_failures,
            "audit_witness_failures": health.witness_failures,
        }
        for name, gauge in self._audit.items():
            gauge.set(values[name])

    def show_witness(self, name: str, waiting_seconds: float) -> None:
        self._witness_waiting.labels(name).set(waiting_seconds)

    def show_feed(self, consumer: str, *, lag_records: int, is_parked: bool) -> None:
        self._feed_lag.labels(consumer).set(lag_records)
        self._feed_parked.labels(consumer).set(float(is_parked))

    def render(self) -> bytes:
        return generate_latest(self.registry)
