"""Transform: a function of the user's, fields in and a dict of fields out.

An ``async`` function runs on the event loop; any other on a thread, where it may
block, or with ``inline: true`` on the loop, where it must not. A function that was
cancelled or timed out on a thread runs to its end, and nobody reads what it returns.

It should be pure: the same inputs, the same outputs. Its lists and dicts are copies.
"""

import inspect
from collections.abc import Mapping
from concurrent.futures import Executor
from copy import deepcopy
from functools import partial
from typing import Any, Final

from streams.calls import NO_USAGE
from streams.errors import ConfigError, StageBugError, StageOutputError
from streams.language.section import Section
from streams.language.stage_spec import StageSpec, Workshop
from streams.signatures.from_function import call_problem, read_function
from streams.signatures.parse import Reading
from streams.signatures.types import Choice, Scalar
from streams.stage import Fields, RunContext, StageOutcome
from streams.user_call import UserCall, UserCodeError, source_fingerprint
from streams.user_code import Function, UserCode


class InlineTransform:
    """A function that does not block, called where the run is."""

    def __init__(self, name: str, version: str, function: Function) -> None:
        self.name = name
        self.version = version
        self._function = function

    async def __call__(self, fields: Fields, run: RunContext) -> StageOutcome:
        return _outcome(self.name, self._function(**fields))


class AsyncTransform:
    """An ``async`` function, awaited where the run is."""

    def __init__(self, name: str, version: str, function: Function) -> None:
        self.name = name
        self.version = version
        self._function = function

    async def __call__(self, fields: Fields, run: RunContext) -> StageOutcome:
        return _outcome(self.name, await self._function(**fields))


class ThreadTransform:
    """A function that may block, called on a thread of the lane for user code."""

    def __init__(
        self, name: str, version: str, function: Function, lane: Executor
    ) -> None:
        self.name = name
        self.version = version
        self._call = UserCall(function, lane)

    async def __call__(self, fields: Fields, run: RunContext) -> StageOutcome:
        try:
            return _outcome(self.name, await self._call(**fields))
        except UserCodeError as error:
            raise StageBugError(self.name, error) from error


Transform = InlineTransform | AsyncTransform | ThreadTransform


TRANSFORM_KEYS: Final = ("inline",)


def read_transform(section: Section) -> Mapping[str, Any]:
    """Return the options of an entry: ``inline``, whether it may run on the loop."""
    inline = section.truth("inline")
    if inline and section.has("timeout"):
        section.wrong("timeout", "nothing can interrupt an inline function")
    return {"inline": inline}


def build_transform(spec: StageSpec, shop: Workshop) -> Transform:
    """Return the stage that runs the function at ``spec.target``.

    Raises:
        ConfigError: the function is not there, or takes other inputs.
    """
    target = spec.target or ""
    function = shop.code.find(target)
    problem = call_problem(function, (field.name for field in spec.inputs))
    if problem is not None:
        raise ConfigError([f"{target} {problem}"])
    called = function if _only_scalars(spec) else partial(_with_copies, function)
    version = f"{target}@{source_fingerprint(function)}"
    if inspect.iscoroutinefunction(function):
        return AsyncTransform(spec.name, version, called)
    if spec.options.get("inline"):
        return InlineTransform(spec.name, version, called)
    return ThreadTransform(spec.name, version, called, shop.code.lane)


def describe_transform(target: str, code: UserCode) -> Reading:
    """Return the signature that the function at *target* has in Python.

    Raises:
        ConfigError: the function is not there.
    """
    return read_function(code.find(target))


def _outcome(name: str, returned: object) -> StageOutcome:
    if not isinstance(returned, Mapping):
        got = type(returned).__name__
        raise StageOutputError(name, f"returned {got}, not a dict of outputs")
    return StageOutcome(outputs=returned, usage=NO_USAGE)


def _with_copies(function: Function, **fields: Any) -> Any:  # noqa: ANN401 - user's
    # A function that changes a list it was given would change it for later stages,
    # and a resumed run, which does not call it again, would see the old one.
    return function(**deepcopy(fields))


def _only_scalars(spec: StageSpec) -> bool:
    return all(isinstance(field.type, Scalar | Choice) for field in spec.inputs)
