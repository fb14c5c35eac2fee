"""Stages without an LM, made of their entry in a file as the compiler makes them."""

from streams.catalog import STAGE_KINDS
from streams.clock import ManualClock
from streams.errors import ConfigError, OptionsError
from streams.language.problems import Problems
from streams.language.section import Section
from streams.language.stage_spec import StageSpec, Workshop
from streams.language.web import Web
from streams.language.yaml_text import plain_values
from streams.signatures.parse import parse_signature
from streams.signatures.records import read_types
from streams.stage import RunContext
from streams.user_code import UserCode

RUN = RunContext(request_id="r1", clock=ManualClock(), calls=None)


def made(entry, *, types=None, web=None):
    """Return the stage ``s`` of *entry*, YAML; raises ConfigError as a worker would."""
    problems = Problems("file")
    section = Section(plain_values(entry, problems), "stages.s", problems)
    name = next(iter(section.values))
    kind = STAGE_KINDS[name]
    section.only((name, "timeout", "attempts", *kind.keys))
    options = kind.read(section)
    declared, _ = read_types(types or {})
    reading = parse_signature(section.text(name) or "", declared)
    problems.add_all(f"stages.s.{name}", reading.problems)
    problems.raise_any()
    spec = StageSpec(
        name="s",
        inputs=tuple(d.typed(None) for d in reading.inputs),
        outputs=tuple(d.typed(None) for d in reading.outputs),
        options=options,
    )
    try:
        return kind.build(spec, Workshop(code=UserCode([]), web=web or Web()))
    except OptionsError as error:
        problems.add_options("stages.s", error.problems)
    except ConfigError as error:
        problems.add_all(f"stages.s.{name}", error.problems)
    problems.raise_any()
    return None


def problems_of(entry, **given):
    """Return what is wrong with *entry*, each as ``key: sentence``."""
    try:
        made(entry, **given)
    except ConfigError as error:
        return [str(p).removeprefix("file: stages.s.") for p in error.problems]
    return []


async def outputs(stage, run=RUN, **fields):
    """Return what *stage* leaves."""
    return (await stage(fields, run)).outputs
