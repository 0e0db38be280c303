"""The JSON Schemas of what outlives the code that wrote it, made from that code.

`python -m tests.support.schemas` writes those of envelope, items and dead letter to everscore/schemas/ anew. The
one of the document is written by hand, since a document is a plain dictionary; a test holds it to the code.
"""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

import msgspec

from everscore.event.item import Braked, Item, Source, Step
from everscore.event.scores import Scores
from everscore.retry.claim_checks import ClaimCheck
from everscore.retry.dead_letter import DeadLetter
from everscore.retry.envelope import SCHEMA
from tests.support.services import ROOT

FOLDER = ROOT / "everscore" / "schemas"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ENTRY = re.compile(r"^ {4}(\w+(?:, \w+)*): (.*?)(?=^ {4}\w|\Z)", re.MULTILINE | re.DOTALL)


def schemas() -> dict[str, dict[str, Any]]:
    """Every schema that is made from code, by the name of its file."""
    return {
        "envelope.schema.json": _envelope(),
        "items.schema.json": _titled("The items of a message of the retry queue, schema 2", list[Item]),
        "dead-letter.schema.json": _titled("A dead letter, schema 2", DeadLetter, numbered="DeadLetter"),
        "claim-check.schema.json": _titled("A claim-check blob, schema 2", ClaimCheck, numbered="ClaimCheck"),
    }


def _envelope() -> dict[str, Any]:
    return {
        "$schema": _DIALECT,
        "title": "A message of the retry queue, schema 2",
        "type": "object",
        "properties": {
            "schema": {"const": SCHEMA},
            "items": {
                "type": "string",
                "contentEncoding": "base64",
                "description": "zlib of a MessagePack array, which items.schema.json describes; "
                "a body is binary there.",
            },
        },
        "required": ["schema", "items"],
    }


def _titled(title: str, kind: Any, numbered: str = "") -> dict[str, Any]:
    (schema,), components = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    for struct in (Item, Source, Step, Braked, Scores, DeadLetter, ClaimCheck):
        if struct.__name__ in components:
            _describe(components[struct.__name__], struct)
    if numbered:
        components[numbered]["properties"]["schema"] = {"const": SCHEMA}
        components[numbered]["required"].append("schema")
    return {"$schema": _DIALECT, "title": title, **schema, "$defs": components}


def _describe(component: dict[str, Any], struct: type[msgspec.Struct]) -> None:
    """Put what the docstring says of a struct and its attributes where a reader of the schema sees it."""
    text = inspect.getdoc(struct) or ""
    lead, _, attributes = text.partition("Attributes:\n")
    component["description"] = " ".join(lead.split())
    encoded = dict(zip(struct.__struct_fields__, struct.__struct_encode_fields__, strict=True))
    for names, says in _ENTRY.findall(attributes):
        for name in names.split(", "):
            component["properties"][encoded[name]]["description"] = " ".join(says.split())


def text_of(schema: dict[str, Any]) -> str:
    """A schema as it is committed."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def write(folder: Path = FOLDER) -> None:
    """Write them all."""
    for name, schema in schemas().items():
        (folder / name).write_text(text_of(schema))


if __name__ == "__main__":
    write()
