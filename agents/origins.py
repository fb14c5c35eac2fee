"""Origins: which topics a task's position and tables are about, by Kafka's own ids.

A topic that was deleted and made again has its old name and other records. An offset
of the one means nothing in the other, and what a changelog had is gone. So an owner
writes beside its position which topics it found, and the next one compares: nobody
goes on as if they were the same.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import orjson

from agents.failures import EdgeError
from streams.errors import StateError

FORMAT: Final = b"\x01"

KEY: Final = b"origins"
"""Key of the record in the ``tasks`` table; one per partition."""

WHAT: Final = "origins record"


class TopicRecreatedError(EdgeError):
    """A topic is not the one that this app knows by that name."""

    code = "topics.recreated"

    def __init__(self, topics: Iterable[str]) -> None:
        super().__init__(
            f"{', '.join(sorted(topics))}: deleted and made again; what was in it is "
            "gone. Go on with what is there now: PENSTOCK_ACCEPT_LOSS=true"
        )


def pack(ids: Mapping[str, str]) -> bytes:
    """Return the stored form of topics' *ids*: a format byte, then JSON."""
    return FORMAT + orjson.dumps(ids, option=orjson.OPT_SORT_KEYS)


def unpack(stored: bytes | None) -> Mapping[str, str]:
    """Read the stored form back; nothing if nobody has written any yet.

    Raises:
        StateError: it is damaged, or of a newer format.
    """
    if stored is None:
        return {}
    if stored[:1] != FORMAT:
        raise StateError(WHAT, f"unknown format {stored[:1]!r}")
    try:
        return dict(orjson.loads(stored[1:]).items())
    except (ValueError, AttributeError) as error:
        raise StateError(WHAT, f"damaged: {error}") from error


def changed(before: Mapping[str, str], now: Mapping[str, str]) -> frozenset[str]:
    """Return the topics of both that have another id *now*."""
    return frozenset(t for t, id_ in before.items() if now.get(t, id_) != id_)
