"""`penstock schemas check|diff|export`: what becomes of those who use a pipeline."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click

from agents.asyncapi import asyncapi
from agents.cli.compiling import compiled, compiled_file
from agents.cli.invocation import Invocation, invocation
from agents.cli.released import (
    FOLDER,
    SUFFIX,
    read_version,
    read_versions,
    schemas_of,
    version_of,
    write_json,
    write_release,
)
from agents.cli.verbs import Verb
from agents.failures import NoReleaseError, SchemasBreakError
from agents.serde import Topics
from schemas.evolution import Evolution, Version, evolutions
from schemas.identity import parse_json
from schemas.json_schemas import json_schema
from streams.config import Settings
from streams.plan import Pipeline
from streams.signatures.positions import tuple_positions

REGISTERED: Final = "registered"

PIPELINES = click.argument(
    "folder", required=False, type=click.Path(path_type=Path, file_okay=False)
)
RELEASED = click.option(
    "--released",
    type=click.Path(path_type=Path, file_okay=False),
    help=f"Where releases are kept. [default: {FOLDER} beside the pipeline files]",
)


@click.group()
def command() -> None:
    """Compare the schemas of pipelines, release them, and hand them on."""


@command.command(cls=Verb)
@PIPELINES
@RELEASED
def check(folder: Path | None, released: Path | None) -> None:
    """Compare each pipeline with every version that was released; no broker."""
    call = invocation()
    settings = call.settings()
    pipelines = compiled(call, settings, folder=folder)
    place = released or (folder or settings.pipelines_dir) / FOLDER
    if not place.is_dir():
        raise NoReleaseError(place)
    found = [
        (pipeline.name, evolution)
        for _, pipeline in sorted(pipelines.items())
        for old in read_versions(place, pipeline.name)
        for evolution in _compared(old, version_of(pipeline, settings.prefix))
    ]
    _report(call, found)


@command.command(cls=Verb)
@click.argument("old")
@click.argument("new")
def diff(old: str, new: str) -> None:
    """Say how NEW differs from OLD, and who breaks.

    Each is a pipeline file, the folder of a released version, or `registered`: what
    the registry holds for the other one.
    """
    call = invocation()
    settings = call.settings()
    names = {_name_of(call, settings, each) for each in (old, new)} - {None}
    if len(names) != 1:
        told = " and ".join(sorted(map(str, names))) or "no pipeline"
        message = f"name two versions of one pipeline, not {told}"
        raise click.UsageError(message)
    name = str(names.pop())
    before, after = (_version(call, settings, each, name) for each in (old, new))
    _report(call, [(name, found) for found in _compared(before, after)])


@command.command(cls=Verb)
@PIPELINES
@click.option(
    "--to",
    type=click.Path(path_type=Path, file_okay=False),
    help=f"Folder to write to. [default: {FOLDER} beside the pipeline files]",
)
@click.option("--json-schema", is_flag=True, help="Write JSON Schemas instead.")
@click.option("--asyncapi", "as_api", is_flag=True, help="Write asyncapi.json instead.")
def export(
    folder: Path | None,
    to: Path | None,
    json_schema: bool,  # noqa: FBT001 - click's way of flags
    as_api: bool,  # noqa: FBT001
) -> None:
    """Write the Avro schemas of pipelines: a release, which never changes."""
    call = invocation()
    settings = call.settings()
    pipelines = compiled(call, settings, folder=folder)
    place = to or (folder or settings.pipelines_dir) / FOLDER
    rows: list[dict[str, Any]] = []
    if json_schema:
        rows += _export_json_schemas(pipelines, settings, place)
    if as_api:
        path = place / "asyncapi.json"
        write_json(path, asyncapi(settings, pipelines))
        rows.append({"file": str(path), "state": "written"})
    if not rows:
        rows += _export_avro(pipelines, settings, place)
    call.show(rows)


def _export_avro(
    pipelines: Mapping[str, Pipeline], settings: Settings, place: Path
) -> Iterator[dict[str, Any]]:
    for pipeline, message, schema in _messages(pipelines, settings):
        path = _path(place, pipeline, f"{message}{SUFFIX}")
        new = write_release(path, pipeline, schema)
        yield {"file": str(path), "state": "written" if new else "there already"}


def _export_json_schemas(
    pipelines: Mapping[str, Pipeline], settings: Settings, place: Path
) -> Iterator[dict[str, Any]]:
    for pipeline, message, schema in _messages(pipelines, settings):
        path = _path(place, pipeline, f"{message}.schema.json")
        write_json(path, json_schema(schema, tuple_positions))
        yield {"file": str(path), "state": "written"}


def _messages(
    pipelines: Mapping[str, Pipeline], settings: Settings
) -> Iterator[tuple[Pipeline, str, dict[str, Any]]]:
    for _, pipeline in sorted(pipelines.items()):
        for message, schema in schemas_of(pipeline, settings.prefix).items():
            yield pipeline, message, schema


def _path(place: Path, pipeline: Pipeline, name: str) -> Path:
    return place / pipeline.name / str(pipeline.version) / name


def _compared(old: Version, new: Version) -> Iterator[Evolution]:
    return evolutions(old, new, tuple_positions)


def _name_of(call: Invocation, settings: Settings, said: str) -> str | None:
    """Return the pipeline that *said* is of; None where the other one says it."""
    if said == REGISTERED:
        return None
    path = Path(said)
    if path.is_dir():
        return path.resolve().parent.name
    return compiled_file(call, settings, path).name


def _version(call: Invocation, settings: Settings, said: str, name: str) -> Version:
    if said == REGISTERED:
        # A registry with an address is asked without a broker.
        reachable = settings if settings.registry_url else call.connected_settings()
        return asyncio.run(_registered(reachable, name))
    path = Path(said)
    if path.is_file():
        return version_of(compiled_file(call, settings, path), settings.prefix)
    found = read_version(path)
    if not found.schemas:
        raise NoReleaseError(path)
    return found


async def _registered(settings: Settings, name: str) -> Version:
    # Only here: it loads the Kafka client.
    from agents.client.schemas_by_id import schemas_of as registry_of  # noqa: PLC0415

    topics = Topics.of(settings.prefix, name)
    async with registry_of(settings) as registry:
        held = {
            "Request": await registry.newest(topics.requests),
            "StageResult": await registry.newest(topics.stages),
            "Result": await registry.newest(topics.results),
        }
    schemas = {message: parse_json(found.text) for message, found in held.items()}
    return Version(label="the registered version", schemas=schemas)


def _report(call: Invocation, found: Iterable[tuple[str, Evolution]]) -> None:
    """Show every difference; fail if one of them breaks somebody."""
    found = list(found)
    call.show([row for name, evolution in found for row in _rows(name, evolution)])
    broken = [f"{name}: {one}" for name, one in found if one.breaking]
    if broken:
        raise SchemasBreakError(broken)


def _rows(pipeline: str, evolution: Evolution) -> Iterator[dict[str, Any]]:
    shared = {"pipeline": pipeline, "message": evolution.message}
    against = {"against": evolution.old}
    if not evolution.differences:
        nothing = {"path": None, "difference": "none", "breaks": "nobody"}
        yield shared | against | nothing
    for each in evolution.differences:
        breaks = evolution.who if each.breaks else "nobody"
        told = {"path": each.path, "difference": each.what, "breaks": breaks}
        yield shared | against | told
