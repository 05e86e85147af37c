"""Places on the map (ISO 6709, as people write them)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from gateway.screening.text.candidate import Accepted, Candidate

_DECIMAL: Final = re.compile(r"-?\d{1,3}\.\d+")
MAX_LATITUDE: Final = 90
MAX_LONGITUDE: Final = 180


def coordinates(candidate: Candidate) -> Sequence[Accepted]:
    """A latitude and a longitude, in decimal degrees or in degrees, minutes and seconds."""
    value = candidate.value
    if "°" in value:
        return (Accepted(candidate.start, candidate.end, "".join(value.split())),)
    numbers = _DECIMAL.findall(value)
    if len(numbers) != 2 or abs(float(numbers[0])) > MAX_LATITUDE or abs(float(numbers[1])) > MAX_LONGITUDE:
        return ()
    return (Accepted(candidate.start, candidate.end, ",".join(numbers)),)
