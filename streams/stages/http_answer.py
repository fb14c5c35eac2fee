"""What an `http` stage takes from the body of an answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import orjson

from streams.language.stage_spec import StageSpec
from streams.signatures.fitting import fits
from streams.signatures.types import STR

NO_JSON: Final = "its answer is no JSON"
NO_UTF8: Final = "its answer is no UTF-8"
NO_OBJECT: Final = "its answer is no object"


class UselessBodyError(Exception):
    """A body does not hold what is wanted. Says why, and quotes none of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taking:
    """Where a body has the outputs."""

    names: tuple[str, ...]
    """Of the outputs."""
    at: tuple[str, ...]
    """Keys and indexes on the way to them."""
    whole: bool
    """Whether the only output is the body itself, a text that nobody looks into."""

    @classmethod
    def of(cls, spec: StageSpec) -> Self:
        """Return what the stage of *spec* takes."""
        at, outputs = spec.options["at"], spec.outputs
        is_text = len(outputs) == 1 and fits(outputs[0].type, STR)
        names = tuple(field.name for field in outputs)
        return cls(names=names, at=at, whole=is_text and not at)

    def outputs(self, body: bytes) -> Mapping[str, Any]:
        """Return the outputs that *body* has; their types are checked by the run.

        Raises:
            UselessBodyError: they are not in it.
        """
        if self.whole:
            return {self.names[0]: _text(body)}
        said = _json(body)
        for step in self.at:
            said = _inside(said, step)
        if len(self.names) == 1:
            return {self.names[0]: said}
        if not isinstance(said, dict):
            raise UselessBodyError(NO_OBJECT)
        return said


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise UselessBodyError(NO_UTF8) from error


def _json(body: bytes) -> Any:  # noqa: ANN401 - of JSON
    try:
        return orjson.loads(body)
    except ValueError as error:
        raise UselessBodyError(NO_JSON) from error


def _inside(said: object, step: str) -> object:
    match said:
        case dict() if step in said:
            return said[step]
        case list() if step.isdecimal() and int(step) < len(said):
            return said[int(step)]
        case _:
            reason = f"its answer has nothing at {step}"
            raise UselessBodyError(reason)
