"""Who could make a field that nobody before makes: later stages, or a circle."""

from collections.abc import Iterable, Mapping

from streams.signatures.parse import Reading

Readings = Mapping[str, Reading]
"""The signatures of all stages of a file."""


def made_later(name: str, readings: Readings) -> str | None:
    """Return a hint who makes *name*; None if nobody does."""
    makers = _makers(name, readings)
    return f"{makers[0]} does, but not before" if makers else None


def circle_of(
    stage: str, name: str, readings: Readings, there: Iterable[str]
) -> list[str]:
    """Return the stages of which each needs the next, from *stage* to itself.

    Empty where *name*, which it needs, can be made without its own help. What is
    *there* already need not be made.
    """
    return _way(stage, name, stage, readings, set(there))


def _way(
    home: str, name: str, needs: str, readings: Readings, seen: set[str]
) -> list[str]:
    if name in seen:
        return []
    seen.add(name)
    for maker in _makers(name, readings):
        if maker == home:
            return [needs, home] if needs != home else []
        for declared in readings[maker].inputs:
            if declared.required:
                rest = _way(home, declared.name, maker, readings, seen)
                if rest:
                    return [needs, *rest]
    return []


def _makers(name: str, readings: Readings) -> list[str]:
    return [
        stage
        for stage, reading in readings.items()
        if any(field.name == name for field in reading.outputs)
    ]
