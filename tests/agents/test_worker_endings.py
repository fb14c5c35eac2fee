"""What a worker says at its start, and of the error that ended it."""

import asyncio

import pytest
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    NodeNotReadyError,
    RequestTimedOutError,
)
from structlog.testing import capture_logs

from agents.failures import (
    BrokerRefusesError,
    BrokerUnreachableError,
    OutOfMemoryError,
)
from agents.worker import explained, until_started

AT = "kafka:9092"


@pytest.mark.parametrize(
    "error",
    [KafkaConnectionError, KafkaTimeoutError, NodeNotReadyError, RequestTimedOutError],
)
def test_a_broker_that_does_not_answer_is_called_away(error):
    assert isinstance(explained(error(), AT), BrokerUnreachableError)


def test_a_lost_permission_is_called_that():
    assert isinstance(
        explained(GroupAuthorizationFailedError("group"), AT), BrokerRefusesError
    )


def test_no_memory_is_called_that_and_names_what_to_lower():
    told = explained(MemoryError(), AT)
    assert isinstance(told, OutOfMemoryError)
    assert "PENSTOCK_MAX_RUNNING" in str(told)


@pytest.mark.parametrize(
    "error", [KafkaError("Unexpected exception in heartbeat task"), OSError("disk")]
)
def test_any_other_error_is_told_as_it_is(error):
    assert explained(error, AT) is error


async def test_a_start_that_waits_says_for_what_until_it_is_over():
    group, opening, told = asyncio.Event(), [False], []

    def is_opening() -> bool:
        told.append(opening[0])
        opening[0] = True
        if len(told) == 2:
            group.set()
        return told[-1]

    starting = asyncio.create_task(group.wait())
    stopped = asyncio.create_task(asyncio.Event().wait())
    with capture_logs() as logs:
        await until_started(starting, stopped, opening=is_opening, tell_every_s=0.01)
    stopped.cancel()
    assert [e["waits_for"] for e in logs] == ["group", "restore"]
