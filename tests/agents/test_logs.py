"""Logs: what libraries say in a storm is thinned out, what we say is not."""

import logging

from agents.logs import SPARSE_S, Sparse


def record(name, at_s):
    made = logging.LogRecord(name, logging.ERROR, "", 0, "away", None, None)
    made.created = at_s
    return made


def passed(name, *times):
    sparse = Sparse()
    return [at_s for at_s in times if sparse.filter(record(name, at_s))]


def test_a_librarys_logger_gets_one_line_per_interval():
    times = (100.0, 100.1, 100.0 + SPARSE_S, 100.1 + SPARSE_S)
    assert passed("aiokafka.conn", *times) == [100.0, 100.0 + SPARSE_S]


def test_loggers_do_not_silence_each_other():
    sparse = Sparse()
    assert sparse.filter(record("aiokafka.conn", 100.0))
    assert sparse.filter(record("aiokafka.cluster", 100.0))


def test_our_own_events_all_pass():
    assert passed("agents.tasks", 100.0, 100.0, 100.1) == [100.0, 100.0, 100.1]
