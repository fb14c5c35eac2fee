"""May this schema follow those? Apache Avro's own rules decide, per kind of topic.

Request topics are BACKWARD_TRANSITIVE: we read, and upgrade first, so the new schema
must read what was ever written. All others are FORWARD_TRANSITIVE: our users read, and
lag behind, so whatever was ever registered must read what we write now.
"""

import re
import warnings
from collections.abc import Iterable
from typing import Final, Literal

from avro.compatibility import (
    ReaderWriterCompatibilityChecker,
    SchemaCompatibilityType,
)
from avro.schema import RecordSchema, Schema
from avro.schema import parse as parse_strictly

from schemas.errors import InvalidSchemaError

Level = Literal["BACKWARD_TRANSITIVE", "FORWARD_TRANSITIVE"]

DEFAULT_LEVEL: Final[Level] = "FORWARD_TRANSITIVE"


def level_of(subject: str) -> Level:
    """Return the level of *subject*, ``<topic>-value``."""
    topic = subject.removesuffix("-value")
    return "BACKWARD_TRANSITIVE" if topic.endswith(".requests") else DEFAULT_LEVEL


def check_strictly(text: str) -> None:
    """Check what fastavro lets pass: names, doubled fields, unions within unions.

    Raises:
        InvalidSchemaError: Avro's reference implementation refuses it.
    """
    _parse(text)


def problems(level: Level, text: str, earlier: Iterable[tuple[int, str]]) -> list[str]:
    """Return a sentence for each of *earlier* (version, text) that *text* breaks.

    Raises:
        InvalidSchemaError: Avro's reference implementation refuses *text*.
    """
    check_strictly(text)
    return [
        f"version {version}: {why}"
        for version, old_text in earlier
        for why in incompatibilities(level, text, old_text)
    ]


def incompatibilities(level: Level, new_text: str, old_text: str) -> list[str]:
    """Return why *new_text* may not follow *old_text*, as Avro's checker says it.

    Raises:
        InvalidSchemaError: Avro's reference implementation refuses one of them.
    """
    new, old = _parse(new_text), _parse(old_text)
    reader, writer = (new, old) if level == "BACKWARD_TRANSITIVE" else (old, new)
    return _reasons(reader, writer)


def _reasons(reader: Schema, writer: Schema) -> list[str]:
    checker = ReaderWriterCompatibilityChecker()  # type: ignore[no-untyped-call]  # theirs
    result = checker.get_compatibility(reader, writer)
    if result.compatibility is SchemaCompatibilityType.compatible:
        return []
    kinds = ", ".join(sorted({kind.value for kind in result.incompatibilities}))
    facts = ", ".join(sorted(result.messages))
    places = {_field_at(reader, at) for at in result.locations - {"/"}}
    return [f"{', '.join(sorted(places)) or 'the record'}: {kinds} ({facts})"]


def _field_at(reader: Schema, location: str) -> str:
    """Return the field of *reader* that a *location* such as /fields/3/type is in."""
    found = re.match(r"/fields/(\d+)", location)
    if found is None or not isinstance(reader, RecordSchema):
        return location
    return str(reader.fields[int(found[1])].name)


def _parse(text: str) -> Schema:
    try:
        with warnings.catch_warnings():
            # Avro warns of each logical type that it does not know; ours are strings.
            warnings.simplefilter("ignore")
            return parse_strictly(text)
    except Exception as error:  # whatever a stranger's JSON makes avro raise
        raise InvalidSchemaError(reason=f"{type(error).__name__}: {error}") from error
