"""The verdict on an app: what its topics must look like, whatever happened to it."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from streams.planned import Node, SequenceNode, StageNode
from streams.session import Session
from tests.integration.lab import Ask, Lab
from tests.integration.reading import Seen, Tail
from tests.integration.stage_records import StageRecords


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminal:
    """A result record, read."""

    seen: Seen
    value: Mapping[str, Any]

    @property
    def request_id(self) -> str:
        return self.value["request_id"]

    @property
    def status(self) -> str:
        return self.value["status"]

    @property
    def code(self) -> str:
        error = self.value["error"]
        return error["code"] if error else ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one pipeline of an app left on its topics."""

    lab: Lab
    pipeline: str
    terminals: tuple[Terminal, ...]

    @classmethod
    def of(cls, lab: Lab, pipeline: str) -> "Verdict":
        """Read everything that is committed now."""
        seen = lab.tail(lab.topic(pipeline, "results")).all()
        return cls(lab, pipeline, terminals_of(lab, pipeline, seen))

    def check(self, asks: Sequence[Ask]) -> None:
        """Check everything that holds for the requests *asks* and no others."""
        self.check_once(asks)
        self.check_order(asks)
        self.check_stages()
        self.check_sessions()

    def check_once(self, asks: Sequence[Ask]) -> None:
        """Each request has one terminal, and nobody else has any."""
        got = [terminal.request_id for terminal in self.terminals]
        missing = {ask.request_id for ask in asks} - set(got)
        extra = [name for name in set(got) if got.count(name) > 1]
        assert not missing, f"no terminal: {sorted(missing)[:10]} of {len(missing)}"
        assert not extra, f"several terminals: {sorted(extra)[:10]} of {len(extra)}"
        assert len(got) == len(asks)

    def check_order(self, asks: Sequence[Ask]) -> None:
        """A session's terminals come in the order of its requests, and are counted."""
        asked, got = defaultdict(list), defaultdict(list)
        for ask in asks:
            asked[ask.home].append(ask.request_id)
        for terminal in self.terminals:
            value = terminal.value
            got[value["session_id"] or value["request_id"]].append(terminal)
        for home, names in asked.items():
            assert [t.request_id for t in got[home]] == names, f"order of {home}"
            turns = [t.value["turn"] for t in got[home] if t.value["turn"]]
            assert turns == list(range(1, len(turns) + 1)), f"turns of {home}"
            [partition] = {t.seen.partition for t in got[home]}
            assert partition is not None

    def check_stages(self) -> None:
        """Every answer came with one record of each stage, numbered up to its own."""
        records = StageRecords.of(self.lab, self.pipeline)
        wanted = in_a_row(self.lab.pipelines[self.pipeline].flow)
        for terminal in self.terminals:
            if terminal.status == "OK":
                records.check_numbers(terminal.value)
                ended = records.ended(terminal.request_id)
                assert wanted in (None, list(ended)), terminal.request_id

    def check_sessions(self, *, remembered: Collection[str] = ()) -> None:
        """The sessions table is what the terminals add up to.

        Requests in *remembered* may stand in a history although they have no answer.
        """
        policy = self.lab.pipelines[self.pipeline].session
        stored = self.lab.changelog("sessions")
        turns, history = defaultdict(int), defaultdict(list)
        for terminal in self.terminals:
            session_id = terminal.value["session_id"]
            if policy is None or terminal.value["turn"] is None:
                continue
            turns[session_id] += 1
            if terminal.status == "OK":
                history[session_id].append(terminal.request_id)
        assert {key.decode() for key in stored} == set(turns)
        for session_id, count in turns.items():
            session = Session.unpack(session_id, stored[session_id.encode()])
            assert session.turns == count, session_id
            names = [turn.request_id for turn in session.history]
            kept = [name for name in names if name not in remembered]
            room = policy.keep - len(names) + len(kept)
            assert kept == history[session_id][-room:], session_id

    def codes(self) -> dict[str, str]:
        """Return status and code of every terminal, by request id."""
        return {t.request_id: f"{t.status} {t.code}".strip() for t in self.terminals}


def in_a_row(flow: Node) -> list[str] | None:
    """Return the names of stages that simply follow each other; else None."""
    match flow:
        case StageNode():
            return [flow.stage.name]
        case SequenceNode(nodes=nodes, chain=True):
            rows = [in_a_row(node) for node in nodes]
            return None if None in rows else [name for row in rows for name in row]
        case _:
            return None


def terminals_of(lab: Lab, pipeline: str, seen: Sequence[Seen]) -> tuple[Terminal, ...]:
    """Return the result records *seen*, read."""
    return tuple(
        Terminal(seen=each, value=lab.decode(pipeline, "results", each))
        for each in seen
    )


def answered(tail: Tail, count: int, *, within_s: float) -> list[Seen]:
    """Return the records of a results topic once there are *count*."""
    return tail.until(
        lambda seen: len(seen) >= count, within_s=within_s, what=f"{count} results"
    )
