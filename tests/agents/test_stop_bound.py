"""A stop that takes too long is ended, also where no thread can be started any more."""

import threading

from agents.stop_bound import StopBound


def test_a_stop_that_takes_too_long_is_ended():
    left = threading.Event()
    StopBound().begin(0.01, left.set)
    assert left.wait(10)


def test_who_was_not_told_to_stop_is_left_alone():
    left = threading.Event()
    bound = StopBound()
    assert not left.is_set()
    bound.begin(3_600, left.set)
    assert not left.wait(0.05)


def test_the_end_of_a_stop_needs_no_new_thread(monkeypatch):
    def no_memory(_thread: threading.Thread) -> None:
        raise MemoryError

    left, bound = threading.Event(), StopBound()
    monkeypatch.setattr(threading.Thread, "start", no_memory)
    bound.begin(0.01, left.set)
    assert left.wait(10)
