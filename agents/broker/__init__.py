"""The dev broker: Apache Kafka itself, on a machine that has Python and little else."""

from agents.broker.installation import Installation, cache_folder, install
from agents.broker.properties import BrokerOptions, Identity
from agents.broker.server import DevBroker

__all__ = [
    "BrokerOptions",
    "DevBroker",
    "Identity",
    "Installation",
    "cache_folder",
    "install",
]
