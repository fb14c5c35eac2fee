"""A flow may call a pipeline several times: each call has a name, and stages of it."""

import json

import pytest

from schemas.differences import differences
from streams.compiling.callees import MAX_CALLS
from streams.errors import ConfigError
from streams.pipeline import compile_file, compile_folder
from streams.views.changes import changes_between
from tests.streams.flows import drawn, file_of

ENRICH = file_of(
    "[look, {when: sure > 0.5, then: [note]}]",
    "look: mail -> facts",
    "note: facts -> remark",
    takes="mail: str, sure: float = 0.9",
    output="facts, remark",
    name="enrich",
    version=2,
)
MAIL = "{pipeline: enrich@2, inputs: {mail: ticket}}"
REPLY = (
    "{pipeline: enrich@2, as: again, inputs: {mail: reply}, "
    "outputs: {facts: more, remark: last}}"
)
FLOW = f"[{MAIL}, draft, {REPLY}, close]"
STAGES = ("draft: facts, remark -> reply", "close: more, last -> x")


def desk_of(flow=FLOW, *stages, output="x"):
    return file_of(flow, *(stages or STAGES), output=output)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "enrich.yaml").write_text(ENRICH)
    return tmp_path


def compiled(bench, folder, text):
    (folder / "desk.yaml").write_text(text)
    return compile_folder(folder, bench.toolbox)["desk"]


def located(bench, folder, text):
    """Return what is wrong with the desk that *text* describes, with its places."""
    with pytest.raises(ConfigError) as caught:
        compiled(bench, folder, text)
    told = [problem.located for problem in caught.value.problems]
    return [each.replace(f"{folder}/", "") for each in told]


def test_a_pipeline_may_be_called_before_and_after_a_stage(bench, folder):
    desk = compiled(bench, folder, desk_of())
    assert [stage.name for stage in desk.stages] == [
        "enrich_look",
        "enrich_note",
        "draft",
        "again_look",
        "again_note",
        "close",
    ]
    first, _, second, _ = desk.flow.nodes
    assert (first.title, second.title) == ("enrich@2", "enrich@2 as again")
    assert second.inputs == {"mail": "reply", "sure": "sure"}


def test_each_call_is_named_in_versions_and_labels(bench, folder):
    desk = compiled(bench, folder, desk_of())
    assert {"enrich_look", "again_look"} < desk.versions.keys()
    (again,) = [stage for stage in desk.stages if stage.name == "again_look"]
    assert again.labels == {"pipeline": "desk", "stage": "again_look"}


async def test_both_calls_run_on_inputs_of_their_own(bench, folder):
    desk = compiled(bench, folder, desk_of())
    bench.lm.say("enrich_look", {"facts": "of the mail"})
    bench.lm.say("enrich_note", {"remark": "one"})
    bench.lm.say("draft", {"reply": "dear"})
    bench.lm.say("again_look", {"facts": "of the reply"})
    bench.lm.say("again_note", {"remark": "two"})
    bench.lm.say("close", {"x": "done"})
    inputs = {"ticket": "broken", "sure": 0.9, "parts": []}
    end = await bench.run(desk, inputs=inputs)
    assert end.result.outputs == {"x": "done"}
    ((seen, _),) = bench.stages["again_look"].seen
    assert seen == {"mail": "dear"}
    ((seen, _),) = bench.stages["close"].seen
    assert seen == {"more": "of the reply", "last": "two"}
    # All that tells executions apart has the names of the calls.
    assert {getattr(entry, "site", "") for entry in bench.entries} >= {
        "enrich_look",
        "again_look",
    }


def test_two_branches_may_call_one_pipeline_at_the_same_time(bench, folder):
    flow = f"[{{parallel: {{a: [{MAIL}], b: [{REPLY.replace('reply', 'ticket')}]}}}}]"
    desk = compiled(
        bench, folder, desk_of(f"{flow[:-1]}, close]", STAGES[1], output="x, facts")
    )
    assert drawn(desk.flow) == (
        "((a: enrich@2((enrich_look > (sure > 0.5 ? enrich_note : ()))) | "
        "b: enrich@2((again_look > (sure > 0.5 ? again_note : ())))) > close)"
    )


def test_a_hole_that_goes_into_one_call_is_none_in_the_other(bench, folder):
    flow = f"[b, {MAIL}, {REPLY.replace('reply', 'y')}]"
    text = desk_of(
        flow, "b: ticket -> y & on_failure: skip", output="facts, more, remark, last"
    )
    assert compiled(bench, folder, text).may_lack == {"more", "last"}


def test_lms_of_one_name_are_shared_by_all_calls(bench, folder):
    compiled(bench, folder, desk_of())
    assert len(compile_file(folder / "desk.yaml", bench.toolbox).lms) == 1


def test_the_name_of_a_call_is_in_the_fingerprint(bench, folder):
    before = compiled(bench, folder, desk_of()).fingerprint
    text = desk_of().replace("as: again", "as: anew")
    assert compiled(bench, folder, text).fingerprint != before


def test_who_renames_a_call_is_told_that_its_stages_are_gone_and_nobody_breaks(
    bench, folder
):
    old = compiled(bench, folder, desk_of())
    new = compiled(bench, folder, desk_of().replace("as: again", "as: anew"))
    said = {f"{each.place}: {each.sentence}" for each in changes_between(old, new)}
    assert "stages.again_look: is gone" in said
    assert "fingerprint: changed: runs in flight begin anew" in said
    assert any("pipeline enrich@2 as anew with" in each for each in said)
    before, after = (
        json.dumps(pipeline.stage_result_schema("penstock.desk"))
        for pipeline in (old, new)
    )
    found = differences("FORWARD_TRANSITIVE", json.loads(before), json.loads(after))
    assert "outputs.again_look is gone: readers see null" in map(str, found)
    assert "outputs.anew_look is new" in map(str, found)
    assert not any(each.breaks for each in found)


def test_the_pipelines_own_name_may_be_said(bench, folder):
    before = compiled(bench, folder, desk_of())
    text = desk_of(FLOW.replace(MAIL, MAIL.replace("@2", "@2, as: enrich")))
    after = compiled(bench, folder, text)
    assert after.fingerprint == before.fingerprint
    assert after.flow.nodes[0].title == "enrich@2"


CASES = [
    (
        "as: again, ",
        "",
        (
            "flow.3.pipeline: another call is named enrich, at flow.1: write "
            "`as: another_name`"
        ),
    ),
    (
        "as: again",
        "as: enrich",
        (
            "flow.3.pipeline: another call is named enrich, at flow.1: write "
            "`as: another_name`"
        ),
    ),
    (
        "as: again",
        "as: draft",
        "flow.3.as: a stage is called draft; choose another name",
    ),
    ("as: again", "as: a-gain", "flow.3.as: 'a-gain' is no name"),
    ("as: again", "as: 3", "flow.3.as: must be text, and not empty"),
    ("as: again", "is: again", "flow.3.is: is unknown; known: as, inputs"),
    (
        "as: again",
        f"as: {'a' * 60}",
        f"flow.3.as: '{'a' * 20}'… has more than 64 characters",
    ),
    (
        "outputs: {facts: more, remark: last}",
        "outputs: {facts: more, remark: more}",
        "flow.3.outputs.remark: more is made of two outputs",
    ),
]


@pytest.mark.parametrize(("before", "after", "problem"), CASES)
def test_a_name_that_a_call_cannot_have_is_a_problem_at_its_place(
    bench, folder, before, after, problem
):
    # Each item on a line, so that the line says which it is.
    text = desk_of().replace(FLOW, f"\n- {MAIL}\n- draft\n- {REPLY}\n- close")
    found = located(bench, folder, text.replace(before, after))
    _, line, column, told = found[0].split(":", 3)
    assert told.strip().startswith(problem)
    assert int(line) == text.splitlines().index(f"- {REPLY}") + 1
    assert int(column) > len("- {")


def test_stages_of_a_call_and_of_the_file_have_different_names(bench, folder):
    text = desk_of(FLOW.replace("draft,", "draft, again_look,"), *STAGES)
    text = text.replace("  draft:", '  again_look: {ask: "ticket -> w"}\n  draft:')
    (found,) = located(bench, folder, text)
    assert "flow.4.as: a stage of it would be called again_look, and there" in found


def test_what_nobody_read_is_not_made_again_by_the_next_call(bench, folder):
    again = "{pipeline: enrich@2, as: again, inputs: {mail: ticket}}"
    text = desk_of(f"[{MAIL}, {again}, a]", "a: facts, remark: str | None -> x")
    facts, remark = located(bench, folder, text)
    assert "flow.2.pipeline: makes facts again, and nobody read what enrich" in facts
    assert "makes remark again" in remark


def test_the_problems_of_a_pipeline_are_told_once_however_often_it_is_called(
    bench, folder
):
    for wrong in ("mail -> fact", "mail -> facts: strng"):
        text = ENRICH.replace("mail -> facts", wrong)
        (folder / "enrich.yaml").write_text(text)
        found = located(bench, folder, desk_of())
        assert sum(each.startswith("desk.yaml") for each in found) == 1


def doubling(folder, count):
    """Write *count* pipelines of which each calls the next one twice."""
    for number in range(count):
        name = f"p{number}"
        flow = "[a]"
        if number < count - 1:
            call = f"pipeline: p{number + 1}@1, outputs"
            flow = f"[a, {{{call}: {{x: y}}}}, {{{call}: {{x: z}}, as: b}}]"
        text = file_of(flow, "a: ticket -> x", output="x", name=name)
        (folder / f"{name}.yaml").write_text(text)


def test_calls_inside_of_calls_are_named_after_all_of_them(bench, folder):
    doubling(folder, 3)
    pipeline = compile_file(folder / "p0.yaml", bench.toolbox)
    assert [stage.name for stage in pipeline.stages] == [
        "a",
        "p1_a",
        "p1_p2_a",
        "p1_b_a",
        "b_a",
        "b_p2_a",
        "b_b_a",
    ]


def test_a_loop_may_call_a_pipeline_twice_and_a_clash_in_it_is_told_once(bench, folder):
    body = f"{MAIL}, draft, {REPLY}"
    flow = f"[{{loop: [{body}], until: last == 'k', max_iterations: 2}}, close]"
    assert compiled(bench, folder, desk_of(flow)).stages[3].name == "again_look"
    (found,) = located(bench, folder, desk_of(flow.replace("as: again, ", "")))
    assert "another call is named enrich, at flow.1.loop.1" in found
    (found,) = located(bench, folder, desk_of(flow.replace("as: again", "as: draft")))
    assert "flow.1.loop.3.as: a stage is called draft" in found


def test_calls_of_calls_are_bounded(bench, folder):
    doubling(folder, 10)
    with pytest.raises(ConfigError) as caught:
        compile_folder(folder, bench.toolbox)
    told = f"p1 and all that it calls are more than {MAX_CALLS} calls"
    assert any(told in problem for problem in caught.value.problems)
