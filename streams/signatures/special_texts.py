"""Texts that are more than text: an image by its address or its bytes, and code.

Stores, Avro and JSON hold the text; only DSPy makes objects of it, and those are taken
back as their text.
"""

import re
from collections.abc import Callable
from typing import Final

from streams.signatures.dspy_objects import dspy_object
from streams.signatures.misfit import MisfitError, unlike
from streams.signatures.scalars import text
from streams.signatures.types import CodeOf, ImageType

MAX_IMAGE_CHARACTERS: Final = 8_388_608
"""Of any ``Image``: 6 MiB of bytes in base64. Records are smaller by default
(``PENSTOCK_MAX_MESSAGE_BYTES``); for a tighter bound write ``Image[..200000]``."""

MAX_LANGUAGE_CHARACTERS: Final = 32
_LANGUAGE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_+#.-]*")

# Never a path: nothing of this machine is read. Without spaces, quotes and angle
# brackets, because DSPy writes images into its prompts between markers made of them.
_ADDRESS: Final = re.compile(r"https?://[!#-;=?-\[\]-~]+", re.ASCII)
_HEAD: Final = re.compile(r"data:image/[a-z0-9.+-]{1,40};base64,", re.ASCII)
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]+={0,2}", re.ASCII)
# Addresses that are longer are most often something else; browsers stop there as well.
_MAX_ADDRESS: Final = 8_192

_WANTED: Final = "an http(s) address, or data:image/...;base64,..."


def image(value: object) -> str:
    """Return the text of an image: where it is, or its bytes."""
    said = _text_in(value, "Image", "url")
    if type(said) is not str:
        raise unlike(ImageType(), value)
    if len(said) > MAX_IMAGE_CHARACTERS:
        got = f"more than {MAX_IMAGE_CHARACTERS} characters"
        raise MisfitError(wanted=_WANTED, got=got)
    if not (_is_address(said) or _is_data(said)):
        raise MisfitError(wanted=_WANTED, got="another text")
    return said


def is_image(value: object) -> bool:
    """Say whether *value* is the text of an image."""
    try:
        image(value)
    except MisfitError:
        return False
    return True


def code_checker(kind: CodeOf) -> Callable[[object], str]:
    """Return the checker of code, which is never run and not looked into."""

    def check(value: object) -> str:
        said = _text_in(value, "Code", "code")
        if type(said) is not str:
            raise unlike(kind, value)
        return text(said)

    return check


def language_problem(language: str) -> str | None:
    """Say why no code is in *language*; None if some can be."""
    if len(language) <= MAX_LANGUAGE_CHARACTERS and _LANGUAGE.fullmatch(language):
        return None
    return "a Code says its language: Code['python']"


def _text_in(value: object, name: str, attribute: str) -> object:
    found = dspy_object(value, name)
    return value if found is None else getattr(found, attribute)


def _is_address(said: str) -> bool:
    return len(said) <= _MAX_ADDRESS and _ADDRESS.fullmatch(said) is not None


def _is_data(said: str) -> bool:
    head = _HEAD.match(said)
    if head is None or (len(said) - head.end()) % 4:
        return False
    return _BASE64.fullmatch(said, head.end()) is not None
