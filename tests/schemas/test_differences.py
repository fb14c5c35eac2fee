"""Every difference is said in words, and who breaks by it."""

import io
import json

import fastavro
import pytest
from avro.io import BinaryDecoder, DatumReader
from avro.schema import parse as parse_strictly

from schemas.codec import ParsedSchema, encode
from schemas.compatibility import incompatibilities
from schemas.differences import differences
from schemas.evolution import Version, evolutions
from schemas.shapes import request_schema, result_schema, stage_result_schema
from streams.signatures.avro import avro_fields
from streams.signatures.parse import Types, parse_signature
from streams.signatures.positions import tuple_positions
from streams.signatures.types import INT, STR, Field, RecordOf

NAMESPACE = "penstock.support"
TYPES = Types(
    {
        "Line": RecordOf("Line", (Field(name="sku", type=STR),)),
        "Counted": RecordOf(
            "Line",
            (Field(name="sku", type=STR), Field(name="count", type=INT)),
        ),
    }
)


def version(label, inputs="a: str", outputs="b: str", stages=None):
    reading = parse_signature(f"{inputs} -> {outputs}", TYPES)
    assert not reading.problems
    made = {name: _fields(text) for name, text in (stages or {}).items()}
    return Version(
        label=label,
        schemas={
            "Request": request_schema(NAMESPACE, avro_fields(reading.inputs)),
            "StageResult": stage_result_schema(NAMESPACE, made),
            "Result": result_schema(NAMESPACE, avro_fields(reading.outputs)),
        },
    )


def _fields(text):
    return avro_fields(parse_signature(f"x: str -> {text}", TYPES).outputs)


def told(old, new):
    return {
        found.message: str(found)
        for found in evolutions(
            version("version 1", **old), version("version 2", **new), tuple_positions
        )
    }


def notes(old, new):
    found = evolutions(version("version 1", **old), version("version 2", **new))
    return [str(each) for one in found for each in one.differences if not each.breaks]


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("a: str", "a: str, tier: str", "inputs.tier is new and has no default"),
        ("a: str", "a: int", "inputs.a was str, is int"),
        ("a: str", "a: str[..80]", "inputs.a has maxLength 80 now"),
        ("a: str[..80]", "a: str[..8]", "inputs.a has maxLength 8, it was 80"),
        ("a: float[0..]", "a: float[0.5..]", "inputs.a has minimum 0.5, it was 0.0"),
        ("a: list[int, 1..9]", "a: list[int, 2..9]", "inputs.a has minItems 2, it was"),
        ("a: str", "a: str['[a-z]+']", "inputs.a has pattern '[a-z]+' now"),
        ("a: Literal['x', 'y']", "a: Literal['x']", "inputs.a may not be 'y' any more"),
        ("a: str", "a: Literal['x']", "inputs.a may only be 'x' now"),
        ("a: Literal['abc']", "a: str[..2]", "inputs.a has maxLength 2 now"),
        ("a: str | None", "a: str", "inputs.a may not be null any more"),
        ("a: str | int", "a: str", "inputs.a may not be int any more"),
        ("a: int", "a: datetime", "inputs.a was int, is datetime"),
        ("a: date", "a: datetime", "inputs.a was date, is datetime"),
        ("a: Decimal[5, 2]", "a: Decimal[9, 2]", "inputs.a was Decimal[5, 2], is Dec"),
        ("a: list[str]", "a: tuple[str, str]", "inputs.a was list, is tuple[str, str]"),
        ("a: tuple[str, int]", "a: tuple[int, str]", "inputs.a[0] was str, is int"),
        ("a: str", "a: Image", "inputs.a was str, is Image"),
        ("a: str[..9]", "a: Image[..9]", "inputs.a was str, is Image"),
        ("a: list[Line]", "a: list[Counted]", "inputs.a[].count is new and has no def"),
        ("a: dict[str, str]", "a: dict[str, int]", "inputs.a{} was str, is int"),
    ],
)
def test_a_narrower_input_breaks_producers(old, new, why):
    said = told({"inputs": old}, {"inputs": new})["Request"]
    assert said.startswith(f"producers that still send version 1 break: {why}")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a: str", "a: str, tier: str = 'free'"),
        ("a: str, tier: str = 'free'", "a: str, tier: str"),
        ("a: str, b: str", "a: str"),
        ("a: int", "a: float"),
        ("a: int[0..5]", "a: float[0..9]"),
        ("a: str", "a: str | None"),
        ("a: str", "a: str | int"),
        ("a: Literal['x']", "a: Literal['x', 'y']"),
        ("a: Literal['x']", "a: str[1..2]"),
        ("a: str['[a-z]+']", "a: str"),
        ("a: tuple[str, int]", "a: list[str | int]"),
        ("a: list[Counted]", "a: list[Line]"),
        ("a: Image", "a: str"),
        ("a: str", "a: Code['python']"),
        ("a: Code['python']", "a: Code['sql']"),
    ],
)
def test_a_wider_input_breaks_nobody(old, new):
    assert told({"inputs": old}, {"inputs": new})["Request"] == "nobody breaks"


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("a: str, b: str", "a: str", "outputs.b is gone and had no default"),
        ("b: int", "b: float", "outputs.b was int, is float"),
        ("b: str[..8]", "b: str[..80]", "outputs.b has maxLength 80, it was 8"),
        ("b: str[..8]", "b: str", "outputs.b has no maxLength any more, it was 8"),
        ("b: str['[a-z]+']", "b: str", "outputs.b has no pattern any more, it was '["),
        ("b: str", "b: str | None", "outputs.b may be null now"),
        ("b: str", "b: str | int", "outputs.b may be int now"),
        ("b: tuple[str, int]", "b: list[str | int]", "outputs.b was tuple[str, int], "),
        ("b: list[Counted]", "b: list[Line]", "outputs.b[].count is gone and had no "),
    ],
)
def test_a_wider_output_breaks_consumers_and_a_narrower_one_nobody(old, new, why):
    said = told({"outputs": old}, {"outputs": new})["Result"]
    assert said.startswith(f"consumers that read with version 1 break: {why}")
    assert told({"outputs": new}, {"outputs": old})["Result"] == "nobody breaks"


def test_what_breaks_nobody_is_said_all_the_same():
    inputs = {"inputs": "a: str"}, {"inputs": 'a: str "What", tier: str = "free"'}
    assert notes(*inputs) == [
        "inputs.a has another description",
        "inputs.tier is new, with the default 'free'",
    ]
    outputs = (
        {"outputs": "b: Literal['x']"},
        {"outputs": "b: Literal['x', 'y'], c: int"},
    )
    assert notes(*outputs) == [
        "outputs.b may be the new value 'y' now",
        "outputs.c is new",
    ]
    stages = {"stages": {"draft": "c: str"}}, {"stages": {"polite": "c: str"}}
    assert notes(*stages) == [
        "outputs.polite is new",
        "outputs.draft is gone: readers see null",
    ]
    defaults = {"inputs": "a: str = 'x'"}, {"inputs": "a: str = 'y'"}
    assert notes(*defaults) == ["inputs.a has the default 'y', it was 'x'"]
    assert notes({"inputs": "a: int"}, {"inputs": "a: float"}) == [
        "inputs.a was int, is float"
    ]


def test_the_same_version_differs_in_nothing():
    assert notes({}, {}) == []
    assert set(told({}, {}).values()) == {"nobody breaks"}


def test_a_bound_breaks_and_yet_a_registry_takes_it():
    (found, *_) = evolutions(
        version("version 1"), version("version 2", inputs="a: str[..5]")
    )
    assert found.breaking
    assert not found.refused
    (found, *_) = evolutions(
        version("version 1"), version("version 2", inputs="a: int")
    )
    assert found.refused


def test_where_avros_own_checker_refuses_we_never_say_that_nobody_breaks():
    old = {"type": "record", "name": "Result", "fields": []}
    new = {"type": "record", "name": "Answer", "fields": []}
    (found,) = evolutions(
        Version(label="version 1", schemas={"Result": old}),
        Version(label="version 2", schemas={"Result": new}),
    )
    assert found.refused
    assert str(found).startswith("consumers that read with version 1 break: the record")


def enum(*symbols, **default):
    return _only({"type": "enum", "name": "E", "symbols": list(symbols)} | default)


def _only(kind):
    fields = [{"name": "e", "type": kind}]
    return {"type": "record", "name": "R", "fields": fields}


@pytest.mark.parametrize(
    ("old", "new", "breaks"),
    [
        (enum("a"), enum("a", "b"), True),
        (enum("a", default="a"), enum("a", "b"), False),
        (enum("a", "b"), enum("a"), False),
        (_only("float"), _only("int"), False),
        (_only("int"), _only("float"), True),
        (_only("bytes"), _only("string"), True),
        (_only("string"), _only("bytes"), True),
    ],
)
def test_types_that_no_signature_makes_are_compared_as_well(old, new, breaks):
    found = differences("FORWARD_TRANSITIVE", old, new)
    assert any(each.breaks for each in found) is breaks
    judged = incompatibilities("FORWARD_TRANSITIVE", json.dumps(new), json.dumps(old))
    assert breaks or not judged


def test_without_the_positions_of_a_tuple_any_other_tuple_breaks():
    old, new = (
        result_schema(NAMESPACE, _fields(f"b: tuple[str, {kind}]"))
        for kind in ("int", "int[0..]")
    )
    level = "FORWARD_TRANSITIVE"
    assert [each.breaks for each in differences(level, old, new)] == [True]
    (note,) = differences(level, old, new, tuple_positions)
    assert (note.path, note.breaks) == ("outputs.b[1]", False)
    assert tuple_positions("list[str]") is None


@pytest.mark.parametrize("read", ["fastavro", "avro"])
def test_two_old_readers_read_the_records_of_a_new_stage_and_a_new_literal(read):
    old = version("1", outputs="b: Literal['x']", stages={"draft": "c: str"})
    new = version(
        "2",
        outputs="b: Literal['x', 'y']",
        stages={"sort": "d: int", "draft": "c: str"},
    )
    assert {str(found) for found in evolutions(old, new)} == {"nobody breaks"}
    identity = {"request_id": "r", "pipeline": "support", "pipeline_version": 2}
    answer = identity | {"status": "POSTPONED", "outputs": {"b": "y"}}
    step = identity | {"stage": "sort", "status": "OK", "sequence": 1}
    seen = reread("Result", old, new, answer, read)
    assert (seen["status"], seen["outputs"]) == ("POSTPONED", {"b": "y"})
    seen = reread("StageResult", old, new, step | {"outputs": {"sort": {"d": 1}}}, read)
    assert (seen["stage"], seen["outputs"]) == ("sort", {"draft": None})


def reread(message, old, new, value, read):
    """Return *value*, written with the new version, as an old reader sees it."""
    writer, reader = ParsedSchema.of(new.schemas[message]), old.schemas[message]
    body = io.BytesIO(encode(writer, value))
    if read == "fastavro":
        wanted = fastavro.parse_schema(reader)
        return fastavro.schemaless_reader(body, writer.parsed, wanted)
    strict = [parse_strictly(text) for text in (writer.text, json.dumps(reader))]
    return DatumReader(*strict).read(BinaryDecoder(body))
