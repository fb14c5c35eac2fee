"""Routing: which partition is a key's home, and how a record gets there."""

from functools import lru_cache

from aiokafka.partitioner import murmur2


@lru_cache(maxsize=65_536)
def home_partition(key: str, partitions: int) -> int:
    """Return ``murmur2(key) % partitions``, as Java's and Faust's producers do.

    librdkafka's default partitioner differs (CRC-32): its users set
    ``partitioner=murmur2_random``, or their records take the longer way home.
    """
    # Cached: murmur2 is written in Python, and sessions come back.
    positive: int = murmur2(key.encode()) & 0x7FFFFFFF
    return positive % partitions
