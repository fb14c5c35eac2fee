"""Compiled writers write what fastavro writes, byte by byte, and say what misfits."""

import io
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.writer import MisfitError, compile_writer

INT = st.integers(-(2**31), 2**31 - 1)
LONG = st.integers(-(2**63), 2**63 - 1)
LEAVES: dict[str, st.SearchStrategy[Any]] = {
    "string": st.text(max_size=20) | st.just("x" * 5_000),
    "int": INT,
    "long": LONG,
    "double": st.floats(allow_nan=False),
    "boolean": st.booleans(),
}
KINDS: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from([*LEAVES, {"type": "string", "allowed": ["a"]}]),
    lambda inner: st.one_of(
        inner.map(lambda kind: {"type": "array", "items": kind}),
        inner.map(lambda kind: {"type": "map", "values": kind}),
        inner.map(lambda kind: kind if isinstance(kind, list) else ["null", kind]),
        inner.map(lambda kind: kind if isinstance(kind, list) else [kind, "null"]),
        st.lists(inner, max_size=4).map(lambda kinds: {"type": "record", "of": kinds}),
    ),
    max_leaves=8,
)


def named(kind: Any, path: str = "r") -> Any:
    """Return *kind* with a name for every record in it."""
    match kind:
        case ["null", inner]:
            return ["null", named(inner, path)]
        case [inner, "null"]:
            return [named(inner, path), "null"]
        case {"type": "record", "of": kinds}:
            fields = [
                {"name": f"f{n}", "type": named(each, f"{path}_{n}")}
                for n, each in enumerate(kinds)
            ]
            return {"type": "record", "name": path, "fields": fields}
        case {"items": inner}:
            return kind | {"items": named(inner, path)}
        case {"values": inner}:
            return kind | {"values": named(inner, path)}
    return kind


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Return values that fit *kind*."""
    match kind:
        case str():
            return LEAVES[kind]
        case ["null", inner] | [inner, "null"]:
            return st.none() | values(inner)
        case {"items": inner}:
            return st.lists(values(inner), max_size=3)
        case {"values": inner}:
            return st.dictionaries(st.text(max_size=3), values(inner), max_size=3)
        case {"fields": fields}:
            return st.fixed_dictionaries({f["name"]: values(f["type"]) for f in fields})
    return values(kind["type"])


def written(schema: Any, value: Any) -> bytes:
    write = compile_writer(fastavro.parse_schema(schema))
    assert write
    out = bytearray()
    write(out, value)
    return bytes(out)


@given(st.data())
def test_the_bytes_are_fastavros(data):
    schema = named(data.draw(KINDS))
    value = data.draw(values(schema))
    expected = io.BytesIO()
    fastavro.schemaless_writer(expected, fastavro.parse_schema(schema), value)
    assert written(schema, value) == expected.getvalue()


@given(LONG)
def test_every_long_reads_back(value):
    body = io.BytesIO(written("long", value))
    assert fastavro.schemaless_reader(body, "long", None) == value


@pytest.mark.parametrize(
    "schema",
    [
        "bytes",
        "float",
        {"type": "fixed", "name": "F", "size": 2},
        {"type": "enum", "name": "E", "symbols": ["A"]},
        {"type": "long", "logicalType": "timestamp-millis"},
        ["null", "string", "long"],
        {"type": "array", "items": "bytes"},
    ],
    ids=str,
)
def test_types_that_we_do_not_use_are_left_to_fastavro(schema):
    assert compile_writer(fastavro.parse_schema(schema)) is None


def field(kind: Any, **default: Any) -> dict[str, Any]:
    inner = {"name": "x", "type": kind, **default}
    within = {"type": "record", "name": "In", "fields": [inner]}
    outer = {"name": "in", "type": within}
    return {"type": "record", "name": "Out", "fields": [outer]}


def test_what_is_left_out_takes_its_default():
    assert written(field("string", default="a"), {"in": {}}) == b"\x02a"
    assert written(field(["null", "string"], default=None), {"in": {}}) == b"\x00"


@pytest.mark.parametrize(
    ("kind", "value", "why"),
    [
        ("string", 7, "a int does not fit"),
        ("string", b"7", "a bytes does not fit"),
        ("string", None, "a NoneType does not fit"),
        ("string", "\ud800", "surrogates not allowed"),
        ("long", 0.5, "a float does not fit"),
        ("long", "7", "a str does not fit"),
        ("long", 2**63, "too large a number"),
        ("int", 2**31, "too large a number"),
        ("int", -(2**31) - 1, "too large a number"),
        ("double", "0.5", "a str does not fit"),
        ("boolean", 1, "a int does not fit"),
        ({"type": "array", "items": "string"}, "ab", "a str does not fit"),
        ({"type": "array", "items": "string"}, [7], "a list does not fit"),
        ({"type": "map", "values": "string"}, [], "a list does not fit"),
        ({"type": "map", "values": "string"}, {7: "a"}, "a dict does not fit"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_named_by_its_path(kind, value, why):
    with pytest.raises(MisfitError) as caught:
        written(field(kind), {"in": {"x": value}})
    assert caught.value.path == "in.x"
    assert why in str(caught.value)


@pytest.mark.parametrize("value", [{}, {"in": {}}, {"in": None}, {"in": []}], ids=str)
def test_a_record_that_is_missing_or_none_is_named(value):
    with pytest.raises(MisfitError, match=r"^in(\.x)?: "):
        written(field("string"), value)
