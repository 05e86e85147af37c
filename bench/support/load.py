"""Load from a process of its own, closed loop: each of `in_flight` connections asks again as soon as it has its answer.

By wrk where it is installed, because it costs little beside what it measures; else by a small aiohttp client
(`python -m bench.support.load`), which costs more and shows lower rates. The table says which it was.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import aiohttp

PROMPT = (
    "A watercolour of a lighthouse at dawn, soft light, wide angle, for the spring newsletter of the facilities team"
)

WRK_SCRIPT = """
local keys = { %(keys)s }
local requests, i = {}, 0
function init(args)
  for k, key in ipairs(keys) do
    requests[k] = wrk.format("POST", "/v1/images/generations",
      { ["content-type"] = "application/json", ["authorization"] = "Bearer " .. key }, '%(body)s')
  end
end
function request() i = i %% #requests + 1; return requests[i] end
function done(s, l, r)
  local e = s.errors
  io.write(string.format('\\nRESULT {"answered":%%d,"seconds":%%f,"p50_ms":%%f,"p99_ms":%%f,"errors":%%d}\\n',
    s.requests, s.duration / 1e6, l:percentile(50) / 1e3, l:percentile(99) / 1e3,
    e.status + e.connect + e.read + e.write + e.timeout))
end
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What came of one round. `errors` are answers other than 2xx, and connections that broke."""

    answered: int
    seconds: float
    p50_ms: float
    p99_ms: float
    errors: int


def body(size: str) -> str:
    """One request: a prompt of usual length, one picture."""
    return json.dumps({"model": "imprimatur-embedded", "prompt": PROMPT, "n": 1, "size": size})


def has_wrk() -> bool:
    return shutil.which("wrk") is not None


def run(port: int, keys: Sequence[str], size: str, in_flight: int, seconds: float, folder: Path) -> Load:
    """Put load on a server from another process and wait for the end of it."""
    if has_wrk():
        script = folder / "load.lua"
        script.write_text(WRK_SCRIPT % {"keys": ", ".join(f'"{key}"' for key in keys), "body": body(size)}, "utf-8")
        script.chmod(0o600)
        arguments = ["wrk", "-t1", f"-c{in_flight}", f"-d{max(1, round(seconds))}s", "--timeout", "30s", "-s", script]
        output = subprocess.run(
            [*map(str, arguments), f"http://127.0.0.1:{port}"], check=True, capture_output=True, text=True
        ).stdout
    else:
        asked = json.dumps({"port": port, "keys": list(keys), "size": size, "in_flight": in_flight, "seconds": seconds})
        output = subprocess.run(
            [sys.executable, "-m", "bench.support.load"], input=asked, check=True, capture_output=True, text=True
        ).stdout
    result = next(line for line in output.splitlines() if line.startswith("RESULT "))
    return Load(**json.loads(result.removeprefix("RESULT ")))


async def _drive(port: int, keys: Sequence[str], size: str, in_flight: int, seconds: float) -> dict[str, Any]:
    url, data, turns = f"http://127.0.0.1:{port}/v1/images/generations", body(size).encode(), cycle(keys)
    taken: list[float] = []
    errors = 0
    started = time.perf_counter()

    async def one(session: aiohttp.ClientSession) -> None:
        nonlocal errors
        while time.perf_counter() - started < seconds:
            headers = {"content-type": "application/json", "authorization": f"Bearer {next(turns)}"}
            began = time.perf_counter()
            try:
                async with session.post(url, data=data, headers=headers) as answer:
                    await answer.read()
                    errors += answer.status >= 300
            except aiohttp.ClientError:
                errors += 1
            taken.append((time.perf_counter() - began) * 1e3)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=in_flight)) as session:
        await asyncio.gather(*(one(session) for _ in range(in_flight)))
    elapsed = time.perf_counter() - started
    taken.sort()
    return {
        "answered": len(taken),
        "seconds": elapsed,
        "p50_ms": taken[len(taken) // 2],
        "p99_ms": taken[min(len(taken) - 1, len(taken) * 99 // 100)],
        "errors": errors,
    }


if __name__ == "__main__":
    print("RESULT " + json.dumps(asyncio.run(_drive(**json.loads(sys.stdin.read())))))
