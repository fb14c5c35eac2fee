"""Each pipeline under ``examples/pipelines`` compiles, and does what its head says.

Twice: with an LM that says what is written here, and with ``local/demo``, whose answers
mean little and have every type.
"""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from schemas.records import Usage
from streams.catalog import STAGE_KINDS, toolbox
from streams.clock import SystemClock
from streams.config import Settings
from streams.metrics import NullRecorder
from streams.pipeline import compile_text
from streams.stage import Answer
from tests.streams.scripted import said

EXAMPLES = Path(__file__).parents[2] / "examples"
FILES = sorted((EXAMPLES / "pipelines").glob("*.yaml"))

INPUTS = {
    "triage": {"ticket": "My invoice is wrong", "email": "ada@example.com"},
    "extraction": {"mail": "Invoice A-17 to Ada in Berlin: 2 grinders at 30.50"},
    "rag": {"question": "May I use soap for the brewing group?"},
    "assistant": {"question": "Where is order A-17?", "today": "2026-02-28"},
    "summary": {"text": "Water is life.\n\n" + "Pipes carry it. " * 300, "words": 50},
}


class Author:
    """An LM that says for each stage what a test wrote; a function gets the prompt."""

    name = "small"
    fingerprint = "author"

    def __init__(self, **answers):
        self.answers = {name: [*them] for name, them in answers.items()}
        self.asked = []

    def available(self):
        return True

    async def complete(self, stage, call):
        prompt = call.messages[-1]["content"]
        self.asked.append((stage, prompt))
        answer = self.answers[stage]
        said_now = answer.pop(0) if len(answer) > 1 else answer[0]
        if callable(said_now):
            said_now = said_now(prompt)
        return Answer(text=said(**said_now), usage=Usage(calls=1))

    async def aclose(self):
        pass


def compiled(name, tools):
    path = EXAMPLES / "pipelines" / f"{name}.yaml"
    return compile_text(path.read_text("utf-8"), path.name, tools)


@pytest.fixture
def answered(bench):
    """Runs an example whose LM says what is given here."""

    async def run(name, author, **inputs):
        tools = replace(
            bench.toolbox, kinds=STAGE_KINDS, open_lm=lambda _name, _options: author
        )
        end = await bench.run(
            compiled(name, tools), pipeline=name, inputs=INPUTS[name] | inputs
        )
        assert end.result.status == "OK", end.result.error
        return end.result.outputs

    return run


def test_there_are_five_and_each_is_tested():
    assert {path.stem for path in FILES} == INPUTS.keys()


@pytest.mark.parametrize("name", INPUTS)
async def test_the_demo_lm_answers_each_of_them(bench, name):
    settings = Settings(code_modules="examples")
    with_demo = toolbox(settings, {}, NullRecorder(), SystemClock())
    end = await bench.run(compiled(name, with_demo), pipeline=name, inputs=INPUTS[name])
    assert end.result.status == "OK", end.result.error


@pytest.mark.parametrize(
    ("email", "sorted_as", "reply", "queue"),
    [
        ("ada@example.com", ("billing", 0.9), "We look at your invoice.", "robot"),
        ("grace@example.org", ("bug", 0.9), "Which steps?", "person"),
        ("a@b.example", ("other", 0.2), "Thank you for writing to us.", "person"),
    ],
)
async def test_triage_replies_by_category_and_leaves_doubts_to_a_person(
    answered, email, sorted_as, reply, queue
):
    category, sure = sorted_as
    author = Author(
        sort=[{"category": category, "sure": sure}],
        refund=[{"reasoning": "r", "reply": "We look at your invoice."}],
        fix=[{"reasoning": "r", "reply": "Which steps?"}],
    )
    outputs = await answered("triage", author, email=email)
    assert outputs["category"] == category
    assert outputs["reply"].startswith(reply)
    assert outputs["queue"] == queue


async def test_triage_goes_on_without_a_category(answered):
    author = Author(sort=[{"category": "nonsense", "sure": 2}])
    outputs = await answered("triage", author)
    assert (outputs["category"], outputs["queue"]) == ("other", "person")


INVOICE = {
    "number": "A-17",
    "issued": None,
    "to": {"name": "Ada", "city": "Berlin"},
    "lines": [{"item": "grinder", "count": 2, "price": 30.5}],
    "total": 61.0,
}


async def test_extraction_asks_again_and_says_which_rules_do_not_hold(answered):
    wrong = INVOICE | {"total": 6.1}
    author = Author(
        read=[{"invoice": json.dumps(wrong)}, {"invoice": json.dumps(INVOICE)}]
    )
    outputs = await answered("extraction", author)
    assert outputs["problems"] == []
    assert outputs["invoice"]["total"] == 61.0
    assert outputs["invoice"]["to"]["country"] == "DE"  # the default of the record
    first, second = [prompt for _, prompt in author.asked]
    assert "no line costs more than all" not in first
    assert "no line costs more than all" in second


async def test_extraction_gives_up_after_three_and_says_why(answered):
    author = Author(read=[{"invoice": json.dumps(INVOICE | {"total": 6.1})}])
    outputs = await answered("extraction", author)
    assert outputs["problems"] == ["no line costs more than all"]
    assert len(author.asked) == 3


async def test_rag_finds_the_passage_and_checks_what_is_cited(answered):
    author = Author(
        answer=[{"reasoning": "r", "answer": "No.", "citations": '["[cleaning#2]"]'}]
    )
    outputs = await answered("rag", author)
    assert outputs == {"answer": "No.", "citations": ["cleaning#2"], "grounded": True}
    assert "Do not use soap" in author.asked[0][1]


@pytest.mark.parametrize("cited", ['["warranty#9"]', "[]"])
async def test_rag_tells_an_answer_that_is_not_grounded(answered, cited):
    author = Author(answer=[{"reasoning": "r", "answer": "Yes!", "citations": cited}])
    assert (await answered("rag", author))["grounded"] is False


async def test_the_assistant_calls_its_tools_and_answers(answered):
    def calls(tool, **arguments):
        return {
            "next_thought": "Hm.",
            "next_tool_name": tool,
            "next_tool_args": json.dumps(arguments),
        }

    author = Author(
        solve=[
            calls("find_order", number="a-17"),
            calls("days_between", first="2026-02-20", last="2026-02-28"),
            calls("find_order", number="A-99"),
            calls("finish"),
            {"reasoning": "r", "answer": "It was sent eight days ago."},
        ]
    )
    outputs = await answered("assistant", author)
    assert outputs["answer"] == "It was sent eight days ago."
    found, days, unknown = outputs["tool_calls"]
    assert json.loads(found["result"])["state"] == "sent"
    assert days["result"] == "8"
    assert not unknown["ok"]
    assert unknown["result"].endswith("UnknownOrderError: A-99")


async def test_the_summary_is_made_of_every_part_in_order(answered):
    text = "\n\n".join(f"Chapter {n}. {'Water flows. ' * 200}" for n in range(12))
    author = Author(
        sum_up=[lambda prompt: {"gist": re.search(r"Chapter \d+", prompt)[0]}],
        whole=[{"reasoning": "r", "summary": "Water."}],
    )
    outputs = await answered("summary", author, text=text)
    assert outputs == {"summary": "Water.", "parts": 12}
    notes = author.asked[-1][1]
    assert re.findall(r"(\d+)\. Chapter (\d+)", notes) == [
        (str(n + 1), str(n)) for n in range(12)
    ]
