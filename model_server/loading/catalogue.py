"""The settings file that lists models: what an operator may say of each, and what is wrong when something is.

    models:
      - id: poster
        folder: /models/poster
        sizes: [1024x1024, 1344x768]
        steps: {default: 30, minimum: 10, maximum: 60}
      - id: quick
        kind: embedded

The order is that of `/v1/models`; the first is used when a request names none. Nothing of a file's values is repeated
in an error but ids: a path may say more than a log should hold.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from model_server.embedded.package import WEIGHTS_FOLDER
from model_server.pipelines.port import Limits
from model_server.settings import SettingsError
from model_server.wire import MAX_GUIDANCE, MAX_STEPS

Family = Literal["auto", "sd", "sdxl", "sd3", "flux", "other"]
DataType = Literal["auto", "float32", "bfloat16", "float16"]
Offload = Literal["auto", "none", "model", "sequential"]

_SIZE = re.compile(r"([1-9][0-9]{1,4})x([1-9][0-9]{1,4})")
_LARGEST_FILE_BYTES = 1 << 20


def _size(value: Any) -> Any:
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("expected WIDTHxHEIGHT, such as 1024x768")
    return int(match[1]), int(match[2])


def _in_order(value: Spread) -> Spread:
    if not value.minimum <= value.default <= value.maximum:
        raise ValueError("expected minimum <= default <= maximum")
    return value


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Spread(_Entry):
    """An inclusive range and its default."""

    default: float = Field(ge=0, allow_inf_nan=False)
    minimum: float = Field(ge=0, allow_inf_nan=False)
    maximum: float = Field(allow_inf_nan=False)

    @property
    def limits(self) -> Limits:
        """The same for the port."""
        return Limits(self.default, self.minimum, self.maximum)


def _upto(largest: float, smallest: float = 0) -> AfterValidator:
    def check(value: Spread) -> Spread:
        if value.minimum < smallest or value.maximum > largest:
            raise ValueError(f"expected a range within {smallest:g} to {largest:g}")
        return value

    return AfterValidator(check)


Ordered = Annotated[Spread, AfterValidator(_in_order)]
Size = Annotated[tuple[int, int], BeforeValidator(_size)]


class ModelEntry(_Entry):
    """One model of the file."""

    id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
    kind: Literal["diffusers", "embedded"] = "diffusers"
    folder: Path | None = None
    hub: Annotated[str, StringConstraints(pattern=r"^[\w.-]+/[\w.-]+$")] | None = None
    """A name of the Hugging Face hub, looked up in the cache on this disk alone."""
    revision: str | None = None
    family: Family = "auto"
    digest: Annotated[str, StringConstraints(pattern=r"^(sha256:[0-9a-f]{64})?$")] = ""
    sizes: tuple[Size, ...] = ()
    steps: Annotated[Ordered, _upto(MAX_STEPS, 1)] | None = None
    guidance: Annotated[Ordered, _upto(MAX_GUIDANCE)] | None = None
    negative_guidance: float = Field(1.0, ge=1, le=MAX_GUIDANCE)
    strength: Annotated[Ordered, _upto(1)] | None = None
    vary_strength: float | None = Field(None, gt=0, le=1)
    device: Annotated[str, StringConstraints(pattern=r"^(auto|cpu|mps|cuda(:\d{1,2})?)$")] = "auto"
    dtype: DataType = "auto"
    offload: Offload = "auto"
    compile: Literal["off", "repeated_blocks"] = "off"
    owner: str = Field("organisation", max_length=128)
    licence: str = Field("", max_length=1000)
    description: str = Field("", max_length=1000)

    @model_validator(mode="before")
    @classmethod
    def _off_is_a_word(cls, values: Any) -> Any:
        # YAML 1.1 reads `off` and `no` as false.
        if isinstance(values, dict) and values.get("compile") is False:
            return {**values, "compile": "off"}
        return values

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.kind == "embedded":
            if self.hub is not None:
                raise ValueError("an embedded model has a folder or the packaged one, no hub")
            return self
        if (self.folder is None) == (self.hub is None):
            raise ValueError("expected folder, or hub, and not both")
        return self


class Catalogue(_Entry):
    """The whole file."""

    models: tuple[ModelEntry, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _ids_differ(self) -> Self:
        ids = [entry.id for entry in self.models]
        for name in ids:
            if ids.count(name) > 1:
                raise ValueError(f"two models have the id {name}")
        return self


class ModelSettings(Protocol):
    """What the server's settings say of models: a file of several, or one by itself."""

    @property
    def models_path(self) -> Path | None: ...
    @property
    def kind(self) -> Literal["embedded", "diffusers"]: ...
    @property
    def path(self) -> Path | None: ...
    @property
    def name(self) -> str: ...
    @property
    def digest(self) -> str: ...
    @property
    def sizes(self) -> tuple[str, ...]: ...
    @property
    def device(self) -> str: ...
    @property
    def dtype(self) -> DataType: ...
    @property
    def threads(self) -> int | None: ...


def entries_of(settings: ModelSettings) -> tuple[ModelEntry, ...]:
    """The models that the settings ask for; the first is the default. Raises SettingsError."""
    if settings.models_path is not None:
        return read_catalogue(settings.models_path)
    values: dict[str, Any] = {"kind": settings.kind, "digest": settings.digest}
    if settings.kind == "embedded":
        folder = settings.path or WEIGHTS_FOLDER
        return (_single({**values, "id": settings.name or _own_name(folder), "folder": folder}),)
    if settings.path is None:
        raise SettingsError("kind=diffusers needs path: the folder of the model")
    name = settings.name or settings.path.resolve().name
    values |= {"id": name, "folder": settings.path, "sizes": settings.sizes}
    return (_single({**values, "device": settings.device, "dtype": settings.dtype}),)


def _own_name(folder: Path) -> str:
    """What an embedded model calls itself. Its files are checked later, when it is loaded."""
    try:
        return str(json.loads((folder / "config.json").read_text(encoding="utf-8"))["name"])
    except (OSError, ValueError, KeyError, TypeError):
        return "embedded"


def read_catalogue(path: Path) -> tuple[ModelEntry, ...]:
    """The models of a file. Raises SettingsError that names the file, the key, and what was expected there.

    Relative folders count from the file's own folder.
    """
    try:
        if path.stat().st_size > _LARGEST_FILE_BYTES:
            raise SettingsError(f"{path.name}: expected at most {_LARGEST_FILE_BYTES} bytes")
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path.name} can't be read: {type(error).__name__}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = "" if mark is None else f", line {mark.line + 1}"
        raise SettingsError(f"{path.name}{place}: not valid YAML") from error
    if not isinstance(content, dict):
        raise SettingsError(f"{path.name}: expected `models:` and a list below it")
    try:
        catalogue = Catalogue.model_validate(content)
    except ValidationError as error:
        raise SettingsError("\n".join(_told(path.name, content, error))) from None
    return tuple(_from_here(entry, path.parent) for entry in catalogue.models)


def _from_here(entry: ModelEntry, folder: Path) -> ModelEntry:
    return entry if entry.folder is None else entry.model_copy(update={"folder": folder / entry.folder.expanduser()})


def _single(values: Mapping[str, Any]) -> ModelEntry:
    try:
        return ModelEntry.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = {"id": "name", "folder": "path"}.get(str(first["loc"][0]), str(first["loc"][0])) if first["loc"] else ""
        raise SettingsError(f"{key}: {_expectation(dict(first))}".lstrip(": ")) from None


def _told(name: str, content: Mapping[str, Any], error: ValidationError) -> list[str]:
    """A line for each mistake: file, model, key, what is expected."""
    lines = []
    for mistake in error.errors(include_url=False, include_input=False):
        place = list(mistake["loc"])
        if len(place) > 1 and place[0] == "models":
            place[:2] = [_called(content, place[1])]
        lines.append(": ".join([name, *([".".join(map(str, place))] if place else []), _expectation(dict(mistake))]))
    return lines


def _called(content: Mapping[str, Any], index: Any) -> str:
    models = content.get("models")
    entry = models[index] if isinstance(models, list) and isinstance(index, int) else None
    name = entry.get("id") if isinstance(entry, dict) else None
    return f"models[{name if isinstance(name, str) else index}]"


def _expectation(mistake: Mapping[str, Any]) -> str:
    if mistake["type"] == "extra_forbidden":
        return "is not a key of this file"
    if mistake["type"] == "missing":
        return "is missing"
    return str(mistake["msg"]).removeprefix("Value error, ").replace("Input should be", "expected")
