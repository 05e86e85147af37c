"""The shape of nets that tests can afford: every part is there, each as small as it can be."""

from __future__ import annotations

from model_server.embedded.net import NetShape
from tests.unit.model_server.support import PIECES

TINY = NetShape(len(PIECES), size_pixels=16, patch_pixels=2, width=32, layers=1, heads=2, table_width=8, bottleneck=16)
