"""One replica a GPU under Ray Serve: `serve run model_server.ray_app:app`.

Each replica is the whole server of `python -m model_server` without its socket: its own engine and models, the same
application, the same token check. Ray adds the proxy before them, starts a new replica when one dies, and their number
follows the load. The model's settings are those of the plain server, from the environment of every node; the few that
only a cluster has are `RaySettings`. See docs/how-to/more-than-one-gpu.md.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Self

# Before Ray is imported: it reads both once. Nothing is told to anyone outside, whatever the environment says.
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

from model_server import offline as _offline  # noqa: F401  (before any library of models)
from model_server import ray_door
from model_server import threads as _threads  # noqa: F401  (before torch)

os.environ.setdefault(ray_door.HOOK_VARIABLE, ray_door.HOOK)

from prometheus_client import Metric
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from ray import serve
from ray.serve import Application
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle
from starlette.types import ASGIApp

from model_server.engine.engine import Engine
from model_server.engine.events import Snapshot
from model_server.http.app import create_app
from model_server.http.auth import TokenCheck
from model_server.limits import BEGUN_PICTURES
from model_server.loading.load import load
from model_server.observe import Metrics, configure_logging
from model_server.ray_door import secret_of
from model_server.ray_sisters import Sisters, labelled
from model_server.settings import Settings, SettingsError

RAY_ENVIRONMENT_PREFIX = "IMPRIMATUR_RAY_"
_CONTROL_CALLS = 32
"""Calls that a replica takes beyond those that make pictures. A cancel must not wait behind what it is to cancel."""
_HEALTH_SECONDS = 2.0
_SISTERS_SECONDS = 3.0
"""A sister that is silent for longer counts as one that did not answer."""
_SHUTDOWN_MARGIN_SECONDS = 5.0


class RaySettings(BaseSettings):
    """What only a cluster has. `min_replicas` is read from `IMPRIMATUR_RAY_MIN_REPLICAS`."""

    model_config = SettingsConfigDict(env_prefix=RAY_ENVIRONMENT_PREFIX, extra="ignore", frozen=True)

    min_replicas: PositiveInt = Field(1, description="Replicas that always run.")
    max_replicas: PositiveInt = Field(1, description="Replicas at the busiest time; as many as min: a fixed number.")
    gpus: NonNegativeFloat | None = Field(
        None, description="GPUs of a replica. Absent: 1 when `device` is cuda, else 0; needed with `models_path`."
    )
    cpus: PositiveFloat = Field(1.0, description="CPU cores that Ray books for a replica.")
    target_ongoing: PositiveFloat | None = Field(
        None,
        description="Requests, running and waiting, that a replica should have; above it another one is started. "
        "Absent: `max_batch`. Better: the batch size that the replica's log reports when it is ready.",
    )
    upscale_seconds: NonNegativeFloat = Field(15.0, description="How long it must be too busy before one is added.")
    downscale_seconds: NonNegativeFloat = Field(300.0, description="How long too idle before one is taken away.")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.max_replicas < self.min_replicas:
            raise SettingsError("max_replicas must not be below min_replicas")
        return self


class Replica:
    """One engine and its application, as Ray Serve runs them. Ray calls the methods; none blocks its loop."""

    def __init__(self) -> None:
        settings = Settings()
        secret = secret_of(settings)
        configure_logging(settings.log_level)
        context = serve.get_replica_context()
        self._name = context.replica_id.unique_id
        self._sisters: DeploymentHandle[Any] = serve.get_deployment_handle(context.deployment, context.app_name)
        self._metrics = Metrics()
        self._engine = Engine(load(settings), limits=settings.engine_limits, metrics=self._metrics)
        app = create_app(
            self._engine,
            check=TokenCheck(secret, _utc_now),
            metrics=self._metrics,
            clock=_utc_now,
            bodies=settings.body_limits,
            drain_seconds=settings.drain_seconds,
            send_seconds=settings.send_seconds,
            deadline_seconds=settings.deadline_seconds,
        )
        self._app = Sisters(app, self._engine, self._ask)

    def __serve_build_asgi_app__(self) -> ASGIApp:
        return self._app

    async def check_health(self) -> None:
        """Ray replaces a replica whose check raises."""
        if not self._engine.is_alive:
            raise RuntimeError("the engine has stopped")

    async def find(self, work_id: str, cancels: bool) -> Snapshot | None:
        """For a sister whose caller has shown a token: where a request is here, after it was cancelled if asked so."""
        return self._engine.cancel(work_id) if cancels else self._engine.status(work_id)

    async def families(self) -> list[Metric]:
        """For a sister that is scraped: the counters of this replica."""
        return labelled(self._metrics.registry, self._name)

    async def _ask(self, method: str, *arguments: object) -> Sequence[Any]:
        try:
            asking = self._sisters.broadcast(method, *arguments)
            return list(await asking.results_async(timeout_s=_SISTERS_SECONDS, return_exceptions=True))
        except (TimeoutError, RayServeException) as error:
            return [error]


def app(arguments: Mapping[str, str] | None = None) -> Application:
    """The application for `serve run` and for a RayService. Raises SettingsError, before anything starts, when the
    environment is not fit to serve."""
    if arguments:
        raise SettingsError(f"settings come from the environment ({RAY_ENVIRONMENT_PREFIX}...), not as arguments")
    settings, cluster = Settings(), RaySettings()
    secret_of(settings)
    return serve.deployment(**deployment_options(settings, cluster))(serve.ingress()(Replica)).bind()


def deployment_options(settings: Settings, cluster: RaySettings) -> dict[str, Any]:
    """How Ray Serve runs the replicas: how many, what each may hold, how it is watched and how it ends."""
    on_cuda = settings.device.startswith("cuda")
    if settings.device.startswith("cuda:"):
        raise SettingsError("device: Ray gives each replica its own card, and there it is `cuda`, without a number")
    if settings.models_path is not None and cluster.gpus is None:
        # Ray hides every card from a replica that books none, and `device: auto` would quietly work on the processor.
        raise SettingsError(
            f"{RAY_ENVIRONMENT_PREFIX}GPUS: say how many GPUs a replica of models_path needs; 0 for none"
        )
    counts: dict[str, Any] = {"num_replicas": cluster.min_replicas}
    if cluster.max_replicas > cluster.min_replicas:
        # Ray counts each open call: those in work and those that wait in the engine's queue, for both hold theirs open.
        scaling = {
            "min_replicas": cluster.min_replicas,
            "max_replicas": cluster.max_replicas,
            "target_ongoing_requests": cluster.target_ongoing or settings.max_batch,
            "upscale_delay_s": cluster.upscale_seconds,
            "downscale_delay_s": cluster.downscale_seconds,
        }
        counts = {"autoscaling_config": scaling}
    return {
        **counts,
        "name": "model",
        "ray_actor_options": {
            "num_cpus": cluster.cpus,
            "num_gpus": (1.0 if on_cuda else 0.0) if cluster.gpus is None else cluster.gpus,
        },
        # The engine itself refuses what it has no place for, and says when there will be one. Ray's own bound, wider by
        # the control calls, is for when an engine can't: its callers wait at the proxy, and one more is told so there.
        "max_ongoing_requests": settings.queue_limit + BEGUN_PICTURES + _CONTROL_CALLS,
        "max_queued_requests": settings.queue_limit,
        "backpressure_config": {"status_code": 429, "retry_after_s": 5},
        "health_check_period_s": _HEALTH_SECONDS,
        "health_check_timeout_s": 5 * _HEALTH_SECONDS,
        # First no new calls come and those in work end; then the engine closes, with as much time again.
        "graceful_shutdown_wait_loop_s": 0.5,
        "graceful_shutdown_timeout_s": 2 * settings.drain_seconds + _SHUTDOWN_MARGIN_SECONDS,
    }


def _utc_now() -> datetime:
    return datetime.now(UTC)
