"""Records that a pipeline declares: defined once in a schema, and named after that.

Whoever makes the fields does not know in which schema they will stand, and writes every
record out, in the namespace :data:`RECORDS`. Avro wants one definition of a name, and
names of two pipelines must not meet.
"""

from collections.abc import Mapping
from typing import Any, Final

from schemas.identity import AvroSchema
from schemas.limits import NAMED

RECORDS: Final = "types"


def place_records(schema: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    """Return *schema* with declared records in ``<namespace>.types``, each once."""
    placed: dict[str, Any] = _placed(schema, f"{namespace}.{RECORDS}", set())
    return placed


def _placed(schema: Any, namespace: str, seen: set[str]) -> Any:  # noqa: ANN401 - Avro's
    if isinstance(schema, list):
        return [_placed(branch, namespace, seen) for branch in schema]
    if not isinstance(schema, Mapping):
        return schema
    made = dict(schema)
    if schema.get("namespace") == RECORDS:
        name = f"{namespace}.{schema['name']}"
        if name in seen:
            return name
        seen.add(name)
        made["namespace"] = namespace
    for part in ("type", "items", "values", "fields"):
        if part in made:
            made[part] = _placed(made[part], namespace, seen)
    return made


def definitions(schema: AvroSchema) -> dict[str, AvroSchema]:
    """Return the named types of *schema*, in fastavro's form, by full name."""
    found: dict[str, AvroSchema] = {}
    left: list[Any] = [schema]
    while left:
        one = left.pop()
        if isinstance(one, list):
            left += one
        elif isinstance(one, dict):
            if one["type"] in NAMED:
                found[one["name"]] = one
            left += [field["type"] for field in one.get("fields", ())]
            left += [one[part] for part in ("items", "values") if part in one]
    return found
