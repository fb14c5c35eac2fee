"""The signature of a stage, in whichever way the file writes it.

Its text; ``module:Class`` for a ``dspy.Signature`` in Python, from an allow-listed
module; or ``@name`` and ``@name@version`` for one of the library.
"""

import re
from collections.abc import Iterator
from typing import Final

from streams.errors import ConfigError
from streams.signatures.from_class import read_class
from streams.signatures.library import Library
from streams.signatures.parse import Reading, Types, parse_signature
from streams.signatures.types import (
    FieldType,
    Limited,
    ListOf,
    MapOf,
    Maybe,
    OneOf,
    RecordOf,
)
from streams.user_code import UserCode

# No signature looks like this: it has an arrow, and an arrow is none of these.
TARGET: Final = re.compile(r"\s*[A-Za-z_][\w.]*:[A-Za-z_]\w*\s*", re.ASCII)


def read_written(text: str, types: Types, library: Library, code: UserCode) -> Reading:
    """Return what *text* says, or what is wrong with it."""
    try:
        if text.lstrip().startswith("@"):
            return _referred(text.strip(), types, library)
        if TARGET.fullmatch(text):
            return _own_types(read_class(code.find_class(text.strip())), types)
    except ConfigError as error:
        return Reading(problems=error.problems)
    return parse_signature(text, types)


def _referred(reference: str, types: Types, library: Library) -> Reading:
    found = library.find(reference)
    reading = found.reading()
    if reading.problems:
        # They are told where the signature is written.
        return Reading(problems=(f"{found.key} has problems of its own",))
    return _own_types(reading, types)


def _own_types(reading: Reading, types: Types) -> Reading:
    """Return *reading*, if its records are not others than those of the file."""
    kinds = (field.type for field in (*reading.inputs, *reading.outputs) if field.type)
    records = {record.name: record for kind in kinds for record in _records_in(kind)}
    other = [n for n, r in records.items() if types.records.get(n, r) != r]
    if not other:
        return reading
    names = ", ".join(other)
    return Reading(problems=(f"its {names} is another type than that of `types:`",))


def _records_in(kind: FieldType) -> Iterator[RecordOf]:
    match kind:
        case RecordOf():
            yield kind
            for field in kind.fields:
                yield from _records_in(field.type)
        case ListOf():
            yield from _records_in(kind.item)
        case MapOf():
            yield from _records_in(kind.value)
        case Limited() | Maybe():
            yield from _records_in(kind.inner)
        case OneOf():
            for member in kind.members:
                yield from _records_in(member)
        case _:
            return
