"""What the exit code of `penstock` says to scripts; documented and never renumbered."""

from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ended."""

    DONE = 0
    """It did what it was asked."""
    FAILED = 1
    """It tried, and something failed."""
    USAGE = 2
    """The command line, the settings or the topics are wrong: a person must act."""
    UNREACHABLE = 3
    """No broker answered."""
    STOPPED = 4
    """It was interrupted."""
