"""Inputs from a command line: read as the schema says, refused with every problem."""

import pytest

from agents.client.inputs import Inputs
from agents.failures import InputsRefusedError
from schemas.codec import ParsedSchema
from schemas.shapes import request_schema
from streams.signatures.avro import avro_fields
from streams.signatures.parse import parse_fields

TEXT = """
    ticket: str, tier: Literal['free', 'pro'] = 'free', stars: Literal[1, 2] = 1,
    count: int = 0, share: float = 0.5, loud: bool = False, tags: list[str] = [],
    sizes: dict[str, int] = {}, note: str | None = None, limit: int | None = 3
"""


@pytest.fixture
def inputs() -> Inputs:
    fields = [declared.typed(None) for declared in parse_fields(TEXT).inputs]
    schema = request_schema("penstock.support", avro_fields(fields))
    return Inputs(ParsedSchema.of(schema))


def test_what_is_left_out_takes_its_default(inputs):
    assert inputs.check({"ticket": "hello"}, {}) == {
        "ticket": "hello",
        "tier": "free",
        "stars": 1,
        "count": 0,
        "share": 0.5,
        "loud": False,
        "tags": [],
        "sizes": {},
        "note": None,
        "limit": 3,
    }


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("ticket", "5", "5"),
        ("ticket", "null", "null"),
        ("tier", "pro", "pro"),
        ("stars", "2", 2),
        ("count", "-7", -7),
        ("share", "1", 1.0),
        ("loud", "true", True),
        ("tags", '["a", "b"]', ["a", "b"]),
        ("sizes", '{"x": 1}', {"x": 1}),
        ("note", '"text in JSON"', "text in JSON"),
        ("note", "null", None),
        ("note", "plain text", "plain text"),
        ("limit", "4", 4),
    ],
)
def test_a_text_is_read_as_its_field_wants_it(inputs, name, text, value):
    assert inputs.check({"ticket": "hello", name: text}, {})[name] == value


def test_a_text_wins_over_a_value_from_a_file(inputs):
    found = inputs.check({"tier": "pro"}, {"ticket": "x", "tier": "free", "count": 2})
    assert (found["ticket"], found["tier"], found["count"]) == ("x", "pro", 2)


def test_every_problem_is_named_by_field(inputs):
    with pytest.raises(InputsRefusedError) as refused:
        inputs.check({"tier": "gold", "count": "many", "tikcet": "x"}, {"loud": 1})
    assert refused.value.problems == (
        "ticket: is missing",
        "tier: expected one of 'free', 'pro', got another",
        "count: expected int, got str",
        "loud: expected bool, got int",
        (
            "tikcet: no such input; there are ticket, tier, stars, count, share, loud, "
            "tags, sizes, note, limit"
        ),
    )


def test_fields_of_a_foreign_type_are_left_to_the_encoder():
    when = {"type": "long", "logicalType": "timestamp-millis"}
    fixed = {"type": "fixed", "name": "Pair", "size": 2}
    raw = {"type": "array", "items": fixed}
    fields = [{"name": "when", "type": when}, {"name": "raw", "type": raw}]
    inputs = Inputs(ParsedSchema.of(request_schema("a.b", fields)))
    assert inputs.check({"when": "5", "raw": "x"}, {}) == {"when": 5, "raw": "x"}
