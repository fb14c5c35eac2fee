"""The allocator: what a burst took, and let go of, goes back to the system."""

import subprocess
import sys
import threading

import pytest

from agents.allocator import TRIMS, Trimmer

MIB = 1 << 20

# In a process of its own: the allocator of this one has a history.
BURSTS = """
import gc, random, sys
from agents.allocator import give_back

def rss_bytes():
    with open("/proc/self/statm") as found:
        return int(found.read().split()[1]) * 4096

def burst(dice):
    large = [bytes(dice.randrange(20_000, 120_000)) for _ in range(1_500)]
    ring = [bytes(4_000_000)]
    ring.append(ring)
    return [bytes(600) for _ in range(150)]

gc.disable()
before, dice = rss_bytes(), random.Random(7)
# What stays lies behind what goes, and holds it down.
stays = [burst(dice) for _ in range(3)]
peak = rss_bytes()
give_back()
print(before, peak, rss_bytes())
"""


@pytest.mark.skipif(not TRIMS, reason="another C library than glibc")
def test_what_a_burst_took_is_given_back():
    told = subprocess.run(  # noqa: S603 - our own command line
        [sys.executable, "-c", BURSTS], capture_output=True, text=True, check=True
    )
    before, peak, after = map(int, told.stdout.split())
    assert peak - before > 40 * MIB
    assert after - before < 10 * MIB


def test_it_is_asked_again_and_again_until_stopped():
    asked = threading.Semaphore(0)
    trimmer = Trimmer(asked.release, every_s=0.001)
    trimmer.start()
    assert all(asked.acquire(timeout=10) for _ in range(3))
    trimmer.stop()
    # One may be under way still.
    assert not all(asked.acquire(timeout=0.2) for _ in range(1_000))
