"""The allocator: what a burst took, and let go of, goes back to the system."""

import asyncio
import gc
import subprocess
import sys
import threading
import weakref

import pytest

from agents.allocator import TRIMS, Trimmer

MIB = 1 << 20

# In a process of its own: the allocator of this one has a history.
BURSTS = """
import random
from agents.allocator import trim

def rss_bytes():
    with open("/proc/self/statm") as found:
        return int(found.read().split()[1]) * 4096

def burst(dice):
    large = [bytes(dice.randrange(20_000, 120_000)) for _ in range(1_500)]
    return [bytes(600) for _ in range(150)]

before, dice = rss_bytes(), random.Random(7)
# What stays lies behind what goes, and holds it down.
stays = [burst(dice) for _ in range(3)]
peak = rss_bytes()
trim()
print(before, peak, rss_bytes())
"""


class Ring:
    """Something that holds itself."""

    def __init__(self) -> None:
        self.itself = self
        self.gone_in: list[str] = []
        weakref.finalize(self, self.note, self.gone_in)

    @staticmethod
    def note(gone_in: list[str]) -> None:
        gone_in.append(threading.current_thread().name)


@pytest.mark.skipif(not TRIMS, reason="another C library than glibc")
def test_what_a_burst_took_is_given_back():
    told = subprocess.run(  # noqa: S603 - our own command line
        [sys.executable, "-c", BURSTS], capture_output=True, text=True, check=True
    )
    before, peak, after = map(int, told.stdout.split())
    assert peak - before > 40 * MIB
    assert after - before < 10 * MIB


async def test_rings_are_collected_in_the_loop_and_memory_given_back_behind_it():
    given_back, gone_in = asyncio.Event(), Ring().gone_in
    loop = asyncio.get_running_loop()
    gc.disable()
    try:
        trimmer = Trimmer(
            loop,
            give_back=lambda: loop.call_soon_threadsafe(given_back.set),
            every_s=0.001,
        )
        trimmer.start()
        async with asyncio.timeout(10):
            await given_back.wait()
        trimmer.stop()
    finally:
        gc.enable()
    assert gone_in == [threading.main_thread().name]


async def test_it_is_asked_again_and_again_until_stopped():
    asked = threading.Semaphore(0)
    trimmer = Trimmer(
        asyncio.get_running_loop(), give_back=asked.release, every_s=0.001
    )
    trimmer.start()
    for _ in range(3):
        assert await asyncio.to_thread(asked.acquire, timeout=10)
    trimmer.stop()
    # One may be under way still.
    while await asyncio.to_thread(asked.acquire, timeout=0.2):
        pass
