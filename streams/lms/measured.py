"""An LM that is counted: calls by outcome, tokens, seconds."""

from streams.clock import Clock
from streams.errors import ModelError
from streams.metrics import Recorder
from streams.stage import LM, Answer, LMCall


class MeasuredLM:
    """The LM *inner*, with every call handed to the recorder."""

    def __init__(self, inner: LM, recorder: Recorder, clock: Clock) -> None:
        self._inner = inner
        self._recorder = recorder
        self._clock = clock

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def fingerprint(self) -> str:
        return self._inner.fingerprint

    def available(self) -> bool:
        return self._inner.available()

    async def complete(self, stage: str, call: LMCall) -> Answer:
        """Ask; see :class:`streams.stage.LM` for errors."""
        began_s = self._clock.monotonic_s()
        code = "cancelled"
        try:
            answer = await self._inner.complete(stage, call)
            code = ""
        except ModelError as error:
            code = error.code
            raise
        finally:
            took_s = self._clock.monotonic_s() - began_s
            self._recorder.count("penstock_lm_calls_total", lm=self.name, code=code)
            self._recorder.observe("penstock_lm_call_seconds", took_s, lm=self.name)
        self._count_tokens("input", answer.usage.input_tokens)
        self._count_tokens("output", answer.usage.output_tokens)
        return answer

    async def aclose(self) -> None:
        await self._inner.aclose()

    def _count_tokens(self, kind: str, amount: int) -> None:
        self._recorder.count(
            "penstock_lm_tokens_total", amount, lm=self.name, kind=kind
        )
