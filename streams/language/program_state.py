"""The saved state of a DSPy program: JSON beside the pipeline files, and nothing else.

``program.save("classify.json")`` writes it. Of each predictor it holds instructions,
field descriptions and demos; whatever else stands there (an LM, a trace of how it was
optimised) is not for serving and left out. Pickles run code and are not read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

import orjson

from streams.errors import ConfigError
from streams.versions import fingerprint_of

MAX_BYTES: Final = 4 * 1024 * 1024
"""Sixteen demos of a hundred pages each."""

METADATA: Final = "metadata"
PREDICTOR_KEYS: Final = frozenset(
    {"demos", "fields", "lm", "signature", "traces", "train"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedField:
    """What an LM was told of a field, in the order of the signature."""

    prefix: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedPredictor:
    """What an optimizer may have changed of one predictor."""

    instructions: str
    fields: tuple[SavedField, ...]
    demos: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedState:
    """The state of one program."""

    predictors: Mapping[str, SavedPredictor]
    """By the name that the program has for each; a lone predictor is ``self``."""
    dspy: str | None
    """The version of DSPy that wrote it."""
    digest: str
    """Of the whole file."""


def read_state(folder: Path | None, path: str) -> SavedState:
    """Return the state in the file at *path*, which lies in *folder*.

    Raises:
        ConfigError: there is none, or it cannot be used; with every problem.
    """
    content = _content(folder, path)
    try:
        said = orjson.loads(content)
    except ValueError as error:
        raise ConfigError([f"{path} is no JSON: {error}"]) from error
    if not isinstance(said, dict):
        raise ConfigError([f"{path} is no state that program.save wrote"])
    metadata = said.pop(METADATA, None)
    # A lone predictor saves itself without a name.
    named = {"self": said} if "signature" in said else said
    problems: list[str] = []
    predictors = {
        name: _predictor(f"{path}: {name}", entry, problems)
        for name, entry in named.items()
    }
    if not predictors:
        problems.append(f"{path} holds no predictor")
    if problems:
        raise ConfigError(problems)
    return SavedState(
        predictors={name: made for name, made in predictors.items() if made},
        dspy=_version(metadata),
        digest=fingerprint_of(content),
    )


def _content(folder: Path | None, path: str) -> bytes:
    if folder is None:
        raise ConfigError([f"{path}: there is no folder of pipelines to find it in"])
    relative = PurePosixPath(path)
    if relative.is_absolute() or ".." in relative.parts or relative.suffix != ".json":
        reason = f"{path!r} is no path of a .json file below the folder of pipelines"
        raise ConfigError([reason])
    try:
        root = folder.resolve(strict=True)
        found = (root / relative).resolve(strict=True)
        if not found.is_relative_to(root):
            reason = f"{path} leads out of the folder of pipelines"
            raise ConfigError([reason])
        if not found.is_file():
            raise ConfigError([f"{path} is no file"])
        with found.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise ConfigError([f"{path} cannot be read: {error}"]) from error
    if len(content) > MAX_BYTES:
        raise ConfigError([f"{path} is larger than {MAX_BYTES} bytes"])
    return content


def _predictor(where: str, entry: object, problems: list[str]) -> SavedPredictor | None:
    if not isinstance(entry, dict):
        problems.append(f"{where} is no state of a predictor")
        return None
    # DSPy sets whatever it finds as an attribute: `forward`, `config`, `callbacks`.
    unknown = sorted(entry.keys() - PREDICTOR_KEYS)
    if unknown:
        problems.append(f"{where} holds {', '.join(unknown)}, which no state has")
    if entry.get("fields"):
        problems.append(f"{where} holds criteria of decisions, which are not served")
    signature, demos = entry.get("signature"), entry.get("demos", [])
    if not (isinstance(demos, list) and all(isinstance(d, dict) for d in demos)):
        problems.append(f"{where}: demos must be a list of mappings")
        return None
    try:
        fields = tuple(_field(field) for field in signature["fields"])  # type: ignore[index] # a TypeError below
        instructions = signature["instructions"]  # type: ignore[index] # likewise
    except (TypeError, KeyError):
        problems.append(f"{where}: the signature has no instructions or no fields")
        return None
    if not isinstance(instructions, str):
        problems.append(f"{where}: instructions must be text")
        return None
    return SavedPredictor(instructions=instructions, fields=fields, demos=tuple(demos))


def _field(saved: Mapping[str, Any]) -> SavedField:
    prefix, description = saved["prefix"], saved["description"]
    if not (isinstance(prefix, str) and isinstance(description, str)):
        raise TypeError
    return SavedField(prefix=prefix, description=description)


def _version(metadata: object) -> str | None:
    try:
        version = metadata["dependency_versions"]["dspy"]  # type: ignore[index] # what has none has no version
    except (TypeError, KeyError):
        return None
    return str(version)
