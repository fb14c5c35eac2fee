"""A campaign ends with a table, every violation once, and says how workers grow."""

from tests.faults.history import At, Key, Sample, Terminal, Violation
from tests.faults.report import Injected, Report
from tests.faults.silence import next_results_ms
from tests.faults.trend import trends

BAD = Violation(invariant=1, what="a request has no terminal", evidence={"request": 7})


def injected(fault: str, recovery_ms: int, **changes: object) -> Injected:
    return Injected(
        fault=fault,
        target="w0",
        seed=1,
        begin_ms=0,
        healed_ms=1_000,
        answering_ms=1_000 + recovery_ms,
        requests=10,
        **changes,
    )


def test_the_table_has_a_row_for_each_fault_and_one_for_all():
    report = Report(
        seed=3,
        requests=30,
        injected=[
            injected("kill", 2_000, repeated=4, next_result_ms=7_500),
            injected("kill", 6_000, repeated=1, next_result_ms=8_500),
            injected("cut", 500),
        ],
        at_the_end=[],
    )
    rows = [line.split() for line in report.lines()]
    kill = ["kill", "2", "20", "0", "5", "6.0", "(most", "6.0)", "8.5", "(most", "8.5)"]
    assert kill in rows
    cut = ["cut", "1", "10", "0", "0", "0.5", "(most", "0.5)", "0.0", "(most", "0.0)"]
    assert cut in rows
    assert ["all", "3", "30", "0", "5"] in rows


def test_a_violation_that_was_seen_twice_counts_once():
    report = Report(
        seed=3,
        requests=1,
        injected=[injected("kill", 0, violations=[BAD])],
        at_the_end=[BAD],
    )
    assert report.violations == (BAD,)
    assert str(BAD) in list(report.lines())


def result(partition: int, written_ms: int) -> Terminal:
    return Terminal(
        at=At(topic="results", partition=partition, offset=written_ms),
        key=Key(pipeline="ask", home="s", request_id="r", replay=0),
        session_id=None,
        status="OK",
        code="",
        failed_stage=None,
        turn=None,
        source=None,
        written_ms=written_ms,
    )


def test_silence_ends_with_the_last_partition_that_brings_another_result():
    before = [result(0, 900), result(1, 950)]
    after = [result(0, 1_400), result(1, 9_000), result(0, 9_500), result(1, 9_600)]
    assert next_results_ms([*before, *after], 1_000) == 9_000
    dying = [result(1, 1_100)]
    assert next_results_ms([*before, *dying, *after], 1_000) == 9_000
    assert next_results_ms(before, 1_000) == 1_000


def samples(growth_bytes: int) -> list[Sample]:
    return [
        Sample(
            at_ms=number * 60_000,
            worker="w0",
            pid=1,
            rss_bytes=(100 << 20) + number * growth_bytes,
            files=50,
            waiting_bytes=0,
            running=0,
        )
        for number in range(60)
    ]


def test_a_worker_that_grows_is_seen_to_grow():
    assert "+60.0 MiB/h, at rest 118, 134, 148 in its thirds; 50 files" in next(
        trends(samples(1 << 20))
    )
    assert "+0.0 MiB/h" in next(trends(samples(0)))
    assert list(trends(samples(0)[:20])) == [], "too short a life"
