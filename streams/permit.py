"""Permission to spend: may this process still begin what costs, for this request?"""

from typing import Final, Protocol


class Permit(Protocol):
    """Asked before each attempt of a stage, and before each LM call."""

    def granted(self) -> bool:
        """Say whether it may begin now."""
        ...

    async def wait(self) -> None:
        """Return once it may begin; at once, if it may now."""
        ...


class _Always:
    """The permit of a process that has no rivals."""

    def granted(self) -> bool:
        return True

    async def wait(self) -> None:
        return


ALWAYS: Final[Permit] = _Always()
