"""Talks to a broker about itself: reachable, new enough, and with fitting limits."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.admin import ApiVersionRequest

from agents.failures import BrokerTooOldError, BrokerUnreachableError
from streams.config import Settings

REACH_WITHIN_S: Final = 5.0
REQUEST_TIMEOUT_S: Final = 20.0

OLDEST_KAFKA: Final = "4.0"
END_TXN: Final = 26
END_TXN_VERSION: Final = 5
"""Brokers name no release. Kafka 4.0 is the first with this version of EndTxn, the
one that fences transactions which outlived their producer (KIP-890)."""


@contextlib.asynccontextmanager
async def admin_of(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """Connect to *bootstrap* for the length of a block.

    Raises:
        BrokerUnreachableError: no broker answered within five seconds.
    """
    admin = AIOKafkaAdminClient(
        bootstrap_servers=bootstrap, request_timeout_ms=round(REQUEST_TIMEOUT_S * 1_000)
    )
    try:
        try:
            async with asyncio.timeout(REACH_WITHIN_S):
                await admin.start()
        except (KafkaError, OSError, TimeoutError, ValueError) as error:
            raise BrokerUnreachableError(bootstrap) from error
        yield admin
    finally:
        await admin.close()


async def require_new_enough(bootstrap: str) -> None:
    """Check that *bootstrap* is Kafka 4.0 or newer.

    Raises:
        BrokerTooOldError: it is not.
        BrokerUnreachableError: no broker answered.
    """
    client = AIOKafkaClient(bootstrap_servers=bootstrap)
    try:
        async with asyncio.timeout(REACH_WITHIN_S):
            await client.bootstrap()
            reply = await client.send(client.get_random_node(), ApiVersionRequest())
    except (KafkaError, OSError, TimeoutError, ValueError) as error:
        raise BrokerUnreachableError(bootstrap) from error
    finally:
        await client.close()
    newest = {key: highest for key, _lowest, highest in reply.api_versions}
    if newest.get(END_TXN, -1) < END_TXN_VERSION:
        found = f"EndTxn up to version {newest.get(END_TXN, 'none')}"
        raise BrokerTooOldError(bootstrap, OLDEST_KAFKA, found)


async def limit_problems(admin: AIOKafkaAdminClient, settings: Settings) -> list[str]:
    """Return which of *settings* the broker will not accept, as sentences."""
    node = (await admin.describe_cluster())["brokers"][0]["node_id"]
    known = await configs_of(admin, ConfigResourceType.BROKER, [str(node)])
    broker = known[str(node)]
    transaction_ms = settings.transaction_timeout_s * 1_000
    session_ms = settings.session_timeout_s * 1_000
    limits = (
        ("TRANSACTION_TIMEOUT_S", transaction_ms, "transaction.max.timeout.ms", 1),
        ("SESSION_TIMEOUT_S", session_ms, "group.max.session.timeout.ms", 1),
        ("SESSION_TIMEOUT_S", session_ms, "group.min.session.timeout.ms", -1),
    )
    return [
        f"PENSTOCK_{setting}: {value / 1_000:g} s is "
        f"{'above' if sign > 0 else 'below'} the broker's {name} of {broker[name]}"
        for setting, value, name, sign in limits
        if name in broker and sign * (value - int(broker[name])) > 0
    ]


async def configs_of(
    admin: AIOKafkaAdminClient, kind: ConfigResourceType, names: list[str]
) -> dict[str, dict[str, str]]:
    """Return the effective configuration of each of *names*."""
    replies: list[Any] = await admin.describe_configs(
        [ConfigResource(kind, name) for name in names]
    )
    return {
        resource["resource_name"]: {
            entry["config_names"]: entry["config_value"]
            for entry in resource["config_entries"]
        }
        for reply in replies
        for resource in reply.to_object()["resources"]
        if not resource["error_code"]
    }
