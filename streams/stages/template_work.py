"""The work that one render of a template may do, and how it is paid for.

Whatever looks at a value pays for its size out of the render's :class:`Budget`, and a
text is measured before it is made. So a template holds up the event loop for a second
at the very worst, whatever data it is given.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from jinja2 import pass_context
from jinja2.runtime import Context

Value = Any
"""Of a field, or made of one."""

MAX_CHARACTERS: Final = 1_048_576
"""Of a rendered text, and of what a filter makes: no larger record is published."""

BUDGET: Final = 10_000_000
"""Units of work in one render; none takes longer than a tenth of a microsecond. One
unit is a character that a filter looks at."""

ELEMENT: Final = 10
"""Units that an element of a list costs where it is looked at."""

NODE: Final = 10
"""Units that a node of the template costs in each round of a loop."""

WORK: Final = "_work"
"""Where a render keeps its budget: no field and no template has such a name."""


class TooMuchError(Exception):
    """A render would take too long, or become too large."""


class Budget:
    """What is left of the work that one render may do."""

    def __init__(self) -> None:
        self._left = BUDGET

    def pay(self, units: int) -> None:
        """Take *units* off.

        Raises:
            TooMuchError: there are not so many left.
        """
        self._left -= units
        if self._left < 0:
            reason = "it would look at too much"
            raise TooMuchError(reason)


def sized(size: int) -> None:
    """Let a text of *size* characters be made.

    Raises:
        TooMuchError: it would be too large.
    """
    if size > MAX_CHARACTERS:
        reason = f"it would be longer than {MAX_CHARACTERS} characters"
        raise TooMuchError(reason)


@pass_context
def paid(context: Context, value: Value, units: int) -> Value:
    """Return *value* once it is paid for, so many *units* an element."""
    context[WORK].pay(weight(value, units))
    return value


def weight(value: object, units: int = ELEMENT) -> int:
    """Return what looking at *value* costs, at so many *units* an element."""
    match value:
        case str() | bytes():
            return len(value) * max(1, units // ELEMENT)
        case Sequence() | Mapping():
            return len(value) * units
        case _:
            return 1
