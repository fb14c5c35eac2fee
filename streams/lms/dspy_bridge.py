"""A DSPy program on a thread asks as one on the loop does: through its run's calls."""

from asyncio import AbstractEventLoop, run_coroutine_threadsafe
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from threading import Lock
from typing import Any

from dspy.lm15 import Request, Response, response_to_events

from streams.lms.dspy_engine import CallsEngine


class StoppedError(BaseException):
    """Nobody waits for this program any more. No ``Exception``: it is to end."""


class BridgeEngine:
    """Asks for a program on a thread; the calls themselves are made on the loop.

    States: *open*, until :meth:`close`, then *closed*: whatever the program still asks
    ends it. So a stage that was cancelled, or timed out, pays for nothing more.
    """

    supported_params = CallsEngine.supported_params

    def __init__(self, engine: CallsEngine, loop: AbstractEventLoop) -> None:
        self._engine = engine
        self._loop = loop
        self._lock = Lock()
        self._asked: set[Future[Response]] = set()
        self._closed = False

    def complete(self, request: Request) -> Response:
        """Wait for the answer; on the program's thread."""
        with self._lock:
            if self._closed:
                raise StoppedError
            call = self._engine.complete(request)
            asked = run_coroutine_threadsafe(call, self._loop)
            self._asked.add(asked)
        try:
            return asked.result()
        except CancelledError as error:
            raise StoppedError from error
        finally:
            with self._lock:
                self._asked.discard(asked)

    def stream(self, request: Request) -> Iterator[Any]:
        """Answer in one piece."""
        yield from response_to_events(self.complete(request))

    def close(self) -> None:
        """End the program's calls, now and from now on; on the loop."""
        with self._lock:
            self._closed = True
            asked = tuple(self._asked)
        for call in asked:
            call.cancel()
