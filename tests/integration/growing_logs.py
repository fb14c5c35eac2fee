"""Logs of processes that still run: their last line may be cut anywhere."""

from pathlib import Path


def whole_lines(log: Path) -> list[str]:
    """Return the lines of *log* that were written to their ends."""
    whole, _, _ = log.read_bytes().rpartition(b"\n")
    return [line.decode(errors="replace") for line in whole.splitlines()]
