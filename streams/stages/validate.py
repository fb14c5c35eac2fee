"""``validate``: rules in CEL for the inputs, and the names of those that are broken.

A rule that has no value (a division by zero, an index too far) is a broken one: it is
not known to hold. What a broken rule says goes into results: rules are named by the
file, and no value is quoted.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from streams.calls import NO_USAGE
from streams.conditions.cel import compile_condition
from streams.conditions.complaints import UNKNOWN
from streams.errors import ConditionError, ConfigError, OptionsError, RulesError
from streams.language.section import Section
from streams.language.stage_spec import StageSpec, Workshop
from streams.planned import Condition
from streams.signatures.types import BOOL, STR, Field, ListOf
from streams.stage import Fields, RunContext, StageOutcome
from streams.versions import version_of

VALIDATE_KEYS: Final = ("rules", "fail")

PROBLEMS: Final = ListOf(STR)
"""Of the output that holds the names of the broken rules, in the file's order."""


class ValidateStage:
    """Reports which rules are broken, or fails because some are."""

    def __init__(
        self, spec: StageSpec, version: str, rules: Mapping[str, Condition]
    ) -> None:
        self.name = spec.name
        self.version = version
        self._fails = bool(spec.options["fail"])
        self._outputs = tuple((f.name, f.type == BOOL) for f in spec.outputs)
        self._rules = tuple(rules.items())

    async def __call__(self, fields: Fields, run: RunContext) -> StageOutcome:
        broken: list[str] = []
        for name, rule in self._rules:
            if not _holds(rule, fields):
                broken.append(name)
            # A rule over much takes a tenth of a second: other runs go between.
            await asyncio.sleep(0)
        if broken and self._fails:
            raise RulesError(self.name, broken)
        outputs = {
            name: not broken if is_truth else list(broken)
            for name, is_truth in self._outputs
        }
        return StageOutcome(outputs=outputs, usage=NO_USAGE)


def read_validate(section: Section) -> Mapping[str, Any]:
    """Return the options of an entry: ``rules`` by name, and whether to ``fail``."""
    rules = section.sub("rules", needed=True)
    return {
        "rules": {name: rules.text(name, needed=True) for name in rules.values},
        "fail": section.truth("fail"),
    }


def build_validate(spec: StageSpec, _shop: Workshop) -> ValidateStage:
    """Return the stage that checks the inputs of *spec*.

    Raises:
        OptionsError: with everything that is wrong with its outputs and its rules.
    """
    wrong = [f"validate: {problem}" for problem in output_problems(spec.outputs)]
    types = {field.name: field.type for field in spec.inputs}
    rules: dict[str, Condition] = {}
    for name, text in spec.options["rules"].items():
        if text is None:
            # It was no text, and that was told where the file was read.
            continue
        try:
            rules[name] = compile_condition(text, types)
        except ConfigError as error:
            wrong += [f"rules.{name}: {problem}" for problem in error.problems]
    if wrong:
        raise OptionsError(wrong)
    return ValidateStage(spec, _version(spec), rules)


def unread_rules(spec: StageSpec, _shop: Workshop) -> list[str]:
    """Return what is wrong with the rules of *spec*, over whatever fields."""
    wrong: list[str] = []
    for name, text in spec.options["rules"].items():
        try:
            compile_condition(text or "true", {})
        except ConfigError as error:
            said = (each for each in error.problems if UNKNOWN not in each)
            wrong += [f"rules.{name}: {problem}" for problem in said]
    return wrong


def output_problems(outputs: tuple[Field, ...]) -> list[str]:
    """Return what is wrong with *outputs*: one bool, one list of texts, or both."""
    problems = [
        f"{field.name} is {field.type}: a validate stage leaves a bool and a list[str]"
        for field in outputs
        if field.type not in (BOOL, PROBLEMS)
    ]
    kinds = [field.type for field in outputs]
    problems += [
        f"leaves two outputs of type {kind}: one of them is enough"
        for kind in (BOOL, PROBLEMS)
        if kinds.count(kind) > 1
    ]
    return problems


def _holds(rule: Condition, fields: Fields) -> bool:
    try:
        return rule.holds(fields)
    except ConditionError:
        return False


def _version(spec: StageSpec) -> str:
    # A dict would be sorted by some, and the order of the rules is that of problems.
    rules = list(spec.options["rules"].items())
    types = [str(field.type) for field in spec.outputs]
    return version_of("validate", rules, spec.options["fail"], types)
