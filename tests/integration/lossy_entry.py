"""`penstock worker` that loses every fifth bundle on its way to the agent."""

from itertools import count
from typing import Any, Final

from agents import __main__, app

LOSSY: Final = ("tests.integration.lossy_entry", "worker")
EVERY: Final = 5


def plant() -> None:
    """Lose bundles, as Faust did when it emptied its streams behind our back."""
    honest, numbers = app.Worker._take, count(1)  # noqa: SLF001

    def take(self: app.Worker, agent: Any, bundle: app.Bundle) -> None:
        if next(numbers) % EVERY:
            honest(self, agent, bundle)

    app.Worker._take = take  # type: ignore[method-assign]  # noqa: SLF001 - that is the fault


if __name__ == "__main__":
    plant()
    __main__.main()
