"""`python -m tests.faults`: a campaign from the command line, by seed, to be had again.

Ends with a table; exit code 1 with violations.
"""

import argparse
import os
import secrets
import sys
import tempfile
from pathlib import Path
from typing import Final

from agents.broker import install
from tests.faults.campaign import Campaign
from tests.faults.kinds import FAULTS, OF_ALL
from tests.faults.schedule import plan
from tests.faults.town import Size, ground, town

EVERY_S: Final = 20.0


def main() -> int:
    """Read the command line, run, print the table."""
    given = _arguments().parse_args()
    faults = given.faults.split(",") if given.faults else list(FAULTS)
    unknown = set(faults) - FAULTS.keys()
    if unknown:
        print(f"no such fault: {', '.join(sorted(unknown))}", file=sys.stderr)  # noqa: T201
        return 2
    folder = given.folder or Path(tempfile.mkdtemp(prefix="penstock-faults-"))
    folder.mkdir(parents=True, exist_ok=True)
    print(f"seed {given.seed}, logs in {folder}", flush=True)  # noqa: T201
    if given.spare:
        faults = [name for name in faults if name not in OF_ALL]
    names = [f"w{number}" for number in range(given.workers)]
    planned = plan(
        seed=given.seed,
        lasts_s=given.minutes * 60,
        every_s=given.every,
        faults=faults,
        targets=names[1:] if given.spare else names,
    )
    size = Size(seed=given.seed, workers=given.workers, per_s=given.rate)
    kafka = install(os.environ)  # noqa: TID251 - a caller like the CLI
    with ground(kafka) as below, town(below, folder, size) as built:
        report = Campaign(built, planned, _say).run()
    print(*report.lines(), sep="\n")  # noqa: T201
    return 1 if report.violations else 0


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument(
        "--seed", type=int, default=secrets.randbelow(1_000_000), help="have it again"
    )
    parser.add_argument("--minutes", type=float, default=15, help="of load")
    parser.add_argument("--faults", default="", help="names, with commas; all of them")
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--rate", type=float, default=60, help="requests a second")
    parser.add_argument(
        "--every", type=float, default=EVERY_S, help="seconds from fault to fault"
    )
    parser.add_argument(
        "--spare", action="store_true", help="no process fault for the first worker"
    )
    parser.add_argument("--folder", type=Path, help="for logs and state")
    return parser


if __name__ == "__main__":
    sys.exit(main())
