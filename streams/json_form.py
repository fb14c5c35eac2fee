"""The JSON form of values that JSON has no form for: bytes, exact numbers, dates.

It is what stores hold and what an LM is shown; a field's checker reads it back.
"""

from base64 import b64encode
from datetime import date
from decimal import Decimal
from typing import Any


def json_form(value: object) -> str:
    """Return the text that stands for *value*; what orjson asks for what it cannot.

    Raises:
        TypeError: no field can hold such a value.
    """
    match value:
        case bytes():
            return b64encode(value).decode()
        case Decimal():
            return f"{value:f}"
        case date():  # and a datetime, which is one
            return value.isoformat()
        case _:
            raise TypeError(type(value).__name__)


def json_value(value: Any) -> Any:  # noqa: ANN401 - of a field
    """Return *value* as it comes back from a store: made of what JSON has."""
    match value:
        case None | str() | int() | float():
            return value
        case list() | tuple():
            return [json_value(item) for item in value]
        case dict():
            return {name: json_value(item) for name, item in value.items()}
        case _:
            return json_form(value)


def encodable(text: str) -> str:
    """Return *text* without halves of characters: JSON may hold them, UTF-8 cannot."""
    return text if text.isascii() else text.encode(errors="replace").decode()
