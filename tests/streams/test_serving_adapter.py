"""The adapter of programs: DSPy's words and reading, and no text that holds us up."""

from enum import Enum
from typing import Literal

import dspy
import pytest
from dspy.utils.exceptions import AdapterParseError

from streams.language.adapter_choice import ADAPTERS
from streams.lms.demo_layouts import written
from streams.programs import dspy_adapter
from streams.stages import adapter
from streams.stages.adapter import (
    ServedAdapter,
    ServedJSONAdapter,
    ServedXMLAdapter,
    serving_adapter,
)
from streams.stages.prompt import Prompt
from tests.streams.scripted import said

PLAIN = dspy_adapter()


class Mood(Enum):
    GOOD = "good"
    BAD = "bad"


def signature(inputs, outputs):
    fields = {n: (kind, dspy.InputField()) for n, kind in inputs.items()}
    fields |= {n: (kind, dspy.OutputField()) for n, kind in outputs.items()}
    return dspy.make_signature(fields, "Do it.")


USUAL = signature(
    {"text": str, "n": int, "past": dspy.History},
    {"kind": Literal["a", "b"], "found": list[str], "note": str | None},
)
ENUM = signature({"text": str}, {"mood": Mood})
IMAGE = signature({"picture": dspy.Image, "text": str}, {"kind": str})
CODE = signature({"text": str}, {"code": dspy.Code["python"], "kind": str})
SIGNATURES = {"usual": USUAL, "enum": ENUM, "image": IMAGE, "code": CODE}
INPUTS = {
    "usual": {
        "text": "x",
        "n": 2,
        "past": dspy.History(messages=[{"text": "y", "kind": "a", "found": []}]),
    },
    "enum": {"text": "x"},
    "image": {"picture": dspy.Image("https://a.example/b.png"), "text": "x"},
    "code": {"text": "x"},
}
VALUES = {
    "usual": {"kind": "a", "found": ["x"], "note": "y"},
    "enum": {"mood": "good"},
    "image": {"kind": "cat"},
    "code": {"code": "x = [1]", "kind": "k"},
}
KINDS = {"chat": ServedAdapter, "json": ServedJSONAdapter, "xml": ServedXMLAdapter}
ANSWERS = {
    "usual": said(kind="a", found='["x"]', note="null"),
    "enum": said(mood="good"),
    "image": said(kind="cat"),
    "code": said(code="```python\nx = [1]\n```", kind="k"),
}

known = pytest.mark.parametrize("known", [True, False])
each = pytest.mark.parametrize("name", SIGNATURES)


def made(name, *, known):
    return ServedAdapter([dspy.Predict(SIGNATURES[name])] if known else [])


@each
@known
@pytest.mark.parametrize("layout", ADAPTERS)
def test_it_asks_and_reads_as_dspy_does(layout, name, known):
    one, plain = SIGNATURES[name], dspy_adapter(layout)
    ours = KINDS[layout]([dspy.Predict(one)] if known else [])
    assert isinstance(ours, type(plain))
    asked = ours.format(one, [], INPUTS[name])
    assert asked == plain.format(one, [], INPUTS[name])
    answer = written(VALUES[name], layout)
    assert ours.parse(one, answer) == plain.parse(one, answer)


@pytest.mark.parametrize("layout", ["json", "xml"])
def test_broken_texts_that_only_dspy_can_read_are_refused_when_long(layout):
    broken = "{" * 100_000
    with pytest.raises(AdapterParseError):
        KINDS[layout]().parse(ENUM, broken)


@each
def test_what_does_not_fit_is_dspys_error(name):
    with pytest.raises(AdapterParseError):
        made(name, known=True).parse(SIGNATURES[name], "no field")


def test_other_demos_than_the_compiled_ones_are_shown():
    predictor = dspy.Predict(ENUM)
    ours = ServedAdapter([predictor])
    demos = [{"text": "hello", "mood": "good"}]
    asked = ours.format(ENUM, demos, {"text": "x"})
    assert asked == PLAIN.format(ENUM, demos, {"text": "x"})


@pytest.mark.parametrize("name", ["usual", "enum"])
def test_text_that_would_take_seconds_to_repair_is_refused_at_once(name):
    broken = "{" * 100_000
    answer = said(kind="a", found=broken, note="x", mood=broken)
    with pytest.raises(AdapterParseError):
        made(name, known=False).parse(SIGNATURES[name], answer)


def test_long_text_where_text_may_stand_is_no_reason_to_refuse():
    answer = said(kind="a", found="[]", note="[" * 50_000)
    read = made("usual", known=True).parse(USUAL, answer)
    assert len(read["note"]) == 50_000
    long = said(code="x = [1]\n" * 5_000, kind="k")
    assert "x = [1]" in str(made("code", known=True).parse(CODE, long)["code"])


def test_if_it_would_ask_otherwise_dspys_own_is_taken(monkeypatch):
    class Louder(Prompt):
        def messages(self, fields, history=()):
            *head, user = super().messages(fields, history)
            return (*head, {**user, "content": user["content"] + "!"})

    module = dspy.Predict(ENUM)
    assert isinstance(serving_adapter(module), ServedAdapter)
    monkeypatch.setattr(adapter, "Prompt", Louder)
    assert not isinstance(serving_adapter(module), ServedAdapter)
