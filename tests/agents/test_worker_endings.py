"""What a worker's last line says of the error that ended it."""

import pytest
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    NodeNotReadyError,
    RequestTimedOutError,
)

from agents.failures import BrokerRefusesError, BrokerUnreachableError
from agents.worker import explained

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


@pytest.mark.parametrize(
    "error", [KafkaError("Unexpected exception in heartbeat task"), OSError("disk")]
)
def test_any_other_error_is_told_as_it_is(error):
    assert explained(error, AT) is error
