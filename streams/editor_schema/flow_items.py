"""What stands under `flow:`, and what is said in more than one place."""

from collections.abc import Mapping
from typing import Final

from streams.editor_schema.words import (
    FIELD_NAMES,
    NAME,
    STEPS,
    Schema,
    named,
    object_of,
    text,
    whole,
)
from streams.language.flow_file import MAX_ITERATIONS, MAX_WIDTH


def _item(key: str, value: Schema, others: Mapping[str, Schema], needed: str) -> Schema:
    return {"title": key, **object_of({key: value, **others}, (key, *needed.split()))}


_WAYS: Final = {"type": "array", "minItems": 2, "items": STEPS}
_CONDITION: Final = text("A condition in CEL over the fields that are there.")

DEFINITIONS: Final[Mapping[str, Schema]] = {
    "name": {"type": "string", "pattern": NAME},
    "duration": {
        "type": "string",
        "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*(ms|s|m|h|d)\s*$",
        "description": "250ms, 8s, 1m, 1h, 7d",
    },
    "flow": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/item"}},
    "item": {
        "anyOf": [
            {"type": "string", "description": "The name of a stage."},
            _item("parallel", {**named(STEPS), "minProperties": 2}, {}, ""),
            _item("when", _CONDITION, {"then": STEPS, "else": STEPS}, "then"),
            _item(
                "map",
                STEPS,
                {
                    "over": {"$ref": "#/$defs/name"},
                    "each": {"$ref": "#/$defs/name"},
                    "collect": {**FIELD_NAMES, "minProperties": 1},
                    "width": whole(1, MAX_WIDTH),
                },
                "over each collect",
            ),
            {
                **_item(
                    "loop",
                    STEPS,
                    {
                        "until": _CONDITION,
                        "while": _CONDITION,
                        "max_iterations": whole(1, MAX_ITERATIONS),
                    },
                    "max_iterations",
                ),
                "oneOf": [{"required": ["until"]}, {"required": ["while"]}],
            },
            _item("fallback", _WAYS, {}, ""),
            _item(
                "pipeline",
                {"type": "string", "pattern": r"^[A-Za-z]\w*@[1-9][0-9]*$"},
                {
                    "as": {
                        "$ref": "#/$defs/name",
                        "description": "What its stages are named after here.",
                    },
                    "inputs": FIELD_NAMES,
                    "outputs": FIELD_NAMES,
                },
                "",
            ),
        ]
    },
}
