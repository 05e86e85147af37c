"""The client of any OpenAI-shaped image server: ours, or another."""

from gateway.upstream.answers import Made
from gateway.upstream.client import ImageServer
from gateway.upstream.each import make_each

__all__ = ["ImageServer", "Made", "make_each"]
