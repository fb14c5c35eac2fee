"""User code of the ``support`` pipeline: what a stage of kind ``transform`` calls."""

import re
from typing import Final, TypedDict

GREETING: Final = "Kind regards, the support team"

MILDER: Final = (
    (re.compile(r"\bobviously,?\s*", re.IGNORECASE), ""),
    (re.compile(r"\byou must\b", re.IGNORECASE), "please"),
    (re.compile(r"\byou failed to\b", re.IGNORECASE), "it seems you could not"),
    (re.compile(r"\byour fault\b", re.IGNORECASE), "a mishap"),
)
"""Harsh words, and what to say instead."""


class Softened(TypedDict):
    """What :func:`soften` leaves: one output field per key."""

    reply: str


def soften(reply: str) -> Softened:
    """Take the edge off a reply, and end it with a greeting."""
    for harsh, mild in MILDER:
        reply = harsh.sub(mild, reply)
    reply = reply.strip()
    return {"reply": reply if reply.endswith(GREETING) else f"{reply}\n\n{GREETING}"}
