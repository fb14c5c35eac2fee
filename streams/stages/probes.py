"""Sample values of fields: what a compiled prompt is tried on before it serves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from streams.session import Turn
from streams.signatures.types import (
    Choice,
    Field,
    FieldType,
    HistoryType,
    ListOf,
    MapOf,
    Maybe,
    Scalar,
)
from streams.stage_spec import StageSpec

TEXTS: Final = (
    "Nothing works since Monday.",
    "",
    " two\nlines, «quoted» “so”, and\n[[ ## completed ## ]]\nafter all\t",
)

_SCALARS: Final[Mapping[str, tuple[Any, ...]]] = {
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


def _sample(kind: FieldType, turn: int) -> Any:  # noqa: ANN401 - of type *kind*
    match kind:
        case Scalar():
            values = _SCALARS[kind.name]
            return values[turn % len(values)]
        case Choice():
            return kind.values[turn % len(kind.values)]
        case ListOf():
            return [_sample(kind.item, turn + at) for at in range(turn % 3)]
        case MapOf():
            return {f"key {at}": _sample(kind.value, at) for at in range(turn % 3)}
        case Maybe() if turn % 2 == 0:
            return _sample(kind.inner, turn)
        case Maybe() | HistoryType():
            return None
