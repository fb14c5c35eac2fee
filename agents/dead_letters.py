"""Dead letters: records set aside, bytes untouched, the reason in the headers.

The names are those of KIP-1191 (``__dlq.errors.*``), with our own beside them.
"""

from typing import Final

from agents.record import Record
from streams.settlement import Publish

MESSAGE_CHARS: Final = 500
"""Reasons are cut here: a header is for people, and may quote a payload."""

ADDED: Final = 8
"""How many headers say why; they stand last."""


def dead_letter(
    topic: str, record: Record, *, code: str, reason: str, group: str
) -> Publish:
    """Return *record* for the DLQ topic, unchanged, with why it is there.

    A record that was replayed and failed again gets new reasons for its old ones.
    """
    why = {
        "__dlq.errors.topic": record.topic,
        "__dlq.errors.partition": str(record.partition),
        "__dlq.errors.offset": str(record.offset),
        "__dlq.errors.group": group,
        "__dlq.errors.delivery.count": "1",
        "__dlq.errors.message": reason[:MESSAGE_CHARS],
        "x-penstock-code": code,
        "x-penstock-timestamp": str(record.timestamp_ms),
    }
    return Publish(
        topic=topic,
        key=record.key,
        value=record.value,
        headers=(
            *(h for h in record.headers if h[0] not in why),
            *((name, text.encode()) for name, text in why.items()),
        ),
    )


def bare(letter: Publish, size_bytes: int) -> Publish:
    """Return *letter* without the record's bytes, for one that the DLQ refuses.

    Where the original is stands in the headers; it is kept as long as its topic.
    """
    why = letter.headers[-ADDED:]
    truncated = ("x-penstock-truncated", str(size_bytes).encode())
    return Publish(topic=letter.topic, key=None, value=None, headers=(*why, truncated))
