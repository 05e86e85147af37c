"""The process in which a picture to check is taken apart: `python -m gateway.provenance.check_child`, one for each.

Reads one line of JSON, `{"memory_bytes", "bytes", "anchors"}`, and then the file. Answers one line,
`{"media_type", "width", "height", "manifest", "problem", "shown"}`, and the pixels, RGB, at most 1024 a side. It has
little memory, no environment, no secret and nowhere to write: whatever a file does to a decoder or to the parser of
manifests happens here.
"""

from __future__ import annotations

import io
import json
import resource
import sys
import warnings
from dataclasses import asdict
from typing import Any, Final

from PIL import Image, ImageFile, ImageOps

from gateway.provenance.credentials import Verifier

MAX_PIXELS: Final = 4096 * 4096
SHOWN: Final = 1024
"""Pixels of the longer side that go on: watermark and fingerprint need fewer."""
_FORMATS: Final = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP"}


def main() -> int:
    asked = json.loads(sys.stdin.buffer.readline())
    resource.setrlimit(resource.RLIMIT_AS, (asked["memory_bytes"], asked["memory_bytes"]))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    data = sys.stdin.buffer.read(asked["bytes"])
    told, pixels = take_apart(data, asked["anchors"].encode("ascii"))
    sys.stdout.buffer.write(json.dumps(told).encode() + b"\n" + pixels)
    sys.stdout.buffer.flush()
    return 0


def take_apart(data: bytes, anchors: bytes) -> tuple[dict[str, Any], bytes]:
    """What there is to tell, and the pixels; `problem` says which check failed and is empty where none did."""
    told: dict[str, Any] = {
        "media_type": "",
        "width": 0,
        "height": 0,
        "manifest": None,
        "problem": "type",
        "shown": [0, 0],
    }
    told["media_type"] = media_type = media_type_of(data)
    if not media_type:
        return told, b""
    told["manifest"] = asdict(Verifier(anchors).read(data, media_type))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=(_FORMATS[media_type],)) as image:
                told["width"], told["height"] = image.size
                # From the header alone: a bomb (CWE-409) must be refused before it is unpacked.
                if image.width * image.height > MAX_PIXELS:
                    return {**told, "problem": "pixels"}, b""
                if ImageFile.LOAD_TRUNCATED_IMAGES:  # a global of Pillow: somebody else's module may have set it
                    return {**told, "problem": "decoder"}, b""
                image.load()
                upright = ImageOps.exif_transpose(image).convert("RGB")
    except MemoryError:  # our lack, not the picture's fault: the process ends, and nothing is claimed
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        return {**told, "problem": "pixels"}, b""
    except Exception:  # Pillow raises almost anything on hostile bytes
        return {**told, "problem": "decode"}, b""
    if max(upright.size) > SHOWN:
        scale = SHOWN / max(upright.size)
        smaller = (max(1, round(upright.width * scale)), max(1, round(upright.height * scale)))
        upright = upright.resize(smaller, Image.Resampling.LANCZOS)
    return {**told, "problem": "", "shown": list(upright.size)}, upright.tobytes()


def media_type_of(data: bytes) -> str:
    """What the first bytes say it is; empty for anything that isn't taken. No name or claimed type has a say."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return ""


if __name__ == "__main__":
    raise SystemExit(main())
