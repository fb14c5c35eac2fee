"""A fake LM for these tests: it runs on a thread, and what it was asked is on paper."""

import asyncio
import json
import threading
from collections import Counter
from pathlib import Path
from typing import Any, Self

from agents.fake_lm import Answers, Behaviour, FakeLMOptions, RunningFakeLM, start
from streams.lms.demo import DemoAnswers
from tests.integration.growing_logs import whole_lines


class ThreadedLM:
    """One fake LM on an event loop of its own; can go away and come back."""

    def __init__(
        self, log: Path, answers: Answers | None = None, **behaviour: Any
    ) -> None:
        self.log = log
        self._answers = answers or DemoAnswers()
        self._behaviour = Behaviour(**behaviour)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._running: RunningFakeLM | None = None
        self._port = 0
        self.open()

    @property
    def url(self) -> str:
        """What a pipeline calls ``api_base``."""
        return f"http://127.0.0.1:{self._port}/v1"

    def open(self) -> None:
        """Listen, on the same port as before."""
        options = FakeLMOptions(
            port=self._port,
            log=self.log,
            behaviour=self._behaviour,
            answers=self._answers,
        )
        self._running = self._do(start(options))
        self._port = self._running.port

    def shut(self) -> None:
        """Refuse connections; calls in flight are cut off."""
        if self._running is not None:
            self._do(self._running.stop())
            self._running = None

    def behave(self, **behaviour: Any) -> None:
        """Answer differently from now on."""
        self._behaviour = Behaviour(**behaviour)
        self._running.lm.behaviour = self._behaviour

    def asked(self) -> Counter[str]:
        """Return how often it was asked each call, ``request/stage/ordinal``."""
        return Counter(
            line["request_id"] for line in self._lines() if line["event"] == "received"
        )

    def answered(self) -> Counter[str]:
        """Return how often it answered each call, to somebody who listened."""
        return Counter(
            line["request_id"] for line in self._lines() if line["event"] == "answered"
        )

    def repeated(self) -> dict[str, int]:
        """Return the calls that it was asked again, and how often."""
        return {call: n - 1 for call, n in self.asked().items() if n > 1}

    def close(self) -> None:
        """Stop for good."""
        self.shut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in whole_lines(self.log)]

    def _do(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)
