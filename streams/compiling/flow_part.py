"""What one item of a flow is followed with, and what becomes of it.

An item is followed with the fields that are there in front of it, and becomes a
:class:`Part`: what it reads, what is there behind it, and how its node is made once
all stages are built.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from streams.compiling.flow_fields import Known, Scope, there
from streams.compiling.placing import Placing
from streams.conditions.cel import compile_condition
from streams.conditions.complaints import UNKNOWN
from streams.errors import ConditionError, ConfigError
from streams.language.flow_text import Items
from streams.language.problems import Problems
from streams.planned import Condition, Node, PlannedStage

Stages = Mapping[str, PlannedStage]
"""By their names in the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surely:
    """What a stage, or a pipeline that is called, makes in any case."""

    path: str
    """Where the file says what it does."""
    maker: str
    makes: frozenset[str]
    """Of what its signature, or its file, says that it makes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """An item that was followed."""

    reads: frozenset[str]
    """Of the fields in front of it, those that it looks at."""
    makes: Scope
    """What is there behind it, or is another than before."""
    node: Callable[[Stages], Node]
    """Makes its node of the stages, once they are built."""
    surely: Surely | None = None
    """None for an item that may leave a field as it was."""


Follow = Callable[[Items, Scope], Part]
"""Follows the items inside of an item."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What all items of a file are followed on."""

    placing: Placing
    problems: Problems
    follow: Follow

    def found(self, path: str, name: str, scope: Scope) -> Known | None:
        """Return the field *name* that an item itself needs; None, and a problem."""
        known = there(scope, name)
        if known is None and name in scope:
            self.problems.add(path, _later(name, scope[name]))
        elif known is None:
            self.placing.missing(path, name, scope)
        return known

    def condition(self, path: str, text: str, scope: Scope) -> Condition | None:
        """Return the condition *text* over *scope*; None, and problems."""
        types = {name: known.type for name, known in scope.items()}
        try:
            condition = compile_condition(text, types)
        except ConfigError as error:
            said = error.problems
            if not self.placing.whole:
                said = tuple(each for each in said if UNKNOWN not in each)
            self.problems.add_all(path, said)
            return None
        for name in sorted(condition.reads):
            if scope[name].later:
                self.problems.add(path, _later(name, scope[name]))
        return condition

    @contextmanager
    def silence(self) -> Iterator[None]:
        """Forget the problems that are found within."""
        found, whole = len(self.problems.found), self.placing.whole
        yield
        del self.problems.found[found:]
        self.placing.whole = whole


def maker(what: str, path: str) -> str:
    """Return how sentences call an item that makes fields."""
    return f"the {what} at {path}"


def reads_of(condition: Condition | None) -> frozenset[str]:
    """Return the fields that *condition* reads, if there is one."""
    return frozenset() if condition is None else condition.reads


def reads_hole(condition: Condition | None, scope: Scope) -> bool:
    """Say whether *condition* reads a field that may be missing."""
    return any(scope[name].hole for name in reads_of(condition))


def never(condition: Condition) -> bool:
    """Say whether *condition* reads nothing and is false."""
    return not (condition.reads or _holds(condition))


def compiled(condition: Condition | None) -> Condition:
    """Return *condition*: no node is made of a file that has problems."""
    if condition is None:
        raise ConfigError(["a condition that has problems was to be run"])
    return condition


def _holds(condition: Condition) -> bool:
    try:
        return condition.holds({})
    except ConditionError:
        return True


def _later(name: str, known: Known) -> str:
    return f"{known.maker} makes {name} later in the loop: make it before the loop too"
