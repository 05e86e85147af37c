"""What a form's field can hold: checked when a program sends it, read from a page's fields, told to the page."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from gateway.errors import InvalidRequest

MAX_TEXT: Final = 2_000
MAX_ENTRIES: Final = 500
_NUMBER: Final = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,6})?")

Sent = Callable[[str], Sequence[str]]
"""The values of a page's field of this name, in order."""


def wrong(where: str, message: str) -> InvalidRequest:
    """What is wrong with the field `where`."""
    return InvalidRequest(f"{where}: {message}", param="values")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell(ABC):
    """One value."""

    name: ClassVar[str] = ""

    label: str = ""
    """Of a column or a setting."""
    optional: bool = False
    """Whether the key may be missing in the file."""

    @abstractmethod
    def check(self, value: Any, where: str) -> Any:
        """The value as it may stand in a file. Raises InvalidRequest."""

    def parse(self, sent: Sequence[str], where: str) -> Any:
        """The same from what a page sent."""
        return self.check(sent[-1] if sent else "", where)


@dataclass(frozen=True, slots=True, kw_only=True)
class Text(Cell):
    """Words on one line."""

    name: ClassVar[str] = "text"
    pattern: str = ""
    required: bool = True
    long: bool = False

    def check(self, value: Any, where: str) -> str:
        if not isinstance(value, str) or len(value) > MAX_TEXT or not (value.isprintable() or value == ""):
            raise wrong(where, f"expected up to {MAX_TEXT} printable characters on one line.")
        if self.required and not value.strip():
            raise wrong(where, "must not be empty.")
        if self.pattern and value and not re.fullmatch(self.pattern, value):
            raise wrong(where, f"{value[:60]!r} does not look right here.")
        return value

    def parse(self, sent: Sequence[str], where: str) -> str:
        return self.check(" ".join((sent[-1] if sent else "").split()), where)


@dataclass(frozen=True, slots=True, kw_only=True)
class Number(Cell):
    """A number; whole unless `fraction`."""

    name: ClassVar[str] = "number"
    least: float = 0
    most: float = 10**12
    fraction: bool = False

    def check(self, value: Any, where: str) -> int | float:
        is_number = isinstance(value, int | float) if self.fraction else isinstance(value, int)
        if isinstance(value, bool) or not is_number or not self.least <= value <= self.most:
            word = "a number" if self.fraction else "a whole number"
            raise wrong(where, f"expected {word} from {self.least:g} to {self.most:g}.")
        return float(value) if isinstance(value, float) else int(value)

    def parse(self, sent: Sequence[str], where: str) -> int | float:
        text = sent[-1].strip() if sent else ""
        if not _NUMBER.fullmatch(text):
            return self.check(None, where)
        is_whole = "." not in text
        return self.check(int(text) if is_whole else float(text), where)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick(Cell):
    """Yes or no."""

    name: ClassVar[str] = "tick"

    def check(self, value: Any, where: str) -> bool:
        if not isinstance(value, bool):
            raise wrong(where, "expected true or false.")
        return value

    def parse(self, sent: Sequence[str], where: str) -> bool:
        return "on" in sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice(Cell):
    """One of several words."""

    name: ClassVar[str] = "choice"
    options: tuple[str, ...]

    def check(self, value: Any, where: str) -> str:
        if value not in self.options or not isinstance(value, str):
            raise wrong(where, f"expected one of {', '.join(self.options)}.")
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticks(Cell):
    """Several of a few words, in their order."""

    name: ClassVar[str] = "ticks"
    options: tuple[str, ...]

    def check(self, value: Any, where: str) -> list[str]:
        if not isinstance(value, list) or not all(isinstance(one, str) and one in self.options for one in value):
            raise wrong(where, f"expected some of {', '.join(self.options)}.")
        return [str(one) for one in value]

    def parse(self, sent: Sequence[str], where: str) -> list[str]:
        return self.check([one for one in sent if one], where)


@dataclass(frozen=True, slots=True, kw_only=True)
class Words(Cell):
    """A list of words; on a page one a line, or with commas between them."""

    name: ClassVar[str] = "words"
    pattern: str = ""

    def check(self, value: Any, where: str) -> list[str]:
        if not isinstance(value, list) or len(value) > MAX_ENTRIES:
            raise wrong(where, f"expected a list of up to {MAX_ENTRIES} words.")
        each = Text(pattern=self.pattern)
        return [each.check(one, where) for one in value]

    def parse(self, sent: Sequence[str], where: str) -> list[str]:
        text = sent[-1] if sent else ""
        return self.check([word.strip() for word in re.split(r"[\n,]", text) if word.strip()], where)


@dataclass(frozen=True, slots=True, kw_only=True)
class Section(ABC):
    """One part of a form: what stands at `at` in its file."""

    at: tuple[str, ...]
    title: str
    help: str = ""

    name: ClassVar[str] = ""

    @abstractmethod
    def check(self, value: Any) -> Any:
        """Raises InvalidRequest."""

    @abstractmethod
    def parse(self, sent: Sent, before: Any) -> Any:
        """The value from a page's fields. `before` is what the page showed: what it did not show stays."""

    @property
    def where(self) -> str:
        return ".".join(self.at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Single(Section):
    """One value."""

    name: ClassVar[str] = "single"
    cell: Cell

    def check(self, value: Any) -> Any:
        return self.cell.check(value, self.where)

    def parse(self, sent: Sent, before: Any) -> Any:
        return self.cell.parse(sent(self.where), self.where)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table(Section):
    """Records with the same columns: a list, or (where `key` is named) a mapping from that column."""

    name: ClassVar[str] = "table"
    key: Cell | None = None
    columns: Mapping[str, Cell]
    """Key in the record -> what it holds. A record's other keys stay as they are. A column named "" is the record."""
    fixed: bool = False
    """Whether records can't be added or taken out on a page."""

    def check(self, value: Any) -> Any:
        kind = "a list" if self.key is None else "a mapping"
        is_one = isinstance(value, list) if self.key is None else isinstance(value, dict)
        if not is_one or len(value) > MAX_ENTRIES:
            raise wrong(self.where, f"expected {kind} of up to {MAX_ENTRIES} records.")
        if self.key is None:
            return [self._record(one, f"{self.where}.{n}") for n, one in enumerate(value)]
        return {
            self.key.check(name, f"{self.where}.{n}"): self._record(one, f"{self.where}.{n}")
            for n, (name, one) in enumerate(value.items())
        }

    def parse(self, sent: Sent, before: Any) -> Any:
        """Fields are named `<section>.<n>.<column>`; a row whose `take-out` is ticked goes, as does an
        empty new one."""
        rows = self.rows(before)
        found: list[tuple[str, Any]] = []
        for n in range(len(rows) + self.new_rows(sent, len(rows))):
            where = f"{self.where}.{n}"
            old_name, old = rows[n] if n < len(rows) else ("", {})
            if "on" in sent(f"{where}.take-out") and not self.fixed:
                continue
            if n >= len(rows) and self._is_empty(sent, where):
                continue
            name = old_name
            if self.key is not None and not (self.fixed and n < len(rows)):
                name = self.key.parse(sent(f"{where}.key"), f"{self.where}, row {n + 1}")
            found.append((name, self._parse_record(sent, where, n, old)))
        if self.key is None:
            return self.check([record for _, record in found])
        names = [name for name, _ in found]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise wrong(self.where, f"{twice[0][:60]} stands here twice.")
        return self.check(dict(found))

    def rows(self, value: Any) -> list[tuple[str, Any]]:
        """(key or "", record) each."""
        return [("", one) for one in value] if self.key is None else list(value.items())

    def new_rows(self, sent: Sent, known: int) -> int:
        """How many rows a page sent beyond those that it was given."""
        count = 0
        while count < MAX_ENTRIES and any(sent(f"{self.where}.{known + count}.{name}") for name in self._fields()):
            count += 1
        return count

    def _fields(self) -> list[str]:
        return [*(["key"] if self.key is not None else []), *(name or "value" for name in self.columns)]

    def _is_empty(self, sent: Sent, where: str) -> bool:
        """A new row of which nothing was written: choices and ticks have a value by themselves."""
        typed = [name or "value" for name, cell in self.columns.items() if isinstance(cell, Text | Number | Words)]
        names = ["key"] if self.key is not None else typed or [name or "value" for name in self.columns]
        return not any(text.strip() for name in names for text in sent(f"{where}.{name}"))

    def _parse_record(self, sent: Sent, where: str, n: int, old: Any) -> Any:
        said = f"{self.where}, row {n + 1}"
        if "" in self.columns:
            return self.columns[""].parse(sent(f"{where}.value"), said)
        record = dict(old)
        for name, cell in self.columns.items():
            texts = sent(f"{where}.{name}")
            if cell.optional and not any(text.strip() for text in texts):
                record.pop(name, None)
                continue
            record[name] = cell.parse(texts, f"{said}, {cell.label or name}")
        return record

    def _record(self, record: Any, where: str) -> Any:
        if "" in self.columns:
            return self.columns[""].check(record, where)
        if not isinstance(record, dict):
            raise wrong(where, "expected a mapping.")
        made = dict(record)
        for name, cell in self.columns.items():
            if name in record:
                made[name] = cell.check(record[name], f"{where}.{name}")
            elif not cell.optional:
                raise wrong(f"{where}.{name}", "is missing.")
        return made
