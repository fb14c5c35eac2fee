"""Read an LM's answer as DSPy's ChatAdapter reads it, without its price.

Sections and values come out as from ``ChatAdapter.parse``. Saved is the pydantic
adapter that DSPy builds anew for every value, wherever the text is valid JSON; every
other text goes through DSPy's own ``parse_value``.

One deliberate difference: DSPy repairs broken JSON in a time that grows with the square
of the brackets in it (20,000 braces take five seconds of everybody's event loop).
Text that is broken beyond :data:`REPAIR_BRACKETS` or :data:`REPAIR_CHARS` is refused.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Literal, get_args, get_origin

import dspy
from dspy.adapters.chat_adapter import field_header_pattern
from dspy.adapters.utils import apply_output_field_defaults, parse_value
from pydantic import TypeAdapter, ValidationError
from typing_extensions import is_typeddict

REPAIR_BRACKETS: Final = 200
REPAIR_CHARS: Final = 20_000
"""Both keep a repair under some 20 ms."""

# Brackets of the texts in a text, and the backslash that could hide one.
_ESCAPED: Final = re.compile(r"\\u00(?:5[bc]|7b)", re.IGNORECASE)

_TRUTHS: Final = {"True": True, "False": False, "true": True, "false": False}


class UnusableAnswerError(Exception):
    """The answer does not fit the signature; the text of the answer is not told."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field


class Reader:
    """What a predictor makes of an answer."""

    def __init__(self, signature: type[dspy.Signature]) -> None:
        self._signature = signature
        self._readers: dict[str, Callable[[str], Any]] = {
            name: _reader_of(field.annotation)
            for name, field in signature.output_fields.items()
        }

    def read(self, text: str) -> Mapping[str, Any]:
        """Return the output fields in *text*, in the order of the signature.

        Raises:
            UnusableAnswerError: a field is missing or is not of its type.
        """
        return self._whole(sections(text))

    def _whole(self, said: Iterable[tuple[str, Any]]) -> Mapping[str, Any]:
        found: dict[str, Any] = {}
        for name, value in said:
            if name in self._readers and name not in found:
                found[name] = self._value(name, value)
        if len(found) < len(self._readers):
            found = apply_output_field_defaults(self._signature, found)
        for name in self._readers:
            if name not in found:
                raise UnusableAnswerError(name, "is missing in the answer")
        return {name: found[name] for name in self._readers}

    def _value(self, name: str, said: Any) -> Any:  # noqa: ANN401 - as declared
        try:
            return self._read(name, said)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            # What DSPy's own validators say quotes the answer.
            by_dspy = first["type"] == "value_error"
            wrong = "cannot be read" if by_dspy else first["msg"]
            raise UnusableAnswerError(name, wrong) from error
        except (ValueError, RecursionError, MemoryError) as error:
            raise UnusableAnswerError(name, "cannot be read") from error

    def _read(self, name: str, said: Any) -> Any:  # noqa: ANN401 - as declared
        return self._readers[name](said)


def sections(text: str) -> list[tuple[str, str]]:
    """Return the sections of an answer: names as they stand, texts stripped."""
    found: list[tuple[str, list[str]]] = [("", [])]
    for line in text.splitlines():
        match = field_header_pattern.match(line.strip()) if "[[" in line else None
        if match is None:
            found[-1][1].append(line)
            continue
        # DSPy measures the header in the stripped line and cuts the whole one.
        rest = line[match.end() :].strip()
        found.append((match[1], [rest] if rest else []))
    return [(name, "\n".join(lines).strip()) for name, lines in found[1:]]


def _reader_of(annotation: Any) -> Callable[[str], Any]:  # noqa: ANN401 - any type
    if annotation is str:
        return str
    if get_origin(annotation) is Literal:
        return _choice_reader(annotation)
    if isinstance(annotation, type) and issubclass(annotation, dspy.Code):
        return _code_reader(annotation)
    if type(None) in get_args(annotation) and str in get_args(annotation):
        return _checked_reader(annotation)
    return _json_reader(annotation)


def _choice_reader(annotation: Any) -> Callable[[str], Any]:  # noqa: ANN401 - Literal
    allowed = {str(value): value for value in get_args(annotation)}

    def read(text: str) -> Any:  # noqa: ANN401 - one of the choices
        return allowed[text] if text in allowed else _repaired(text, annotation)

    return read


def _code_reader(annotation: Any) -> Callable[[str], Any]:  # noqa: ANN401 - dspy.Code
    validate = TypeAdapter(annotation).validate_python

    def read(text: str) -> Any:  # noqa: ANN401 - the code
        # DSPy looks for JSON first, and code has brackets: long code is as it stands.
        return validate(text) if is_long(text) else parse_value(text, annotation)

    return read


def _checked_reader(annotation: Any) -> Callable[[str], Any]:  # noqa: ANN401 - a union
    return TypeAdapter(annotation).validate_python


def _json_reader(annotation: Any) -> Callable[[str], Any]:  # noqa: ANN401 - any type
    validate = validator_of(annotation)

    def read(text: str) -> Any:  # noqa: ANN401 - of type *annotation*
        if annotation is bool and text in _TRUTHS:
            return _TRUTHS[text]
        try:
            value = json.loads(text)
        except ValueError:
            return _repaired(text, annotation)
        return validate(value) if value != "" else _repaired(text, annotation)

    return read


def validator_of(annotation: Any) -> Callable[[Any], Any]:  # noqa: ANN401 - any type
    """Return what makes a value of JSON into one of type *annotation*."""
    validate = TypeAdapter(annotation).validate_python
    if not _holds_calls(annotation):
        return validate

    def check(value: Any) -> Any:  # noqa: ANN401 - of type *annotation*
        # Arguments may be texts, which DSPy repairs: in there as costly as outside.
        if any(map(costs_too_much, _texts_in(value))):
            raise ValueError
        return validate(value)

    return check


def inner_types(annotation: Any) -> tuple[Any, ...]:  # noqa: ANN401 - any type
    """Return the types that *annotation* is made of: arguments, fields of a record."""
    if is_typeddict(annotation):
        return tuple(annotation.__annotations__.values())
    return get_args(annotation)


def _holds_calls(annotation: Any) -> bool:  # noqa: ANN401 - any type
    inner = inner_types(annotation)
    return annotation is dspy.ToolCalls or any(map(_holds_calls, inner))


def _texts_in(value: Any) -> Iterator[str]:  # noqa: ANN401 - of JSON
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts_in(each)


def costs_too_much(text: str) -> bool:
    """Say whether *text* is broken JSON that would take too long to repair."""
    if not is_long(text):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return True
    return False


def is_long(text: str) -> bool:
    """Say whether a repair of *text* could take too long."""
    if len(text) > REPAIR_CHARS:
        return True
    brackets = text.count("{") + text.count("[") + len(_ESCAPED.findall(text))
    return brackets > REPAIR_BRACKETS


def _repaired(text: str, annotation: Any) -> Any:  # noqa: ANN401 - of that type
    if is_long(text):
        raise ValueError
    return parse_value(text, annotation)
