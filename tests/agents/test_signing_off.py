"""Signing off: the last word of a member is heard or not, and never holds it up."""

import asyncio
import socket
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from agents import group
from agents.group import sign_off


@pytest.fixture
def mute() -> Iterator[str]:
    """Return the address of somebody who takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


async def test_who_hears_nothing_gives_up_and_says_so(mute, monkeypatch):
    monkeypatch.setattr(group, "SIGN_OFF_WITHIN_S", 0.05)
    with capture_logs() as said:
        async with asyncio.timeout(group.REACH_WITHIN_S):
            await sign_off(mute, "main", "m1")
    assert [event["event"] for event in said] == ["group.not_left"]


async def test_a_broker_that_is_away_is_said_and_not_raised():
    with socket.create_server(("127.0.0.1", 0)) as server:
        gone = f"127.0.0.1:{server.getsockname()[1]}"
    with capture_logs() as said:
        await sign_off(gone, "main", "m1")
    assert [event["event"] for event in said] == ["group.not_left"]


async def test_to_be_gone_already_is_what_was_wanted(bootstrap):
    with capture_logs() as said:
        await sign_off(bootstrap, "signing-off", "nobody")
    assert said == []
