"""Names that fields, stages, pipelines and LMs may have."""

import re
from keyword import iskeyword
from typing import Final

# Avro's rule, without the leading underscore that DSPy and pydantic take for private.
# ASCII only: \w alone would let in letters that no Avro library accepts.
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")

MAX_CHARACTERS: Final = 64
"""Names are parts of topic names, which Kafka limits to 249 characters."""


def name_problem(name: str) -> str | None:
    """Say what is wrong with *name* as a field in Avro and in Python; None if fine."""
    if name.startswith("_"):
        return f"{name!r} begins with an underscore"
    if not _NAME.fullmatch(name):
        return f"{name!r} is no name: letters, digits and underscores, a letter first"
    if len(name) > MAX_CHARACTERS:
        return f"{name[:20]!r}… has more than {MAX_CHARACTERS} characters"
    if iskeyword(name):
        return f"{name!r} is a word of Python"
    return None
