"""A pipeline as a file: what was read, or built in Python, as YAML."""

from typing import Any, ClassVar, Final

import yaml
from yaml.representer import BaseRepresenter

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
from streams.language.pipeline_file import PipelineText
from streams.language.tools import ToolText
from streams.language.yaml_text import Plain
from streams.session import SessionPolicy

# Of lines, in characters: a folded signature is hard to read.
WIDTH: Final = 10_000


def to_yaml(file: PipelineText) -> str:
    """Return the text of a file that reads as *file*, with nothing left to defaults."""
    text: str = yaml.dump(
        plain_of(file),
        Dumper=_Plain,
        sort_keys=False,
        allow_unicode=True,
        width=WIDTH,
        # What holds nothing nested stands on one line.
        default_flow_style=None,
    )
    return text


def _text(dumper: BaseRepresenter, text: str) -> yaml.Node:
    # Signatures have quotes in them, which would be doubled otherwise.
    style = '"' if "'" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


class _Plain(yaml.SafeDumper):
    """Writes a value again where it stands again: nobody reads ``*id001``."""

    yaml_representers: ClassVar = {**yaml.SafeDumper.yaml_representers, str: _text}

    def ignore_aliases(self, data: object) -> bool:
        return True


def plain_of(file: PipelineText) -> Plain:
    """Return *file* as plain values, as ``plain_values`` gives them."""
    said: dict[str, Plain] = {
        "pipeline": file.name,
        "version": file.version,
        "types": dict(file.types),
        "signatures": dict(file.signatures.values),
        "input": file.input,
        "output": file.output,
        "extra": file.extra,
        "progress": file.progress,
        "session": None if file.session is None else _session(file.session),
        "lms": {name: dict(options or {}) for name, options in file.lms.items()},
        "tools": {name: _tool(tool) for name, tool in file.tools.items()},
        "stages": {name: dict(stage.said) for name, stage in file.stages.items()},
        "flow": plain_flow(file.flow),
    }
    return {key: value for key, value in said.items() if value}


def plain_flow(items: Items) -> list[Plain]:
    """Return a flow as a file says it."""
    return [_item(item) for item in items]


def _item(item: Item) -> Plain:  # noqa: PLR0911 - one case an item
    match item:
        case StageItem():
            return item.name
        case ParallelItem():
            return {"parallel": {k: plain_flow(v) for k, v in item.branches.items()}}
        case WhenItem():
            said = {"when": item.condition, "then": plain_flow(item.then)}
            otherwise = {"else": plain_flow(item.otherwise)} if item.otherwise else {}
            return said | otherwise
        case MapItem():
            return {
                "map": plain_flow(item.body),
                "over": item.over,
                "each": item.each,
                "collect": dict(item.collect),
                "width": item.width,
            }
        case LoopItem():
            return {
                "loop": plain_flow(item.body),
                "while" if item.before else "until": item.condition,
                "max_iterations": item.max_iterations,
            }
        case FallbackItem():
            return {"fallback": [plain_flow(way) for way in item.alternatives]}
        case PipelineItem():
            said = {"pipeline": f"{item.name}@{item.version}"}
            said |= {"as": item.given} if item.given else {}
            renamed = {"inputs": dict(item.inputs), "outputs": dict(item.outputs)}
            return said | {key: names for key, names in renamed.items() if names}


def _session(policy: SessionPolicy) -> dict[str, Any]:
    ttl = {} if policy.ttl_s is None else {"ttl": seconds_text(policy.ttl_s)}
    return {**ttl, "history": policy.keep}


def _tool(tool: ToolText) -> dict[str, Any]:
    said = {"call": tool.target, "timeout": seconds_text(tool.timeout_s)}
    return said | ({"description": tool.description} if tool.description else {})


def seconds_text(seconds: float) -> str:
    """Return *seconds* as a duration that reads as exactly this number."""
    return f"{seconds!r}s" if seconds >= 1 else f"{seconds * 1_000!r}ms"
