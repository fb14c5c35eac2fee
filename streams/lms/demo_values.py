"""What the demo LM says: values that fit a type and come from the words it was given.

Everything follows from the inputs alone: the same inputs give the same values on every
machine and in every run. Chance is a hash of the inputs.
"""

import ast
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

READ_CHARS: Final = 600
"""How much of the inputs is looked at. Answers stay cheap for huge inputs."""

QUOTE_WORDS: Final = 12

STEM: Final = 4
"""First letters that two forms of one word share; shorter words say little."""

_WORD: Final = re.compile(r"[^\W_]+")
_NUMBER: Final = re.compile(r"\d{1,9}")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NONE: Final = _words("")
_PRESSING: Final = _words("urgent now immediately asap today down outage")

HINTS: Final[Mapping[str, frozenset[str]]] = {
    "account": _words("login password email username profile access locked sign reset"),
    "billing": _words(
        "bill invoice charge charged refund payment pay paid card price money cost "
        "subscription tax receipt discount fee"
    ),
    "bug": _words(
        "error crash crashes broken fails failed failing wrong freeze exception slow "
        "stuck nothing blank 500 404 timeout stopped"
    ),
    "feature": _words("wish could add support suggestion would idea"),
    "high": _PRESSING,
    "negative": _words("bad angry terrible wrong broken worst unhappy never awful"),
    "positive": _words("thanks thank great love good happy perfect wonderful"),
    "question": _words("how what where when which can does"),
    "shipping": _words("deliver delivered parcel package courier tracking late"),
    "urgent": _PRESSING,
}
"""Words that speak for a label, for labels that demos like to use."""

FALLBACKS: Final = ("other", "general", "unknown", "none", "neutral", "normal")
"""Labels to take when no word speaks for any, best first."""

STOP: Final = _words(
    "about after again also because been before could from have here into just more "
    "only other over please since some than that their them then there these they "
    "this very want were what when where which will with would your"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What there is to talk about: the inputs, read once."""

    subject: str
    """Name of the input that says most."""
    quote: str
    """Its first words, on one line."""
    topic: str
    """A short input beside it, such as a category; may be empty."""
    words: Mapping[str, None]
    """The words of the inputs, each once, lower case, in order: an ordered set."""
    stems: frozenset[str | None]
    """The first letters of the long ones, so that ``billing`` meets ``bills``."""
    keywords: tuple[str, ...]
    """Up to three of them that say most, in order."""
    chance: int
    """A number that only the inputs decide."""

    @classmethod
    def of(cls, inputs: Mapping[str, str]) -> "Material":
        """Read *inputs*: section texts by field name."""
        # Words say more than lists and records do.
        texts = {n: v for n, v in inputs.items() if v[:1] not in ("{", "[")}
        subject = max(texts or inputs, key=lambda name: len(inputs[name]))
        main = inputs[subject][:READ_CHARS]
        rest = [value for name, value in inputs.items() if name != subject]
        text = " ".join([*rest, main])[:READ_CHARS]
        joined = "\0".join(inputs.values()).encode("utf-8", "replace")
        quote = main.split(maxsplit=QUOTE_WORDS)
        words = dict.fromkeys(_WORD.findall(text.lower()))
        return cls(
            subject=subject,
            quote=" ".join(quote[:QUOTE_WORDS]).replace('"', "'"),
            topic=_topic(v for n, v in texts.items() if n != subject),
            words=words,
            stems=frozenset(map(_stem, words)) - {None},
            keywords=_telling(words),
            chance=int.from_bytes(blake2b(joined, digest_size=6).digest()),
        )


def value_for(name: str, wanted: ast.expr, material: Material) -> Any:  # noqa: ANN401 - of the type that the prompt names
    """Return a value of the type *wanted* for the output field *name*."""
    match wanted:
        case ast.Subscript(value=ast.Name(id=kind), slice=inner):
            return _composed(kind, _parts(inner), name, material)
        case ast.BinOp(left=first, op=ast.BitOr()):
            return value_for(name, first, material)
        case ast.Name(id=kind):
            return _scalar(kind, name, material)
        case _:
            return sentence_for(name, material)


def choice_of(options: list[Any], material: Material) -> Any:  # noqa: ANN401 - one of the options
    """Return the option that the words speak for, else a fallback, else by chance."""
    if not options:
        return None
    scores = [_score(str(option), material) for option in options]
    best = max(scores)
    if best:
        return options[scores.index(best)]
    by_word = {str(option).lower(): option for option in options}
    for fallback in FALLBACKS:
        if fallback in by_word:
            return by_word[fallback]
    return options[material.chance % len(options)]


def sentence_for(name: str, material: Material) -> str:
    """Return a sentence or two for the text field *name*."""
    keywords = " and ".join(material.keywords[:2]) or "it"
    topic = f"{material.topic} " if material.topic else ""
    match name:
        case "reasoning":
            return (
                f'The {material.subject} says "{material.quote}". '
                f"What matters in it: {keywords}."
            )
        case "reply" | "answer" | "response" | "message":
            return (
                f'Thank you for your {topic}message, "{material.quote}". '
                f"We are looking into {keywords} and will come back to you."
            )
        case "summary" | "title" | "subject" | "headline":
            return material.quote or name
        case _:
            return f'The {name} of "{material.quote}": {keywords}.'


def _topic(texts: Iterable[str]) -> str:
    return next((v for v in reversed([*texts]) if len(v.split()) == 1), "")


def number_in(material: Material) -> int:
    """Return the first number among the words, else one by chance."""
    found = _NUMBER.search(" ".join(material.words))
    return int(found[0]) if found else material.chance % 10


def _telling(words: Mapping[str, None]) -> tuple[str, ...]:
    long = [word for word in words if len(word) >= STEM and word not in STOP]
    longest = sorted(long, key=len, reverse=True)[:3]
    return tuple(word for word in long if word in longest)


def _scalar(kind: str, name: str, material: Material) -> Any:  # noqa: ANN401 - of the type *kind*
    match kind:
        case "bool":
            return material.chance % 2 == 0
        case "int":
            return number_in(material)
        case "float":
            return material.chance % 101 / 100
        case _:
            return sentence_for(name, material)


def _composed(kind: str, parts: list[ast.expr], name: str, material: Material) -> Any:  # noqa: ANN401 - of the type *kind*
    match kind:
        case "Literal":
            options = [p.value for p in parts if isinstance(p, ast.Constant)]
            return choice_of(options, material)
        case "list":
            return [_item(parts[-1], word, material) for word in material.keywords]
        case "tuple" if _is_open(parts):
            return [_item(parts[0], word, material) for word in material.keywords]
        case "tuple":
            return [value_for(name, part, material) for part in parts]
        case "dict":
            words = material.keywords
            return {word: _item(parts[-1], word, material) for word in words}
        case _:
            return value_for(name, parts[0], material)


def _parts(inner: ast.expr) -> list[ast.expr]:
    return inner.elts if isinstance(inner, ast.Tuple) else [inner]


def _is_open(parts: list[ast.expr]) -> bool:
    """Say whether these are the parts of a tuple of any length, as DSPy writes it."""
    return isinstance(parts[-1], ast.Name) and parts[-1].id == "Ellipsis"


def _item(wanted: ast.expr, word: str, material: Material) -> Any:  # noqa: ANN401 - of the type *wanted*
    if isinstance(wanted, ast.Name) and wanted.id == "str":
        return word
    return value_for(word, wanted, material)


def _score(option: str, material: Material) -> int:
    names = _WORD.findall(option.lower())
    # A word of the label itself counts twice as much as a hint at it.
    named = sum(
        2 for name in names if name in material.words or _stem(name) in material.stems
    )
    hinted = (material.words.keys() & HINTS.get(name, _NONE) for name in names)
    return named + sum(len(words) for words in hinted)


def _stem(word: str) -> str | None:
    return word[:STEM] if len(word) >= STEM else None
