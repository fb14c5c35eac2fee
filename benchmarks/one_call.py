"""One DSPy call over HTTP per request: penstock beside what one writes by hand."""

from pathlib import Path
from typing import Final

from benchmarks.contenders import HandWritten, Penstock
from benchmarks.lab import Lab
from benchmarks.throughput import Entry

PIPELINE: Final = """\
pipeline: bench
version: 1
input: "ticket: str"
output: "reply: str"
lms:
  fake: {{model: openai/demo, api_base: "{address}", limit: {in_flight}}}
stages:
  answer:
    predict: "ticket -> reply: str"
    instructions: Answer the ticket of a customer.
    lm: fake
flow: [answer]
"""

KEY: Final = {"PENSTOCK_LM_FAKE_API_KEY": "none"}


def entries(
    lab: Lab, address: str, *, in_flight: int, ours: int, theirs: int
) -> dict[str, Entry]:
    """Return the contenders for the LM at *address*, with as many requests each."""
    return {
        "penstock": Entry(
            contender=Penstock(
                pipelines=_pipelines(lab, address, in_flight),
                settings={**KEY, "PENSTOCK_MAX_RUNNING": str(in_flight)},
                sessions=False,
            ),
            requests=ours,
        ),
        "aiokafka + DSPy by hand": Entry(
            contender=HandWritten(address=address, in_flight=in_flight),
            requests=theirs,
        ),
    }


def _pipelines(lab: Lab, address: str, in_flight: int) -> Path:
    folder = lab.folder / lab.fresh("pipelines")
    folder.mkdir()
    text = PIPELINE.format(address=address, in_flight=in_flight)
    (folder / "bench.yaml").write_text(text)
    return folder
