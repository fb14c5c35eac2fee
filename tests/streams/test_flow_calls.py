"""A flow may call the other pipelines of its folder, and none of them itself."""

import pytest

from streams.errors import ConfigError
from streams.pipeline import compile_file, compile_folder
from tests.streams.flows import drawn, file_of

ENRICH = file_of(
    "[look, {when: sure > 0.5, then: [note]}]",
    "look: mail, tier: str = 'free' -> facts",
    "note: facts -> remark",
    takes="mail: str, sure: float = 0.9",
    output="facts, remark",
    name="enrich",
    version=2,
)
CALL = "{pipeline: enrich@2, inputs: {mail: ticket}, outputs: {remark: note}}"
DESK = file_of(f"[{CALL}, a]", "a: facts, note -> x", output="x, note")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "desk.yaml").write_text(DESK)
    (tmp_path / "enrich.yaml").write_text(ENRICH)
    return tmp_path


def problems(bench, folder, **files):
    """Return what is wrong with *files*, without the name of the folder."""
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        compile_folder(folder, bench.toolbox)
    return [problem.replace(f"{folder}/", "") for problem in caught.value.problems]


def test_another_pipeline_is_run_inside_on_fields_of_its_own(bench, folder):
    desk = compile_folder(folder, bench.toolbox)["desk"]
    assert drawn(desk.flow) == (
        "(enrich@2((enrich_look > (sure > 0.5 ? enrich_note : ()))) > a)"
    )
    call = desk.flow.nodes[0]
    assert call.inputs == {"mail": "ticket", "sure": "sure"}
    assert (call.constants, call.outputs) == ({}, {"facts": "facts", "remark": "note"})
    assert [f"{f.name}: {f.type}" for f in desk.outputs] == [
        "x: str",
        "note: str | None",
    ]


def test_its_stages_have_names_of_their_own_and_the_callers_labels(bench, folder):
    desk = compile_folder(folder, bench.toolbox)["desk"]
    assert [stage.name for stage in desk.stages] == ["enrich_look", "enrich_note", "a"]
    look = desk.stages[0]
    assert look.stage.name == "enrich_look"
    assert look.labels == {"pipeline": "desk", "stage": "enrich_look"}
    assert look.constants == {"tier": "free"}


def test_a_file_may_have_no_stages_and_call_others(bench, folder):
    text = DESK.replace(", a]", "]").replace('output: "x, note"', 'output: "note"')
    begin, stages = text.split("stages:")
    (folder / "desk.yaml").write_text(begin + stages[stages.index("flow:") :])
    desk = compile_folder(folder, bench.toolbox)["desk"]
    assert [stage.name for stage in desk.stages] == ["enrich_look", "enrich_note"]


def test_inputs_that_nobody_gives_have_their_defaults(bench, folder):
    text = DESK.replace("sure: float, ", "")
    (folder / "desk.yaml").write_text(text)
    call = compile_folder(folder, bench.toolbox)["desk"].flow.nodes[0]
    assert (call.inputs, call.constants) == ({"mail": "ticket"}, {"sure": 0.9})


def test_equal_lms_of_one_name_are_one(bench, folder):
    compile_folder(folder, bench.toolbox)
    assert bench.opened == ["small", "small"]
    other = ENRICH.replace("{model: scripted}", "{model: scripted, temperature: 1}")
    (folder / "enrich.yaml").write_text(other)
    bench.opened.clear()
    desk = compile_file(folder / "desk.yaml", bench.toolbox)
    assert bench.opened == ["small", "small"]
    assert len(desk.lms) == 2


def test_one_file_finds_those_that_it_calls_beside_it_and_reads_no_others(
    bench, folder
):
    (folder / "broken.yaml").write_text("{")
    (folder / "notes.txt").write_text("-")
    desk = compile_file(folder / "desk.yaml", bench.toolbox)
    assert [stage.name for stage in desk.stages] == ["enrich_look", "enrich_note", "a"]


def test_its_flow_and_its_version_are_in_the_fingerprint(bench, folder):
    before = compile_file(folder / "desk.yaml", bench.toolbox).fingerprint
    changed = ENRICH.replace("sure > 0.5", "sure > 0.6")
    (folder / "enrich.yaml").write_text(changed)
    assert compile_file(folder / "desk.yaml", bench.toolbox).fingerprint != before


def test_two_stages_have_the_same_name_no_deeper_inside_either(bench, folder):
    inner = file_of("[x]", "x: ticket -> q", output="q", name="look", takes="ticket")
    middle = file_of(
        "[{pipeline: look@1}, look_x]",
        "look_x: q -> r",
        output="r",
        name="middle",
        takes="ticket",
    )
    desk = file_of("[{pipeline: middle@1}, a]", "a: r -> x", output="x")
    for name, text in [("look", inner), ("middle", middle), ("desk", desk)]:
        (folder / f"{name}.yaml").write_text(text)
    with pytest.raises(ConfigError, match="middle_look_x, and there is one"):
        compile_file(folder / "desk.yaml", bench.toolbox)


async def test_in_a_loop_it_sees_what_was_made_in_the_iteration_before(bench, folder):
    draft = file_of(
        "[write]",
        "write: ticket, hint: str -> reply",
        output="reply",
        name="draft",
        takes="ticket: str, hint: str = 'none'",
    )
    desk = file_of(
        "[{loop: [{pipeline: draft@1}, judge], until: sure2 > 0.5, max_iterations: 3}]",
        "judge: reply -> hint, sure2: float",
        output="reply",
    )
    (folder / "draft.yaml").write_text(draft)
    (folder / "desk.yaml").write_text(desk)
    pipeline = compile_file(folder / "desk.yaml", bench.toolbox)
    bench.lm.say("draft_write", {"reply": "one"}, {"reply": "two"})
    bench.lm.say("judge", {"hint": "more", "sure2": 0.1}, {"hint": "", "sure2": 0.9})
    inputs = {"ticket": "broken", "sure": 0.9, "parts": []}
    end = await bench.run(pipeline, inputs=inputs)
    assert end.result.outputs == {"reply": "two"}
    seen = [fields["hint"] for fields, _ in bench.stages["draft_write"].seen]
    assert seen == ["none", "more"]


def test_a_hole_goes_in_and_comes_out(bench, folder):
    text = file_of(
        f"[b, {CALL.replace('ticket', 'y')}, a]",
        "b: ticket -> y & on_failure: skip",
        "a: facts -> x",
        output="x, note",
    )
    (folder / "desk.yaml").write_text(text)
    desk = compile_file(folder / "desk.yaml", bench.toolbox)
    assert desk.may_lack == {"x", "note"}


def test_a_pipeline_may_be_called_in_a_loop_and_call_others(bench, folder):
    outer = file_of(
        "[{loop: [{pipeline: desk@1}], until: x == 'k', max_iterations: 2}]",
        "z: ticket -> z",
        output="x",
        name="outer",
    ).replace('stages:\n  z: {ask: "ticket -> z"}\n', "")
    first = '  last: {ask: "x -> y"}\n'
    outer = outer.replace("flow:", f"stages:\n{first}flow:").replace(
        "}]\n", "}, last]\n"
    )
    (folder / "outer.yaml").write_text(outer)
    pipeline = compile_file(folder / "outer.yaml", bench.toolbox)
    assert [stage.name for stage in pipeline.stages] == [
        "desk_enrich_look",
        "desk_enrich_note",
        "desk_a",
        "last",
    ]


CASES = [
    (CALL, CALL.replace("@2", "@3"), "flow.1.pipeline: enrich is in version 2 here"),
    (
        CALL,
        CALL.replace("enrich", "enrihc"),
        (
            "flow.1.pipeline: no pipeline of this folder is called enrihc; did you "
            "mean enrich?"
        ),
    ),
    (
        CALL,
        CALL.replace("mail:", "mial:"),
        "flow.1.inputs.mial: is none of the inputs of enrich; did you mean mail?",
    ),
    (
        CALL,
        CALL.replace(": ticket", ": tikcet"),
        (
            "flow.1.inputs.mail: nobody before makes tikcet, which enrich takes; did "
            "you mean ticket?"
        ),
    ),
    (
        CALL,
        CALL.replace(": ticket", ": sure"),
        (
            "flow.1.inputs.mail: sure is float from the input of the pipeline, but "
            "enrich takes mail: str"
        ),
    ),
    (
        CALL,
        CALL.replace("inputs: {mail: ticket}, ", ""),
        (
            "flow.1.pipeline: nobody before makes mail, which enrich takes; known: "
            "parts, sure, ticket"
        ),
    ),
    (
        CALL,
        CALL.replace("remark:", "remarks:"),
        (
            "flow.1.outputs.remarks: is none of the outputs of enrich; did you mean "
            "remark?"
        ),
    ),
    (
        CALL,
        CALL.replace("{remark: note}", "{remark: note, facts: note}"),
        "flow.1.outputs.remark: note is made of two outputs",
    ),
    (
        CALL,
        CALL.replace("{remark: note}", "{remark: note, facts: sure}"),
        (
            "flow.1.outputs.facts: makes sure str, but the input of the pipeline made "
            "it float"
        ),
    ),
    (
        CALL,
        f"{CALL}, {CALL}",
        (
            "flow.2.pipeline: another call is named enrich, at flow.1: write `as: "
            "another_name`"
        ),
    ),
    (
        "  a: {",
        '  enrich_look: {ask: "ticket -> w"}\n  a: {',
        (
            "flow.1.pipeline: a stage of it would be called enrich_look, and there is "
            "one; name the call otherwise: `as: another_name`"
        ),
    ),
]


@pytest.mark.parametrize(("before", "after", "problem"), CASES)
def test_a_wrong_call_is_a_problem_at_its_place(bench, folder, before, after, problem):
    text = DESK.replace(before, after)
    if "enrich_look:" in text:
        text = text.replace(", a]", ", enrich_look, a]")
    found = problems(bench, folder, desk=text)
    assert found[0] == f"desk.yaml: {problem}"


def calling(name, *others):
    calls = ", ".join(f"{{pipeline: {other}@1}}" for other in others)
    return file_of(f"[a, {calls}]", "a: ticket -> x", output="x", name=name)


def test_no_pipeline_calls_itself_directly_or_through_others(bench, tmp_path):
    files = {
        "one": calling("one", "one"),
        "two": calling("two", "three"),
        "three": calling("three", "four"),
        "four": calling("four", "two"),
    }
    found = problems(bench, tmp_path, **files)
    assert found == [
        "four.yaml: flow.2.pipeline: calls itself: four > two > three > four",
        "one.yaml: flow.2.pipeline: calls itself: one > one",
        "three.yaml: flow.2.pipeline: calls itself: three > four > two > three",
        "two.yaml: flow.2.pipeline: calls itself: two > three > four > two",
    ]


def test_a_circle_that_one_is_no_part_of_is_the_problem_of_the_others(bench, tmp_path):
    files = {"one": calling("one", "two"), "two": calling("two", "two")}
    assert problems(bench, tmp_path, **files) == [
        (
            "one.yaml: flow.2.pipeline: two has problems of its own: two.yaml: "
            "flow.2.pipeline: calls itself: two > two"
        ),
        "two.yaml: flow.2.pipeline: calls itself: two > two",
    ]


def test_the_problems_of_a_pipeline_that_is_called_are_told(bench, folder):
    for wrong in (
        ENRICH.replace("version: 2", "version: 2\nverson: 3"),
        ENRICH.replace("-> facts", "-> fact"),
        ENRICH.replace("{model: scripted}", "{model: none-such}"),
    ):
        found = problems(bench, folder, enrich=wrong)
        (told,) = [p for p in found if p.startswith("desk.yaml")]
        assert told.startswith("desk.yaml: flow.1.pipeline: enrich has problems of i")


def test_a_pipeline_that_reads_its_history_cannot_be_called(bench, folder):
    session = ENRICH.replace("lms:", "session: {}\nlms:")
    (folder / "enrich.yaml").write_text(session)
    assert compile_folder(folder, bench.toolbox)["desk"]
    reads = session.replace("facts -> remark", "facts, history -> remark")
    assert problems(bench, folder, enrich=reads) == [
        (
            "desk.yaml: flow.1.pipeline: enrich reads the history of a session, and "
            "has none inside a pipeline"
        )
    ]


def test_one_name_is_one_type_in_both(bench, folder):
    types = "Line: 'sku: str'"
    called = ENRICH.replace("lms:", f"types: {{{types}}}\nlms:")
    calls = DESK.replace("lms:", f"types: {{{types}}}\nlms:")
    (folder / "enrich.yaml").write_text(called)
    (folder / "desk.yaml").write_text(calls)
    assert compile_folder(folder, bench.toolbox)["desk"]
    assert problems(bench, folder, desk=calls.replace("sku: str", "sku: int")) == [
        "desk.yaml: flow.1.pipeline: enrich declares another type Line"
    ]


def test_a_name_that_would_be_too_long_is_one_problem(bench, folder):
    long = ENRICH.replace("look", "l" * 60)
    (found,) = problems(bench, folder, enrich=long)
    assert "has more than 64 characters" in found
