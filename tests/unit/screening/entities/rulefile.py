"""A rule that wants names, as a file, and a model that is told what to find."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from gateway.screening.entities.model import Named
from gateway.screening.rules.compile import compile_rule, read
from gateway.screening.rules.document import parse
from gateway.screening.rules.ruleset import RuleSet, load
from gateway.screening.rules.schema import DlpRule
from gateway.screening.text.scan import Detector

GOOD = """\
id: client-name
version: 1
owner: privacy
mode: enforce
severity: high
detect:
  any:
    - entity: PERSON
  context:
    required: true
    window: 30
    cues: [client, kunde]
    against: [by]
action:
  default: review
message: This names a client of ours. Use a made-up name instead.
exceptions:
  - {values: [Jane Doe], reason: nobody}
tests:
  match: ["our client Anna Berger"]
  no_match: ["a client by Anna Berger", "our client Jane Doe"]
"""


def write(directory: Path, text: str = GOOD, name: str = "client-name") -> Path:
    path = directory / "dlp" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return directory


def rules(directory: Path, text: str = GOOD) -> RuleSet:
    return load(write(directory, text))


class Told:
    """Finds the words that it is told, as a label; does something before."""

    def __init__(self, *words: str, label: str = "PERSON", then: Callable[[], object] = lambda: None) -> None:
        self.words, self.label, self.then = words, label, then
        self.texts: list[str] = []

    def read(self, texts: Sequence[str]) -> list[list[Named]]:
        return [self._one(text) for text in texts]

    def _one(self, text: str) -> list[Named]:
        self.texts.append(text)
        self.then()
        found = []
        for word in self.words:
            at = text.find(word)
            while at >= 0:
                found.append(Named(self.label, at, at + len(word)))
                at = text.find(word, at + 1)
        return found


def compiled() -> Detector:
    """The rule's detector."""
    document = parse("dlp/client-name.yaml", GOOD.encode())
    detector = compile_rule(document, read(document, DlpRule))
    assert detector is not None
    return detector
