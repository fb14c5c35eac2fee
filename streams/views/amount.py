"""Sums with factors that no file says, such as the length of a list: ``12 + 8 a``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

Factors = tuple[str, ...]
"""What a number is to be multiplied with; empty for a plain number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """A sum of numbers, each times its factors."""

    terms: Mapping[Factors, float] = field(default_factory=dict)

    @classmethod
    def of(cls, number: float) -> "Amount":
        """Return *number* as an amount."""
        return cls(terms={(): number} if number else {})

    def plus(self, other: "Amount") -> "Amount":
        """Return the sum."""
        return self._with(other, lambda a, b: a + b)

    def or_more(self, other: "Amount") -> "Amount":
        """Return what is at least as large as either: term by term the larger one."""
        return self._with(other, max)

    def times(self, number: int) -> "Amount":
        """Return it *number* times."""
        return Amount(terms={k: v * number for k, v in self.terms.items() if number})

    def per(self, factor: str) -> "Amount":
        """Return it as often as *factor* says."""
        return Amount(terms={(*k, factor): v for k, v in self.terms.items()})

    def text(self, unit: str = "") -> str:
        """Return it as people write it: ``24.6 s + 8 s for each of parts``."""
        said = [
            " ".join((_rounded(number) + unit, *(f"for each {f}" for f in factors)))
            for factors, number in sorted(self.terms.items())
        ]
        return " + ".join(said) or f"0{unit}"

    def _with(
        self, other: "Amount", joined: Callable[[float, float], float]
    ) -> "Amount":
        keys = dict.fromkeys([*self.terms, *other.terms])
        both = {k: (self.terms.get(k, 0), other.terms.get(k, 0)) for k in keys}
        return Amount(terms={k: joined(a, b) for k, (a, b) in both.items()})


NOTHING: Final = Amount()


def _rounded(number: float) -> str:
    return f"{round(number, 2):.12g}"
