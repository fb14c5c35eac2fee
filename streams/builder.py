"""Pipelines in Python: the same values that a file gives, said with ``>>``.

    flow = stage("sort", predict="ticket -> topic") >> when(
        "topic == 'bill'",
        then=stage("bill", reason="ticket -> reply"),
        otherwise=stage("other", predict="ticket -> reply"),
    )
    desk = pipeline("desk", version=1, input="ticket", output="reply", flow=flow,
                    lms={"small": {"model": "local/demo"}})

What is built is read by the reader of files, so it has the same checks, defaults and
problems, with the same places. ``to_yaml`` makes a file of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from streams.catalog import STAGE_KINDS
from streams.errors import ConfigError
from streams.language.pipeline_file import PipelineText, read_pipeline
from streams.language.problems import Problems
from streams.language.stage_spec import StageKind
from streams.language.yaml_text import Plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """A part of a flow, and the stages that it declares. ``a >> b``: *a*, then *b*."""

    items: tuple[Plain, ...]
    """As a file has them under ``flow:``."""
    stages: Mapping[str, Plain] = field(default_factory=dict)
    """As a file has them under ``stages:``."""

    def __rshift__(self, other: "Steps") -> "Steps":
        """Return these steps, and *other* after them.

        Raises:
            ConfigError: both declare a stage of one name, each another.
        """
        stages = _together(self, other)
        return Steps(items=(*self.items, *other.items), stages=stages)


def stage(
    name: str, *, on_failure: "str | Mapping[str, Any] | Steps" = "fail", **keys: Plain
) -> Steps:
    """Return one stage: its kind and its other *keys* as in a file.

    Without any it is one that is declared elsewhere.

    Args:
        name: what it is called.
        on_failure: ``fail``, ``skip``, ``{"default": {...}}``, or the stage that
            stands in.
        keys: ``predict="question -> answer"``, ``lm="small"``, ``timeout="8s"``.
    """
    if isinstance(on_failure, Steps):
        (other,) = on_failure.items
        entry = {**keys, "on_failure": {"stage": other}}
        declared = {name: entry, **on_failure.stages}
        return Steps(items=(name,), stages=declared)
    policy = {} if on_failure == "fail" else {"on_failure": on_failure}
    entry = {**keys, **policy}
    return Steps(items=(name,), stages={name: entry} if entry else {})


def parallel(**branches: Steps) -> Steps:
    """Return *branches* that run at the same time; ends when all have ended."""
    said = {name: list(steps.items) for name, steps in branches.items()}
    return _item({"parallel": said}, *branches.values())


def when(condition: str, *, then: Steps, otherwise: Steps | None = None) -> Steps:
    """Return *then* where *condition*, in CEL, is true, else *otherwise*."""
    said: dict[str, Plain] = {"when": condition, "then": list(then.items)}
    if otherwise is None:
        return _item(said, then)
    return _item({**said, "else": list(otherwise.items)}, then, otherwise)


def map_over(
    over: str,
    *,
    each: str,
    body: Steps,
    collect: Mapping[str, str],
    width: int | None = None,
) -> Steps:
    """Return *body* once for each element of the list *over*, known to it as *each*.

    Args:
        over: a field that is a list.
        each: the field that the body finds its element in.
        body: what is done with an element.
        collect: field of the body: the list of its values.
        width: elements at a time; a file's default where it is not said.
    """
    said: dict[str, Plain] = {"map": list(body.items), "over": over, "each": each}
    said |= {"collect": dict(collect)}
    return _item(said | ({} if width is None else {"width": width}), body)


def loop(
    body: Steps,
    *,
    max_iterations: int,
    until: str | None = None,
    while_: str | None = None,
) -> Steps:
    """Return *body* again and again: until one condition holds, or while one does."""
    said: dict[str, Plain] = {"loop": list(body.items)}
    said |= {} if until is None else {"until": until}
    said |= {} if while_ is None else {"while": while_}
    return _item({**said, "max_iterations": max_iterations}, body)


def fallback(*alternatives: Steps) -> Steps:
    """Return the first of *alternatives* that does not fail."""
    said = [list(steps.items) for steps in alternatives]
    return _item({"fallback": said}, *alternatives)


def call(
    pipeline_at: str,
    *,
    as_: str | None = None,
    inputs: Mapping[str, str] | None = None,
    outputs: Mapping[str, str] | None = None,
) -> Steps:
    """Return another pipeline's flow, ``name@version``; its fields: ours.

    Its stages are named after *as_*; after the pipeline, where it is not said.
    """
    said: dict[str, Plain] = {"pipeline": pipeline_at}
    said |= {} if as_ is None else {"as": as_}
    said |= {"inputs": dict(inputs)} if inputs else {}
    said |= {"outputs": dict(outputs)} if outputs else {}
    return _item(said)


def pipeline(
    name: str,
    *,
    flow: Steps,
    kinds: Mapping[str, StageKind] = STAGE_KINDS,
    **keys: Plain,
) -> PipelineText:
    """Return the pipeline *name*, as reading its file would.

    Args:
        name: of the pipeline.
        flow: its stages, in the order in which they run.
        kinds: of the stages; those of penstock, if nobody has others.
        keys: the other keys of a file: version, input, output, lms, session, ...

    Raises:
        ConfigError: with every problem, each with its place.
    """
    problems = Problems(name)
    stages = {"stages": dict(flow.stages)} if flow.stages else {}
    said = {**keys, "pipeline": name, **stages, "flow": list(flow.items)}
    file = read_pipeline(said, kinds, problems)
    problems.raise_any()
    return file


def _item(said: Plain, *inner: Steps) -> Steps:
    return Steps(items=(said,), stages=_together(*inner))


def _together(*parts: Steps) -> Mapping[str, Plain]:
    """Return the stages of all *parts*.

    Raises:
        ConfigError: two of them declare a stage of one name, each another.
    """
    stages: dict[str, Plain] = {}
    for part in parts:
        for name, entry in part.stages.items():
            if stages.setdefault(name, entry) != entry:
                raise ConfigError([f"stages.{name}: is declared twice, differently"])
    return stages
