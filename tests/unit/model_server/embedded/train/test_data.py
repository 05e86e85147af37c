from __future__ import annotations

import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model_server.embedded.train import data
from model_server.embedded.train.data import DataError, fetch

RED_DISC = '<circle cx="8" cy="8" r="8" fill="red"/>'


def test_a_tarball_with_another_digest_is_refused(tmp_path: Path) -> None:
    (tmp_path / "npm").mkdir()
    (tmp_path / "npm" / data.SOURCES[0].file).write_bytes(b"not what was published")
    with pytest.raises(DataError, match="expected sha256"):
        fetch(tmp_path)


def test_every_source_is_pinned_and_permissive() -> None:
    for source in data.SOURCES:
        assert len(source.sha256) == 64
        assert source.licence in ("MIT", "Apache-2.0")
        assert source.spec.rsplit("@", 1)[1][0].isdigit()


def test_an_icon_is_rendered_with_its_alpha() -> None:
    icons = {
        "icons": {"red-apple": {"body": RED_DISC}},
        "aliases": {"apple": {"parent": "red-apple"}},
        "width": 16,
        "height": 16,
    }
    for label in ("red apple", "Apple"):
        pixels = data._render_svg(data._svg_of(icons, label))
        assert pixels.shape == (128, 128, 4)
        assert tuple(pixels[64, 64]) == (255, 0, 0, 255)
        assert pixels[0, 0, 3] == 0


def test_a_blank_render_stops_the_preparation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    icons = {"icons": {data.CONCEPTS[0].label.replace(" ", "-"): {"body": ""}}, "width": 16, "height": 16}
    picture = io.BytesIO()
    data.Image.new("RGBA", (8, 8), "red").save(picture, "WEBP")
    labels = [{"label": data.CONCEPTS[0].label, "hexcode": "1F436", "emoji": "x"}]
    members = {
        data.NOTO: ("package/icons.json", json.dumps(icons).encode()),
        data.FLAT: ("package/icons.json", json.dumps(icons).encode()),
        data.THREE_D: ("package/assets/1f436.webp", picture.getvalue()),
        data.LABELS: ("package/en/data.json", json.dumps(labels).encode()),
        data.KEYWORDS: ("package/dist/emoji-en-US.json", b"{}"),
    }
    for source, (name, content) in members.items():
        with tarfile.open(tmp_path / source.file, "w:gz") as archive:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    monkeypatch.setattr(data, "CONCEPTS", data.CONCEPTS[:1])
    with pytest.raises(DataError, match="blank render: dog face in style cartoon"):
        data._render_all(tmp_path)


def test_sprites_of_another_list_of_concepts_are_not_reused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def render(_folder: Path) -> data.Sprites:
        made.append(1)
        return data.Sprites(np.zeros((1, 3, 2, 2, 4), np.uint8), (("tag",),))

    monkeypatch.setattr(data, "fetch", lambda _work: None)
    monkeypatch.setattr(data, "_render_all", render)
    data.load_sprites(tmp_path)
    assert data.load_sprites(tmp_path).tags == (("tag",),)
    assert len(made) == 1
    monkeypatch.setattr(data, "CONCEPTS", (replace(data.CONCEPTS[0], name="hound"),))
    data.load_sprites(tmp_path)
    assert len(made) == 2
