"""The one stage of the state benchmark: as little work as a stage can do."""


def answer(ticket: str) -> dict[str, str]:
    """Return *ticket* in upper case, as every contender does."""
    return {"reply": ticket.upper()}
