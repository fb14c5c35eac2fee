"""An adapter that ends each predictor's inputs with a hint, as ``dspy.Refine`` does."""

from collections.abc import Mapping
from typing import Any, Final

import dspy

from streams.stages.adapter import Demos

HINT: Final = "hint_"
SAYS: Final = "A hint to the module from an earlier run"
NO_ADVICE: Final = "N/A"


class HintingAdapter(dspy.ChatAdapter):  # type: ignore[misc] # DSPy has no types
    """Asks as *plain* does, for one field more."""

    def __init__(
        self, plain: dspy.ChatAdapter, hints: Mapping[type[dspy.Signature], str]
    ) -> None:
        super().__init__(use_json_adapter_fallback=False)
        self._plain = plain
        self._hints = hints

    def __call__(
        self,
        lm: dspy.LM,
        lm_kwargs: dict[str, Any],
        signature: type[dspy.Signature],
        demos: Demos,
        inputs: dict[str, Any],
    ) -> list[dict[str, Any]]:
        """Ask on a thread."""
        hinted = self._hinted(signature, inputs)
        made: list[dict[str, Any]] = self._plain(lm, lm_kwargs, hinted, demos, inputs)
        return made

    async def acall(
        self,
        lm: dspy.LM,
        lm_kwargs: dict[str, Any],
        signature: type[dspy.Signature],
        demos: Demos,
        inputs: dict[str, Any],
    ) -> list[dict[str, Any]]:
        """Ask on the loop."""
        hinted = self._hinted(signature, inputs)
        made: list[dict[str, Any]] = await self._plain.acall(
            lm, lm_kwargs, hinted, demos, inputs
        )
        return made

    def format_user_message_content(self, *given: Any, **named: Any) -> str:  # noqa: ANN401 - DSPy's
        """Show fields as *plain* does: a program shows its trajectory with it."""
        return str(self._plain.format_user_message_content(*given, **named))

    def _hinted(
        self, signature: type[dspy.Signature], inputs: dict[str, Any]
    ) -> type[dspy.Signature]:
        # In place, as DSPy has it: the trace that the next advice is made of shows it.
        inputs[HINT] = self._hints.get(signature, NO_ADVICE)
        hinted: type[dspy.Signature] = signature.append(
            HINT, dspy.InputField(desc=SAYS)
        )
        return hinted
