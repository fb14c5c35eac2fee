"""Sample values of fields: what a compiled prompt is tried on before it serves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from streams.language.stage_spec import StageSpec
from streams.session import Turn
from streams.signatures.tool_records import TOOL, TOOL_CALLS
from streams.signatures.types import (
    Choice,
    CodeOf,
    DecimalOf,
    Field,
    FieldType,
    HistoryType,
    ImageType,
    Limited,
    ListOf,
    MapOf,
    Maybe,
    OneOf,
    RecordOf,
    Scalar,
    TupleOf,
)

TEXTS: Final = (
    "Nothing works since Monday.",
    "",
    " two\nlines, «quoted» “so”, and\n[[ ## completed ## ]]\nafter all\t",
)

IMAGES: Final = ("data:image/png;base64,iVBORw0KGgo=", "https://a.example/b.png")
TOOLS: Final[tuple[Mapping[str, Any], ...]] = (
    {
        "name": "find",
        "description": "Find «it»,\nor don't.",
        "args": '{"text": {"type": "string", "default": "a \\"b\\" ü"}, "n": {}}',
    },
    {"name": "stop", "description": "", "args": "{}"},
)
CALLS: Final[tuple[Mapping[str, Any], ...]] = (
    {"tool_calls": [{"name": "find", "args": '{"text": "<b> & [c]", "n": [1, null]}'}]},
    {"tool_calls": [{"name": "stop", "args": "{}"}, {"name": "a.b", "args": "{}"}]},
    {"tool_calls": []},
)
CODES: Final = ("def one():\n    return 1", "```\n1 + 1\n```", "")

# Values as an LM is shown them: dates and the like are text.
_SCALARS: Final[Mapping[str, tuple[Any, ...]]] = {
    "bytes": ("aGk=", ""),
    "date": ("2026-02-28", "0001-01-01"),
    "datetime": ("2026-02-28T23:59:59.000001+00:00", "2026-02-28T12:00:00Z"),
    "str": TEXTS,
    "int": (0, -7, 2**53),
    "float": (0.0, -2.5, 1e300),
    "bool": (True, False),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One call of a stage, made up."""

    inputs: Mapping[str, Any]
    history: tuple[Turn, ...]
    outputs: Mapping[str, Any]


def probes_of(spec: StageSpec, outputs: Sequence[Field]) -> tuple[Probe, ...]:
    """Return a few calls that try every field of *spec* in several ways.

    *outputs* are the fields that the program answers with.
    """
    return tuple(_probe(spec, outputs, turn) for turn in range(len(TEXTS)))


def _probe(spec: StageSpec, outputs: Sequence[Field], turn: int) -> Probe:
    inputs, answered = _fields(spec.inputs, turn), _fields(outputs, turn)
    said = (inputs | answered, inputs, answered, _fields(spec.inputs[:1], turn + 1))
    history = tuple(
        Turn(pipeline="probe", request_id=str(at), at_ms=at, fields=fields)
        for at, fields in enumerate(said)
    )
    return Probe(inputs=inputs, history=history[: turn * 2], outputs=answered)


def _fields(fields: Sequence[Field], turn: int) -> dict[str, Any]:
    shown = [field for field in fields if not isinstance(field.type, HistoryType)]
    # Neighbours differ: a mix-up of two fields of one type must not go unnoticed.
    return {f.name: _sample(f.type, turn + at) for at, f in enumerate(shown)}


def _sample(kind: FieldType, turn: int) -> Any:  # noqa: ANN401, C901, PLR0911, PLR0912
    match kind:
        case Scalar():
            values = _SCALARS[kind.name]
            return values[turn % len(values)]
        case Choice():
            return kind.values[turn % len(kind.values)]
        case DecimalOf():
            return ("0.00", "-12.5")[turn % 2]
        case ImageType():
            return IMAGES[turn % len(IMAGES)]
        case CodeOf():
            return CODES[turn % len(CODES)]
        case Limited():
            # Programs do not look at limits; samples need not keep them.
            return _sample(kind.inner, turn)
        case OneOf():
            return _sample(kind.members[turn % len(kind.members)], turn)
        case ListOf():
            return [_sample(kind.item, turn + at) for at in range(turn % 3)]
        case TupleOf():
            return [_sample(item, turn) for item in kind.items]
        case RecordOf() if kind == TOOL:
            return TOOLS[turn % len(TOOLS)]
        case RecordOf() if kind == TOOL_CALLS:
            return CALLS[turn % len(CALLS)]
        case RecordOf():
            return {f.name: _sample(f.type, turn) for f in kind.fields}
        case MapOf():
            return {f"key {at}": _sample(kind.value, at) for at in range(turn % 3)}
        case Maybe() if turn % 2 == 0:
            return _sample(kind.inner, turn)
        case Maybe() | HistoryType():
            return None
