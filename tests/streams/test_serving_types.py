"""Dates, exact numbers and records on their way to an LM, and back from it."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from schemas.records import Usage
from streams.clock import ManualClock
from streams.language.stage_spec import StageSpec
from streams.lms.demo import DemoLM
from streams.signatures.parse import parse_signature
from streams.signatures.records import read_types
from streams.signatures.validate import Validator
from streams.stage import Answer, RunContext
from streams.stages import compiled
from streams.stages.asking import ModuleStage
from streams.stages.compiled import CompiledStage
from streams.stages.predict import build_predict
from tests.streams.workshops import asking

TYPES, _ = read_types({"Line": "sku: str, count: int[1..] = 1, price: Decimal[6, 2]"})
READING = parse_signature(
    "day: date, net: Decimal[6, 2], lines: list[Line], span: tuple[datetime, datetime]"
    " -> due: date | None, share: float[0..1], found: list[Line, 1..], who: str | int",
    TYPES,
)
SPEC = StageSpec(
    name="read",
    inputs=tuple(declared.typed(None) for declared in READING.inputs),
    outputs=tuple(declared.typed(None) for declared in READING.outputs),
)
NOON = datetime(2026, 2, 28, 12, tzinfo=UTC)
FIELDS = {
    "day": date(2026, 2, 28),
    "net": Decimal("12.50"),
    "lines": [{"sku": "A", "count": 2, "price": Decimal("0.10")}],
    "span": (NOON, NOON),
}
ANSWER = """[[ ## due ## ]]
2026-03-01

[[ ## share ## ]]
0.25

[[ ## found ## ]]
[{"sku": "B", "price": "1.5"}]

[[ ## who ## ]]
17

[[ ## completed ## ]]"""


class Says(DemoLM):
    """An LM that says what it is told to, and remembers what it was shown."""

    def __init__(self):
        super().__init__("told")
        self.shown = []

    async def ask(self, lm, call):
        self.shown.append(call.messages[-1]["content"])
        return Answer(text=ANSWER, usage=Usage(calls=1))


def compiled_stage(lm):
    stage = build_predict(SPEC, asking(lm))
    assert isinstance(stage, CompiledStage)
    return stage


def program_stage(lm):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "agrees", lambda *_: False)
        stage = build_predict(SPEC, asking(lm))
    assert isinstance(stage, ModuleStage)
    return stage


@pytest.mark.parametrize("made", [compiled_stage, program_stage])
async def test_an_lm_is_shown_text_and_its_text_becomes_values(made):
    lm = Says()
    run = RunContext(request_id="r", clock=ManualClock(), calls=lm)
    outcome = await made(lm)(FIELDS, run)
    (shown,) = lm.shown
    for section in (
        "[[ ## day ## ]]\n2026-02-28\n",
        "[[ ## net ## ]]\n12.50\n",
        '[[ ## lines ## ]]\n[{"sku": "A", "count": 2, "price": "0.10"}]\n',
        '[[ ## span ## ]]\n["2026-02-28T12:00:00+00:00", "2026-02-28T12:00:00+00:00"]',
    ):
        assert section in shown
    values, problems = Validator(SPEC.outputs)(outcome.outputs)
    assert problems == []
    assert values == {
        "due": date(2026, 3, 1),
        "share": 0.25,
        "found": [{"sku": "B", "count": 1, "price": Decimal("1.50")}],
        "who": 17,
    }
