"""Durations as people write them: ``250ms``, ``8s``, ``1.5m``, ``1h``, ``7d``."""

import re
from typing import Final

_WRITTEN: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}


def duration_s(written: object) -> float | None:
    """Return the seconds that *written* means; None if it is no duration above 0."""
    match = _WRITTEN.fullmatch(written.strip()) if isinstance(written, str) else None
    if match is None:
        return None
    return float(match[1]) * _SECONDS[match[2]] or None
