from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import InvalidRequest, NotFound
from gateway.lifecycle.forms import FORMS, changes_of, form_named, parsed, values_of
from gateway.lifecycle.forms.kinds import Cell, Choice, Number, Single, Table, Tick, Ticks, Words

POLICIES = Path(__file__).parents[4] / "policies"
FILES = {path.relative_to(POLICIES).as_posix(): path.read_bytes() for path in POLICIES.rglob("*") if path.is_file()}
HOURS = "gateway/config/hours/data.yaml"


def as_fields(form: Any, values: Any) -> dict[str, list[str]]:
    """What a browser sends of the form's page when nobody touched it."""
    found: dict[str, list[str]] = {}

    def put(name: str, cell: Cell, value: Any) -> None:
        if isinstance(cell, Tick):
            found[name] = ["on"] if value else []
        elif isinstance(cell, Ticks):
            found[name] = list(value)
        elif isinstance(cell, Words):
            found[name] = ["\r\n".join(value)]
        else:
            found[name] = ["" if value is None else str(value)]

    for section in form.sections:
        value = values[section.where]
        if isinstance(section, Single):
            put(section.where, section.cell, value)
            continue
        assert isinstance(section, Table)
        rows = section.rows(value)
        for n in range(len(rows) + (0 if section.fixed else 1)):
            is_new = n >= len(rows)
            name, record = ("", {}) if is_new else rows[n]
            if section.key is not None and not (section.fixed and not is_new):
                put(f"{section.where}.{n}.key", section.key, name)
            for column, cell in section.columns.items():
                one = (None if is_new else record) if column == "" else record.get(column)
                if is_new and isinstance(cell, Choice):
                    one = cell.options[0]  # a browser sends the first where none is chosen
                if is_new and isinstance(cell, Ticks | Words):
                    one = []
                put(f"{section.where}.{n}.{column or 'value'}", cell, one)
    return found


@pytest.mark.parametrize("name", FORMS)
def test_a_form_that_is_saved_unchanged_changes_no_byte(name: str) -> None:
    """By the API's way and by the page's."""
    form = form_named(name)
    values = values_of(form, FILES)
    assert changes_of(form, FILES, values) == {}
    fields = as_fields(form, values)
    assert changes_of(form, FILES, parsed(form, lambda field: fields.get(field, []), values)) == {}


def change(name: str, sections: dict[str, Any], files: dict[str, bytes] = FILES) -> dict[str, str]:
    return changes_of(form_named(name), files, sections)


def test_a_change_touches_its_line_only() -> None:
    before = FILES[HOURS].decode()
    days = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"]
    made = change("hours", {"timezone": "Europe/Berlin", "windows": [{"days": days, "from_hour": 6, "to_hour": 20}]})
    assert made == {
        HOURS: before.replace('"UTC"', '"Europe/Berlin"')
        .replace(', "Saturday", "Sunday"', "")
        .replace("from_hour: 0", "from_hour: 6")
        .replace("to_hour: 24", "to_hour: 20")
    }


def test_a_detector_changes_in_its_own_file() -> None:
    values = values_of(form_named("dlp"), FILES)[""]
    record = values["dlp/iban.yaml"] | {"mode": "monitor", "action": "review"}
    made = change("dlp", {"": {"dlp/iban.yaml": record}})
    before = FILES["dlp/iban.yaml"].decode()
    assert made == {
        "dlp/iban.yaml": before.replace("mode: enforce", 'mode: "monitor"').replace(
            "default: block", 'default: "review"'
        )
    }


def test_a_row_of_a_page_goes_comes_and_stays() -> None:
    form = form_named("models")
    values = values_of(form, FILES)
    fields = as_fields(form, values)
    fields[".0.take-out"] = ["on"]
    new = {"key": "studio-xl", "roles": "employee", "groups": "Design, Brand", "sizes": "auto\r\n512x512"}
    fields |= {f".1.{name}": [text] for name, text in (new | {"max_images": "2"}).items()}
    fields[".1.tasks"] = ["generate"]
    sent: Any = lambda field: fields.get(field, [])  # noqa: E731
    assert parsed(form, sent, values)[""] == {
        "studio-xl": {
            "roles": ["employee"],
            "groups": ["Design", "Brand"],
            "tasks": ["generate"],
            "sizes": ["auto", "512x512"],
            "max_images": 2,
        }
    }


@pytest.mark.parametrize(
    ("name", "sections", "says"),
    [
        ("hours", {"windows": [{"days": ["Noday"], "from_hour": 1, "to_hour": 2}]}, "windows.0.days"),
        ("hours", {"windows": [{"days": [], "from_hour": 1}]}, "windows.0.to_hour: is missing"),
        ("hours", {"windows": [{"days": [], "from_hour": True, "to_hour": 2}]}, "a whole number"),
        ("hours", {"windows": {}}, "expected a list"),
        ("hours", {"opening": 1}, "no part of this form"),
        ("networks", {"allowed_cidrs": ["everywhere"]}, "does not look right"),
        ("networks", {"allowed_countries": ["Germany"]}, "does not look right"),
        ("retention", {"keyword_index": "yes"}, "true or false"),
        ("findings", {"severity_floor": {"low": "maybe"}}, "expected one of"),
        ("findings", {"min_score": {"dlp.iban": 2}}, "from 0 to 1"),
        (
            "dlp",
            {"": {"dlp/none.yaml": {"mode": "off", "severity": "low", "action": "mask", "message": "x"}}},
            "as a file",
        ),
    ],
)
def test_what_a_file_may_not_say_is_refused_with_its_place(name: str, sections: Any, says: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        change(name, sections)
    assert says in refused.value.message


def test_a_file_that_is_not_as_the_form_knows_it_is_left_to_the_editor() -> None:
    for text in (b"timezone: [1]\nwindows: []\n", b"timezone: UTC\n", b"a: &b 1\nc: *b\n", b"\xff", b"- 1\n"):
        with pytest.raises(InvalidRequest, match="Change it as text"):
            values_of(form_named("hours"), {HOURS: text})
    with pytest.raises(NotFound):
        values_of(form_named("hours"), {})
    with pytest.raises(NotFound):
        form_named("weather")


def test_a_page_cannot_name_a_row_twice() -> None:
    form = form_named("limits")
    values = values_of(form, FILES)
    fields = as_fields(form, values)
    fields["images_per_request.2.key"], fields["images_per_request.2.value"] = ["service"], ["3"]
    sent: Any = lambda field: fields.get(field, [])  # noqa: E731
    with pytest.raises(InvalidRequest, match="twice"):
        parsed(form, sent, values)


def test_numbers_of_a_page_are_numbers() -> None:
    cell = Number(label="x", fraction=True, most=2)
    assert (cell.parse(["0.5"], "x"), cell.parse([" 1 "], "x")) == (0.5, 1)
    texts: Sequence[str] = ("", "nan", "1e5", "0x1", "½", "3", "--1")
    for text in texts:
        with pytest.raises(InvalidRequest):
            cell.parse([text], "x")
