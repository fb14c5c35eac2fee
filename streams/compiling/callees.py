"""Pipelines that a flow calls: found by name and version, and followed inside of it.

A callee is compiled anew for each call: its stages have names of their own there,
``<pipeline>_<stage>``, or ``<name>_<stage>`` of a call that says ``as: name``. It sees
its inputs and leaves its outputs; holes, of which each call may have others, go in.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

from streams.compiling.called import Call, Callee
from streams.compiling.flow_fields import Scope
from streams.compiling.flow_part import Part
from streams.compiling.placing import Placing
from streams.language.flow_file import items_of
from streams.language.flow_text import Items, PipelineItem
from streams.language.pipeline_file import PipelineText
from streams.language.problems import Problems, meant
from streams.signatures.names import name_problem
from streams.signatures.types import RecordOf


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherFile:
    """A pipeline file beside the one that is compiled."""

    where: str
    text: PipelineText
    problems: tuple[str, ...]
    """Of the text alone."""


Others = Mapping[str, OtherFile]
"""The files that a flow may call, by the names of their pipelines."""

Open = Callable[[OtherFile, str], Callee]
"""Opens a file for the call of this name."""

MAX_CALLS: Final = 100
"""Pipelines that one call may run, itself and all that it calls: ten files of which
each calls the next one twice would be a thousand."""

_HISTORY: Final = "reads the history of a session, and has none inside a pipeline"


class OpenedCallees:
    """The callees of one file, opened once for each call."""

    def __init__(
        self,
        home: PipelineText,
        others: Others,
        opening: Open,
        records: Mapping[str, RecordOf],
        problems: Problems,
    ) -> None:
        self.opened: dict[str, Callee] = {}
        """By the names of their calls, in the order of the flow."""
        self._home = home
        self._others = others
        self._open = opening
        self._problems = problems
        self._items: dict[str, PipelineItem] = {}
        self._records = records

    def follow(self, item: PipelineItem, scope: Scope, placing: Placing) -> Part | None:
        """Return the flow that *item* calls; None, and a problem, without one."""
        path = _place(item)
        callee = self._callee(item, path)
        if callee is None:
            return None
        call = Call(item, callee, scope, placing, self._problems)
        followed = callee.follow(call.holes)
        if callee.found:
            self._complain(item, callee.found)
            return None
        ours = {placing.shelf.name_of(stage) for stage in self._home.named}
        self._check_names(item, callee, ours)
        if followed.reads_history:
            self._problems.add(path, f"{item.name} {_HISTORY}")
        return call.part(followed)

    def build(self) -> None:
        """Build the stages of all callees that have no problems."""
        for name, callee in self.opened.items():
            if not callee.found:
                callee.build()
                if callee.found:
                    self._complain(self._items[name], callee.found)

    def _complain(self, item: PipelineItem, found: Sequence[str]) -> None:
        """Note that a callee has problems: once, however often it is called."""
        told = f"{item.name} has problems of its own: {found[0]}"
        if all(told not in problem for problem in self._problems.found):
            self._problems.add(_place(item), told)

    def _callee(self, item: PipelineItem, path: str) -> Callee | None:
        # The same item comes again where it stands in a loop.
        first = self._items.setdefault(item.call, item)
        if first.path != item.path:
            key = f"{item.path}.as" if item.given else path
            told = f"another call is named {item.call}, at {first.path}"
            self._problems.add(key, f"{told}: write `as: another_name`")
            return None
        if item.given in self._home.named:
            told = f"a stage is called {item.given}; choose another name"
            self._problems.add(f"{item.path}.as", told)
        if item.call in self.opened:
            return self.opened[item.call]
        other = self._other(item, path)
        if other is None:
            return None
        self.opened[item.call] = self._open(other, item.call)
        return self.opened[item.call]

    def _other(self, item: PipelineItem, path: str) -> OtherFile | None:
        """Return the file of the pipeline that *item* calls, if it may call it."""
        other = self._others.get(item.name)
        circle = self._circle(item.name)
        if circle:
            self._problems.add(path, f"calls itself: {' > '.join(circle)}")
        elif other is None:
            hint = meant(item.name, self._others.keys() - {self._home.name})
            told = f"no pipeline of this folder is called {item.name}; {hint}"
            self._problems.add(path, told)
        elif other.text.version != item.version:
            version = other.text.version
            self._problems.add(path, f"{item.name} is in version {version} here")
        elif other.problems:
            self._complain(item, other.problems)
        elif self._calls(item.name) > MAX_CALLS:
            told = f"{item.name} and all that it calls are more than {MAX_CALLS} calls"
            self._problems.add(path, told)
        else:
            return other
        return None

    def _circle(self, name: str) -> list[str]:
        """Return the pipelines that call one another, from the home to itself."""
        home, seen, ways = self._home.name, set[str](), [[name]]
        while ways:
            way = ways.pop()
            if way[-1] == home:
                return [home, *way]
            if way[-1] not in seen and way[-1] in self._others:
                seen.add(way[-1])
                called = _called_in(self._others[way[-1]].text.flow)
                ways += [[*way, each] for each in called]
        return []

    def _calls(self, name: str) -> int:
        """Return how many pipelines a call of *name* runs, with all inside of it.

        Circles, which are the problem of those that make them, are gone round once.
        """
        calls, ways = 0, [[name]]
        while ways and calls <= MAX_CALLS:
            calls += 1
            way = ways.pop()
            other = self._others.get(way[-1])
            called = _called_in(other.text.flow) if other else ()
            ways += [[*way, each] for each in called if each not in way]
        return calls

    def _check_names(self, item: PipelineItem, callee: Callee, ours: set[str]) -> None:
        """Note what is called the same as something of ours, or of a call before."""
        name, path = item.name, _place(item)
        rest = list(takewhile(lambda each: each is not callee, self.opened.values()))
        stages = ours.union(*(each.stage_names for each in rest))
        for stage in callee.stage_names:
            problem = name_problem(stage)
            if stage in stages:
                problem = (
                    f"a stage of it would be called {stage}, and there is one; name "
                    "the call otherwise: `as: another_name`"
                )
            if problem is not None:
                key = f"{item.path}.as" if item.given else path
                self._problems.add(key, problem)
        for known in (self._records, *(each.records for each in rest)):
            for record, kind in callee.records.items():
                if known.get(record, kind) != kind:
                    self._problems.add(path, f"{name} declares another type {record}")


def _place(item: PipelineItem) -> str:
    return f"{item.path}.pipeline"


def _called_in(flow: Items) -> Iterator[str]:
    """Give the names of the pipelines that *flow* calls, one for each call."""
    return (i.name for i in items_of(flow) if isinstance(i, PipelineItem))
