"""The invisible mark: 48 bits in the brightness of a picture, found again after what usually happens to pictures.

`coding` turns a handle into signs and back, `carriers` says which waves carry them, `canvas` is the common ground on
which waves are laid and measured, `mark` lays them, `read` finds them. What it survives and what not is measured by
`python -m bench.provenance` and told in docs/explanation/provenance.md.
"""

from gateway.provenance.watermark.carriers import MIN_SECRET_BYTES
from gateway.provenance.watermark.coding import HANDLE_BITS
from gateway.provenance.watermark.mark import Watermark
from gateway.provenance.watermark.read import Found, find

__all__ = ["HANDLE_BITS", "MIN_SECRET_BYTES", "Found", "Watermark", "find"]
