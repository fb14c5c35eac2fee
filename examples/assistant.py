"""Tools of the ``assistant`` pipeline."""

from datetime import date
from typing import Final

ORDERS: Final = {
    "A-17": {"state": "sent", "sent": "2026-02-20", "item": "grinder"},
    "A-18": {"state": "packed", "sent": None, "item": "seals"},
}


class UnknownOrderError(LookupError):
    """There is no such order; the LM reads this, and may ask for the number."""


async def find_order(number: str) -> dict[str, str | None]:
    """Find an order by its number, such as A-17."""
    order = ORDERS.get(number.strip().upper())
    if order is None:
        raise UnknownOrderError(number)
    return order


def days_between(first: str, last: str) -> int:
    """Count the days from one day to another, both as 2026-02-28."""
    return (date.fromisoformat(last) - date.fromisoformat(first)).days
