"""What stands at the keys of a pipeline file."""

from collections.abc import Mapping
from typing import Final

from streams.catalog import LM_OPTIONS
from streams.editor_schema.words import (
    DURATION,
    SIGNATURE,
    STEPS,
    TARGET,
    TEXT,
    Schema,
    named,
    object_of,
    text,
    whole,
)
from streams.language.pipeline_file import MAX_HISTORY, MAX_VERSION, RESERVED
from streams.language.tools import KEYS as TOOL_KEYS
from streams.signatures.validate import EXTRAS

_OPTION: Final[Mapping[str, Schema]] = {
    "model": text("local/demo, or provider/model: openai/gpt-5-mini."),
    "api_base": {"type": "string", "description": "The address of the server."},
    "api_key_env": text("The variable that holds the key."),
    "temperature": {"type": "number", "minimum": 0},
    "max_tokens": {"type": "integer", "minimum": 1},
    "params": {"type": "object", "description": "More of every call's body."},
    "limit": {"type": "integer", "minimum": 1, "description": "Calls in flight."},
    "timeout": DURATION,
}
"""Of an LM; one for each of ``LM_OPTIONS``."""

_TOOL: Final[Mapping[str, Schema]] = {
    "call": TARGET,
    "timeout": DURATION,
    "description": text("What the LM is told of it."),
}

TEXT_LIST: Final = {"type": "array", "items": TEXT}
_NAMED_SIGNATURE: Final = object_of(
    {
        "signature": SIGNATURE,
        "instructions": TEXT,
        "aliases": TEXT_LIST,
        "tags": TEXT_LIST,
        "description": TEXT,
    },
    needed=("signature",),
)

FILE_KEYS: Final[Mapping[str, Schema]] = {
    "pipeline": {
        "type": "string",
        "pattern": "^[a-z][a-z0-9_]{0,63}$",
        "not": {"enum": list(RESERVED)},
        "description": "Its name: a part of the names of its topics.",
    },
    "version": whole(1, MAX_VERSION),
    "input": text("The fields of a request."),
    "output": text("The fields of a result."),
    "types": named(TEXT, "Records that fields may hold: their fields, by name."),
    "signatures": {
        "type": "object",
        "description": "Named signatures: triage@2.",
        "propertyNames": {"pattern": "@[1-9][0-9]*$"},
        "additionalProperties": {"anyOf": [TEXT, _NAMED_SIGNATURE]},
    },
    "extra": {
        "enum": list(EXTRAS),
        "description": "What becomes of inputs that nobody declared.",
    },
    "progress": {
        "enum": ["finished", "all"],
        "description": "Which records tell how far a request is.",
    },
    "session": object_of({"ttl": DURATION, "history": whole(0, MAX_HISTORY)}),
    "lms": named(
        object_of({k: _OPTION[k] for k in LM_OPTIONS}, ("model",)),
        "LMs by the names that stages use.",
    ),
    "tools": named(
        object_of({key: _TOOL[key] for key in TOOL_KEYS}, ("call",)),
        "Functions that stages may let an LM call.",
    ),
    "stages": {**named({"$ref": "#/$defs/stage"}), "minProperties": 1},
    "flow": {**STEPS, "description": "When the stages run."},
}
"""One for each key of a file."""
