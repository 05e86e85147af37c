"""A picture worker: `python -P -m gateway.screening.image.worker MEMORY_BYTES`. Looks at one picture after the other.

Reads a line of JSON, `{"bytes", "media_type", "width", "height", "classifiers"}`, and the picture; answers a line of
JSON, a `Look`. Ends when its input does, or when nobody asks for `IDLE_SECONDS`. Whatever a picture does to a decoder
or a net happens here, with little memory, no environment, and nothing that it could write to.
"""

from __future__ import annotations

import json
import resource
import select
import sys
from dataclasses import asdict
from typing import Any, Final

from gateway.exchange import Picture
from gateway.screening.image.chain import look
from gateway.screening.image.seen import Classifier, Look

IDLE_SECONDS: Final = 600


def main() -> int:
    memory_bytes = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    while select.select([sys.stdin.buffer], [], [], IDLE_SECONDS)[0]:
        line = sys.stdin.buffer.readline()
        if not line:
            return 0
        asked = json.loads(line)
        sys.stdout.buffer.write(json.dumps(_answer(asked, sys.stdin.buffer.read(asked["bytes"]))).encode() + b"\n")
        sys.stdout.buffer.flush()
    return 0


def _answer(asked: dict[str, Any], data: bytes) -> dict[str, Any]:
    picture = Picture(
        index=0, data=data, media_type=asked["media_type"], width=asked["width"], height=asked["height"], sha256=""
    )
    seen: Look = look(picture, tuple(Classifier(**declared) for declared in asked["classifiers"]))
    return asdict(seen)


if __name__ == "__main__":
    raise SystemExit(main())
