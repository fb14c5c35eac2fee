"""What a pipeline does can be read without running it: stages, fields, changes."""

import pytest

from streams.pipeline import compile_folder
from streams.views.changes import changes_between
from streams.views.explain import explanation_of

DESK = """
pipeline: desk
version: 1
input: "ticket: str, parts: list[str, ..20]"
output: "reply, notes: list[str], word: str | None"
lms: {small: {model: scripted}}
stages:
  sort: {ask: "ticket -> topic", timeout: 2s, attempts: 1}
  bill: {ask: "ticket -> reply", timeout: 4s, attempts: 1, on_failure: {stage: spare}}
  spare: {ask: "ticket -> reply", timeout: 1s, attempts: 1}
  other: {ask: "ticket -> reply", timeout: 3s, attempts: 1}
  note: {ask: "part -> note", timeout: 1s, attempts: 1}
  polite: {ask: "reply -> reply, done: bool", timeout: 1s, attempts: 1}
  facts: {ask: "ticket -> fact", timeout: 1s, attempts: 1, on_failure: skip}
  mood: {ask: "ticket -> mood", timeout: 2s, attempts: 1}
  quick: {ask: "ticket -> word", timeout: 1s, attempts: 1}
  slow:
    ask: "ticket -> word"
    timeout: 1s
    attempts: 1
    on_failure: {default: {word: none}}
flow:
  - sort
  - {when: "topic == 'bill'", then: [bill], else: [other]}
  - {map: [note], over: parts, each: part, collect: {note: notes}, width: 8}
  - {loop: [polite], until: "done", max_iterations: 3}
  - {parallel: {a: [facts], b: [mood]}}
  - {fallback: [[quick], [slow]]}
"""
CALLER = """
pipeline: caller
version: 1
input: "mail: str"
output: "answer"
lms: {small: {model: scripted}}
stages: {polite: {ask: "answer -> answer", timeout: 1s, attempts: 1}}
flow:
  - {pipeline: callee@1, inputs: {ticket: mail}, outputs: {reply: answer}}
  - polite
"""
CALLEE = """
pipeline: callee
version: 1
input: "ticket: str"
output: "reply"
lms: {small: {model: scripted}}
stages: {draft: {ask: "ticket -> reply", timeout: 5s, attempts: 2}}
flow: [draft]
"""


@pytest.fixture
def told(bench):
    return explanation_of(bench.compile(DESK))


def test_stages_say_what_they_stand_in(told):
    within = {row["stage"]: row["within"] for row in told.stages}
    assert within == {
        "sort": "",
        "bill": "when topic == 'bill'",
        "spare": "in place of bill",
        "other": "unless topic == 'bill'",
        "note": "map parts",
        "polite": "loop, 3 times at most",
        "facts": "parallel a",
        "mood": "parallel b",
        "quick": "fallback 1",
        "slow": "fallback 2",
    }


def test_stages_say_what_follows_from_their_failure(told):
    policies = {row["stage"]: row["on_failure"] for row in told.stages}
    assert policies["sort"] == "fail"
    assert policies["bill"] == "stage spare"
    assert policies["facts"] == "skip"
    assert policies["slow"] == "default word"


def test_every_field_says_who_makes_it_and_who_takes_it(told):
    uses = {row["field"]: (row["made by"], row["taken by"]) for row in told.fields}
    assert uses["topic"] == (["sort"], ["condition topic == 'bill'"])
    assert uses["reply"] == (
        ["bill", "spare", "other", "polite"],
        ["polite", "the output"],
    )
    assert uses["parts"] == (["the input"], ["map parts"])
    assert uses["part"] == (["map parts"], ["note"])
    assert uses["notes"] == (["map parts"], ["the output"])
    assert uses["done"] == (["polite"], ["condition done"])
    kinds = {row["field"]: row["type"] for row in told.fields}
    assert kinds["notes"] == "list[str]"


def test_the_worst_case_follows_the_longest_way(told):
    # By their fields only these wait for each other: 2 s to sort, 4 + 1 s for bill
    # and its stand-in, and 3 times 1 s to make it polite. Twenty notes, eight at a
    # time, take 3 s beside that.
    assert told.worst["time"] == "10 s"
    # 1 + 2 for one of the two ways, 20 notes, 3 times polite, 2 beside, 2 words.
    assert told.worst["lm calls"] == "30"
    assert told.worst["without a timeout"] == []


@pytest.fixture
def called(bench, tmp_path):
    (tmp_path / "caller.yaml").write_text(CALLER)
    (tmp_path / "callee.yaml").write_text(CALLEE)
    return compile_folder(tmp_path, bench.toolbox)["caller"]


def test_fields_of_another_pipeline_are_its_own(called):
    told = explanation_of(called)
    assert [row["field"] for row in told.fields] == ["mail", "answer"]
    made = {row["field"]: row["made by"] for row in told.fields}
    assert made["answer"] == ["pipeline callee@1", "polite"]
    assert [row["within"] for row in told.stages] == ["pipeline callee@1", ""]
    assert told.worst["lm calls"] == "3"


CHANGES = [
    ("on_failure: skip", "on_failure: fail", "stages.facts.on_failure", "is fail; it"),
    ("{stage: spare}", "skip", "stages.bill.on_failure", "is skip; it was stage spare"),
    ("width: 8", "width: 4", "flow", "is sort, when"),
    ("max_iterations: 3", "max_iterations: 4", "flow", "is sort, when"),
    ("'bill'\", then", "'bug'\", then", "flow", "is sort, when topic == 'bug' (bill |"),
    ("{word: none}", "{word: some}", "stages.slow.on_failure", "is default {'word':"),
    ("attempts: 1\n    on", "attempts: 2\n    on", "stages.slow.attempts", "is 2; it"),
    ("pipeline: desk", "pipeline: tables", "pipeline", "is tables; it was desk"),
    (", ..20]", ", ..30]", "schemas", "changed: `penstock schemas diff` says"),
]


@pytest.mark.parametrize("change", CHANGES)
def test_what_changed_is_said_at_its_place(bench, change):
    before, after, place, sentence = change
    assert DESK.replace(before, after) != DESK
    old = bench.compile(DESK)
    new = bench.compile(DESK.replace(before, after).replace(_unused(after), ""))
    found = {c.place: c.sentence for c in changes_between(old, new)}
    assert found[place].startswith(sentence), found


def _unused(after):
    """Return the stage that nothing names any more, once *after* stands there."""
    spare = '  spare: {ask: "ticket -> reply", timeout: 1s, attempts: 1}\n'
    return spare if after == "skip" else "nothing that is there"


def test_code_that_changed_under_the_same_words_is_a_change(bench):
    old = bench.compile(CALLEE)
    new = bench.compile(CALLEE)
    new.stages[0].stage.version = "ask@another"
    sentences = [c.sentence for c in changes_between(old, new)]
    assert sentences == ["its code or its program changed", *sentences[1:]]


def test_the_same_pipeline_has_not_changed(bench):
    assert changes_between(bench.compile(DESK), bench.compile(DESK)) == ()
