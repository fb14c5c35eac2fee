"""User code: found by name in allow-listed modules, and run on threads of its own.

A pipeline file names functions as ``module:function``. Which modules may be named is a
setting (``PENSTOCK_CODE_MODULES``), so that a file cannot reach ``os:system``; where
they are is another (``PENSTOCK_CODE_PATHS``). Importing a module runs its code: the
allow-list is the line of trust.
"""

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from importlib import import_module
from typing import Any, Final

from streams.config import Settings
from streams.errors import ConfigError

Function = Callable[..., Any]

# Functions that block get threads of their own: on the loop's default executor they
# would starve everybody else's look-ups. Few, because they share our cores.
THREADS: Final = 8


class UserCode:
    """What pipelines may run besides penstock, and the threads it runs on."""

    def __init__(self, modules: Sequence[str], paths: Sequence[str] = ()) -> None:
        self._modules = tuple(modules)
        self._paths = tuple(paths)
        self.lane = ThreadPoolExecutor(THREADS, thread_name_prefix="penstock-code")
        self._lanes = [self.lane]

    @classmethod
    def of(cls, settings: Settings) -> "UserCode":
        """Return the user code that *settings* allow."""
        modules = [name.strip() for name in settings.code_modules.split(",")]
        paths = settings.code_paths.split(":")
        return cls([m for m in modules if m], [path for path in paths if path])

    def find(self, target: str) -> Function:
        """Return the function at *target*, ``module:function``; imports its module.

        Raises:
            ConfigError: it may not be named, or is not there.
        """
        function: Function | None = self._named(target, "function")
        module, _, name = target.partition(":")
        if function is None or not callable(function):
            raise ConfigError([f"{module} has no function {name}"])
        return function

    def find_class(self, target: str) -> type:
        """Return the class at *target*, ``module:Class``; imports its module.

        Raises:
            ConfigError: it may not be named, or is not there.
        """
        found = self._named(target, "Class")
        module, _, name = target.partition(":")
        if not isinstance(found, type):
            raise ConfigError([f"{module} has no class {name}"])
        return found

    def _named(self, target: str, what: str) -> Any:  # noqa: ANN401 - anything
        """Return what *target* names, if it may be named; None if it is not there."""
        module, colon, name = target.partition(":")
        if not (colon and name.isidentifier() and _is_dotted(module)):
            raise ConfigError([f"{target!r} is not written module:{what}"])
        if not self._allows(module):
            raise ConfigError([_forbidden(module, self._modules)])
        found = getattr(self._imported(module), name, None)
        home = getattr(found, "__module__", None) or ""
        if found is not None and callable(found) and not self._allows(home):
            # An allowed module may have imported something that is not.
            raise ConfigError([_forbidden(home, self._modules)])
        return found

    def own_lane(self, threads: int, name: str) -> Executor:
        """Return *threads* threads for one stage alone; they are let go of with us."""
        lane = ThreadPoolExecutor(threads, thread_name_prefix=f"penstock-{name}")
        self._lanes.append(lane)
        return lane

    def close(self) -> None:
        """Let go of the threads; functions that still run are not waited for."""
        for lane in self._lanes:
            lane.shutdown(wait=False, cancel_futures=True)

    def _allows(self, module: str) -> bool:
        return any(module == m or module.startswith(f"{m}.") for m in self._modules)

    def _imported(self, module: str) -> object:
        # At the end: a folder of user code must not hide our own packages.
        sys.path.extend(path for path in self._paths if path not in sys.path)
        try:
            return import_module(module)
        except (Exception, SystemExit) as error:
            # The module's own code ran, and may have raised anything.
            reason = f"cannot import {module}: {type(error).__name__}: {error}"
            raise ConfigError([reason]) from error


def _is_dotted(module: str) -> bool:
    return all(part.isidentifier() for part in module.split("."))


def _forbidden(module: str, allowed: Sequence[str]) -> str:
    names = ", ".join(allowed) or "none"
    return f"module {module} is not allowed; PENSTOCK_CODE_MODULES allows {names}"
