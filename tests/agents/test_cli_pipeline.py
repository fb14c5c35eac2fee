"""`penstock pipeline`: problems with their places, drawings, explanations, one run."""

import json
from xml.etree import ElementTree as ET

import pytest

from agents.__main__ import run
from agents.exit_codes import ExitCode

DESK = """
pipeline: desk
version: 1
input: "ticket: str, words: int = 3"
output: "topic, line: str"
lms: {small: {model: local/demo}}
stages:
  sort:
    predict: "ticket -> topic: Literal['bill', 'bug']"
    timeout: 8s
  write: {template: "topic, words -> line: str", text: "{{ topic }} {{ words }}"}
flow: [sort, write]
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "desk.yaml").write_text(DESK)
    return tmp_path / "pipelines"


@pytest.fixture
def env(folder, tmp_path):
    return {
        "PENSTOCK_PIPELINES_DIR": str(folder),
        "PENSTOCK_STATE_DIR": str(tmp_path / "state"),
        "PATH": "/usr/bin:/bin",
    }


@pytest.fixture
def said(env, capsys):
    """Run a verb of the noun; return its exit code and what stands on stdout."""

    def penstock(*arguments):
        code = run(["pipeline", *map(str, arguments)], env)
        return code, capsys.readouterr().out

    return penstock


WRONG = DESK.replace("timeout: 8s", "timeout: 8").replace(
    "Literal['bill', 'bug']", "strng"
)
DURATION = "must be a duration above 0: 250ms, 8s, 1m, 1h or 7d"
UNKNOWN = "unknown type strng; did you mean str?"


def test_every_problem_of_every_file_is_a_line_that_editors_read(folder, said):
    other = folder / "other.yaml"
    (folder / "desk.yaml").write_text(WRONG)
    other.write_text(DESK.replace("version: 1", "version: x"))
    code, out = said("validate")
    assert code == ExitCode.USAGE
    assert out.splitlines() == [
        f"{folder}/desk.yaml:9:32: stages.sort.predict: {UNKNOWN}",
        f"{folder}/desk.yaml:10:14: stages.sort.timeout: {DURATION}",
        f"{other}:3:10: version: must be a whole number from 1 to 2147483647",
    ]


def test_problems_as_json_have_their_parts(folder, said):
    (folder / "desk.yaml").write_text(WRONG)
    code, out = said("validate", "-o", "json")
    assert code == ExitCode.USAGE
    second, first = json.loads(out)
    assert first == {
        "file": f"{folder}/desk.yaml",
        "line": 10,
        "column": 14,
        "place": "stages.sort.timeout",
        "problem": DURATION,
    }
    assert (second["line"], second["column"]) == (9, 32)


def test_files_and_folders_may_be_named(folder, tmp_path, said):
    other = tmp_path / "alone.yaml"
    other.write_text(DESK.replace("pipeline: desk", "pipeline: alone"))
    code, out = said("validate", other, folder, "-o", "json")
    assert code == ExitCode.DONE
    assert [row["pipeline"] for row in json.loads(out)] == ["alone", "desk"]


def test_a_file_that_is_not_there_is_a_problem_too(tmp_path, said):
    code, out = said("validate", tmp_path / "no.yaml")
    assert code == ExitCode.USAGE
    assert out.startswith(f"{tmp_path}/no.yaml: cannot be read: ")


def test_other_verbs_show_places_as_well(env, folder, capsys):
    (folder / "desk.yaml").write_text(WRONG)
    assert run(["pipeline", "graph", "desk"], env) == ExitCode.USAGE
    first, *_ = capsys.readouterr().err.splitlines()
    assert first.startswith(f"penstock: {folder}/desk.yaml:10:14: stages.sort.timeout")


def test_an_unknown_name_names_the_one_that_is_meant(env, capsys):
    assert run(["pipeline", "explain", "dsk"], env) == ExitCode.USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "penstock: no pipeline is called dsk; did you mean desk?"


@pytest.mark.parametrize("named", ["desk", "file"])
def test_a_pipeline_is_drawn(folder, said, named):
    code, out = said("graph", folder / "desk.yaml" if named == "file" else "desk")
    assert code == ExitCode.DONE
    assert "│ predict · small │" in out
    assert out.splitlines()[-1].strip() == "topic, line"


def test_a_drawing_can_be_mermaid_or_svg(said):
    assert said("graph", "desk", "--format", "mermaid")[1].startswith("flowchart TD\n")
    picture = ET.fromstring(said("graph", "desk", "--format", "svg")[1])  # noqa: S314
    assert picture.get("role") == "img"


def test_an_explanation_says_who_makes_and_who_takes(said):
    code, out = said("explain", "desk", "-o", "json")
    told = json.loads(out)
    assert code == ExitCode.DONE
    assert told["fields"] == [
        _field("ticket", "str", ["the input"], ["sort"]),
        _field("words", "int", ["the input"], ["write"]),
        _field("topic", "Literal['bill', 'bug']", ["sort"], ["write", "the output"]),
        _field("line", "str", ["write"], ["the output"]),
    ]
    sort, write = told["stages"]
    assert (sort["kind"], sort["lm"], sort["makes"]) == (
        "predict",
        "small",
        ["topic: Literal['bill', 'bug']"],
    )
    assert (write["kind"], write["lm"]) == ("template", None)
    assert [row["subject"] for row in told["schemas"]] == [
        "penstock.desk.requests-value",
        "penstock.desk.stages-value",
        "penstock.desk.results-value",
    ]


def test_an_explanation_says_what_a_request_can_cost(said):
    worst = json.loads(said("explain", "desk", "-o", "json")[1])["worst"]
    # 3 x 8 s, and 0.6 s of waiting between the attempts.
    assert worst == {
        "time": "24.6 s",
        "without a timeout": ["write"],
        "lm calls": "3",
        "calls not known": [],
    }


def test_an_explanation_for_people_has_four_tables(said):
    out = said("explain", "desk")[1]
    for title in ("STAGES", "FIELDS", "SCHEMAS", "WORST CASE"):
        assert f"\n{title}\n" in out


def _field(name, kind, makers, takers):
    return {"field": name, "type": kind, "made by": makers, "taken by": takers}


CHANGES = [
    ("timeout: 8s", "timeout: 9s", "stages.sort.timeout", "is 9 s; it was 8 s"),
    ("timeout: 8s", "timeout: 9s", "fingerprint", "is the same: runs in flight go on"),
    ("'bug'", "'no'", "fingerprint", "changed: runs in flight begin anew"),
    (
        "'bug'",
        "'no'",
        "version",
        "is the same: results of before and after cannot be told apart",
    ),
    ("words: int = 3", "words: int = 4", "input.words", "is words: int = 4; it was"),
    ('"topic, line: str"', '"topic"', "output.line", "is gone; it was line: str"),
    ("version: 1", "version: 2", "version", "is 2; it was 1"),
    (
        "flow: [sort, write]",
        "  more: {predict: 'line -> end'}\nflow: [sort, write, more]",
        "stages.more",
        "is new: predict line: str -> end: str",
    ),
    (
        "flow: [sort, write]",
        "  more: {predict: 'line -> end'}\nflow: [sort, write, more]",
        "flow",
        "is sort, write, more; it was sort, write",
    ),
    ("{predict", "{predict", "", ""),
    ("predict:", "reason:", "stages.sort.kind", "is reason; it was predict"),
    ("{{ words }}", "{{ words }}!", "stages.write.text", "is {{ topic }} {{ words }}!"),
    ("lms:", "session: {ttl: 1h}\nlms:", "session", "is new: history 20, ttl 3600 s"),
]


@pytest.mark.parametrize("change", CHANGES)
def test_what_changed_is_said_in_words(tmp_path, said, change):
    before, after, place, sentence = change
    new = tmp_path / "new.yaml"
    new.write_text(DESK.replace(before, after))
    code, out = said("diff", "desk", new, "-o", "json")
    assert code == ExitCode.DONE
    found = json.loads(out)
    if not place:
        assert found == []
        return
    assert any(
        row["place"] == place and row["change"].startswith(sentence) for row in found
    ), found


def test_a_stage_that_went_is_named(tmp_path, said):
    new = tmp_path / "new.yaml"
    lines = [line for line in DESK.splitlines() if "write:" not in line]
    text = "\n".join(lines).replace("[sort, write]", "[sort]")
    new.write_text(text.replace('"topic, line: str"', '"topic"'))
    rows = json.loads(said("diff", "desk", new, "-o", "json")[1])
    assert {"place": "stages.write", "change": "is gone"} in rows


def test_a_request_runs_without_kafka(said):
    code, out = said("run", "desk", "ticket=my bill", "words=7")
    assert code == ExitCode.DONE
    first, second, *result = out.splitlines()
    assert first.startswith("1  sort  OK")
    assert first.endswith("1 call  topic=bill")
    assert second.startswith("2  write  OK")
    assert second.endswith("line=bill 7")
    assert any(line.split() == ["outputs.line", "bill", "7"] for line in result)


def test_a_run_shows_how_far_it_is_where_the_file_says_so(folder, said):
    text = DESK.replace("lms:", "progress: all\nlms:")
    items = "topic, words -> line: str"
    text = text.replace(items, "topic, part: str -> line: str").replace(
        "words }}", "part }}"
    )
    text = text.replace("words: int = 3", "parts: list[str]").replace(
        '"topic, line: str"', '"topic, lines: list[str]"'
    )
    each = "{map: [write], over: parts, each: part, collect: {line: lines}}"
    (folder / "desk.yaml").write_text(text.replace("[sort, write]", f"[sort, {each}]"))
    code, out = said("run", "desk", "ticket=a bug", 'parts=["x", "y"]')
    assert code == ExitCode.DONE
    lines = out.splitlines()
    assert "1  sort  started" in lines
    assert any(" map.1/1/write  OK  " in line for line in lines)
    assert any(line.endswith("map.1  100 %") for line in lines)


def test_a_run_as_json_is_a_line_for_each_stage_and_one_for_the_result(said, tmp_path):
    inputs = tmp_path / "inputs.json"
    inputs.write_text('{"ticket": "a bug", "words": 1}')
    code, out = said("run", "desk", "-f", inputs, "--id", "r7", "-o", "json")
    assert code == ExitCode.DONE
    sort, write, result = map(json.loads, out.splitlines())
    assert (sort["stage"]["stage"], write["stage"]["stage"]) == ("sort", "write")
    assert result["result"]["status"] == "OK"
    assert result["result"]["request_id"] == "r7"
    assert result["result"]["outputs"] == {"topic": "bug", "line": "bug 1"}


def test_wrong_inputs_are_named_before_anything_runs(env, capsys):
    assert run(["pipeline", "run", "desk", "words=many"], env) == ExitCode.USAGE
    told = capsys.readouterr()
    assert told.out == ""
    assert "ticket: " in told.err
    assert "words: " in told.err


def test_a_run_that_fails_is_exit_1(folder, said):
    text = DESK.replace(
        'text: "{{ topic }} {{ words }}"', 'text: "{{ 1 // (words - 3) }}"'
    )
    (folder / "desk.yaml").write_text(text)
    code, out = said("run", "desk", "ticket=a bug")
    assert code == ExitCode.FAILED
    assert "error=" in out
    assert "ERROR" in out


def test_a_run_may_have_a_history(folder, said, tmp_path):
    text = DESK.replace("lms:", "session: {}\nlms:").replace(
        '"ticket ->', '"ticket, history ->'
    )
    (folder / "desk.yaml").write_text(text)
    turns = tmp_path / "turns.json"
    turns.write_text('{"turns": [{"ticket": "hello", "topic": "bug"}]}')
    code, out = said("run", "desk", "ticket=again", "--history", turns, "-o", "json")
    assert code == ExitCode.DONE
    assert json.loads(out.splitlines()[-1])["result"]["turn"] == 2
    turns.write_text('{"turns": 3}')
    assert said("run", "desk", "ticket=again", "--history", turns)[0] == ExitCode.USAGE


def test_a_new_pipeline_compiles_and_runs(folder, said):
    code, _ = said("new", "answers")
    assert code == ExitCode.DONE
    path = folder / "answers.yaml"
    assert f"penstock pipeline run {path}" in path.read_text()
    assert said("validate", path)[0] == ExitCode.DONE
    code, out = said("run", "answers", "question=Where is my order?", "-o", "json")
    assert code == ExitCode.DONE
    outputs = json.loads(out.splitlines()[-1])["result"]["outputs"]
    assert outputs["topic"] == "order"
    assert outputs["reply"]


def test_nothing_is_overwritten_and_nothing_wrong_is_written(env, folder, capsys):
    assert run(["pipeline", "new", "desk"], env) == ExitCode.USAGE
    assert "is there already" in capsys.readouterr().err
    assert run(["pipeline", "new", "my-desk"], env) == ExitCode.USAGE
    assert "'my-desk' is no name" in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["desk.yaml"]
    assert (folder / "desk.yaml").read_text() == DESK


def test_the_schema_for_editors_is_printed(said):
    code, out = said("schema")
    assert code == ExitCode.DONE
    assert json.loads(out)["title"] == "A pipeline of penstock"
