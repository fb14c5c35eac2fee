"""What the demo LM says where a prompt asks for a JSON Schema: records within records.

Every field of a record gets a value of its type and within its bounds, from the words
of the inputs, as fields at the top do (``streams/lms/demo_values.py``).
"""

from collections.abc import Mapping
from typing import Any, Final

from streams.lms.demo_rules import Rules
from streams.lms.demo_values import Material, choice_of, number_in, sentence_for

Schema = Mapping[str, Any]

DEEPEST: Final = 24
"""Records of signatures nest less deep, and never within themselves."""

ITEMS: Final = 2


def value_of(name: str, schema: Schema, material: Material) -> Any:  # noqa: ANN401 - JSON
    """Return a value for the field *name* that *schema* describes."""
    return _Answering(schema.get("$defs", {}), material).value(name, schema, "", 0)


class _Answering:
    def __init__(self, records: Mapping[str, Schema], material: Material) -> None:
        self._records = records
        self._material = material

    def value(  # noqa: PLR0911 - one case a shape
        self, name: str, schema: Schema, told: str, depth: int
    ) -> Any:  # noqa: ANN401 - JSON
        told = schema.get("description", told)
        if depth > DEEPEST:
            return None
        match schema:
            case {"$ref": str(reference)}:
                record = self._records.get(reference.rpartition("/")[2], {})
                return self.value(name, record, told, depth + 1)
            case {"anyOf": [first, *_]}:
                return self.value(name, first, told, depth + 1)
            case {"enum": [*options]}:
                return choice_of(options, self._material)
            case {"const": only}:
                return only
            case {"type": "object"}:
                return self._object(name, schema, depth)
            case {"type": "array"}:
                return self._list(name, schema, told, depth)
            case _:
                return self._single(name, schema, Rules.of(told), depth)

    def _object(self, name: str, schema: Schema, depth: int) -> dict[str, Any]:
        fields = schema.get("properties", {})
        made = {each: self.value(each, s, "", depth + 1) for each, s in fields.items()}
        values = schema.get("additionalProperties")
        if isinstance(values, Mapping) and not fields:
            for word in self._material.keywords:
                made[word] = self.value(name, values, "", depth + 1)
        return made

    def _list(self, name: str, schema: Schema, told: str, depth: int) -> list[Any]:
        items = schema.get("prefixItems")
        if items is None:
            rules = Rules.of(told.partition("each: ")[0].rstrip("; "))
            items = [schema.get("items", {})] * rules.count(ITEMS)
        each = told.partition("each: ")[2]
        return [self.value(name, item, each, depth + 1) for item in items]

    def _single(self, name: str, schema: Schema, rules: Rules, depth: int) -> Any:  # noqa: ANN401 - JSON
        match schema.get("type"):
            case "integer":
                return int(rules.number(number_in(self._material)))
            case "number":
                return rules.number(float(number_in(self._material)))
            case "boolean":
                return self._material.chance % 2 == 0
            case "null":
                return None
            case _:
                return rules.text(self._text(name, depth, rules))

    def _text(self, name: str, depth: int, rules: Rules) -> str:
        words = self._material.keywords
        if rules.pattern is not None:
            return self._material.quote
        # A field of a record is short, most often: a name, a number, a place.
        if depth and words:
            return words[len(name) % len(words)]
        return sentence_for(name, self._material)
