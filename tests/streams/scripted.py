"""The same script for two LMs: ours, and the one that DSPy's own modules ask."""

import dspy
from dspy.lm15 import (
    ContextLengthError,
    Message,
    Response,
    TextPart,
    response_to_events,
)
from dspy.lm15 import Usage as Tokens

from schemas.records import Usage
from streams.calls import Purse, StageCalls
from streams.clock import ManualClock
from streams.errors import ModelContextError
from streams.lms.dspy_engine import CallsEngine, messages_of, params_of
from streams.programs import dspy_adapter
from streams.stage import Answer, RunContext

TOO_LONG = object()
"""In a script: the LM cannot read so much."""


def said(**fields):
    """Return an answer with these fields, as DSPy's chat layout has it."""
    sections = [f"[[ ## {name} ## ]]\n{value}" for name, value in fields.items()]
    return "\n\n".join([*sections, "[[ ## completed ## ]]\n"])


class Script:
    """An LM of ours that answers what it is told to, in order; errors are raised."""

    name = "small"
    fingerprint = "scripted"

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []
        self.params = []

    def available(self):
        return True

    async def complete(self, stage, call):
        self.asked.append([dict(message) for message in call.messages])
        self.params.append(dict(call.params))
        answer = self.answers.pop(0)
        if answer is TOO_LONG:
            raise ModelContextError(stage, self.name, "too long")
        if callable(answer):
            answer = await answer()
        if isinstance(answer, BaseException):
            raise answer
        return Answer(text=answer, usage=Usage(calls=1, output_tokens=1))

    async def aclose(self):
        pass


class DirectScript:
    """The same for DSPy alone: an engine, sync and async."""

    supported_params = CallsEngine.supported_params

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []
        self.params = []

    def complete(self, request):
        self.asked.append([dict(message) for message in messages_of(request)])
        self.params.append(dict(params_of(request)))
        answer = self.answers.pop(0)
        if answer is TOO_LONG:
            reason = "too long"
            raise ContextLengthError(reason)
        if isinstance(answer, BaseException):
            raise answer
        return Response(
            id=None,
            model=request.model,
            message=Message.assistant([TextPart(answer)]),
            finish_reason="stop",
            usage=Tokens(input_tokens=1, output_tokens=1, total_tokens=2),
        )

    def stream(self, request):
        yield from response_to_events(self.complete(request))

    def settings(self, layout="chat", **rest):
        """Return a context in which DSPy's modules ask this script."""
        lm = dspy.LM(
            "local/script",
            engine=self,
            async_engine=_Async(self),
            cache=False,
            num_retries=0,
        )
        return dspy.context(lm=lm, adapter=dspy_adapter(layout), **rest)


class _Async:
    def __init__(self, script):
        self._script = script

    async def complete(self, request):
        return self._script.complete(request)


class Counts:
    """A recorder that only remembers how often."""

    def __init__(self):
        self.counted = []

    def count(self, name, amount=1, **labels):
        self.counted.append((name, labels))

    def observe(self, name, value, **labels):
        pass

    def gauge(self, name, value, **labels):
        pass


class Desk:
    """Calls of one stage, as a run has them, and the journal that they fill."""

    def __init__(self, journal=()):
        self.entries = list(journal)
        self.recorder = Counts()
        purse = Purse(
            request_id="r",
            stage="draft",
            journal={(e.site, e.ordinal): e for e in journal},
            emit=self.entries.extend,
            recorder=self.recorder,
        )
        self.calls = StageCalls(purse, "draft")

    def run(self, **rest):
        """Return what a stage may ask for."""
        return RunContext(request_id="r", clock=ManualClock(), calls=self.calls, **rest)
