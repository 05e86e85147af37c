"""The rule files' form as JSON Schema, for editors: `python -m gateway.screening.rules.json_schema DIRECTORY`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

from gateway.screening.rules.schema import ContentLexicon, DlpRule, Form

FILES: Final[dict[str, type[Form]]] = {"dlp-rule.json": DlpRule, "content-lexicon.json": ContentLexicon}


def json_schema(form: type[Form]) -> dict[str, Any]:
    """JSON Schema (2020-12) of one kind of rule file."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **form.model_json_schema(by_alias=True)}


def write(directory: Path) -> None:
    """Write every schema into `directory`."""
    for name, form in FILES.items():
        text = json.dumps(json_schema(form), indent=2, ensure_ascii=False)
        (directory / name).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
