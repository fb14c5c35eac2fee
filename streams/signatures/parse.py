"""Read signatures: ``"ticket: str, tier: Literal['free', 'pro'] -> category"``.

The text may come from anybody: it is cut into tokens, parsed by a grammar of our own
and given meaning by a short list of allowed types. Nothing in it is ever imported,
looked up in a module, or evaluated.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from streams.signatures.grammar import Grammar
from streams.signatures.meaning import Meaning
from streams.signatures.misfit import MisfitError
from streams.signatures.names import name_problem
from streams.signatures.remembered import Remembered
from streams.signatures.tokens import Position, Problem, tokenize
from streams.signatures.tree import FieldNode, Named, TypeNode
from streams.signatures.types import HISTORY, STR, Field, FieldType, Maybe, RecordOf
from streams.signatures.values import checker

HISTORY_NAME: Final = "history"

MAX_CHARACTERS: Final = 16_384
"""Of one signature. Longer ones are mistakes or attacks, and are not read."""

# All that a deployment has, many times over. What a text means takes some thirty times
# its bytes: 8 MiB at the very most.
CACHED: Final = 512
CACHED_BYTES: Final = 262_144


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A field as declared: its type may be left to what stands before the stage."""

    name: str
    type: FieldType | None = None
    description: str = ""
    required: bool = True
    default: Any = None

    def typed(self, inferred: FieldType | None) -> Field:
        """Return the field; without a type of its own it has *inferred*, else str."""
        return Field(
            name=self.name,
            type=self.type or inferred or STR,
            description=self.description,
            required=self.required,
            default=self.default,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a text says, as far as it could be read, and what is wrong with it."""

    inputs: tuple[Declared, ...] = ()
    outputs: tuple[Declared, ...] = ()
    problems: tuple[str, ...] = ()
    """Sentences with line and column, or with the path of a field in a class."""
    instructions: str = ""
    """What the docstring of a class says; a text has none."""


class Types:
    """The types that ``types:`` of a file declares, by name.

    Equal only to itself: what was read with it is remembered with it.
    """

    def __init__(self, records: Mapping[str, RecordOf] | None = None) -> None:
        self.records: Mapping[str, RecordOf] = dict(records or {})


NO_TYPES: Final = Types()


def parse_signature(text: str, types: Types = NO_TYPES) -> Reading:
    """Read ``inputs -> outputs``; an input may be ``history``.

    Readings are remembered, and shared: :func:`~streams.signatures.validate.default_of`
    copies the defaults that could be changed.
    """
    return _too_long(text) or _READINGS(text, (_signature, types))


def parse_fields(text: str, types: Types = NO_TYPES) -> Reading:
    """Read fields alone, as the inputs or outputs of a pipeline; into *inputs*."""
    return _too_long(text) or _READINGS(text, (_fields, types))


def _too_long(text: str) -> Reading | None:
    # Asked before the cache, which would keep the text.
    if len(text) <= MAX_CHARACTERS:
        return None
    return Reading(problems=(f"has more than {MAX_CHARACTERS} characters",))


def _signature(text: str, types: Types) -> Reading:
    tokens, problems = tokenize(text), list[Problem]()
    grammar = Grammar(tokens, problems)
    inputs, outputs = grammar.sides()
    reader = _Reader(problems, types)
    if not (problems or inputs):
        reader.wrong(tokens[0].at, "a signature needs at least one input")
    if not (problems or outputs):
        reader.wrong(tokens[-1].at, "a signature needs at least one output")
    return Reading(
        inputs=reader.side(inputs, history=True),
        outputs=reader.side(outputs),
        problems=reader.sentences(text),
    )


def _fields(text: str, types: Types) -> Reading:
    tokens, problems = tokenize(text), list[Problem]()
    grammar = Grammar(tokens, problems)
    fields = grammar.fields()
    reader = _Reader(problems, types)
    if grammar.tokens[grammar.at].kind != "end":
        reader.wrong(grammar.tokens[grammar.at].at, "'->' has no place among fields")
    if not (problems or fields):
        reader.wrong(tokens[-1].at, "at least one field is needed")
    return Reading(inputs=reader.side(fields), problems=reader.sentences(text))


_How = tuple[Callable[[str, Types], Reading], Types]


def _read(text: str, how: _How) -> Reading:
    read, types = how
    return read(text, types)


# The only state here: bounded, and of pure functions, so nobody can tell.
_READINGS: Final = Remembered(_read, max_entries=CACHED, max_bytes=CACHED_BYTES)


class _Reader:
    """Gives fields their meaning and collects problems."""

    def __init__(self, problems: list[Problem], types: Types) -> None:
        self.problems = problems
        self.meaning = Meaning(problems, types.records)

    def side(
        self, nodes: Sequence[FieldNode], *, history: bool = False
    ) -> tuple[Declared, ...]:
        """Return the fields of one side that have no problem."""
        seen: set[str] = set()
        found: list[Declared] = []
        for node in nodes:
            if node.name in seen:
                self.wrong(node.at, f"the field {node.name} is here twice")
                continue
            seen.add(node.name)
            declared = self._declared(node, history=history)
            if declared is None:
                continue
            if declared.type == HISTORY and HISTORY in [f.type for f in found]:
                self.wrong(node.at, "a stage has one history, the session's")
                continue
            found.append(declared)
        return tuple(found)

    def sentences(self, text: str) -> tuple[str, ...]:
        """Return the problems in the order of the text."""
        ordered = sorted(self.problems, key=lambda problem: problem.at)
        return tuple(problem.within(text) for problem in ordered)

    def wrong(self, at: Position, sentence: str) -> None:
        """Note a problem and its place."""
        self.problems.append(Problem(at=at, sentence=sentence))

    def _declared(self, node: FieldNode, *, history: bool) -> Declared | None:
        problem = name_problem(node.name)
        if problem is not None:
            self.wrong(node.at, problem)
            return None
        if node.name == HISTORY_NAME or _is_history(node.type):
            return self._history(node, allowed=history)
        if node.type is None:
            return self._untyped(node)
        kind = self.meaning.of(node.type)
        return None if kind is None else self._typed(node, kind)

    def _history(self, node: FieldNode, *, allowed: bool) -> Declared | None:
        if not allowed:
            self.wrong(
                node.at, "history is made by the session; only stages may read it"
            )
            return None
        typed = node.type is not None and not _is_history(node.type)
        if typed or node.description or node.default:
            self.wrong(node.at, f"history is the session's: write {_alone(node)} alone")
            return None
        return Declared(name=node.name, type=HISTORY)

    def _untyped(self, node: FieldNode) -> Declared | None:
        if node.default is not None:
            self.wrong(node.default.at, "a field with a default needs a type")
            return None
        return Declared(name=node.name, description=node.description)

    def _typed(self, node: FieldNode, kind: FieldType) -> Declared | None:
        optional = isinstance(kind, Maybe)
        default = None
        if node.default is not None:
            try:
                default = checker(kind)(node.default.value)
            except MisfitError as misfit:
                self.wrong(node.default.at, f"default of {node.name}: {misfit}")
                return None
        return Declared(
            name=node.name,
            type=kind,
            description=node.description,
            required=node.default is None and not optional,
            default=default,
        )


def _is_history(kind: TypeNode | None) -> bool:
    return isinstance(kind, Named) and kind.name == "History"


def _alone(node: FieldNode) -> str:
    return "the name" if node.name == HISTORY_NAME else f"`{node.name}: History`"
