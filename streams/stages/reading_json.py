"""Read an LM's answer as DSPy's JSONAdapter reads it, without its price.

An answer that is JSON is taken apart here. Whatever else it is goes to DSPy, which
repairs it, unless it is so long that the repair would hold up everybody
(``reading.py`` says when); of such a one the outermost object may be JSON still.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, get_args, get_origin

import dspy
from dspy.utils.exceptions import AdapterParseError

from streams.programs import dspy_adapter
from streams.stages.reading import (
    Reader,
    UnusableAnswerError,
    is_long,
    validator_of,
)

ANSWER: Final = "the answer"
NO_OBJECT: Final = "is no JSON object of these fields"


class JsonReader(Reader):
    """What a predictor makes of an answer that should be a JSON object."""

    def __init__(self, signature: type[dspy.Signature]) -> None:
        super().__init__(signature)
        self._takers = values_of(signature)
        self._by_dspy = dspy_adapter("json")

    def read(self, text: str) -> Mapping[str, Any]:
        """Return the output fields in *text*, in the order of the signature.

        Raises:
            UnusableAnswerError: a field is missing or is not of its type.
        """
        said = _object(text)
        if said is None and is_long(text):
            said = _object(text[text.find("{") : text.rfind("}") + 1])
            if said is None:
                raise UnusableAnswerError(ANSWER, NO_OBJECT)
        return self._repaired(text) if said is None else self._whole(said.items())

    def _read(self, name: str, said: Any) -> Any:  # noqa: ANN401 - as declared
        if isinstance(said, str):
            return super()._read(name, said)
        return self._takers[name](said)

    def _repaired(self, text: str) -> Mapping[str, Any]:
        try:
            made = self._by_dspy.parse(self._signature, text)
        except (AdapterParseError, ValueError, RecursionError) as error:
            raise UnusableAnswerError(ANSWER, NO_OBJECT) from error
        return {name: made[name] for name in self._readers}


def values_of(signature: type[dspy.Signature]) -> Mapping[str, Callable[[Any], Any]]:
    """Return what makes a value that is no text into one of the field's type."""
    fields = signature.output_fields.items()
    return {name: _taker_of(field.annotation) for name, field in fields}


def _taker_of(annotation: Any) -> Callable[[Any], Any]:  # noqa: ANN401 - any type
    if annotation is str:
        return str
    validate = validator_of(annotation)
    if get_origin(annotation) is not Literal:
        return validate
    allowed = get_args(annotation)
    # DSPy asks with ==, to which True is 1.
    return lambda value: value if value in allowed else validate(value)


def _object(text: str) -> Mapping[str, Any] | None:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None
