"""Fetch the artwork and its words from npm, check their digests, and render every sprite to pixels.

All sources are Apache-2.0 or MIT; share-alike sets are left out on purpose, so that the weights carry no such duty.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import resvg_py
from PIL import Image

from model_server.embedded.train.concepts import CONCEPTS

RENDER_PIXELS = 128
"""Sprites are rendered at twice the model's size and scaled down once, with Lanczos, when a scene is composed."""

STYLES = ("cartoon", "flat", "3d")
"""Style words, in the order of the sprite array's second axis: Noto, Fluent flat, Fluent 3D."""

_EMPTY_ALPHA = 8.0
"""A render whose mean alpha is below this is blank: the icon failed and must not be learnt."""


@dataclass(frozen=True, slots=True)
class Source:
    """One npm tarball: exactly this content or none."""

    spec: str
    file: str
    sha256: str
    licence: str
    attribution: str


SOURCES = (
    Source(
        "@iconify-json/noto@1.2.9",
        "iconify-json-noto-1.2.9.tgz",
        "3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad",
        "Apache-2.0",
        "Noto Emoji, Copyright Google Inc.",
    ),
    Source(
        "@iconify-json/fluent-emoji-flat@1.2.6",
        "iconify-json-fluent-emoji-flat-1.2.6.tgz",
        "7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175",
        "MIT",
        "Fluent Emoji, Copyright (c) Microsoft Corporation",
    ),
    Source(
        "@lobehub/fluent-emoji-3d@1.1.0",
        "lobehub-fluent-emoji-3d-1.1.0.tgz",
        "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58",
        "MIT",
        "Fluent Emoji 3D, Copyright (c) Microsoft Corporation; packaged by LobeHub",
    ),
    Source(
        "emojibase-data@17.0.0",
        "emojibase-data-17.0.0.tgz",
        "d01d0e2ca4e22cb402679532155342c71e2e871f25c32223c013b8b166ebdf5a",
        "MIT",
        "Emojibase, Copyright (c) Miles Johnson; labels and tags from Unicode CLDR (Unicode-3.0)",
    ),
    Source(
        "emojilib@4.0.3",
        "emojilib-4.0.3.tgz",
        "7f9a6b43cff31d18985b7d65d11faba5bd971cbcc60020cf6d09322fbaaaf303",
        "MIT",
        "emojilib, Copyright (c) Mu-An Chiou",
    ),
)
NOTO, FLAT, THREE_D, LABELS, KEYWORDS = SOURCES


class DataError(RuntimeError):
    """The training data is not what this code was written for."""


@dataclass(frozen=True, slots=True)
class Sprites:
    """Every picture the model learns from. `pixels` is (concept, style, 128, 128, RGBA) uint8; `tags` per concept."""

    pixels: npt.NDArray[np.uint8]
    tags: tuple[tuple[str, ...], ...]


def fetch(work: Path) -> None:
    """Bring each source into `work/npm` by `npm pack`, unless it is there. Raises DataError on any other digest."""
    folder = work / "npm"
    folder.mkdir(parents=True, exist_ok=True)
    for source in SOURCES:
        path = folder / source.file
        if not path.exists():
            command = ["npm", "pack", "--silent", source.spec]
            # A fixed command and a fixed spec: nothing here comes from outside.
            subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest != source.sha256:
            raise DataError(f"{source.file}: expected sha256 {source.sha256}, got {digest}")


def load_sprites(work: Path) -> Sprites:
    """The rendered sprites, from the cache in `work` when it was made from the same sources and concepts."""
    wanted = hashlib.sha256(repr((SOURCES, CONCEPTS, STYLES, RENDER_PIXELS)).encode()).hexdigest()
    pixels_path, words_path = work / "sprites.npy", work / "sprites.json"
    if pixels_path.exists() and words_path.exists():
        words = json.loads(words_path.read_text(encoding="utf-8"))
        if words["made_from"] == wanted:
            return Sprites(np.load(pixels_path), tuple(tuple(tags) for tags in words["tags"]))
    fetch(work)
    sprites = _render_all(work / "npm")
    np.save(pixels_path, sprites.pixels)
    words_path.write_text(json.dumps({"made_from": wanted, "tags": sprites.tags}), encoding="utf-8")
    return sprites


def _render_all(folder: Path) -> Sprites:
    entries = {entry["label"]: entry for entry in _read_json(folder, LABELS, "package/en/data.json")}
    keywords = _read_json(folder, KEYWORDS, "package/dist/emoji-en-US.json")
    icon_sets = [_read_json(folder, source, "package/icons.json") for source in (NOTO, FLAT)]
    pixels = np.zeros((len(CONCEPTS), len(STYLES), RENDER_PIXELS, RENDER_PIXELS, 4), np.uint8)
    tags: list[tuple[str, ...]] = []
    with tarfile.open(folder / THREE_D.file) as archive:
        members = {_plain_hex(Path(m.name).stem): m for m in archive.getmembers() if m.name.endswith(".webp")}
        for row, concept in enumerate(CONCEPTS):
            entry = entries[concept.label]
            for style, icons in enumerate(icon_sets):
                pixels[row, style] = _render_svg(_svg_of(icons, concept.label))
            stream = archive.extractfile(members[_plain_hex(entry["hexcode"])])
            if stream is None:
                raise DataError(f"{THREE_D.file}: no picture for {concept.label}")
            picture = Image.open(io.BytesIO(stream.read())).convert("RGBA")
            pixels[row, 2] = np.asarray(picture.resize((RENDER_PIXELS, RENDER_PIXELS), Image.Resampling.LANCZOS))
            for style, word in enumerate(STYLES):
                if pixels[row, style, ..., 3].mean() < _EMPTY_ALPHA:
                    raise DataError(f"blank render: {concept.label} in style {word}")
            words = [*entry.get("tags", []), *(w.replace("_", " ") for w in keywords.get(entry["emoji"], []))]
            tags.append(tuple(dict.fromkeys(words)))
    return Sprites(pixels, tuple(tags))


def _read_json(folder: Path, source: Source, member: str) -> Any:
    with tarfile.open(folder / source.file) as archive:
        stream = archive.extractfile(member)
        if stream is None:
            raise DataError(f"{source.file}: no member {member}")
        return json.load(stream)


def _plain_hex(hexcode: str) -> str:
    """The code points without variation selectors, which the sets write or leave out as they please."""
    return hexcode.lower().replace("-fe0f", "")


def _svg_of(icons: dict[str, Any], label: str) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", label.lower().replace("’", "").replace("'", "")).strip("-")
    if name not in icons["icons"]:
        name = icons["aliases"][name]["parent"]
    icon = icons["icons"][name]
    width, height = (icon.get(side, icons.get(side, 16)) for side in ("width", "height"))
    box = f"{icon.get('left', 0)} {icon.get('top', 0)} {width} {height}"
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return f'<svg {names} viewBox="{box}">{icon["body"]}</svg>'


def _render_svg(svg: str) -> npt.NDArray[np.uint8]:
    data = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=RENDER_PIXELS, height=RENDER_PIXELS))
    picture = Image.open(io.BytesIO(data)).convert("RGBA")
    canvas = Image.new("RGBA", (RENDER_PIXELS, RENDER_PIXELS))
    picture.thumbnail((RENDER_PIXELS, RENDER_PIXELS))
    canvas.paste(picture, ((RENDER_PIXELS - picture.width) // 2, (RENDER_PIXELS - picture.height) // 2))
    return np.asarray(canvas)
