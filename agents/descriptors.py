"""Open files: how many a worker may need, and whether the system allows them."""

import resource
from typing import Final

from agents.failures import DescriptorLimitError
from agents.topics import TOPICS
from streams.config import Settings

FILES_PER_STORE: Final = 64  # RocksDB's own bound, which agents/tables.py sets
LOGS_PER_STORE: Final = 8  # write-ahead logs, manifest, lock, which it does not count
CLIENTS: Final = 512  # brokers, LMs, HTTP, with room


def descriptors_needed(settings: Settings) -> int:
    """Return how many files a worker that owns every partition may have open."""
    tables = sum(shape.scope == "table" for shape in TOPICS)
    per_task = tables * (FILES_PER_STORE + LOGS_PER_STORE) + 1  # and its producer
    return settings.partitions * per_task + CLIENTS


def descriptors_allowed() -> int:
    """Return how many this process may have once it asked for all it can get."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return hard


def allow_descriptors(settings: Settings) -> int:
    """Raise this process's limit to what a worker needs; return the limit.

    Raises:
        DescriptorLimitError: the system does not allow as many.
    """
    needed, allowed = descriptors_needed(settings), descriptors_allowed()
    if allowed != resource.RLIM_INFINITY and allowed < needed:
        raise DescriptorLimitError(needed, allowed)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        # The usual soft limit of 1,024 is for programs that use select().
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
        return needed
    return soft
