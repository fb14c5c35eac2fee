"""Pairs of signatures, the values of one, and whether the other really reads them."""

import io
from dataclasses import replace

import fastavro
from hypothesis import assume
from hypothesis import strategies as st

from schemas.shapes import request_schema, result_schema
from streams.signatures.avro import avro_fields
from streams.signatures.tool_records import TOOL, TOOL_CALLS
from streams.signatures.types import (
    BOOL,
    BYTES,
    DATE,
    DATETIME,
    FLOAT,
    IMAGE,
    INT,
    STR,
    Choice,
    CodeOf,
    DecimalOf,
    Field,
    Limited,
    ListOf,
    MapOf,
    Maybe,
    OneOf,
    RecordOf,
    TupleListOf,
    TupleOf,
)
from streams.signatures.validate import Validator
from streams.signatures.values import checker

NAMESPACE = "penstock.support"


def line(*fields):
    return RecordOf("Line", fields)


PLAIN = (
    STR,
    Limited(STR, None, 5),
    Limited(STR, 1, 9),
    Limited(STR, None, None, "[a-z]*"),
    Choice(("a", "b")),
    Choice(("a", "b", "c")),
    Choice(("a", "abcdefg")),
    INT,
    Limited(INT, 0, 5),
    Limited(INT, None, 9),
    Choice((1, 2)),
    Choice((1, 7)),
    FLOAT,
    Limited(FLOAT, 0.0, 1.0),
    Limited(FLOAT, None, 9.0),
    BOOL,
    BYTES,
    Limited(BYTES, 1, 3),
    DATE,
    DATETIME,
    IMAGE,
    CodeOf("python"),
    CodeOf("sql"),
    DecimalOf(5, 2),
    DecimalOf(6, 2),
    TupleOf((STR, INT)),
    TupleOf((INT, STR)),
    TupleOf((STR, Limited(INT, 0, 5))),
    TupleOf((STR, INT, INT)),
    TupleListOf(INT),
    TupleListOf(STR),
    OneOf((STR, INT)),
    OneOf((STR, FLOAT)),
    OneOf((STR, INT, BOOL)),
    line(Field(name="sku", type=STR)),
    line(Field(name="sku", type=STR), Field(name="count", type=INT)),
    line(
        Field(name="sku", type=Limited(STR, None, 5)),
        Field(name="count", type=INT, required=False, default=1),
    ),
    RecordOf("Row", (Field(name="sku", type=STR),)),
    TOOL,
    TOOL_CALLS,
)
"""Types that are close to each other: pairs of them fit about as often as not."""


def _wrapped(kind):
    several = [kind, ListOf(kind), MapOf(kind), Limited(ListOf(kind), 1, 3)]
    return st.sampled_from([*several, Maybe(kind), Maybe(ListOf(kind))])


types = st.sampled_from(PLAIN).flatmap(_wrapped)


@st.composite
def fields(draw):
    """Return one to three fields, of which some have defaults."""
    names = draw(st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True))
    return _sound(tuple(draw(_field(name)) for name in names))


def _sound(several):
    """Return *several* fields, if one name is one record in all of them."""
    held = [_record_in(field.type) for field in several]
    lines = [record for record in held if record and record.name == "Line"]
    assume(all(record == lines[0] for record in lines))
    return several


def _record_in(kind):
    while not isinstance(kind, RecordOf):
        kind = next(
            (
                getattr(kind, part)
                for part in ("inner", "item", "value")
                if hasattr(kind, part)
            ),
            None,
        )
        if kind is None:
            return None
    return kind


@st.composite
def _field(draw, name):
    kind = draw(types)
    if draw(st.booleans()):
        return Field(name=name, type=kind)
    default = draw(st.sampled_from(samples(kind)))
    return Field(name=name, type=kind, required=False, default=default)


@st.composite
def pairs(draw):
    """Return the fields of two versions: most fields stay, some change."""
    old = draw(fields())
    kept = [replace(_same(draw, field), name=field.name) for field in old]
    added = draw(st.lists(_field("new"), max_size=1))
    gone = draw(st.integers(0, 3)) == 0 and len(kept) > 1
    return old, _sound((*kept[gone:], *added))


def _same(draw, field):
    return field if draw(st.booleans()) else draw(_field(field.name))


SAMPLES = {
    STR: ["", "a", "abc", "zzzzzzzzzzzz", "7"],
    INT: [0, 1, -1_000, 1_000],
    FLOAT: [0.5, -1e6, 1e6],
    BOOL: [True, False],
    IMAGE: ["https://example.org/a.png"],
    CodeOf("python"): ["", "x = 1", "an unlikely address"],
    CodeOf("sql"): ["", "select", "an unlikely address"],
    BYTES: [b"", b"\xff\xfe", b"abcd"],
    TOOL: [{"name": "f", "description": "", "args": '{"a": {}}'}],
    TOOL_CALLS: [
        {"tool_calls": []},
        {"tool_calls": [{"name": "f", "args": "{}"}, {"name": "g", "args": "{}"}]},
    ],
}


def samples(kind):  # noqa: C901, PLR0911 - one case a type
    """Return values of *kind* that between them meet every branch and bound."""
    match kind:
        case Choice():
            return list(kind.values)
        case DecimalOf():
            most = "9" * (kind.digits - kind.places) + ".99"
            return [checker(kind)(text) for text in ("0", most)]
        case Limited():
            near = [*samples(kind.inner), *_at_bounds(kind)]
            return [value for value in near if _fits(kind, value)]
        case TupleListOf():
            return list(map(tuple, samples(ListOf(kind.item))))
        case ListOf():
            inner = samples(kind.item)
            return [[], *([one] for one in inner), inner[:1] * 2, inner[:1] * 9]
        case MapOf():
            return [{}, *({"k": one} for one in samples(kind.value))]
        case TupleOf():
            each = [samples(item) for item in kind.items]
            most = max(map(len, each))
            return [tuple(s[i % len(s)] for s in each) for i in range(most)]
        case Maybe():
            return [None, *samples(kind.inner)]
        case OneOf():
            return [value for member in kind.members for value in samples(member)]
        case RecordOf() if kind not in (TOOL, TOOL_CALLS):
            return list(cover(kind.fields))
        case _ if kind in SAMPLES:
            return SAMPLES[kind]
        case _:
            texts = {DATE: "2024-02-29", DATETIME: "2024-02-29T12:00:00Z"}
            return [checker(kind)(texts[kind])]


def _at_bounds(kind):
    if isinstance(kind.inner, ListOf):
        return [samples(kind.inner.item)[:1] * size for size in (1, 2, 3)]
    if kind.inner in (INT, FLOAT):
        bounds = [bound for bound in (kind.low, kind.high) if bound is not None]
        return [type(SAMPLES[kind.inner][0])(bound) for bound in bounds]
    unit = b"\xfe" if kind.inner == BYTES else "q"
    return [unit * size for size in range(10)]


def _fits(kind, value):
    _, problems = Validator([Field(name="x", type=kind)])({"x": value})
    return not problems


def cover(several):
    """Give the values of *several* fields, each field's samples in turn."""
    first = {field.name: samples(field.type)[0] for field in several}
    for field in several:
        for value in samples(field.type):
            yield first | {field.name: value}


def relaxed(kind):
    """Return *kind* for a reader who expects values that it does not know."""
    match kind:
        case Choice():
            return STR if isinstance(kind.values[0], str) else INT
        case Limited() | Maybe():
            return replace(kind, inner=relaxed(kind.inner))
        case ListOf():
            return replace(kind, item=relaxed(kind.item))
        case MapOf():
            return MapOf(relaxed(kind.value))
        case RecordOf():
            return RecordOf(kind.name, tuple(map(relaxed_field, kind.fields)))
        case _:
            return kind


def relaxed_field(field):
    return replace(field, type=relaxed(field.type))


def refused_of_producers(old, new):
    """Give values sent with *old* that a pipeline of *new* does not take."""
    shapes = [request_schema(NAMESPACE, avro_fields(f)) for f in (old, new)]
    writer, reader = map(fastavro.parse_schema, shapes)
    check = Validator(new)
    for values in cover(old):
        sent = _written(writer, {"request_id": "r", "inputs": values})
        # A worker reads with the writer's schema; a registry asks for both.
        taken = _read(sent, writer, None)["inputs"]
        if _read(sent, writer, reader) is None or check(taken)[1]:
            yield values


def surprising_to_consumers(old, new):
    """Give values of *new* that a consumer of *old* was not promised."""
    shapes = [result_schema(NAMESPACE, avro_fields(f)) for f in (new, old)]
    writer, reader = map(fastavro.parse_schema, shapes)
    check = Validator([relaxed_field(field) for field in old])
    identity = {"request_id": "r", "pipeline": "support", "pipeline_version": 2}
    for values in cover(new):
        made = _written(writer, identity | {"status": "OK", "outputs": values})
        seen = _read(made, writer, reader)
        if seen is None or check(seen["outputs"])[1]:
            yield values


def _written(writer, record):
    body = io.BytesIO()
    # A tuple is a value here, and not fastavro's way to name a branch.
    fastavro.schemaless_writer(body, writer, record, disable_tuple_notation=True)
    return body.getvalue()


def _read(body, writer, reader):
    """Return the record in *body* as a reader sees it; None where it cannot."""
    try:
        return fastavro.schemaless_reader(io.BytesIO(body), writer, reader)
    except (fastavro.read.SchemaResolutionError, UnicodeDecodeError):
        return None
