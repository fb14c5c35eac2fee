"""Released schemas as files: ``<folder>/<pipeline>/<version>/<message>.avsc``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from agents.failures import ReleaseTakenError
from schemas.errors import InvalidSchemaError
from schemas.evolution import MESSAGES, Version
from schemas.identity import normalise, parse_json
from schemas.shapes import namespace_of
from streams.plan import Pipeline

FOLDER: Final = "released"
"""Beside the pipeline files: the next release is compared with it, so it is kept
where they are kept."""

SUFFIX: Final = ".avsc"


def schemas_of(pipeline: Pipeline, prefix: str) -> dict[str, dict[str, Any]]:
    """Return the Avro schemas of *pipeline* by message."""
    namespace = namespace_of(prefix, pipeline.name)
    return {
        "Request": pipeline.request_schema(namespace),
        "StageResult": pipeline.stage_result_schema(namespace),
        "Result": pipeline.result_schema(namespace),
    }


def version_of(pipeline: Pipeline, prefix: str) -> Version:
    """Return *pipeline* as a version to compare."""
    label = f"version {pipeline.version}"
    return Version(label=label, schemas=schemas_of(pipeline, prefix))


def read_version(folder: Path) -> Version:
    """Return the version that the files of *folder* hold, if any.

    Raises:
        InvalidSchemaError: a file is no JSON.
    """
    files = {message: folder / f"{message}{SUFFIX}" for message in MESSAGES}
    there = {message: path for message, path in files.items() if path.is_file()}
    return Version(
        label=f"version {folder.name}",
        schemas={message: _read(path) for message, path in there.items()},
    )


def read_versions(folder: Path, pipeline: str) -> list[Version]:
    """Return every released version of *pipeline*, oldest first.

    Raises:
        InvalidSchemaError: a file is no JSON.
    """
    numbered = [
        path
        for path in (folder / pipeline).glob("*")
        if path.is_dir() and path.name.isdecimal()
    ]
    return [read_version(path) for path in sorted(numbered, key=_number)]


def write_release(path: Path, pipeline: Pipeline, schema: Mapping[str, Any]) -> bool:
    """Write *schema*; say whether it is new. What was released never changes.

    Raises:
        ReleaseTakenError: this version was released with another schema.
    """
    if path.is_file():
        if normalise(_read(path)) != normalise(dict(schema)):
            raise ReleaseTakenError(pipeline.name, pipeline.version, path)
        return False
    write_json(path, schema)
    return True


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write *value* as people read it, in folders that need not exist."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    path.write_bytes(text)


def _read(path: Path) -> Any:
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except (InvalidSchemaError, UnicodeDecodeError) as error:
        raise InvalidSchemaError(reason=f"{path}: {error}") from error


def _number(path: Path) -> int:
    return int(path.name)
