"""The report: a table for people, and the same figures as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from benchmarks.measuring import Figures


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """The contenders of one workload, the first of them penstock."""

    title: str
    rounds: Mapping[str, Sequence[Figures]]
    measure: str
    """The value that ratios are made of; more of it is better."""

    def ratios(self) -> dict[str, float]:
        """Return penstock's *measure* as a multiple of each peer's, by round's median.

        Of the same round each: a machine that others use is slow for both at a time.
        """
        ours, *peers = self.rounds
        found = {}
        for peer in peers:
            pairs = zip(self.rounds[ours], self.rounds[peer], strict=True)
            found[peer] = Figures.median_of(
                [
                    Figures(
                        values={"x": a.values[self.measure] / b.values[self.measure]}
                    )
                    for a, b in pairs
                ]
            ).values["x"]
        return found

    def lines(self) -> list[str]:
        """Return the section as text."""
        medians = {n: Figures.median_of(r).values for n, r in self.rounds.items()}
        names = list(next(iter(medians.values())))
        ratios = self.ratios()
        head = _row([self.title, *names, "penstock is" if ratios else ""])
        rows = [
            _row(
                [
                    name,
                    *(_number(values[value]) for value in names),
                    f"{ratios[name]:.2f} x" if name in ratios else "",
                ]
            )
            for name, values in medians.items()
        ]
        return ["", head, "-" * len(head), *rows]

    def as_json(self) -> dict[str, Any]:
        """Return everything that was measured."""
        return {
            "title": self.title,
            "ratios": self.ratios(),
            "rounds": {n: [f.values for f in r] for n, r in self.rounds.items()},
            "medians": {n: Figures.median_of(r).values for n, r in self.rounds.items()},
        }


def show(sections: Sequence[Section], facts: Mapping[str, str]) -> None:
    """Print *sections* and *facts*."""
    for section in sections:
        print("\n".join(section.lines()))
    print()
    print("; ".join(f"{name} {value}" for name, value in facts.items()))


def save(folder: Path, sections: Sequence[Section], facts: Mapping[str, str]) -> Path:
    """Write everything to a file in *folder*; return it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"bench-{facts['commit']}.json"
    content = {"facts": facts, "sections": [s.as_json() for s in sections]}
    path.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2))
    return path


def _row(cells: Sequence[str]) -> str:
    first, *rest = cells
    return f"{first:<46}" + "".join(f"{cell:>15}" for cell in rest)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004
