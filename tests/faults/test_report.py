"""A campaign ends with a table, every violation once, and says how workers grow."""

from tests.faults.history import Sample, Violation
from tests.faults.report import Injected, Report
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
            injected("kill", 2_000, repeated=4),
            injected("kill", 6_000, repeated=1),
            injected("cut", 500),
        ],
        at_the_end=[],
    )
    rows = [line.split() for line in report.lines()]
    assert ["kill", "2", "20", "0", "5", "6.0", "(most", "6.0)"] in rows
    assert ["cut", "1", "10", "0", "0", "0.5", "(most", "0.5)"] in rows
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
    assert "+60.0 MiB/h; 50 files, +0.0/h" in next(trends(samples(1 << 20)))
    assert "+0.0 MiB/h" in next(trends(samples(0)))
    assert list(trends(samples(0)[:20])) == [], "too short a life"
