"""`penstock fake-lm`: serves the OpenAI protocol without an LM behind it."""

from pathlib import Path
from typing import Any

import click

from agents.cli.verbs import verbose_option
from agents.fake_lm import LATENCIES, Behaviour, FakeLMOptions, run_server

CHANCE = click.FloatRange(0, 1)
AMOUNT = click.FloatRange(0)


@click.command(params=[verbose_option()])
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=0, help="0 picks a free port and prints it.")
@click.option("--seed", default=0, help="Decides every draw.")
@click.option("--log", type=click.Path(path_type=Path), help="JSON lines, appended.")
@click.option("--latency", type=click.Choice(LATENCIES), default="fixed")
@click.option("--latency-ms", type=AMOUNT, default=0.0, help="Mean; or the median.")
@click.option("--spread-ms", type=AMOUNT, default=0.0, help="Standard deviation.")
@click.option("--hang-rate", type=CHANCE, default=0.0, help="Never answered.")
@click.option("--busy-rate", type=CHANCE, default=0.0, help="429 and Retry-After.")
@click.option("--retry-after-s", type=AMOUNT, default=1.0)
@click.option("--error-rate", type=CHANCE, default=0.0, help="500.")
@click.option("--garbage-rate", type=CHANCE, default=0.0, help="An unusable 200.")
@click.option("--limit", default=0, help="Calls at a time; more get 429. 0: any.")
def command(
    *, host: str, port: int, seed: int, log: Path | None, **behaviour: Any
) -> None:
    """Serve chat completions for tests and benchmarks, badly if told to."""
    run_server(
        FakeLMOptions(
            host=host, port=port, seed=seed, log=log, behaviour=Behaviour(**behaviour)
        )
    )
