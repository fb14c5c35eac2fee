"""Put signatures behind each other: what one makes, the next takes, by name and type.

    triage >> reply     # takes what both need, makes what both make

The rules are those of a flow: a field may be made again if its type still fits whoever
read it before.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from streams.errors import ConfigError
from streams.signatures.fitting import fits
from streams.signatures.parse import Declared, Reading
from streams.signatures.types import HISTORY, STR, FieldType

Fields = Mapping[str, Declared]


@dataclass(frozen=True, slots=True, kw_only=True)
class Joint:
    """How a second signature stands behind a first."""

    feeds: tuple[str, ...]
    """Outputs of the first that are inputs of the second."""
    shared: tuple[str, ...]
    """Inputs of both."""
    missing: tuple[str, ...]
    """Inputs of the second that it must be given besides: the first knows nothing of
    them."""
    clashes: tuple[str, ...]
    """Why they cannot be joined, as sentences; empty if they can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Inputs and outputs that can be composed."""

    inputs: tuple[Declared, ...]
    outputs: tuple[Declared, ...]
    instructions: str = ""

    @classmethod
    def of(cls, reading: Reading) -> "Signature":
        """Return what *reading* says.

        Raises:
            ConfigError: it has problems.
        """
        if reading.problems:
            raise ConfigError(reading.problems)
        return cls(
            inputs=reading.inputs,
            outputs=reading.outputs,
            instructions=reading.instructions,
        )

    def __rshift__(self, other: "Signature") -> "Signature":
        return compose(self, other)


def joint(first: Signature, second: Signature) -> Joint:
    """Say which fields join *first* to *second*, and which keep them apart."""
    given, made = _named(first.inputs), _named(first.outputs)
    feeds, shared, missing, clashes = [], [], [], list[str]()
    for field in second.inputs:
        if field.name in made:
            feeds.append(field.name)
            clashes += _fed(made[field.name], field)
        elif field.name in given:
            shared.append(field.name)
            clashes += _both_given(given[field.name], field)
        else:
            missing.append(field.name)
    clashes += _histories(first, second)
    for field in second.outputs:
        before = made.get(field.name) or given.get(field.name)
        if before is not None and not fits(_type(field), _type(before)):
            clashes.append(
                f"{field.name} is made {_type(field)}, where it was {_type(before)}"
            )
    return Joint(
        feeds=tuple(feeds),
        shared=tuple(shared),
        missing=tuple(missing),
        clashes=tuple(clashes),
    )


def compose(first: Signature, second: Signature) -> Signature:
    """Return the signature of *first* and then *second*.

    Raises:
        ConfigError: they clash; with every reason.
    """
    found = joint(first, second)
    if found.clashes:
        raise ConfigError(found.clashes)
    given, later = _named(first.inputs), _named(second.inputs)
    shared = {name: _narrower(given[name], later[name]) for name in found.shared}
    missing = {name: later[name] for name in found.missing}
    told = [each.instructions for each in (first, second) if each.instructions]
    return Signature(
        inputs=tuple({**given, **shared, **missing}.values()),
        outputs=tuple({**_named(first.outputs), **_named(second.outputs)}.values()),
        instructions="\n\n".join(told),
    )


def _named(fields: tuple[Declared, ...]) -> dict[str, Declared]:
    return {field.name: field for field in fields}


def _type(field: Declared) -> FieldType:
    return field.type or STR


def _takes(wanted: Declared, made: Declared) -> bool:
    return wanted.type is None or made.type is None or fits(made.type, wanted.type)


def _fed(made: Declared, wanted: Declared) -> list[str]:
    if wanted.type is None or fits(_type(made), wanted.type):
        return []
    return [f"{made.name} is made {_type(made)}, and wanted {wanted.type}"]


def _both_given(one: Declared, other: Declared) -> list[str]:
    if not (_takes(one, other) or _takes(other, one)):
        return [f"{one.name} is wanted {one.type}, and wanted {other.type}"]
    if not (one.required or other.required) and one.default != other.default:
        return [f"{one.name} has two defaults"]
    return []


def _histories(first: Signature, second: Signature) -> list[str]:
    names = {f.name for f in (*first.inputs, *second.inputs) if f.type == HISTORY}
    return ["a session has one history, under one name"] if len(names) > 1 else []


def _narrower(one: Declared, other: Declared) -> Declared:
    """Return the input that both can take."""
    if one.type is None or other.type is None:
        kind = one.type or other.type
    else:
        kind = one.type if fits(one.type, other.type) else other.type
    required = one.required or other.required
    return replace(
        one,
        type=kind,
        description=one.description or other.description,
        required=required,
        default=None if required else one.default,
    )
