"""What stands at the keys of a stage: those of several kinds, and those of one."""

from collections.abc import Mapping
from typing import Final

from streams.editor_schema.words import (
    DURATION,
    SIGNATURE,
    TARGET,
    TEXT,
    Schema,
    object_of,
    text,
    whole,
)
from streams.language.adapter_choice import ADAPTERS, DEFAULT
from streams.language.program_file import MOST_THREADS
from streams.language.stage_file import MAX_ATTEMPTS
from streams.language.tools import MOST_CALLS
from streams.language.trials import MOST_TRIES

_TRIALS: Final = object_of(
    {
        "n": whole(2, MOST_TRIES),
        "reward": TARGET,
        "threshold": {"type": "number"},
        "fail_count": whole(0, MOST_TRIES),
    },
    needed=("n", "reward", "threshold"),
)

STAGE_KEYS: Final[Mapping[str, Schema]] = {
    "timeout": DURATION,
    "attempts": whole(1, MAX_ATTEMPTS),
    "on_failure": {
        "description": "What follows when no attempt is left.",
        "oneOf": [
            {"enum": ["fail", "skip"]},
            object_of({"default": {"type": "object"}}, ("default",)),
            object_of({"stage": {"$ref": "#/$defs/name"}}, ("stage",)),
        ],
    },
    "lm": text("The LM that it asks; needed where there are several."),
    "instructions": text("What the LM is told to do."),
    "adapter": {
        "description": "The layout in which the LM is asked, and answers.",
        "enum": list(ADAPTERS),
        "default": DEFAULT,
    },
    "stream": {"not": {}},
    "signature": SIGNATURE,
    "tools": {"type": "array", "items": {"type": "string"}},
    "max_calls": whole(1, MOST_CALLS),
    "tool_timeout": DURATION,
    "best_of": _TRIALS,
    "refine": _TRIALS,
}
"""Keys that mean the same in every kind that has them."""

KIND_KEYS: Final[Mapping[tuple[str, str], Schema]] = {
    ("transform", "inline"): {
        "type": "boolean",
        "description": "It never blocks, and runs on the event loop.",
    },
    ("template", "text"): {
        "description": "A template, or one for each output.",
        "anyOf": [TEXT, {"type": "object", "additionalProperties": TEXT}],
    },
    ("validate", "rules"): {
        "type": "object",
        "minProperties": 1,
        "additionalProperties": text("A condition in CEL."),
    },
    ("validate", "fail"): {"type": "boolean"},
    ("metric", "by"): text("How the two are compared: exact_match, f1, ..."),
    ("metric", "threshold"): {"type": "number", "minimum": 0, "maximum": 1},
    ("metric", "tolerance"): {"type": "number", "minimum": 0},
    ("metric", "relative"): {"type": "number", "minimum": 0},
    ("http", "url"): text("A template of the address."),
    ("http", "method"): {"enum": ["GET", "POST"]},
    ("http", "headers"): {"type": "object", "additionalProperties": TEXT},
    ("http", "body"): text("A template of what is sent."),
    ("http", "at"): text("Where the answer has the output: data.items."),
    ("program", "state"): text("A saved program, beside the pipeline files."),
    ("program", "module"): {"enum": ["predict", "reason", "react"]},
    ("program", "class"): TARGET,
    ("program", "threads"): whole(1, MOST_THREADS),
}
"""Keys of one kind."""

NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "template": ("text",),
    "validate": ("rules",),
    "metric": ("by",),
    "http": ("url",),
}
"""Keys that a kind cannot do without."""
