"""User code of the ``triage`` pipeline: who wrote, and who answers."""

from typing import Final, Literal, TypedDict

LARGE: Final = 100
"""Seats from which on a person answers."""

SURE: Final = 0.6

KNOWN: Final = {
    "ada@example.com": ("pro", 12),
    "grace@example.org": ("enterprise", 400),
}
"""Plan and seats by address; yours would ask a database, in an ``async`` function."""


class Customer(TypedDict):
    """What is known of who wrote."""

    plan: Literal["free", "pro", "enterprise"]
    seats: int


class Found(TypedDict):
    """What :func:`customer_of` leaves."""

    customer: Customer


class Assigned(TypedDict):
    """What :func:`queue_of` leaves."""

    queue: Literal["robot", "person"]


def customer_of(email: str) -> Found:
    """Look up who wrote; a stranger has the free plan."""
    plan, seats = KNOWN.get(email.strip().lower(), ("free", 1))
    return {"customer": {"plan": plan, "seats": seats}}


def queue_of(sure: float, customer: Customer) -> Assigned:
    """Leave to a person what the LM is unsure of, and large customers."""
    person = sure < SURE or customer["seats"] >= LARGE
    return {"queue": "person" if person else "robot"}
