"""The process in which uploads are decoded: `python -m gateway.screening.image.upload_child`, one for each request.

Reads one line of JSON, `{"memory_bytes", "most_bytes", "files": [{"bytes", "is_mask", "most_bytes", "may_shrink"}]}`,
and then the files, one behind the other. Answers the same way: `{"files": [...]}`, each as `Cleaned` with the length of
its data, and the clean pictures, or `{"bad": place, "check": which}` for the first file that can't be taken. Whatever a
picture does to its decoder happens here, with little memory, no environment, and an end.
"""

from __future__ import annotations

import json
import resource
import sys
from dataclasses import asdict, replace

from gateway.screening.image.upload import BadUpload, Cleaned, clean


def main() -> int:
    asked = json.loads(sys.stdin.buffer.readline())
    resource.setrlimit(resource.RLIMIT_AS, (asked["memory_bytes"], asked["memory_bytes"]))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # it has nothing to write anywhere
    done: list[Cleaned] = []
    for place, file in enumerate(asked["files"]):
        data = sys.stdin.buffer.read(file["bytes"])
        try:
            done.append(clean(data, **{name: file[name] for name in ("is_mask", "most_bytes", "may_shrink")}))
        except BadUpload as error:
            _say({"bad": place, "check": error.args[0]})
            return 0
        if sum(len(cleaned.data) for cleaned in done) > asked["most_bytes"]:
            _say({"bad": place, "check": "together"})
            return 0
    _say({"files": [{**asdict(replace(cleaned, data=b"")), "data": len(cleaned.data)} for cleaned in done]})
    for cleaned in done:
        sys.stdout.buffer.write(cleaned.data)
    sys.stdout.buffer.flush()
    return 0


def _say(words: object) -> None:
    sys.stdout.buffer.write(json.dumps(words).encode() + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    raise SystemExit(main())
