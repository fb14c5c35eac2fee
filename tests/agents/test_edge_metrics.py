"""Metrics: every declared name can be counted, and labels mean what they say."""

from typing import get_args

import pytest

from agents.metrics import (
    LABELS,
    EdgeCounter,
    EdgeGauge,
    EdgeHistogram,
    Metrics,
    names,
)
from streams import metrics as core

COUNTERS = (*get_args(core.Counter), *get_args(EdgeCounter))
HISTOGRAMS = (*get_args(core.Histogram), *get_args(EdgeHistogram))
GAUGES = (*get_args(core.Gauge), *get_args(EdgeGauge))


def sample(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_every_name_is_declared_once_and_has_its_labels():
    declared = (*COUNTERS, *HISTOGRAMS, *GAUGES)
    assert len(declared) == len(set(declared))
    assert set(declared) == set(names())


@pytest.mark.parametrize("name", [*COUNTERS, *HISTOGRAMS, *GAUGES])
def test_names_follow_prometheus(name):
    assert name.startswith("penstock_")
    assert name.endswith("_total") is (name in COUNTERS)


def test_everything_declared_is_exported():
    metrics = Metrics()
    for name in COUNTERS:
        metrics.count(name, 2, **dict.fromkeys(LABELS[name], "x"))
    for name in HISTOGRAMS:
        metrics.observe(name, 0.5, **dict.fromkeys(LABELS[name], "x"))
    for name in GAUGES:
        metrics.gauge(name, 3, **dict.fromkeys(LABELS[name], "x"))
    text = metrics.exposition().decode()
    for name in names():
        assert f"\n{name}" in text


def test_a_label_that_is_left_out_is_empty_and_order_does_not_matter():
    metrics = Metrics()
    name = "penstock_runs_total"
    metrics.count(name, pipeline="p", status="OK")
    metrics.count(name, status="OK", pipeline="p")
    assert sample(metrics, name, pipeline="p", status="OK", code="") == 2


def test_two_workers_in_one_process_count_apart():
    one, other = Metrics(), Metrics()
    one.count("penstock_commits_total")
    assert sample(other, "penstock_commits_total") == 0


def test_gauges_of_partitions_that_left_are_no_more():
    metrics = Metrics()
    metrics.gauge("penstock_task_running", 3, partition="0")
    metrics.gauge("penstock_task_running", 4, partition="1")
    metrics.gauge("penstock_task_waiting", 5, partition="1")
    metrics.forget("penstock_task_running")
    metrics.gauge("penstock_task_running", 2, partition="1")
    text = metrics.exposition().decode()
    assert 'penstock_task_running{partition="0"}' not in text
    assert 'penstock_task_running{partition="1"} 2.0' in text
    assert 'penstock_task_waiting{partition="1"} 5.0' in text


def test_a_commit_is_counted_with_what_it_held():
    metrics = Metrics()
    metrics.committed(settlements=3, records=5, seconds=0.02)
    metrics.doubted("committed")
    assert sample(metrics, "penstock_commits_total") == 1
    assert sample(metrics, "penstock_settlements_total") == 3
    assert sample(metrics, "penstock_published_total") == 5
    assert sample(metrics, "penstock_commit_seconds_sum") == 0.02
    name = "penstock_commits_in_doubt_total"
    assert sample(metrics, name, outcome="committed") == 1


def test_one_task_that_goes_on_does_not_hide_another_that_is_held():
    metrics = Metrics()
    metrics.held(0, held=True)
    metrics.held(1, held=False)
    assert metrics.is_held
    assert sample(metrics, "penstock_held") == 1
    metrics.held(0, held=False)
    assert not metrics.is_held
