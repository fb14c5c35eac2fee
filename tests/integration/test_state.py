"""State on a worker's disk may be lost or damaged: turns and answered ids go on."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from agents.tables import Engine, KeyStore, StoreMark
from streams.session import Session
from tests.integration.lab import PARTITIONS, Ask, Lab
from tests.integration.texts import ECHO
from tests.integration.verdict import Verdict, answered

SESSIONS = 8


class Talk:
    """Sessions that go on, whatever happens to the disk between their turns."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.asks: list[Ask] = []
        self.results = lab.tail(lab.topic("echo", "results"))
        self.worker = None

    def turn(self) -> None:
        """Let a worker answer one more request of each session; then stop it."""
        begin = len(self.asks)
        self.asks += [
            Ask(
                request_id=f"r{i}",
                session_id=f"s{i % SESSIONS}",
                inputs={"ticket": "x"},
            )
            for i in range(begin, begin + SESSIONS)
        ]
        self.worker = self.lab.worker().ready()
        # The ids of before come again: they were answered.
        self.lab.send("echo", self.asks)
        answered(self.results, len(self.asks), within_s=20)
        assert self.worker.terminate() == 0
        Verdict.of(self.lab, "echo").check(self.asks)

    def stores(self, table: str) -> list[Path]:
        return [self.lab.state() / table / str(p) for p in range(PARTITIONS)]


def lead(stores: list[Path], wrong: Mapping[bytes, bytes]) -> None:
    """Make *stores* ahead of their changelogs, with contents that nobody wrote."""
    engine = Engine(cache_bytes=1 << 20, write_buffer_bytes=1 << 20)
    for path in stores:
        store = KeyStore(engine, path)
        mark = StoreMark(
            next=store.mark.next + 1_000,
            seen_ms=store.mark.seen_ms,
            changelog_id=store.mark.changelog_id,
        )
        store.apply(wrong.items(), mark)
        store.close()


def garble(stores: list[Path], pattern: str) -> None:
    for store in stores:
        [path] = store.glob(pattern)
        path.write_bytes(b"garbage\n")


def test_turns_and_answered_ids_go_on_after_the_disk_was_lost_or_damaged(new_lab):
    talk = Talk(new_lab({"echo": ECHO}))
    talk.turn()
    old = talk.lab.folder / "old"
    shutil.copytree(talk.lab.state() / "tasks", old)
    shutil.rmtree(talk.lab.state())
    talk.turn()
    # All at once: ahead of the changelog, refused by RocksDB in two ways, outdated.
    wrong = Session(session_id="", turns=99).pack()
    lead(talk.stores("sessions"), {b"s%d" % i: wrong for i in range(SESSIONS)})
    garble(talk.stores("ledger"), "CURRENT")
    garble(talk.stores("journal"), "MANIFEST-*")
    shutil.rmtree(talk.lab.state() / "tasks")
    shutil.move(old, talk.lab.state() / "tasks")
    talk.turn()
    assert len(talk.worker.events("store.wiped")) == PARTITIONS
    assert len(talk.worker.events("store.corrupt")) == 2 * PARTITIONS
