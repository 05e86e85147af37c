"""Spreads the quick pass over processes, day by day, in an order that gives the same result however many help."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from functools import lru_cache
from itertools import groupby

from audit.errors import AuditError
from audit.store.moment import DayMoment, MomentPort, open_moment
from audit.tree import HASH_BYTES
from audit.verify.gone import Gone
from audit.verify.quick import CHUNK_RECORDS, Chunk, Facts, NotInOrder, check_chunk, check_day, check_order
from audit.verify.trust import Progress

_MIN_RECORDS = 50_000  # below, starting processes takes longer than they save


class QuickResult:
    """A log that is in order, as far as its records go."""

    def __init__(self) -> None:
        self.records = 0
        self.gone = Gone()
        self.beyond: list[bytes] = []  # leaves of records that the tree lacks, in order


def quick_pass(
    target: str,
    moment: MomentPort,
    leaves: bytes,
    first_leaf: int,
    progress: Progress,
    processes: int | None = None,
) -> QuickResult | None:
    """Check all records against the leaves of the tree (from number ``first_leaf`` on); ``None`` if the careful pass
    must look. Raises nothing for what is wrong with the log. ``processes``: ``None`` for as many as help."""
    try:
        return _quick_pass(target, moment, leaves, first_leaf, progress, processes)
    except (NotInOrder, sqlite3.DatabaseError, AuditError, OSError, BrokenProcessPool):
        return None


def _quick_pass(
    target: str, moment: MomentPort, leaves: bytes, first_leaf: int, progress: Progress, processes: int | None
) -> QuickResult:
    if moment.unreadable:
        raise NotInOrder
    total = moment.count()
    result = QuickResult()
    everything: list[Facts] = []
    for reader, parts in _by_day(target, moment, leaves, first_leaf, total, processes):
        found = []
        for facts in parts:
            found.append(facts)
            result.records += facts.records
            result.gone.add(facts.gone)
            progress(result.records, total)
        check_day(found, _count(reader, "{term}") if reader.tokens_are_copied else 0, _count(reader, "{reason}"))
        for facts in found:  # a day's events are compared within the day; ten million of them need not stay
            facts.forget_events()
        everything += found
    check_order(everything)
    beyond = sorted(pair for facts in everything for pair in facts.beyond)
    size = first_leaf + len(leaves) // HASH_BYTES
    if [seq for seq, _ in beyond] != list(range(size, size + len(beyond))):
        raise NotInOrder
    # Each record has the leaf of its number, and a leaf names its number and day: no number is there twice. So they
    # are all there iff there are as many.
    if result.records != size - moment.tree.minimum_index + len(beyond):
        raise NotInOrder
    if moment.tree.minimum_index > result.gone.pruned_to:
        raise NotInOrder
    result.beyond = [leaf for _, leaf in beyond]
    return result


def _by_day(
    target: str, moment: MomentPort, leaves: bytes, first_leaf: int, total: int, processes: int | None
) -> Iterator[tuple[DayMoment, Iterator[Facts]]]:
    facts = _facts(target, moment, leaves, first_leaf, total, processes)
    with closing(facts):
        for place, group in groupby(facts, key=lambda pair: pair[0]):
            yield moment.days[place], (found for _, found in group)


def _facts(
    target: str, moment: MomentPort, leaves: bytes, first_leaf: int, total: int, processes: int | None
) -> Generator[tuple[int, Facts]]:
    """Facts of all chunks with the place of their day, in order."""
    count = (os.cpu_count() or 1) if processes is None else processes
    chunks = list(_chunks(moment, leaves, first_leaf))
    if count < 2 or (processes is None and total < _MIN_RECORDS):
        for place, chunk in chunks:
            yield place, check_chunk(moment.days[place], chunk)
        return
    # "spawn": a fork would copy open databases and locks, which SQLite forbids.
    with ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn")) as pool:
        pending: list[tuple[int, Future[Facts]]] = []
        try:
            for place, chunk in chunks:
                pending.append((place, pool.submit(_work, target, chunk)))
                while len(pending) > 2 * count:
                    done_place, future = pending.pop(0)
                    yield done_place, future.result()
            for place, future in pending:
                yield place, future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@lru_cache(maxsize=1)
def _opened(target: str) -> MomentPort:
    """The log as a helping process sees it: opened once, closed when the process ends. It may be a moment younger than
    the one that asks; what changed in between is not in order for it, and looked at again."""
    return open_moment(target)


def _work(target: str, chunk: Chunk) -> Facts:
    for reader in _opened(target).days:
        if reader.day == chunk.day:
            return check_chunk(reader, chunk)
    raise NotInOrder


def _chunks(moment: MomentPort, leaves: bytes, first_leaf: int) -> Iterator[tuple[int, Chunk]]:
    minimum = moment.tree.minimum_index
    for place, reader in enumerate(moment.days):
        newest = reader.newest_seq()
        if newest < 0:
            continue
        first = reader.oldest_seq()
        if first < minimum:
            raise NotInOrder
        is_first = True
        while first <= newest:
            end = min(first + CHUNK_RECORDS, newest + 1)
            part = leaves[(first - first_leaf) * HASH_BYTES : (end - first_leaf) * HASH_BYTES]
            yield (
                place,
                Chunk(
                    day=reader.day, first=first, end=end, leaves=part, is_first_of_day=is_first, minimum_index=minimum
                ),
            )
            first, is_first = end, False


def _count(reader: DayMoment, table: str) -> int:
    return next(int(found) for (found,) in reader.select(f"select count(*) from {table}", ()))  # noqa: S608  # two names
