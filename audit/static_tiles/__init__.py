"""A log as static files (C2SP tlog-tiles): a folder that any web server or bucket can serve and any client can check.

``paths`` names the files, ``write`` makes them from a store, ``read`` gives them back as a tree. What is published is
what the tree holds: digests and commitments, no person and no content.
"""

from __future__ import annotations

from audit.static_tiles.read import TileReader
from audit.static_tiles.write import Published, write_static

__all__ = ["Published", "TileReader", "write_static"]
