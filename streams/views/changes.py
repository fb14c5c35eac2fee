"""What changed between two pipelines, in words that say who will notice."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from streams.plan import Pipeline
from streams.planned import PlannedStage, UseDefault
from streams.session import SessionPolicy
from streams.signatures.canonical import field_text, fields_text
from streams.signatures.types import Field
from streams.views.flow_line import flow_line
from streams.views.policies import policy_words


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One difference and its place, named as in the file."""

    place: str
    sentence: str


def changes_between(old: Pipeline, new: Pipeline) -> tuple[Change, ...]:
    """Return what is different in *new*; nothing where the two are the same."""
    found = tuple(_changes(old, new))
    return (*found, *_consequences(old, new)) if found else found


def _changes(old: Pipeline, new: Pipeline) -> Iterator[Change]:
    yield from _value("pipeline", old.name, new.name)
    yield from _value("version", str(old.version), str(new.version))
    yield from _fields("input", old.inputs, new.inputs)
    yield from _fields("output", old.outputs, new.outputs)
    yield from _value("session", _session(old.session), _session(new.session))
    yield from _stages(old, new)
    yield from _value("flow", flow_line(old.flow), flow_line(new.flow))


def _consequences(old: Pipeline, new: Pipeline) -> Iterator[Change]:
    if (old.inputs, old.outputs) != (new.inputs, new.outputs):
        told = "changed: `penstock schemas diff` says which readers and writers break"
        yield Change(place="schemas", sentence=told)
    if old.fingerprint == new.fingerprint:
        yield Change(place="fingerprint", sentence="is the same: runs in flight go on")
        return
    yield Change(place="fingerprint", sentence="changed: runs in flight begin anew")
    if old.version == new.version:
        yield Change(
            place="version",
            sentence="is the same: results of before and after cannot be told apart",
        )


def _fields(place: str, old: Sequence[Field], new: Sequence[Field]) -> Iterator[Change]:
    before = {field.name: field_text(field) for field in old}
    after = {field.name: field_text(field) for field in new}
    yield from _named(place, before, after)


def _stages(old: Pipeline, new: Pipeline) -> Iterator[Change]:
    before = {stage.name: stage for stage in old.stages}
    after = {stage.name: stage for stage in new.stages}
    for name in before:
        if name not in after:
            yield Change(place=f"stages.{name}", sentence="is gone")
    for name, stage in after.items():
        if name not in before:
            told = f"is new: {stage.spec.kind} {_signature(stage)}"
            yield Change(place=f"stages.{name}", sentence=told)
            continue
        yield from _stage(f"stages.{name}", before[name], stage)


def _stage(place: str, old: PlannedStage, new: PlannedStage) -> Iterator[Change]:
    before, after = _said(old), _said(new)
    changed = [key for key in after if before.get(key) != after[key]]
    for key in changed:
        yield from _value(f"{place}.{key}", before.get(key, ""), after[key])
    if not changed and old.stage.version != new.stage.version:
        # The same words in the file: what they stand for is another thing.
        yield Change(place=place, sentence="its code or its program changed")


def _said(stage: PlannedStage) -> Mapping[str, str]:
    spec = stage.spec
    lm = stage.lm
    return {
        "kind": spec.kind,
        "signature": _signature(stage),
        "target": "" if _is_signature(spec.target) else spec.target or "",
        "instructions": spec.instructions,
        "lm": "" if lm is None else f"{lm.name} ({lm.fingerprint})",
        "timeout": "" if stage.timeout_s is None else f"{stage.timeout_s:g} s",
        "attempts": str(stage.retry.attempts),
        "on_failure": _failure(stage),
        **{key: str(value) for key, value in sorted(spec.options.items())},
    }


def _is_signature(target: str | None) -> bool:
    # Most kinds are written as their signature; the others name what they run.
    return target is not None and "->" in target


def _signature(stage: PlannedStage) -> str:
    return f"{fields_text(stage.spec.inputs)} -> {fields_text(stage.spec.outputs)}"


def _failure(stage: PlannedStage) -> str:
    policy = stage.on_failure
    if isinstance(policy, UseDefault):
        return f"default {dict(policy.outputs)}"
    return policy_words(policy)


def _session(policy: SessionPolicy | None) -> str:
    if policy is None:
        return ""
    kept = f"history {policy.keep}"
    return kept if policy.ttl_s is None else f"{kept}, ttl {policy.ttl_s:g} s"


def _named(
    place: str, before: Mapping[str, str], after: Mapping[str, str]
) -> Iterator[Change]:
    for name in dict.fromkeys([*before, *after]):
        yield from _value(f"{place}.{name}", before.get(name, ""), after.get(name, ""))


def _value(place: str, old: str, new: str) -> Iterator[Change]:
    if old == new:
        return
    if not old:
        yield Change(place=place, sentence=f"is new: {new}")
    elif not new:
        yield Change(place=place, sentence=f"is gone; it was {old}")
    else:
        yield Change(place=place, sentence=f"is {new}; it was {old}")
