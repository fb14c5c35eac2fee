"""`make bench`: penstock and its peers, on one broker, in one run.

    python -m benchmarks [--quick] [--rounds N] [--only WORKLOAD]...

Only ratios within one run mean something: machines differ, and so do their hours.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import psutil

from agents.broker import BrokerOptions, DevBroker, cache_folder, install
from benchmarks.added_latency import added_latency
from benchmarks.contenders import HERE, STATE, Faust, Penstock, Quix
from benchmarks.environments import FAUST, QUIX, environment
from benchmarks.facts import facts
from benchmarks.fake_lm import fake_lm
from benchmarks.lab import Lab, LabError
from benchmarks.measuring import Figures
from benchmarks.one_call import entries
from benchmarks.report import Section, save, show
from benchmarks.restore import (
    faust_restore,
    fetching_and_writing,
    our_restore,
    parsing_and_writing,
)
from benchmarks.throughput import Entry, race

BROKER_HEAP_MB: Final = 512
QUIX_COMMITS_S: Final = 0.1
"""Its default is 5 s, with results as late; this is what Kafka Streams commits at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much of everything a run does."""

    rounds: int
    state: int
    """Requests of the state workload; plain Faust gets a tenth."""
    calls: int
    """Requests of the LM workloads; the loop by hand gets a fifth."""
    paced_s: float
    sessions: int


FULL: Final = Size(rounds=3, state=40_000, calls=6_000, paced_s=10, sessions=100_000)
QUICK: Final = Size(rounds=1, state=20_000, calls=2_000, paced_s=5, sessions=40_000)


class Bench:
    """The workloads, each a method that gives sections of the report."""

    def __init__(self, lab: Lab, size: Size, cache: Path) -> None:
        self._lab = lab
        self._size = size
        self._faust = environment(cache, FAUST)
        self._quix = environment(cache, QUIX)

    def state(self) -> list[Section]:
        """Run state and exactly-once without an LM, then latency at half that load."""
        size = self._size
        quix = Quix(python=self._quix, commit_interval_s=QUIX_COMMITS_S)
        rounds = race(
            self._lab,
            {
                "penstock": Entry(
                    contender=Penstock(pipelines=STATE), requests=size.state
                ),
                "Quix Streams, same records": Entry(
                    contender=replace(quix, same_records=True), requests=size.state
                ),
                "Quix Streams, small JSON": Entry(contender=quix, requests=size.state),
                "plain Faust at-least-once": Entry(
                    contender=Faust(python=self._faust), requests=size.state // 10
                ),
            },
            size.rounds,
        )
        reached = Figures.median_of(rounds["penstock"]).values["per_s"]
        late = []
        for _ in range(size.rounds):
            late.append(added_latency(self._lab, reached / 2, size.paced_s))
            print(f"  latency  {late[-1]}", flush=True)
        return [
            Section(
                title="state + exactly-once, no LM", rounds=rounds, measure="per_s"
            ),
            Section(
                title="added latency at half that load",
                rounds={"penstock": late},
                measure="p50_ms",
            ),
        ]

    def one_call(self) -> list[Section]:
        """Run one DSPy call over HTTP, at 0 and at 200 ms."""
        return [self._one_call(0, 64), self._one_call(200, 256)]

    def restore(self) -> list[Section]:
        """Run the restore of a sessions table, and of one that is ten times as large.

        Faust would need minutes for that one.
        """
        keys = self._size.sessions
        whole, reading = self._restore(keys)
        lab, python = self._lab, self._faust
        faust = [faust_restore(lab, keys, python) for _ in range(self._size.rounds)]
        whole = replace(whole, rounds={**whole.rounds, "Faust": faust})
        return [whole, reading, *self._restore(10 * keys)]

    def _restore(self, keys: int) -> tuple[Section, Section]:
        lab = self._lab
        whole: list[Figures] = []
        reading: dict[str, list[Figures]] = {}
        for _ in range(self._size.rounds):
            all_of_it, alone = our_restore(lab, keys)
            whole.append(all_of_it)
            found = {
                "penstock": alone,
                "parsing + WriteBatch alone": parsing_and_writing(lab, keys),
                "aiokafka + WriteBatch": fetching_and_writing(lab, keys),
            }
            for name, figures in found.items():
                reading.setdefault(name, []).append(figures)
                print(f"  restore  {name:<28} {figures}", flush=True)
        return (
            Section(
                title=f"restore of {keys:,} sessions",
                rounds={"penstock": whole},
                measure="records_per_s",
            ),
            Section(
                title=f"of that, reading {keys:,} sessions",
                rounds=reading,
                # By the clock it shares the cores with its broker, which the bound
                # from memory does not need.
                measure="per_cpu_s",
            ),
        )

    def _one_call(self, latency_ms: int, in_flight: int) -> Section:
        size = self._size
        with fake_lm(self._lab, latency_ms) as address:
            contenders = entries(
                self._lab,
                address,
                in_flight=in_flight,
                ours=size.calls,
                theirs=size.calls // 5,
            )
            rounds = race(self._lab, contenders, size.rounds)
        title = f"one LM call, {latency_ms} ms, {in_flight} in flight"
        return Section(title=title, rounds=rounds, measure="per_s")


WORKLOADS: Final[Mapping[str, Callable[[Bench], list[Section]]]] = {
    "state": Bench.state,
    "one-call": Bench.one_call,
    "restore": Bench.restore,
}


def main(env: Mapping[str, str]) -> int:
    """Run the workloads that the command line asks for."""
    arguments = _arguments()
    size = QUICK if arguments.quick else FULL
    if arguments.rounds:
        size = Size(**{**_values(size), "rounds": arguments.rounds})
    cache = cache_folder(env) / "bench"
    try:
        with _lab(env) as lab:
            known = facts(HERE.parent, {p.package: p.version for p in (QUIX,)})
            bench = Bench(lab, size, cache)
            sections = [
                section
                for name in arguments.only or WORKLOADS
                for section in WORKLOADS[name](bench)
            ]
    except LabError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    show(sections, known)
    print(f"all rounds: {save(cache, sections, known)}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one small round of each")
    parser.add_argument("--rounds", type=int, help="rounds of each workload")
    parser.add_argument(
        "--only", action="append", choices=WORKLOADS, help="this workload; repeatable"
    )
    return parser.parse_args()


def _values(size: Size) -> dict[str, float]:
    return {name: getattr(size, name) for name in Size.__slots__}


@contextmanager
def _lab(env: Mapping[str, str]) -> Iterator[Lab]:
    """Give a lab on the broker of PENSTOCK_BOOTSTRAP, or on one of its own."""
    plain = {k: v for k, v in env.items() if not k.startswith("PENSTOCK_")}
    # Else every start of the loop by hand asks the network for a list of prices.
    plain["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    folder = Path(tempfile.mkdtemp(prefix="penstock-bench-"))
    try:
        bootstrap = env.get("PENSTOCK_BOOTSTRAP")
        if bootstrap:
            yield Lab(bootstrap=bootstrap, folder=folder, env=plain)
            return
        options = BrokerOptions(heap_mb=BROKER_HEAP_MB)
        with DevBroker.start(install(env), options) as broker:
            yield Lab(
                bootstrap=broker.bootstrap,
                folder=folder,
                env=plain,
                broker=psutil.Process(broker.pid),
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(os.environ))  # noqa: TID251 - a command; parts get the mapping
