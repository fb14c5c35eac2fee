"""Read an LM's answer as DSPy's XMLAdapter reads it, without its price.

Saved are the JSON schema and the pydantic adapter that DSPy builds anew for every
value. Long texts that only a repair would make values of are refused, as in
``reading.py``. There are no entities to expand: they would have to be declared before
the first tag, and that is DSPy's own.
"""

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import dspy
from pydantic import TypeAdapter, ValidationError

from streams.stages.reading import Reader, UnusableAnswerError
from streams.stages.reading_json import ANSWER, values_of

NO_TAGS: Final = "is not written in tags"

_DSPY: Final = dspy.XMLAdapter


class XmlReader(Reader):
    """What a predictor makes of an answer whose fields should stand in tags."""

    def __init__(self, signature: type[dspy.Signature]) -> None:
        super().__init__(signature)
        self._takers = values_of(signature)
        self._types = {
            name: TypeAdapter(field.annotation)
            for name, field in signature.output_fields.items()
        }
        self._schemas: Mapping[str, dict[str, Any]] = {
            name: kind.json_schema(by_alias=False) for name, kind in self._types.items()
        }

    def read(self, text: str) -> Mapping[str, Any]:
        """Return the output fields in *text*, in the order of the signature.

        Raises:
            UnusableAnswerError: a field is missing or is not of its type.
        """
        try:
            root = ET.fromstring(f"<dspy_root>{text}</dspy_root>")  # noqa: S314 - no entities, see above
        except (ET.ParseError, ValueError) as error:
            raise UnusableAnswerError(ANSWER, NO_TAGS) from error
        return self._whole(_DSPY._group_children(root).items())  # noqa: SLF001 - DSPy's own reading

    def _read(self, name: str, said: Any) -> Any:  # noqa: ANN401 - as declared
        schema = self._schemas[name]
        # The whole, then each of a union's; what is wrong is what the last says.
        candidates = [schema, *schema.get("anyOf", [])]
        for candidate in candidates[:-1]:
            with suppress(ValueError):
                return self._as(name, said, candidate)
        return self._as(name, said, candidates[-1])

    def _as(
        self, name: str, elements: Sequence[ET.Element], schema: Mapping[str, Any]
    ) -> Any:  # noqa: ANN401 - as declared
        definitions = self._schemas[name].get("$defs", {})
        value = _DSPY._elements_to_value(elements, schema, definitions)  # noqa: SLF001 - DSPy's own reading
        try:
            if isinstance(value, str):
                return super()._read(name, value)
            return self._takers[name](value)
        except ValidationError:
            return self._types[name].validate_python(value, by_name=True)
