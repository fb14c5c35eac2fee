"""Records that a pipeline declares: defined once in a schema, and named after that.

Whoever makes the fields does not know in which schema they will stand, and writes every
record out, in the namespace :data:`RECORDS`. Avro wants one definition of a name, and
names of two pipelines must not meet.
"""

from collections.abc import Mapping
from typing import Any, Final

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
