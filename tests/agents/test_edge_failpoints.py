"""Failpoints: what a rule may say, and that it happens where and when it says."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import structlog
from aiokafka.client import ConnectionGroup, CoordinationType
from aiokafka.errors import KafkaError

from agents import failpoints, transactions
from agents.exit_codes import ExitCode
from agents.failpoint_rules import POINTS, rules_of
from agents.failpoints import Failpoints, armed, seams_of
from agents.lost_markers import LostMarkers
from agents.restore import Restored, Restorer, changelog
from agents.seams import Seams
from agents.tables import JOURNAL, DiskFullError, StoreMark
from agents.transactions import Committed, InDoubt, NotCommitted, Outgoing, Transactor
from streams.errors import ConfigError
from tests.agents.test_edge_fakes import MemoryStore

GROUP = "penstock-main"
MARK = StoreMark(next=1)
FOLDER = Path("sessions/0")
ENTRY = Outgoing(
    topic=changelog(GROUP, JOURNAL), partition=0, key=b"run\0\0h", value=b"{}"
)


class Story:
    """What a worker and its process did, in turn."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told: list[str] = []

        async def sleeps(seconds: float) -> None:
            self.told.append(f"sleep {seconds:g}")

        fakes = {
            "asyncio": SimpleNamespace(sleep=sleeps),
            "os": SimpleNamespace(getpid=lambda: 7, kill=self._kill),
            "time": SimpleNamespace(
                sleep=lambda seconds: self.told.append(f"sleep {seconds:g}")
            ),
        }
        for name, fake in fakes.items():
            monkeypatch.setattr(failpoints, name, fake)
        monkeypatch.setattr(
            transactions, "AIOKafkaProducer", lambda **_: FakeProducer(self.told)
        )
        self._patch = monkeypatch

    def _kill(self, pid: int, number: signal.Signals) -> None:
        assert pid == 7
        self.told.append(number.name)

    async def play(self, rules: str) -> "Story":
        """Let a worker acquire a partition, commit a journal entry, and store it."""
        seams = seams_of(Failpoints(rules_of(rules, seed="1")))
        store = seams.store(FOLDER, ToldStore(self.told))
        self._patch.setattr(Restorer, "restore", restoring(store))
        transactor = seams.transactor(
            "nowhere:9",
            "t-0",
            group=GROUP,
            commit_timeout_s=1.0,
            transaction_timeout_s=2.0,
            markers=NoneLost(),
        )
        restorer = seams.restorer("nowhere:9", GROUP, None, None, accept_loss=False)
        try:
            await transactor.renew()
            await restorer.restore([0])
            for records in ([], [ENTRY]):
                self.outcome = await transactor.commit(records, {})
                if not isinstance(self.outcome, Committed):
                    break
            else:
                store.apply([(b"k", b"v")], MARK)
        except (KafkaError, DiskFullError) as error:
            self.told.append(type(error).__name__)
            self.outcome = error
        return self


class NoneLost(LostMarkers):
    """Finds that no marker was lost, without looking."""

    async def remember(self, *_: object) -> None:
        pass

    async def end(self, *_: object) -> None:
        pass


class FakeProducer:
    """A transactional producer to which everything succeeds."""

    def __init__(self, told: list[str]) -> None:
        self.told = told
        link = SimpleNamespace(connected=lambda: True)
        self._sender = SimpleNamespace(_coordinators={CoordinationType.TRANSACTION: 1})
        self.client = SimpleNamespace(
            bootstrap=self._bootstrap,
            _conns={(1, ConnectionGroup.COORDINATION): link},
        )
        self._txn_manager = SimpleNamespace(wait_for_transaction_end=lambda: None)

    async def _bootstrap(self) -> None:
        pass

    async def start(self) -> None:
        self.told.append("init")

    async def stop(self) -> None:
        pass

    async def begin_transaction(self) -> None:
        self.told.append("begin")

    def create_batch(self) -> "FakeProducer":
        return self

    def append(self, **_: object) -> object:
        return True

    def record_count(self) -> int:
        return 1

    async def send_batch(
        self, _: object, topic: str, *, partition: int
    ) -> asyncio.Future:
        self.told.append("send")
        done = asyncio.get_running_loop().create_future()
        done.set_result(SimpleNamespace(offset=3))
        return done

    async def commit_transaction(self) -> None:
        self.told.append("end")


class ToldStore(MemoryStore):
    """A store that says when it is written."""

    def __init__(self, told: list[str]) -> None:
        super().__init__()
        self._told = told

    def apply(self, changes: list, mark: StoreMark) -> None:
        self._told.append("write")
        super().apply(changes, mark)


def restoring(store: object) -> object:
    """Return a restore that finds one record for *store*, then marks it."""

    async def restore(_: Restorer, *__: object) -> Restored:
        store.apply([(b"k", b"v")], MARK)
        return Restored(records=1, seconds=0.0)

    return restore


WITHOUT = ["init", "write", "begin", "end", "begin", "send", "end", "write"]
PLACES = {
    "claim.after_init": 1,
    "restore.apply": 1,
    "claim.before_begin": 2,
    "claim.after_end": 4,
    "commit.before_begin": 4,
    "journal.before": 4,
    "commit.before_end": 6,
    "commit.after_end": 7,
    "journal.after": 7,
    "store.apply": 7,
    "store.applied": 8,
}
"""Where in the story each point is."""

SIGNS = {"kill": "SIGKILL", "stop": "SIGSTOP", "sleep:2": "sleep 2"}


def actions(point: str) -> list[str]:
    return sorted("sleep:2" if a == "sleep" else a for a in POINTS[point])


@pytest.mark.parametrize(
    ("point", "action"), [(p, a) for p in POINTS for a in actions(p)]
)
async def test_each_action_happens_at_its_point_and_nowhere_else(
    point, action, monkeypatch
):
    story = await Story(monkeypatch).play(f"{point}={action}@1")
    before = WITHOUT[: PLACES[point]]
    assert story.told[: len(before)] == before
    match action:
        case "error":
            assert isinstance(story.outcome, NotCommitted | KafkaError)
            assert story.told[len(before) :] in ([], ["KafkaError"])
        case "enospc":
            assert isinstance(story.outcome, DiskFullError)
            assert "No space left on device" in str(story.outcome)
        case "drop-reply":
            assert isinstance(story.outcome, InDoubt)
            assert story.told == before
        case _:
            assert story.told[len(before) :] == [SIGNS[action], *WITHOUT[len(before) :]]


async def test_without_a_due_rule_nothing_happens(monkeypatch):
    assert (await Story(monkeypatch).play("store.apply=kill@9")).told == WITHOUT


async def test_a_mark_alone_is_no_write(monkeypatch):
    story = Story(monkeypatch)
    points = Failpoints(rules_of("store.apply=kill@every:1", seed="1"))
    store = seams_of(points).store(FOLDER, ToldStore(story.told))
    store.apply((), MARK)
    assert store.mark == MARK
    assert story.told == ["write"]


def passages(when: str, count: int, seed: str = "1") -> list[int]:
    [rule] = rules_of(f"store.applied=kill@{when}", seed)
    return [number for number in range(1, count + 1) if rule.when(number)]


def test_a_rule_says_at_which_passages_it_happens():
    assert passages("3", 9) == [3]
    assert passages("every:4", 9) == [4, 8]


def test_chances_follow_the_seed_and_are_about_as_likely_as_they_say():
    drawn = passages("p:0.1", 1_000)
    assert drawn == passages("p:0.1", 1_000)
    assert drawn != passages("p:0.1", 1_000, seed="2")
    assert 60 < len(drawn) < 140


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("commit.befor_end=kill@1", "no such point; there are claim.after_init, "),
        ("kill@1", "no such point; there are "),
        (
            "restore.apply=drop-reply@1",
            "no such action at restore.apply; there are enospc, error, kill, sleep:<",
        ),
        ("commit.after_end=enospc@1", "no such action at commit.after_end; there are "),
        ("store.apply=sleep@1", "no such action at store.apply; "),
        ("store.apply=kill:1@1", "no such action at store.apply; "),
        ("store.apply=sleep:x@1", "say when: @<n>, @every:<n> or @p:<chance>"),
        ("store.apply=kill", "say when: "),
        ("store.apply=kill@0", "say when: "),
        ("store.apply=kill@often:3", "say when: "),
    ],
)
def test_a_rule_that_cannot_be_read_is_refused_with_what_there_is(rule, said):
    with pytest.raises(ConfigError) as refused:
        rules_of(f"store.apply=kill@1; {rule};", seed="1")
    [line] = refused.value.problems
    assert line.startswith(f"PENSTOCK_FAILPOINTS: {rule!r}: {said}")


def test_a_worker_with_a_wrong_rule_does_not_start(tmp_path):
    (tmp_path / "echo.yaml").write_text(PIPELINE)
    (tmp_path / "shouting.py").write_text(CODE)
    env = {
        "PENSTOCK_BOOTSTRAP": "127.0.0.1:1",
        "PENSTOCK_PIPELINES_DIR": str(tmp_path),
        "PENSTOCK_CODE_PATHS": str(tmp_path),
        "PENSTOCK_CODE_MODULES": "shouting",
        "PENSTOCK_STATE_DIR": str(tmp_path / "state"),
        "PENSTOCK_FAILPOINTS": "nowhere=kill@1",
    }
    done = subprocess.run(
        [sys.executable, "-m", "agents", "worker"],
        env=env,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == ExitCode.USAGE
    [line] = done.stderr.splitlines()
    assert "'nowhere=kill@1': no such point; there are claim.after_init" in line


PIPELINE = """
pipeline: echo
version: 1
input: "text: str"
output: "text: str"
stages:
  shout: {transform: "shouting:shout", signature: "text -> text"}
flow: [shout]
"""
CODE = "def shout(text: str) -> str:\n    return text.upper()\n"


def test_arming_is_loud_and_without_a_seed_draws_one():
    with structlog.testing.capture_logs() as told:
        armed({"PENSTOCK_FAILPOINTS": "store.apply=kill@1"})
        armed({"PENSTOCK_FAILPOINTS": "store.apply=kill@1", failpoints.SEED: "7"})
    assert [event["log_level"] for event in told] == ["warning", "warning"]
    assert told[0]["rules"] == ["store.apply=kill@1"]
    assert told[0]["seed"].isdecimal()
    assert told[1]["seed"] == "7"


def test_an_ordinary_worker_has_the_parts_themselves_and_does_not_load_failpoints():
    seams, store = Seams(), MemoryStore()
    assert seams.transactor is Transactor
    assert seams.restorer is Restorer
    assert seams.store(FOLDER, store) is store
    code = "import sys, agents.worker; sys.exit('agents.failpoints' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=False)  # noqa: S603 - ours
    assert done.returncode == 0
