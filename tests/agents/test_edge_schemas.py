"""Schemas by id: known ones at once, unknown ones after asking, and never for ever."""

import asyncio

import pytest

from agents import schemas as module
from agents.schemas import GIVEN_UP_S, SchemaFinder
from schemas.codec import ParsedSchema
from schemas.errors import RegistryUnavailableError, UnknownSchemaError
from streams.clock import ManualClock

TEXT = '{"type": "record", "name": "R", "fields": []}'
GUID = "11111111-2222-3333-4444-555555555555"


class Registry:
    """Says what it is told to, in turn; each question takes a second."""

    def __init__(self, *answers: str | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[int | str] = []
        self.clock = ManualClock()

    async def __call__(self, ref: int | str) -> str:
        self.asked.append(ref)
        self.clock.advance(1)
        answer = self.answers.pop(0) if self.answers else UnknownSchemaError(ref)
        if isinstance(answer, Exception):
            raise answer
        return answer


def finder(registry: Registry, wait_s: float = 5) -> SchemaFinder:
    return SchemaFinder(registry, registry.clock, wait_s=wait_s)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(module, "ASK_AGAIN_S", 0)


def test_a_known_schema_is_there_at_once():
    found = finder(Registry())
    schema = ParsedSchema.of(TEXT)
    found.add(schema)
    assert found.find(schema.id) is schema


def test_an_unknown_one_is_asked_for_by_who_can_wait():
    registry = Registry()
    with pytest.raises(UnknownSchemaError):
        finder(registry).find(7)
    assert registry.asked == []


@pytest.mark.parametrize("ref", [7, GUID])
async def test_a_learned_schema_is_known_by_what_it_was_asked_for(ref):
    found = finder(Registry(TEXT))
    await found.learn(ref)
    assert found.find(ref).text == ParsedSchema.of(TEXT).text
    assert not found.given_up(ref)


async def test_an_id_may_turn_up_within_the_wait():
    registry = Registry(UnknownSchemaError(7), UnknownSchemaError(7), TEXT)
    found = finder(registry)
    await found.learn(7)
    assert found.find(7)
    assert registry.asked == [7, 7, 7]


async def test_an_id_that_nobody_knows_is_given_up_for_a_while():
    registry = Registry()
    found = finder(registry)
    await found.learn(7)
    assert len(registry.asked) == 5
    assert found.given_up(7)
    assert not found.given_up(8)
    registry.clock.advance(GIVEN_UP_S)
    assert not found.given_up(7)


async def test_a_registry_that_is_away_says_nothing_about_the_id():
    away = [RegistryUnavailableError("registry", "refused"), OSError(), TimeoutError()]
    registry = Registry(*away * 10, TEXT)
    found = finder(registry)
    await found.learn(7)
    assert found.find(7)
    assert not found.given_up(7)


async def test_waiting_for_a_registry_can_be_cancelled():
    registry = Registry(*[OSError()] * 10_000)
    learning = asyncio.create_task(finder(registry).learn(7))
    await asyncio.sleep(0.01)
    learning.cancel()
    with pytest.raises(asyncio.CancelledError):
        await learning


async def test_a_text_that_is_no_schema_is_given_up():
    found = finder(Registry("no schema"))
    await found.learn(7)
    assert found.given_up(7)


async def test_a_schema_that_turns_up_after_all_is_used():
    registry = Registry()
    found = finder(registry)
    await found.learn(7)
    registry.answers = [TEXT]
    await found.learn(7)
    assert found.find(7)
