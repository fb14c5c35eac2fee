"""A worker dies while a pipeline with every construct runs: nothing is paid twice."""

import random
from collections import Counter

import pytest

from tests.integration.every_text import EVERY, NOTES, SOLVE, TOOLS
from tests.integration.finished import Finished, is_tool_call
from tests.integration.lab import Ask
from tests.integration.paying import Paying, paying
from tests.integration.undisturbed import Undisturbed, undisturbed

pytestmark = pytest.mark.timeout(400)
"""Loading DSPy is most of a start, and there are seven."""

REQUESTS = 28
SESSIONS = 12
DEATHS = 2
CALLS_A_REQUEST = 20
SAYS = {
    "my invoice is wrong": "OK",
    "it crashes": "OK",
    "no-weather today": "PARTIAL http.status",
    "a rough answer to my invoice": "OK",
    "no-facts are known": "OK",
    "it is secret": "ERROR stage.invalid",
}
"""What tickets say, and how their requests end."""
PARTS = ["ab", "cde", "f", "ghij"]


def everything(case: Paying) -> list[Ask]:
    says = [*SAYS]
    return [
        Ask(
            request_id=f"r{i}",
            session_id=f"s{i % SESSIONS}",
            inputs={
                "ticket": f"r{i} {says[i % len(says)]}",
                "book": str(case.book),
                "parts": PARTS[: i % (len(PARTS) + 1)],
            },
        )
        for i in range(REQUESTS)
    ]


def test_a_pipeline_with_every_construct_outlives_kill_9_as_if_nothing_happened(
    new_lab, tmp_path, figures
):
    seed = random.SystemRandom().randrange(2**32)
    figures(seed=seed)
    chance = random.Random(seed)  # noqa: S311 - when to kill
    with paying(new_lab, tmp_path, text=EVERY, tools=TOOLS, latency_ms=40) as case:
        worker = case.worker()
        case.load(everything(case))
        share = REQUESTS * CALLS_A_REQUEST // (DEATHS + 1)
        for death in range(DEATHS):
            case.calls(death * share + chance.randrange(share // 4, share))
            died = case.kill(worker)
            assert len(case.results.all()) < REQUESTS, "killed after everything"
            worker = case.worker()
        assert died.finished.stages, "killed before anything was finished"
        case.answers()
        dropped = worker.metric("penstock_journal_dropped_total")
        assert worker.terminate() == 0
        assert dropped == 0
        case.check_paid_once()
        verdict, records = case.check_settled_once()
        paid = case.lm.repeated()
        figures(repeated_unfinished=sum(paid.values()), calls=len(case.lm.asked()))

        for ask in case.asks:
            says = ask.inputs["ticket"].partition(" ")[2]
            assert verdict.codes()[ask.request_id] == SAYS[says]
        case.lm.behave()
        expected = undisturbed(case.lab.pipelines["every"], case.asks)
        for terminal in verdict.terminals:
            wanted = expected[terminal.request_id]
            assert terminal.value["outputs"] == wanted.result.outputs
            assert terminal.value["turn"] == wanted.result.turn
            check_like(records.ended(terminal.request_id), wanted)


def check_like(ended, wanted: Undisturbed) -> None:
    """The stages that ended are those of an undisturbed run, and came to the same."""
    assert ended.keys() == wanted.ended.keys()
    for path, record in ended.items():
        same = wanted.ended[path]
        assert record["event"] == same.event, path
        assert record["status"] == same.status, path
        assert (record["error"] or {}).get("code") == getattr(same.error, "code", None)
        # A field for each stage, and only its own is set.
        made = (record["outputs"] or {}).get(record["stage"])
        assert made == same.outputs, path


TURNS = 6
LOOPS = 12


def in_the_middle(finished: Finished) -> Counter[str]:
    """Return how many tool calls are journaled, by requests whose loop goes on."""
    return Counter(order.split("/")[0] for order in finished.told)


def test_kill_9_in_the_middle_of_a_loop_with_tools_repeats_neither_calls_nor_tools(
    new_lab, tmp_path, figures
):
    turns = TOOLS * (TURNS // len(TOOLS))
    with paying(new_lab, tmp_path, text=SOLVE, tools=turns, latency_ms=200) as case:
        worker = case.worker()
        book = str(case.book)
        case.load(
            [
                Ask(
                    request_id=f"r{i}",
                    session_id=None,
                    inputs={"ticket": f"r{i} where is it?", "book": book},
                )
                for i in range(LOOPS)
            ]
        )
        journal = case.lab.tail(f"{case.lab.settings.group}-journal-changelog")
        journal.until(
            lambda seen: sum(map(is_tool_call, seen)) >= LOOPS,
            within_s=60,
            what=f"{LOOPS} tool calls in the journal",
        )
        halfway = in_the_middle(case.kill(worker).finished)
        assert halfway, "killed after all loops"
        worker = case.worker()
        case.answers()
        remembered = worker.metric("penstock_journal_hits_total", kind="effect")
        assert worker.terminate() == 0
        case.check_paid_once()
        verdict, _ = case.check_settled_once()
        assert remembered >= halfway.total()
        for terminal in verdict.terminals:
            assert terminal.status == "OK"
            made = [
                call["arguments"] for call in terminal.value["outputs"]["tool_calls"]
            ]
            assert len(made) == TURNS
            for turn, arguments in enumerate(made):
                assert f'"{terminal.request_id}/{turn}"' in arguments
        figures(
            loops_in_the_middle=len(halfway),
            tool_calls_remembered=remembered,
            unfinished_tools_again=(case.booked().total() - LOOPS * TURNS),
            unfinished_calls_again=sum(case.lm.repeated().values()),
        )


ELEMENTS = 1_000


def test_kill_9_in_the_middle_of_a_map_over_1000_elements_runs_none_of_them_again(
    new_lab, tmp_path, figures
):
    with paying(new_lab, tmp_path, text=NOTES, latency_ms=3) as case:
        worker = case.worker()
        idle_mb = worker.rss_bytes() >> 20
        parts = [f"part {i}" for i in range(ELEMENTS)]
        case.load([Ask(request_id="r0", session_id=None, inputs={"parts": parts})])
        case.calls(ELEMENTS // 3)
        died_mb = worker.rss_bytes() >> 20
        finished = len(case.kill(worker).finished.stages)
        assert 0 < finished < ELEMENTS
        worker = case.worker()
        case.answers()
        whole_mb = worker.rss_bytes() >> 20
        remembered = worker.metric("penstock_journal_hits_total", kind="stage")
        assert worker.terminate() == 0
        case.check_paid_once()
        verdict, records = case.check_settled_once()
        [terminal] = verdict.terminals
        notes = terminal.value["outputs"]["notes"]
        assert len(notes) == ELEMENTS
        for part, note in zip(parts, notes, strict=True):
            assert note.startswith(f'The note of "{part}":')
        paths = {f"map.1/{i}/note" for i in range(ELEMENTS)}
        assert records.ended("r0").keys() == paths
        assert remembered >= finished
        again = sum(case.lm.repeated().values())
        assert again <= ELEMENTS - finished
        figures(
            finished_at_death=finished,
            unfinished_calls_again=again,
            idle_mb=idle_mb,
            died_mb=died_mb,
            whole_mb=whole_mb,
        )
