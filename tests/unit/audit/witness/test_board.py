"""The board: nobody is held up, the newest is never lost, what was given stays."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.cosignature import Cosigner, WitnessPolicy
from audit.errors import WitnessRefused, WitnessUnavailable
from audit.note import NoteRefused, NoteSigner
from audit.store.disk import Disk
from audit.witness import FileWitness, Receipt, Submission, newest_witnessed
from audit.witness.board import Posting, WitnessBoard
from audit.witness.http import HttpWitness
from audit.witness.shelf import KEPT_NOTES, Shelf, newest_cosigned, newest_kept

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class InMemory:
    """A witness that does what a test says."""

    def __init__(self, name: str = "w1", seed: int = 5) -> None:
        self.name = name
        self.cosigner = Cosigner(NoteSigner(name, Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)))
        self.took: list[int] = []
        self.fail: list[Exception] = []
        self.gate = threading.Event()
        self.gate.set()
        self.is_closed = False

    def submit(self, submission: Submission) -> Receipt:
        self.gate.wait(10)
        if self.fail:
            raise self.fail.pop(0)
        self.took.append(submission.checkpoint.size)
        return Receipt(cosignatures=(self.cosigner.cosign(submission.checkpoint.text),))

    def close(self) -> None:
        self.is_closed = True


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


@pytest.fixture
def open_board(tmp_path: Path, log: Any) -> Iterator[Callable[..., WitnessBoard]]:
    opened: list[WitnessBoard] = []

    def make(*witnesses: Any, clock: Callable[[], datetime] = lambda: START, **options: Any) -> WitnessBoard:
        interval = options.pop("interval_seconds", 0.0)
        board = WitnessBoard(
            tmp_path / "board",
            [Posting(witness=witness, interval_seconds=interval) for witness in witnesses],
            log.key,
            clock=clock,
            **{"first_seconds": 0.01, "longest_seconds": 0.05, **options},
        )
        board.start()
        opened.append(board)
        return board

    yield make
    for board in opened:
        board.close(1.0)


def send(board: WitnessBoard, log: Any, size: int) -> None:
    board.submit(log.grow(size), log.tree.consistency_path)


def test_each_witness_gets_the_newest_checkpoint(open_board: Any, log: Any) -> None:
    one, two = InMemory("w1"), InMemory("w2", seed=6)
    board = open_board(one, two)
    send(board, log, 3)
    until(lambda: one.took == two.took == [3])
    until(lambda: {figures.last_size for figures in board.figures().values()} == {3})
    assert all(figures.waiting_seconds == 0 for figures in board.figures().values())


def test_submitting_returns_at_once_however_slow_a_witness_is(open_board: Any, log: Any) -> None:
    slow, quick = InMemory("slow"), InMemory("quick", seed=6)
    slow.gate.clear()
    board = open_board(slow, quick)
    began = time.monotonic()
    for size in range(1, 50):
        send(board, log, size)
    assert time.monotonic() - began < 1
    until(lambda: quick.took[-1:] == [49])
    assert board.figures()["slow"].waiting_seconds > 0
    slow.gate.set()
    until(lambda: slow.took[-1:] == [49])
    assert len(slow.took) <= 2  # what was in hand, and the newest: nothing between


def test_the_newest_stays_until_it_is_taken(open_board: Any, log: Any) -> None:
    witness = InMemory()
    witness.fail = [WitnessUnavailable("down")] * 5
    board = open_board(witness)
    send(board, log, 4)
    until(lambda: witness.took == [4])
    until(lambda: board.figures()["w1"].last_error == "")
    figures = board.figures()["w1"]
    assert (figures.failures, figures.last_size, figures.is_refused) == (5, 4, False)
    assert board.failures() == 5


def test_a_refusal_is_shown_and_tried_again(open_board: Any, log: Any) -> None:
    witness = InMemory()
    witness.fail = [WitnessRefused("the log has forked")]
    witness.gate.clear()
    board = open_board(witness, first_seconds=30, longest_seconds=30)
    send(board, log, 4)
    witness.gate.set()
    until(lambda: board.figures()["w1"].is_refused)
    assert board.figures()["w1"].last_error == "the log has forked"


def test_a_witness_that_breaks_in_a_way_nobody_thought_of_goes_on(open_board: Any, log: Any) -> None:
    witness = InMemory()
    witness.fail = [RuntimeError("secret of somebody")]
    board = open_board(witness)
    send(board, log, 4)
    until(lambda: witness.took == [4])
    assert board.failures() == 1


def test_what_cannot_be_kept_is_not_counted_as_witnessed(open_board: Any, log: Any) -> None:
    class Full(Disk):
        full = True

        def write_whole(self, path: Path, data: bytes, mode: int) -> None:
            if self.full:
                raise OSError(28, "No space left on device")
            super().write_whole(path, data, mode)

    disk, witness = Full(), InMemory()
    board = open_board(witness, disk=disk)
    send(board, log, 4)
    until(lambda: board.failures() > 1)
    assert board.figures()["w1"].last_size == 0
    disk.full = False
    until(lambda: board.figures()["w1"].last_size == 4)


def test_what_was_known_is_known_after_a_restart(open_board: Any, log: Any) -> None:
    witness = InMemory()
    witness.fail = [WitnessUnavailable("down")]
    board = open_board(witness)
    send(board, log, 4)
    until(lambda: board.figures()["w1"].last_size == 4)
    board.close()
    assert witness.is_closed
    again = open_board(InMemory(), clock=lambda: START + timedelta(minutes=5))
    figures = again.figures()["w1"]
    assert (figures.last_size, figures.age_seconds, figures.failures) == (4, 300.0, 1)


def test_after_a_restart_the_same_checkpoint_is_sent_again(open_board: Any, log: Any) -> None:
    """It may have been in a slot when the process died; and a witness tells then that the log was rolled back."""
    board = open_board(InMemory())
    send(board, log, 4)
    board.close()
    witness = InMemory()
    open_board(witness).submit(log.sign(4), log.tree.consistency_path)
    until(lambda: witness.took == [4])


@pytest.mark.parametrize("spoiled", ["", "{", "[]", '{"last_at": "yesterday"}'])
def test_a_state_file_that_a_power_cut_spoiled_costs_counts_only(
    open_board: Any, log: Any, tmp_path: Path, spoiled: str
) -> None:
    board = open_board(InMemory())
    send(board, log, 4)
    until(lambda: board.figures()["w1"].last_size == 4)
    board.close()
    (tmp_path / "board" / "w1" / "state.json").write_text(spoiled)
    figures = open_board(InMemory()).figures()["w1"]
    assert (figures.last_size, figures.failures) == (4, 0)


def test_closing_sends_what_waits(open_board: Any, log: Any) -> None:
    witness = InMemory()
    board = open_board(witness, interval_seconds=3600)
    send(board, log, 1)
    until(lambda: witness.took == [1])
    send(board, log, 2)
    board.close()
    assert witness.took == [1, 2]


def test_closing_does_not_wait_for_a_witness_that_hangs(open_board: Any, log: Any) -> None:
    witness = InMemory()
    witness.gate.clear()
    board = open_board(witness)
    send(board, log, 1)
    began = time.monotonic()
    board.close(0.2)
    assert time.monotonic() - began < 2
    witness.gate.set()


def test_an_interval_holds_between_checkpoints_and_over_a_restart(open_board: Any, log: Any) -> None:
    board = open_board(InMemory(), interval_seconds=3600)
    send(board, log, 1)
    until(lambda: board.figures()["w1"].last_size == 1)
    board.close()
    witness = InMemory()
    board = open_board(witness, interval_seconds=3600, clock=lambda: START + timedelta(minutes=30))
    send(board, log, 2)
    time.sleep(0.1)
    assert witness.took == []
    late = InMemory()
    board.close()
    witness_late = open_board(late, interval_seconds=3600, clock=lambda: START + timedelta(hours=2))
    send(witness_late, log, 3)
    until(lambda: late.took == [3])


def test_kept_notes_are_few_and_the_newest(tmp_path: Path, log: Any) -> None:
    shelf = Shelf(tmp_path, "w1", Disk())
    log.grow(KEPT_NOTES + 20)
    for size in range(1, KEPT_NOTES + 21):
        shelf.keep(log.submission(log.sign(size)), Receipt())
    names = sorted(path.name for path in (tmp_path / "w1").glob("*.note"))
    assert len(names) == KEPT_NOTES
    assert names[-1] == f"{KEPT_NOTES + 20:019}.note"
    assert newest_kept(tmp_path, log.key) == log.sign(KEPT_NOTES + 20)


def test_stamped_notes_are_kept_for_ever(tmp_path: Path, log: Any) -> None:
    shelf = Shelf(tmp_path, "tsa", Disk())
    log.grow(KEPT_NOTES + 20)
    for size in range(1, KEPT_NOTES + 21):
        shelf.keep(log.submission(log.sign(size)), Receipt(token=b"stamp"))
    assert len(list((tmp_path / "tsa").glob("*.note"))) == KEPT_NOTES + 20


def test_cosignatures_of_several_witnesses_meet_on_one_note(tmp_path: Path, log: Any) -> None:
    one, two = InMemory("w1"), InMemory("w2", seed=6)
    log.grow(9)
    for witness, sizes in ((one, (3, 5, 9)), (two, (3, 5, 8))):
        shelf = Shelf(tmp_path, witness.name, Disk())
        for size in sizes:
            submission = log.submission(log.sign(size))
            shelf.keep(submission, witness.submit(submission))
    keys = [one.cosigner.key, two.cosigner.key]
    both = newest_cosigned(tmp_path, log.key, WitnessPolicy(keys=keys, required=2))
    assert both is not None
    assert both.startswith(log.sign(5).text)
    assert set(WitnessPolicy(keys=keys, required=2).cosigned_by(both)) == {"w1", "w2"}
    either = newest_cosigned(tmp_path, log.key, WitnessPolicy(keys=keys, required=1))
    assert either is not None
    assert either.startswith(log.sign(9).text)
    assert newest_cosigned(tmp_path / "nowhere", log.key, WitnessPolicy()) is None


def test_a_note_of_another_log_among_the_kept_is_refused(tmp_path: Path, log: Any, new_log: Any) -> None:
    other = new_log(seed=9)
    Shelf(tmp_path, "w1", Disk()).keep(other.submission(other.grow(4)), Receipt())
    with pytest.raises(NoteRefused):
        newest_kept(tmp_path, log.key)
    with pytest.raises(NoteRefused):
        newest_cosigned(tmp_path, log.key, WitnessPolicy())


@pytest.mark.parametrize("name", ["", "..", "a/b", "A", "w1 "])
def test_names_that_could_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        Shelf(tmp_path, name, Disk())


def test_two_witnesses_of_one_name_are_refused(tmp_path: Path, log: Any) -> None:
    with pytest.raises(ValueError, match="same name"):
        WitnessBoard(tmp_path, [Posting(witness=InMemory()), Posting(witness=InMemory())], log.key, clock=lambda: START)


def test_a_file_is_a_witness_among_others(open_board: Any, log: Any, tmp_path: Path) -> None:
    path = tmp_path / "checkpoints"
    board = open_board(FileWitness(path, Disk()))
    send(board, log, 4)
    until(lambda: board.figures()["file"].last_size == 4)
    assert newest_witnessed(path, log.key) == log.sign(4)


def test_with_a_real_witness_through_its_restart(tmp_path: Path, log: Any, open_board: Any, run_witness: Any) -> None:
    from audit.witness.ledger import Ledger
    from audit.witness.server import WitnessServer

    ledger = Ledger.create(tmp_path / "w", "witness.example/w")
    ledger.register(log.key)
    with run_witness(tmp_path / "w") as first:
        port = first.server.server_address[1]
        board = open_board(HttpWitness("w1", first.url, first.key))
        send(board, log, 10)
        until(lambda: board.figures()["w1"].last_size == 10)
    send(board, log, 20)
    until(lambda: board.failures() > 0)
    server = WitnessServer(Ledger(tmp_path / "w"), "127.0.0.1", port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        until(lambda: board.figures()["w1"].last_size == 20)
        assert Ledger(tmp_path / "w").find(log.key.name).head.size == 20
        policy = WitnessPolicy(keys=[ledger.key], required=1)
        note = newest_cosigned(tmp_path / "board", log.key, policy)
        assert note is not None
        assert note.startswith(log.sign(20).text)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
