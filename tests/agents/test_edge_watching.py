"""Watching over a worker: a loop that stands still, a consumer that does not work."""

import asyncio
import threading
from types import SimpleNamespace

import pytest

from agents.consumer_pulse import ConsumerPulse
from agents.watchdog import Watchdog
from streams.clock import ManualClock, SystemClock

STUCK_S = 0.2


async def test_a_loop_that_turns_is_left_alone():
    left: list[int] = []
    dog = Watchdog(
        asyncio.get_running_loop(), SystemClock(), stuck_s=STUCK_S, leave=left.append
    )
    dog.start()
    for _ in range(10):
        await asyncio.sleep(STUCK_S / 5)
    dog.stop()
    assert not left


async def test_a_loop_that_stands_still_ends_the_process_with_one_line(capsys):
    left = threading.Event()
    codes: list[int] = []

    def leave(code: int) -> None:
        codes.append(code)
        left.set()

    # Far from the one in C, which would end this very process.
    clock = ManualClock()
    dog = Watchdog(asyncio.get_running_loop(), clock, stuck_s=30, leave=leave)
    dog.start()
    clock.advance(31)
    assert left.wait(10)  # in the loop: it stands still
    dog.stop()
    assert codes == [1]
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("penstock worker: the event loop has not turned for 31 s;")


class Loop:
    """A loop that turns when it is told to."""

    def __init__(self) -> None:
        self.asked = []

    def call_soon_threadsafe(self, callback) -> None:
        self.asked.append(callback)

    def turn(self) -> None:
        while self.asked:
            self.asked.pop()()


@pytest.fixture
def thread():
    ended = SimpleNamespace(done=lambda: False)
    return SimpleNamespace(
        thread_loop=Loop(),
        _thread=SimpleNamespace(is_alive=lambda: True),
        _consumer=SimpleNamespace(
            _fetcher=SimpleNamespace(_fetch_task=ended),
            _coordinator=SimpleNamespace(_coordination_task=ended),
            _client=SimpleNamespace(_sync_task=None),
        ),
    )


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def pulse(thread, clock):
    return ConsumerPulse(thread=lambda: thread, clock=clock, stuck_s=10)


def test_a_consumer_that_turns_has_no_problems_however_late_one_asks(
    pulse, thread, clock
):
    for _ in range(3):
        assert pulse.problems() == []
        clock.advance(1_000)
        thread.thread_loop.turn()


def test_a_consumer_that_gives_no_sign_is_stuck(pulse, clock):
    assert pulse.problems() == []
    clock.advance(10)
    assert pulse.problems() == []
    clock.advance(1)
    assert pulse.problems() == ["the consumer thread has not turned for 11 s"]


def test_a_task_of_the_consumer_that_ended_is_named(pulse, thread):
    thread._consumer._fetcher._fetch_task = SimpleNamespace(done=lambda: True)  # noqa: SLF001
    assert pulse.problems() == ["the consumer's fetcher died"]


def test_a_consumer_without_its_thread_does_not_work(pulse, thread, clock):
    thread._thread = SimpleNamespace(is_alive=lambda: False)  # noqa: SLF001
    assert pulse.problems() == ["the consumer thread ended"]
    nobody = ConsumerPulse(thread=lambda: None, clock=clock, stuck_s=10)
    assert nobody.problems() == ["the consumer thread ended"]
