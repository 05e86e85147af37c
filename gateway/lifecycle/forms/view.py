"""Forms over the files of a draft: what stands in them, and what a changed form makes of them.

Nothing is decided here: what comes out is a change of files, saved as a version of the draft like any other, and
checked like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateway.errors import InvalidRequest, NotFound
from gateway.lifecycle.content import Files
from gateway.lifecycle.forms.kinds import Section, Sent, wrong
from gateway.lifecycle.forms.shipped import DETECTORS, FORMS, Form
from gateway.lifecycle.forms.yaml_edit import Read, Unreadable, Unwritable, read_data, read_rule, rewritten, same

RULES: Final = "dlp/"


def form_named(name: str) -> Form:
    """Raises NotFound."""
    found = FORMS.get(name)
    if found is None:
        raise NotFound(f"There is no such form. There are: {', '.join(FORMS)}.")
    return found


def is_there(form: Form, files: Files) -> bool:
    """Whether the draft has the file (or, for detectors, any)."""
    return bool(_rule_files(files)) if form is DETECTORS else form.path in files


def values_of(form: Form, files: Files) -> dict[str, Any]:
    """What the form's files say: section -> value, named as in the file. Raises InvalidRequest for a file that can't be
    shown as this form: it is changed as text."""
    if form is DETECTORS:
        return {"": {path: _rule_record(path, files) for path in _rule_files(files)}}
    data = _data(form, files)
    found = {}
    for section in form.sections:
        value = _at(data, section)
        if value is _MISSING:
            raise _as_text(form.path, f"it has no {section.where or 'mapping'}")
        try:
            section.check(value)
        except InvalidRequest as error:
            raise _as_text(form.path, error.message) from error
        found[section.where] = value
    return found


def parsed(form: Form, sent: Sent, before: Mapping[str, Any]) -> dict[str, Any]:
    """The values that a page's fields say. Raises InvalidRequest."""
    return {section.where: section.parse(sent, before[section.where]) for section in form.sections}


def changes_of(form: Form, files: Files, values: Mapping[str, Any]) -> dict[str, str]:
    """Path -> new text of each file that these values change; nothing where they are what the files say. `values` may
    name some sections only. Raises InvalidRequest."""
    before = values_of(form, files)
    unknown = sorted(values.keys() - before.keys())
    if unknown:
        raise wrong(str(unknown[0])[:60], f"is no part of this form: {', '.join(name or '(all)' for name in before)}.")
    checked = {s.where: s.check(values[s.where]) for s in form.sections if s.where in values}
    if form is DETECTORS:
        return _rule_changes(files, before[""], checked.get("", {}))
    data = _data(form, files)
    for section in form.sections:
        if section.where in checked:
            data = _put(data, section.at, checked[section.where])
    made = _written(form.path, files, data, read_data)
    return {} if made is None else {form.path: made}


def _written(path: str, files: Files, value: Mapping[str, Any], read: Read) -> str | None:
    """The file's new text; None when nothing changes."""
    text = files[path].decode()
    try:
        made = rewritten(path, text, value, read)
    except (Unreadable, Unwritable) as error:
        raise _as_text(path, str(error)) from error
    return None if made == text else made


def _data(form: Form, files: Files) -> dict[str, Any]:
    if form.path not in files:
        raise NotFound(f"The draft has no file {form.path}, which this form is about.")
    return _read(form.path, files, read_data)


def _read(path: str, files: Files, read: Read) -> dict[str, Any]:
    try:
        return read(path, files[path].decode())
    except UnicodeDecodeError as error:
        raise _as_text(path, "it is not UTF-8") from error
    except Unreadable as error:
        raise _as_text(path, str(error.problem)) from error


_MISSING: Final = object()


def _at(data: Any, section: Section) -> Any:
    for name in section.at:
        if not isinstance(data, dict) or name not in data:
            return _MISSING
        data = data[name]
    return data


def _put(data: Any, at: tuple[str, ...], value: Any) -> Any:
    """`data` with `value` at a place that is there."""
    return value if not at else {**data, at[0]: _put(data[at[0]], at[1:], value)}


def _rule_files(files: Files) -> list[str]:
    return sorted(path for path in files if path.startswith(RULES) and path.endswith((".yaml", ".yml")))


def _rule_record(path: str, files: Files) -> dict[str, Any]:
    rule = _read(path, files, read_rule)
    action = rule.get("action")
    if not isinstance(action, dict) or not {"mode", "severity", "message"} <= rule.keys() or "default" not in action:
        raise _as_text(path, "it has no mode, severity, action or message")
    record = {"mode": rule["mode"], "severity": rule["severity"], "action": action["default"]}
    if "replacement" in action:
        record["replacement"] = action["replacement"]
    return {**record, "message": rule["message"]}


def _rule_changes(files: Files, before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, str]:
    strange = sorted(after.keys() - before.keys())
    if strange:
        raise wrong(strange[0][:60], "is no detector of this draft: a new one is added as a file.")
    made: dict[str, str] = {}
    for path, record in after.items():
        if same(record, before[path]):
            continue
        rule = _read(path, files, read_rule)
        action = {**rule["action"], "default": record["action"]}
        action.pop("replacement", None)
        if "replacement" in record:
            action["replacement"] = record["replacement"]
        rule |= {"mode": record["mode"], "severity": record["severity"], "message": record["message"], "action": action}
        text = _written(path, files, rule, read_rule)
        if text is not None:
            made[path] = text
    return made


def _as_text(path: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"{path} can’t be changed by a form: {why}. Change it as text.", param="form")
