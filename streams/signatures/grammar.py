"""From tokens to a tree: the grammar of signatures, and nothing of their meaning.

    signature   = fields "->" fields
    fields      = field { "," field }
    field       = NAME [ ":" type ] [ TEXT ] [ "=" constant ]
    type        = part { "|" part }
    part        = NAME [ "[" argument { "," argument } "]" ] | constant
    argument    = type | NUMBER ".." [ NUMBER ] | ".." NUMBER | "..."
    constant    = TEXT | NUMBER | "True" | "False" | "None"
                | "[" [ constant { "," constant } ] "]"
                | "{" [ TEXT ":" constant { "," TEXT ":" constant } ] "}"

After a mistake the parser goes on at the next field, so that one reading finds the
mistakes of all fields. Nothing is imported, looked up or evaluated.
"""

from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from streams.signatures.tokens import QUOTES, Problem, Token
from streams.signatures.tree import (
    Applied,
    Argument,
    Between,
    Constant,
    Dots,
    Either,
    FieldNode,
    Named,
    TypeNode,
)

# Deeper types than this are mistakes or attacks, and would exhaust Python's stack.
MAX_DEPTH: Final = 16

_WORDS: Final = {"True": True, "False": False, "None": None}
_OPENING: Final = ("[", "{")
_CLOSING: Final = ("]", "}")


@dataclass(slots=True)
class Grammar:
    """Reads *tokens* from left to right; what it cannot read goes to *problems*."""

    tokens: list[Token]
    problems: list[Problem] = field(default_factory=list)
    at: int = 0
    depth: int = 0

    def sides(self) -> tuple[list[FieldNode], list[FieldNode]]:
        """Read ``inputs -> outputs``."""
        inputs = self.fields()
        if not self._take("->"):
            self._wrong("a signature needs '->' between inputs and outputs")
            return inputs, []
        outputs = self.fields()
        if self._sees("->"):
            self._wrong("a signature has only one '->'")
        return inputs, outputs

    def fields(self) -> list[FieldNode]:
        """Read fields up to an arrow or the end."""
        found: list[FieldNode] = []
        while not self._over():
            try:
                found.append(self._field())
                if not self._over() and not self._sees(","):
                    self._stop(f"expected ',' or '->' before {self._shown()}")
            except _StopError as stop:
                self.problems.append(stop.problem)
                self._skip_field()
            if self._take(",") and self._over():
                self._wrong("a field is missing after ','")
        return found

    def _field(self) -> FieldNode:
        token = self._next("name", "expected the name of a field")
        kind = self._type() if self._take(":") else None
        description = ""
        if self._token.kind == "text":
            description = str(self._advance().value)
        default = self._constant() if self._take("=") else None
        return FieldNode(
            name=token.text,
            at=token.at,
            type=kind,
            description=description,
            default=default,
        )

    def _type(self) -> TypeNode:
        start = self.tokens[self.at].at
        first = self._part()
        if not self._sees("|"):
            return first
        members = [first]
        while self._take("|"):
            members.append(self._part())
        return Either(members=tuple(members), at=start)

    def _part(self) -> TypeNode:
        token = self.tokens[self.at]
        if token.kind != "name" or token.text in ("True", "False"):
            return self._constant("expected a type")
        self.at += 1
        if not self._take("["):
            return Named(name=token.text, at=token.at)
        self._deeper()
        arguments = [self._argument()]
        while self._take(","):
            arguments.append(self._argument())
        self._close("]")
        return Applied(name=token.text, arguments=tuple(arguments), at=token.at)

    def _argument(self) -> Argument:
        start = self.tokens[self.at]
        if start.kind == "...":
            self.at += 1
            return Dots(at=start.at)
        ranged = self.tokens[self.at + (start.kind == "number")]
        if ranged.kind != "..":
            return self._type()
        low, _, high = self._bound(), self._advance(), self._bound()
        if low is high is None:
            self._stop(f"expected a number behind '..', found {self._shown()}")
        return Between(low=low, high=high, at=start.at)

    def _bound(self) -> float | None:
        if self._token.kind != "number":
            return None
        value = self._advance().value
        return None if isinstance(value, str) else value

    def _constant(self, otherwise: str = "expected a value") -> Constant:
        token = self._token
        if token.kind in ("text", "number"):
            return Constant(value=self._advance().value, at=token.at)
        if token.kind == "name" and token.text in _WORDS:
            return Constant(value=_WORDS[self._advance().text], at=token.at)
        if self._take("["):
            return Constant(value=self._list(), at=token.at)
        if not self._take("{"):
            self._stop(f"{otherwise}, found {self._shown()}")
        return Constant(value=self._map(), at=token.at)

    def _list(self) -> list[Any]:
        self._deeper()
        items: list[Any] = []
        while not self._sees("]"):
            items.append(self._constant().value)
            if not self._take(","):
                break
        self._close("]")
        return items

    def _map(self) -> dict[str, Any]:
        self._deeper()
        items: dict[str, Any] = {}
        while not self._sees("}"):
            key = self._next("text", "expected a text as key")
            if key.value in items:
                self._stop(f"the key {key.text} is here twice", key)
            if not self._take(":"):
                self._stop(f"expected ':' before {self._shown()}")
            items[str(key.value)] = self._constant().value
            if not self._take(","):
                break
        self._close("}")
        return items

    @property
    def _token(self) -> Token:
        return self.tokens[self.at]

    def _sees(self, mark: str) -> bool:
        return self.tokens[self.at].kind == mark

    def _over(self) -> bool:
        return self.tokens[self.at].kind in ("end", "->")

    def _advance(self) -> Token:
        token = self._token
        self.at += token.kind != "end"
        return token

    def _take(self, mark: str) -> bool:
        if self.tokens[self.at].kind != mark:
            return False
        self.at += 1
        return True

    def _next(self, kind: str, otherwise: str) -> Token:
        if self._token.kind != kind:
            self._stop(f"{otherwise}, found {self._shown()}")
        return self._advance()

    def _deeper(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self._stop(f"nested more than {MAX_DEPTH} deep")

    def _close(self, mark: str) -> None:
        if not self._take(mark):
            self._stop(f"expected {mark!r} before {self._shown()}")
        self.depth -= 1

    def _shown(self) -> str:
        return "the end" if self._token.kind == "end" else repr(self._token.text)

    def _wrong(self, sentence: str) -> None:
        self.problems.append(Problem(at=self._token.at, sentence=sentence))

    def _stop(self, sentence: str, at: Token | None = None) -> NoReturn:
        token = at or self._token
        if token.kind == "stray":
            sentence = f"{token.text!r} has no place in a signature"
            if token.text.startswith(QUOTES):
                sentence = "this text is not closed"
        raise _StopError(Problem(at=token.at, sentence=sentence))

    def _skip_field(self) -> None:
        """Go on to the comma or arrow behind the field that went wrong."""
        open_brackets = self.depth
        self.depth = 0
        while self._token.kind != "end" and not self._sees("->"):
            if open_brackets <= 0 and self._sees(","):
                return
            kind = self._token.kind
            open_brackets += (kind in _OPENING) - (kind in _CLOSING)
            self.at += 1


class _StopError(Exception):
    """This field cannot be read any further; never leaves this module."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.sentence)
        self.problem = problem
