"""User code of the ``support`` pipeline: what a stage of kind ``transform`` calls."""

import re
from typing import Final, TypedDict

HARSH: Final = {
    "you must": "please",
    "you failed to": "it seems you could not",
    "obviously": "",
    "your fault": "a mishap",
}


class Softened(TypedDict):
    """What :func:`soften` leaves: one output field per key."""

    reply: str


def soften(reply: str) -> Softened:
    """Take the edge off a reply, and end it with a greeting."""
    for harsh, mild in HARSH.items():
        reply = re.sub(rf"\b{harsh}\b", mild, reply, flags=re.IGNORECASE)
    reply = " ".join(reply.split())
    if reply.endswith("Kind regards, the support team"):
        return {"reply": reply}
    return {"reply": f"{reply} Kind regards, the support team".strip()}
