"""Nearly equal fingerprints of other people, out of many."""

from __future__ import annotations

import random

from gateway.screening.image.nearness import MOST_NEAR, Nearness, Seen

ME, OTHER = b"me......", b"other..."


def test_it_finds_what_comparing_one_by_one_finds() -> None:
    rng = random.Random(7)
    prints = [rng.getrandbits(256) for _ in range(300)]
    prints += [base ^ sum(1 << bit for bit in rng.sample(range(256), rng.randrange(60))) for base in prints * 9]
    near = Nearness()
    for begin in range(0, len(prints), 700):  # it grows while it is filled
        part = list(enumerate(prints))[begin : begin + 700]
        near.add(Seen(seq, mark.to_bytes(32, "big"), (ME, OTHER)[seq % 2], seq) for seq, mark in part)
    assert len(near) == 3_000
    for asked, second in ((prints[4], prints[9]), (prints[-1], prints[0])):
        want = {
            seq: min((mark ^ asked).bit_count(), (mark ^ second).bit_count())
            for seq, mark in enumerate(prints)
            if seq % 2 and seq >= 1_000
        }
        want = {seq: bits for seq, bits in want.items() if bits <= 31}
        found = near.near([n.to_bytes(32, "big") for n in (asked, second)], most=31, actor=ME, since=1_000)
        assert dict(found) == want
        assert want
        assert [bits for _, bits in found] == sorted(want.values())


def test_it_lets_go_of_what_is_old() -> None:
    near = Nearness()
    near.add([Seen(seq, bytes(32), OTHER, seq) for seq in range(5_000)])
    near.drop_before(4_990)
    assert len(near) == 10
    assert sorted(near.near([bytes(32)], most=0, actor=ME, since=0)) == [(seq, 0) for seq in range(4_990, 5_000)]
    near.add([])
    assert len(near) == 10


def test_of_very_many_the_nearest_are_told() -> None:
    near = Nearness()
    near.add([Seen(n, ((1 << n % 9) - 1).to_bytes(32, "big"), OTHER, 0) for n in range(3_000)])
    found = near.near([bytes(32)], most=31, actor=ME, since=0)
    assert len(found) == MOST_NEAR
    assert {bits for _, bits in found} == {0}
