"""How long records are kept, and for whom otherwise: `policies/gateway/config/retention/data.yaml`, read as it changes.

It is part of the bundle, so a change is tested, approved and recorded like any other rule. A file that can't be read
changes nothing: the last good one stays in force and the trouble is logged. At start there is no last good one, and
the gateway refuses to.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

log = logging.getLogger(__name__)

FILE: Final = Path("gateway/config/retention/data.yaml")
STANDARD: Final = "standard"
ABUSE: Final = "abuse"
ZERO: Final = "zero"
_LOOK_SECONDS: Final = 1.0

ClassName = Annotated[str, Field(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$")]
Days = Annotated[int, Field(ge=1, le=3650)]


class KeepingRules(BaseModel):
    """The file's contents, checked."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    classes: Mapping[ClassName, Days]
    groups: Mapping[str, ClassName] = Field(default_factory=dict)
    abuse_reasons: tuple[str, ...] = Field(default=(), strict=False)
    keyword_index: bool = False

    @model_validator(mode="after")
    def _classes_exist(self) -> KeepingRules:
        for name in (STANDARD, ABUSE, ZERO, *self.groups.values()):
            if name not in self.classes:
                raise ValueError(f"class {name} is not among the classes")
        return self

    def class_of(self, groups: Iterable[str]) -> str:
        """The class of a person's records."""
        wanted = {self.groups[group] for group in groups if group in self.groups}
        if not wanted:
            return STANDARD
        return ZERO if ZERO in wanted else min(wanted, key=lambda name: (self.classes[name], name))

    def is_abuse(self, reasons: Iterable[str]) -> bool:
        """Do these reason codes flag abuse?"""
        families = tuple(reason for reason in self.abuse_reasons if reason.endswith("."))
        return any(code in self.abuse_reasons or (families and code.startswith(families)) for code in map(str, reasons))


class Keeping:
    """The rules in force."""

    def __init__(self, policy_directory: Path) -> None:
        """Raises `ValueError` if the file is missing or wrong."""
        self._path = policy_directory / FILE
        self._looked = time.monotonic()
        self._seen = self._signature()
        self._rules = _load(self._path)

    def rules(self) -> KeepingRules:
        """The rules now; looks at the file at most once a second."""
        now = time.monotonic()
        if now - self._looked >= _LOOK_SECONDS:
            self._looked = now
            self._look()
        return self._rules

    def keeps_for(self, groups: Iterable[str]) -> int:
        """For how many whole days content of somebody in `groups` is kept; 0 = not at all."""
        rules = self.rules()
        name = rules.class_of(groups)
        return 0 if name == ZERO else rules.classes[name]

    def _look(self) -> None:
        seen = self._signature()
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._rules = _load(self._path)
        except ValueError as error:
            log.error("retention.rules.refused", extra={"cause": str(error)})

    def _signature(self) -> tuple[int, int, int]:
        try:
            stat = self._path.stat()
        except OSError:
            return (0, 0, 0)
        return (stat.st_mtime_ns, stat.st_size, stat.st_ino)


def _load(path: Path) -> KeepingRules:
    try:
        found: Any = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"{path} can't be read: {type(error).__name__}") from error
    try:
        return KeepingRules.model_validate(found)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'file'}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False)
        )
        raise ValueError(f"{path}: {problems}") from None
