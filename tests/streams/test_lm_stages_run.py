"""Every kind of stage that asks an LM, from its file, in a run that dies anywhere."""

import re
from dataclasses import replace

import dspy
import pytest

from schemas.records import Usage
from streams.catalog import STAGE_KINDS
from streams.errors import ConfigError
from streams.journal import CallEntry, Journal
from streams.pipeline import compile_text
from streams.stage import Answer
from streams.user_code import UserCode
from tests.streams.scripted import said

DESK = f"""
pipeline: desk
version: 1
types: {{ToolCall: "tool: str, arguments: str, ok: bool, result: str"}}
input: "ticket: str"
output: "answer: str, tool_calls: list[ToolCall], note: str, kind: str, team: str"
lms: {{small: {{model: scripted}}}}
tools:
  lookup: {{call: "{__name__}:lookup", timeout: 5s}}
  breaks: {{call: "{__name__}:breaks"}}
stages:
  solve: {{react: "ticket -> answer", tools: [lookup, breaks], max_calls: 4}}
  note: {{predict: "answer -> note", best_of: {{n: 3, reward: "{__name__}:worth",
    threshold: 9}}}}
  sort: {{program: "ticket -> kind", state: programs/sort.json}}
  send: {{program: "kind -> team", class: "{__name__}:Send", threads: 2}}
flow: [solve, note, sort, send]
"""
CALLED = []


def lookup(number: int) -> dict:
    """Find an order."""
    CALLED.append("lookup")
    return {"number": number, "state": "sent"}


async def breaks(number: int) -> str:
    """Break."""
    CALLED.append("breaks")
    reason = f"no {number}"
    raise LookupError(reason)


def worth(inputs, outputs):
    """Return a reward: none is ever good, and none is better than another."""
    return len(inputs["answer"]) / 1_000 * len(outputs["note"])


class Send(dspy.Module):
    """Asks on a thread, twice."""

    def __init__(self):
        super().__init__()
        self.guess = dspy.Predict("kind -> guess")
        self.team = dspy.Predict("guess -> team")

    def forward(self, kind):
        return self.team(guess=self.guess(kind=kind).guess)


class Clever:
    """Says what fits the messages, whoever asks, and remembers that it was asked."""

    name = "small"
    fingerprint = "clever"

    def __init__(self):
        self.asked = []

    def available(self):
        return True

    async def complete(self, stage, call):
        told = "\n".join(str(message["content"]) for message in call.messages)
        self.asked.append((call.request_id, told))
        return Answer(text=self._text(told), usage=Usage(calls=1))

    def _text(self, told):
        if "`next_tool_name`" in told.partition("All interactions")[0]:
            turns = len(re.findall(r"observation_\d", told))
            tool = ("lookup", "breaks", "finish")[min(turns, 2)]
            args = '{"number": 7}' if turns < 2 else "{}"
            return said(next_thought="Hm.", next_tool_name=tool, next_tool_args=args)
        wanted = re.search(r"Your output fields are:\n(.*?)\nAll", told, re.DOTALL)[1]
        return said(**dict.fromkeys(re.findall(r"`(\w+)`", wanted), "fine"))

    async def aclose(self):
        pass


@pytest.fixture
def desk(bench, tmp_path):
    CALLED.clear()
    bench.lm = Clever()
    (tmp_path / "programs").mkdir()
    dspy.Predict("ticket: str -> kind: str").save(tmp_path / "programs/sort.json")
    return compile_text(DESK, "desk.yaml", toolbox(bench, tmp_path))


def toolbox(bench, folder):
    return replace(
        bench.toolbox,
        kinds=STAGE_KINDS,
        code=UserCode([__name__]),
        folder=folder,
    )


async def test_all_kinds_answer_in_one_run(bench, desk):
    end = await bench.run(desk)
    assert end.result.status == "OK", end.result.error
    assert end.result.outputs["team"] == "fine"
    calls = end.result.outputs["tool_calls"]
    assert [(call["tool"], call["ok"]) for call in calls] == [
        ("lookup", True),
        ("breaks", False),
    ]
    assert calls[1]["result"].endswith("LookupError: no 7")
    assert CALLED == ["lookup", "breaks"]
    # Three turns and the end; three tries; the state; two on a thread.
    assert len(bench.lm.asked) == 4 + 3 + 1 + 2
    ids = [request_id for request_id, _ in bench.lm.asked]
    assert len(set(ids)) == len(ids)
    prefixes = [version.split("@")[0] for version in desk.versions.values()]
    assert sorted(prefixes) == ["best_of", "program", "program", "react"]


async def test_a_run_that_died_anywhere_repeats_no_finished_call(bench, desk):
    whole = await bench.run(desk)
    entries, whole_calls = bench.entries, len(bench.lm.asked) + len(CALLED)
    for died in range(len(entries) + 1):
        kept = entries[:died]
        bench.lm.asked.clear()
        CALLED.clear()
        end = await bench.run(desk, start={"journal": Journal.of(kept)})
        assert end.result.outputs == whole.result.outputs
        # Those of a finished stage are in its own entry, and count as done too.
        done = sum(isinstance(entry, CallEntry) for entry in kept)
        assert len(bench.lm.asked) + len(CALLED) <= whole_calls - done


def problems(bench, folder, old, new):
    assert old in DESK
    with pytest.raises(ConfigError) as caught:
        compile_text(DESK.replace(old, new), "desk.yaml", toolbox(bench, folder))
    return [p.removeprefix("desk.yaml: ") for p in caught.value.problems]


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        (", threads: 2", "", "stages.send.program: "),
        ("tools: [lookup, breaks]", "tools: [look]", "stages.solve.tools: "),
        (", tools: [lookup, breaks]", "", "stages.solve.tools: "),
        (f"{__name__}:lookup", "os:system", "tools.lookup.call: "),
        ("sort.json", "gone.json", "stages.sort.state: "),
        ("sort.json", "../sort.json", "stages.sort.state: "),
        ("ticket -> kind", "mail = 'a' -> kind", "stages.sort.program: "),
        (f"{__name__}:worth", f"{__name__}:gone", "stages.note.best_of.reward: "),
        ("n: 3", "n: 300", "stages.note.best_of.n: "),
        ("ok: bool, result", "ok: str, result", "types.ToolCall: "),
    ],
)
@pytest.mark.usefixtures("desk")
def test_what_is_wrong_is_said_at_its_place(bench, tmp_path, old, new, place):
    assert any(p.startswith(place) for p in problems(bench, tmp_path, old, new))
