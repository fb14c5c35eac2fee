"""Clocks: the machine's own, and one that tests can turn."""

import time

from streams.clock import ManualClock, SystemClock


async def test_the_system_clock_is_the_machines():
    clock = SystemClock()
    before_ms, before_s = time.time_ns() // 1_000_000, clock.monotonic_s()
    await clock.sleep(0)
    assert before_ms <= clock.now_ms() <= time.time_ns() // 1_000_000
    assert clock.monotonic_s() >= before_s


async def test_a_manual_clock_moves_only_when_told_or_slept_on():
    clock = ManualClock()
    began_ms, began_s = clock.now_ms(), clock.monotonic_s()
    clock.advance(1.5)
    await clock.sleep(0.5)
    assert (clock.now_ms() - began_ms, clock.monotonic_s() - began_s) == (2_000, 2.0)
