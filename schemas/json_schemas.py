"""JSON Schemas (2020-12) of records, made from their Avro schemas.

They describe records as JSON, the form that ``penstock request`` takes and ``penstock
tail -o json`` prints. What JSON has no form for has one text (``json_scalars.py``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from schemas.identity import AvroSchema
from schemas.json_defaults import json_default
from schemas.json_scalars import json_scalar
from schemas.limits import parse
from schemas.named_types import definitions
from schemas.promises import Positions

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

JsonSchema = dict[str, Any]


def json_schema(
    schema: AvroSchema, positions: Positions = lambda _text: None
) -> JsonSchema:
    """Return the JSON Schema of the record *schema*; records within are ``$defs``.

    Fields that no schema knows are allowed: readers leave them out. Without
    *positions*, a tuple is a list.

    Raises:
        InvalidSchemaError: no Avro schema that we would read with.
    """
    parsed: Any = parse(schema)
    namespace = parsed["name"].rpartition(".")[0]
    making = _Making(
        namespace=f"{namespace}.", named=definitions(parsed), positions=positions
    )
    made = {"$schema": DIALECT, "title": parsed["name"]} | making.record(parsed)
    return made | {"$defs": making.defined} if making.defined else made


@dataclass(slots=True, kw_only=True)
class _Making:
    """One JSON Schema in the making. Mutable: definitions gather as they are met."""

    namespace: str
    """Of the whole; names in it are shown without."""
    named: Mapping[str, AvroSchema]
    positions: Positions
    defined: dict[str, JsonSchema] = field(default_factory=dict)

    def record(self, avro: Mapping[str, Any]) -> JsonSchema:
        made: JsonSchema = {"type": "object"}
        if "doc" in avro:
            made["description"] = avro["doc"]
        made["properties"] = {f["name"]: self._field(f) for f in avro["fields"]}
        required = [f["name"] for f in avro["fields"] if "default" not in f]
        return made | {"required": required} if required else made

    def _field(self, avro: Mapping[str, Any]) -> JsonSchema:
        made = self._type(avro["type"])
        if avro.get("doc"):
            made["description"] = avro["doc"]
        if "default" in avro:
            made["default"] = json_default(avro["type"], avro["default"], self.named)
        return made

    def _type(self, avro: Any) -> JsonSchema:  # noqa: ANN401, PLR0911 - one case a type
        match avro:
            case list():
                return {"anyOf": [self._type(branch) for branch in avro]}
            case {"type": "record" | "error", "name": name}:
                self.defined[self._called(name)] = {}  # its place, in order
                self.defined[self._called(name)] = self.record(avro)
                return self._reference(name)
            case {"type": "array", "items": items}:
                return self._array(avro, items)
            case {"type": "map", "values": values}:
                made = {"type": "object", "additionalProperties": self._type(values)}
                return made | _said(avro, "minProperties", "maxProperties")
            case {"type": "enum" | "fixed", "name": name}:
                self.defined[self._called(name)] = json_scalar(avro)
                return self._reference(name)
            case str() if avro in self.named:
                return self._reference(avro)
            case _:
                return json_scalar(avro)

    def _array(self, avro: Mapping[str, Any], items: Any) -> JsonSchema:  # noqa: ANN401 - Avro's
        each = self.positions(str(avro["tuple"])) if "tuple" in avro else None
        if each is None:
            made = {"type": "array", "items": self._type(items)}
            return made | _said(avro, "minItems", "maxItems")
        return self._tuple(each)

    def _tuple(self, each: Sequence[AvroSchema]) -> JsonSchema:
        return {
            "type": "array",
            "prefixItems": [self._type(one) for one in each],
            "items": False,
            "minItems": len(each),
        }

    def _reference(self, name: str) -> JsonSchema:
        return {"$ref": f"#/$defs/{self._called(name)}"}

    def _called(self, name: str) -> str:
        return name.removeprefix(self.namespace)


def _said(avro: Mapping[str, Any], *names: str) -> JsonSchema:
    return {name: avro[name] for name in names if name in avro}
