"""``template``: write the outputs from the inputs, with a Jinja text and without an LM.

An output of text gets what the template writes. Any other has its JSON form written,
and is read from that: ``count: int`` from ``{{ items | length }}``.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from streams.calls import NO_USAGE
from streams.errors import OptionsError, StageOutputError, TemplateError
from streams.language.section import Section
from streams.language.stage_spec import StageSpec, Workshop
from streams.signatures.types import (
    Choice,
    CodeOf,
    DecimalOf,
    Field,
    FieldType,
    ImageType,
    Limited,
    Maybe,
    OneOf,
    Scalar,
)
from streams.stage import Fields, RunContext, StageOutcome
from streams.stages.template_checks import TemplateTextError, parsed
from streams.stages.template_text import RenderError, TemplateText
from streams.versions import version_of

_AS_TEXT: Final = frozenset({"str", "bytes", "date", "datetime"})
"""What has text for its JSON form: written without quotes."""


class TemplateStage:
    """One template per output."""

    def __init__(
        self, name: str, version: str, texts: Mapping[str, tuple[TemplateText, bool]]
    ) -> None:
        """*texts* are the template of each output, and whether it writes JSON."""
        self.name = name
        self.version = version
        self._texts = tuple((field, *text) for field, text in texts.items())

    async def __call__(self, fields: Fields, run: RunContext) -> StageOutcome:
        outputs = {}
        for field, text, is_json in self._texts:
            try:
                written = text.render(fields)
            except RenderError as error:
                raise TemplateError(self.name, field, str(error)) from error
            outputs[field] = self._read(field, written) if is_json else written
        return StageOutcome(outputs=outputs, usage=NO_USAGE)

    def _read(self, field: str, written: str) -> object:
        try:
            return orjson.loads(written)
        except ValueError as error:
            raise StageOutputError(self.name, f"{field}: is no JSON") from error


def read_template(section: Section) -> Mapping[str, Any]:
    """Return the options of an entry: ``text``, one for all or one by output."""
    said = section.get("text")
    if not isinstance(said, Mapping):
        text = section.text("text", needed=True)
        _check(section, "text", text)
        return {"text": text or ""}
    texts = section.sub("text")
    found: dict[str, str] = {}
    for name in said:
        found[name] = texts.text(name, needed=True) or ""
        _check(texts, name, found[name])
    return {"text": found}


def build_template(spec: StageSpec, _shop: Workshop) -> TemplateStage:
    """Return the stage that writes the outputs of *spec*.

    Raises:
        OptionsError: with every problem of its texts.
    """
    said = _by_output(spec)
    texts: dict[str, tuple[TemplateText, bool]] = {}
    problems = [
        f"text: {field.name} may be text or something else, and must be one of them"
        for field in spec.outputs
        if writes_json(field.type) is None
    ]
    for field in spec.outputs:
        path = "text" if isinstance(spec.options["text"], str) else f"text.{field.name}"
        try:
            text = TemplateText(said[field.name], spec.inputs)
        except TemplateTextError as error:
            problems += [f"{path}: {problem}" for problem in error.problems]
        else:
            texts[field.name] = (text, bool(writes_json(field.type)))
    if problems:
        raise OptionsError(problems)
    return TemplateStage(spec.name, _version(said, spec.outputs), texts)


def writes_json(kind: FieldType) -> bool | None:
    """Say whether a value of *kind* is written as JSON; None if nobody can say."""
    match kind:
        case Scalar():
            return kind.name not in _AS_TEXT
        case DecimalOf() | ImageType() | CodeOf():
            return False
        case Choice():
            return not isinstance(kind.values[0], str)
        case Limited() | Maybe():
            return writes_json(kind.inner)
        case OneOf():
            each = {writes_json(member) for member in kind.members}
            return each.pop() if len(each) == 1 else None
        case _:
            return True


def _by_output(spec: StageSpec) -> Mapping[str, str]:
    """Return the text of each output.

    Raises:
        OptionsError: they are not the outputs of the signature.
    """
    said, names = spec.options["text"], [field.name for field in spec.outputs]
    if isinstance(said, str):
        if len(names) == 1:
            return {names[0]: said}
        raise OptionsError([f"text: must have one for each of {', '.join(names)}"])
    problems = [f"text.{name}: is no output" for name in said if name not in names]
    problems += [f"text.{name}: is missing" for name in names if name not in said]
    if problems:
        raise OptionsError(problems)
    return dict(said)


def _check(section: Section, key: str, text: str | None) -> None:
    try:
        parsed(text or "")
    except TemplateTextError as error:
        for problem in error.problems:
            section.wrong(key, problem)


def _version(texts: Mapping[str, str], outputs: tuple[Field, ...]) -> str:
    said = [[field.name, str(field.type), texts[field.name]] for field in outputs]
    return version_of("template", *said)
