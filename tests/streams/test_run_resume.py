"""A run that another worker takes up pays for nothing that the journal holds."""

import asyncio
import json
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.records import Usage
from streams.errors import ModelUnavailableError
from streams.journal import CallEntry, Journal, RunHeader, StageEntry, pack, unpack
from streams.stage import Answer

DESK = """
pipeline: desk
version: 2
input: "ticket: str"
output: "category, reply, checked"
lms: {small: {model: scripted}}
stages:
  classify: {ask: "ticket -> category", attempts: 9}
  draft: {ask: "ticket, category -> reply", instructions: "3", attempts: 9}
  check: {ask: "reply -> checked", instructions: "2", attempts: 9}
flow: [classify, draft, check]
"""
MAKES = {"classify": "category", "draft": "reply", "check": "checked"}


@pytest.fixture
def desk(bench):
    return bench.compile(DESK)


async def begun(bench, desk):
    """Run *desk* once and return its journal as it was before the end."""
    bench.lm.otherwise = {"category": "bug", "reply": "Sorry!", "checked": "yes"}
    await bench.run(desk)
    return Journal.of(bench.entries)


async def test_finished_stages_are_not_run_again_nor_emitted_again(bench, desk):
    journal = await begun(bench, desk)
    bench.emitted.clear()
    bench.lm.asked.clear()
    end = await bench.run(desk, start={"journal": journal})
    assert end.result.outputs["reply"] == "Sorry!"
    assert bench.lm.ids[-1:] == ["r1/check/1"]
    assert (len(bench.lm.asked), bench.emitted) == (1, [])
    assert end.stage.sequence == 3


async def test_an_entry_that_no_longer_fits_is_made_again(bench, desk):
    journal = await begun(bench, desk)
    entry = replace(journal.stages["draft"], outputs={"reply": 5})
    journal = replace(journal, stages={**journal.stages, "draft": entry})
    end = await bench.run(desk, start={"journal": journal})
    assert (end.result.status, end.result.outputs["reply"]) == ("OK", "Sorry!")


async def test_what_was_paid_before_counts_as_cached(bench, desk):
    journal = await begun(bench, desk)
    journal = replace(journal, calls={})
    end = await bench.run(desk, start={"journal": journal})
    assert end.result.usage == Usage(
        calls=2, cached_calls=4, input_tokens=20, output_tokens=4
    )


async def test_the_header_counts_workers_and_keeps_the_beginning(bench, desk):
    journal = replace(await begun(bench, desk), calls={})
    began_ms = bench.clock.now_ms()
    bench.emitted.clear()
    bench.clock.advance(3_600)
    end = await bench.run(
        desk, start={"journal": journal, "timestamp_ms": began_ms - 50}
    )
    assert bench.entries[0] == RunHeader(
        pipeline_version=2,
        fingerprint=desk.fingerprint,
        started_ms=began_ms,
        attempt=2,
        sequence=2,
    )
    assert end.result.timings.queued_ms == 50
    assert end.result.timings.running_ms == 0, "the hour between is nobody's work"
    assert list(end.result.timings.stages) == ["classify", "draft", "check"]


async def test_the_time_of_journalled_stages_is_in_the_result(bench, desk):
    journal = await begun(bench, desk)
    entry = replace(journal.stages["draft"], duration_ms=700)
    journal = replace(journal, stages={**journal.stages, "draft": entry})
    end = await bench.run(desk, start={"journal": journal})
    assert end.result.timings.running_ms == 700


@pytest.mark.parametrize("header", [None, "another"])
async def test_a_journal_of_another_pipeline_is_dropped_and_counted(
    bench, desk, header
):
    journal = await begun(bench, desk)
    other = header and replace(journal.header, fingerprint=header)
    bench.emitted.clear()
    bench.lm.asked.clear()
    end = await bench.run(desk, start={"journal": replace(journal, header=other)})
    assert (len(bench.lm.asked), end.result.usage.cached_calls) == (6, 0)
    assert bench.recorder.total("penstock_journal_dropped_total") == 1
    assert bench.entries[0].attempt == (2 if header else 1)


async def test_stages_that_a_changed_pipeline_left_behind_are_run_again(bench, desk):
    journal = await begun(bench, desk)
    # The header is new, and so is classify; draft was made from another category.
    stale = replace(journal.stages["draft"], fingerprint="another")
    journal = replace(journal, stages={**journal.stages, "draft": stale})
    bench.lm.asked.clear()
    await bench.run(desk, start={"journal": replace(journal, calls={})})
    assert [stage for stage, _ in bench.lm.asked] == ["draft"] * 3 + ["check"] * 2


async def test_a_stage_of_another_version_is_run_again(bench, desk):
    journal = await begun(bench, desk)
    changed = replace(journal.stages["classify"], version="ask@other")
    journal = replace(journal, stages={**journal.stages, "classify": changed})
    bench.lm.asked.clear()
    await bench.run(desk, start={"journal": journal})
    assert bench.lm.asked[0][0] == "classify"


async def test_a_call_that_asks_something_else_is_a_miss(bench, desk):
    journal = await begun(bench, desk)
    calls = {k: replace(c, digest="other") for k, c in journal.calls.items()}
    bench.lm.asked.clear()
    await bench.run(desk, start={"journal": replace(journal, stages={}, calls=calls)})
    assert len(bench.lm.asked) == 6
    assert bench.recorder.total("penstock_journal_misses_total") == len(calls)


async def test_a_deadline_that_passed_meanwhile_ends_the_run(bench, desk):
    journal = await begun(bench, desk)
    deadline_ms = bench.clock.now_ms() + 1_000
    bench.clock.advance(2)
    end = await bench.run(desk, deadline_ms=deadline_ms, start={"journal": journal})
    assert end.result.status == "EXPIRED"


class Model:
    """An LM whose answers depend on the call alone, some of them unfit or late.

    *bad* are ordinals of answers that fit no signature, *down* those that fail once.
    """

    name = "small"
    fingerprint = "model"

    def __init__(self, bad, down):
        self._bad = bad
        self._down = set(down)
        self.paid = []

    def available(self):
        return True

    async def complete(self, stage, call):
        await asyncio.sleep(0)
        ordinal = int(call.request_id.rsplit("/", 1)[1])
        if (stage, ordinal) in self._down:
            self._down.discard((stage, ordinal))
            raise ModelUnavailableError(stage, self.name, "500")
        self.paid.append((stage, ordinal))
        return answer_of(stage, call, bad=(stage, ordinal) in self._bad)


def answer_of(stage, call, *, bad):
    """Return what the model says to this call, unfit for any signature if *bad*."""
    said = sha256(call.messages[0]["content"].encode()).hexdigest()[:8]
    text = "no JSON" if bad else json.dumps({MAKES[stage]: said})
    return Answer(text=text, usage=Usage(calls=1))


async def finish(bench, entries=()):
    """Run the desk on *bench*; return the end, new entries and the calls paid."""
    stored = tuple(unpack(pack(entry)) for entry in entries)
    desk = bench.compile(DESK)
    end = await bench.run(desk, start={"journal": Journal.of(stored)})
    return end, bench.entries, bench.lm.paid


def calls_in(entries):
    """Return the calls that *entries* stand for."""
    calls = {(e.site, e.ordinal) for e in entries if isinstance(e, CallEntry)}
    for entry in entries:
        if isinstance(entry, StageEntry):
            calls |= {(entry.site, n) for n in range(entry.usage.calls)}
    return calls


ORDINALS = st.tuples(st.sampled_from(sorted(MAKES)), st.integers(0, 8))


@settings(max_examples=25)
@given(bad=st.sets(ORDINALS, max_size=8), down=st.sets(ORDINALS, max_size=6))
def test_wherever_a_run_is_cut_the_next_worker_ends_alike_and_pays_only_the_rest(
    new_bench, bad, down
):
    async def check():
        whole, entries, paid = await finish(new_bench(lm=Model(bad, down)))
        for cut in range(len(entries) + 1):
            kept = entries[:cut]
            end, _, again = await finish(new_bench(lm=Model(bad, down)), kept)
            assert end.result.outputs == whole.result.outputs
            assert end.result.status == whole.result.status == "OK"
            assert not calls_in(kept) & set(again), "a finished call was paid twice"
            assert calls_in(kept) | set(again) == set(paid)
            assert len(again) == len(set(again))
            usage = end.result.usage
            assert usage.calls + usage.cached_calls == len(paid)
            assert end.stage.sequence == whole.stage.sequence == 3

    asyncio.run(check())
