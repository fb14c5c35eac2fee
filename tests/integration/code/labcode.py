"""The transforms of the integration tests: what they do is written in the ticket."""

import asyncio
import re


def note(ticket: str) -> dict[str, str]:
    """Take note of a ticket; ``note=<chars>`` is obeyed."""
    if found := re.search(r"note=(\d+)", ticket):
        return {"note": "n" * int(found[1])}
    return {"note": ticket[:40]}


async def reply(ticket: str, note: str) -> dict[str, str]:
    """Answer in capitals; ``wait=<s>``, ``size=<chars>`` and ``bug`` are obeyed."""
    if found := re.search(r"wait=([\d.]+)", ticket):
        await asyncio.sleep(float(found[1]))
    if "bug" in ticket:
        raise RuntimeError(note)
    if found := re.search(r"size=(\d+)", ticket):
        return {"reply": "x" * int(found[1])}
    return {"reply": ticket.upper()}
