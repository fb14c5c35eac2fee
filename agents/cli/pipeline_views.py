"""`penstock pipeline graph|explain`: what a pipeline does, drawn and in numbers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import click

from agents.cli.compiling import pipeline_of
from agents.cli.invocation import invocation
from agents.cli.output import Row, render
from agents.cli.verbs import Verb, verbose_option
from agents.serde import Topics
from schemas.identity import Identity
from schemas.shapes import namespace_of
from streams.plan import Pipeline
from streams.views.as_mermaid import mermaid_of
from streams.views.as_svg import svg_of
from streams.views.as_text import text_of
from streams.views.drawing import Drawing, drawing_of
from streams.views.explain import Explanation, explanation_of

LOOKS: Final[Mapping[str, Callable[[Drawing], str]]] = {
    "text": text_of,
    "mermaid": mermaid_of,
    "svg": svg_of,
}
"""How a pipeline can be drawn."""

NAMED = click.argument("named", metavar="NAME|FILE")


@click.command(params=[verbose_option()])
@NAMED
@click.option(
    "--format",
    "look",
    type=click.Choice(list(LOOKS)),
    default="text",
    show_default=True,
    help="For a terminal, a wiki, or a page.",
)
def graph(named: str, look: str) -> None:
    """Draw the flow of a pipeline: its stages, and when they run."""
    click.echo(LOOKS[look](drawing_of(pipeline_of(invocation(), named))))


@click.command(cls=Verb)
@NAMED
def explain(named: str) -> None:
    """Say what a pipeline does: stages, fields, schemas, and its worst case."""
    call = invocation()
    pipeline = pipeline_of(call, named)
    told = explanation_of(pipeline)
    schemas = list(_schemas(pipeline, call.settings().prefix))
    if call.output == "table":
        click.echo("\n\n".join(_sections(pipeline, told, schemas)))
        return
    call.show_one(
        {
            "pipeline": pipeline.name,
            "version": pipeline.version,
            "fingerprint": pipeline.fingerprint,
            "worst": told.worst,
            "stages": told.stages,
            "fields": told.fields,
            "schemas": schemas,
        }
    )


def _sections(
    pipeline: Pipeline, told: Explanation, schemas: Sequence[Row]
) -> Iterator[str]:
    yield f"{pipeline.name} {pipeline.version}, fingerprint {pipeline.fingerprint}"
    yield f"STAGES\n{render(list(map(_narrow, told.stages)), 'table')}"
    yield f"FIELDS\n{render(told.fields, 'table')}"
    yield f"SCHEMAS\n{render(schemas, 'table')}"
    worst = [{"at most": k, "one request": v} for k, v in told.worst.items()]
    yield f"WORST CASE\n{render(worst, 'table')}"


def _narrow(stage: Row) -> Row:
    """Return the row of a stage for a terminal: the types are among the fields."""
    names = {
        key: [field.partition(":")[0] for field in stage[key]]
        for key in ("takes", "makes")
    }
    shown = {**stage, **names}
    return {key: value for key, value in shown.items() if key != "version"}


def _schemas(pipeline: Pipeline, prefix: str) -> Iterator[dict[str, Any]]:
    namespace = namespace_of(prefix, pipeline.name)
    topics = Topics.of(prefix, pipeline.name)
    for topic, schema in (
        (topics.requests, pipeline.request_schema(namespace)),
        (topics.stages, pipeline.stage_result_schema(namespace)),
        (topics.results, pipeline.result_schema(namespace)),
    ):
        yield {"subject": f"{topic}-value", "id": Identity.of(schema).id}
