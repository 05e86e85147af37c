"""`python -m gateway.policy.schemas policies/schemas`: write the JSON Schemas of policy's two documents.

They are for people who write rules, and for their editors. Made from the types that the gateway itself uses; a test
holds the files to them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pydantic import TypeAdapter

from gateway.policy.answer import DecisionAnswer
from gateway.policy.engine import EntryPoint
from gateway.policy.input import AdminInput, ImageInput

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def documents() -> dict[str, str]:
    """File name -> contents."""
    image = TypeAdapter(ImageInput).json_schema()
    admin = TypeAdapter(AdminInput).json_schema()
    definitions = {**admin.pop("$defs"), **image.pop("$defs"), "AdminInput": admin, "ImageInput": image}
    question = {
        "$schema": DIALECT,
        "title": "What rules are asked",
        "description": f"ImageInput for data.{EntryPoint.IMAGE}, AdminInput for data.{EntryPoint.ADMIN}.",
        "anyOf": [{"$ref": "#/$defs/ImageInput"}, {"$ref": "#/$defs/AdminInput"}],
        "$defs": definitions,
    }
    answer = {"$schema": DIALECT, **DecisionAnswer.model_json_schema(), "title": "What rules answer"}
    return {
        name: json.dumps(schema, indent=2, sort_keys=True) + "\n"
        for name, schema in (("input.json", question), ("decision.json", answer))
    }


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in documents().items():
        (folder / name).write_text(text)
        print(folder / name)
