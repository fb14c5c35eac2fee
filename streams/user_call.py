"""Call a function of the user's so that it never holds up the event loop."""

import asyncio
import inspect
from concurrent.futures import Executor
from functools import partial
from typing import Any

from streams.errors import ConfigError
from streams.user_code import Function
from streams.versions import fingerprint_of


class UserCodeError(Exception):
    """What user code raised could not be carried from its thread as it was."""


class UserCall:
    """An ``async`` function is awaited; any other one runs on a thread of *lane*."""

    def __init__(self, function: Function, lane: Executor) -> None:
        self.function = function
        self._lane = lane
        self._awaited = inspect.iscoroutinefunction(function)

    async def __call__(self, *values: Any, **named: Any) -> Any:  # noqa: ANN401 - user's
        """Return what the function returns; whatever it raises is raised.

        Raises:
            UserCodeError: it raised what would end a worker, or what no future holds.
        """
        call = partial(self.function, *values, **named)
        if self._awaited:
            return await call()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._lane, carried, call)


def carried(call: Function) -> Any:  # noqa: ANN401 - whatever it returns
    """Call it, on a thread; its errors are such that a future can carry them.

    Raises:
        UserCodeError: it raised ``StopIteration``, for which the reader of a future
            would wait for ever, or ``SystemExit``, which would end the worker.
    """
    try:
        return call()
    except (StopIteration, SystemExit) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserCodeError(reason) from error


def source_fingerprint(function: Function) -> str:
    """Return 12 digits that change with the source of the module of *function*.

    The whole module: what the function calls beside itself is most often there.

    Raises:
        ConfigError: there is no source, so a change of it would go unseen.
    """
    try:
        source = inspect.getsource(inspect.getmodule(function) or function)
    except (OSError, TypeError) as error:
        name = getattr(function, "__qualname__", "a function")
        reason = f"{name} has no source, so a change of it would go unseen"
        raise ConfigError([reason]) from error
    return fingerprint_of(source.encode())
