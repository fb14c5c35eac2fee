"""One real broker for the whole test session, and more for those who ask."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from agents.broker import BrokerOptions, DevBroker, Installation, install

# A busy machine is no mistake of the code's; and a build that is red for an example
# that the next one does not have helps nobody: `--hypothesis-seed` looks for others.
hypothesis.settings.register_profile(
    "steady",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("steady")

NEEDS_BROKER = {"kafka", "broker", "bootstrap", "start_broker", "own_cache"}


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses the broker, so that ``make unit`` can leave it out."""
    for item in items:
        if NEEDS_BROKER & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.broker)


@pytest.fixture(scope="session")
def kafka() -> Installation:
    """Kafka's jars and a Java, fetched if they are not cached."""
    return install(os.environ)  # noqa: TID251 - tests are a caller like the CLI


@pytest.fixture(scope="session")
def broker(kafka: Installation) -> Iterator[DevBroker]:
    """The session's broker. Tests take unique prefixes instead of cleaning up."""
    with DevBroker.start(kafka) as started:
        yield started


@pytest.fixture(scope="session")
def bootstrap(request: pytest.FixtureRequest) -> str:
    """The address of the broker to test on: yours if you name one, else our own."""
    given = os.environ.get("PENSTOCK_BOOTSTRAP")  # noqa: TID251 - as above
    return given or request.getfixturevalue("broker").bootstrap


@pytest.fixture
def start_broker(kafka: Installation) -> Iterator[Callable[..., DevBroker]]:
    """Start brokers of the test's own, to stop, kill and proxy; closed at its end."""
    started: list[DevBroker] = []

    def start(**options: object) -> DevBroker:
        broker = DevBroker.start(kafka, BrokerOptions(**options))
        started.append(broker)
        return broker

    yield start
    for each in started:
        each.close()


@pytest.fixture
def own_cache(kafka: Installation, tmp_path: Path) -> Path:
    """A cache folder of the test's own: Kafka's jars, and nobody else's brokers."""
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / kafka.jars.name).symlink_to(kafka.jars)
    return cache
