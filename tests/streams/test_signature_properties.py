"""Rules that hold for every type and value: texts, Avro and JSON bring them back."""

import json
from datetime import UTC, date
from decimal import Decimal

import orjson
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from schemas.codec import ParsedSchema, decode, encode
from schemas.compatibility import check_strictly
from schemas.shapes import request_schema
from streams.json_form import json_form
from streams.signatures.alternatives import clash, united
from streams.signatures.avro import avro_fields
from streams.signatures.canonical import fields_text, signature_text
from streams.signatures.from_avro import AvroReader
from streams.signatures.parse import (
    Declared,
    Reading,
    Types,
    parse_fields,
    parse_signature,
)
from streams.signatures.tool_records import TOOL, TOOL_CALLS
from streams.signatures.tuples import tuple_problem
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
    ImageType,
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

IMAGES = (
    "https://a.example/x.png?size=9#top",
    "http://a.example",
    "data:image/svg+xml;base64,PHN2Zy8+",
    "data:image/png;base64,iVBORw0KGgo=",
)
steadily = settings(max_examples=100)

LINE = RecordOf(
    "Line",
    (
        Field(name="sku", type=STR, description="what it's called"),
        Field(name="count", type=INT, required=False, default=1),
        Field(name="due", type=Maybe(DATE), required=False),
    ),
)
ORDER = RecordOf("Order", (Field(name="lines", type=ListOf(LINE)),))
TYPES = Types({"Line": LINE, "Order": ORDER})

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
exact = st.tuples(st.integers(1, 20), st.integers(0, 6)).map(
    lambda pair: DecimalOf(max(pair), pair[1])
)
choices = st.one_of(
    st.lists(texts, min_size=1, max_size=3, unique=True),
    st.lists(st.integers(-9, 9), min_size=1, max_size=3, unique=True),
).map(lambda values: Choice(tuple(values)))
limits = st.sampled_from(
    [
        Limited(FLOAT, 0.0, 1.0),
        Limited(FLOAT, None, 1e300),
        Limited(INT, -5, None),
        Limited(STR, None, 5),
        Limited(STR, 1, None, "[^0-9]*"),
        Limited(BYTES, 0, 3),
        Limited(DecimalOf(9, 2), Decimal("-0.5"), Decimal(10)),
    ]
)
scalars = st.sampled_from([STR, INT, FLOAT, BOOL, BYTES, DATE, DATETIME])
tuples = (
    st.lists(st.one_of(scalars, limits), min_size=1, max_size=3)
    .filter(lambda items: tuple_problem(items) is None)
    .map(lambda items: TupleOf(tuple(items)))
)
special = st.sampled_from(
    [IMAGE, Limited(IMAGE, None, 60), CodeOf("python"), TOOL, TOOL_CALLS]
)
leaves = st.one_of(
    scalars, exact, choices, limits, tuples, special, st.sampled_from([LINE, ORDER])
)


def _optional(kind):
    return kind if isinstance(kind, Maybe) else Maybe(kind)


def _larger(inner):
    flat = inner.filter(lambda kind: not isinstance(kind, Maybe | OneOf))
    unions = (
        st.lists(flat, min_size=2, max_size=3)
        .filter(lambda members: clash(members) is None)
        .map(lambda members: united(members, optional=False))
    )
    return st.one_of(
        inner.map(ListOf),
        inner.map(MapOf),
        inner.map(TupleListOf),
        inner.map(ListOf).map(lambda kind: Limited(kind, 1, 3)),
        inner.map(_optional),
        unions,
    )


types = st.recursive(leaves, _larger, max_leaves=4)


def values_of(kind):  # noqa: C901, PLR0911, PLR0912 - one case a type
    """Return a strategy for values of *kind*, as a pipeline holds them."""
    match kind:
        case Choice():
            return st.sampled_from(kind.values)
        case DecimalOf():
            most = 10**kind.digits - 1
            made = st.integers(-most, most).map(Decimal)
            return made.map(lambda n: n.scaleb(-kind.places)).map(checker(kind))
        case Limited(inner=ListOf()):
            return st.lists(values_of(kind.inner.item), min_size=1, max_size=3)
        case Limited():
            return values_of(kind.inner).filter(lambda value: _allowed(kind, value))
        case TupleListOf():
            return st.lists(values_of(kind.item), max_size=3).map(tuple)
        case ListOf():
            return st.lists(values_of(kind.item), max_size=3)
        case MapOf():
            return st.dictionaries(texts, values_of(kind.value), max_size=3)
        case TupleOf():
            return st.tuples(*map(values_of, kind.items))
        case Maybe():
            return st.none() | values_of(kind.inner)
        case OneOf():
            return st.one_of(*map(values_of, kind.members))
        case ImageType():
            return st.sampled_from(IMAGES)
        case CodeOf():
            return texts
        case RecordOf() if kind == TOOL:
            tools = _called(st.just({}) | st.just({"type": "string"}))
            described = st.tuples(tools, texts)
            return described.map(lambda pair: {**pair[0], "description": pair[1]}).map(
                checker(kind)
            )
        case RecordOf() if kind == TOOL_CALLS:
            calls = st.lists(_called(json_values), max_size=2)
            return calls.map(lambda made: checker(kind)({"tool_calls": made}))
        case RecordOf():
            held = {field.name: values_of(field.type) for field in kind.fields}
            return st.fixed_dictionaries(held).map(checker(kind))
        case _:
            return SCALARS[kind.name]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 2**64) | st.floats(0, 1) | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner),
    max_leaves=3,
)


def _called(args):
    """Return a strategy for records with a name, and with *args* as JSON."""
    return st.fixed_dictionaries(
        {
            "name": st.sampled_from(["find", "a.b-C_9", "x" * 128]),
            "args": st.dictionaries(texts, args, max_size=2).map(json.dumps),
        }
    )


SCALARS = {
    "str": texts,
    "int": st.integers(-(2**63), 2**63 - 1) | st.integers(-9, 9),
    "float": st.floats(allow_nan=False, allow_infinity=False) | st.floats(0, 1),
    "bool": st.booleans(),
    "bytes": st.binary(max_size=5),
    "date": st.dates(),
    "datetime": st.datetimes(timezones=st.just(UTC), allow_imaginary=False).map(
        lambda moment: moment.replace(fold=0)
    ),
}


def _allowed(kind, value):
    _, problems = Validator([Field(name="a", type=kind)])({"a": value})
    return not problems


@st.composite
def declared(draw, name):
    kind = draw(types | st.none())
    if kind is None or draw(st.booleans()):
        default, required = None, not isinstance(kind, Maybe)
    else:
        default, required = draw(values_of(kind)), False
    return Declared(
        name=name,
        type=kind,
        description=draw(texts),
        required=required,
        default=default,
    )


@steadily
@given(declared("a"), declared("b"), declared("c"))
def test_a_signature_means_the_same_once_it_is_written_and_read(one, two, three):
    reading = Reading(inputs=(one, two), outputs=(three,))
    text = signature_text(reading)
    read = parse_signature(text, TYPES)
    assert read == reading
    assert signature_text(read) == text


@steadily
@given(types.flatmap(lambda kind: st.tuples(st.just(kind), values_of(kind))))
def test_a_value_comes_back_from_avro_as_it_was(pair):
    kind, value = pair
    field = Field(name="a", type=kind)
    assert checker(kind)(value) == value
    schema = ParsedSchema.of(request_schema("a.b", avro_fields([field])))
    request = {"request_id": "r", "inputs": {"a": value}}
    sent = encode(schema, {**BLANK, **request})
    got = decode(sent, start=0, schema=schema, limit_bytes=1_000_000)
    back = checker(kind)(got["inputs"]["a"])
    assert back == value
    assert repr(back) == repr(value)


@steadily
@given(types.flatmap(lambda kind: st.tuples(st.just(kind), values_of(kind))))
def test_a_value_comes_back_from_json_as_it_was(pair):
    kind, value = pair
    stored = orjson.loads(orjson.dumps(value, default=json_form))
    assert repr(checker(kind)(stored)) == repr(value)


@steadily
@given(declared("a"))
def test_a_field_comes_back_from_its_avro_field(one):
    field = one.typed(None)
    # Bounds of exact numbers are enforced, and not a part of schemas.
    assume("Decimal[9, 2, " not in str(field.type))
    assert AvroReader().field(avro_fields([field])[0]) == field
    schema = ParsedSchema.of(request_schema("a.b", avro_fields([field])))
    check_strictly(schema.text)


@given(st.text(max_size=40))
@steadily
def test_any_text_is_read_without_a_failure(text):
    reading = parse_fields(text)
    assert reading.problems or fields_text(reading.inputs)


BLANK = {
    "session_id": None,
    "pipeline": "",
    "pipeline_version": None,
    "deadline_ms": None,
    "priority": 0,
    "tenant": None,
    "mode": "NORMAL",
    "options": {},
}
"""What a request has besides its id and inputs."""


def test_the_earliest_and_latest_dates_travel():
    for day in (date.min, date.max):
        assert checker(DATE)(day.isoformat()) == day
