"""Conditions of a flow: CEL, checked against the types of the fields, compiled once.

CEL (cel.dev) has no loops but those over a list, no effects, and nothing of Python: we
give it no functions. One evaluation takes at most 10,000 steps through lists (the
library's bound), patterns run on RE2, and a text has at most 2,000 characters. What
remains is the size of values: ``streams/conditions/work.py`` bounds it. So nothing that
a request says holds up the event loop.

A field is read if its condition does not compile without it: no parser of ours has to
agree with CEL's on what is a name, what is a text, and what a macro calls its variable.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from streams.conditions.complaints import Complaints, complaints_in, reason, told
from streams.conditions.types import TAKEN, CelType, cel_type, converter
from streams.conditions.work import Work, pattern_problems
from streams.errors import ConditionError, ConfigError
from streams.signatures.types import FieldType
from streams.stage import Fields

MAX_CHARACTERS: Final = 2_000
"""Of one condition: who needs more wants a `transform` that says yes or no."""

# Compiled conditions are shared by the passes of the compiler over a loop.
CACHED: Final = 256

SMALL: Final = ("int", "double", "bool", "timestamp")
"""What has the same size whatever its value."""

_CELS_OWN: Final = "is CEL's own name: no condition can read a field that is called so"

_WORD: Final = re.compile(r"[A-Za-z_]\w*", re.ASCII)


class CelCondition:
    """A compiled condition; ``streams/planned.py`` says what it promises."""

    __slots__ = ("_converters", "_expression", "_work", "reads", "text")

    def __init__(
        self,
        text: str,
        expression: Any,  # noqa: ANN401 - CEL's
        kinds: Mapping[str, CelType],
    ) -> None:
        self.text = text
        self.reads = frozenset(kinds)
        self._expression = expression
        self._converters = {name: converter(kind) for name, kind in kinds.items()}
        self._work = Work.of(text, [n for n, k in kinds.items() if k not in SMALL])

    def holds(self, values: Fields) -> bool:
        """Say whether it is true of *values*, which has all fields that it reads.

        Raises:
            ConditionError: it has no value: a division by zero, an index too far; or
                it would look at too much.
        """
        if self._work.is_too_much(values):
            raise ConditionError(self.text, "it would look at too much")
        data = {name: to(values[name]) for name, to in self._converters.items()}
        try:
            found = self._expression.eval(data=data).value()
        except RuntimeError as error:
            raise ConditionError(self.text, reason(str(error))) from error
        if not isinstance(found, bool):
            # What went wrong is a value for CEL, a text that says it.
            raise ConditionError(self.text, reason(str(found)))
        return found


def compile_condition(text: str, types: Mapping[str, FieldType]) -> CelCondition:
    """Return the condition that *text* says about fields of *types*.

    Raises:
        ConfigError: with everything that is wrong with it, ``column 3: ...``.
    """
    if len(text) > MAX_CHARACTERS:
        raise ConfigError([f"has more than {MAX_CHARACTERS} characters"])
    words = words_of(text) & types.keys()
    kinds = {name: cel_type(types[name]) for name in sorted(words - TAKEN)}
    compiled = _compiled(text, tuple(kinds.items()))
    if isinstance(compiled, CelCondition):
        slow = pattern_problems(text)
        if slow:
            raise ConfigError(slow)
        return compiled
    raise ConfigError(
        [
            *(told(at, said, types) for at, said in compiled),
            *(f"{name} {_CELS_OWN}" for name in sorted(words & TAKEN)),
        ]
    )


def words_of(text: str) -> set[str]:
    """Return every word in *text*: the names in it, and more."""
    return set(_WORD.findall(text))


@lru_cache(maxsize=CACHED)
def _compiled(
    text: str, kinds: tuple[tuple[str, CelType], ...]
) -> CelCondition | Complaints:
    known = dict(kinds)
    try:
        expression = _expression(text, known)
    except RuntimeError as error:
        return complaints_in(str(error))
    except TypeError:
        return ((None, "is no Unicode text"),)
    if expression.return_type() != _cel().Type.BOOL:
        said = expression.return_type().name().lower()
        return ((None, f"says neither true nor false: it is of type {said}"),)
    reads = {
        name: kind for name, kind in kinds if not _compiles_without(text, known, name)
    }
    return CelCondition(text, expression, reads)


def _cel() -> Any:  # noqa: ANN401 - the library
    # 14 MB: imported when the first condition is compiled. It has types and does not
    # say so (no py.typed).
    from cel_expr_python import cel  # noqa: PLC0415

    return cel


def _expression(text: str, kinds: Mapping[str, CelType]) -> Any:  # noqa: ANN401 - CEL's
    variables = {name: _as_cel(kind) for name, kind in kinds.items()}
    return _cel().NewEnv(variables=variables).compile(text)


def _compiles_without(text: str, kinds: Mapping[str, CelType], name: str) -> bool:
    try:
        _expression(text, {n: kind for n, kind in kinds.items() if n != name})
    except RuntimeError:
        return False
    return True


def _as_cel(kind: CelType) -> Any:  # noqa: ANN401 - CEL's
    match kind:
        case str():
            return getattr(_cel().Type, kind.upper())
        case ("list", item):
            return _cel().Type.List(_as_cel(item))
        case (_, value):
            return _cel().Type.Map(_cel().Type.STRING, _as_cel(value))
        case _:
            raise TypeError(kind)
