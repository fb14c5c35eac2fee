"""A permit that a test gives when it likes."""

import asyncio
from dataclasses import dataclass, field


@dataclass
class LatePermit:
    """Granted once *go* is set; counts how often it was looked at."""

    go: asyncio.Event = field(default_factory=asyncio.Event)
    looks: int = 0

    def granted(self) -> bool:
        self.looks += 1
        return self.go.is_set()

    async def wait(self) -> None:
        await self.go.wait()
