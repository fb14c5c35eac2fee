"""The window of an LM narrows on 429, grows back slowly, and never leaks a slot."""

import asyncio
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import Usage
from streams.clock import ManualClock
from streams.errors import ModelBusyError
from streams.lms.limits import LimitedLM, Limiter, Window
from streams.metrics import NullRecorder
from streams.stage import Answer, LMCall
from tests.streams.permits import LatePermit


class Gate:
    """An LM whose calls wait until they are let go, and remember how many there are."""

    name = "gate"
    fingerprint = "gate@1"

    def __init__(self):
        self.inside = 0
        self.most = 0
        self.waiting = []
        self.closed = False

    def available(self):
        return not self.closed

    async def complete(self, stage, call):
        self.inside += 1
        self.most = max(self.most, self.inside)
        gate = asyncio.get_running_loop().create_future()
        self.waiting.append(gate)
        try:
            return await gate
        finally:
            self.inside -= 1

    def let_go(self, *, busy=False):
        gate = self.waiting.pop(0)
        if busy:
            gate.set_exception(ModelBusyError("s", "gate", "429", 1.0))
        else:
            gate.set_result(Answer(text="", usage=Usage(calls=1)))

    async def aclose(self):
        self.closed = True


async def turn():
    for _ in range(5):
        await asyncio.sleep(0)


def limited(gate, limiter):
    return LimitedLM(gate, limiter, NullRecorder(), ManualClock())


def start(lm, count):
    return [
        asyncio.create_task(lm.complete("s", LMCall(messages=()))) for _ in range(count)
    ]


@given(st.integers(1, 500), st.lists(st.sampled_from("ab"), max_size=300))
def test_the_window_stays_between_one_and_its_limit(limit, happenings):
    window = Window.open(limit)
    for happening in happenings:
        before = window.size
        window = window.wider() if happening == "a" else window.narrower()
        assert 1 <= window.slots <= window.size <= limit
        assert window.size <= before + 1


def test_a_windowful_of_answers_opens_one_slot():
    window = Window(limit=100, size=10.0)
    for _ in range(11):
        window = window.wider()
    assert window.slots == 11


async def test_no_more_calls_than_slots_are_inside():
    gate = Gate()
    tasks = start(limited(gate, Limiter(3)), 10)
    await turn()
    assert gate.inside == 3
    for _ in range(10):
        gate.let_go()
        await turn()
    assert gate.most == 3
    assert all(task.done() for task in tasks)


async def test_a_call_that_got_its_slot_waits_for_its_permit_and_is_queued_meanwhile():
    gate, stop, queued = Gate(), LatePermit(), []

    @contextmanager
    def queue():
        queued.append("in")
        yield
        queued.append("out")

    call = LMCall(messages=(), permit=stop, queued=queue)
    asked = asyncio.create_task(limited(gate, Limiter(1)).complete("s", call))
    await turn()
    assert gate.inside == 0
    assert queued == ["in", "out", "in"]
    stop.go.set()
    await turn()
    assert gate.inside == 1
    assert queued == ["in", "out"] * 2
    gate.let_go()
    await asked


async def test_a_call_that_gives_up_without_its_permit_gives_its_slot_back():
    gate, limiter = Gate(), Limiter(1)
    call = LMCall(messages=(), permit=LatePermit())
    asked = asyncio.create_task(limited(gate, limiter).complete("s", call))
    await turn()
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    assert limiter.in_flight == 0


async def test_a_burst_of_429_halves_the_window_once():
    gate, limiter = Gate(), Limiter(16)
    tasks = start(limited(gate, limiter), 16)
    await turn()
    for _ in range(16):
        gate.let_go(busy=True)
    await asyncio.gather(*tasks, return_exceptions=True)
    assert limiter.slots == 8
    assert limiter.in_flight == 0


async def test_a_second_429_counts_when_its_call_began_after_the_first():
    gate, limiter = Gate(), Limiter(16)
    for slots in (8, 4, 2, 1, 1):
        (task,) = start(limited(gate, limiter), 1)
        await turn()
        gate.let_go(busy=True)
        with pytest.raises(ModelBusyError):
            await task
        assert limiter.slots == slots


async def test_a_narrowed_window_hands_out_nothing_until_it_is_kept():
    gate, limiter = Gate(), Limiter(4)
    tasks = start(limited(gate, limiter), 6)
    await turn()
    gate.let_go(busy=True)
    await turn()
    assert (limiter.slots, gate.inside, limiter.waiting) == (2, 3, 2)
    gate.let_go()
    await turn()
    assert gate.inside == 2
    gate.let_go()
    await turn()
    assert gate.inside == 2
    for _ in range(3):
        gate.let_go()
        await turn()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert limiter.in_flight == limiter.waiting == 0


async def test_calls_get_slots_in_the_order_in_which_they_came():
    limiter, order = Limiter(1), []

    async def take(number):
        await limiter.acquire()
        order.append(number)
        limiter.release()

    await limiter.acquire()
    tasks = [asyncio.create_task(take(number)) for number in range(5)]
    await turn()
    limiter.release()
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("released_first", [True, False])
async def test_a_cancelled_wait_gives_its_slot_to_the_next(released_first):
    limiter = Limiter(1)
    await limiter.acquire()
    given_up = asyncio.create_task(limiter.acquire())
    patient = asyncio.create_task(limiter.acquire())
    await turn()
    if released_first:
        limiter.release()
        given_up.cancel()
    else:
        given_up.cancel()
        limiter.release()
    await turn()
    assert given_up.cancelled()
    assert patient.done()
    limiter.release()
    assert limiter.in_flight == limiter.waiting == 0


async def test_a_cancelled_wait_leaves_the_queue():
    limiter = Limiter(1)
    await limiter.acquire()
    given_up = asyncio.create_task(limiter.acquire())
    await turn()
    given_up.cancel()
    await turn()
    assert limiter.waiting == 0


async def test_a_cancelled_call_gives_its_slot_back():
    gate, limiter = Gate(), Limiter(1)
    (task,) = start(limited(gate, limiter), 1)
    await turn()
    task.cancel()
    await turn()
    assert limiter.in_flight == 0


class Play:
    """Calls that begin, end and are given up in any order."""

    def __init__(self):
        self.gate, self.limiter, self.tasks = Gate(), Limiter(4), []
        self.lm = limited(self.gate, self.limiter)

    def begin(self, _which):
        self.tasks += start(self.lm, 1)

    def give_up(self, which):
        if self.tasks:
            self.tasks[which % len(self.tasks)].cancel()

    def answer(self, which):
        while self.gate.waiting:
            if self.gate.waiting[0].done():
                self.gate.waiting.pop(0)
                continue
            self.gate.let_go(busy=which % 3 == 0)
            break

    async def end(self):
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


MOVES = st.sampled_from([Play.begin, Play.give_up, Play.answer])


@given(st.lists(st.tuples(MOVES, st.integers(0, 20)), max_size=60))
def test_no_slot_is_lost_or_made_whatever_happens(moves):
    async def play():
        it = Play()
        for move, which in moves:
            move(it, which)
            if which % 2:
                await turn()
        await turn()
        assert it.gate.most <= 4
        assert it.limiter.in_flight == it.gate.inside
        assert not (it.limiter.waiting and it.limiter.in_flight < it.limiter.slots)
        await it.end()
        assert it.limiter.in_flight == it.limiter.waiting == 0

    asyncio.run(play())


async def test_the_rest_is_the_inner_lms_business():
    gate = Gate()
    lm = limited(gate, Limiter(1))
    assert (lm.name, lm.fingerprint, lm.available()) == ("gate", "gate@1", True)
    await lm.aclose()
    assert not lm.available()
