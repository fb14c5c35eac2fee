"""What changes when other answers may follow: digests in the versions of stages."""

from hashlib import sha256
from typing import Final

import orjson

DIGITS: Final = 12


def fingerprint_of(content: bytes) -> str:
    """Return 12 digits that change with *content*."""
    return sha256(content).hexdigest()[:DIGITS]


def version_of(kind: str, *facts: object) -> str:
    """Return ``kind@`` and 12 digits that change with *facts*, which JSON can hold."""
    packed = orjson.dumps(facts, option=orjson.OPT_SORT_KEYS)
    return f"{kind}@{fingerprint_of(packed)}"
