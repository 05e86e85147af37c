"""A C2SP witness over HTTP (tlog-witness, ``add-checkpoint``).

======================  ===============================================================================
answer                  what follows
======================  ===============================================================================
200                     its cosignature is verified; one that does not hold is refused
409 with a size         asked again at once, with a proof from that size; a size beyond ours is refused:
                        either the log was rolled back, or another process signs under its name
409 without a size      refused: it holds another root at this very size, so the log has forked
422                     refused: the proof does not hold for it, so the log has forked
400, 403, 404, 3xx      refused: it does not know this log or key, or is not where we think
408, 425, 429, 5xx      later; ``Retry-After`` is honoured
no answer, or too slow  later
======================  ===============================================================================
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from audit.checkpoint import parse_size
from audit.consistency import ConsistencyProof
from audit.cosignature import WitnessKey
from audit.errors import AuditUnavailable, StoreError, WitnessRefused, WitnessUnavailable
from audit.note import NoteRefused, read_signatures
from audit.witness.port import Receipt, Submission
from audit.witness.post import TOTAL_SECONDS, Answer, Poster

SIZE_TYPE: Final = "text/x.tlog.size"
_TRY_AGAIN: Final = frozenset({408, 425, 429})
_MAX_ROUNDS: Final = 3  # a size that moves while we ask means that somebody else submits too


class HttpWitness:
    """Asks one witness for cosignatures. ``url`` is its submission prefix."""

    def __init__(
        self,
        name: str,
        url: str,
        key: WitnessKey,
        *,
        ca_file: Path | None = None,
        total_seconds: float = TOTAL_SECONDS,
    ) -> None:
        """``ca_file``: authorities to trust instead of the system's. Raises ``ValueError`` for a wrong address."""
        self._name = name
        self._key = key
        self._poster = Poster(url, ca_file=ca_file, total_seconds=total_seconds)
        self._old_size = 0  # what it holds, as far as we know; it tells if we are wrong

    @property
    def name(self) -> str:
        return self._name

    def submit(self, submission: Submission) -> Receipt:
        size = submission.checkpoint.size
        for _ in range(_MAX_ROUNDS):
            answer = self._ask(submission, min(self._old_size, size))
            if answer.status == 200:
                line = self._cosignature(submission, answer)
                self._old_size = size
                return Receipt(cosignatures=(line,))
            if answer.status == 409 and answer.content_type == SIZE_TYPE:
                self._old_size = self._told_size(answer)
                if self._old_size > size:
                    raise WitnessRefused(
                        f"witness {self._name} holds a checkpoint of size {self._old_size}, but this log has only "
                        f"{size}: it was rolled back, or is signed by another process too"
                    )
                continue
            self._raise(answer)
        raise WitnessUnavailable(f"witness {self._name} changes its mind: somebody else submits this log")

    def close(self) -> None:
        self._poster.close()

    def _ask(self, submission: Submission, old_size: int) -> Answer:
        size = submission.checkpoint.size
        try:
            path = submission.prove_consistency(old_size) if 0 < old_size < size else []
        except (ValueError, StoreError) as error:
            raise WitnessRefused(
                f"witness {self._name} stands at size {old_size}, from where this log can give no proof any more: "
                "what it would need was pruned"
            ) from error
        except AuditUnavailable as error:
            raise WitnessUnavailable(f"witness {self._name} was not asked: {error}") from error
        body = ConsistencyProof(old_size=old_size, path=tuple(path), note=submission.note).text
        return self._poster.post("/add-checkpoint", body.encode(), "text/plain; charset=utf-8")

    def _cosignature(self, submission: Submission, answer: Answer) -> str:
        """The one line of its answer that counts. Raises ``WitnessRefused`` if it is not there or does not hold."""
        try:
            signatures = read_signatures((answer.body or b"").decode())
            ours = [item for item in signatures if (item.name, item.key_id) == (self._key.name, self._key.key_id)]
            if self._key.time_of(submission.checkpoint.text, ours) is None:
                raise NoteRefused("its answer is not signed by the key that was given for it")
        except (NoteRefused, UnicodeDecodeError) as error:
            raise WitnessRefused(f"witness {self._name}: {error}") from None
        return ours[0].line

    def _told_size(self, answer: Answer) -> int:
        try:
            text = (answer.body or b"").decode("ascii")
            if not text.endswith("\n"):
                raise NoteRefused("the size has no end")
            return parse_size(text[:-1])
        except (NoteRefused, UnicodeDecodeError):
            raise WitnessRefused(f"witness {self._name} answered 409 with something that is no size") from None

    def _raise(self, answer: Answer) -> None:
        status = answer.status
        if status in _TRY_AGAIN or status >= 500 or status < 200:
            raise WitnessUnavailable(f"witness {self._name} answered {status}", answer.retry_after_seconds)
        why = {
            400: "it does not understand the request",
            403: "it does not know the log's key",
            404: "it does not know the log, or the address is wrong",
            409: "it holds another tree of the same size: the log has forked",
            422: "the log does not continue what it holds: the log has forked",
        }.get(status, "redirects are not followed; give its final address" if status < 400 else "")
        raise WitnessRefused(f"witness {self._name} answered {status}" + (f": {why}" if why else ""))
