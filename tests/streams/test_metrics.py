"""Metric names: well formed, unique, and each with a comment that says what it is."""

import inspect
import re
from typing import get_args

from streams import metrics
from streams.metrics import Counter, Gauge, Histogram, NullRecorder

NAMES = [*get_args(Counter), *get_args(Gauge), *get_args(Histogram)]


def test_names_are_unique_and_named_as_prometheus_does():
    assert len(set(NAMES)) == len(NAMES)
    assert all(re.fullmatch(r"penstock_[a-z_]+", name) for name in NAMES)
    assert all(name.endswith("_total") for name in get_args(Counter))
    assert all(name.endswith("_seconds") for name in get_args(Histogram))


def test_every_name_has_a_comment_above_it():
    source = inspect.getsource(metrics)
    for name in NAMES:
        assert re.search(rf'# .+\n    "{name}",', source), name


def test_a_null_recorder_takes_everything():
    recorder = NullRecorder()
    recorder.count("penstock_runs_total", pipeline="desk")
    recorder.observe("penstock_run_seconds", 0.1)
    recorder.gauge("penstock_lm_up", 1)
