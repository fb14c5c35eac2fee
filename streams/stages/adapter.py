"""The adapters of programs that are asked through DSPy: its words, safe to serve with.

Three differences from DSPy's own, all for texts of strangers: markers of images
in a field stay text (``prompt.py`` says why), halves of characters become question
marks, and an answer whose repair would hold up the event loop is refused
(``reading.py`` says when).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import EnumMeta
from typing import Any, ClassVar, Final, get_args

import dspy
from dspy.adapters.types.base_type import Type as CustomType
from dspy.utils.exceptions import AdapterParseError
from pydantic import ValidationError

from streams.json_form import encodable
from streams.language.adapter_choice import DEFAULT, AdapterName
from streams.programs import dspy_adapter
from streams.session import Turn
from streams.stages.prompt import Prompt, history_field
from streams.stages.reading import (
    Reader,
    UnusableAnswerError,
    costs_too_much,
    inner_types,
    sections,
)
from streams.stages.reading_json import JsonReader
from streams.stages.reading_xml import XmlReader

Demos = Sequence[Mapping[str, Any]]

READERS: Final[Mapping[AdapterName, Callable[[type[dspy.Signature]], Reader]]] = {
    "chat": Reader,
    "json": JsonReader,
    "xml": XmlReader,
}
"""Who reads the answers that each adapter asks for."""


_AS_TEXT: Final = (dspy.Code, dspy.Tool, dspy.ToolCalls)
"""DSPy's types that a prompt has as texts or JSON, and never as blocks."""


class UnshownHistoryError(Exception):
    """A turn of the history cannot be shown. No ValueError: ReAct swallows those."""


class ServedAdapter(dspy.ChatAdapter):  # type: ignore[misc] # DSPy has no types
    """Asks once: without the fallback to JSON, which asks again behind our back.

    The prompts of *predictors* are compiled at once; programs that are served never
    change theirs. Whatever else a program asks is compiled for each call.
    """

    layout: ClassVar[AdapterName] = "chat"

    def __init__(self, predictors: Sequence[dspy.Predict] = ()) -> None:
        # By name: JSON's own constructor takes other arguments.
        dspy.ChatAdapter.__init__(self, use_json_adapter_fallback=False)
        self._plain = dspy_adapter(self.layout)
        known = {predictor.signature: predictor.demos for predictor in predictors}
        self._prompts: Mapping[type[dspy.Signature], tuple[Demos, Prompt]] = {
            signature: (demos, Prompt(self._plain, signature, demos))
            for signature, demos in known.items()
            if not has_blocks(signature)
        }
        self._readers: Mapping[type[dspy.Signature], Reader] = {
            signature: READERS[self.layout](signature)
            for signature in known
            if reads_alike(signature)
        }

    def format(
        self,
        signature: type[dspy.Signature],
        demos: Demos,
        inputs: Mapping[str, Any],
    ) -> list[Any]:
        """Return the messages that ask for the outputs of *signature*.

        Raises:
            UnshownHistoryError: of a turn that DSPy takes for calls of tools.
        """
        demos_then, prompt = self._prompts.get(signature, (None, None))
        if prompt is None or demos_then is not demos:
            if has_blocks(signature):
                # They need their markers; a text of a stranger is then one of them.
                messages: list[Any] = super().format(signature, demos, inputs)
                return messages
            prompt = Prompt(self._plain, signature, demos)
        try:
            asked = prompt.messages(inputs, _turns(signature, inputs))
        except ValidationError as error:
            raise UnshownHistoryError from error
        return [{**m, "content": encodable(m["content"])} for m in asked]

    def parse(self, signature: type[dspy.Signature], completion: str) -> Any:  # noqa: ANN401 - DSPy's
        """Return the outputs in *completion*.

        Raises:
            AdapterParseError: it does not fit the signature, or cannot be tried.
        """
        reader = self._readers.get(signature)
        if reader is None and reads_alike(signature):
            reader = READERS[self.layout](signature)
        if reader is None:
            return self._parsed_by_dspy(signature, completion)
        try:
            return dict(reader.read(completion))
        except UnusableAnswerError as error:
            # The answer is left out: it is long, and nobody's business.
            raise AdapterParseError(type(self).__name__, signature, "") from error

    def _parsed_by_dspy(self, signature: type[dspy.Signature], completion: str) -> Any:  # noqa: ANN401 - DSPy's
        if any(costs_too_much(text) for text in self._repaired(completion)):
            raise AdapterParseError(type(self).__name__, signature, "")
        return super().parse(signature, completion)

    def _repaired(self, completion: str) -> Iterator[str]:
        """Give the texts that DSPy may have to repair."""
        yield from (text for _, text in sections(completion))


class ServedJSONAdapter(ServedAdapter, dspy.JSONAdapter):  # type: ignore[misc] # DSPy has no types
    """The same for JSON, which it asks the LM's server for as well."""

    layout = "json"

    def _repaired(self, completion: str) -> Iterator[str]:
        yield completion


class ServedXMLAdapter(ServedAdapter, dspy.XMLAdapter):  # type: ignore[misc] # DSPy has no types
    """The same for tags."""

    layout = "xml"

    def _repaired(self, completion: str) -> Iterator[str]:
        yield completion


_SERVED: Final[Mapping[AdapterName, type[ServedAdapter]]] = {
    served.layout: served
    for served in (ServedAdapter, ServedJSONAdapter, ServedXMLAdapter)
}


def serving_adapter(
    module: dspy.Module, layout: AdapterName = DEFAULT
) -> dspy.ChatAdapter:
    """Return the adapter for *module*: DSPy's own, if ours would ask otherwise."""
    served, plain = _SERVED[layout](module.predictors()), dspy_adapter(layout)
    for predictor in module.predictors():
        for text in ("Since Monday.", " «two»\nlines [[ ## x ## ]] <x>"):
            signature, demos = predictor.signature, predictor.demos
            inputs = dict.fromkeys(signature.input_fields, text)
            inputs.pop(history_field(signature) or "", None)
            ours = served.format(signature, demos, inputs)
            if ours != plain.format(signature, demos, inputs):
                return plain
    return served


def has_blocks(signature: type[dspy.Signature]) -> bool:
    """Say whether a field is of a type that DSPy may show as a block of its own."""
    shown = [field.annotation for field in signature.fields.values()]
    return any(_holds_custom(each, _AS_TEXT, inner_types) for each in shown)


def reads_alike(signature: type[dspy.Signature]) -> bool:
    """Say whether our reader knows all its outputs: few of DSPy's types, no enums."""
    wanted = [field.annotation for field in signature.output_fields.values()]
    return not any(
        isinstance(each, EnumMeta) or _holds_custom(each, (dspy.ToolCalls,), get_args)
        for each in wanted
        if not _is_one_of(each, (dspy.Code,))
    )


def _holds_custom(
    annotation: Any,  # noqa: ANN401 - any type
    besides: tuple[type, ...],
    parts: Callable[[Any], tuple[Any, ...]],
) -> bool:
    """Say whether *annotation*, or one of its *parts*, is of DSPy's, *besides* some."""
    if _is_one_of(annotation, (CustomType,)):
        return not _is_one_of(annotation, besides)
    return any(_holds_custom(each, besides, parts) for each in parts(annotation))


def _is_one_of(annotation: Any, kinds: tuple[type, ...]) -> bool:  # noqa: ANN401 - any type
    return isinstance(annotation, type) and issubclass(annotation, kinds)


def _turns(
    signature: type[dspy.Signature], inputs: Mapping[str, Any]
) -> tuple[Turn, ...]:
    name = history_field(signature)
    history = None if name is None else inputs.get(name)
    if history is None:
        return ()
    return tuple(
        Turn(pipeline="", request_id="", at_ms=0, fields=fields)
        for fields in history.messages
    )
