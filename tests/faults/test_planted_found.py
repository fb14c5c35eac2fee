"""The checker is checked: every planted bug is found, and called by its invariant."""

from collections.abc import Iterator

import pytest

from tests.faults.campaign import Campaign
from tests.faults.planted import PLANTED
from tests.faults.schedule import Plan, Planned
from tests.faults.town import Ground, Size, ground, town
from tests.faults.worker_entry import BUG, BUGGY

LASTS_S = 14
PATIENCE_S = 25


@pytest.fixture(scope="module")
def below(kafka) -> Iterator[Ground]:
    with ground(kafka) as started:
        yield started


def faults(seed: int) -> Plan:
    """Return what makes every bug do harm: full lanes, and a crash under load."""
    planned = [
        Planned(at_s=at_s, fault=fault, target="w0", seed=seed)
        for at_s, fault in ((1, "burst"), (4, "kill"))
    ]
    return Plan(seed=seed, lasts_s=LASTS_S, faults=tuple(planned))


@pytest.mark.long
@pytest.mark.timeout(240)
@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_is_called_by_its_invariant(below, tmp_path, figures, bug):
    size = Size(seed=1, workers=1, per_s=60, entry=BUGGY, env={BUG: bug})
    lines: list[str] = []
    with town(below, tmp_path, size) as built:
        report = Campaign(built, faults(1), lines.append, patience_s=PATIENCE_S).run()
    found = {f"I{violation.invariant}" for violation in report.violations}
    figures(bug=bug, found=sorted(found), report="\n".join(report.lines()))
    assert found & set(PLANTED[bug].breaks), f"{bug} was not found; {found}"
