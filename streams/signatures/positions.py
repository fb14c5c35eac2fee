"""What stands where in a tuple: its Avro array says which types, and not in what order.

Schemas carry a tuple as its signature writes it, for us alone to read.
"""

from collections.abc import Sequence
from typing import Any

from streams.signatures.avro import avro_type
from streams.signatures.parse import parse_fields
from streams.signatures.types import TupleOf


def tuple_positions(text: str) -> Sequence[Any] | None:
    """Return the Avro type of each position of a tuple; None if *text* is none."""
    reading = parse_fields(f"a: {text}")
    kind = reading.inputs[0].type if len(reading.inputs) == 1 else None
    if reading.problems or not isinstance(kind, TupleOf):
        return None
    return [avro_type(item) for item in kind.items]
