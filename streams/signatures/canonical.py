"""How a signature is written: one text for each meaning, which reads back as it."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Protocol

from streams.signatures.parse import HISTORY_NAME, Reading
from streams.signatures.tokens import quoted
from streams.signatures.types import FieldType, HistoryType


class Written(Protocol):
    """A field, whether or not its type is known already."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> FieldType | None: ...
    @property
    def description(self) -> str: ...
    @property
    def required(self) -> bool: ...
    @property
    def default(self) -> object: ...


def signature_text(reading: Reading) -> str:
    """Return ``inputs -> outputs``, as :func:`parse_signature` reads it."""
    return f"{fields_text(reading.inputs)} -> {fields_text(reading.outputs)}"


def fields_text(fields: Sequence[Written]) -> str:
    """Return *fields*, as :func:`parse_fields` reads them."""
    return ", ".join(map(field_text, fields))


def field_text(field: Written) -> str:
    """Return one field: ``answer: str 'one sentence' = 'none'``."""
    if isinstance(field.type, HistoryType) and field.name == HISTORY_NAME:
        return field.name
    parts = [field.name if field.type is None else f"{field.name}: {field.type}"]
    if field.description:
        parts.append(quoted(field.description))
    # A field that may be None and has no other default need not say so.
    if field.default is not None:
        parts.append(f"= {constant_text(field.default)}")
    return " ".join(parts)


def constant_text(value: object) -> str:  # noqa: PLR0911 - one case a type
    """Return *value*, a default, as a signature writes it."""
    match value:
        case bool() | None | int() | float():
            return repr(value)
        case str():
            return quoted(value)
        case bytes():
            return quoted(b64encode(value).decode())
        case Decimal():
            return quoted(f"{value:f}")
        case date():  # and a datetime, which is one
            return quoted(value.isoformat())
        case Mapping():
            items = (f"{quoted(k)}: {constant_text(v)}" for k, v in value.items())
            return f"{{{', '.join(items)}}}"
        case Sequence():
            return f"[{', '.join(map(constant_text, value))}]"
        case _:
            raise TypeError(type(value))
