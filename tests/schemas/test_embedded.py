"""The embedded registry reads its topic before it says no, and writes before yes."""

import asyncio
from dataclasses import dataclass, field

import pytest

from schemas.embedded import EmbeddedRegistry
from schemas.errors import RegistryUnavailableError, UnknownSchemaError
from schemas.registry import Subjects

SUBJECT = "penstock.support.results-value"


@dataclass
class Topic:
    """A schemas topic that several workers share."""

    records: list[tuple[bytes, bytes]] = field(default_factory=list)
    away: bool = False

    def worker(self) -> EmbeddedRegistry:
        subjects = Subjects()

        async def publish(key: bytes, value: bytes) -> None:
            await asyncio.sleep(0)
            if self.away:
                raise RegistryUnavailableError(
                    registry="penstock.schemas", reason="no leader"
                )
            self.records.append((key, value))

        async def refresh() -> None:
            await asyncio.sleep(0)
            for record in self.records:
                subjects.apply(*record)

        return EmbeddedRegistry(subjects=subjects, publish=publish, refresh=refresh)


async def test_what_one_worker_registers_another_one_finds():
    topic = Topic()
    known = await topic.worker().register(SUBJECT, '"string"')
    assert await topic.worker().by_id(known) == '"string"'


async def test_the_newest_schema_of_a_subject_is_read_from_the_topic():
    topic = Topic()
    assert await topic.worker().newest(SUBJECT) is None
    known = await topic.worker().register(SUBJECT, '"string"')
    assert await topic.worker().newest(SUBJECT) == (known, '"string"')


async def test_an_id_is_unknown_only_after_reading_the_topic():
    with pytest.raises(UnknownSchemaError):
        await Topic().worker().by_id(7)


async def test_registering_twice_writes_once():
    topic = Topic()
    registry = topic.worker()
    ids = await asyncio.gather(*(registry.register(SUBJECT, '"int"') for _ in range(5)))
    assert len(set(ids)) == 1
    assert len(topic.records) == 1
    assert await topic.worker().register(SUBJECT, '"int"') == ids[0]
    assert len(topic.records) == 1


async def test_callers_of_one_process_never_claim_one_version():
    registry = Topic().worker()
    schemas = ('"int"', '{"type":"int","doc":"a"}', '{"type":"int","doc":"b"}')
    made = await asyncio.gather(*(registry.registration(SUBJECT, s) for s in schemas))
    assert sorted(r.version for r in made) == [1, 2, 3]


async def test_what_could_not_be_written_is_not_registered():
    topic = Topic(away=True)
    registry = topic.worker()
    with pytest.raises(RegistryUnavailableError):
        await registry.register(SUBJECT, '"int"')
    assert registry.subjects.subjects() == ()
