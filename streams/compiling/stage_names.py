"""The names in a file's flow: each is a stage, and each stage has one place."""

from collections.abc import Iterator

from streams.language.flow_file import items_of
from streams.language.flow_text import StageItem
from streams.language.pipeline_file import PipelineText
from streams.language.problems import Problems, meant


def check_names(file: PipelineText, problems: Problems) -> None:
    """Note names that are no stage's, and stages that have no place or two."""
    flow = [item for item in items_of(file.flow) if isinstance(item, StageItem)]
    for item in flow:
        if item.name not in file.named:
            problems.add(item.path, _unknown(item.name, file))
    in_flow = {item.name for item in flow}
    _check_stand_ins(file, in_flow, problems)
    for name in file.stages:
        if name not in in_flow | file.stand_ins and file.flow_is_whole:
            problems.add(f"stages.{name}", "is not in the flow", key=True)


def _check_stand_ins(file: PipelineText, in_flow: set[str], problems: Problems) -> None:
    """Note who stands in and cannot."""
    stands_for: dict[str, str] = {}
    for text in file.stages.values():
        other, path = text.on_failure.stage, f"stages.{text.name}.on_failure.stage"
        if not other:
            continue
        if other not in file.named:
            problems.add(path, _unknown(other, file))
        elif other in in_flow:
            problems.add(path, f"{other} is in the flow; a stage stands in, or runs")
        elif other in stands_for:
            problems.add(path, f"{other} stands in for {stands_for[other]} already")
        else:
            stands_for[other] = text.name
    in_order = {n: stands_for[n] for n in file.stages if n in stands_for}
    for circle in _circles(in_order):
        told = " > ".join(circle)
        problems.add(
            f"stages.{circle[0]}.on_failure.stage", f"stands in for itself: {told}"
        )


def _circles(stands_for: dict[str, str]) -> Iterator[list[str]]:
    """Give each circle of stages that stand in for one another, once."""
    told: set[str] = set()
    for start in stands_for:
        way, name = [start], stands_for.get(start)
        while name is not None and name not in way:
            way.append(name)
            name = stands_for.get(name)
        if name == start and start not in told:
            told.update(way)
            yield [start, *way[:0:-1], start]


def _unknown(name: str, file: PipelineText) -> str:
    return f"no stage is called {name}; {meant(name, file.named)}"
