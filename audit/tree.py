"""Merkle tree hashes and proofs of RFC 6962 (section 2.1), checked as in RFC 9162 (sections 2.1.3.2 and 2.1.4.2).

Pure functions; the tree that is stored is in ``tiles.py``. Verifiers return ``False`` for whatever is wrong and never
raise, so that a malformed proof cannot be mistaken for a crash of the checker.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """Hash of a leaf. The prefix keeps leaves and nodes apart (second-preimage attacks swap them)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def split_point(size: int) -> int:
    """Largest power of two smaller than ``size`` (at least 2): where RFC 6962 splits a list."""
    return 1 << ((size - 1).bit_length() - 1)


class RollingRoot:
    """Root of a growing list in logarithmic memory: one hash for each full subtree (a compact range)."""

    __slots__ = ("_stack", "size")

    def __init__(self) -> None:
        self._stack: list[bytes] = []
        self.size = 0

    def append(self, leaf: bytes) -> None:
        """Add a leaf hash."""
        sha256 = hashlib.sha256
        size, stack = self.size, self._stack
        self.size += 1
        while size & 1:
            leaf = sha256(b"\x01" + stack.pop() + leaf).digest()
            size >>= 1
        stack.append(leaf)

    def append_subtree(self, root: bytes, width: int) -> None:
        """Add ``width`` leaves (a power of two) by the root of their tree, at a multiple of ``width``.

        Raises ``ValueError`` elsewhere: the tree would have another shape.
        """
        if width < 1 or width & (width - 1) or self.size % width:
            raise ValueError(f"a subtree of {width} leaves cannot stand at {self.size}")
        size = self.size // width
        self.size += width
        while size & 1:
            root = node_hash(self._stack.pop(), root)
            size >>= 1
        self._stack.append(root)

    def root(self) -> bytes:
        if not self._stack:
            return EMPTY_ROOT
        root = self._stack[-1]
        for left in reversed(self._stack[:-1]):
            root = node_hash(left, root)
        return root


def verify_inclusion(index: int, size: int, leaf: bytes, path: Sequence[bytes], root: bytes) -> bool:
    """Does ``path`` prove that ``leaf`` is leaf number ``index`` of the tree of ``size`` with ``root``?"""
    if not 0 <= index < size or not _are_hashes(leaf, root, *path):
        return False
    position, last, current = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False  # longer than any path of this tree
        if position & 1 or position == last:
            current = node_hash(sibling, current)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            current = node_hash(current, sibling)
        position >>= 1
        last >>= 1
    return last == 0 and hmac.compare_digest(current, root)


def verify_consistency(old_size: int, new_size: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> bool:
    """Does ``path`` prove that the tree of ``old_size`` is a prefix of the tree of ``new_size``?"""
    if not 0 <= old_size <= new_size or not _are_hashes(old_root, new_root, *path):
        return False
    if old_size == new_size:
        return not path and hmac.compare_digest(old_root, new_root)
    if old_size == 0:
        return not path and hmac.compare_digest(old_root, EMPTY_ROOT)
    hashes = list(path)
    if old_size & (old_size - 1) == 0:
        hashes.insert(0, old_root)  # a full subtree is its own starting point
    if not hashes:
        return False
    position, last = old_size - 1, new_size - 1
    while position & 1:
        position >>= 1
        last >>= 1
    old = new = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            old = node_hash(sibling, old)
            new = node_hash(sibling, new)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            new = node_hash(new, sibling)
        position >>= 1
        last >>= 1
    return last == 0 and hmac.compare_digest(old, old_root) and hmac.compare_digest(new, new_root)


def _are_hashes(*values: bytes) -> bool:
    return all(len(value) == HASH_BYTES for value in values)
