"""A short campaign: faults of each sort under load, and every invariant checked."""

import pytest

from tests.faults.campaign import Campaign
from tests.faults.schedule import plan
from tests.faults.town import Size, ground, town

FAULTS = ("kill", "zombie", "cut", "lm-garbage", "broker-kill")
SEED = 5


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_nothing_is_violated_in_a_short_campaign(kafka, tmp_path, figures):
    planned = plan(
        seed=SEED, lasts_s=62, every_s=12, faults=FAULTS, targets=("w0", "w1")
    )
    size = Size(seed=SEED, workers=2, per_s=40)
    with ground(kafka) as below, town(below, tmp_path, size) as built:
        report = Campaign(built, planned, print).run()
    text = "\n".join(report.lines())
    figures(report=f"\n{text}")
    assert not report.violations, text
    assert {one.fault for one in report.injected} == set(FAULTS)
