"""What Ray is told about the replicas."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from model_server import ray_door
from model_server.limits import BEGUN_PICTURES
from model_server.ray_app import RaySettings, Replica, app, deployment_options
from model_server.settings import Settings, SettingsError
from tests.unit.model_server.support import SECRET


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPRIMATUR_MODEL_TOKEN_SECRET", SECRET.decode())


def options(cluster: RaySettings | None = None, **changes: Any) -> dict[str, Any]:
    return deployment_options(Settings(**changes), cluster or RaySettings())


def test_nothing_is_told_to_rays_makers_and_the_door_is_hung() -> None:
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    assert os.environ[ray_door.HOOK_VARIABLE] == ray_door.HOOK


def test_a_replica_on_a_card_gets_one_whole_card_and_one_on_cpus_none() -> None:
    assert options(device="cuda")["ray_actor_options"]["num_gpus"] == 1.0
    assert options()["ray_actor_options"]["num_gpus"] == 0.0
    assert options(RaySettings(gpus=0.5, cpus=4), device="cuda")["ray_actor_options"] == {
        "num_cpus": 4,
        "num_gpus": 0.5,
    }


def test_a_device_by_number_is_refused_because_ray_hands_out_the_cards() -> None:
    with pytest.raises(SettingsError, match="device"):
        options(device="cuda:1")


def test_with_a_file_of_models_the_number_of_cards_must_be_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="IMPRIMATUR_RAY_GPUS"):
        options(models_path=tmp_path / "models.yaml")
    booked = options(RaySettings(gpus=1), models_path=tmp_path / "models.yaml")
    assert booked["ray_actor_options"]["num_gpus"] == 1


def test_tls_that_the_proxy_would_not_do_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CERTIFICATE", "KEY", "CLIENT_CA"):
        monkeypatch.setenv(f"IMPRIMATUR_MODEL_TLS_{name}_PATH", "/keys/file.pem")
    with pytest.raises(SettingsError, match="certificate"):
        app()


def test_as_many_at_least_as_at_most_is_a_fixed_number() -> None:
    fixed = options(RaySettings(min_replicas=3, max_replicas=3))
    assert fixed["num_replicas"] == 3
    assert "autoscaling_config" not in fixed


def test_the_number_follows_what_is_running_and_waiting() -> None:
    scaled = options(RaySettings(min_replicas=1, max_replicas=4), max_batch=8)
    assert "num_replicas" not in scaled
    assert scaled["autoscaling_config"]["target_ongoing_requests"] == 8
    told = options(RaySettings(min_replicas=1, max_replicas=4, target_ongoing=2.5), max_batch=8)
    assert told["autoscaling_config"]["target_ongoing_requests"] == 2.5


def test_a_replica_takes_what_its_engine_can_hold_and_control_calls_beside_it() -> None:
    few, many = options(queue_limit=3), options(queue_limit=30)
    assert few["max_ongoing_requests"] > 3 + BEGUN_PICTURES
    assert many["max_ongoing_requests"] == few["max_ongoing_requests"] + 27
    assert few["max_queued_requests"] == 3
    assert few["backpressure_config"]["retry_after_s"] >= 1


def test_ray_waits_for_the_drain_before_it_kills() -> None:
    assert options(drain_seconds=20)["graceful_shutdown_timeout_s"] > 2 * 20


def test_ray_takes_the_application_as_it_is() -> None:
    application = app()
    assert application._bound_deployment.name == "model"  # Ray has checked each option when it made this


def test_settings_are_not_taken_from_arguments() -> None:
    with pytest.raises(SettingsError, match="environment"):
        app({"min_replicas": "2"})


def test_without_a_secret_nothing_is_deployed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IMPRIMATUR_MODEL_TOKEN_SECRET")
    monkeypatch.setenv("IMPRIMATUR_MODEL_INSECURE_NO_AUTH", "true")
    with pytest.raises(SettingsError, match="behind Ray Serve"):
        app()


def test_fewer_at_most_than_at_least_is_refused() -> None:
    with pytest.raises(ValidationError, match="max_replicas"):
        RaySettings(min_replicas=2, max_replicas=1)


async def test_a_replica_whose_engine_has_ended_is_ill() -> None:
    class Ended:
        is_alive = False

    replica = Replica.__new__(Replica)  # its constructor needs a cluster
    replica._engine = Ended()  # type: ignore[assignment]
    with pytest.raises(RuntimeError, match="engine"):
        await replica.check_health()
    replica._engine.is_alive = True  # type: ignore[misc]
    await replica.check_health()
