"""The reference page of the API names every field, header, event, code and address that there is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from starlette.routing import Route

from model_server import errors, wire
from model_server.engine.engine import Engine
from model_server.http.app import create_app
from model_server.http.auth import TokenCheck
from model_server.limits import BodyLimits, EngineLimits
from model_server.observe import Metrics
from tests.unit.model_server.support import PacedModel

ROOT = Path(__file__).parents[4]
STATUSES = {str(status) for status in range(400, 600)}
PAGE = (ROOT / "docs" / "reference" / "model-server-api.md").read_text("utf-8")


def shapes() -> set[type[BaseModel]]:
    """What travels, both ways."""
    classes = [value for value in vars(wire).values() if isinstance(value, type)]
    return {shape for shape in classes if issubclass(shape, wire.WireModel) and not shape.__name__.startswith("_")}


def kinds(error: type[errors.ServiceError]) -> Iterator[type[errors.ServiceError]]:
    yield error
    for child in error.__subclasses__():
        yield from kinds(child)


def test_every_field_is_named() -> None:
    said_together = {wire.ErrorBody, wire.ErrorEnvelope, wire.ImageDatum}
    names = {f"{shape.__name__}.{name}": name for shape in shapes() - said_together for name in shape.model_fields}
    assert len(names) > 60
    assert [where for where, name in names.items() if f"`{name}`" not in PAGE] == []
    assert '{"error": {"message", "type", "param", "code"}}' in PAGE


def test_every_header_and_event_is_named() -> None:
    headers = [value for name, value in vars(wire).items() if name.endswith("_HEADER")]
    events = [name for names in wire.EVENT_NAMES.values() for name in names]
    assert [word for word in [*headers, *events] if f"`{word}`" not in PAGE] == []


def test_every_code_stands_with_its_status() -> None:
    rows = {
        cells[1].strip("` "): int(cells[2])
        for line in PAGE.splitlines()
        if len(cells := line.split("|")) == 5 and cells[2].strip() in STATUSES
    }
    for kind in kinds(errors.ServiceError):
        assert rows.get(kind.code) == kind.status, kind
    sources = [path.read_text("utf-8") for path in (ROOT / "model_server").rglob("*.py")]
    for code in rows:
        assert any(f'"{code}"' in source for source in sources), code


@pytest.fixture
def app() -> Any:
    engine = Engine({"paced": PacedModel()}, limits=EngineLimits(), metrics=Metrics())
    return create_app(
        engine,
        check=TokenCheck(None, lambda: datetime.now(UTC)),
        metrics=Metrics(),
        clock=lambda: datetime.now(UTC),
        bodies=BodyLimits(),
        drain_seconds=1.0,
    )


def test_every_address_is_named(app: Any) -> None:
    for route in app.routes:
        assert isinstance(route, Route)
        path = route.path.replace("{work_id}", "{id}")
        methods = (route.methods or set()) - {"HEAD"}
        assert [f"`{method} {path}`" for method in methods if f"`{method} {path}`" not in PAGE] == []
