"""A campaign: faults happen to a town under load, and everything is checked."""

import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from tests.faults.batches import batches_of
from tests.faults.check_calls import repeats
from tests.faults.dump import dump
from tests.faults.history import Trouble, Violation
from tests.faults.index import Index
from tests.faults.kinds import FAULTS, FROM_THE_BEGINNING
from tests.faults.live import Live
from tests.faults.lm_log import calls_of
from tests.faults.pipelines import STAGES
from tests.faults.reading import TABLES, NoBrokerError, Reader
from tests.faults.report import Injected, Report
from tests.faults.samples import Sampler
from tests.faults.schedule import Plan, Planned
from tests.faults.silence import next_results_ms
from tests.faults.town import Town
from tests.faults.trend import trends
from tests.faults.verdict import violations
from tests.integration.eventually import eventually
from tests.integration.lab import PARTITIONS
from tests.integration.processes import bare_environment

PATIENCE_S: Final = 90.0
"""How long healing may take; then it counts as a violation of I9."""

LOOK_EVERY_S: Final = 0.1

Say = Callable[[str], None]


class Campaign:
    """Runs a plan in a town."""

    def __init__(
        self, town: Town, plan: Plan, say: Say, *, patience_s: float = PATIENCE_S
    ) -> None:
        self._town = town
        self._patience_s = patience_s
        self._plan = plan
        self._say = say
        self._reader = Reader(
            town.broker.bootstrap, town.lab.prefix, tuple(STAGES), PARTITIONS
        )
        self._live = Live(self._reader)
        self._sampler = Sampler(town.crew)
        self._injected: list[Injected] = []
        self._extra: list[Violation] = []

    def run(self) -> Report:
        """Let it all happen; return what was found."""
        try:
            self._under_load()
            self._extra += self._until_quiet()
            self._scale_down()
        finally:
            self._sampler.stop()
            self._live.stop()
        return self._report()

    def _under_load(self) -> None:
        town = self._town
        self._live.start()
        self._sampler.start()
        town.load.start()
        begin_s = time.perf_counter()
        self._recovers(_now_ms())
        for planned in self._plan.faults:
            wait_s = planned.at_s - (time.perf_counter() - begin_s)
            if wait_s > 0:
                time.sleep(wait_s)
            self._say(str(planned))
            self._inject(planned)
        left_s = self._plan.lasts_s - (time.perf_counter() - begin_s)
        time.sleep(max(0, left_s))
        town.mend()
        town.load.stop()

    def _inject(self, planned: Planned) -> None:
        begin_ms, sent = _now_ms(), self._town.load.total
        found = list(self._hurt(planned))
        healed_ms = begin_ms if planned.fault in FROM_THE_BEGINNING else _now_ms()
        one = Injected(
            fault=planned.fault,
            target=planned.target,
            seed=planned.seed,
            begin_ms=begin_ms,
            healed_ms=healed_ms,
            answering_ms=0,
            violations=found,
        )
        self._injected.append(one)
        if not self._recovers(_now_ms()):
            found.append(
                Violation(
                    invariant=9,
                    what="requests are not answered again after a fault",
                    evidence={"fault": str(planned), "within_s": self._patience_s},
                )
            )
        one.answering_ms = _now_ms()
        one.requests = self._town.load.total - sent

    def _hurt(self, planned: Planned) -> Iterator[Violation]:
        dice = random.Random(planned.seed)  # noqa: S311 - a dice, not a key
        try:
            FAULTS[planned.fault](self._town, planned.target, dice)
        except (AssertionError, TimeoutError, subprocess.TimeoutExpired) as error:
            yield Violation(
                invariant=9,
                what="a worker did not do as it was told",
                evidence={"fault": str(planned), "error": repr(error)},
            )

    def _recovers(self, at_ms: int) -> bool:
        return _until(
            lambda: self._live.answers_after(at_ms), within_s=self._patience_s
        )

    def _until_quiet(self) -> list[Violation]:
        if _until(self._is_quiet, within_s=self._patience_s):
            return []
        return [
            Violation(
                invariant=9,
                what="the app does not come to rest",
                evidence={"within_s": self._patience_s},
            )
        ]

    def _is_quiet(self) -> bool:
        history = self._reader.history
        last = {p.at.partition: p for p in list(history.positions)}
        return len(last) == PARTITIONS and all(
            last[asked.at.partition].covers(asked.at)
            for asked in reversed(list(history.asked))
        )

    def _scale_down(self) -> None:
        """Leave one worker, which then has all partitions, and end it as well."""
        crew = self._town.crew
        keeper, *others = crew.places
        for name in others:
            self._end(name)
        within = _until(
            lambda: (
                crew.at(keeper).metric("penstock_tasks_live") == PARTITIONS
                and self._offsets_in()
            ),
            within_s=self._patience_s,
        )
        if not within:
            self._extra.append(
                Violation(invariant=9, what="one worker does not take over everything")
            )
        self._end(keeper)

    def _end(self, name: str) -> None:
        code = self._town.crew.end(name, signal.SIGTERM)
        if code != 0:
            self._extra.append(
                Violation(
                    invariant=9,
                    what="a worker that was told to stop did not end well",
                    evidence={"worker": name, "code": code},
                )
            )

    def _offsets_in(self) -> bool:
        try:
            committed = self._reader.committed()
        except NoBrokerError:
            return False
        last = {p.at.partition: p for p in list(self._reader.history.positions)}
        return all(
            committed.get((topic, partition), following) == following
            for partition, position in last.items()
            for topic, (following, _) in position.sources.items()
        )

    def _report(self) -> Report:
        self._read_rest()
        index = Index.of(self._reader.history)
        for repeat in repeats(index):
            one = self._at(repeat.call.received_ms)
            # An LM that is ill answers 200 and garbage: asked again, as it should be.
            if one is not None and not one.fault.startswith("lm-"):
                one.repeated += 1
        for at_ms, violation in self._live.violations:
            one = self._at(at_ms)
            if one is None:
                self._extra.append(violation)
            else:
                one.violations.append(violation)
        for one in self._injected:
            one.next_result_ms = next_results_ms(
                self._reader.history.terminals, one.begin_ms
            )
        found = list(violations(self._reader.history))
        report = Report(
            seed=self._plan.seed,
            requests=self._town.load.total,
            injected=self._injected,
            at_the_end=[*self._extra, *found],
            notes=self._notes(),
        )
        found_in = self._town.lab.folder / "violations.txt"
        found_in.write_text("".join(f"{v}\n" for v in report.violations))
        return report

    def _read_rest(self) -> None:
        history, lab = self._reader.history, self._town.lab
        stable = eventually(self._ends, within_s=30, what="a broker that answers")
        ends = self._reader.ends(committed=False)
        self._reader.read(stable)
        history.ends = {tp: (stable[tp], end) for tp, end in ends.items()}
        history.committed = self._reader.committed()
        history.calls = calls_of(self._town.lm.log)
        data = self._town.broker.folder / "data"
        history.batches = {
            (t, p): batches_of(data, t, p)
            for t, p in ends
            if not t.endswith(".schemas")
        }
        keeper = next(iter(self._town.crew.places))
        env = bare_environment() | {"PENSTOCK_PREFIX": lab.prefix}
        history.dumps = dump(env, lab.folder / f"state-{keeper}", TABLES)
        history.samples = self._sampler.samples
        history.troubles = [
            Trouble(
                fault=one.fault,
                target=one.target,
                begin_ms=one.begin_ms,
                healed_ms=one.answering_ms,
            )
            for one in self._injected
        ]

    def _ends(self) -> Mapping[tuple[str, int], int]:
        try:
            return self._reader.ends()
        except NoBrokerError:
            return {}

    def _at(self, at_ms: int) -> Injected | None:
        """Return the latest fault that had begun at a moment."""
        begun = [one for one in self._injected if one.begin_ms <= at_ms]
        return begun[-1] if begun else None

    def _notes(self) -> list[str]:
        history, ended = self._reader.history, self._town.crew.ended
        sent = ", ".join(f"{k} {n}" for k, n in self._town.load.sent.most_common())
        read = ", ".join(
            f"{name} {len(getattr(history, name))}"
            for name in ("terminals", "stages", "letters", "positions", "calls")
        )
        return [
            f"sent: {sent}",
            f"read: {read}; looked {self._live.looks} times while faults were at work",
            f"the checker's own consumer: {dict(self._reader.errors) or 'well'}",
            f"workers that ended by themselves: {len(ended)}",
            *trends(self._sampler.samples),
            *sorted({f"  exit {end.code}: {end.last}" for end in ended}),
        ]


def _until(look: Callable[[], bool], *, within_s: float) -> bool:
    until_s = time.perf_counter() + within_s
    while not look():
        if time.perf_counter() > until_s:
            return False
        time.sleep(LOOK_EVERY_S)
    return True


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
