"""Planted bugs take effect: what the topics of an app look like with each of them."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest

from agents.exit_codes import ExitCode
from agents.position import Position
from tests.faults.planted import PLANTED
from tests.faults.worker_entry import BUGGY
from tests.integration.conftest import labs
from tests.integration.lab import Ask, Lab, Raw
from tests.integration.processes import WorkerProcess
from tests.integration.reading import Seen
from tests.integration.texts import ECHO
from tests.integration.verdict import Terminal, Verdict

SESSIONS = 8
TURNS = 5

SYMPTOMS = {
    "early_commit": "a request is not answered",
    "lost_offset": "a position stays behind",
    "double_produce": "an execution has two results",
    "zombie_write": "an execution has two results",
    "stale_restore": "a turn is not counted",
    "skipped_dead_letter": "poison has no dead letter",
    "order_swap": "a session is out of order",
    "lost_journal": "the journal is empty",
    "lost_ledger": "an id is executed again",
}

TOGETHER = (
    (),
    ("early_commit", "double_produce", "skipped_dead_letter", "lost_ledger"),
    ("lost_offset", "stale_restore", "zombie_write", "order_swap", "lost_journal"),
)
"""Bugs whose symptoms can be told apart, so that three runs show all."""


@pytest.fixture
def lab(bootstrap, tmp_path):
    with labs(bootstrap, tmp_path) as new:
        yield new({"echo": ECHO})


@dataclass
class Story:
    """Two lives of a worker with *bugs*; between them it is killed."""

    lab: Lab
    bugs: tuple[str, ...]
    asks: list[Ask] = field(default_factory=list)

    def play(self) -> None:
        results = self.lab.tail(self.lab.topic("echo", "results"))
        worker = self.worker()
        # A burst, so that a session's requests wait behind each other.
        burst = self.ask("wait=0.05", TURNS)
        poison = (Raw(topic=self.requests, value=b"junk", key=b"k") for _ in range(9))
        self.lab.produce(poison)
        self.answered(results, burst)
        # Taken, and not answered when the worker dies; others behind them are.
        self.ask("wait=3", 1, "slow")
        self.answered(results, self.ask("x", 1, "quick"))
        worker.kill()
        worker = self.worker()
        self.send(burst[:SESSIONS])
        # Those who were answered last: theirs is what a stale restore forgets.
        self.answered(results, self.ask("x", 1, "quick"))
        # It drains: whoever was taken is answered by then.
        assert worker.terminate() == ExitCode.DONE

    def worker(self) -> WorkerProcess:
        if not self.bugs:
            return self.lab.worker(instance="one").ready()
        bugs = ",".join(self.bugs)
        return self.lab.worker(instance="one", entry=BUGGY, test_bug=bugs).ready()

    @property
    def requests(self) -> str:
        return self.lab.topic("echo", "requests")

    def ask(self, ticket: str, turns: int, kind: str = "s") -> list[Ask]:
        begin = len(self.asks)
        asks = [
            Ask(
                request_id=f"r{begin + i}",
                session_id=f"{kind}{i % SESSIONS}",
                inputs={"ticket": ticket},
            )
            for i in range(turns * SESSIONS)
        ]
        self.asks += asks
        self.send(asks)
        return asks

    def send(self, asks: Iterable[Ask]) -> None:
        self.lab.send("echo", asks)

    def answered(self, results, asks: list[Ask]) -> None:
        """Wait until *asks* have a result, or several."""
        wanted = {ask.request_id for ask in asks}

        def got(seen: list[Seen]) -> bool:
            return wanted <= {
                self.lab.decode("echo", "results", each)["request_id"] for each in seen
            }

        results.until(got, within_s=30, what="results of all")


def symptoms(story: Story) -> set[str]:
    """Return what is wrong with the app."""
    terminals = Verdict.of(story.lab, "echo").terminals
    found = {
        "a request is not answered": unanswered(story, terminals),
        "an execution has two results": repeated(source_of(t) for t in terminals),
        "an id is executed again": repeated(
            request_id for request_id, _ in {source_of(t) for t in terminals}
        ),
        "a session is out of order": out_of_order(story, terminals),
        "a turn is not counted": miscounted(terminals),
        "a position stays behind": behind(story.lab),
        "poison has no dead letter": len(records(story.lab, "echo", "dlq")) < 9,
        "the journal is empty": not any(changes(story.lab, "journal")),
    }
    return {symptom for symptom, seen in found.items() if seen}


def unanswered(story: Story, terminals: Iterable[Terminal]) -> bool:
    return bool(
        {ask.request_id for ask in story.asks} - {t.request_id for t in terminals}
    )


def repeated(names: Iterable[object]) -> bool:
    return any(count > 1 for count in Counter(names).values())


def source_of(terminal: Terminal) -> tuple[str, str]:
    return terminal.request_id, str(terminal.value["source"])


def out_of_order(story: Story, terminals: Iterable[Terminal]) -> bool:
    """Say whether a session's first results came in another order than asked."""
    answers = list(dict.fromkeys(terminal.request_id for terminal in terminals))
    asked = defaultdict(list)
    for ask in story.asks:
        if ask.request_id in answers:
            asked[ask.session_id].append(ask.request_id)
    return any(sorted(ids, key=answers.index) != ids for ids in asked.values())


def miscounted(terminals: Iterable[Terminal]) -> bool:
    turns = defaultdict(set)
    executions = defaultdict(set)
    for terminal in terminals:
        session_id = terminal.value["session_id"]
        turns[session_id].add(terminal.value["turn"])
        executions[session_id].add(source_of(terminal))
    return any(
        turns[name] != set(range(1, len(done) + 1)) for name, done in executions.items()
    )


def behind(lab: Lab) -> bool:
    """Say whether a record that was read is not behind its task's position."""
    positions = {
        seen.partition: Position.unpack(seen.value)
        for seen in changes(lab, "tasks")
        if seen.key == b"position"
    }
    topic = lab.topic("echo", "requests")
    return any(
        not positions[seen.partition].sources[topic].covers(seen.offset)
        for seen in records(lab, "echo", "requests")
    )


def records(lab: Lab, pipeline: str, role: str) -> list[Seen]:
    with lab.tail(lab.topic(pipeline, role)) as tail:
        return tail.all()


def changes(lab: Lab, table: str) -> list[Seen]:
    with lab.tail(f"{lab.settings.group}-{table}-changelog") as tail:
        return [seen for seen in tail.all() if not seen.key.startswith(b"\0")]


@pytest.mark.long
@pytest.mark.parametrize("bugs", TOGETHER, ids=lambda bugs: "+".join(bugs) or "none")
def test_each_bug_has_its_symptom_and_no_bug_has_none(lab, bugs):
    story = Story(lab, bugs)
    story.play()
    assert symptoms(story) == {SYMPTOMS[bug] for bug in bugs}


def test_every_bug_is_shown_and_breaks_what_the_checker_knows():
    assert {bug for bugs in TOGETHER for bug in bugs} == set(PLANTED) == set(SYMPTOMS)
    for planted in PLANTED.values():
        assert planted.plant.__doc__
        assert all(f"{name}" in planted.plant.__doc__ for name in planted.breaks)
