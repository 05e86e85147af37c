"""A browser in a few words ("Firefox on Windows"), so that people recognise their own sessions.

Read from User-Agent, which says what it likes: good for recognising, proof of nothing. No version: people don't know
theirs, and less of it makes nobody traceable (User-Agent Reduction).
"""

from __future__ import annotations

import re
from typing import Final

# The order matters: Edge and Opera call themselves Chrome, Chrome calls itself Safari, all call themselves Mozilla.
_BROWSERS: Final = (
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("HeadlessChrome/", "Chrome without a window"),
    ("Chromium/", "Chromium"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS: Final = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Macintosh", "macOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)
_PROGRAM: Final = re.compile(r"[A-Za-z][A-Za-z0-9 ._-]{0,38}")
UNKNOWN: Final = "an unknown browser"


def device_of(user_agent: str) -> str:
    """In words, at most 60 characters."""
    browser = next((name for mark, name in _BROWSERS if mark in user_agent), "")
    system = next((name for mark, name in _SYSTEMS if mark in user_agent), "")
    if not browser:
        program = _PROGRAM.fullmatch(user_agent.partition("/")[0])
        browser = program[0] if program and program[0] != "Mozilla" else UNKNOWN
    return f"{browser} on {system}" if system else browser
