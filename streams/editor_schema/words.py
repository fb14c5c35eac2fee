"""How the schema of pipeline files says what may stand somewhere."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

Schema = dict[str, Any]

NAME: Final = "^[A-Za-z][A-Za-z0-9_]{0,63}$"
TEXT: Final = {"type": "string", "pattern": r"\S"}
DURATION: Final = {"$ref": "#/$defs/duration"}
STEPS: Final = {"$ref": "#/$defs/flow"}
FIELD_NAMES: Final = {
    "type": "object",
    "propertyNames": {"$ref": "#/$defs/name"},
    "additionalProperties": {"$ref": "#/$defs/name"},
}


def object_of(properties: Mapping[str, Schema], needed: Iterable[str] = ()) -> Schema:
    """Return an object of these keys and no others."""
    required = list(needed)
    return {
        "type": "object",
        "properties": dict(properties),
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }


def named(values: Schema, description: str = "") -> Schema:
    """Return an object of names to *values*."""
    return {
        "type": "object",
        **({"description": description} if description else {}),
        "propertyNames": {"$ref": "#/$defs/name"},
        "additionalProperties": values,
    }


def whole(low: int, high: int) -> Schema:
    """Return a whole number from *low* to *high*."""
    return {"type": "integer", "minimum": low, "maximum": high}


def text(description: str) -> Schema:
    """Return a text that is not blank."""
    return {**TEXT, "description": description}


SIGNATURE: Final = text('Inputs, an arrow, outputs: "question -> answer: str".')
TARGET: Final = text("Code in an allowed module: module:name.")
