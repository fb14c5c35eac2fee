"""``Tool`` and ``ToolCalls``: what a requester can do, and what an LM wants done.

A request offers tools, an LM says which of them to call with what, and whoever reads
the result calls them. Nothing here is ever called: both are records, plain data.
"""

from typing import Final

from streams.signatures.types import STR, Field, Limited, ListOf, RecordOf

# What MCP and the APIs of LMs have for names of tools.
_NAME: Final = Field(name="name", type=Limited(STR, 1, 128, "[A-Za-z0-9_.-]+"))

TOOL: Final = RecordOf(
    "Tool",
    (
        _NAME,
        Field(
            name="description",
            type=STR,
            description="What an LM is told of it.",
            required=False,
            default="",
        ),
        Field(
            name="args",
            type=STR,
            description="A JSON object: each argument with its JSON Schema.",
            required=False,
            default="{}",
        ),
    ),
)
"""Its *args* are one text of JSON, because JSON Schemas nest in themselves and Avro's
types must not; it is the ``args`` of ``dspy.Tool``, ``properties`` in other APIs."""

CALLED_TOOL: Final = RecordOf(
    "CalledTool",
    (
        _NAME,
        Field(
            name="args",
            type=STR,
            description="A JSON object: each argument with its value.",
            required=False,
            default="{}",
        ),
    ),
)

TOOL_CALLS: Final = RecordOf(
    "ToolCalls", (Field(name="tool_calls", type=ListOf(CALLED_TOOL)),)
)
"""As ``dspy.ToolCalls`` has it; the list may be empty."""
