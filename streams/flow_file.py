"""The ``flow:`` of a pipeline file."""

from collections.abc import Mapping, Sequence
from typing import Final

from streams.section import Section

LATER_FLOW: Final = ("parallel", "when", "map", "loop", "fallback", "pipeline")


def read_flow(top: Section) -> tuple[tuple[str, ...], bool]:
    """Return the stages that the flow names, and whether that is all it says."""
    items = top.get("flow")
    if not (isinstance(items, list) and items):
        top.wrong("flow", "must be a list of stages, in the order in which they run")
        return (), False
    found: list[str] = []
    for index, item in enumerate(items, start=1):
        problem = _flow_problem(item, found)
        if problem is None:
            found.append(item)
        else:
            top.wrong(f"flow.{index}", problem)
    return tuple(found), len(found) == len(items)


def _flow_problem(item: object, before: Sequence[str]) -> str | None:
    if isinstance(item, Mapping):
        later = [key for key in item if key in LATER_FLOW]
        what = ", ".join(later or map(str, item)) or "an empty mapping"
        return f"{what} is not supported yet; name one stage"
    if not isinstance(item, str):
        return "must be the name of a stage"
    return f"{item} runs twice" if item in before else None
