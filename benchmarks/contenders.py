"""Contenders: who runs, on which topics, with which command."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import orjson

from benchmarks.lab import PARTITIONS, Lab, LabError, Start
from benchmarks.requests import (
    avro_requests,
    bare_avro_requests,
    bench_schemas,
    json_requests,
)

HERE: Final = Path(__file__).parent
STATE: Final = HERE / "pipelines" / "state"


@dataclass(frozen=True, slots=True, kw_only=True)
class Penstock:
    """A worker of this checkout, or of another."""

    pipelines: Path
    """The folder with its one pipeline, ``bench``."""
    settings: Mapping[str, str] = field(default_factory=dict)
    sessions: bool = True
    checkout: Path = HERE.parent

    def prepare(self, lab: Lab, requests: int) -> Start:
        """Make the topics of a fresh app, and fill its requests."""
        start = self.start(lab)
        env = {**lab.env, **start.env}
        lab.fill(start.requests, avro_requests(requests, env, sessions=self.sessions))
        return start

    def start(self, lab: Lab) -> Start:
        """Make the topics of a fresh app.

        Raises:
            LabError: `penstock topics apply` failed.
        """
        prefix = lab.fresh("penstock")
        command = (sys.executable, "-m", "agents")
        env = {
            **_bench_env(prefix),
            "PENSTOCK_BOOTSTRAP": lab.bootstrap,
            "PENSTOCK_PARTITIONS": str(PARTITIONS),
            "PENSTOCK_PIPELINES_DIR": str(self.pipelines),
            "PENSTOCK_STATE_DIR": str(lab.folder / prefix),
            "PENSTOCK_HTTP_PORT": "0",
            "PENSTOCK_LOG_LEVEL": "info",
            **self.settings,
        }
        start = Start(
            command=(*command, "worker"),
            requests=f"{prefix}.bench.requests",
            results=f"{prefix}.bench.results",
            env=env,
            folder=self.checkout,
        )
        apply = Start(
            command=(*command, "topics", "apply"),
            requests="",
            results="",
            env=env,
            folder=self.checkout,
        )
        with lab.running(f"{prefix}-topics", apply) as applying:
            if applying.wait() != 0:
                raise LabError(applying.log)
        return start


@dataclass(frozen=True, slots=True, kw_only=True)
class Faust:
    """A plain Faust agent with a table."""

    python: Path

    def prepare(self, lab: Lab, requests: int) -> Start:
        """Make its topics and fill its requests."""
        app = lab.fresh("faust")
        asked, answered = f"{app}.requests", f"{app}.results"
        lab.make_topics(asked, answered)
        lab.make_topics(f"{app}-turns-changelog", compact=True)
        lab.fill(asked, json_requests(requests))
        script = str(HERE / "peers" / "faust_count.py")
        folder = str(lab.folder / app)
        return Start(
            command=(
                *(str(self.python), script, lab.bootstrap),
                *(app, asked, answered, folder),
            ),
            requests=asked,
            results=answered,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Quix:
    """Quix Streams, exactly-once, with as many records out and the same state."""

    python: Path
    commit_interval_s: float
    same_records: bool = False
    """Whether requests, stage records and results are those of penstock, in Avro;
    else they are as small as JSON can be."""

    def prepare(self, lab: Lab, requests: int) -> Start:
        """Make its topics and fill its requests."""
        group = lab.fresh("quix")
        asked, stages, answered = (
            f"{group}.{role}" for role in ("requests", "stages", "results")
        )
        lab.make_topics(asked, stages, answered)
        script, schemas = "quix_count.py", ()
        if self.same_records:
            script, schemas = "quix_same.py", (str(_schemas_file(lab, group)),)
            lab.fill(asked, bare_avro_requests(requests, _bench_env(group)))
        else:
            lab.fill(asked, json_requests(requests))
        folder, interval = str(lab.folder / group), str(self.commit_interval_s)
        return Start(
            command=(
                *(str(self.python), str(HERE / "peers" / script), lab.bootstrap),
                *(group, asked, stages, answered, folder, interval, *schemas),
            ),
            requests=asked,
            results=answered,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HandWritten:
    """aiokafka, a semaphore, and DSPy as it comes."""

    address: str
    """Of the LM."""
    in_flight: int

    def prepare(self, lab: Lab, requests: int) -> Start:
        """Make its topics and fill its requests."""
        group = lab.fresh("hand")
        asked, answered = f"{group}.requests", f"{group}.results"
        lab.make_topics(asked, answered)
        lab.fill(asked, json_requests(requests))
        script = str(HERE / "peers" / "hand_written.py")
        return Start(
            command=(
                *(sys.executable, script, lab.bootstrap, group),
                *(asked, answered, self.address, str(self.in_flight)),
            ),
            requests=asked,
            results=answered,
        )


def _bench_env(prefix: str) -> dict[str, str]:
    return {
        "PENSTOCK_PREFIX": prefix,
        "PENSTOCK_PIPELINES_DIR": str(STATE),
        "PENSTOCK_CODE_PATHS": str(HERE / "code"),
        "PENSTOCK_CODE_MODULES": "bench_stages",
    }


def _schemas_file(lab: Lab, group: str) -> Path:
    path = lab.folder / f"{group}-schemas.json"
    path.write_bytes(orjson.dumps(bench_schemas(_bench_env(group))))
    return path


Contender = Penstock | Faust | Quix | HandWritten
