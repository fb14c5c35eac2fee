"""Backpressure: exactly the partitions that cannot go on are paused."""

from dataclasses import dataclass, field

from faust.types import TP

from agents.backpressure import Backpressure


@dataclass
class Flow:
    """A consumer's view of what is paused."""

    paused: set[TP] = field(default_factory=set)
    calls: int = 0

    def pause_partitions(self, tps) -> None:
        self.calls += 1
        self.paused |= set(tps)

    def resume_partitions(self, tps) -> None:
        self.calls += 1
        self.paused -= set(tps)


@dataclass
class Worker:
    """Two pipelines on three partitions."""

    up: dict[str, bool] = field(default_factory=lambda: {"a": True, "b": True})
    full: set[int] = field(default_factory=set)
    partitions: set[int] = field(default_factory=lambda: {0, 1, 2})

    def backpressure(self) -> Backpressure:
        return Backpressure(
            available={
                "a": lambda: self.up["a"],
                "b": lambda: self.up["b"],
            },
            full=lambda: self.full,
            partitions=lambda: self.partitions,
        )


def test_a_full_task_pauses_all_topics_of_its_partition_and_no_other():
    worker, flow = Worker(full={1}), Flow()
    worker.backpressure().apply(flow)
    assert flow.paused == {TP("a", 1), TP("b", 1)}


def test_an_lm_that_is_down_pauses_its_pipelines_topic_everywhere():
    worker, flow = Worker(up={"a": False, "b": True}), Flow()
    worker.backpressure().apply(flow)
    assert flow.paused == {TP("a", partition) for partition in range(3)}


def test_what_can_go_on_again_is_resumed():
    worker, flow = Worker(up={"a": False, "b": True}, full={1}), Flow()
    backpressure = worker.backpressure()
    backpressure.apply(flow)
    worker.up["a"] = True
    backpressure.apply(flow)
    assert flow.paused == {TP("a", 1), TP("b", 1)}
    worker.full = set()
    backpressure.apply(flow)
    assert flow.paused == set()


def test_nothing_is_asked_for_while_nothing_changes():
    worker, flow = Worker(full={1}), Flow()
    backpressure = worker.backpressure()
    for _ in range(3):
        backpressure.apply(flow)
    assert flow.calls == 2


def test_after_a_rebalance_everything_is_paused_again():
    worker, flow = Worker(full={1}), Flow()
    backpressure = worker.backpressure()
    backpressure.apply(flow)
    flow.paused.clear()
    backpressure.forget()
    backpressure.apply(flow)
    assert flow.paused == {TP("a", 1), TP("b", 1)}


def test_a_partition_that_moved_away_is_not_ours_to_pause():
    worker, flow = Worker(full={1}), Flow()
    backpressure = worker.backpressure()
    backpressure.apply(flow)
    worker.partitions = {0, 2}
    backpressure.apply(flow)
    assert backpressure.paused == set()
