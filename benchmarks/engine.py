"""What the engine itself costs, in one process, without a broker, in about a minute.

    python -m benchmarks.engine [--rounds N] [--strict]

Medians of rounds. Where there is a bar it stands beside the figure; with ``--strict``
a figure beyond its bar makes the exit code 1.
"""

import argparse
import sys
from statistics import median

from benchmarks.engine_figures import FIGURES, Figure, Round, measured


def main() -> int:
    """Measure, print the table, and say whether the bars were kept."""
    parser = argparse.ArgumentParser(prog="benchmarks.engine", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--strict", action="store_true", help="exit 1 beyond a bar")
    arguments = parser.parse_args()
    rounds = measured(arguments.rounds)
    print("| figure | median | rounds | bar | |\n|---|---|---|---|---|")
    kept = [_show(figure, rounds) for figure in FIGURES]
    return 0 if all(kept) or not arguments.strict else 1


def _show(figure: Figure, rounds: list[Round]) -> bool:
    values = [each[figure.name] for each in rounds]
    middle, unit = median(values), figure.unit
    kept = figure.kept(middle)
    verdict = "" if not figure.bar else "kept" if kept else "**beyond**"
    spread = f"{_number(min(values))} to {_number(max(values))}"
    cells = (figure.name, f"{_number(middle)} {unit}", spread, figure.bar, verdict)
    print(f"| {' | '.join(cells)} |")
    return kept


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004


if __name__ == "__main__":
    sys.exit(main())
