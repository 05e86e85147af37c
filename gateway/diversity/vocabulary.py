"""The words of diversity rewriting and the shares drawn from, as the bundle's files tell them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
WORDS: Final = "diversity"
"""Folder of the bundle with one file a language."""
SHARES: Final = Path("gateway/config/diversity/data.yaml")
MAX_FILE_BYTES: Final = 256 * 1024

F = TypeVar("F", bound="_Form")
Word = Annotated[str, StringConstraints(min_length=1, max_length=80)]
Words = Annotated[tuple[Word, ...], Field(max_length=1_000)]
Gender = Literal["woman", "man", "nonbinary"]
GENDERS: Final[tuple[Gender, ...]] = get_args(Gender)
Kind = Literal["adult", "child"]
Share = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]
Shares = Annotated[dict[str, Share], Field(min_length=1, max_length=50)]


class DiversityError(ValueError):
    """The files can't be used. The message begins with the file and says what to change."""


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class People(_Form):
    """Nouns for people. Where a noun says the gender, that person's gender is given."""

    person: Words = Field(description="Of open gender, one of them; in German, French and Spanish also the masculine.")
    people: Words = Field(description="Of open gender, several.")
    child: Words = ()
    children: Words = ()
    woman: Words = ()
    women: Words = ()
    man: Words = ()
    men: Words = ()
    girl: Words = ()
    girls: Words = ()
    boy: Words = ()
    boys: Words = ()


class Language(_Form):
    """One language. All words are compared in lower case; a word of several parts is found where they follow on."""

    language: Literal["en", "de", "fr", "es"]
    common: Words = Field(description="Words by which the language is known.")
    nouns: People
    feminine_articles: Words = Field((), description="Articles that make a noun of `either` a woman's.")
    either: Words = Field((), description="Nouns of `person` that are a woman's behind such an article.")
    woman_words: Words = Field((), description="Adjectives and pronouns that say: a woman.")
    man_words: Words = ()
    origin_words: Words = Field(description="Words that say where somebody's people come from, beside a noun.")
    colour_words: Words = Field(description="The same, but colours of things as well: only right beside the noun.")
    adjectives_follow: bool = Field(False, description="Whether such words also stand behind the noun.")
    origin_anywhere: Words = Field((), description="Words that say it wherever they stand: samurai, Maasai.")
    from_words: Words = Field((), description="`from`: with a name behind it, an origin.")
    articles: Words = Field((), description="a, an: may stand behind `is`.")
    being_words: Words = Field((), description="`is`, `who is`: may stand between a noun and a word about it.")
    style_words: Words = Field((), description="Names behind these are the artist's, not the person's.")
    between: Words = Field(description="Words that end what belongs to a noun: of, in, with, and.")
    like_words: Words = Field((), description="as, like, dressed as: links a creature to a job.")
    not_human: Words = Field((), description="Creatures and things that are not people: robot, cat, statue.")
    not_people: Words = Field((), description="Phrases in which a noun is no person: nurse shark.")
    clause: str = Field(pattern=r"\{who\}", description="Put behind a prompt about one person.")
    clause_two: str = Field(pattern=r"\{who\}.*\{other\}", description="Put behind a prompt about several.")
    who: dict[Kind, dict[Gender, str]] = Field(description="With an origin: {f}, {m} or {n} is its form.")
    alone: dict[Kind, dict[Gender, str]] = Field(description="Where only the gender is drawn.")
    origins: dict[str, dict[Literal["f", "m", "n"], str]] = Field(min_length=1)


class World(_Form):
    """The shares drawn from."""

    genders: Shares
    origins: Shares

    @field_validator("genders")
    @classmethod
    def _are_known(cls, genders: dict[str, float]) -> dict[str, float]:
        unknown = sorted(set(genders) - set(GENDERS))
        if unknown:
            raise ValueError(f"expected only {', '.join(GENDERS)}")
        return genders


def load_language(path: Path) -> Language:
    """Raises `DiversityError`."""
    language = _read(path, Language, path.name)
    if path.stem != language.language:
        raise DiversityError(f"{path.name}: language must be the file's name: expected {path.stem}")
    for kind in ("adult", "child"):
        for forms in (language.who, language.alone):
            if set(forms.get(kind, {})) != {"woman", "man", "nonbinary"}:
                raise DiversityError(f"{path.name}: who and alone need woman, man and nonbinary for {kind}")
    for name, origin in language.origins.items():
        if set(origin) != {"f", "m", "n"}:
            raise DiversityError(f"{path.name}: origins.{name} needs the forms f, m and n")
    _try_out(path.name, language)
    return language


def _try_out(name: str, language: Language) -> None:
    """A brace too many would else show in the middle of somebody's request."""
    try:
        language.clause.format(who="")
        language.clause_two.format(who="", other="")
        for forms in language.who.values():
            for template in forms.values():
                template.format(f="", m="", n="")
    except (LookupError, ValueError, AttributeError):
        raise DiversityError(
            f"{name}: clauses take {{who}} and {{other}}, `who` takes {{f}}, {{m}} or {{n}}, and nothing else in braces"
        ) from None


def load_world(path: Path, languages: Mapping[str, Language]) -> World:
    """The shares, each of a name that every language has words for. Raises `DiversityError`."""
    data = _yaml(path, path.name)
    told = data.get("world") if isinstance(data, dict) else None
    world = _checked(told, World, "diversity/data.yaml: world")
    if not any(world.genders.values()) or not any(world.origins.values()):
        raise DiversityError("diversity/data.yaml: genders and origins each need one share above 0")
    for language in languages.values():
        missing = sorted(set(world.origins) - set(language.origins))
        if missing:
            raise DiversityError(f"{language.language}.yaml: origins has no words for {', '.join(missing)}")
    return world


def _read(path: Path, form: type[Language], name: str) -> Language:
    return _checked(_yaml(path, name), form, name)


def _checked(data: Any, form: type[F], name: str) -> F:
    try:
        return form.model_validate(data)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in fault["loc"]) or "file"
        raise DiversityError(f"{name}: {where}: {fault['msg']}") from None


def _yaml(path: Path, name: str) -> Any:
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise DiversityError(f"{name}: can't be read: {type(error).__name__}") from None
    if len(raw) > MAX_FILE_BYTES:
        raise DiversityError(f"{name}: file is too large: expected at most {MAX_FILE_BYTES} bytes")
    try:
        return yaml.load(raw, Loader=_Loader)  # noqa: S506  # a safe loader, libyaml's where there is one
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DiversityError(f"{name}: not YAML: {type(error).__name__}") from None
