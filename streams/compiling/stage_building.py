"""Build one stage of a file, or tell everything that is wrong with it, each thing once.

What was told of one key hides nothing that is wrong with another. But what follows from
something that was told is not told: a key that could not be read is not missing.
"""

from collections.abc import Collection, Iterable
from dataclasses import replace

from streams.compiling.option_checks import Checked, checked
from streams.compiling.placing import Placed
from streams.errors import ConfigError, OptionsError
from streams.language.problems import Problems
from streams.language.stage_file import StageText
from streams.language.stage_spec import StageKind, StageSpec, Workshop
from streams.language.tools import ToolUse
from streams.stage import Stage


def build_stage(
    placed: Placed, kind: StageKind, shop: Workshop, problems: Problems
) -> Stage | None:
    """Return the stage; None, and *problems*, if it cannot be built."""
    complaints = _Complaints(placed.text, problems)
    spec = _without(placed.spec, problems.paths())
    if not (placed.sure and placed.text.what):
        complaints.of_options(checked(spec.options, shop))
        complaints.of_builder(OptionsError(kind.alone(spec, shop)))
        if placed.text.signature is not None and placed.text.what:
            complaints.of_target(shop)
        return None
    try:
        return kind.build(spec, shop)
    except ConfigError as error:
        refused = error
    found = checked(spec.options, shop)
    complaints.of_options(found)
    if not found.problems:
        complaints.of_builder(refused)
    elif found.enough:
        try:
            kind.build(replace(spec, options=found.options), shop)
        except ConfigError as error:
            complaints.of_builder(error)
    return None


def _without(spec: StageSpec, told: Collection[str]) -> StageSpec:
    """Return *spec* without tools of the file that cannot be had, which was told."""
    use = spec.options.get("tool_use")
    if not isinstance(use, ToolUse):
        return spec
    # `tools` alone is a section that cannot be read: any of them may be in it.
    known = () if "tools" in told else use.tools
    wrong = {path.split(".")[1] for path in told if path.startswith("tools.")}
    tools = tuple(name for name in known if name not in wrong)
    return replace(
        spec, options={**spec.options, "tool_use": replace(use, tools=tools)}
    )


class _Complaints:
    """What is wrong with one stage, but for what was told before."""

    def __init__(self, text: StageText, problems: Problems) -> None:
        self._text = text
        self._problems = problems
        self._told = frozenset(problems.paths())

    def of_options(self, found: Checked) -> None:
        """Note what is wrong whatever the signature says."""
        self.at_keys(found.problems)

    def of_builder(self, error: ConfigError) -> None:
        """Note what a builder complains of."""
        if isinstance(error, OptionsError):
            parts = (problem.partition(": ") for problem in error.problems)
            self.at_keys((key, sentence) for key, _, sentence in parts)
        else:
            self._problems.add_all(self._text.path, error.problems)

    def of_target(self, shop: Workshop) -> None:
        """Note that there is no such user code, if there is none."""
        try:
            shop.code.find(self._text.what)
        except ConfigError as error:
            self.of_builder(error)

    def at_keys(self, found: Iterable[tuple[str, str]]) -> None:
        """Note sentences about keys of the stage."""
        for key, sentence in found:
            # What the flow says of its fields is no reason to say nothing of them.
            if key == self._text.kind or not self._is_told(key):
                self._problems.add(f"stages.{self._text.name}.{key}", sentence)

    def _is_told(self, key: str) -> bool:
        """Say whether something was wrong at *key*, or with what it is in."""
        stage, parts = f"stages.{self._text.name}", key.split(".")
        ways = (".".join([stage, *parts[: n + 1]]) for n in range(len(parts)))
        return any(way in self._told for way in ways)
