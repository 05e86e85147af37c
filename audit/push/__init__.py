"""Sending records on as they are covered: to a syslog server, to a webhook, to a terminal.

``pusher.py`` pulls from a follower and pushes to a sink; each sink has a module of its own, loaded when it is chosen.
"""

from __future__ import annotations

from audit.push.pusher import Pusher, PushFigures
from audit.push.sink import Sink

__all__ = ["PushFigures", "Pusher", "Sink"]
