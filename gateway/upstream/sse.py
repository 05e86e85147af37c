"""Reading server-sent events (WHATWG HTML, 9.2.6), as far as image servers use them: `event:` and `data:`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any


async def read_events(lines: AsyncIterator[str]) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """(event, data) pairs. Raises ValueError for data that is not a JSON object; `[DONE]` ends the stream."""
    event = ""
    data: list[str] = []
    async for line in lines:
        if line == "":
            if data:
                text = "\n".join(data)
                if text == "[DONE]":
                    return
                value = json.loads(text)
                if not isinstance(value, dict):
                    raise ValueError("expected a JSON object in an event")
                yield event or str(value.get("type", "message")), value
            event, data = "", []
        elif line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif line.startswith("event:"):
            event = line[6:].strip()
