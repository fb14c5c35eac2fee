"""Put a saved state into a program: all of it fits, or none of it is taken."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import dspy

from streams.errors import ConfigError
from streams.language.program_state import (
    SavedField,
    SavedPredictor,
    SavedState,
    read_state,
)

log: Final = logging.getLogger(__name__)


def load_state(module: dspy.Module, folder: Path | None, path: str) -> str:
    """Put the state at *path* into *module*; return a digest of it.

    Raises:
        ConfigError: it is of another program; with the fields that differ.
    """
    state = read_state(folder, path)
    found = dict(module.named_predictors())
    saved = _paired(found, state)
    problems = [
        f"{path}: {problem}"
        for name, predictor in found.items()
        for problem in _drift(name, predictor, saved.get(name))
    ]
    problems += [
        f"{path}: the program has no predictor {name}"
        for name in saved
        if name not in found
    ]
    if problems:
        raise ConfigError(problems)
    if state.dspy not in (None, dspy.__version__):
        # As DSPy itself has it: another version may show the same state otherwise.
        log.warning(
            "%s was saved by DSPy %s, not %s", path, state.dspy, dspy.__version__
        )
    for name, predictor in found.items():
        _load(predictor, saved[name])
    return state.digest


def _paired(
    found: Mapping[str, dspy.Predict], state: SavedState
) -> Mapping[str, SavedPredictor]:
    # One predictor is one predictor, whatever it was called when it was optimised.
    if len(found) == len(state.predictors) == 1:
        return dict(zip(found, state.predictors.values(), strict=True))
    return state.predictors


def _drift(
    name: str, predictor: dspy.Predict, saved: SavedPredictor | None
) -> list[str]:
    """Say how *saved* differs: DSPy pairs fields by position, and mislabels them."""
    if saved is None:
        return [f"there is nothing of predictor {name}"]
    fields = predictor.signature.fields
    if len(fields) != len(saved.fields):
        theirs = ", ".join(_called(field) for field in saved.fields)
        return [f"{name} was saved with the fields {theirs}, not {', '.join(fields)}"]
    return [
        f"{name} was saved with {_called(then)} where the signature has {now}"
        for now, then in zip(fields, saved.fields, strict=True)
        if not _same(now, fields[now].json_schema_extra["prefix"], then)
    ]


def _same(name: str, prefix: str, saved: SavedField) -> bool:
    # Optimizers change one of the two, never both: COPRO the prefix, others neither.
    return saved.prefix == prefix or saved.description == f"${{{name}}}"


def _called(saved: SavedField) -> str:
    if saved.description.startswith("${") and saved.description.endswith("}"):
        return saved.description[2:-1]
    return saved.prefix.removesuffix(":").lower().replace(" ", "_")


def _load(predictor: dspy.Predict, saved: SavedPredictor) -> None:
    predictor.load_state(
        {
            "demos": [dict(demo) for demo in saved.demos],
            "signature": {
                "instructions": saved.instructions,
                "fields": [
                    {"prefix": field.prefix, "description": field.description}
                    for field in saved.fields
                ],
            },
            "traces": [],
            "train": [],
            # The stage says which LM it asks, not who optimised it.
            "lm": None,
        }
    )
