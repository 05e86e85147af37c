"""What is wrong with a rule file, and where."""

from __future__ import annotations


class RuleError(ValueError):
    """A rule file can't be used. The message begins with `file:line:` and tells what to change."""

    def __init__(self, file: str, line: int, message: str) -> None:
        super().__init__(f"{file}:{line}: {message}")
        self.file = file
        self.line = line
