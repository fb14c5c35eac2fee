"""The ``flow:`` of a pipeline file: from YAML to a tree of names.

Each item is the name of a stage, or a mapping that one key tells the kind of. What is
wrong with an item is said at its place, and the other items are read all the same.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from streams.language.flow_text import (
    FallbackItem,
    Item,
    Items,
    LoopItem,
    MapItem,
    ParallelItem,
    PipelineItem,
    StageItem,
    WhenItem,
)
from streams.language.problems import Problems, meant
from streams.language.section import Section
from streams.signatures.names import name_problem

KINDS: Final = ("parallel", "when", "map", "loop", "fallback", "pipeline")

MAP_WIDTH: Final = 8
"""Elements of a map at a time, where the file does not say: what LM servers are glad
to batch, and no more than one request should take from the others."""
MAX_WIDTH: Final = 256
MAX_ITERATIONS: Final = 1_000
# Nobody can read what nests deeper; and the compiler calls itself once a level.
MAX_DEPTH: Final = 16

_CALLED: Final = re.compile(r"([A-Za-z]\w*)@([1-9]\d{0,9})", re.ASCII)
_NO_LIST: Final = "must be a list of stages, in the order in which they run"
_NO_ITEM: Final = f"must be the name of a stage, or a mapping of {', '.join(KINDS)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowText:
    """A flow as the file says it."""

    items: Items
    whole: bool
    """False where the file says more than could be read."""


def read_flow(top: Section, problems: Problems) -> FlowText:
    """Return the flow of a file; what is wrong with it goes to *problems*."""
    reader = _Reader(problems)
    return FlowText(items=reader.items(top.get("flow"), "flow"), whole=reader.whole)


def calls_others(items: Items) -> bool:
    """Say whether a flow calls other pipelines."""
    return any(isinstance(item, PipelineItem) for item in items_of(items))


def items_of(items: Items) -> Iterator[Item]:
    """Give all items, those inside of others too, in the order of the file."""
    for item in items:
        yield item
        for inner in inside(item):
            yield from items_of(inner)


def inside(item: Item) -> tuple[Items, ...]:
    """Return the sequences that *item* holds."""
    match item:
        case ParallelItem():
            return tuple(item.branches.values())
        case WhenItem():
            return (item.then, item.otherwise)
        case MapItem() | LoopItem():
            return (item.body,)
        case FallbackItem():
            return item.alternatives
        case StageItem() | PipelineItem():
            return ()


class _Reader:
    """Reads items, and remembers which stages it has met."""

    def __init__(self, problems: Problems) -> None:
        self.whole = True
        self._problems = problems
        self._met: set[str] = set()
        self._depth = 0
        self._kinds: Mapping[str, Callable[[Section], Item | None]] = {
            "parallel": self._parallel,
            "when": self._when,
            "map": self._map,
            "loop": self._loop,
            "fallback": self._fallback,
            "pipeline": self._pipeline,
        }

    def items(self, value: object, path: str) -> Items:
        """Return the items of the list at *path* that can be read."""
        if not (isinstance(value, list) and value):
            self._lost(path, _NO_LIST)
            return ()
        if self._depth == MAX_DEPTH:
            self._lost(path, f"nests more than {MAX_DEPTH} deep")
            return ()
        self._depth += 1
        found = [self._item(v, f"{path}.{i}") for i, v in enumerate(value, start=1)]
        self._depth -= 1
        return tuple(item for item in found if item is not None)

    def _item(self, value: object, path: str) -> Item | None:
        if isinstance(value, str):
            return self._stage(value, path)
        problem = _item_problem(value)
        if problem is not None or not isinstance(value, Mapping):
            self._lost(path, problem or _NO_ITEM)
            return None
        kind = next(key for key in value if key in KINDS)
        before = len(self._problems.found)
        item = self._kinds[kind](Section(value, path, self._problems))
        if len(self._problems.found) > before:
            self.whole = False
        return item

    def _stage(self, name: str, path: str) -> StageItem | None:
        if name in self._met:
            self._lost(path, f"{name} runs twice")
            return None
        self._met.add(name)
        return StageItem(name=name, path=path)

    def _parallel(self, section: Section) -> ParallelItem | None:
        section.only(("parallel",))
        branches = section.sub("parallel")
        if branches.readable and len(branches.values) < 2:  # noqa: PLR2004 - two
            section.wrong("parallel", "needs two branches at least, each with a name")
        return ParallelItem(
            branches={n: self._at(branches, n) for n in branches.names()},
            path=section.path,
        )

    def _when(self, section: Section) -> WhenItem | None:
        section.only(("when", "then", "else"))
        condition = section.text("when", needed=True)
        then = self._at(section, "then")
        otherwise = self._at(section, "else") if section.has("else") else ()
        if condition is None:
            return None
        return WhenItem(
            condition=condition, then=then, otherwise=otherwise, path=section.path
        )

    def _map(self, section: Section) -> MapItem | None:
        section.only(("map", "over", "each", "collect", "width"))
        body = self._at(section, "map")
        over, each = section.name("over"), section.name("each")
        width = section.whole("width", low=1, high=MAX_WIDTH)
        collect = _names(section.sub("collect", needed=True))
        if over is None or each is None:
            return None
        return MapItem(
            body=body,
            over=over,
            each=each,
            collect=collect,
            width=width or MAP_WIDTH,
            path=section.path,
        )

    def _loop(self, section: Section) -> LoopItem | None:
        section.only(("loop", "until", "while", "max_iterations"))
        body = self._at(section, "loop")
        most = section.whole("max_iterations", low=1, high=MAX_ITERATIONS)
        if not section.has("max_iterations"):
            section.wrong("max_iterations", "is missing: no loop goes on for ever")
        if section.has("until") == section.has("while"):
            section.wrong("", "a loop has one condition, `until:` or `while:`")
            return None
        key = "while" if section.has("while") else "until"
        condition = section.text(key, needed=True)
        if condition is None:
            return None
        return LoopItem(
            body=body,
            condition=condition,
            before=key == "while",
            max_iterations=most or 1,
            path=section.path,
        )

    def _fallback(self, section: Section) -> FallbackItem | None:
        section.only(("fallback",))
        said = section.get("fallback")
        if not isinstance(said, list) or len(said) < 2:  # noqa: PLR2004 - two
            section.wrong("fallback", "needs two lists of stages at least")
            return None
        path = section.at("fallback")
        return FallbackItem(
            alternatives=tuple(
                self.items(value, f"{path}.{i}") for i, value in enumerate(said, 1)
            ),
            path=section.path,
        )

    def _pipeline(self, section: Section) -> PipelineItem | None:
        section.only(("pipeline", "as", "inputs", "outputs"))
        inputs, outputs = _names(section.sub("inputs")), _names(section.sub("outputs"))
        given = section.name("as") if section.has("as") else ""
        called = section.text("pipeline", needed=True)
        match = None if called is None else _CALLED.fullmatch(called)
        if match is None:
            if called is not None:
                section.wrong("pipeline", "is written name@version: enrich@2")
            return None
        if given is None:
            # Under another name, it would have complaints that it does not deserve.
            return None
        return PipelineItem(
            name=match[1],
            version=int(match[2]),
            # Said or not said, the name of the pipeline is the same name.
            given="" if given == match[1] else given,
            inputs=inputs,
            outputs=outputs,
            path=section.path,
        )

    def _at(self, section: Section, key: str) -> Items:
        return self.items(section.get(key), section.at(key))

    def _lost(self, path: str, sentence: str) -> None:
        self._problems.add(path, sentence)
        self.whole = False


def _item_problem(value: object) -> str | None:
    """Say what is wrong with an item that is no name; None if one key tells it."""
    if not isinstance(value, Mapping):
        return _NO_ITEM
    said = [key for key in value if key in KINDS]
    if len(said) > 1:
        return f"is of one kind only, not {' and '.join(said)}"
    if not said:
        return f"says no kind of item; {meant(next(iter(value), ''), KINDS)}"
    return None


def _names(section: Section) -> Mapping[str, str]:
    """Return the mapping from names to names of *section*."""
    found = {}
    for key in section.names():
        value = section.text(key, needed=True)
        problem = None if value is None else name_problem(value)
        if problem is not None:
            section.wrong(key, problem)
        elif value is not None:
            found[key] = value
    return found
