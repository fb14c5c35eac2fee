"""The tickets that the demo sends: committed data, customers' turns in their order."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import orjson

from agents.failures import DemoFilesError
from schemas.records import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """What one customer wrote, in one turn of a session."""

    session: str
    turn: int
    """Counts within the session from 1."""
    tier: str
    ticket: str

    def request(self, pipeline: str) -> Request:
        """Return the request that asks *pipeline* about it."""
        return Request(
            request_id=f"{self.session}-{self.turn}",
            session_id=self.session,
            pipeline=pipeline,
            inputs={"ticket": self.ticket, "tier": self.tier},
        )


def read_tickets(path: Path) -> list[Ticket]:
    """Return the tickets of *path*, JSON lines, as a support desk would get them.

    Sessions take turns: first tickets first, then the second ones, and so on.

    Raises:
        DemoFilesError: there is no such file.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise DemoFilesError(path) from error
    sessions: defaultdict[str, list[Ticket]] = defaultdict(list)
    for line in lines:
        ticket = Ticket(**orjson.loads(line))
        sessions[ticket.session].append(ticket)
    return in_turns(list(sessions.values()))


def in_turns(sessions: Sequence[Sequence[Ticket]]) -> list[Ticket]:
    """Return the tickets of all *sessions*, turn by turn."""
    turns = zip_longest(*sessions)
    return [ticket for turn in turns for ticket in turn if ticket is not None]
