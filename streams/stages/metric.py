"""``metric``: how alike two values are, as a score from 0 to 1, or as a yes or no.

The first input is the answer, the second what was expected. Texts may be compared with
several references at once (a ``list[str]``): the best score counts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from streams.calls import NO_USAGE
from streams.errors import ConfigError, OptionsError, StageInputError
from streams.language.problems import meant
from streams.language.section import Section
from streams.language.stage_spec import StageSpec, Workshop
from streams.scores import things, words
from streams.scores.common_parts import TooLongError
from streams.signatures.fitting import fits
from streams.signatures.types import (
    BOOL,
    FLOAT,
    STR,
    DecimalOf,
    Field,
    FieldType,
    HistoryType,
    Limited,
    ListOf,
)
from streams.stage import Fields, RunContext, StageOutcome
from streams.versions import version_of

METRIC_KEYS: Final = ("by", "threshold", "tolerance", "relative")

SCORE: Final = Limited(FLOAT, 0.0, 1.0)

INPUTS: Final = 2
"""The answer, and what was expected."""


def _is_text(kind: FieldType) -> bool:
    return fits(kind, STR)


def _is_reference(kind: FieldType) -> bool:
    return fits(kind, STR) or fits(kind, ListOf(STR))


def _is_list(kind: FieldType) -> bool:
    return isinstance(kind.inner if isinstance(kind, Limited) else kind, ListOf)


def _is_number(kind: FieldType) -> bool:
    inner = kind.inner if isinstance(kind, Limited) else kind
    return fits(kind, STR) or fits(kind, FLOAT) or isinstance(inner, DecimalOf)


def _is_anything(kind: FieldType) -> bool:
    return not isinstance(kind, HistoryType)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One way to compare two values."""

    score: Callable[..., float]
    compares: str
    """What it compares, for people."""
    answer: Callable[[FieldType], bool]
    """Whether an answer may be of a type."""
    expected: Callable[[FieldType], bool]
    graded: bool = False
    """Whether there are scores between 0 and 1."""


def _of_texts(score: Callable[[str, str], float], *, graded: bool = False) -> Metric:
    return Metric(
        score=partial(_best, score),
        compares="texts",
        answer=_is_text,
        expected=_is_reference,
        graded=graded,
    )


def _best(score: Callable[[str, str], float], answer: str, expected: Any) -> float:  # noqa: ANN401 - a text or a list
    if isinstance(expected, str):
        return score(answer, expected)
    return max((score(answer, each) for each in expected), default=0.0)


METRICS: Final[Mapping[str, Metric]] = {
    "exact_match": _of_texts(words.exact_match),
    "normalized_match": _of_texts(words.normalized_match),
    "contains": _of_texts(words.contains),
    "f1": _of_texts(words.f1, graded=True),
    "rouge_l": _of_texts(words.rouge_l, graded=True),
    "levenshtein": _of_texts(things.levenshtein, graded=True),
    "json_equal": Metric(
        score=things.json_equal,
        compares="values",
        answer=_is_anything,
        expected=_is_anything,
    ),
    "numeric": Metric(
        score=things.numeric,
        compares="numbers",
        answer=_is_number,
        expected=_is_number,
    ),
    "jaccard": Metric(
        score=things.jaccard,
        compares="lists",
        answer=_is_list,
        expected=_is_list,
        graded=True,
    ),
}
"""By the name that a file gives them under ``by:``."""


class MetricStage:
    """Compares its two inputs."""

    def __init__(
        self,
        spec: StageSpec,
        version: str,
        score: Callable[[Any, Any], float],
        threshold: float,
    ) -> None:
        self.name = spec.name
        self.version = version
        self._answer, self._expected = (field.name for field in spec.inputs)
        self._outputs = tuple((f.name, f.type == BOOL) for f in spec.outputs)
        self._score = score
        self._threshold = threshold

    async def __call__(self, fields: Fields, run: RunContext) -> StageOutcome:
        try:
            score = self._score(fields[self._answer], fields[self._expected])
        except TooLongError as error:
            raise StageInputError(self.name, str(error)) from error
        outputs = {
            name: score >= self._threshold if is_truth else score
            for name, is_truth in self._outputs
        }
        return StageOutcome(outputs=outputs, usage=NO_USAGE)


def read_metric(section: Section) -> Mapping[str, Any]:
    """Return the options of an entry: ``by``, and what is close enough."""
    by = section.text("by", needed=True)
    if by is not None and by not in METRICS:
        section.wrong("by", f"no metric is called {by}; {meant(by, METRICS)}")
    options = {
        "by": by,
        "threshold": _share(section, "threshold", most=1.0),
        "tolerance": _share(section, "tolerance"),
        "relative": _share(section, "relative"),
    }
    for key in ("tolerance", "relative"):
        if section.has(key) and by != "numeric":
            section.wrong_key(key, "is for `by: numeric` only")
    return options


def build_metric(spec: StageSpec, _shop: Workshop) -> MetricStage:
    """Return the stage that compares the inputs of *spec*.

    Raises:
        ConfigError: its fields are not those of a metric.
        OptionsError: a yes or no is wanted, and nobody says from which score on.
    """
    by = spec.options["by"]
    metric, threshold = METRICS.get(by), spec.options["threshold"]
    problems = [*input_problems(by, spec.inputs), *output_problems(spec.outputs)]
    if problems or metric is None:
        # A metric that nobody knows was told where the file was read.
        raise ConfigError(problems)
    wants_truth = any(field.type == BOOL for field in spec.outputs)
    if wants_truth and threshold is None and metric.graded:
        reason = "is missing: from which score on is it true?"
        raise OptionsError([f"threshold: {reason}"])
    if threshold is not None and not wants_truth:
        raise OptionsError(["threshold: is for an output of type bool"])
    score = metric.score
    if by == "numeric":
        allowed = (spec.options["tolerance"] or 0.0, spec.options["relative"] or 0.0)
        score = partial(_numeric, allowed)
    return MetricStage(
        spec, _version(spec), score, 1.0 if threshold is None else threshold
    )


def input_problems(by: str, inputs: tuple[Field, ...]) -> list[str]:
    """Return what is wrong with *inputs* of a stage that compares *by* a metric."""
    if len(inputs) != INPUTS:
        return ["compares two inputs: the answer, then what was expected"]
    metric = METRICS.get(by)
    if metric is None:
        return []
    allowed = (metric.answer, metric.expected)
    return [
        f"{by} compares {metric.compares}, {field.name} is {field.type}"
        for field, may_be in zip(inputs, allowed, strict=True)
        if not may_be(field.type)
    ]


def output_problems(outputs: tuple[Field, ...]) -> list[str]:
    """Return what is wrong with *outputs*: a score, a yes or no, or both."""
    truths = [field for field in outputs if field.type == BOOL]
    scores = [field for field in outputs if fits(SCORE, field.type)]
    problems = [
        f"{field.name} is {field.type}: a metric leaves a float from 0 to 1 or a bool"
        for field in outputs
        if field not in truths and field not in scores
    ]
    if len(truths) > 1 or len(scores) > 1:
        problems.append("leaves the same twice: one output of a type is enough")
    return problems


def _numeric(allowed: tuple[float, float], answer: Any, expected: Any) -> float:  # noqa: ANN401 - text or number
    return things.numeric(answer, expected, *allowed)


def _share(section: Section, key: str, most: float = 1e300) -> float | None:
    value = section.get(key)
    if value is None:
        return None
    if type(value) in (int, float) and 0 <= value <= most:
        return float(value)
    limit = f"from 0 to {most:g}" if most <= 1 else "from 0 on"
    section.wrong(key, f"must be a number {limit}")
    return None


def _version(spec: StageSpec) -> str:
    types = [str(f.type) for f in (*spec.inputs, *spec.outputs)]
    return version_of("metric", spec.options, types)
