"""The commands that send and read, against a worker, beside an independent client."""

import io
import os
import sys

import orjson
import pytest
import yaml

from agents.__main__ import run
from agents.exit_codes import ExitCode
from tests.integration.eventually import eventually
from tests.integration.lab import PARTITIONS, Ask, Raw
from tests.integration.texts import ECHO


@pytest.fixture(scope="module")
def lab(new_shared_lab):
    return new_shared_lab({"echo": ECHO})


@pytest.fixture
def env(lab) -> dict[str, str]:
    return {
        "PENSTOCK_BOOTSTRAP": lab.bootstrap,
        "PENSTOCK_PREFIX": lab.prefix,
        "PENSTOCK_PARTITIONS": str(PARTITIONS),
    }


@pytest.fixture(scope="module")
def worker(lab):
    """Start a worker; the tests above the first that needs it are without."""
    return lab.worker().ready()


@pytest.fixture
def penstock(env, worker, capsys):
    """Run a command; return what it said as JSON."""

    def call(*arguments: str, code: int = ExitCode.DONE):
        assert run([*arguments, "-o", "json"], env) == code
        assert worker.exit_code is None
        out = capsys.readouterr().out
        return orjson.loads(out) if out else None

    return call


def test_before_any_worker_ran_request_says_what_to_start(env, capsys):
    assert run(["request", "echo", "ticket=x"], env) == ExitCode.USAGE
    [line] = capsys.readouterr().err.splitlines()
    assert "start a worker once" in line


def test_a_pipeline_without_topics_is_named_with_those_that_there_are(env, capsys):
    for arguments in (["request", "ehco", "a=b"], ["tail", "ehco"], ["dlq", "ls", "x"]):
        assert run(arguments, env) == ExitCode.USAGE
        [line] = capsys.readouterr().err.splitlines()
        assert "there are echo" in line


def test_a_request_is_sent_to_its_home_and_its_result_shown(penstock, lab):
    result = penstock("request", "echo", "ticket=hello", "--session", "s-1")
    assert (result["status"], result["turn"]) == ("OK", 1)
    assert result["outputs"] == {"reply": "HELLO"}
    [sent] = [
        seen
        for seen in lab.tail(lab.topic("echo", "requests")).all()
        if lab.decode("echo", "requests", seen)["session_id"] == "s-1"
    ]
    assert sent.key == b"s-1"
    assert sent.offset == result["source"]["offset"]
    again = penstock("request", "echo", "ticket=more", "--session", "s-1")
    assert again["turn"] == 2
    assert again["source"]["partition"] == sent.partition


def test_with_a_registry_by_url_schemas_come_from_there(penstock, env, worker):
    env["PENSTOCK_REGISTRY_URL"] = worker.url
    assert penstock("request", "echo", "ticket=hi")["outputs"] == {"reply": "HI"}


def test_inputs_come_from_a_file_or_from_stdin(penstock, tmp_path, monkeypatch):
    file = tmp_path / "inputs.json"
    file.write_text('{"ticket": "from a file"}')
    found = penstock("request", "echo", "-f", str(file))
    assert found["outputs"]["reply"] == "FROM A FILE"
    stdin = io.TextIOWrapper(io.BytesIO(b'{"ticket": "piped"}'))
    monkeypatch.setattr(sys, "stdin", stdin)
    found = penstock("request", "echo", "-f", "-")
    assert found["outputs"]["reply"] == "PIPED"


@pytest.mark.parametrize("text", ["[1]", "{", ""])
def test_a_file_that_is_no_object_is_a_usage_error(text, env, tmp_path, capsys):
    file = tmp_path / "inputs.json"
    file.write_text(text)
    code = run(["request", "echo", "-f", str(file)], env)
    assert code == ExitCode.USAGE
    assert "inputs.json" in capsys.readouterr().err


def test_wrong_inputs_are_a_line_each_and_nothing_is_sent(lab, env, capsys):
    before = len(lab.tail(lab.topic("echo", "requests")).all())
    assert run(["request", "echo", "tikcet=x"], env) == ExitCode.USAGE
    assert capsys.readouterr().err.splitlines() == [
        "penstock: ticket: is missing",
        "penstock: tikcet: no such input; there are ticket",
    ]
    assert len(lab.tail(lab.topic("echo", "requests")).all()) == before


def test_a_result_that_is_no_answer_is_exit_1(penstock):
    found = penstock("request", "echo", "ticket=bug", code=ExitCode.FAILED)
    assert (found["status"], found["error"]["code"]) == ("ERROR", "stage.bug")
    arguments = ("request", "echo", "ticket=x", "--deadline", "1ms")
    found = penstock(*arguments, code=ExitCode.FAILED)
    assert found["status"] == "EXPIRED"


def test_an_id_that_was_used_gets_no_second_result_and_the_line_says_so(
    penstock, env, capsys
):
    penstock("request", "echo", "ticket=x", "--id", "once")
    arguments = ["request", "echo", "ticket=x", "--id", "once", "--timeout", "500ms"]
    assert run(arguments, env) == ExitCode.FAILED
    [line] = capsys.readouterr().err.splitlines()
    assert "no result of once within 0.5 s" in line


def test_without_waiting_the_place_is_told_and_get_finds_the_result(penstock, lab):
    sent = penstock("request", "echo", "ticket=later", "--no-wait", "--id", "r-get")
    assert sent["topic"] == lab.topic("echo", "requests")
    found = eventually(
        lambda: _found(penstock, "get", "r-get", "--pipeline", "echo", "--stages"),
        within_s=20,
        what="its result",
    )
    assert found["result"]["source"]["offset"] == sent["offset"]
    assert [stage["stage"] for stage in found["stages"]] == ["note", "reply"]
    assert found["result"] == penstock("get", "r-get", "--pipeline", "echo")


def _found(penstock, *arguments: str):
    try:
        return penstock(*arguments)
    except AssertionError:
        return None


def test_the_result_of_a_turn_is_found_with_its_session_only(penstock, env, capsys):
    penstock("request", "echo", "ticket=x", "--session", "s-get", "--id", "turn-1")
    where = ["get", "turn-1", "--pipeline", "echo"]
    assert penstock(*where, "--session", "s-get")["turn"] == 1
    assert run(where, env) == ExitCode.FAILED
    assert "name it with --session" in capsys.readouterr().err
    assert run([*where, "--session", "s-other"], env) == ExitCode.FAILED
    assert "is it of session s-other?" in capsys.readouterr().err


def test_tail_shows_what_is_committed_as_lines_json_or_yaml(penstock, env, capsys):
    penstock("request", "echo", "ticket=t", "--session", "s-tail", "--id", "tail-1")
    tail = ["tail", "echo", "--from", "earliest", "--session", "s-tail"]
    assert run([*tail, "-n", "1"], env) == ExitCode.DONE
    [line] = capsys.readouterr().out.splitlines()
    assert "s-tail/tail-1  turn 1  OK  reply=T" in line
    assert run([*tail, "--stages", "-n", "3", "-o", "json"], env) == ExitCode.DONE
    rows = [orjson.loads(text) for text in capsys.readouterr().out.splitlines()]
    told = {(row["value"].get("stage"), row["value"]["status"]) for row in rows}
    assert told == {("note", "OK"), ("reply", "OK"), (None, "OK")}
    assert run([*tail, "-n", "1", "-o", "yaml"], env) == ExitCode.DONE
    [document] = yaml.safe_load_all(capsys.readouterr().out)
    assert document["value"]["outputs"] == {"reply": "T"}


def test_tail_goes_on_behind_a_record_that_is_none_of_ours(penstock, lab, env, capsys):
    lab.produce([Raw(topic=lab.topic("echo", "results"), value=b"?", key=b"s-odd")])
    penstock("request", "echo", "ticket=x", "--session", "s-odd")
    tail = ["tail", "echo", "--from", "earliest", "--session", "s-odd", "-n", "2"]
    assert run(tail, env) == ExitCode.DONE
    odd, answer = capsys.readouterr().out.splitlines()
    assert "unreadable: first byte is 0x3f" in odd
    assert "reply=X" in answer


# Dead letters.


@pytest.fixture
def letter(penstock, lab):
    """Send bytes; return their dead letter as the list has it."""

    def send(raw: Raw):
        lab.produce([raw])
        origin = f"{raw.topic} {raw.partition}:{raw.offset}"
        return eventually(
            lambda: _of(penstock("dlq", "ls", "echo"), origin),
            within_s=20,
            what=f"a dead letter of {origin}",
        )

    return send


def _of(rows, origin: str):
    return next((row for row in rows if row["origin"] == origin), None)


def test_dead_letters_are_listed_by_code_and_the_newest_first_to_stay(
    penstock, lab, letter
):
    topic = lab.topic("echo", "requests")
    first = letter(Raw(topic=topic, value=b"junk", key=b"ls"))
    second = letter(Raw(topic=topic, value=b"", key=b"ls"))
    assert (first["code"], second["code"]) == ("decode.magic", "decode.empty")
    assert first["message"]
    rows = penstock("dlq", "ls", "echo", "--code", "decode.empty")
    assert second in rows
    assert first not in rows
    assert penstock("dlq", "ls", "echo", "-n", "1") == [second]


def test_a_dead_letter_is_shown_with_its_headers_and_bytes(
    penstock, lab, letter, env, capsys
):
    topic = lab.topic("echo", "requests")
    headers = (("note", b"\xff"), ("note", b"two"))
    junk = letter(Raw(topic=topic, value=b"junk", key=b"k", headers=headers))
    shown = penstock("dlq", "show", "echo", junk["place"])
    assert (shown["hex"], shown["key"]) == (b"junk".hex(), "k")
    assert shown["headers"][:2] == ["note=\ufffd", "note=two"]
    assert shown["value"] is None
    assert "first byte" in shown["problem"]
    assert run(["dlq", "show", "echo", junk["place"]], env) == ExitCode.DONE
    assert b"junk".hex() in capsys.readouterr().out


def test_what_can_be_read_of_a_dead_letter_is_shown(penstock, lab, letter):
    value = lab.encoded(
        "echo", Ask(request_id="", session_id="s", inputs={"ticket": "t"})
    )
    row = letter(Raw(topic=lab.topic("echo", "requests"), value=value, key=b"s"))
    shown = penstock("dlq", "show", "echo", row["place"])
    assert shown["value"]["inputs"] == {"ticket": "t"}
    assert shown["problem"] is None


@pytest.mark.parametrize("place", ["0:999999", "99:0"])
def test_no_dead_letter_at_a_place_is_exit_1(place, env, capsys):
    for verb in ("show", "replay"):
        assert run(["dlq", verb, "echo", place], env) == ExitCode.FAILED
        assert "`penstock dlq ls` lists" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["0:1", "--code", "x"], ["one"]])
def test_replay_wants_one_place_or_one_code(arguments, env, capsys):
    assert run(["dlq", "replay", "echo", *arguments], env) == ExitCode.USAGE
    assert "Usage:" in capsys.readouterr().err


def test_a_replayed_bug_is_executed_again_under_the_same_id(penstock, lab):
    penstock(
        *("request", "echo", "ticket=bug now", "--id", "bug-1"), code=ExitCode.FAILED
    )
    [row] = penstock("dlq", "ls", "echo", "--code", "stage.bug", "-n", "1")
    dry = penstock("dlq", "replay", "echo", row["place"], "--dry-run")
    assert (dry[0]["state"], dry[0]["now"]) == ("would be sent", None)
    [sent] = penstock("dlq", "replay", "echo", row["place"])
    assert (sent["state"], sent["replay"]) == ("sent", 1)
    found = eventually(
        lambda: (
            (result := penstock("get", "bug-1", "--pipeline", "echo"))["replay"]
            and result
        ),
        within_s=20,
        what="the result of the replay",
    )
    assert (found["replay"], found["status"]) == (1, "ERROR")
    requests = {
        f"{seen.partition}:{seen.offset}": seen
        for seen in lab.tail(lab.topic("echo", "requests")).all()
    }
    first, second = requests[row["origin"].split()[1]], requests[sent["now"]]
    assert (first.value, first.key) == (second.value, second.key)
    assert first.timestamp_ms == second.timestamp_ms
    assert second.headers == (*first.headers, ("x-penstock-replay", b"1"))


def test_a_record_of_nearly_the_largest_size_is_set_aside_and_replayed_whole(
    penstock, lab, letter
):
    topic = lab.topic("echo", "requests")
    value = os.urandom(lab.settings.max_message_bytes - 200)
    value = b"\xff" + value[1:]
    row = letter(Raw(topic=topic, value=value, key=b"large"))
    shown = penstock("dlq", "show", "echo", row["place"])
    assert shown["hex"] == value.hex()
    [sent] = penstock("dlq", "replay", "echo", row["place"])
    assert sent["state"] == "sent"
    eventually(
        lambda: _of(penstock("dlq", "ls", "echo"), f"{topic} {sent['now']}"),
        within_s=20,
        what="its next dead letter",
    )


def test_all_letters_of_a_code_are_replayed_in_their_order_or_as_many_as_said(
    penstock, lab, letter
):
    topic = lab.topic("echo", "requests")
    places = [
        letter(Raw(topic=topic, value=b"\0\0", key=b"cut"))["place"] for _ in range(3)
    ]
    replay = ("dlq", "replay", "echo", "--code", "decode.truncated")
    assert [row["place"] for row in penstock(*replay, "--dry-run")] == places
    assert [row["place"] for row in penstock(*replay, "-n", "2")] == places[:2]


def test_a_letter_without_its_bytes_is_left_out_and_exit_1(penstock, lab):
    headers = (("x-penstock-code", b"odd"), ("x-penstock-truncated", b"9"))
    raw = Raw(topic=lab.topic("echo", "dlq"), value=None, headers=headers, partition=0)
    lab.produce([raw])
    replay = ("dlq", "replay", "echo", "--code", "odd")
    [row] = penstock(*replay, code=ExitCode.FAILED)
    assert row["state"] == "left out: its bytes are not here"
